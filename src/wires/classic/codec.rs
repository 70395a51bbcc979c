//! Codec of the classic wire, see `docs/PROTOCOL.md`, "The classic wire".
//!
//! A message is 8 bytes of destination, 8 bytes of source, a text and a NUL, 256 bytes at most. It
//! comes in two forms: filled with NULs to 256 bytes, or cut off after the first NUL. Skipping the
//! NULs between messages reads both.

use std::ffi::CStr;
use std::fmt;

pub use crate::names::{NAME_BYTES, Name};

/// Size of a message in the padded form, and maximum size of any message, in bytes.
pub const MESSAGE_BYTES: usize = 256;
/// Size of destination and source in bytes.
const HEADER_BYTES: usize = 2 * NAME_BYTES;
/// Maximum size of a text in bytes.
pub const TEXT_BYTES_MAX: usize = MESSAGE_BYTES - HEADER_BYTES - 1;

/// The form of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Filled with NULs to [`MESSAGE_BYTES`].
    Padded,
    /// Cut off after the first NUL.
    Compact,
}

/// A message in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The recipient.
    pub destination: Name,
    /// The sender.
    pub source: Name,
    /// At most [`TEXT_BYTES_MAX`] bytes, none of them NUL.
    pub text: &'a [u8],
}

/// The reason why bytes are not a message. The rest of the stream cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// No NUL in [`MESSAGE_BYTES`] bytes.
    Unterminated,
    /// A NUL before the end of both names.
    TooShort {
        /// Number of bytes before the NUL.
        bytes: usize,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unterminated => write!(f, "{MESSAGE_BYTES} bytes without a NUL"),
            Self::TooShort { bytes } => {
                write!(
                    f,
                    "a message of {bytes} bytes, where its two names alone take {HEADER_BYTES}"
                )
            }
        }
    }
}

impl std::error::Error for WireError {}

/// Returns the length of the message at the front of `bytes`, with the NULs after it that were
/// received, or `None` while its first NUL is missing. NULs at the front, left over from a message
/// that was split between reads, are a frame of their own.
///
/// # Errors
/// See [`WireError`].
pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, WireError> {
    let start = &bytes[..bytes.len().min(MESSAGE_BYTES)];
    match until_nul(start).map(<[u8]>::len) {
        Some(end @ 1..HEADER_BYTES) => Err(WireError::TooShort { bytes: end }),
        Some(end) => Ok(Some(end + count_leading_nuls(&start[end..]))),
        None if start.len() == MESSAGE_BYTES => Err(WireError::Unterminated),
        None => Ok(None),
    }
}

/// Returns the bytes before the first NUL, if there is one.
fn until_nul(bytes: &[u8]) -> Option<&[u8]> {
    // Searches a word at a time.
    CStr::from_bytes_until_nul(bytes).ok().map(CStr::to_bytes)
}

/// Returns the number of NULs at the front of at most [`MESSAGE_BYTES`] bytes.
fn count_leading_nuls(bytes: &[u8]) -> usize {
    match bytes {
        [_, next, ..] if *next != 0 => 1, // after a compact message
        _ if *bytes == [0; MESSAGE_BYTES][..bytes.len()] => bytes.len(),
        _ => bytes.iter().take_while(|&&byte| byte == 0).count(),
    }
}

/// Returns the text and the frame length (see [`frame_len`]) of the message at the front of
/// `bytes`, if it is complete and has this destination and source.
#[must_use]
pub fn parse_text_between(destination: Name, source: Name, bytes: &[u8]) -> Option<(&[u8], usize)> {
    let start = &bytes[..bytes.len().min(MESSAGE_BYTES)];
    let (to, from) = (destination.padded(), source.padded());
    let text = until_nul(start.strip_prefix(to)?.strip_prefix(from)?)?;
    let end = HEADER_BYTES + text.len();
    Some((text, end + count_leading_nuls(&start[end..])))
}

/// Parses a frame of the length that [`frame_len`] returned. Returns `None` if it has only NULs.
#[must_use]
pub fn parse_frame(frame: &[u8]) -> Option<Message<'_>> {
    let (destination, rest) = until_nul(frame)?.split_first_chunk()?;
    let (source, text) = rest.split_first_chunk()?;
    let (destination, source) = (Name::from_padded(*destination), Name::from_padded(*source));
    Some(Message { destination, source, text })
}

/// Appends a message to `out`.
///
/// # Panics
/// Panics if its text is longer than [`TEXT_BYTES_MAX`].
pub fn encode(message: &Message<'_>, form: Form, out: &mut Vec<u8>) {
    let Message { destination, source, text } = message;
    assert!(text.len() <= TEXT_BYTES_MAX, "a text that fits");
    let start = out.len();
    out.extend_from_slice(destination.padded());
    out.extend_from_slice(source.padded());
    out.extend_from_slice(text);
    let end = match form {
        Form::Padded => start + MESSAGE_BYTES,
        Form::Compact => out.len() + 1,
    };
    out.resize(end, 0);
}

