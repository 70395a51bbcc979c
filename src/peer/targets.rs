//! The peers that were named on the command line: each is dialled until it is linked, and again
//! when that link is lost, ever less often ("full jitter").

use rand::rngs::StdRng;

use crate::limits::LINK_STABLE_AFTER;
use crate::link::{LinkId, Time, backoff};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Backoff {
        until: Time,
    },
    Dialling {
        link: LinkId,
    },
    Linked {
        link: LinkId,
        since: Time,
    },
    /// There is another link to the peer that this leads to.
    LinkedElsewhere {
        incarnation: u64,
    },
    /// It is this peer itself, or this peer stops.
    Disabled,
}

#[derive(Debug)]
struct Target {
    state: State,
    failures: u32,
}

/// All of them, by their place on the command line.
#[derive(Debug)]
pub(super) struct Targets(Vec<Target>);

impl Targets {
    /// Each is dialled at once.
    pub(super) fn new(count: usize) -> Self {
        let initial = State::Backoff { until: Time::default() };
        Self((0..count).map(|_| Target { state: initial, failures: 0 }).collect())
    }

    /// The next to be dialled now.
    pub(super) fn next_due(&self, now: Time) -> Option<usize> {
        let is_due =
            |target: &Target| matches!(target.state, State::Backoff { until } if until <= now);
        self.0.iter().position(is_due)
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let deadlines = self.0.iter().filter_map(|target| match target.state {
            State::Backoff { until } => Some(until),
            _ => None,
        });
        deadlines.min()
    }

    pub(super) fn mark_dialling(&mut self, target: usize, link: LinkId) {
        self.0[target].state = State::Dialling { link };
    }

    pub(super) fn mark_linked(&mut self, now: Time, target: usize, link: LinkId) {
        self.0[target].state = State::Linked { link, since: now };
    }

    /// There is another link to the life that a target leads to.
    pub(super) fn mark_linked_elsewhere(&mut self, target: usize, incarnation: u64) {
        self.0[target].state = State::LinkedElsewhere { incarnation };
    }

    pub(super) fn disable(&mut self, target: usize) {
        self.0[target].state = State::Disabled;
    }

    pub(super) fn disable_all(&mut self) {
        self.0.iter_mut().for_each(|target| target.state = State::Disabled);
    }

    /// Whether every target was dialled and none has answered, nor can any answer now.
    pub(super) fn have_all_failed(&self) -> bool {
        self.0.iter().all(|target| match target.state {
            State::Backoff { .. } => target.failures > 0,
            State::Disabled => true,
            _ => false,
        })
    }

    /// A target's link has ended. It is dialled again after a wait; sooner if the link had stood.
    pub(super) fn on_link_closed(
        &mut self,
        now: Time,
        target: usize,
        link: LinkId,
        rng: &mut StdRng,
    ) {
        let Target { state, failures } = &mut self.0[target];
        match *state {
            State::Linked { link: l, since } if l == link => {
                if now.since(since) >= LINK_STABLE_AFTER {
                    *failures = 0;
                }
            }
            State::Dialling { link: l } if l == link => {}
            _ => return,
        }
        *state = State::Backoff { until: now + backoff(*failures, rng) };
        *failures = failures.saturating_add(1);
    }

    /// No link leads to this life any more.
    pub(super) fn on_peer_unlinked(&mut self, now: Time, incarnation: u64, rng: &mut StdRng) {
        for target in &mut self.0 {
            if target.state == (State::LinkedElsewhere { incarnation }) {
                target.state = State::Backoff { until: now + backoff(0, rng) };
            }
        }
    }
}
