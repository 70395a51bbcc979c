//! Fingerprints of servers: the debug output of a server's state, without what does not decide how
//! it goes on.
//!
//! Two servers with one fingerprint behave alike: given the same input, they send the same bytes
//! and have one fingerprint again. The output of every type in a [`Node`](crc::node::Node) is
//! derived and has all its fields, and these are the abstractions:
//!
//! - Times are given as their distance from now. The relay compares times only with other times and
//!   with now, and none that is past by more than [`PAST_MAX`] with anything longer.
//! - Generations of links are replaced by their rank among those in the state. The relay compares
//!   them with one another only.
//! - Entries of tables are sorted. A seed replays to the byte although each process hashes
//!   differently, so the order of hash tables decides nothing.
//! - Fields in [`IGNORED_FIELDS`] are left out: counters for the operator, memory kept for reuse,
//!   an index derived from the hosts, and what every event sets before it is read.
//!   The time since which a link is extended is among them, since input has arrived at that time or
//!   later. The age of the last round trip is not redundant: it decides when one more PING is sent
//!   over a link that is not silent, and of states that differ in it alone, one is explored.
//! - Random generators have no debug output. A clone of a node starts again from the seed of its
//!   generators, and each event is handled by a clone.

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::Duration;

use crc::link::Time;

use super::debug_tree::DebugTree;

/// Times that are past by more are alike: the longest span that the relay compares a past time with
/// is [`PING_TIMEOUT`](crc::limits::PING_TIMEOUT), 15 s.
const PAST_MAX: Duration = Duration::from_secs(16);

/// Fields that decide nothing, with the type that has them.
const IGNORED_FIELDS: [(&str, &str); 17] = [
    ("Expiry", "started_at"),
    ("Link", "traffic"),
    ("Link", "opened_at"),
    ("Links", "now"),
    ("LinkTable", "buffer_pool"),
    ("LinkTable", "generation"),
    ("Slab", "cap"),
    ("HostTable", "index"),
    ("ExtendedLink", "since"),
    ("Liveness", "round_trip"),
    ("Topology", "false_sources"),
    ("Topology", "unknown_ids"),
    ("Router", "status_updates"),
    ("Router", "unroutable"),
    ("Splits", "dropped"),
    ("PlainServer", "status_log"),
    ("PlainServer", "extension_log"),
];

/// 128 bits that are the same for two servers only if they behave alike.
pub(super) type Fingerprint = [u64; 2];

/// Returns the fingerprint of a value.
pub(super) fn fingerprint(value: &impl Hash) -> Fingerprint {
    [0_u8, 1].map(|half| {
        let mut hasher = DefaultHasher::new();
        half.hash(&mut hasher);
        value.hash(&mut hasher);
        hasher.finish()
    })
}

/// Returns the canonical text of a state at `now`.
pub(super) fn canonical_text(state: &impl Debug, now: Time) -> String {
    let text = format!("{state:#?}");
    let tree = DebugTree::new(&text);
    let mut generations = BTreeSet::new();
    collect_generations(&tree, &mut generations);
    let generations = generations.into_iter().collect();
    let mut out = String::with_capacity(text.len());
    Writer { now: now.since_start(), generations }.write(&tree, &mut out);
    out
}

fn is_ignored(name: &str, field: &str) -> bool {
    IGNORED_FIELDS.contains(&(name, field))
}

fn collect_generations(tree: &DebugTree<'_>, found: &mut BTreeSet<u32>) {
    match tree {
        DebugTree::Atom(_) => {}
        DebugTree::Sequence(_, values) => {
            values.iter().for_each(|value| collect_generations(value, found));
        }
        DebugTree::Table(entries) => {
            entries.iter().flatten().for_each(|value| collect_generations(value, found));
        }
        DebugTree::Struct("LinkId", fields) => found.extend(generation(fields)),
        DebugTree::Struct(name, fields) => {
            let fields = fields.iter().filter(|(field, _)| !is_ignored(name, field));
            fields.for_each(|(_, value)| collect_generations(value, found));
        }
    }
}

