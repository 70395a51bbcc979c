//! [`Redial`]: which target is dialled next, and when.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::Time;
use crate::limits::{LINK_STABLE_AFTER, REDIAL_BACKOFF_MAX, REDIAL_BACKOFF_MIN, REDIAL_HASTE};

/// The redial policy for a connection that one of several targets can provide.
///
/// Targets are dialled in order. A target that fails is followed by the next one at once, and a
/// round in which all targets failed by a random delay, whose upper bound doubles with each such
/// round. A connection that was up for less than [`LINK_STABLE_AFTER`] counts as a failure of its
/// target. After one that was up for longer, the first target is dialled next and the delays start
/// from the minimum; for [`REDIAL_HASTE`] they stay short, so that a target which restarts is found
/// within the grace of what was lost with the connection. A target that refused the connection is
/// left out until a given time.
#[derive(Clone, Debug)]
pub struct Redial {
    /// For each target, the time until which it is left out.
    refused_until: Vec<Time>,
    /// Index of the target that is connected, is being dialled, or is dialled next.
    current_target: usize,
    /// Consecutive rounds over all targets that failed.
    failed_rounds: u32,
    /// Time of the next attempt. `None` while one is in progress or has succeeded, and after
    /// [`Redial::stop`].
    next_at: Option<Time>,
    /// Time at which the attempt succeeded, while the connection is up.
    up_since: Option<Time>,
    /// Time at which a connection ended that was up for long.
    lost_at: Option<Time>,
}

impl Redial {
    /// Creates a policy whose first attempt is due at once. Without targets, none is ever due.
    #[must_use]
    pub fn new(target_count: usize) -> Self {
        Self {
            refused_until: vec![Time::default(); target_count],
            current_target: 0,
            failed_rounds: 0,
            next_at: (target_count > 0).then(Time::default),
            up_since: None,
            lost_at: None,
        }
    }

    /// Returns whether an attempt is due.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        self.next_at.is_some_and(|at| at <= now)
    }

    /// Returns the index of the target to dial, if an attempt is due.
    #[must_use]
    pub fn due_target(&self, now: Time) -> Option<usize> {
        self.is_due(now).then_some(self.current_target)
    }

    /// Returns the time of the next attempt, if one is scheduled.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.next_at
    }

    /// Returns whether an attempt is scheduled after a failed round.
    #[must_use]
    pub fn is_waiting_after_failure(&self) -> bool {
        self.next_at.is_some() && self.failed_rounds > 0
    }

    /// Records that an attempt begins. None is scheduled until it fails or the connection ends.
    pub fn started(&mut self) {
        (self.next_at, self.up_since) = (None, None);
    }

    /// Records that the attempt succeeded.
    pub fn succeeded(&mut self, now: Time) {
        (self.next_at, self.up_since) = (None, Some(now));
    }

    /// Records that a target is the current one, because a connection to it was made otherwise.
    pub fn set_current(&mut self, target: usize) {
        self.current_target = target;
    }

    /// Returns the index of the current target.
    #[must_use]
    pub fn current(&self) -> usize {
        self.current_target
    }

    /// Schedules the next attempt after one that failed, or after the end of the connection.
    ///
    /// # Panics
    /// If there are no targets.
    pub fn failed(&mut self, now: Time, rng: &mut StdRng) {
        let up_since = self.up_since.take();
        let first = if up_since.is_some_and(|since| now.since(since) >= LINK_STABLE_AFTER) {
            (self.failed_rounds, self.lost_at) = (0, Some(now));
            0
        } else {
            self.current_target + 1
        };
        self.schedule(now, first, rng);
    }

    /// Schedules the next attempt after a refusal by the current target, which is left out for
    /// `delay`. The next target is dialled at once; if all are left out, the first that is not any
    /// more. Does nothing without targets.
    pub fn refused(&mut self, now: Time, delay: Duration, rng: &mut StdRng) {
        if self.refused_until.is_empty() {
            return;
        }
        self.up_since = None;
        self.refused_until[self.current_target] = now + delay;
        self.schedule(now, self.current_target + 1, rng);
    }

    /// Schedules an attempt with the first target from `first` on that is not left out.
    fn schedule(&mut self, now: Time, first: usize, rng: &mut StdRng) {
        let count = self.refused_until.len();
        let is_allowed = |target: &usize| self.refused_until[*target % count] <= now;
        let Some(target) = (first..first + count).find(is_allowed) else {
            let targets = self.refused_until.iter().enumerate();
            let (target, &at) = targets.min_by_key(|&(_, &at)| at).expect("a target");
            (self.current_target, self.next_at) = (target, Some(at));
            return;
        };
        // A round begins with the first target that is dialled after the last one.
        let begins_round = target == 0 || target >= count;
        self.current_target = target % count;
        let is_hasty = self.lost_at.is_some_and(|at| now.since(at) < REDIAL_HASTE);
        let rounds = if is_hasty { self.failed_rounds.min(1) } else { self.failed_rounds };
        let wait = if begins_round { backoff(rounds, rng) } else { Duration::ZERO };
        if begins_round {
            self.failed_rounds = self.failed_rounds.saturating_add(1);
        }
        self.next_at = Some(now + wait);
    }

    /// Schedules the next attempt after the delay of a first failure, without counting one.
    pub fn retry_soon(&mut self, now: Time, rng: &mut StdRng) {
        self.retry_at(now + backoff(0, rng));
    }

    /// Schedules the next attempt at `at`, with the current target and without counting a failure.
    pub fn retry_at(&mut self, at: Time) {
        (self.next_at, self.up_since) = (Some(at), None);
    }

    /// Cancels the attempt that is scheduled. None is due until another call schedules one.
    pub fn stop(&mut self) {
        (self.next_at, self.up_since) = (None, None);
    }
}

