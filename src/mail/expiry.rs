//! The mailbox clock, and the time of the next check for expired mail.

use std::time::Duration;

use super::Inventory;
use crate::limits::{MAIL_CLOCK_SAVE_INTERVAL, MAIL_EXPIRY_INTERVAL_MIN};
use crate::link::Time;

/// Time since the mailbox was created, counted only while a server runs.
#[derive(Clone, Debug)]
pub(super) struct Expiry {
    age_max: Duration,
    /// Mailbox clock when this server started.
    clock_at_start: Duration,
    /// Time of the first event of this server.
    started_at: Option<Time>,
    /// Time of the next check on the mailbox clock. `None` while the mailbox is empty or a check is
    /// pending.
    check_at: Option<Duration>,
}

impl Expiry {
    /// Continues the clock of a mailbox. The first check is due at once if it holds mail.
    pub(super) fn new(age_max: Duration, inventory: &Inventory) -> Self {
        Self {
            age_max,
            clock_at_start: inventory.clock,
            started_at: None,
            check_at: inventory.oldest.map(|_| inventory.clock),
        }
    }

    /// Returns the mailbox clock at `now`.
    pub(super) fn clock(&mut self, now: Time) -> Duration {
        let started_at = *self.started_at.get_or_insert(now);
        self.clock_at_start + now.since(started_at)
    }

    /// Starts a check if it is due. Returns the time before which mail is expired, and the clock.
    pub(super) fn start_check(&mut self, now: Time) -> Option<(Duration, Duration)> {
        let clock = self.clock(now);
        self.check_at.take_if(|at| *at <= clock)?;
        // A message of exactly the maximum age is expired.
        let cutoff = (clock + Duration::from_nanos(1)).saturating_sub(self.age_max);
        Some((cutoff, clock))
    }

    /// Schedules a check after a message was appended, unless one is scheduled.
    pub(super) fn on_appended(&mut self, now: Time) {
        if self.check_at.is_none() {
            let clock = self.clock(now);
            self.on_checked(now, Some(clock));
        }
    }

    /// Schedules the next check, given when the oldest message was appended. Checks are at least
    /// [`MAIL_EXPIRY_INTERVAL_MIN`] apart, even if the store could not delete expired mail, and at
    /// most [`MAIL_CLOCK_SAVE_INTERVAL`], since each stores the clock.
    pub(super) fn on_checked(&mut self, now: Time, oldest: Option<Duration>) {
        let clock = self.clock(now);
        self.check_at = oldest.map(|oldest| {
            (oldest + self.age_max)
                .clamp(clock + MAIL_EXPIRY_INTERVAL_MIN, clock + MAIL_CLOCK_SAVE_INTERVAL)
        });
    }

    /// Ends all checks.
    pub(super) fn stop(&mut self) {
        self.check_at = None;
    }

    /// Returns the time of the next check. Before the first event it is due at once, so that the
    /// clock starts.
    pub(super) fn deadline(&self) -> Option<Time> {
        let remaining = self.check_at?.saturating_sub(self.clock_at_start);
        Some(self.started_at.map_or(Time::default(), |started_at| started_at + remaining))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE_MAX: Duration = Duration::from_secs(1_000_000);

    #[test]
    fn clock_continues_from_the_inventory() {
        let clock = Duration::from_secs(50);
        let mut expiry = Expiry::new(AGE_MAX, &Inventory { clock, ..Inventory::default() });
        let start = Time::from_start(Duration::from_secs(7));
        assert_eq!(expiry.clock(start), clock);
        assert_eq!(expiry.clock(start + Duration::from_secs(3)), Duration::from_secs(53));
        assert_eq!(expiry.deadline(), None, "an empty mailbox needs no check");
    }

    #[test]
    fn checks_are_bounded_on_both_sides() {
        let mut expiry = Expiry::new(AGE_MAX, &Inventory::default());
        let now = Time::from_start(AGE_MAX + AGE_MAX);
        expiry.clock(Time::default());
        expiry.on_checked(now, Some(Duration::ZERO));
        assert_eq!(expiry.deadline(), Some(now + MAIL_EXPIRY_INTERVAL_MIN));
        expiry.on_checked(now, Some(AGE_MAX + AGE_MAX));
        assert_eq!(expiry.deadline(), Some(now + MAIL_CLOCK_SAVE_INTERVAL.min(AGE_MAX)));
        let due = now + MAIL_CLOCK_SAVE_INTERVAL.min(AGE_MAX);
        assert_eq!(expiry.start_check(now), None);
        let (cutoff, clock) = expiry.start_check(due).expect("due");
        assert_eq!(clock - cutoff, AGE_MAX - Duration::from_nanos(1));
        assert_eq!(expiry.deadline(), None, "pending");
    }
}
