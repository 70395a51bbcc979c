//! The frames of WebSocket, see RFC 6455, section 5.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use crate::limits::WEBSOCKET_CONTROL_BYTES_MAX;
use crate::link::SendQueue;

/// First byte of a whole text message.
const TEXT: u8 = 0x81;
/// First byte of a pong.
const PONG: u8 = 0x8a;
/// First byte of a close.
const CLOSE: u8 = 0x88;

/// Longest payload whose length fits into the second byte.
const SHORT_BYTES_MAX: usize = 125;

/// Length of the header of the longest payloads.
const LONG_HEADER_BYTES: usize = 10;

/// Space that is left for a header in front of a payload whose length is not known.
const HEADER_SPACE_BYTES: usize = 4;

/// A frame of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Kind of the frame.
    pub opcode: OpCode,
    /// Whether the message ends with it.
    pub is_final: bool,
    mask: [u8; 4],
    masked: &'a [u8],
}

/// Why a connection ends, as the other end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The code of the close frame.
    pub code: CloseCode,
    /// What is wrong, for people.
    pub reason: &'static str,
}

const fn protocol_error(reason: &'static str) -> Fault {
    Fault { code: CloseCode::Protocol, reason }
}

/// Returns the length of the frame that `bytes` begin with, or `None` while its header is
/// incomplete. Of a frame that [`Frame::parse`] refuses by its header, that of its header.
#[must_use]
pub fn frame_len(bytes: &[u8], payload_bytes_max: usize) -> Option<usize> {
    let mut cursor = Cursor::new(bytes);
    let parsed = FrameHeader::parse(&mut cursor);
    let header_bytes = usize::try_from(cursor.position()).unwrap_or(bytes.len());
    match parsed {
        Ok(None) => None,
        Ok(Some((header, length))) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            Some(match check_header(&header, length, payload_bytes_max) {
                Ok(_) => header_bytes + length,
                Err(_) => header_bytes,
            })
        }
        Err(_) => Some(header_bytes),
    }
}

/// Checks a header. Returns its mask.
fn check_header(
    header: &FrameHeader,
    length: usize,
    payload_bytes_max: usize,
) -> Result<[u8; 4], Fault> {
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(protocol_error("a reserved bit is set"));
    }
    if matches!(header.opcode, OpCode::Control(_)) {
        if !header.is_final {
            return Err(protocol_error("a control frame is fragmented"));
        }
        if length > WEBSOCKET_CONTROL_BYTES_MAX {
            return Err(protocol_error("a control frame has more than 125 bytes"));
        }
    }
    let Some(mask) = header.mask else { return Err(protocol_error("a frame is not masked")) };
    if length > payload_bytes_max {
        return Err(Fault { code: CloseCode::Size, reason: "the message is too long" });
    }
    Ok(mask)
}

impl<'a> Frame<'a> {
    /// Parses a whole frame.
    ///
    /// # Errors
    /// Why the connection must end.
    pub fn parse(frame: &'a [u8], payload_bytes_max: usize) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(frame);
        let Ok(Some((header, length))) = FrameHeader::parse(&mut cursor) else {
            return Err(protocol_error("an unknown kind of frame"));
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mask = check_header(&header, length, payload_bytes_max)?;
        let start = usize::try_from(cursor.position()).unwrap_or(frame.len());
        let masked = frame.get(start..).unwrap_or_default();
        Ok(Self { opcode: header.opcode, is_final: header.is_final, mask, masked })
    }

    /// Appends the payload to `out`.
    pub fn unmask(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.masked);
        apply_mask(&mut out[start..], self.mask);
    }

    /// Returns whether the frame is for the connection, and not a part of a message.
    #[must_use]
    pub fn is_control(&self) -> bool {
        matches!(self.opcode, OpCode::Control(_))
    }

    /// Returns whether the frame continues a message.
    #[must_use]
    pub fn is_continuation(&self) -> bool {
        self.opcode == OpCode::Data(Data::Continue)
    }

