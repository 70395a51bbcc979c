//! Codec of the direct wire, see `docs/PROTOCOL.md`, "The direct wire".
//!
//! A frame is a length (`u32` big-endian) and that many bytes of protobuf. The first frame from the
//! server is a [`FastHandshake`]; every other frame, in either direction, is a [`Message`].

use std::borrow::Cow;
use std::fmt;

use byteorder::{BigEndian, ByteOrder as _};

/// Size of the length at the front of a frame, in bytes.
const HEADER_BYTES: usize = 4;
/// Key of [`Message::from`]: field 1, varint.
const FROM_KEY: u8 = 1 << 3;
/// Key of [`Message::to`]: field 2, varint.
const TO_KEY: u8 = 2 << 3;
/// Key of [`Message::msg`]: field 3, length-delimited.
const MSG_KEY: u8 = 3 << 3 | 2;
/// Key of [`Message::room`]: field 8, length-delimited.
const ROOM_KEY: u8 = 8 << 3 | 2;
/// Maximum size of a varint field, in bytes: a key and 64 bits.
const VARINT_FIELD_BYTES_MAX: usize = 1 + 10;

/// A message in either direction.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Message {
    /// The sender. The server sets it to the true sender, whatever the client wrote.
    #[prost(int64, tag = "1")]
    pub from: i64,
    /// The addressee; 0 is the server.
    #[prost(int64, tag = "2")]
    pub to: i64,
    /// The text.
    #[prost(string, tag = "3")]
    pub msg: String,
    /// Absent in messages between users.
    #[prost(oneof = "Control", tags = "4, 5, 6, 7")]
    pub control: Option<Control>,
    /// The room that the message is for; empty in one for a user.
    #[prost(string, tag = "8")]
    pub room: String,
}

/// A control message between client and server.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum Control {
    /// Sent by the client: the id that it asks for.
    #[prost(int64, tag = "4")]
    DesiredId(i64),
    /// Sent by the server: the answer.
    #[prost(message, tag = "5")]
    Handshake(FastHandshake),
    /// Sent by the client: the room that it joins.
    #[prost(string, tag = "6")]
    Join(String),
    /// Sent by the client: the room that it leaves.
    #[prost(string, tag = "7")]
    Part(String),
}

/// The id of the client.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct FastHandshake {
    /// The id that the client has from now on.
    #[prost(int64, tag = "1")]
    pub id: i64,
    /// Whether the request was refused: the id is another one, or there is none and the connection
    /// closes.
    #[prost(bool, tag = "2")]
    pub error: bool,
}

/// The reason why bytes are not a frame. The rest of the stream cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The header announces more bytes than the limit.
    TooLong {
        /// Announced size of the protobuf, in bytes.
        announced_bytes: u64,
        /// The limit in bytes.
        frame_bytes_max: usize,
    },
    /// The bytes are not the expected protobuf message.
    Malformed(String),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { announced_bytes: announced, frame_bytes_max } => {
                write!(f, "a frame of {announced} bytes, the largest allowed is {frame_bytes_max}")
            }
            Self::Malformed(detail) => write!(f, "malformed protobuf: {detail}"),
        }
    }
}

impl std::error::Error for WireError {}

/// Returns the length of the frame at the front of `bytes`, header included, or `None` while the
/// header is incomplete. `frame_bytes_max` limits the protobuf alone.
///
/// # Errors
/// Returns [`WireError::TooLong`] as soon as the header is complete.
pub fn frame_len(bytes: &[u8], frame_bytes_max: usize) -> Result<Option<usize>, WireError> {
    if bytes.len() < HEADER_BYTES {
        return Ok(None);
    }
    let announced_bytes = u64::from(BigEndian::read_u32(bytes));
    if announced_bytes > frame_bytes_max as u64 {
        return Err(WireError::TooLong { announced_bytes, frame_bytes_max });
    }
    Ok(Some(HEADER_BYTES + announced_bytes as usize))
}

/// Parses the message in a whole frame.
///
/// # Errors
/// Returns [`WireError::Malformed`].
pub fn parse_frame(frame: &[u8]) -> Result<Message, WireError> {
    parse_body(frame)
}

