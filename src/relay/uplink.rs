//! The link to the parent: which one to dial, when, and what to do when it refuses or is lost.
//!
//! Owns the order of the parents and the waits between attempts. The first parent that answers is
//! used; the others are fallbacks. A parent that is not up yet is waited for.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::backoff::backoff;
use super::link::LinkId;
use super::time::Time;
use crate::limits::{REFUSED_PAUSE, UPLINK_PROVEN};

/// Where the uplink stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There is no parent, or this server stops: nothing is dialled.
    Off,
    /// The next attempt is due at this time.
    Waiting { until: Time },
    /// A dial is under way, or the parent has not answered the registration yet.
    Dialling { link: LinkId },
    /// The parent answered.
    Attached { link: LinkId, since: Time },
}

/// The way up.
#[derive(Debug)]
pub(super) struct Uplink {
    parents: usize,
    /// The parent that is dialled next or is connected.
    current: usize,
    /// Rounds over all parents that failed in a row.
    failed_rounds: u32,
    /// When this server last took another id because a parent refused the one it had.
    renumbered: Option<Time>,
    pub(super) state: State,
}

impl Uplink {
    /// The first attempt is due at once.
    pub(super) fn new(parents: usize) -> Self {
        let state =
            if parents == 0 { State::Off } else { State::Waiting { until: Time::default() } };
        Self { parents, current: 0, failed_rounds: 0, renumbered: None, state }
    }

    /// Which parent to dial now, if an attempt is due.
    pub(super) fn due(&self, now: Time) -> Option<usize> {
        match self.state {
            State::Waiting { until } if until <= now => Some(self.current),
            _ => None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Waiting { until } => Some(until),
            _ => None,
        }
    }

    pub(super) fn is(&self, link: LinkId) -> bool {
        matches!(self.state, State::Dialling { link: l } | State::Attached { link: l, .. } if l == link)
    }

    pub(super) fn attached(&mut self, now: Time, link: LinkId) {
        self.state = State::Attached { link, since: now };
    }

    /// The link ended: the next parent is tried at once; after a round of failures there is a wait.
    /// A parent that was connected for [`UPLINK_PROVEN`] is tried first again, after a short wait.
    pub(super) fn ended(&mut self, now: Time, rng: &mut StdRng) {
        let is_proven = matches!(self.state, State::Attached { since, .. } if now.since(since) >= UPLINK_PROVEN);
        if is_proven {
            self.current = 0;
            self.failed_rounds = 0;
        } else {
            self.current = (self.current + 1) % self.parents;
        }
        let wait = if self.current != 0 {
            Duration::ZERO
        } else {
            let wait = backoff(self.failed_rounds, rng);
            self.failed_rounds = self.failed_rounds.saturating_add(1);
            wait
        };
        self.state = State::Waiting { until: now + wait };
    }

    /// The parent refused: it is not asked again soon, and not by all in step.
    pub(super) fn refused(&mut self, now: Time, rng: &mut StdRng) {
        let jitter = rng.random_range(Duration::ZERO..=REFUSED_PAUSE / 10);
        self.state = State::Waiting { until: now + REFUSED_PAUSE + jitter };
    }

    /// Whether this server may take another id now. A fresh id that is refused again soon is no
    /// accident, so this is granted once in [`REFUSED_PAUSE`].
    pub(super) fn may_renumber(&mut self, now: Time) -> bool {
        if self.renumbered.is_some_and(|at| now.since(at) < REFUSED_PAUSE) {
            return false;
        }
        self.renumbered = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;
    use crate::limits::REDIAL_BACKOFF_MAX;

    #[test]
    fn fallbacks_are_tried_at_once_and_the_first_parent_again_after_a_wait() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut uplink = Uplink::new(2);
        let now = Time::after(Duration::from_secs(5));
        assert_eq!(uplink.due(now), Some(0));
        uplink.ended(now, &mut rng);
        assert_eq!(uplink.due(now), Some(1));
        uplink.ended(now, &mut rng);
        assert_eq!(uplink.due(now), None);
        assert_eq!(uplink.due(now + REDIAL_BACKOFF_MAX), Some(0));
        uplink.refused(now, &mut rng);
        assert_eq!(uplink.due(now + (REFUSED_PAUSE - Duration::from_millis(1))), None);
        assert_eq!(uplink.due(now + REFUSED_PAUSE + REFUSED_PAUSE / 10), Some(0));
    }
}
