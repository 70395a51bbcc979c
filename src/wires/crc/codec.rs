//! Codec of the CRC wire, see `docs/PROTOCOL.md`, "The CRC wire".
//!
//! Pure functions over byte slices. Parsed messages borrow from the frame, and an announced length
//! is never allocated. Invariants: `parse(encode(m)) == m`. A frame over the limit is refused from
//! its header, before its body has arrived.

use std::fmt;

use byteorder::{BigEndian, ByteOrder};

use crate::id::HostId;
use crate::relay::message::{HostKind, Message, Registration, StatusCode};
use crate::wires::ChatHeader;

const SERVER_REGISTRATION: u8 = 0x00;
const STATUS: u8 = 0x01;
const SERVER_QUIT: u8 = 0x02;
const CLIENT_REGISTRATION: u8 = 0x80;
const CHAT: u8 = 0x81;
const CLIENT_QUIT: u8 = 0x82;

/// Type, source, last hop, name length, info length.
const REGISTRATION_HEADER_BYTES: usize = 1 + 4 + 4 + 1 + 2;
/// Type, source, destination, code, length.
const STATUS_HEADER_BYTES: usize = 1 + 4 + 4 + 2 + 4;
/// Type, source, replacement, length.
const SERVER_QUIT_HEADER_BYTES: usize = 1 + 4 + 4 + 4;
/// Type, source, destination, length.
const CHAT_HEADER_BYTES: usize = 1 + 4 + 4 + 4;
/// Type, source, destination.
const CHAT_PREFIX_BYTES: usize = 1 + 4 + 4;
/// Offset of the destination in a chat.
pub const DESTINATION_OFFSET: usize = 1 + 4;
/// Type, source, length.
const CLIENT_QUIT_HEADER_BYTES: usize = 1 + 4 + 4;

/// The reason why bytes are not a frame. The rest of the stream cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The first byte of the frame is not a type of the protocol.
    UnknownType(u8),
    /// The header announces more bytes than the limit.
    TooLong {
        /// Announced size of the frame in bytes, header included.
        announced_bytes: u64,
        /// The limit in bytes.
        frame_bytes_max: usize,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(frame_type) => write!(f, "unknown frame type 0x{frame_type:02x}"),
            Self::TooLong { announced_bytes: announced, frame_bytes_max } => {
                write!(f, "a frame of {announced} bytes, the largest allowed is {frame_bytes_max}")
            }
        }
    }
}

impl std::error::Error for WireError {}

/// Returns the length of the frame at the front of `bytes`, or `None` while its header is
/// incomplete.
///
/// # Errors
/// Returns a [`WireError`] for an unknown type, and for a frame over the limit.
#[inline]
pub fn frame_len(bytes: &[u8], frame_bytes_max: usize) -> Result<Option<usize>, WireError> {
    let Some(&frame_type) = bytes.first() else {
        return Ok(None);
    };
    let header_bytes = header_len(frame_type)?;
    if bytes.len() < header_bytes {
        return Ok(None);
    }
    let body_bytes = match frame_type {
        SERVER_REGISTRATION | CLIENT_REGISTRATION => {
            u64::from(bytes[9]) + u64::from(BigEndian::read_u16(&bytes[10..]))
        }
        // In every other type the length is the last field of the header.
        _ => u64::from(BigEndian::read_u32(&bytes[header_bytes - 4..])),
    };
    let announced_bytes = header_bytes as u64 + body_bytes;
    if announced_bytes > frame_bytes_max as u64 {
        return Err(WireError::TooLong { announced_bytes, frame_bytes_max });
    }
    Ok(Some(announced_bytes as usize))
}

#[inline]
fn header_len(frame_type: u8) -> Result<usize, WireError> {
    match frame_type {
        SERVER_REGISTRATION | CLIENT_REGISTRATION => Ok(REGISTRATION_HEADER_BYTES),
        STATUS => Ok(STATUS_HEADER_BYTES),
        SERVER_QUIT => Ok(SERVER_QUIT_HEADER_BYTES),
        CHAT => Ok(CHAT_HEADER_BYTES),
        CLIENT_QUIT => Ok(CLIENT_QUIT_HEADER_BYTES),
        _ => Err(WireError::UnknownType(frame_type)),
    }
}

