//! The direct wire: frames ⇄ messages (contract section 3, `docs/PROTOCOL.md`).
//!
//! A frame is a length, u32 big-endian, and that many bytes of protobuf. The server opens with a
//! bare [`FastHandshake`]; every other frame, either way, is a [`Message`].

use std::fmt;

use byteorder::{BigEndian, ByteOrder as _};

/// Bytes of the length that a frame begins with.
const HEADER: usize = 4;

/// What one side says to the other.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Message {
    /// The sender. The server puts the true one in, whatever the client wrote.
    #[prost(int64, tag = "1")]
    pub from: i64,
    /// The addressee; 0 is the server.
    #[prost(int64, tag = "2")]
    pub to: i64,
    /// What is said.
    #[prost(string, tag = "3")]
    pub msg: String,
    /// Absent from what people say to each other.
    #[prost(oneof = "Control", tags = "4, 5")]
    pub control: Option<Control>,
}

/// What client and server agree on between themselves.
#[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
pub enum Control {
    /// The client: "I want to be known as".
    #[prost(int64, tag = "4")]
    DesiredId(i64),
    /// The server: the answer to that.
    #[prost(message, tag = "5")]
    Handshake(FastHandshake),
}

/// Which id the client has.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct FastHandshake {
    /// The id that the client goes by from now on.
    #[prost(int64, tag = "1")]
    pub id: i64,
    /// It is not the one that was asked for, or there is none and the connection closes.
    #[prost(bool, tag = "2")]
    pub error: bool,
}

/// Why bytes are not a frame. The stream cannot be read any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The header announces more bytes than allowed.
    TooLong {
        /// Bytes of protobuf.
        announced: u64,
        /// The bound.
        frame_bytes_max: usize,
    },
    /// The bytes are not the protobuf message that belongs here.
    Malformed(String),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { announced, frame_bytes_max } => {
                write!(f, "a frame of {announced} bytes, the largest allowed is {frame_bytes_max}")
            }
            Self::Malformed(what) => write!(f, "malformed protobuf: {what}"),
        }
    }
}

impl std::error::Error for WireError {}

/// Bytes of the frame that `bytes` begins with, its header included, or `None` while the header is
/// incomplete. The bound is for the protobuf alone.
///
/// # Errors
/// [`WireError::TooLong`], from the header alone.
pub fn frame_len(bytes: &[u8], frame_bytes_max: usize) -> Result<Option<usize>, WireError> {
    if bytes.len() < HEADER {
        return Ok(None);
    }
    let announced = u64::from(BigEndian::read_u32(bytes));
    if announced > frame_bytes_max as u64 {
        return Err(WireError::TooLong { announced, frame_bytes_max });
    }
    Ok(Some(HEADER + announced as usize))
}

/// The message in a whole frame.
///
/// # Errors
/// [`WireError::Malformed`].
pub fn message(frame: &[u8]) -> Result<Message, WireError> {
    body(frame)
}

/// The handshake in the first frame that a server sends.
///
/// # Errors
/// [`WireError::Malformed`].
pub fn handshake(frame: &[u8]) -> Result<FastHandshake, WireError> {
    body(frame)
}

fn body<M: prost::Message + Default>(frame: &[u8]) -> Result<M, WireError> {
    M::decode(&frame[HEADER..]).map_err(|error| WireError::Malformed(error.to_string()))
}

/// Appends the frame of a [`Message`] or a [`FastHandshake`] to `out`.
pub fn encode(message: &impl prost::Message, out: &mut Vec<u8>) {
    let len = u32::try_from(message.encoded_len()).expect("a message below 4 GiB");
    out.extend_from_slice(&len.to_be_bytes());
    message.encode(out).expect("a vector has room");
}

/// Appends the frame of a plain message, which takes no text of its own.
pub fn encode_plain(from: i64, to: i64, text: &str, out: &mut Vec<u8>) {
    // The same bytes as those of `Message`, without its copy of the text.
    let len = plain_len(from, to, text);
    out.extend_from_slice(&u32::try_from(len).expect("a message below 4 GiB").to_be_bytes());
    if from != 0 {
        prost::encoding::int64::encode(1, &from, out);
    }
    if to != 0 {
        prost::encoding::int64::encode(2, &to, out);
    }
    if !text.is_empty() {
        prost::encoding::encode_key(3, prost::encoding::WireType::LengthDelimited, out);
        prost::encoding::encode_varint(text.len() as u64, out);
        out.extend_from_slice(text.as_bytes());
    }
}

fn plain_len(from: i64, to: i64, text: &str) -> usize {
    let int = |tag, value: i64| match value {
        0 => 0,
        value => prost::encoding::int64::encoded_len(tag, &value),
    };
    let text = match text.len() {
        0 => 0,
        len => prost::encoding::key_len(3) + prost::encoding::encoded_len_varint(len as u64) + len,
    };
    int(1, from) + int(2, to) + text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(from: i64, to: i64, msg: &str) -> Message {
        Message { from, to, msg: msg.to_owned(), control: None }
    }

    #[test]
    fn a_plain_message_is_encoded_as_the_message_is() {
        for (from, to) in [(0, 0), (1, -1), (i64::MAX, i64::MIN), (300, 5_000_000_000)] {
            for text in ["", "Hi there!", "世界", &"x".repeat(20_000)] {
                let (mut short, mut long) = (Vec::new(), Vec::new());
                encode_plain(from, to, text, &mut short);
                encode(&plain(from, to, text), &mut long);
                assert_eq!(short, long);
                assert_eq!(frame_len(&short, 1 << 20), Ok(Some(short.len())));
                assert_eq!(message(&short), Ok(plain(from, to, text)));
            }
        }
    }

    #[test]
    fn what_is_too_long_or_no_protobuf_is_refused() {
        let too_long = WireError::TooLong { announced: 1025, frame_bytes_max: 1024 };
        assert_eq!(frame_len(&[0, 0, 4, 1], 1024), Err(too_long));
        assert_eq!(frame_len(&[0, 0, 4, 0], 1024), Ok(Some(1028)));
        assert_eq!(frame_len(&[0, 0, 4], 1024), Ok(None));
        for bad in [&[0x1a, 5, b'h'][..], &[0x1a, 1, 0xff], &[0x0f], &[0x08]] {
            let frame = [&[0, 0, 0, bad.len() as u8], bad].concat();
            assert!(matches!(message(&frame), Err(WireError::Malformed(_))), "{bad:02x?}");
        }
    }
}
