//! Frames for tests, made in one line each.

use crc::id::HostId;
use crc::limits::FRAME_BYTES_MAX;
use crc::relay::message::{HostKind, Message, Registration, StatusCode};
use crc::wires::crc::codec as wire;

/// The bytes of any message.
#[must_use]
pub fn encode(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(message, &mut bytes);
    bytes
}

/// A user says who it is.
#[must_use]
pub fn user(id: u32, name: &str, info: &str) -> Vec<u8> {
    registration(HostKind::User, id, 0, name, info)
}

/// A server says who it is.
#[must_use]
pub fn server(id: u32, name: &str, info: &str) -> Vec<u8> {
    registration(HostKind::Server, id, 0, name, info)
}

/// A registration, perhaps passed on by the server `last_hop`.
#[must_use]
pub fn registration(kind: HostKind, id: u32, last_hop: u32, name: &str, info: &str) -> Vec<u8> {
    let (source, last_hop) = (HostId(id), HostId(last_hop));
    let (name, info) = (name.as_bytes(), info.as_bytes());
    encode(&Message::Registration(Registration { kind, source, last_hop, name, info }))
}

/// One user speaks to another.
#[must_use]
pub fn chat(from: u32, to: u32, text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    encode(&Message::Chat { source: HostId(from), destination: HostId(to), text })
}

/// A user leaves.
#[must_use]
pub fn quit(id: u32, text: &str) -> Vec<u8> {
    encode(&Message::ClientQuit { source: HostId(id), text: text.as_bytes() })
}

/// A server tells somebody something.
#[must_use]
pub fn status(from: u32, to: u32, code: u16, text: &str) -> Vec<u8> {
    let (source, destination, code) = (HostId(from), HostId(to), StatusCode(code));
    encode(&Message::Status { source, destination, code, text: text.as_bytes() })
}

/// A server leaves.
#[must_use]
pub fn server_quit(id: u32, replacement: u32, text: &str) -> Vec<u8> {
    let (source, replacement) = (HostId(id), HostId(replacement));
    encode(&Message::ServerQuit { source, replacement, text: text.as_bytes() })
}

/// Cuts bytes into the frames that they are.
///
/// # Panics
/// If they are anything else than whole frames.
#[must_use]
pub fn split_frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let len = wire::frame_len(bytes, FRAME_BYTES_MAX).expect("frames of the protocol");
        let (frame, rest) = bytes.split_at(len.expect("whole headers"));
        frames.push(frame.to_vec());
        bytes = rest;
    }
    frames
}