    /// Returns whether the frame begins a binary message.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.opcode == OpCode::Data(Data::Binary)
    }

    /// Returns whether the frame asks for a pong.
    #[must_use]
    pub fn is_ping(&self) -> bool {
        self.opcode == OpCode::Control(Control::Ping)
    }

    /// Returns whether the frame closes the connection.
    #[must_use]
    pub fn is_close(&self) -> bool {
        self.opcode == OpCode::Control(Control::Close)
    }
}

/// Combines bytes with a mask, eight at a time.
fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Checks the payload of a close frame and returns its code; `None` if it has none.
///
/// # Errors
/// Why the payload is none.
pub fn parse_close(payload: &[u8]) -> Result<Option<CloseCode>, Fault> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(None),
            _ => Err(protocol_error("a close frame has half a code")),
        };
    };
    let code = CloseCode::from(u16::from_be_bytes(*code));
    if !code.is_allowed() {
        return Err(protocol_error("a close frame has an invalid code"));
    }
    if str::from_utf8(reason).is_err() {
        return Err(Fault { code: CloseCode::Invalid, reason: "the reason is not UTF-8" });
    }
    Ok(Some(code))
}

/// Appends a text message that `write` appends to its argument.
pub(super) fn write_text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_SPACE_BYTES]);
    write(out);
    let payload_start = start + HEADER_SPACE_BYTES;
    let length = out.len() - payload_start;
    if let (Ok(short), true) = (u8::try_from(length), length <= SHORT_BYTES_MAX) {
        out[start..start + 2].copy_from_slice(&[TEXT, short]);
        out.copy_within(payload_start.., start + 2);
        out.truncate(start + 2 + length);
    } else if let Ok(length) = u16::try_from(length) {
        let [high, low] = length.to_be_bytes();
        out[start..payload_start].copy_from_slice(&[TEXT, 126, high, low]);
    } else {
        let mut header = [TEXT, 127, 0, 0, 0, 0, 0, 0, 0, 0];
        header[2..].copy_from_slice(&(length as u64).to_be_bytes());
        out.splice(start..payload_start, header);
    }
}

