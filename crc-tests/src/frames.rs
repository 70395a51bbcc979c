//! Encoded CRC frames for tests, one function a frame.

use crc::id::HostId;
use crc::limits::FRAME_BYTES_MAX;
use crc::relay::extension::Frame;
use crc::relay::message::{HostKind, Message, Registration, StatusCode};
use crc::wires::crc::codec;

/// The code of the status by which a CRC client says that it reads frames cut at any byte.
const READS_CUT_FRAMES: StatusCode = StatusCode(0xC700);

/// Returns the bytes of any message.
#[must_use]
pub fn encode(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(message, &mut bytes);
    bytes
}

/// Returns the registration of an adjacent user.
#[must_use]
pub fn user(id: u32, name: &str, info: &str) -> Vec<u8> {
    registration(HostKind::User, id, 0, name, info)
}

/// Returns the first frames of a user that reads frames cut at any byte.
#[must_use]
pub fn user_that_reads_cut_frames(id: u32, name: &str, info: &str) -> Vec<u8> {
    let mut bytes = user(id, name, info);
    append_reads_cut_frames(id, &mut bytes);
    bytes
}

/// Appends the status by which a CRC client says that it reads frames cut at any byte.
pub(crate) fn append_reads_cut_frames(id: u32, out: &mut Vec<u8>) {
    let (source, destination) = (HostId(id), HostId::EXTENSION);
    let status = Message::Status { source, destination, code: READS_CUT_FRAMES, text: b"" };
    codec::encode(&status, out);
}

/// Returns the registration of an adjacent server.
#[must_use]
pub fn server(id: u32, name: &str, info: &str) -> Vec<u8> {
    registration(HostKind::Server, id, 0, name, info)
}

/// Returns a registration, forwarded by the server `last_hop` unless that is 0.
#[must_use]
pub fn registration(kind: HostKind, id: u32, last_hop: u32, name: &str, info: &str) -> Vec<u8> {
    let (source, last_hop) = (HostId(id), HostId(last_hop));
    let (name, info) = (name.as_bytes(), info.as_bytes());
    encode(&Message::Registration(Registration { kind, source, last_hop, name, info }))
}

/// Returns a chat.
#[must_use]
pub fn chat(from: u32, to: u32, text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    encode(&Message::Chat { source: HostId(from), destination: HostId(to), text })
}

/// Returns the quit of a user.
#[must_use]
pub fn quit(id: u32, text: &str) -> Vec<u8> {
    encode(&Message::ClientQuit { source: HostId(id), text: text.as_bytes() })
}

/// Returns a status.
#[must_use]
pub fn status(from: u32, to: u32, code: u16, text: &str) -> Vec<u8> {
    let (source, destination, code) = (HostId(from), HostId(to), StatusCode(code));
    encode(&Message::Status { source, destination, code, text: text.as_bytes() })
}

/// Returns a frame of the extension between crc servers.
#[must_use]
pub fn extension(from: u32, frame: &Frame<'_>) -> Vec<u8> {
    let (source, destination, code) = (HostId(from), HostId::EXTENSION, frame.code());
    let mut text = Vec::new();
    frame.encode_payload(&mut text);
    encode(&Message::Status { source, destination, code, text: &text })
}

/// Returns the quit of a server, an extension.
#[must_use]
pub fn server_quit(id: u32, replacement: u32, text: &str) -> Vec<u8> {
    let (source, replacement) = (HostId(id), HostId(replacement));
    encode(&Message::ServerQuit { source, replacement, text: text.as_bytes() })
}

/// Splits bytes into frames.
///
/// # Panics
/// If the bytes are not whole frames.
#[must_use]
pub fn split_frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let len = codec::frame_len(bytes, FRAME_BYTES_MAX).expect("frames of the protocol");
        let (frame, rest) = bytes.split_at(len.expect("whole headers"));
        frames.push(frame.to_vec());
        bytes = rest;
    }
    frames
}
