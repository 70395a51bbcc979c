//! [`Meter`]: what each call into a server takes, and what each server sends to others.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crc::link::Time;
use nix::time::{ClockId, clock_gettime};

/// A kind of call into a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Bytes have arrived.
    Receive,
    /// A connection has ended.
    Closed,
    /// Timers are due.
    Advance,
    /// A portion of announcements is put into a send queue.
    Announce,
    /// The network has taken bytes.
    Sent,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Receive => "receive",
            Self::Closed => "closed",
            Self::Advance => "advance",
            Self::Announce => "poll_unsent",
            Self::Sent => "sent",
        })
    }
}

/// One call into a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// CPU time of the thread.
    pub cpu: Duration,
    /// What was called.
    pub call: Call,
    /// The server, by the number that [`super::World::start`] returned.
    pub server: usize,
    /// Virtual time of the call.
    pub at: Time,
}

/// Time from which each call is remembered.
const LONG_CALL: Duration = Duration::from_micros(100);

/// Calls into servers, and bytes between servers, since the meter was started.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// The longest call of each kind of less than [`LONG_CALL`].
    longest_short: BTreeMap<Call, Turn>,
    /// The other calls, by their number among all.
    long: BTreeMap<u64, Turn>,
    calls: u64,
    /// Bytes that each server has sent to other servers.
    bytes: BTreeMap<usize, u64>,
}

impl Meter {
    pub(super) fn count_turn(&mut self, turn: Turn) {
        self.calls += 1;
        if turn.cpu >= LONG_CALL {
            self.long.insert(self.calls, turn);
        } else {
            record_longest(&mut self.longest_short, turn);
        }
    }

    /// Takes the shorter time of each call, where another run has made the same calls: what else a
    /// machine does makes single calls longer, hardly the same ones in each run.
    pub fn keep_shortest(&mut self, other: &Self) {
        for (number, mut turn) in std::mem::take(&mut self.long) {
            match other.long.get(&number) {
                Some(again) => {
                    turn.cpu = turn.cpu.min(again.cpu);
                    self.long.insert(number, turn);
                }
                None => {
                    turn.cpu = LONG_CALL; // at most
                    record_longest(&mut self.longest_short, turn);
                }
            }
        }
    }

    pub(super) fn count_bytes(&mut self, server: usize, bytes: usize) {
        *self.bytes.entry(server).or_default() += bytes as u64;
    }

    /// Returns the longest call of each kind, the longest of all first.
    #[must_use]
    pub fn longest(&self) -> Vec<Turn> {
        let mut longest = self.longest_short.clone();
        self.long.values().for_each(|&turn| record_longest(&mut longest, turn));
        let mut turns: Vec<Turn> = longest.into_values().collect();
        turns.sort_by_key(|turn| std::cmp::Reverse(turn.cpu));
        turns
    }

    /// Returns the number of calls.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Returns the bytes that all servers have sent to others, and the most that one has sent.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes.values().sum(), self.bytes.values().copied().max().unwrap_or(0))
    }
}

fn record_longest(longest: &mut BTreeMap<Call, Turn>, turn: Turn) {
    let longest = longest.entry(turn.call).or_insert(turn);
    if turn.cpu > longest.cpu {
        *longest = turn;
    }
}

/// Returns the CPU time that this thread has taken.
pub(super) fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_call_is_long_in_every_run() {
        let meter = |times: [u64; 3]| {
            let mut meter = Meter::default();
            for micros in times {
                let (cpu, call) = (Duration::from_micros(micros), Call::Sent);
                meter.count_turn(Turn { cpu, call, server: 0, at: Time::default() });
            }
            meter
        };
        let mut shortest = meter([5_000, 300, 20]);
        assert_eq!(shortest.longest()[0].cpu, Duration::from_micros(5_000));
        shortest.keep_shortest(&meter([30, 250, 4_000]));
        assert_eq!(shortest.longest()[0].cpu, Duration::from_micros(250));
        shortest.keep_shortest(&meter([30, 90, 4_000]));
        assert_eq!(shortest.longest()[0].cpu, LONG_CALL);
    }
}