/// A message from a client, as the server parses it: without a sender, which the server sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientMessage<'a> {
    /// See [`Message::to`].
    pub to: i64,
    /// See [`Message::msg`]. UTF-8; borrowed from the frame in plain messages.
    pub msg: Cow<'a, [u8]>,
    /// See [`Message::control`].
    pub control: Option<Control>,
    /// See [`Message::room`].
    pub room: String,
}

/// Parses the message of a client in a whole frame.
///
/// # Errors
/// Returns [`WireError::Malformed`].
pub fn parse_client_frame(frame: &[u8]) -> Result<ClientMessage<'_>, WireError> {
    if let Some(PlainFields { to, msg, room }) = parse_plain(&frame[HEADER_BYTES..]) {
        let (msg, room) = (Cow::Borrowed(msg), room.to_owned());
        return Ok(ClientMessage { to, msg, control: None, room });
    }
    let Message { to, msg, control, room, .. } = parse_frame(frame)?;
    Ok(ClientMessage { to, msg: Cow::Owned(msg.into_bytes()), control, room })
}

/// Returns the text and the length of the frame at the front of `bytes`, if it is complete and a
/// plain message to this addressee.
#[must_use]
pub fn parse_plain_to(to: i64, bytes: &[u8], frame_bytes_max: usize) -> Option<(&[u8], usize)> {
    let len = frame_len(bytes, frame_bytes_max).ok()??;
    let fields = parse_plain(bytes.get(HEADER_BYTES..len)?)?;
    (fields.to == to && fields.room.is_empty()).then_some((fields.msg, len))
}

/// Returns the text and the length of the frame at the front of `bytes`, if it is complete and a
/// message to this room, which is not empty.
#[must_use]
pub fn parse_text_to_room<'a>(
    room: &[u8],
    bytes: &'a [u8],
    frame_bytes_max: usize,
) -> Option<(&'a [u8], usize)> {
    let len = frame_len(bytes, frame_bytes_max).ok()??;
    let fields = parse_plain(bytes.get(HEADER_BYTES..len)?)?;
    (fields.room.as_bytes() == room).then_some((fields.msg, len))
}

/// The fields of a message without a control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PlainFields<'a> {
    to: i64,
    /// UTF-8.
    msg: &'a [u8],
    room: &'a str,
}

/// Returns the fields of a message without a control message in the usual encoding: its fields in
/// any order, each number within 63 bits. Returns `None` for anything else, which [`parse_frame`]
/// parses or refuses.
fn parse_plain(mut body: &[u8]) -> Option<PlainFields<'_>> {
    let (mut to, mut msg, mut room): (_, &[u8], &[u8]) = (0, &[], &[]);
    while let Some((&key, rest)) = body.split_first() {
        let (value, rest) = parse_varint(rest)?;
        body = rest;
        match key {
            FROM_KEY => {}
            TO_KEY => to = value as i64, // 63 bits
            // A second text would replace the first, which had to be checked, too.
            MSG_KEY if msg.is_empty() => {
                (msg, body) = rest.split_at_checked(usize::try_from(value).ok()?)?;
            }
            ROOM_KEY if room.is_empty() => {
                (room, body) = rest.split_at_checked(usize::try_from(value).ok()?)?;
            }
            _ => return None,
        }
    }
    let room = std::str::from_utf8(room).ok()?;
    is_utf8(msg).then_some(PlainFields { to, msg, room })
}

/// Returns whether a text is UTF-8, as protobuf requires of strings.
#[must_use]
pub fn is_utf8(text: &[u8]) -> bool {
    text.is_ascii() || std::str::from_utf8(text).is_ok() // ASCII is common, and faster to check
}

/// Parses a varint of up to 63 bits. Returns it and the bytes after it.
fn parse_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (i, &byte) in bytes.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

/// Parses the handshake in the first frame from a server.
///
/// # Errors
/// Returns [`WireError::Malformed`].
pub fn parse_handshake(frame: &[u8]) -> Result<FastHandshake, WireError> {
    parse_body(frame)
}

