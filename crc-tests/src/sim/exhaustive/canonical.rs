//! Fingerprints of servers: the debug output of a server's state, without what does not decide how
//! it goes on.
//!
//! Two servers with one fingerprint behave alike: given the same input, they send the same bytes
//! and have one fingerprint again. The output of every type in a [`Node`](crc::node::Node) is
//! derived and has all its fields, and these are the abstractions:
//!
//! - Times are given as their distance from now; those to come in ticks, since nothing happens
//!   before the tick in which a time is over. The order of deadlines within a tick is left out: of
//!   states that differ in it alone, one is explored.
//! - The bytes of a portion to a plain server are left out when it is over, since the queue is
//!   empty after each event and the next frame begins another portion.
//! - A time that is past by more than a field's longest span is as good as any other such time, see
//!   [`PAST_MAX`] and [`Rule::Past`], or as none, see [`Rule::PastOrNone`].
//! - Generations of links are replaced by their rank among those in the state. The relay compares
//!   them with one another only.
//! - Entries of tables are sorted. A seed replays to the byte although each process hashes
//!   differently, so the order of hash tables decides nothing.
//! - Fields that [`rule`] ignores are left out: counters for the operator, memory kept for reuse,
//!   and what every event sets before it is read.
//!   The time since which a link is extended is among them, since input has arrived at that time or
//!   later. The last round trip is not redundant, and neither is the PING whose answer measures it:
//!   its age decides when one more PING is sent over a link that is not silent, and of states that
//!   differ in it alone, one is explored.
//! - Counts of handled bytes, and the bytes kept until they are handled, are left out if
//!   [`Counts::Irrelevant`].
//! - Random generators have no debug output. A clone of a node starts again from the seed of its
//!   generators, and each event is handled by a clone.

use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::Duration;

use crc::limits::REDIAL_HASTE;
use crc::link::Time;
use crc::relay::extension::Frame;
use crc::relay::message::Message;
use crc::wires::crc::codec;

use super::debug_writer::DebugWriter;
use crate::frames;

/// Times that are past by more are alike: the longest span that the relay compares a past time with
/// is [`PING_TIMEOUT`](crc::limits::PING_TIMEOUT), 15 s.
const PAST_MAX: Duration = Duration::from_secs(16);

/// What decides when two servers are alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abstraction {
    pub(super) counts: Counts,
    /// Everything happens at multiples of this time.
    pub(super) tick: Duration,
    /// The timers of each server run in one of as many ticks.
    pub(super) turns: u32,
}

impl Abstraction {
    /// Returns the number of ticks in which a time is over.
    pub(super) fn ticks_until(&self, span: Duration) -> u32 {
        u32::try_from(span.as_nanos().div_ceil(self.tick.as_nanos())).expect("a short time")
    }
}

/// Whether counts of handled bytes decide anything.
///
/// They decide which messages of a lost link are sent again. In a network in which nobody sends a
/// message to a user, there are none: everything kept of a link is dropped when the link is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    Relevant,
    Irrelevant,
}

/// How a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Ignored,
    /// Times in it that are past by more are alike.
    Past(Duration),
    /// A time in it that is past by more is as good as none.
    PastOrNone(Duration),
    /// Numbers that are higher are alike.
    Capped(u64),
    /// The number of a join or of an event, of which only the order counts.
    Ranked,
    /// A pair whose first value counts only while the list in it has entries.
    List,
    /// The hosts, whose places in memory decide nothing.
    Hosts,
}

/// 128 bits that are the same for two values only if they are alike.
pub(super) type Fingerprint = u128;

/// Returns the rule for a field of a type, if it has one.
pub(super) fn rule(counts: Counts, name: &str, field: &str) -> Option<Rule> {
    let secs = |secs| Some(Rule::Past(Duration::from_secs(secs)));
    let ignored = Some(Rule::Ignored);
    match (name, field) {
        ("Redial", "lost_at") => Some(Rule::PastOrNone(REDIAL_HASTE)),
        // Another time of a loss is for the log.
        (_, "lost_at")
        | ("Splits", "gone" | "dropped")
        | ("Expiry", "started_at")
        | ("Node" | "Relay" | "Links", "limits")
        | ("Link", "traffic" | "opened_at")
        | ("Links", "now" | "ended_traffic" | "undelivered")
        | ("LinkTable", "buffer_pool" | "buffer_bytes" | "generation")
        | ("Entry", "counted_bytes")
        | ("Strangers", "closed")
        | ("HostTable", "index" | "free")
        | ("Topology", "event_count")
        | ("ExtendedLink", "since")
        | ("Liveness", "round_trip" | "unanswered")
        | ("Topology", "false_sources" | "unknown_ids" | "unanswered_chats")
        | ("Router", "status_updates" | "unroutable")
        | ("PlainServer", "status_log" | "extension_log") => ignored,
        ("Buffer", "bytes" | "sent_bytes" | "released_bytes")
        | ("Handled", "bytes")
        | ("LostLink" | "Hello", "handled_bytes")
            if counts == Counts::Irrelevant =>
        {
            ignored
        }
        ("Redial", "refused_until")
        | ("LostLink", "until")
        | ("Peering", "grace_until")
        | ("Pace", "ends_at") => secs(0),
        ("Redial", "failed_rounds") => Some(Rule::Capped(4)),
        ("ExtendedLink", "expected_hosts") => Some(Rule::List),
        ("HostTable", "slots") => Some(Rule::Hosts),
        ("Host", "join_seq") | ("HostTable", "next_join_seq") | ("Sync", "all_from")
            if counts == Counts::Irrelevant =>
        {
            Some(Rule::Ranked)
        }
        (_, "joined_event" | "lost_event") => Some(Rule::Ranked),
        ("Redial", "up_since") | ("Uplink", "renumbered_at") => secs(10),
        _ => None,
    }
}

