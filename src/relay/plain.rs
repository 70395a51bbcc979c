//! Texts in the form that a plain neighbour reads: valid UTF-8, in frames under 1,024 bytes.
//!
//! Some programs end on other text, and some take each read of 1,024 bytes for whole frames. See
//! "Programs that read once" in `docs/PROTOCOL.md`.

use std::borrow::Cow;
use std::fmt;

use super::message::Registration;
use crate::limits::{NAME_BYTES_MAX, PLAIN_FRAME_BYTES_MAX};

/// Size of a chat frame without its text, in bytes.
const CHAT_HEADER_BYTES: usize = 13;
/// Size of a status frame without its text, in bytes.
const STATUS_HEADER_BYTES: usize = 15;
/// Size of a client quit frame without its text, in bytes.
const QUIT_HEADER_BYTES: usize = 9;
/// Size of a registration frame without name and info, in bytes.
const REGISTRATION_HEADER_BYTES: usize = 12;

/// Maximum length of a piece of mail, in bytes: leaves room for the header and for `Mail from ID:
/// `.
const MAIL_PIECE_BYTES_MAX: usize = 960;

/// The reason for which a chat is not sent to a plain neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    NotUtf8,
    TooLong,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("text that is not UTF-8"),
            Self::TooLong => {
                let text_bytes_max = PLAIN_FRAME_BYTES_MAX - CHAT_HEADER_BYTES;
                write!(f, "a text of more than {text_bytes_max} bytes")
            }
        }
    }
}

/// Checks whether a plain neighbour reads a chat with this text.
pub(super) fn check_chat(text: &[u8]) -> Result<(), Unreadable> {
    if chat_bytes(text) > PLAIN_FRAME_BYTES_MAX {
        Err(Unreadable::TooLong)
    } else if std::str::from_utf8(text).is_err() {
        Err(Unreadable::NotUtf8)
    } else {
        Ok(())
    }
}

/// Returns the length of a chat frame.
pub(super) fn chat_bytes(text: &[u8]) -> usize {
    CHAT_HEADER_BYTES + text.len()
}

/// Returns the length of a status frame.
pub(super) fn status_bytes(text: &[u8]) -> usize {
    STATUS_HEADER_BYTES + text.len()
}

/// Returns the text of a status as a plain neighbour reads it.
pub(super) fn status_text(text: &[u8]) -> Cow<'_, [u8]> {
    readable(text, PLAIN_FRAME_BYTES_MAX - STATUS_HEADER_BYTES)
}

/// Returns the text of a quit as a plain neighbour reads it.
pub(super) fn quit_text(text: &[u8]) -> Cow<'_, [u8]> {
    readable(text, PLAIN_FRAME_BYTES_MAX - QUIT_HEADER_BYTES)
}

/// Returns name and info of a registration as a plain neighbour reads them.
pub(super) fn name_and_info<'a>(registration: &Registration<'a>) -> (Cow<'a, [u8]>, Cow<'a, [u8]>) {
    let name = readable(registration.name, NAME_BYTES_MAX);
    let info_bytes_max = PLAIN_FRAME_BYTES_MAX - REGISTRATION_HEADER_BYTES - name.len();
    let info = readable(registration.info, info_bytes_max);
    (name, info)
}

/// Splits the text of a mail into pieces that a plain neighbour reads, also with the name of the
/// sender before them.
pub(super) fn mail_pieces(text: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(text);
    let mut pieces = Vec::new();
    let mut rest = &*text;
    loop {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(MAIL_PIECE_BYTES_MAX));
        pieces.push(piece.as_bytes().to_vec());
        rest = after;
        if rest.is_empty() {
            return pieces;
        }
    }
}

/// Returns the texts of the chats in which the members behind a plain neighbour get a room message:
/// `<NAME> TEXT`. If the neighbour reads short texts only, a long one comes in pieces.
pub(super) fn room_texts(name: &[u8], text: &[u8], is_guarded: bool) -> Vec<Vec<u8>> {
    let prefix = [b"<", name, b"> "].concat();
    if !is_guarded {
        return vec![[&prefix, text].concat()];
    }
    let prefix = readable(&prefix, NAME_BYTES_MAX).into_owned();
    let text = String::from_utf8_lossy(text);
    let piece_bytes_max = PLAIN_FRAME_BYTES_MAX - CHAT_HEADER_BYTES - prefix.len();
    let mut pieces = Vec::new();
    let mut rest = &*text;
    loop {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(piece_bytes_max));
        pieces.push([&prefix, piece.as_bytes()].concat());
        rest = after;
        if rest.is_empty() {
            return pieces;
        }
    }
}

/// Replaces what is not UTF-8 by U+FFFD, and cuts the text to at most `bytes_max` bytes.
fn readable(text: &[u8], bytes_max: usize) -> Cow<'_, [u8]> {
    match String::from_utf8_lossy(text) {
        Cow::Borrowed(text) => {
            Cow::Borrowed(&text.as_bytes()[..text.floor_char_boundary(bytes_max)])
        }
        Cow::Owned(mut text) => {
            text.truncate(text.floor_char_boundary(bytes_max));
            Cow::Owned(text.into_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::HostId;
    use crate::relay::message::HostKind;

    #[test]
    fn chats_are_checked_for_utf8_and_for_the_length_of_their_frame() {
        assert_eq!(check_chat("ü".as_bytes()), Ok(()));
        assert_eq!(check_chat(b"\xFF"), Err(Unreadable::NotUtf8));
        assert_eq!(check_chat(&[b'x'; 1010]), Ok(()));
        assert_eq!(check_chat(&[b'x'; 1011]), Err(Unreadable::TooLong));
    }

    #[test]
    fn texts_are_replaced_and_cut_between_characters() {
        assert_eq!(&*quit_text(b"bye\xFF"), "bye\u{FFFD}".as_bytes());
        assert_eq!(quit_text("ü".repeat(600).as_bytes()).len(), 1014);
        assert_eq!(status_text("xüü".repeat(400).as_bytes()).len(), 1008);
        assert_eq!(quit_text(&[0xFF; 600]).len(), 1014);
    }

    #[test]
    fn mail_is_split_between_characters() {
        assert_eq!(mail_pieces(b""), [b""]);
        let pieces = mail_pieces("xü".repeat(1000).as_bytes());
        assert_eq!(pieces.concat(), "xü".repeat(1000).as_bytes());
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [960, 960, 960, 120]);
        assert_eq!(mail_pieces(b"Hi \xFF"), ["Hi \u{FFFD}".as_bytes()]);
    }

    #[test]
    fn registration_fits_into_a_read() {
        let (name, info) = (&[0xFF; 255][..], &[b'x'; 65_535][..]);
        let (kind, source, last_hop) = (HostKind::User, HostId(7), HostId::NONE);
        let (name, info) = name_and_info(&Registration { kind, source, last_hop, name, info });
        assert_eq!(&*name, "\u{FFFD}".repeat(85).as_bytes());
        assert_eq!(REGISTRATION_HEADER_BYTES + name.len() + info.len(), 1023);
    }
}
