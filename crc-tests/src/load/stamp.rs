//! The stamp in each message of a load: its sender, sequence number and due time.
//!
//! A stamp takes the first 16 bytes of the text, six bits per byte, in letters that every wire
//! carries. The rest of the text is padding.

/// Length of a stamp in bytes, and the minimum length of a text.
pub(super) const STAMP_BYTES: usize = 16;

const SENDER_DIGITS: usize = 3;
const SEQUENCE_DIGITS: usize = 5;

/// Maximum number of senders.
pub(super) const SENDERS_MAX: usize = 1 << (6 * SENDER_DIGITS);

/// Number of sequence numbers before they wrap.
const SEQUENCE_COUNT: u32 = 1 << (6 * SEQUENCE_DIGITS);

/// The latest due time, three days after the start. This value marks a probe.
const PROBE_DUE: u64 = (1 << 48) - 1;

const DIGIT_CHARS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// The value of each digit, or [`INVALID_DIGIT`].
const DIGIT_VALUES: [u8; 256] = digit_values();
const INVALID_DIGIT: u8 = u8::MAX;

/// The identity and due time of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The sender, below [`SENDERS_MAX`].
    pub(super) sender: usize,
    /// Sequence number of the message in its stream; see [`sequence_distance`].
    pub(super) sequence: u32,
    /// Due time in nanoseconds since the start, or `None` in a probe, which only checks that the
    /// receiver is reachable.
    pub(super) due_nanos: Option<u64>,
}

impl Stamp {
    /// Writes the stamp over the first [`STAMP_BYTES`] of a text.
    pub(super) fn encode(self, text: &mut [u8]) {
        let due = self.due_nanos.map_or(PROBE_DUE, |due| due.min(PROBE_DUE - 1));
        let (sender, rest) = text.split_at_mut(SENDER_DIGITS);
        let (sequence, rest) = rest.split_at_mut(SEQUENCE_DIGITS);
        encode_digits(self.sender as u64, sender);
        encode_digits(u64::from(self.sequence), sequence);
        encode_digits(due, &mut rest[..STAMP_BYTES - SENDER_DIGITS - SEQUENCE_DIGITS]);
    }

    /// Parses the stamp of a text. Returns `None` if the text was not sent by a load.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let stamp = text.get(..STAMP_BYTES)?;
        let (sender, rest) = stamp.split_at(SENDER_DIGITS);
        let (sequence, due) = rest.split_at(SEQUENCE_DIGITS);
        let (sender, sequence, due) =
            (parse_digits(sender)?, parse_digits(sequence)?, parse_digits(due)?);
        let due = (due != PROBE_DUE).then_some(due);
        Some(Self { sender: sender as usize, sequence: sequence as u32, due_nanos: due })
    }
}

/// Returns the sequence number after this one.
pub(super) fn next_sequence(sequence: u32) -> u32 {
    (sequence + 1) % SEQUENCE_COUNT
}

/// Returns how far `sequence` is ahead of `expected`; negative if behind.
pub(super) fn sequence_distance(sequence: u32, expected: u32) -> i64 {
    let ahead = sequence.wrapping_sub(expected) % SEQUENCE_COUNT;
    if ahead < SEQUENCE_COUNT / 2 {
        i64::from(ahead)
    } else {
        i64::from(ahead) - i64::from(SEQUENCE_COUNT)
    }
}

fn encode_digits(mut value: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = DIGIT_CHARS[(value & 63) as usize];
        value >>= 6;
    }
}

fn parse_digits(digits: &[u8]) -> Option<u64> {
    let (mut value, mut all_bits) = (0, 0);
    for &digit in digits {
        let part = DIGIT_VALUES[usize::from(digit)];
        all_bits |= part;
        value = value << 6 | u64::from(part);
    }
    (all_bits != INVALID_DIGIT && all_bits < 64).then_some(value)
}

const fn digit_values() -> [u8; 256] {
    let mut values = [INVALID_DIGIT; 256];
    let mut at = 0;
    while at < DIGIT_CHARS.len() {
        values[DIGIT_CHARS[at] as usize] = at as u8;
        at += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_stamp_parses_back() {
        for (sender, sequence, due) in [
            (0, 0, Some(0)),
            (1, 2, None),
            (SENDERS_MAX - 1, SEQUENCE_COUNT - 1, Some(PROBE_DUE - 1)),
            (77, 1_000_000, Some(123_456_789_012)),
        ] {
            let mut text = [b'x'; 20];
            let stamp = Stamp { sender, sequence, due_nanos: due };
            stamp.encode(&mut text);
            assert_eq!(Stamp::parse(&text), Some(stamp));
            assert!(text.is_ascii() && !text.contains(&0), "{text:?}");
            assert_eq!(&text[STAMP_BYTES..], b"xxxx");
        }
    }

    #[test]
    fn text_without_a_stamp_parses_to_none() {
        for text in [&b""[..], b"Hi there!", b"0123456789ABCDE", b"0123456789ABCD F", &[0xff; 16]] {
            assert_eq!(Stamp::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn sequence_numbers_wrap_around() {
        assert_eq!(next_sequence(SEQUENCE_COUNT - 1), 0);
        for (sequence, expected, distance) in [
            (5, 5, 0),
            (7, 5, 2),
            (4, 5, -1),
            (0, SEQUENCE_COUNT - 1, 1),
            (SEQUENCE_COUNT - 1, 0, -1),
        ] {
            assert_eq!(sequence_distance(sequence, expected), distance);
        }
    }
}
