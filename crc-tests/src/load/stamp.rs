//! What a message of the load carries: who sent it, which of its messages it is, and when it was due.
//!
//! Sixteen bytes at the front of the text, six bits a byte, in letters that every wire carries; the
//! rest of the text is filling.

/// Bytes of a stamp: the shortest text of a load.
pub(super) const STAMP_BYTES: usize = 16;

const SENDER_DIGITS: usize = 3;
const SEQUENCE_DIGITS: usize = 5;

/// Senders that a stamp can tell apart.
pub(super) const SENDERS_MAX: usize = 1 << (6 * SENDER_DIGITS);

/// Sequence numbers begin anew after so many.
const SEQUENCES: u32 = 1 << (6 * SEQUENCE_DIGITS);

/// The last moment that a stamp can name, three days after the beginning; it marks a probe.
const PROBE: u64 = (1 << 48) - 1;

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// The value of each digit, and [`NO_DIGIT`] for what is none.
const VALUES: [u8; 256] = values();
const NO_DIGIT: u8 = u8::MAX;

/// The identity of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Below [`SENDERS_MAX`].
    pub(super) sender: usize,
    /// Counts the messages of one sender to one receiver; see [`sequence_distance`].
    pub(super) sequence: u32,
    /// Nanoseconds since the load began, or `None` in a probe, which only looks for a way.
    pub(super) due: Option<u64>,
}

impl Stamp {
    /// Writes it over the first [`STAMP_BYTES`] of a text.
    pub(super) fn write(self, text: &mut [u8]) {
        let due = self.due.map_or(PROBE, |due| due.min(PROBE - 1));
        let (sender, rest) = text.split_at_mut(SENDER_DIGITS);
        let (sequence, rest) = rest.split_at_mut(SEQUENCE_DIGITS);
        put(self.sender as u64, sender);
        put(u64::from(self.sequence), sequence);
        put(due, &mut rest[..STAMP_BYTES - SENDER_DIGITS - SEQUENCE_DIGITS]);
    }

    /// The stamp of a text; `None` if it has none, and so is from somebody else.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let stamp = text.get(..STAMP_BYTES)?;
        let (sender, rest) = stamp.split_at(SENDER_DIGITS);
        let (sequence, due) = rest.split_at(SEQUENCE_DIGITS);
        let (sender, sequence, due) = (value(sender)?, value(sequence)?, value(due)?);
        let due = (due != PROBE).then_some(due);
        Some(Self { sender: sender as usize, sequence: sequence as u32, due })
    }
}

/// The sequence number after this one.
pub(super) fn sequence_after(sequence: u32) -> u32 {
    (sequence + 1) % SEQUENCES
}

/// How far `sequence` is ahead of `expected`; negative if it is behind.
pub(super) fn sequence_distance(sequence: u32, expected: u32) -> i64 {
    let ahead = sequence.wrapping_sub(expected) % SEQUENCES;
    if ahead < SEQUENCES / 2 { i64::from(ahead) } else { i64::from(ahead) - i64::from(SEQUENCES) }
}

fn put(mut value: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(value & 63) as usize];
        value >>= 6;
    }
}

fn value(digits: &[u8]) -> Option<u64> {
    let (mut value, mut all) = (0, 0);
    for &digit in digits {
        let part = VALUES[usize::from(digit)];
        all |= part;
        value = value << 6 | u64::from(part);
    }
    (all != NO_DIGIT && all < 64).then_some(value)
}

const fn values() -> [u8; 256] {
    let mut values = [NO_DIGIT; 256];
    let mut at = 0;
    while at < DIGITS.len() {
        values[DIGITS[at] as usize] = at as u8;
        at += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        for (sender, sequence, due) in [
            (0, 0, Some(0)),
            (1, 2, None),
            (SENDERS_MAX - 1, SEQUENCES - 1, Some(PROBE - 1)),
            (77, 1_000_000, Some(123_456_789_012)),
        ] {
            let mut text = [b'x'; 20];
            let stamp = Stamp { sender, sequence, due };
            stamp.write(&mut text);
            assert_eq!(Stamp::read(&text), Some(stamp));
            assert!(text.is_ascii() && !text.contains(&0), "{text:?}");
            assert_eq!(&text[STAMP_BYTES..], b"xxxx");
        }
    }

    #[test]
    fn what_others_say_is_no_stamp() {
        for text in [&b""[..], b"Hi there!", b"0123456789ABCDE", b"0123456789ABCD F", &[0xff; 16]] {
            assert_eq!(Stamp::read(text), None, "{text:?}");
        }
    }

    #[test]
    fn sequences_go_round() {
        assert_eq!(sequence_after(SEQUENCES - 1), 0);
        for (sequence, expected, distance) in
            [(5, 5, 0), (7, 5, 2), (4, 5, -1), (0, SEQUENCES - 1, 1), (SEQUENCES - 1, 0, -1)]
        {
            assert_eq!(sequence_distance(sequence, expected), distance);
        }
    }
}
