//! The targets: the peers named on the command line. Each is dialled until it is linked, and again
//! when its link closes, after a random backoff that grows with each failure (see [`backoff`]).

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
    /// Another link leads to the same peer.
    LinkedElsewhere {
        incarnation: u64,
    },
    /// The target is this peer itself, or this peer is stopping: never dialled again.
    Disabled,
}

#[derive(Debug)]
struct Target {
    state: State,
    failures: u32,
}

/// All targets, by their index on the command line.
#[derive(Debug)]
pub(super) struct Targets(Vec<Target>);

impl Targets {
    /// Returns targets that are all due at time zero.
    pub(super) fn new(count: usize) -> Self {
        let initial = State::Backoff { until: Time::default() };
        Self((0..count).map(|_| Target { state: initial, failures: 0 }).collect())
    }

    /// Returns the next target that is due.
    pub(super) fn next_due(&self, now: Time) -> Option<usize> {
        let is_due =
            |target: &Target| matches!(target.state, State::Backoff { until } if until <= now);
        self.0.iter().position(is_due)
    }

    /// Returns when the next target is due.
    pub(super) fn deadline(&self) -> Option<Time> {
        let deadlines = self.0.iter().filter_map(|target| match target.state {
            State::Backoff { until } => Some(until),
            _ => None,
        });
        deadlines.min()
    }

    /// Records that a target is being dialled as `link`.
    pub(super) fn mark_dialling(&mut self, target: usize, link: LinkId) {
        self.0[target].state = State::Dialling { link };
    }

    /// Records that the handshake with a target is complete.
    pub(super) fn mark_linked(&mut self, now: Time, target: usize, link: LinkId) {
        self.0[target].state = State::Linked { link, since: now };
    }

    /// Records that another link leads to the incarnation that a target resolved to.
    pub(super) fn mark_linked_elsewhere(&mut self, target: usize, incarnation: u64) {
        self.0[target].state = State::LinkedElsewhere { incarnation };
    }

    /// Stops dialling a target.
    pub(super) fn disable(&mut self, target: usize) {
        self.0[target].state = State::Disabled;
    }

    /// Stops dialling all targets.
    pub(super) fn disable_all(&mut self) {
        self.0.iter_mut().for_each(|target| target.state = State::Disabled);
    }

    /// Returns whether every target is disabled or failed at its last attempt and none is being
    /// dialled.
    pub(super) fn have_all_failed(&self) -> bool {
        self.0.iter().all(|target| match target.state {
            State::Backoff { .. } => target.failures > 0,
            State::Disabled => true,
            _ => false,
        })
    }

    /// Schedules the redial of a target whose link closed. The backoff starts again if the link was
    /// up for [`LINK_STABLE_AFTER`].
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

    /// Schedules the redial of targets that resolved to a peer whose last link closed.
    pub(super) fn on_peer_unlinked(&mut self, now: Time, incarnation: u64, rng: &mut StdRng) {
        for target in &mut self.0 {
            if target.state == (State::LinkedElsewhere { incarnation }) {
                target.state = State::Backoff { until: now + backoff(0, rng) };
            }
        }
    }
}
