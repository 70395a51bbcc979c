//! [`Uplink`]: the link to the parent, the order in which parents are dialled, and the delays
//! between attempts.
//!
//! The first parent that answers is used; the others are fallbacks. Dialling continues until a
//! parent answers.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::limits::{LINK_STABLE_AFTER, UPLINK_REFUSED_RETRY_DELAY};
use crate::link::LinkId;
use crate::link::Time;
use crate::link::backoff;

/// The state of the uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UplinkState {
    /// Nothing is dialled: this server has no parent, or stops.
    Off,
    /// The next dial is due at this time.
    Waiting { until: Time },
    /// A parent is being dialled, or has not answered the registration yet.
    Dialling { link: LinkId },
    /// The parent answered the registration.
    Registered { link: LinkId, since: Time },
}

/// The link to the parent.
#[derive(Debug)]
pub(super) struct Uplink {
    parent_count: usize,
    /// Index of the parent that is connected or is dialled next.
    current_parent: usize,
    /// Consecutive rounds over all parents that failed.
    failed_rounds: u32,
    /// Time at which this server last took another id, because a parent refused the previous one.
    renumbered_at: Option<Time>,
    pub(super) state: UplinkState,
}

impl Uplink {
    /// Creates an uplink whose first dial is due at once.
    pub(super) fn new(parent_count: usize) -> Self {
        let state = if parent_count == 0 {
            UplinkState::Off
        } else {
            UplinkState::Waiting { until: Time::default() }
        };
        Self { parent_count, current_parent: 0, failed_rounds: 0, renumbered_at: None, state }
    }

    /// Returns the index of the parent to dial, if a dial is due.
    pub(super) fn due_parent(&self, now: Time) -> Option<usize> {
        match self.state {
            UplinkState::Waiting { until } if until <= now => Some(self.current_parent),
            _ => None,
        }
    }

    /// Returns the time of the next dial.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self.state {
            UplinkState::Waiting { until } => Some(until),
            _ => None,
        }
    }

    /// Returns whether a link leads to the parent, or dials it.
    pub(super) fn has_link(&self, link: LinkId) -> bool {
        matches!(self.state, UplinkState::Dialling { link: l } | UplinkState::Registered { link: l, .. } if l == link)
    }

    /// Records that the parent answered.
    pub(super) fn on_registered(&mut self, now: Time, link: LinkId) {
        self.state = UplinkState::Registered { link, since: now };
    }

    /// Handles the end of the link. The next parent is dialled at once; after a round of failures,
    /// there is a delay. If the link stood for [`LINK_STABLE_AFTER`], the first parent is dialled
    /// next, after a short delay.
    pub(super) fn on_closed(&mut self, now: Time, rng: &mut StdRng) {
        let is_stable = matches!(self.state, UplinkState::Registered { since, .. } if now.since(since) >= LINK_STABLE_AFTER);
        if is_stable {
            self.current_parent = 0;
            self.failed_rounds = 0;
        } else {
            self.current_parent = (self.current_parent + 1) % self.parent_count;
        }
        let wait = if self.current_parent != 0 {
            Duration::ZERO
        } else {
            let wait = backoff(self.failed_rounds, rng);
            self.failed_rounds = self.failed_rounds.saturating_add(1);
            wait
        };
        self.state = UplinkState::Waiting { until: now + wait };
    }

    /// Handles a refusal by the parent: the next dial is due after [`UPLINK_REFUSED_RETRY_DELAY`],
    /// with jitter so that refused servers do not dial in step.
    pub(super) fn on_refused(&mut self, now: Time, rng: &mut StdRng) {
        let jitter = rng.random_range(Duration::ZERO..=UPLINK_REFUSED_RETRY_DELAY / 10);
        self.state = UplinkState::Waiting { until: now + UPLINK_REFUSED_RETRY_DELAY + jitter };
    }

    /// Returns whether this server may take another id, and records that it does. Granted once in
    /// [`UPLINK_REFUSED_RETRY_DELAY`], because a random id that is refused again is no accident.
    pub(super) fn take_renumber_permit(&mut self, now: Time) -> bool {
        if self.renumbered_at.is_some_and(|at| now.since(at) < UPLINK_REFUSED_RETRY_DELAY) {
            return false;
        }
        self.renumbered_at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;
    use crate::limits::REDIAL_BACKOFF_MAX;

    #[test]
    fn fallback_parents_are_dialled_at_once_and_the_first_again_after_a_wait() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut uplink = Uplink::new(2);
        let now = Time::from_start(Duration::from_secs(5));
        assert_eq!(uplink.due_parent(now), Some(0));
        uplink.on_closed(now, &mut rng);
        assert_eq!(uplink.due_parent(now), Some(1));
        uplink.on_closed(now, &mut rng);
        assert_eq!(uplink.due_parent(now), None);
        assert_eq!(uplink.due_parent(now + REDIAL_BACKOFF_MAX), Some(0));
        uplink.on_refused(now, &mut rng);
        assert_eq!(
            uplink.due_parent(now + (UPLINK_REFUSED_RETRY_DELAY - Duration::from_millis(1))),
            None
        );
        assert_eq!(
            uplink.due_parent(now + UPLINK_REFUSED_RETRY_DELAY + UPLINK_REFUSED_RETRY_DELAY / 10),
            Some(0)
        );
    }
}
