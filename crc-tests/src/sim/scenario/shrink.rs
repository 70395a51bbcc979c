//! Shrinking: the shortest list of events found that still breaks the predicate.

use std::time::Duration;

use super::event::without;
use super::texts::ChatText;
use super::{Event, Outcome, Predicate, Scenario};

/// Maximum number of scenarios that are played to shrink one.
const PLAYS_MAX: usize = 3000;

/// Shrinks a scenario that breaks a predicate.
struct Shrink {
    best: Scenario,
    outcome: Outcome,
    predicate: Predicate,
    plays_left: usize,
}

impl Scenario {
    /// Returns the smallest scenario found that breaks the same predicate as this one, and how it
    /// ends. Returns `None` if this one breaks none.
    #[must_use]
    pub fn shrink(self) -> Option<(Self, Outcome)> {
        let outcome = self.play();
        let predicate = outcome.violation.as_ref()?.predicate;
        let mut shrink = Shrink { best: self, outcome, predicate, plays_left: PLAYS_MAX };
        loop {
            let before = shrink.best.size();
            shrink.drop_events();
            shrink.drop_servers();
            shrink.simplify();
            if shrink.best.size() == before || shrink.plays_left == 0 {
                return Some((shrink.best, shrink.outcome));
            }
        }
    }

    fn size(&self) -> (usize, usize, Duration) {
        let waits = self.events.iter().map(|event| match event {
            Event::Wait(span) => *span,
            _ => Duration::ZERO,
        });
        (self.events.len(), self.servers.len(), waits.sum())
    }

    /// Returns the scenario without its last server, if no event and no parent needs that.
    fn without_server(&self, gone: usize) -> Self {
        let mut smaller = self.clone();
        smaller.servers.remove(gone);
        for plan in &mut smaller.servers {
            // Its children join its parents.
            let inherited = self.servers[gone].parents.clone();
            let parents = plan.parents.iter().flat_map(|&at| match at == gone {
                true => inherited.clone(),
                false => vec![at],
            });
            let mut parents: Vec<usize> = parents.filter_map(|at| without(at, gone)).collect();
            parents.dedup();
            plan.parents = parents;
            plan.id = plan.id.and_then(|id| {
                let at = without((id as usize).checked_sub(1)?, gone)?;
                u32::try_from(at + 1).ok()
            });
        }
        for (at, plan) in smaller.servers.iter_mut().enumerate() {
            plan.parents.retain(|&parent| parent != at);
        }
        let events = self.events.iter();
        smaller.events = events.filter_map(|event| event.without_server(gone)).collect();
        smaller
    }
}

impl Shrink {
    /// Keeps a candidate that breaks the same predicate.
    fn try_candidate(&mut self, candidate: Scenario) -> bool {
        if self.plays_left == 0 {
            return false;
        }
        self.plays_left -= 1;
        let outcome = candidate.play();
        let is_broken = outcome.violation.as_ref().is_some_and(|it| it.predicate == self.predicate);
        if is_broken {
            (self.best, self.outcome) = (candidate, outcome);
        }
        is_broken
    }

    /// Drops events: half of them, a quarter, and so on to one.
    fn drop_events(&mut self) {
        let mut count = self.best.events.len().div_ceil(2);
        while count > 0 {
            let mut at = 0;
            while at < self.best.events.len() {
                let mut candidate = self.best.clone();
                let end = (at + count).min(candidate.events.len());
                candidate.events.drain(at..end);
                if !self.try_candidate(candidate) {
                    at += count;
                }
            }
            count = if count == 1 { 0 } else { count.div_ceil(2) };
        }
    }

    fn drop_servers(&mut self) {
        let mut at = self.best.servers.len();
        while at > 0 {
            at -= 1;
            if self.best.servers.len() > 1 {
                self.try_candidate(self.best.without_server(at));
            }
        }
    }

    /// Makes conditions, parents and waits simpler.
    fn simplify(&mut self) {
        let mut candidate = self.best.clone();
        candidate.conditions = super::NetConditions::default();
        if self.best.conditions.splits_writes {
            self.try_candidate(candidate);
        }
        for at in 0..self.best.servers.len() {
            let mut candidate = self.best.clone();
            candidate.servers[at].parents.truncate(1);
            if candidate.servers != self.best.servers {
                self.try_candidate(candidate);
            }
        }
        for at in 0..self.best.events.len() {
            if let Event::Chat { user, id, text, .. } = self.best.events[at] {
                for text in [text, ChatText::Number] {
                    let mut candidate = self.best.clone();
                    candidate.events[at] = Event::Chat { user, id, count: 1, text };
                    if candidate.events[at] != self.best.events[at] {
                        self.try_candidate(candidate);
                    }
                }
            }
            if let Event::Say { user, room, count: 2.. } = self.best.events[at] {
                let mut candidate = self.best.clone();
                candidate.events[at] = Event::Say { user, room, count: 1 };
                self.try_candidate(candidate);
            }
            if let Event::Partition { group, span } = self.best.events[at] {
                for gone in group.iter() {
                    let group = group.iter().filter(|&server| server != gone).collect();
                    let mut candidate = self.best.clone();
                    candidate.events[at] = Event::Partition { group, span };
                    self.try_candidate(candidate);
                }
            }
            if let Event::Wait(span) = self.best.events[at] {
                let mut candidate = self.best.clone();
                let seconds = Duration::from_secs(span.as_secs());
                let half = Duration::from_millis(span.as_millis() as u64 / 2);
                let shorter = if seconds == span { half } else { seconds };
                candidate.events[at] = Event::Wait(shorter);
                if span > Duration::from_millis(1) {
                    self.try_candidate(candidate);
                }
            }
        }
    }
}
