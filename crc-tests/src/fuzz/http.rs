//! The fuzz target of the HTTP wire: requests, frames of WebSocket, and the JSON in them.

use std::time::Duration;

use crc::id::HostId;
use crc::limits::Limits;
use crc::link::{Machine as _, Time};
use crc::node::Node;
use crc::relay::Identity;
use crc::wires::{OperatorToken, WebAccess, Wire};

use super::pump::pump;

const HANDSHAKE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const HELLO: &str = r#"{"do":"hello","name":"frodo","id":101}"#;

/// Checks that a server sends the same over an HTTP connection, and ends it likewise, however the
/// input is cut. The first byte says what precedes the others: 0 nothing, 1 the handshake of a
/// WebSocket, 2 also a hello; with 3, each line of the others is a message.
///
/// # Panics
/// If a check fails.
pub fn http(bytes: &[u8]) {
    let Some((&start, rest)) = bytes.split_first() else { return };
    let mut stream = Vec::new();
    if start % 4 > 0 {
        stream.extend_from_slice(HANDSHAKE);
    }
    if start % 4 > 1 {
        push_text(HELLO.as_bytes(), &mut stream);
    }
    match start % 4 {
        3 => rest.split(|&byte| byte == b'\n').for_each(|line| push_text(line, &mut stream)),
        _ => stream.extend_from_slice(rest),
    }
    let whole = play(&mut std::iter::once(&stream[..]));
    assert_eq!(play(&mut stream.chunks(1)), whole, "byte by byte");
    assert_eq!(play(&mut stream.chunks(7)), whole, "in pieces");
}

/// Appends a message with an empty mask.
fn push_text(text: &[u8], out: &mut Vec<u8>) {
    let text = &text[..text.len().min(usize::from(u16::MAX))];
    out.extend_from_slice(&[0x81, 0x80 | 126]);
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(text);
}

/// Returns what a server sends, and whether it ends the connection.
fn play(pieces: &mut dyn Iterator<Item = &[u8]>) -> (Vec<u8>, bool) {
    let identity =
        Identity { id: HostId(1), is_id_configured: true, name: b"one".to_vec(), info: vec![] };
    let mut node = Node::new(identity, 0, Limits::default(), 1);
    let operator_token = Some(OperatorToken::new(b"0123456789abcdef"));
    node.set_web_access(WebAccess { origins: Vec::new(), operator_token });
    let link = node.open_link(Time::default(), Wire::HTTP);
    let sent = pump(&mut node, link, pieces, Duration::from_millis(1));
    (sent, !node.is_open(link))
}