/// Parses the frame at the front of `bytes`. Returns the message and the length of the frame, or
/// `None` while it is incomplete.
///
/// # Errors
/// Returns a [`WireError`] as soon as the header is complete.
pub fn parse(
    bytes: &[u8],
    frame_bytes_max: usize,
) -> Result<Option<(Message<'_>, usize)>, WireError> {
    let Some(len) = frame_len(bytes, frame_bytes_max)? else {
        return Ok(None);
    };
    let Some(frame) = bytes.get(..len) else {
        return Ok(None);
    };
    Ok(Some((parse_frame(frame), len)))
}

/// Parses a whole frame.
///
/// # Panics
/// Panics if the frame does not have the length that [`frame_len`] returned.
#[must_use]
pub fn parse_frame(frame: &[u8]) -> Message<'_> {
    let id = |at: usize| HostId(BigEndian::read_u32(&frame[at..]));
    let source = id(1);
    match frame[0] {
        frame_type @ (SERVER_REGISTRATION | CLIENT_REGISTRATION) => {
            let (name, info) = frame[REGISTRATION_HEADER_BYTES..].split_at(usize::from(frame[9]));
            let kind =
                if frame_type == SERVER_REGISTRATION { HostKind::Server } else { HostKind::User };
            Message::Registration(Registration { kind, source, last_hop: id(5), name, info })
        }
        STATUS => Message::Status {
            source,
            destination: id(5),
            code: StatusCode(BigEndian::read_u16(&frame[9..])),
            text: &frame[STATUS_HEADER_BYTES..],
        },
        SERVER_QUIT => Message::ServerQuit {
            source,
            replacement: id(5),
            text: &frame[SERVER_QUIT_HEADER_BYTES..],
        },
        CHAT => Message::Chat { source, destination: id(5), text: &frame[CHAT_HEADER_BYTES..] },
        _ => Message::ClientQuit { source, text: &frame[CLIENT_QUIT_HEADER_BYTES..] },
    }
}

/// Returns the header of the chat at the front of `bytes`, whose frame may be incomplete. Returns
/// `None` if the frame there is not a chat, or exceeds the limit.
#[inline]
#[must_use]
pub fn peek_chat(bytes: &[u8], frame_bytes_max: usize) -> Option<ChatHeader> {
    let header = bytes.first_chunk::<CHAT_HEADER_BYTES>().filter(|header| header[0] == CHAT)?;
    let field = |at: usize| BigEndian::read_u32(&header[at..]);
    let frame_bytes = CHAT_HEADER_BYTES + field(CHAT_PREFIX_BYTES) as usize;
    if frame_bytes > frame_bytes_max {
        return None;
    }
    let next_header = bytes.get(frame_bytes..).and_then(<[u8]>::first_chunk::<CHAT_HEADER_BYTES>);
    Some(ChatHeader {
        frame_bytes,
        source: HostId(field(1)),
        destination: HostId(field(5)),
        is_continued: next_header
            .is_some_and(|next| next[..CHAT_PREFIX_BYTES] == header[..CHAT_PREFIX_BYTES]),
    })
}

/// Measures the run of whole chat frames with one source and destination at the front of `bytes`.
/// The first of them has `first_len` bytes. Returns the size of the run in bytes and the number of
/// frames.
#[inline]
#[must_use]
pub fn measure_chat_run(bytes: &[u8], first_len: usize, frame_bytes_max: usize) -> (usize, u64) {
    let (mut len, mut frames) = (first_len, 1);
    while let Some(header) = bytes[len..].first_chunk::<CHAT_HEADER_BYTES>()
        && header[..CHAT_PREFIX_BYTES] == bytes[..CHAT_PREFIX_BYTES]
    {
        let text_bytes = BigEndian::read_u32(&header[CHAT_PREFIX_BYTES..]) as usize;
        if text_bytes > bytes.len() - len - CHAT_HEADER_BYTES
            || CHAT_HEADER_BYTES + text_bytes > frame_bytes_max
        {
            break;
        }
        len += CHAT_HEADER_BYTES + text_bytes;
        frames += 1;
    }
    (len, frames)
}