/// Appends a text message that consists of these parts.
pub(super) fn write_text_parts(parts: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.reserve(LONG_HEADER_BYTES + length);
    if let (Ok(short), true) = (u8::try_from(length), length <= SHORT_BYTES_MAX) {
        out.extend_from_slice(&[TEXT, short]);
    } else if let Ok(length) = u16::try_from(length) {
        let [high, low] = length.to_be_bytes();
        out.extend_from_slice(&[TEXT, 126, high, low]);
    } else {
        out.extend_from_slice(&[TEXT, 127]);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Appends a pong.
pub(super) fn write_pong(payload: &[u8], out: &mut Vec<u8>) {
    write_control(PONG, payload, out);
}

/// Whether a close frame was sent on a connection: nothing may follow it.
#[derive(Clone, Debug, Default)]
pub(super) struct Closing {
    is_closed: bool,
}

impl Closing {
    /// Returns whether a close frame was sent.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Sends a close frame, once.
    pub(super) fn close(&mut self, code: CloseCode, reason: &str, queue: &mut SendQueue) {
        if !std::mem::replace(&mut self.is_closed, true) {
            write_close(code, reason, queue.tail());
        }
    }
}

/// Appends a close. A reason that is too long is cut.
fn write_close(code: CloseCode, reason: &str, out: &mut Vec<u8>) {
    let reason = &reason[..reason.floor_char_boundary(WEBSOCKET_CONTROL_BYTES_MAX - 2)];
    let payload = [&u16::from(code).to_be_bytes(), reason.as_bytes()].concat();
    write_control(CLOSE, &payload, out);
}

fn write_control(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    let length = u8::try_from(payload.len()).expect("a control frame has at most 125 bytes");
    out.extend_from_slice(&[first, length]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 70_000;

    fn payload(frame: &Frame<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        frame.unmask(&mut out);
        out
    }

    #[test]
    fn masked_frame_of_the_rfc_is_read() {
        let bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(frame_len(&bytes, MAX), Some(11));
        let frame = Frame::parse(&bytes, MAX).expect("a frame");
        assert!(frame.is_final && !frame.is_control() && !frame.is_binary());
        assert_eq!(payload(&frame), b"Hello");
        for len in 0..6 {
            assert_eq!(frame_len(&bytes[..len], MAX), None, "{len}");
        }
        assert_eq!(frame_len(&bytes[..6], MAX), Some(11));
    }

    #[test]
    fn frames_are_written_as_in_the_rfc() {
        let text = |len: usize| {
            let mut out = b"before".to_vec();
            write_text(&mut out, |out| out.extend(std::iter::repeat_n(b'x', len)));
            assert!(out.starts_with(b"before") && out.ends_with(&vec![b'x'; len.min(9)]));
            (out.len() - 6 - len, out[6..].to_vec())
        };
        assert_eq!(text(5), (2, b"\x81\x05xxxxx".to_vec()));
        assert_eq!(text(0), (2, vec![0x81, 0]));
        assert_eq!(text(125).1[..2], [0x81, 125]);
        assert_eq!((text(126).0, text(126).1[..4].to_vec()), (4, vec![0x81, 126, 0, 126]));
        assert_eq!((text(256).0, text(256).1[..4].to_vec()), (4, vec![0x81, 126, 1, 0]));
        let long = text(65_536);
        assert_eq!((long.0, &long.1[..10]), (10, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0][..]));
        let mut out = Vec::new();
        write_pong(b"Hello", &mut out);
        assert_eq!(out, b"\x8a\x05Hello");
        let mut out = Vec::new();
        write_close(CloseCode::Away, &"ü".repeat(99), &mut out);
        assert_eq!((out.len(), &out[..4]), (126, &[0x88, 124, 0x03, 0xe9][..]));
    }

    #[track_caller]
    fn check_fault(bytes: &[u8], code: u16) {
        let len = frame_len(bytes, MAX).expect("enough of it");
        assert!(len <= bytes.len(), "{len}");
        let fault = Frame::parse(&bytes[..len], MAX).expect_err("a fault");
        assert_eq!(u16::from(fault.code), code, "{bytes:02x?}");
    }

    #[test]
    fn faulty_header_is_refused_before_its_payload() {
        check_fault(&[0xc1, 0x85, 0, 0, 0, 0], 1002);
        check_fault(&[0x83, 0x80, 0, 0, 0, 0], 1002);
        check_fault(&[0x8b, 0x80, 0, 0, 0, 0], 1002);
        check_fault(&[0x09, 0x80, 0, 0, 0, 0], 1002);
        check_fault(&[0x89, 0xfe, 0, 126, 0, 0, 0, 0], 1002);
        check_fault(&[0x81, 0x05], 1002);
        check_fault(
            &[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            1009,
        );
    }

    #[test]
    fn close_has_a_valid_code_or_none() {
        let code = |payload: &[u8]| parse_close(payload).map_err(|fault| u16::from(fault.code));
        assert_eq!(code(b""), Ok(None));
        assert_eq!(code(&[3, 0xe8]), Ok(Some(CloseCode::Normal)));
        assert_eq!(code(&[3]), Err(1002));
        for wrong in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
            assert_eq!(code(&wrong.to_be_bytes()), Err(1002), "{wrong}");
        }
        assert!(code(&[&3000u16.to_be_bytes()[..], "ü".as_bytes()].concat()).is_ok());
        assert_eq!(code(&[3, 0xe8, 0xff]), Err(1007));
    }

    #[test]
    fn mask_is_applied_at_every_length() {
        for len in 0..40usize {
            let mut bytes: Vec<u8> = vec![0; len];
            apply_mask(&mut bytes, [1, 2, 3, 4]);
            let expected: Vec<u8> = (0..len).map(|i| [1, 2, 3, 4][i % 4]).collect();
            assert_eq!(bytes, expected);
        }
    }
}
