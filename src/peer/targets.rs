//! The peers that were named on the command line: each is dialled until it is linked, and again
//! when that link is lost, ever less often ("full jitter").

use rand::rngs::StdRng;

use crate::limits::LINK_STABLE_AFTER;
use crate::link::{LinkId, Time, backoff};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting {
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
    Met {
        life: u64,
    },
    /// It is this peer itself, or this peer stops.
    Never,
}

#[derive(Debug)]
struct Target {
    state: State,
    failed: u32,
}

/// All of them, by their place on the command line.
#[derive(Debug)]
pub(super) struct Targets(Vec<Target>);

impl Targets {
    /// Each is dialled at once.
    pub(super) fn new(count: usize) -> Self {
        let first = State::Waiting { until: Time::default() };
        Self((0..count).map(|_| Target { state: first, failed: 0 }).collect())
    }

    /// The next to be dialled now.
    pub(super) fn due(&self, now: Time) -> Option<usize> {
        let is_due =
            |target: &Target| matches!(target.state, State::Waiting { until } if until <= now);
        self.0.iter().position(is_due)
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let waits = self.0.iter().filter_map(|target| match target.state {
            State::Waiting { until } => Some(until),
            _ => None,
        });
        waits.min()
    }

    pub(super) fn dialled(&mut self, target: usize, link: LinkId) {
        self.0[target].state = State::Dialling { link };
    }

    pub(super) fn linked(&mut self, now: Time, target: usize, link: LinkId) {
        self.0[target].state = State::Linked { link, since: now };
    }

    /// There is another link to the life that a target leads to.
    pub(super) fn met(&mut self, target: usize, life: u64) {
        self.0[target].state = State::Met { life };
    }

    pub(super) fn never(&mut self, target: usize) {
        self.0[target].state = State::Never;
    }

    pub(super) fn stop(&mut self) {
        self.0.iter_mut().for_each(|target| target.state = State::Never);
    }

    /// Whether every target was dialled and none has answered, nor can any answer now.
    pub(super) fn have_failed(&self) -> bool {
        self.0.iter().all(|target| match target.state {
            State::Waiting { .. } => target.failed > 0,
            State::Never => true,
            _ => false,
        })
    }

    /// A target's link has ended. It is dialled again after a wait; sooner if the link had stood.
    pub(super) fn ended(&mut self, now: Time, target: usize, link: LinkId, rng: &mut StdRng) {
        let Target { state, failed } = &mut self.0[target];
        match *state {
            State::Linked { link: l, since } if l == link => {
                if now.since(since) >= LINK_STABLE_AFTER {
                    *failed = 0;
                }
            }
            State::Dialling { link: l } if l == link => {}
            _ => return,
        }
        *state = State::Waiting { until: now + backoff(*failed, rng) };
        *failed = failed.saturating_add(1);
    }

    /// No link leads to this life any more.
    pub(super) fn lost(&mut self, now: Time, life: u64, rng: &mut StdRng) {
        for target in &mut self.0 {
            if target.state == (State::Met { life }) {
                target.state = State::Waiting { until: now + backoff(0, rng) };
            }
        }
    }
}