/// Returns the canonical text of a state at `now`.
pub(super) fn canonical_text(state: &impl Debug, now: Time, abstraction: Abstraction) -> Vec<u8> {
    let text = format!("{state:?}");
    DebugWriter::new(&text, now.since_start(), PAST_MAX, abstraction).write()
}

/// Returns a write between servers without the counts of handled bytes, if these decide nothing.
pub(super) fn without_counts(bytes: &[u8], counts: Counts) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    if counts == Counts::Relevant {
        return None;
    }
    for frame in frames::split_frames(bytes) {
        match frame_without_counts(&frame) {
            Some(changed) => out.extend(changed),
            None => out.extend(frame),
        }
    }
    Some(out)
}

fn frame_without_counts(frame: &[u8]) -> Option<Vec<u8>> {
    /// Releases whatever is kept.
    const ALL: u64 = u64::MAX;
    let Message::Status { source, destination, code, text } = codec::parse_frame(frame) else {
        return None;
    };
    if destination != crc::id::HostId::EXTENSION {
        return None;
    }
    let mut parsed = Frame::parse(code, text)?.ok()?;
    match &mut parsed {
        Frame::Ping(ping) | Frame::Pong(ping) => ping.handled_bytes = ALL,
        Frame::Ack { handled_bytes } => *handled_bytes = ALL,
        Frame::Hello(hello) | Frame::Offer(hello) => hello.handled_bytes = 0,
        _ => return None,
    }
    Some(frames::extension(source.0, &parsed))
}

/// Returns the fingerprint of a value.
pub(super) fn fingerprint(value: &(impl Hash + ?Sized)) -> Fingerprint {
    let mut hasher = WideHasher::default();
    value.hash(&mut hasher);
    hasher.finish_wide()
}

/// A hasher of 128 bits: two lanes of multiplications by different odd numbers.
struct WideHasher([u64; 2]);

impl Default for WideHasher {
    fn default() -> Self {
        Self([0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344])
    }
}

impl WideHasher {
    fn mix(&mut self, word: u64) {
        let fold = |lane: u64, factor: u64| {
            let product = u128::from(lane ^ word) * u128::from(factor);
            (product as u64) ^ ((product >> 64) as u64) ^ lane.rotate_left(29)
        };
        self.0[0] = fold(self.0[0], 0x9e37_79b9_7f4a_7c15);
        self.0[1] = fold(self.0[1], 0xd6e8_feb8_6659_fd93);
    }

    fn finish_wide(mut self) -> u128 {
        self.mix(0x1234_5678_9abc_def1);
        self.mix(0xfedc_ba98_7654_3211);
        u128::from(self.0[0]) << 64 | u128::from(self.0[1])
    }
}

impl Hasher for WideHasher {
    fn finish(&self) -> u64 {
        self.0[0]
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last));
        self.mix(bytes.len() as u64);
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }
}

/// Tables by fingerprints need no other hash.
#[derive(Default)]
pub(super) struct FingerprintHasher(u64);

/// Builds the hashers of tables by fingerprints.
pub(super) type ByFingerprint = BuildHasherDefault<FingerprintHasher>;

impl Hasher for FingerprintHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a fingerprint is one number");
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }
}

#[cfg(test)]
mod tests {
    use crc::relay::extension::Ping;

    use super::*;

    #[test]
    fn text_depends_on_distances_alone() {
        let at = |secs| Time::from_start(Duration::from_secs(secs));
        let text = |seen, due, now| {
            let abstraction =
                Abstraction { counts: Counts::Irrelevant, tick: Duration::from_secs(1), turns: 1 };
            canonical_text(&(at(seen), Some(at(due))), at(now), abstraction)
        };
        assert_eq!(text(100, 120, 110), text(200, 220, 210));
        assert_ne!(text(100, 120, 110), text(100, 121, 110));
        assert_ne!(text(100, 120, 110), text(101, 120, 110));
        assert_eq!(text(100, 320, 300), text(200, 320, 300), "long past");
    }

    #[test]
    fn loss_that_is_long_past_is_as_good_as_none() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "printed only")]
        struct Redial {
            lost_at: Option<Time>,
        }
        let at = |secs| Time::from_start(Duration::from_secs(secs));
        let text = |lost_at: Option<Time>| {
            let tick = Duration::from_secs(1);
            let abstraction = Abstraction { counts: Counts::Irrelevant, tick, turns: 1 };
            canonical_text(&Redial { lost_at }, at(100), abstraction)
        };
        assert_eq!(text(Some(at(95))), text(None));
        assert_ne!(text(Some(at(96))), text(None));
    }

    #[test]
    fn writes_that_differ_in_handled_bytes_are_one() {
        let ping = |handled_bytes| {
            let ping = Ping { token: 1, handled_bytes, digest: None };
            [frames::user(1, "a", ""), frames::extension(2, &Frame::Ping(ping))].concat()
        };
        let without = |handled_bytes| without_counts(&ping(handled_bytes), Counts::Irrelevant);
        assert_eq!(without(5), without(7));
        assert_eq!(without(5).map(|bytes| bytes.len()), Some(ping(5).len()));
        assert_eq!(without_counts(&ping(5), Counts::Relevant), None);
    }
}
