//! Ids that one peer assigns to another: simplified Snowflakes, unique without coordination.
//!
//! From the highest bit: a 0, 38 bits of 10 ms intervals since 2024, 16 bits of the assigner's
//! hash, 9 bits of sequence (`docs/PROTOCOL.md`, *The peer wire*). The caller provides the clock. A
//! [`SnowflakeGenerator`] never returns an id twice, even when the clock goes backwards.

use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::link::Time;

/// 2024-01-01T00:00:00Z, since the Unix epoch.
pub const EPOCH: Duration = Duration::from_secs(1_704_067_200);

/// The unit of time in an id, 10 ms.
pub const INTERVAL: Duration = Duration::from_millis(10);

const INTERVAL_BITS: u32 = 38;
const HASH_BITS: u32 = 16;
const SEQUENCE_BITS: u32 = 9;
const INTERVALS: u64 = 1 << INTERVAL_BITS;
const SEQUENCES: u16 = 1 << SEQUENCE_BITS;

/// Returns the interval that contains `unix_time`; times before 2024 are in interval 0.
#[must_use]
pub fn interval_of(unix_time: Duration) -> u64 {
    let intervals = unix_time.saturating_sub(EPOCH).as_millis() / INTERVAL.as_millis();
    u64::try_from(intervals).unwrap_or(u64::MAX) & (INTERVALS - 1)
}

/// Returns the hash of an assigner: the SHA-256 of its id as 16 bytes big-endian, with the 16 pairs
/// of bytes of the digest combined by xor.
#[must_use]
pub fn assigner_hash(assigner: u128) -> u16 {
    let digest = Sha256::digest(assigner.to_be_bytes());
    digest.chunks(2).fold(0, |hash, pair| hash ^ u16::from_be_bytes([pair[0], pair[1]]))
}

/// The parts of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdParts {
    /// Time of creation, since the Unix epoch, in steps of 10 ms.
    pub unix_time: Duration,
    /// Hash of the assigner, see [`assigner_hash`].
    pub assigner_hash: u16,
    /// Number of ids that the assigner generated before it in the same interval.
    pub sequence: u16,
}

/// Splits an id into its parts.
#[must_use]
pub fn decode_id(id: i64) -> IdParts {
    let bits = id.cast_unsigned();
    let interval = (bits >> (HASH_BITS + SEQUENCE_BITS)) & (INTERVALS - 1);
    IdParts {
        unix_time: EPOCH + Duration::from_millis(interval * 10),
        assigner_hash: (bits >> SEQUENCE_BITS) as u16,
        sequence: bits as u16 & (SEQUENCES - 1),
    }
}

impl fmt::Display for IdParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, second_of_day) =
            (civil_date(self.unix_time.as_secs() / 86_400), self.unix_time.as_secs() % 86_400);
        let (year, month, day) = date;
        writeln!(
            f,
            "time: {year}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:02}Z",
            second_of_day / 3600,
            second_of_day / 60 % 60,
            second_of_day % 60,
            self.unix_time.subsec_millis() / 10
        )?;
        writeln!(f, "assigner hash: 0x{:04x}", self.assigner_hash)?;
        write!(f, "sequence: {}", self.sequence)
    }
}