fn generation(link: &[(&str, DebugTree<'_>)]) -> Option<u32> {
    link.iter().find_map(|field| match field {
        ("generation", DebugTree::Atom(number)) => number.parse().ok(),
        _ => None,
    })
}

struct Writer {
    now: Duration,
    generations: Vec<u32>,
}

impl Writer {
    fn write(&self, tree: &DebugTree<'_>, out: &mut String) {
        match tree {
            DebugTree::Atom(text) => out.push_str(text),
            DebugTree::Sequence("Time", values) => self.write_time(values, out),
            DebugTree::Sequence(name, values) => {
                out.push_str(name);
                out.push('(');
                for value in values {
                    self.write(value, out);
                    out.push(',');
                }
                out.push(')');
            }
            DebugTree::Struct("LinkId", fields) => {
                let rank = generation(fields).map(|it| self.generations.binary_search(&it));
                let _ = write!(out, "Link({rank:?}");
                fields.iter().filter(|(field, _)| *field == "index").for_each(|(_, index)| {
                    self.write(index, out);
                });
                out.push(')');
            }
            DebugTree::Struct(name, fields) => {
                out.push_str(name);
                out.push('{');
                for (field, value) in fields.iter().filter(|(field, _)| !is_ignored(name, field)) {
                    out.push_str(field);
                    out.push(':');
                    self.write(value, out);
                    out.push(',');
                }
                out.push('}');
            }
            DebugTree::Table(entries) => self.write_table(entries, out),
        }
    }

    fn write_table(&self, entries: &[Vec<DebugTree<'_>>], out: &mut String) {
        let text_of = |entry: &Vec<DebugTree<'_>>| {
            let mut text = String::new();
            for value in entry {
                self.write(value, &mut text);
                text.push('=');
            }
            text
        };
        let mut texts: Vec<String> = entries.iter().map(text_of).collect();
        texts.sort_unstable();
        out.push('<');
        texts.iter().for_each(|text| out.push_str(text));
        out.push('>');
    }

    /// Writes the distance of a time from now.
    fn write_time(&self, values: &[DebugTree<'_>], out: &mut String) {
        let [DebugTree::Atom(text)] = values else { panic!("a time has one value") };
        let at = parse_duration(text);
        let is_written = match at.checked_sub(self.now) {
            Some(until) => write!(out, "+{}", until.as_nanos()),
            None => write!(out, "-{}", (self.now - at).min(PAST_MAX).as_nanos()),
        };
        let _ = is_written;
    }
}

/// Returns the duration that its debug output has.
fn parse_duration(text: &str) -> Duration {
    let units = [("ns", 1_u64), ("µs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
    let found = units.iter().find_map(|&(unit, nanos)| Some((text.strip_suffix(unit)?, nanos)));
    let (number, unit_nanos) = found.unwrap_or_else(|| panic!("no duration: {text}"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.parse::<u64>().unwrap_or(0);
    let scale = 10_u64.pow(u32::try_from(fraction.len()).expect("at most nine digits"));
    let fraction_nanos = unit_nanos / scale * digits(fraction);
    Duration::from_nanos(digits(whole) * unit_nanos + fraction_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_written() {
        for nanos in [0, 1, 999, 1_500, 2_000_001, 137_123_456, 1_000_000_001, 90_000_000_000] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(parse_duration(&format!("{duration:?}")), duration);
        }
    }

    #[test]
    fn text_depends_on_distances_alone() {
        let at = |secs| Time::from_start(Duration::from_secs(secs));
        let text = |seen, due, now| canonical_text(&(at(seen), Some(at(due))), at(now));
        assert_eq!(text(100, 120, 110), text(200, 220, 210));
        assert_ne!(text(100, 120, 110), text(100, 121, 110));
        assert_ne!(text(100, 120, 110), text(101, 120, 110));
        assert_eq!(text(100, 320, 300), text(200, 320, 300), "long past");
    }
}
