//! The client side of JSON over WebSocket, as far as a load needs it.

use std::fmt::Write as _;

use crc::id::HostId;

use super::client_codec::websocket::{HEAD_END, TEXT, encode_handshake, encode_message, header};
use super::client_codec::{Identity, Incoming};

/// Returns the length of the first frame in `bytes`, or `None` if more bytes are needed. The head
/// of the HTTP response is a frame, too.
pub(super) fn frame_len(bytes: &[u8]) -> Option<usize> {
    if bytes.first() == Some(&b'H') {
        let end = bytes.windows(HEAD_END.len()).position(|window| window == HEAD_END);
        return end.map(|end| end + HEAD_END.len());
    }
    header(bytes).map(|(header_bytes, length)| header_bytes + length)
}

/// Parses a complete frame. `text_bytes` is the size of the load's own texts.
pub(super) fn parse(frame: &[u8], text_bytes: usize) -> Incoming<'_> {
    if frame.starts_with(b"HTTP/1.1 101 ") {
        return Incoming::Ignored;
    }
    let Some((header_bytes, _)) = header(frame).filter(|_| frame[0] == TEXT) else {
        return Incoming::Status(frame);
    };
    let event = &frame[header_bytes..];
    let is_text = [&b"{\"event\":\"chat\""[..], b"{\"event\":\"room\","]
        .iter()
        .any(|begin| event.starts_with(begin));
    if is_text && event.len() > text_bytes + 2 {
        let end = event.len() - 2; // the quote and the brace
        return Incoming::Chat(&event[end - text_bytes..end]);
    }
    if event.starts_with(b"{\"event\":\"connected\"") {
        return Incoming::Welcome { id: None, server: HostId::NONE };
    }
    if event.starts_with(b"{\"event\":\"room_") {
        return Incoming::Ignored;
    }
    if let Some(rest) = event.strip_prefix(b"{\"event\":\"join\",\"id\":") {
        let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        let id = std::str::from_utf8(&rest[..end]).ok().and_then(|id| id.parse().ok());
        return id.map_or(Incoming::Status(event), |id| Incoming::HostUp(HostId(id)));
    }
    if event.starts_with(b"{\"event\":\"status\",\"code\":1,") {
        Incoming::UnknownDestination
    } else if event.starts_with(b"{\"event\":\"status\",\"code\":2,") {
        Incoming::IdentityTaken
    } else {
        Incoming::Status(event)
    }
}

/// Appends the handshake and the first message of a client.
pub(super) fn encode_join(identity: &Identity, out: &mut Vec<u8>) {
    encode_handshake("/ws", "crc.json.v1", out);
    let name = String::from_utf8_lossy(identity.name.unpadded());
    let (id, mut hello) = (identity.id, String::new());
    write!(hello, r#"{{"do":"hello","name":"{name}","id":{id},"presence":false}}"#)
        .expect("a string");
    encode(hello.as_bytes(), out);
}

/// Appends a chat. The text has no character that JSON escapes.
pub(super) fn encode_chat(to: u32, text: &str, out: &mut Vec<u8>) {
    encode(format!(r#"{{"do":"say","to":{to},"text":"{text}"}}"#).as_bytes(), out);
}

/// Appends the request to join a room.
pub(super) fn encode_room_join(room: &str, out: &mut Vec<u8>) {
    encode(format!(r#"{{"do":"join","room":"{room}"}}"#).as_bytes(), out);
}

/// Appends a message to a room. The text is as that of a chat.
pub(super) fn encode_room_chat(room: &str, text: &str, out: &mut Vec<u8>) {
    encode(format!(r#"{{"do":"say","to":"{room}","text":"{text}"}}"#).as_bytes(), out);
}

fn encode(message: &[u8], out: &mut Vec<u8>) {
    encode_message(TEXT, out, |out| out.extend_from_slice(message));
}
