//! The codec of the peer wire (`docs/PROTOCOL.md`, *The peer wire*).
//!
//! Frames are those of the direct wire: a u32 big-endian length and that many bytes of protobuf.
//! Each holds one [`Frame`], whose only field is a `oneof`.

use prost::Message as _;

use crate::limits::{PEER_FRAME_BYTES_MAX, PEER_LINKS_MAX, PEER_TEXT_BYTES_MAX};
use crate::room::RoomName;
use crate::wires::direct::codec as direct;
pub use crate::wires::direct::codec::WireError;

/// Length of the frame header, in bytes.
const HEADER_BYTES: usize = 4;

/// The highest version of an advertisement.
pub(super) const VERSION_MAX: u64 = u64::MAX - 1;

/// The protobuf message of every frame.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Frame {
    /// The body; `None` if it is of a type unknown to this version.
    #[prost(oneof = "Body", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9")]
    pub body: Option<Body>,
}

/// The body of a frame.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum Body {
    /// The first frame of the connecting side.
    #[prost(message, tag = "1")]
    Hello(Hello),
    /// The answer to a [`Hello`].
    #[prost(message, tag = "2")]
    Grant(Grant),
    /// A peer's id and neighbours. Flooded.
    #[prost(message, tag = "3")]
    Advertisement(Advertisement),
    /// A message from one peer to another. Flooded.
    #[prost(message, tag = "4")]
    Chat(Chat),
    /// The addressee has received a message. Flooded.
    #[prost(message, tag = "5")]
    Receipt(Receipt),
    /// The end of the initial state of a link.
    #[prost(message, tag = "6")]
    EndOfState(Empty),
    /// A liveness probe, answered with [`Body::Pong`].
    #[prost(message, tag = "7")]
    Ping(Empty),
    /// The answer to [`Body::Ping`].
    #[prost(message, tag = "8")]
    Pong(Empty),
    /// A message to all peers in a room. Flooded.
    #[prost(message, tag = "9")]
    RoomChat(RoomChat),
}

/// A message without fields.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Empty {}

/// Identifies the connecting peer.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Hello {
    /// Identifies the running program: its start time in 10 ms intervals since 2024 (38 bits), and
    /// 26 random bits. Unchanged while the id may change.
    #[prost(fixed64, tag = "1")]
    pub incarnation: u64,
    /// Its id; 0 if it has none yet.
    #[prost(int64, tag = "2")]
    pub id: i64,
    /// The desired id of a peer without one; 0 for any.
    #[prost(int64, tag = "3")]
    pub desired_id: i64,
}

/// Identifies the accepting peer, and assigns an id to the connecting one.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Grant {
    /// The incarnation of the accepting peer.
    #[prost(fixed64, tag = "1")]
    pub incarnation: u64,
    /// The id of the connecting peer from now on.
    #[prost(int64, tag = "2")]
    pub id: i64,
    /// Whether the desired id was refused, because it is taken or invalid.
    #[prost(bool, tag = "3")]
    pub refused: bool,
}

/// A peer's id and neighbours.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Advertisement {
    /// The advertised peer.
    #[prost(fixed64, tag = "1")]
    pub incarnation: u64,
    /// Increases with each advertisement of the peer; the highest is valid.
    #[prost(uint64, tag = "2")]
    pub version: u64,
    /// Its id.
    #[prost(int64, tag = "3")]
    pub id: i64,
    /// When the peer took its id, in the form of an incarnation. Of two peers with one id, the one
    /// with the smaller value keeps it.
    #[prost(fixed64, tag = "4")]
    pub id_since: u64,
    /// The incarnations that the peer is linked to, ascending.
    #[prost(fixed64, repeated, tag = "5")]
    pub neighbours: Vec<u64>,
}

/// A message from one peer to another, identified by (`incarnation`, `to`, `sequence`).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Chat {
    /// The sender's incarnation.
    #[prost(fixed64, tag = "1")]
    pub incarnation: u64,
    /// Counts the messages of the sender to this addressee, from 1.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// The sender's id when it sent the message.
    #[prost(int64, tag = "3")]
    pub from: i64,
    /// The addressee's id.
    #[prost(int64, tag = "4")]
    pub to: i64,
    /// The lowest sequence number to this addressee that had no receipt when the message was sent.
    /// Messages from that number on are shown before this one.
    #[prost(uint64, tag = "5")]
    pub first_unacked: u64,
    /// How long the message has been retained so far, in milliseconds.
    #[prost(uint64, tag = "6")]
    pub age_ms: u64,
    /// The text.
    #[prost(string, tag = "7")]
    pub text: String,
}