/// Appends the frame of `message` to `out`.
///
/// Names and infos must be within [`crate::limits::NAME_BYTES_MAX`] and
/// [`crate::limits::INFO_BYTES_MAX`], and texts below 4 GiB. Parsed messages always are.
pub fn encode(message: &Message<'_>, out: &mut Vec<u8>) {
    match *message {
        Message::Registration(Registration { kind, source, last_hop, name, info }) => {
            let mut header = [0; REGISTRATION_HEADER_BYTES];
            header[0] =
                if kind == HostKind::Server { SERVER_REGISTRATION } else { CLIENT_REGISTRATION };
            BigEndian::write_u32(&mut header[1..], source.0);
            BigEndian::write_u32(&mut header[5..], last_hop.0);
            header[9] = u8::try_from(name.len()).expect("a name of at most 255 bytes");
            let info_len = u16::try_from(info.len()).expect("an info of at most 65535 bytes");
            BigEndian::write_u16(&mut header[10..], info_len);
            out.extend_from_slice(&header);
            out.extend_from_slice(name);
            out.extend_from_slice(info);
        }
        Message::Status { source, destination, code, text } => {
            let mut header = [0; STATUS_HEADER_BYTES];
            header[0] = STATUS;
            BigEndian::write_u32(&mut header[1..], source.0);
            BigEndian::write_u32(&mut header[5..], destination.0);
            BigEndian::write_u16(&mut header[9..], code.0);
            BigEndian::write_u32(&mut header[11..], text_len(text));
            out.extend_from_slice(&header);
            out.extend_from_slice(text);
        }
        Message::ServerQuit { source, replacement: second_id, text } => {
            encode_two_ids(SERVER_QUIT, source, second_id, text, out);
        }
        Message::Chat { source, destination: second_id, text } => {
            encode_two_ids(CHAT, source, second_id, text, out);
        }
        Message::ClientQuit { source, text } => {
            let mut header = [0; CLIENT_QUIT_HEADER_BYTES];
            header[0] = CLIENT_QUIT;
            BigEndian::write_u32(&mut header[1..], source.0);
            BigEndian::write_u32(&mut header[5..], text_len(text));
            out.extend_from_slice(&header);
            out.extend_from_slice(text);
        }
    }
}

/// Encodes a server quit or a chat: type, two ids, length, text.
fn encode_two_ids(
    frame_type: u8,
    source: HostId,
    second_id: HostId,
    text: &[u8],
    out: &mut Vec<u8>,
) {
    let mut header = [0; CHAT_HEADER_BYTES];
    header[0] = frame_type;
    BigEndian::write_u32(&mut header[1..], source.0);
    BigEndian::write_u32(&mut header[5..], second_id.0);
    BigEndian::write_u32(&mut header[9..], text_len(text));
    out.extend_from_slice(&header);
    out.extend_from_slice(text);
}

fn text_len(text: &[u8]) -> u32 {
    u32::try_from(text.len()).expect("a text below 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_BYTES_MAX: usize = 1024;

    fn chat(source: u32, destination: u32, text: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let (source, destination) = (HostId(source), HostId(destination));
        encode(&Message::Chat { source, destination, text }, &mut bytes);
        bytes
    }

    #[test]
    fn peek_chat_agrees_with_frame_len_and_sees_the_next_header() {
        let first = chat(101, 102, b"one");
        for (next, continues) in [
            (chat(101, 102, b"a longer text"), true),
            (chat(101, 103, b"two"), false),
            (chat(104, 102, b"two"), false),
        ] {
            let bytes = [&first[..], &next].concat();
            for cut in 0..=bytes.len() {
                let chat = peek_chat(&bytes[..cut], FRAME_BYTES_MAX);
                let len = frame_len(&bytes[..cut], FRAME_BYTES_MAX).expect("a frame");
                assert_eq!(chat.map(|chat| chat.frame_bytes), len, "cut at {cut}");
                if let Some(chat) = chat {
                    assert_eq!((chat.source, chat.destination), (HostId(101), HostId(102)));
                    let has_next_header = cut >= first.len() + CHAT_HEADER_BYTES;
                    assert_eq!(chat.is_continued, continues && has_next_header, "cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn peek_chat_returns_none_for_other_frames_and_long_ones() {
        let mut quit = Vec::new();
        encode(&Message::ClientQuit { source: HostId(101), text: b"a long text" }, &mut quit);
        assert_eq!(peek_chat(&quit, FRAME_BYTES_MAX), None);
        let longest = chat(101, 102, &[b'x'; FRAME_BYTES_MAX - CHAT_HEADER_BYTES]);
        assert_eq!(
            peek_chat(&longest, FRAME_BYTES_MAX).map(|chat| chat.frame_bytes),
            Some(FRAME_BYTES_MAX)
        );
        assert_eq!(peek_chat(&longest, FRAME_BYTES_MAX - 1), None);
        assert!(frame_len(&longest, FRAME_BYTES_MAX - 1).is_err());
    }
}
