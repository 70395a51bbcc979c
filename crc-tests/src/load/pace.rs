//! When messages are sent: so many on their way, or at a rate that does not look at the answers.

use std::time::Duration;

/// Wake-ups of the system come up to so much late; what is due sooner is waited for by looking.
const COARSE: u64 = 1_500_000;

/// How senders go on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// A closed loop: each sender keeps so many messages on their way.
    InFlight(u32),
    /// An open loop: so many messages a second, all senders together.
    Rate(f64),
}

/// The times at which the messages of an open loop are due, evenly apart, in nanoseconds. They are
/// due whether or not those before them could be sent: who is late is told so by the histogram.
pub(super) struct Pacer {
    begin: u64,
    step: f64,
    taken: u64,
}

impl Pacer {
    /// A first message at `begin`, and `rate` a second.
    pub(super) fn new(begin: u64, rate: f64) -> Self {
        Self { begin, step: 1e9 / rate, taken: 0 }
    }

    /// When the next message is due.
    pub(super) fn due(&self) -> u64 {
        self.begin + (self.taken as f64 * self.step) as u64
    }

    /// The next message was sent.
    pub(super) fn take(&mut self) {
        self.taken += 1;
    }

    /// Messages that are due at `now` and not sent.
    pub(super) fn behind(&self, now: u64) -> u64 {
        if now < self.due() {
            return 0;
        }
        ((now - self.begin) as f64 / self.step) as u64 + 1 - self.taken
    }

    /// How long to sleep so as not to miss the next message; none if there is no time for that.
    pub(super) fn sleep(&self, now: u64) -> Duration {
        let left = self.due().saturating_sub(now).saturating_sub(COARSE);
        Duration::from_millis(left / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_evenly_and_no_delay_moves_them() {
        let mut pacer = Pacer::new(1_000, 1_000.0);
        let mut due = Vec::new();
        for _ in 0..3 {
            due.push(pacer.due());
            pacer.take();
        }
        assert_eq!(due, [1_000, 1_001_000, 2_001_000]);
        // Nothing was sent for a second: all that was due then still is, at its time.
        assert_eq!(pacer.due(), 3_001_000);
        assert_eq!(pacer.behind(1_000_001_000), 998);
        assert_eq!(pacer.behind(3_000_999), 0);
        assert_eq!(pacer.behind(3_001_000), 1);
    }

    #[test]
    fn rates_hold_over_a_long_time() {
        let mut pacer = Pacer::new(0, 3.0);
        for _ in 0..3_000_000 {
            pacer.take();
        }
        assert_eq!(pacer.due().div_ceil(1_000), 1_000_000_000_000); // a million seconds
    }

    #[test]
    fn it_sleeps_only_when_there_is_time() {
        let pacer = Pacer::new(10_000_000, 1.0);
        assert_eq!(pacer.sleep(0), Duration::from_millis(8));
        assert_eq!(pacer.sleep(8_000_000), Duration::ZERO);
        assert_eq!(pacer.sleep(20_000_000), Duration::ZERO);
    }
}