/// A message to all peers in a room, identified by (`incarnation`, `sequence`).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RoomChat {
    /// The sender's incarnation.
    #[prost(fixed64, tag = "1")]
    pub incarnation: u64,
    /// Counts the room messages of the sender, from 1.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// The sender's id when it sent the message.
    #[prost(int64, tag = "3")]
    pub from: i64,
    /// The room.
    #[prost(string, tag = "4")]
    pub room: String,
    /// The text.
    #[prost(string, tag = "5")]
    pub text: String,
}

/// Confirms that the addressee has received a message.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Receipt {
    /// The incarnation of the message's sender.
    #[prost(fixed64, tag = "1")]
    pub incarnation: u64,
    /// The sequence number of the message.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// The addressee's id.
    #[prost(int64, tag = "3")]
    pub to: i64,
    /// Whether the message arrived after a later one was shown, and was not shown itself.
    #[prost(bool, tag = "4")]
    pub late: bool,
}

/// Identifies a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageId {
    /// The sender's incarnation.
    pub incarnation: u64,
    /// The addressee's id.
    pub to: i64,
    /// Counted by the sender for each addressee, from 1.
    pub sequence: u64,
}

impl Chat {
    /// Returns the id of this message.
    #[must_use]
    pub fn id(&self) -> MessageId {
        MessageId { incarnation: self.incarnation, to: self.to, sequence: self.sequence }
    }
}

impl Receipt {
    /// Returns the id of the acknowledged message.
    #[must_use]
    pub fn id(&self) -> MessageId {
        MessageId { incarnation: self.incarnation, to: self.to, sequence: self.sequence }
    }

    /// Returns the receipt for a message.
    pub(super) fn for_message(id: MessageId, late: bool) -> Self {
        Self { incarnation: id.incarnation, sequence: id.sequence, to: id.to, late }
    }
}

/// Returns the length of the frame at the start of `bytes`, or `None` while its header is
/// incomplete.
///
/// # Errors
/// Returns [`WireError::TooLong`], from the header alone.
pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, WireError> {
    direct::frame_len(bytes, PEER_FRAME_BYTES_MAX)
}

/// Parses a whole frame. Returns `None` if its body is of a type unknown to this version.
///
/// # Errors Returns [`WireError::Malformed`] if the frame is not such a protobuf message or a field
/// is invalid.
pub fn parse(frame: &[u8]) -> Result<Option<Body>, WireError> {
    let malformed = |what: String| WireError::Malformed(what);
    let frame =
        Frame::decode(&frame[HEADER_BYTES..]).map_err(|error| malformed(error.to_string()))?;
    match &frame.body {
        Some(Body::Hello(hello)) if hello.incarnation == 0 || hello.id < 0 => {
            Err(malformed("a hello without an incarnation, or with a negative id".to_owned()))
        }
        Some(Body::Grant(grant)) if grant.incarnation == 0 || grant.id <= 0 => {
            Err(malformed("a grant without an incarnation or a positive id".to_owned()))
        }
        Some(Body::Advertisement(advertisement)) if !is_valid_advertisement(advertisement) => {
            Err(malformed(
                "an advertisement with an invalid id, version or list of neighbours".to_owned(),
            ))
        }
        Some(Body::Chat(chat)) if !is_valid_chat(chat) => {
            Err(malformed("a chat with an invalid id, sequence or length".to_owned()))
        }
        Some(Body::RoomChat(chat)) if !is_valid_room_chat(chat) => {
            Err(malformed("a room message with an invalid id, sequence, room or length".to_owned()))
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

fn is_valid_room_chat(chat: &RoomChat) -> bool {
    chat.incarnation != 0
        && chat.from > 0
        && chat.sequence > 0
        && RoomName::parse(chat.room.as_bytes()).is_ok()
        && chat.text.len() <= PEER_TEXT_BYTES_MAX
}

/// Appends the frame with this body to `out`.
pub fn encode(body: Body, out: &mut Vec<u8>) {
    direct::encode(&Frame { body: Some(body) }, out);
}