/// Splits a text into pieces of at most `bytes_max` bytes, between characters if it is UTF-8.
/// Returns at least one piece.
pub fn split_text(text: &[u8], bytes_max: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        if text.len() <= bytes_max {
            return Some(text);
        }
        let (piece, remainder) = text.split_at(floor_char_boundary(text, bytes_max));
        rest = Some(remainder);
        Some(piece)
    })
}

/// Returns the last character boundary up to `end`, or `end` if the text is not UTF-8.
fn floor_char_boundary(text: &[u8], end: usize) -> usize {
    let is_continuation_byte = |at: usize| text[at] & 0xc0 == 0x80;
    (end - 3..=end).rev().find(|&at| !is_continuation_byte(at)).unwrap_or(end)
}

/// Splits the text of a command into its first word and the rest, both without surrounding spaces.
pub(super) fn split_command(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word.trim_ascii_end(), rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).expect("eight bytes at most")
    }

    #[track_caller]
    fn check(text: &[u8], form: Form, expected_len: usize) {
        let expected = Message { destination: name("bob"), source: Name::SERVER, text };
        let mut bytes = Vec::new();
        encode(&expected, form, &mut bytes);
        assert_eq!(bytes.len(), expected_len);
        assert_eq!(frame_len(&bytes), Ok(Some(expected_len)));
        assert_eq!(parse_frame(&bytes), Some(expected));
    }

    #[test]
    fn message_round_trips_in_both_forms() {
        check(b"", Form::Compact, 17);
        check(b"Hi", Form::Compact, 19);
        check(&[b'x'; TEXT_BYTES_MAX], Form::Compact, 256);
        check(b"", Form::Padded, 256);
        check(&[b'x'; TEXT_BYTES_MAX], Form::Padded, 256);
    }

    #[test]
    fn nuls_between_messages_are_a_frame_without_a_message() {
        assert_eq!(frame_len(&[0; 20]), Ok(Some(20)));
        assert_eq!(parse_frame(&[0; 20]), None);
        assert_eq!(frame_len(b"\0\0-SERVER-bob     List"), Ok(Some(2)));
        assert_eq!(frame_len(b"-SERVER-bob     List"), Ok(None));
        assert_eq!(frame_len(b""), Ok(None));
    }

    #[test]
    fn parse_text_between_agrees_with_frame_len() {
        let (bob, sam) = (name("bob"), name("sam"));
        for form in [Form::Compact, Form::Padded] {
            for text in [&b""[..], b"Hi", &[b'x'; TEXT_BYTES_MAX]] {
                let message = Message { destination: bob, source: sam, text };
                let mut bytes = Vec::new();
                encode(&message, form, &mut bytes);
                let len = bytes.len();
                for more in [&b""[..], b"bob     sam     Ho\0", b"\0\0bob", b"\0"] {
                    let bytes = [&bytes, more].concat();
                    let expected = frame_len(&bytes).expect("a message").expect("all of it");
                    assert!(expected >= len && expected <= MESSAGE_BYTES);
                    assert_eq!(parse_text_between(bob, sam, &bytes), Some((text, expected)));
                    assert_eq!(parse_text_between(sam, bob, &bytes), None);
                    assert_eq!(parse_text_between(bob, bob, &bytes), None);
                }
                let cut = HEADER_BYTES + text.len();
                assert_eq!(parse_text_between(bob, sam, &bytes[..cut]), None);
                assert_eq!(parse_text_between(bob, sam, &bytes[..=cut]), Some((text, cut + 1)));
            }
        }
        assert_eq!(
            parse_text_between(bob, sam, &[b"bob     sam     ", &[b'x'; 240][..], &[0]].concat()),
            None
        );
    }

    #[test]
    fn leading_nuls_are_counted_up_to_the_next_message() {
        for zeros in 1..=MESSAGE_BYTES {
            for more in [&b""[..], b"x", b"x\0"] {
                let mut bytes = [&vec![0; zeros], more].concat();
                bytes.truncate(MESSAGE_BYTES);
                assert_eq!(count_leading_nuls(&bytes), zeros);
            }
        }
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        assert_eq!(frame_len(&[b'x'; 255]), Ok(None));
        assert_eq!(frame_len(&[b'x'; 256]), Err(WireError::Unterminated));
        assert_eq!(frame_len(&[b'x'; 300]), Err(WireError::Unterminated));
        assert_eq!(frame_len(b"-SERVER-bob\0"), Err(WireError::TooShort { bytes: 11 }));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let cut = |text: &str| {
            split_text(text.as_bytes(), TEXT_BYTES_MAX).map(<[u8]>::len).collect::<Vec<_>>()
        };
        assert_eq!(cut(""), [0]);
        assert_eq!(cut(&"x".repeat(239)), [239]);
        assert_eq!(cut(&"x".repeat(240)), [239, 1]);
        assert_eq!(cut(&"世".repeat(80)), [237, 3]);
        assert_eq!(cut(&"😀".repeat(60)), [236, 4]);
        assert_eq!(
            split_text(&[0x80; 500], TEXT_BYTES_MAX).map(<[u8]>::len).collect::<Vec<_>>(),
            [239, 239, 22]
        );
    }
}
