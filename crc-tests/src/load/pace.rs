//! Pacing of messages: a fixed number in flight, or a fixed rate independent of arrivals.

use std::time::Duration;

/// Maximum lateness of a wake-up by the system. Messages due sooner are waited for by polling.
const TIMER_SLACK_NANOS: u64 = 1_500_000;

/// The pace of the senders.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// A closed loop: each sender keeps this many messages in flight.
    InFlight(u32),
    /// An open loop: this many messages per second, all senders together.
    Rate(f64),
}

/// The schedule of an open loop: evenly spaced due times, in nanoseconds. A message is due whether
/// or not earlier ones could be sent, so that delays show in the histogram.
pub(super) struct Pacer {
    start_nanos: u64,
    interval_nanos: f64,
    sent_count: u64,
}

impl Pacer {
    /// Schedules the first message at `begin`, then `rate` per second.
    pub(super) fn new(start_nanos: u64, rate: f64) -> Self {
        Self { start_nanos, interval_nanos: 1e9 / rate, sent_count: 0 }
    }

    /// Returns the due time of the next message.
    pub(super) fn next_due(&self) -> u64 {
        self.start_nanos + (self.sent_count as f64 * self.interval_nanos) as u64
    }

    /// Advances to the next message.
    pub(super) fn advance(&mut self) {
        self.sent_count += 1;
    }

    /// Returns the number of messages due at `now` and not sent.
    pub(super) fn overdue_count(&self, now: u64) -> u64 {
        if now < self.next_due() {
            return 0;
        }
        ((now - self.start_nanos) as f64 / self.interval_nanos) as u64 + 1 - self.sent_count
    }

    /// Returns how long to sleep without missing the next message; zero if it is due too soon.
    pub(super) fn sleep_time(&self, now: u64) -> Duration {
        let left = self.next_due().saturating_sub(now).saturating_sub(TIMER_SLACK_NANOS);
        Duration::from_millis(left / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_are_evenly_spaced_and_unaffected_by_delays() {
        let mut pacer = Pacer::new(1_000, 1_000.0);
        let mut due = Vec::new();
        for _ in 0..3 {
            due.push(pacer.next_due());
            pacer.advance();
        }
        assert_eq!(due, [1_000, 1_001_000, 2_001_000]);
        // After a second without sending, all messages of that second are still due, at their
        // times.
        assert_eq!(pacer.next_due(), 3_001_000);
        assert_eq!(pacer.overdue_count(1_000_001_000), 998);
        assert_eq!(pacer.overdue_count(3_000_999), 0);
        assert_eq!(pacer.overdue_count(3_001_000), 1);
    }

    #[test]
    fn due_times_do_not_drift_over_a_million_seconds() {
        let mut pacer = Pacer::new(0, 3.0);
        for _ in 0..3_000_000 {
            pacer.advance();
        }
        assert_eq!(pacer.next_due().div_ceil(1_000), 1_000_000_000_000); // a million seconds
    }

    #[test]
    fn sleep_time_is_zero_when_the_next_message_is_near() {
        let pacer = Pacer::new(10_000_000, 1.0);
        assert_eq!(pacer.sleep_time(0), Duration::from_millis(8));
        assert_eq!(pacer.sleep_time(8_000_000), Duration::ZERO);
        assert_eq!(pacer.sleep_time(20_000_000), Duration::ZERO);
    }
}