/// Returns year, month and day of a day counted from 1970, in the Gregorian calendar.
fn civil_date(mut day: u64) -> (u64, usize, u64) {
    let mut year = 1970;
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    for (month, days) in
        [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate()
    {
        if day < days {
            return (year, month + 1, day + 1);
        }
        day -= days;
    }
    unreachable!("`day` is below the number of days of the year")
}

/// Generates the ids of one assigner.
#[derive(Debug, Default)]
pub struct SnowflakeGenerator {
    /// The interval of the last id, and the time at which it was first used.
    last: Option<(u64, Time)>,
    /// Ids generated in that interval.
    issued: u16,
}

impl SnowflakeGenerator {
    /// Returns the next id, or `None` if all 512 ids of this interval are used: retry in the next.
    ///
    /// When the clock goes backwards, the interval advances from the last one used, as fast as
    /// `now`, until the clock has caught up.
    pub fn next(&mut self, now: Time, unix_time: Duration, assigner: u128) -> Option<i64> {
        let mut interval = interval_of(unix_time);
        if let Some((last, since)) = self.last {
            let elapsed = now.since(since).as_millis() / INTERVAL.as_millis();
            let monotonic = last.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX));
            interval = interval.max(monotonic).min(INTERVALS - 1);
        }
        if self.last.is_none_or(|(last, _)| last < interval) {
            self.last = Some((interval, now));
            self.issued = 0;
        }
        if self.issued == SEQUENCES {
            return None;
        }
        let sequence = self.issued;
        self.issued += 1;
        let hash = u64::from(assigner_hash(assigner));
        let id =
            interval << (HASH_BITS + SEQUENCE_BITS) | hash << SEQUENCE_BITS | u64::from(sequence);
        Some(id.cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIX_TIME: Duration = Duration::from_secs(1_727_000_000);

    fn at(millis: u64) -> Time {
        Time::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn contract_example_id_decodes_to_its_creation_date() {
        let parts = decode_id(77_252_666_718_255_104);
        assert_eq!(civil_date(parts.unix_time.as_secs() / 86_400), (2024, 9, 23));
        assert_eq!(parts.assigner_hash, assigner_hash(0), "assigned by a peer without an id");
        let text = parts.to_string();
        assert!(text.starts_with("time: 2024-09-23T"), "{text}");
        assert!(text.ends_with("sequence: 0"), "{text}");
    }

    #[test]
    fn decoded_id_returns_the_parts_it_was_made_from() {
        let mut generator = SnowflakeGenerator::default();
        for sequence in 0..3 {
            let id = generator.next(at(0), UNIX_TIME, 7).expect("room");
            let parts = IdParts { unix_time: UNIX_TIME, assigner_hash: assigner_hash(7), sequence };
            assert_eq!(decode_id(id), parts);
        }
        // Computed from SHA-256(00…07) with another program.
        assert_eq!(assigner_hash(7), HASH_OF_7);
    }

    const HASH_OF_7: u16 = 0xb1dc;

    #[test]
    fn interval_yields_512_ids_then_none_until_the_next() {
        let mut generator = SnowflakeGenerator::default();
        let mut ids: Vec<i64> =
            (0..512).map(|_| generator.next(at(0), UNIX_TIME, 7).expect("room")).collect();
        assert_eq!(generator.next(at(9), UNIX_TIME + Duration::from_millis(9), 7), None);
        ids.push(generator.next(at(10), UNIX_TIME + INTERVAL, 7).expect("the next"));
        assert!(ids.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn clock_going_backwards_never_repeats_an_id() {
        let mut generator = SnowflakeGenerator::default();
        let mut ids = Vec::new();
        let earlier = UNIX_TIME - Duration::from_secs(3600);
        for _ in 0..300 {
            ids.push(generator.next(at(0), UNIX_TIME, 7).expect("room"));
        }
        for _ in 0..212 {
            ids.push(generator.next(at(1), earlier, 7).expect("room"));
        }
        assert_eq!(generator.next(at(2), earlier, 7), None, "the interval is full");
        // A full interval ends although the clock is an hour behind.
        ids.push(generator.next(at(10), earlier, 7).expect("the next"));
        ids.push(
            generator.next(at(5000), UNIX_TIME + Duration::from_secs(5), 7).expect("caught up"),
        );
        assert!(ids.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn day_numbers_convert_to_gregorian_dates() {
        for (day, expected) in [
            (0, (1970, 1, 1)),
            (11_016, (2000, 2, 29)),
            (19_723, (2024, 1, 1)),
            (19_782, (2024, 2, 29)),
            (20_088, (2024, 12, 31)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil_date(day), expected);
        }
    }
}
