//! [`LoopStats`]: what the shell counts.

use std::time::Duration;

/// Upper bounds of the buckets of the times of turns, in microseconds.
pub(super) const TURN_BUCKETS_MICROS: [u64; 9] =
    [50, 100, 250, 500, 1_000, 2_000, 5_000, 20_000, 100_000];

/// Counters of the loop. They are kept if an operator can read them.
#[derive(Clone, Debug, Default)]
pub struct LoopStats {
    /// Number of turns that took at most as long as each bucket, and of those that took longer.
    pub(super) turns: [u64; TURN_BUCKETS_MICROS.len() + 1],
    /// Time of all turns together.
    pub(super) turn_time: Duration,
    /// Number of TLS handshakes that were completed on accepted connections.
    pub(crate) tls_handshakes: u64,
}

impl LoopStats {
    /// Counts a turn.
    pub(crate) fn count_turn(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = TURN_BUCKETS_MICROS.iter().position(|&bound| micros <= bound);
        self.turns[bucket.unwrap_or(TURN_BUCKETS_MICROS.len())] += 1;
        self.turn_time += time;
    }
}
