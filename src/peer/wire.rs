//! The peer wire: frames ⇄ what peers say to each other (contract section 5, `docs/PROTOCOL.md`).
//!
//! Frames are those of the direct wire: a length, u32 big-endian, and that many bytes of protobuf.
//! Each holds one [`Frame`], which is a `oneof`.

use prost::Message as _;

use crate::limits::{PEER_FRAME_BYTES_MAX, PEER_LINKS_MAX, PEER_TEXT_BYTES_MAX};
use crate::wires::direct::codec as direct;
pub use crate::wires::direct::codec::WireError;

/// Bytes of the length that a frame begins with.
const HEADER_BYTES: usize = 4;

/// The last version that a peer says of itself.
pub(super) const VERSION_MAX: u64 = u64::MAX - 1;

/// The one message.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Frame {
    /// What is said.
    #[prost(oneof = "Body", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    pub body: Option<Body>,
}

/// What is said. What is missing was added by a newer peer and is passed over.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum Body {
    /// The first word of the side that connects.
    #[prost(message, tag = "1")]
    Hello(Hello),
    /// The answer to it.
    #[prost(message, tag = "2")]
    Grant(Grant),
    /// A peer is here, beside these others. Flooded.
    #[prost(message, tag = "3")]
    Advertisement(Advertisement),
    /// One says something to another. Flooded.
    #[prost(message, tag = "4")]
    Chat(Chat),
    /// The addressee has it. Flooded.
    #[prost(message, tag = "5")]
    Receipt(Receipt),
    /// All that was known before this link was there has been told.
    #[prost(message, tag = "6")]
    EndOfState(Empty),
    /// Are you there?
    #[prost(message, tag = "7")]
    Ping(Empty),
    /// Yes.
    #[prost(message, tag = "8")]
    Pong(Empty),
}

/// Nothing to add.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Empty {}

/// Who connects.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Hello {
    /// Names the running program: 38 bits of 10 ms intervals since 2024, when it started, and 26 bits
    /// of chance. It stays while the id may change.
    #[prost(fixed64, tag = "1")]
    pub incarnation: u64,
    /// The id that it goes by; 0 if it has none yet.
    #[prost(int64, tag = "2")]
    pub id: i64,
    /// Without an id, the one that it wishes; 0 for any.
    #[prost(int64, tag = "3")]
    pub desired_id: i64,
}

/// Who was connected to, and the id granted.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Grant {
    /// The one who grants.
    #[prost(fixed64, tag = "1")]
    pub incarnation: u64,
    /// The id that the other goes by from now on.
    #[prost(int64, tag = "2")]
    pub id: i64,
    /// It is not the one that was wished: that is taken, or cannot be had.
    #[prost(bool, tag = "3")]
    pub refused: bool,
}

/// What a peer says of itself.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Advertisement {
    /// Who.
    #[prost(fixed64, tag = "1")]
    pub incarnation: u64,
    /// Counts what it has said; the highest holds.
    #[prost(uint64, tag = "2")]
    pub version: u64,
    /// Its id.
    #[prost(int64, tag = "3")]
    pub id: i64,
    /// Since when it goes by that, made as `life` is: of two who have one id, the smaller keeps it.
    #[prost(fixed64, tag = "4")]
    pub id_since: u64,
    /// The lives of those that it is linked to, ascending.
    #[prost(fixed64, repeated, tag = "5")]
    pub neighbours: Vec<u64>,
}

/// What one says to another. Its name is (`life`, `to`, `number`).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Chat {
    /// The program that sent it.
    #[prost(fixed64, tag = "1")]
    pub incarnation: u64,
    /// Counts what that has sent to this addressee, from 1.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// The id that the sender went by.
    #[prost(int64, tag = "3")]
    pub from: i64,
    /// The addressee's id.
    #[prost(int64, tag = "4")]
    pub to: i64,
    /// The lowest number to this addressee without a receipt when this was sent: those from it on
    /// come first.
    #[prost(uint64, tag = "5")]
    pub first_unacked: u64,
    /// How long it has been kept so far, in milliseconds.
    #[prost(uint64, tag = "6")]
    pub age_ms: u64,
    /// What is said.
    #[prost(string, tag = "7")]
    pub text: String,
}

/// A message is at its end.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Receipt {
    /// The program that sent the message.
    #[prost(fixed64, tag = "1")]
    pub incarnation: u64,
    /// Its number.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// The addressee.
    #[prost(int64, tag = "3")]
    pub to: i64,
    /// It came after one that was sent later, and is not shown any more.
    #[prost(bool, tag = "4")]
    pub late: bool,
}

/// Names a message: the sender's life, the addressee, the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageId {
    /// The program that sent it.
    pub incarnation: u64,
    /// The addressee.
    pub to: i64,
    /// Counted by the sender for each addressee, from 1.
    pub sequence: u64,
}

impl Chat {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> MessageId {
        MessageId { incarnation: self.incarnation, to: self.to, sequence: self.sequence }
    }
}

impl Receipt {
    /// Of which message.
    #[must_use]
    pub fn id(&self) -> MessageId {
        MessageId { incarnation: self.incarnation, to: self.to, sequence: self.sequence }
    }

    pub(super) fn for_message(id: MessageId, late: bool) -> Self {
        Self { incarnation: id.incarnation, sequence: id.sequence, to: id.to, late }
    }
}

/// Bytes of the frame that `bytes` begins with, or `None` while its header is incomplete.
///
/// # Errors
/// [`WireError::TooLong`], from the header alone.
pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, WireError> {
    direct::frame_len(bytes, PEER_FRAME_BYTES_MAX)
}

/// What a whole frame says; `None` if a newer peer says something that this one does not know.
///
/// # Errors
/// [`WireError::Malformed`]: no such protobuf, or numbers that no peer says.
pub fn parse(frame: &[u8]) -> Result<Option<Body>, WireError> {
    let malformed = |what: String| WireError::Malformed(what);
    let frame =
        Frame::decode(&frame[HEADER_BYTES..]).map_err(|error| malformed(error.to_string()))?;
    match &frame.body {
        Some(Body::Hello(hello)) if hello.incarnation == 0 || hello.id < 0 => {
            Err(malformed("a hello of nobody".to_owned()))
        }
        Some(Body::Grant(grant)) if grant.incarnation == 0 || grant.id <= 0 => {
            Err(malformed("a grant of no id".to_owned()))
        }
        Some(Body::Advertisement(advertisement)) if !is_valid_advertisement(advertisement) => {
            Err(malformed("a peer that cannot be".to_owned()))
        }
        Some(Body::Chat(chat)) if !is_valid_chat(chat) => {
            Err(malformed("a message that cannot be".to_owned()))
        }
        _ => Ok(frame.body),
    }
}

fn is_valid_advertisement(advertisement: &Advertisement) -> bool {
    advertisement.incarnation != 0
        && advertisement.id > 0
        && advertisement.version <= VERSION_MAX
        && advertisement.neighbours.len() <= PEER_LINKS_MAX
        && advertisement.neighbours.is_sorted_by(|a, b| a < b)
        && advertisement.neighbours.binary_search(&advertisement.incarnation).is_err()
}

fn is_valid_chat(chat: &Chat) -> bool {
    chat.incarnation != 0
        && chat.from > 0
        && chat.to > 0
        && (1..=chat.sequence).contains(&chat.first_unacked)
        && chat.sequence < u64::MAX
        && chat.text.len() <= PEER_TEXT_BYTES_MAX
}

/// Appends the frame that says this to `out`.
pub fn encode(body: Body, out: &mut Vec<u8>) {
    direct::encode(&Frame { body: Some(body) }, out);
}