fn parse_body<M: prost::Message + Default>(frame: &[u8]) -> Result<M, WireError> {
    M::decode(&frame[HEADER_BYTES..]).map_err(|error| WireError::Malformed(error.to_string()))
}

/// Appends the frame of a [`Message`] or a [`FastHandshake`] to `out`.
pub fn encode(message: &impl prost::Message, out: &mut Vec<u8>) {
    let len = u32::try_from(message.encoded_len()).expect("a message below 4 GiB");
    out.extend_from_slice(&len.to_be_bytes());
    message.encode(out).expect("a vector has room");
}

/// Appends the frame of a plain message: the same bytes as [`encode`], without copying the text
/// into a [`Message`].
pub fn encode_plain(from: i64, to: i64, text: &str, out: &mut Vec<u8>) {
    encode_plain_utf8(from, to, text.as_bytes(), out);
}

/// As [`encode_plain`], for bytes that [`is_utf8`] accepts.
pub fn encode_plain_utf8(from: i64, to: i64, text: &[u8], out: &mut Vec<u8>) {
    let mut header = PlainHeader { bytes: [0; PlainHeader::BYTES_MAX], len: HEADER_BYTES };
    for (key, value) in [(FROM_KEY, from as u64), (TO_KEY, to as u64), (MSG_KEY, text.len() as u64)]
    {
        if value != 0 {
            header.push_field(key, value);
        }
    }
    let len = u32::try_from(header.len - HEADER_BYTES + text.len()).expect("a message below 4 GiB");
    BigEndian::write_u32(&mut header.bytes, len);
    out.reserve(header.len + text.len());
    out.extend_from_slice(&header.bytes[..header.len]);
    out.extend_from_slice(text);
}

/// Appends the frame of a message to a room: the same bytes as [`encode`]. Text and room are UTF-8,
/// and the room is not empty. Returns the offset of the addressee in the frame.
pub fn encode_to_room(
    (from, to): (i64, i64),
    room: &[u8],
    text: &[u8],
    out: &mut Vec<u8>,
) -> usize {
    let begin = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    let mut addressee_offset = 0;
    for (key, value) in [(FROM_KEY, from as u64), (TO_KEY, to as u64), (MSG_KEY, text.len() as u64)]
    {
        if key == TO_KEY {
            addressee_offset = out.len() + 1 - begin;
        }
        if value != 0 {
            push_field(key, value, out);
        }
    }
    out.extend_from_slice(text);
    push_field(ROOM_KEY, room.len() as u64, out);
    out.extend_from_slice(room);
    let len = u32::try_from(out.len() - begin - HEADER_BYTES).expect("a message below 4 GiB");
    BigEndian::write_u32(&mut out[begin..], len);
    addressee_offset
}

fn push_field(key: u8, value: u64, out: &mut Vec<u8>) {
    out.push(key);
    out.extend_from_slice(Varint::new(value).as_bytes());
}

/// An encoded number.
#[derive(Clone, Copy, Debug)]
pub struct Varint {
    bytes: [u8; 10],
    len: usize,
}

impl Varint {
    /// Encodes a number.
    #[must_use]
    pub fn new(mut value: u64) -> Self {
        let mut varint = Self { bytes: [0; 10], len: 0 };
        loop {
            let is_last = value < 0x80;
            varint.bytes[varint.len] = value as u8 & 0x7f | if is_last { 0 } else { 0x80 };
            varint.len += 1;
            if is_last {
                return varint;
            }
            value >>= 7;
        }
    }

    /// Returns the encoded form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The bytes before the text of a plain message.
struct PlainHeader {
    bytes: [u8; Self::BYTES_MAX],
    len: usize,
}

impl PlainHeader {
    const BYTES_MAX: usize = HEADER_BYTES + 3 * VARINT_FIELD_BYTES_MAX;

    fn push_field(&mut self, key: u8, mut value: u64) {
        self.push_byte(key);
        while value >= 0x80 {
            self.push_byte(value as u8 | 0x80); // its lowest 7 bits
            value >>= 7;
        }
        self.push_byte(value as u8);
    }

    fn push_byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}

#[cfg(test)]
mod tests;