/// Returns a random delay whose upper bound doubles with each failed round, so that hosts which
/// lost the same neighbour do not dial in step.
fn backoff(failed_rounds: u32, rng: &mut StdRng) -> Duration {
    let factor = 2u32.saturating_pow(failed_rounds.saturating_add(1));
    let bound = REDIAL_BACKOFF_MIN.saturating_mul(factor);
    rng.random_range(REDIAL_BACKOFF_MIN..=bound.min(REDIAL_BACKOFF_MAX))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    const NOW: Duration = Duration::from_secs(5);

    fn rng() -> StdRng {
        StdRng::seed_from_u64(7)
    }

    /// Lets an attempt fail and returns the delay before the next one.
    fn delay_after_failure(redial: &mut Redial, now: Time, rng: &mut StdRng) -> Duration {
        redial.started();
        assert_eq!(redial.deadline(), None, "an attempt is in progress");
        redial.failed(now, rng);
        redial.deadline().expect("the next attempt").since(now)
    }

    #[test]
    fn delay_stays_between_its_bounds_and_grows() {
        let mut rng = rng();
        for rounds in (0..40).chain([u32::MAX]) {
            let bound =
                Duration::from_millis(400 * 2u64.pow(rounds.min(4))).min(REDIAL_BACKOFF_MAX);
            for _ in 0..50 {
                let wait = backoff(rounds, &mut rng);
                assert!((REDIAL_BACKOFF_MIN..=bound).contains(&wait), "{rounds}: {wait:?}");
            }
        }
    }

    #[test]
    fn every_target_is_dialled_before_there_is_a_delay() {
        let (mut rng, now) = (rng(), Time::from_start(NOW));
        let mut redial = Redial::new(3);
        assert_eq!(redial.due_target(Time::default()), Some(0));
        for round in 0..3 {
            for target in 1..3 {
                assert_eq!(delay_after_failure(&mut redial, now, &mut rng), Duration::ZERO);
                assert_eq!(redial.due_target(now), Some(target));
                assert_eq!(redial.is_waiting_after_failure(), round > 0);
            }
            let wait = delay_after_failure(&mut redial, now, &mut rng);
            assert!(wait >= REDIAL_BACKOFF_MIN);
            assert_eq!((redial.due_target(now), redial.due_target(now + wait)), (None, Some(0)));
            assert!(redial.is_waiting_after_failure());
        }
    }

    #[test]
    fn only_a_stable_connection_resets_target_and_delays() {
        let check = |up: Duration, expected_target: usize, expected_rounds: u32| {
            let (mut rng, now) = (rng(), Time::from_start(NOW));
            let mut redial = Redial::new(3);
            (0..7).for_each(|_| redial.failed(now, &mut rng));
            assert_eq!((redial.current_target, redial.failed_rounds), (1, 2));
            redial.started();
            redial.succeeded(now);
            assert_eq!(redial.deadline(), None);
            redial.failed(now + up, &mut rng);
            let state = (redial.current_target, redial.failed_rounds);
            assert_eq!(state, (expected_target, expected_rounds), "up for {up:?}");
        };
        check(LINK_STABLE_AFTER - Duration::from_nanos(1), 2, 2);
        check(LINK_STABLE_AFTER, 0, 1);
    }

    #[test]
    fn target_that_refused_is_left_out_for_the_delay() {
        let (mut rng, now) = (rng(), Time::from_start(NOW));
        let minute = Duration::from_secs(60);
        let mut redial = Redial::new(3);
        redial.started();
        redial.refused(now, minute, &mut rng);
        assert_eq!(redial.due_target(now), Some(1));
        assert_eq!(delay_after_failure(&mut redial, now, &mut rng), Duration::ZERO);
        assert_eq!(redial.due_target(now), Some(2));
        let wait = delay_after_failure(&mut redial, now, &mut rng);
        assert!(wait >= REDIAL_BACKOFF_MIN, "the round is over");
        assert_eq!(redial.due_target(now + wait), Some(1), "0 is left out");
        redial.refused(now, minute * 2, &mut rng);
        redial.refused(now, minute * 3, &mut rng);
        assert_eq!(redial.due_target(now + (minute - NOW)), None, "all have refused");
        assert_eq!(redial.due_target(now + minute), Some(0));
        Redial::new(0).refused(now, minute, &mut rng);
    }

    #[test]
    fn attempts_scheduled_by_others_count_no_failure() {
        let (mut rng, now) = (rng(), Time::from_start(NOW));
        let mut redial = Redial::new(1);
        redial.succeeded(now);
        redial.retry_at(now + NOW);
        assert_eq!((redial.is_due(now), redial.is_due(now + NOW)), (false, true));
        redial.retry_soon(now, &mut rng);
        assert!(redial.is_due(now + REDIAL_BACKOFF_MIN * 2));
        assert!(!redial.is_waiting_after_failure());
    }

    #[test]
    fn nothing_is_due_without_targets_or_after_the_stop() {
        let mut redial = Redial::new(0);
        assert_eq!(redial.deadline(), None);
        redial = Redial::new(1);
        redial.stop();
        assert_eq!((redial.deadline(), redial.due_target(Time::default())), (None, None));
    }
}
