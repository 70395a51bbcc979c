//! The events of a conversation, written without the general code for JSON if nothing in them needs
//! an escape, which is nearly always so.

use super::websocket::write_text_parts;
use crate::id::HostId;
use crate::relay::notice::Notice;
use crate::wires::NoticeCx;

/// Most digits of an id.
const ID_DIGITS_MAX: usize = 10;

/// Returns whether JSON has a string as it is: UTF-8 without quotes, backslashes and control
/// characters.
pub(super) fn is_plain(text: &[u8]) -> bool {
    // Without an early end the compiler handles many bytes at a time.
    let needs_escape = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    let has_escapes = text.iter().fold(false, |found, &byte| found | needs_escape(byte));
    !has_escapes && str::from_utf8(text).is_ok()
}

/// Sends the event of a message, if it is one whose strings are plain. Returns whether it was.
pub(super) fn write_plain(notice: &Notice<'_>, cx: &mut NoticeCx<'_>) -> bool {
    match *notice {
        Notice::Chat { source, text, .. } => {
            let host = cx.view.hosts.get(source);
            host.is_some_and(|host| write_chat(None, source, host.name(), text, cx.queue.tail()))
        }
        Notice::RoomChat { room, source, name, text, .. } => {
            write_chat(Some(room.as_bytes()), source, name, text, cx.queue.tail())
        }
        _ => false,
    }
}

/// Appends a `chat` event, or the `room` event of a room, as a text message. Returns false, and
/// appends nothing, if a string is not plain.
fn write_chat(
    room: Option<&[u8]>,
    from: HostId,
    name: &[u8],
    text: &[u8],
    out: &mut Vec<u8>,
) -> bool {
    let [event, room, source]: [&[u8]; 3] = match room {
        None => [b"{\"event\":\"chat", b"", b"\",\"from\":"],
        Some(room) => [b"{\"event\":\"room\",\"room\":\"", room, b"\",\"from\":"],
    };
    let is_written = [room, name, text].into_iter().all(is_plain);
    if is_written {
        let mut digits = [0; ID_DIGITS_MAX];
        let from = decimal(from, &mut digits);
        let parts: [&[u8]; 9] =
            [event, room, source, from, b",\"name\":\"", name, b"\",\"text\":\"", text, b"\"}"];
        write_text_parts(&parts, out);
    }
    is_written
}

/// Returns the digits of an id, at the end of the buffer.
fn decimal(id: HostId, digits: &mut [u8; ID_DIGITS_MAX]) -> &[u8] {
    let (mut rest, mut start) = (id.0, ID_DIGITS_MAX);
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &digits[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::websocket::write_text;
    use super::*;
    use crate::vocabulary::{Borrowed, EventOf};

    /// Compares both events with those that the general code writes.
    #[track_caller]
    fn check(id: u32, name: &[u8], text: &[u8], is_written: bool) {
        let (from, room) = (Some(i64::from(id)), &b"#lab"[..]);
        let (name_of, text_of) = (Some(Borrowed(name)), Borrowed(text));
        let chat = EventOf::Chat { from, name: name_of, text: text_of };
        let (name_of, text_of) = (Some(Borrowed(name)), Borrowed(text));
        let room_chat = EventOf::Room { room: Borrowed(room), from, name: name_of, text: text_of };
        for (event, is_room) in [(chat, false), (room_chat, true)] {
            let (mut out, mut expected) = (b"before".to_vec(), b"before".to_vec());
            let room = is_room.then_some(room);
            let result = write_chat(room, HostId(id), name, text, &mut out);
            assert_eq!(result, is_written, "{text:?}");
            if is_written {
                write_text(&mut expected, |out| event.write_json(out));
            }
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn plain_events_are_as_the_general_code_writes_them() {
        for text in ["", "Hi!", "Grüße 👋\u{7f}", &"x".repeat(125), &"y".repeat(70_000)] {
            check(1, b"sam", text.as_bytes(), true);
            check(u32::MAX - 1, "Merry Brandybuck ü".as_bytes(), text.as_bytes(), true);
        }
    }

    #[test]
    fn strings_with_escapes_or_other_bytes_are_left_to_the_general_code() {
        for text in [&b"a\"b"[..], b"a\\b", b"a\nb", b"\0", b"\x1f", b"\xff", b"\xed\xa0\x80"] {
            check(7, b"sam", text, false);
            check(7, text, b"Hi", false);
        }
    }
}
