//! [`Frame`]: the frames of the extension.

use super::{Digest, Epoch, Hop, LinkLoad, List, Nonce, RoomNames};
use crate::id::HostId;
use crate::relay::message::{Message, StatusCode};
use crate::relay::profile::Profile;
use crate::room::RoomName;

/// The content of HELLO and OFFER: who the server is, and what it knows about a lost link to the
/// same neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Version of the extension, see [`super::codec::VERSION`].
    pub version: u8,
    /// Whether the server leaves another parent for this link.
    pub is_moving: bool,
    /// One bit for each capability, see [`super::codec::PROVES_KEYS`]. Others are ignored.
    pub capabilities: u32,
    /// Epoch of the server.
    pub epoch: Epoch,
    /// Nonce of the server.
    pub nonce: Nonce,
    /// Port on which the server accepts CRC connections; 0 if there is none.
    pub port: u16,
    /// Token of this link, chosen by the server that dials. The OFFER repeats it.
    pub token: u64,
    /// Token of the last lost link between the same two instances; 0 if there is none.
    pub replay_token: u64,
    /// Number of bytes of whole frames that the sender handled on that link.
    pub handled_bytes: u64,
    /// The highest epoch that the sender knows of another instance with the receiver's id, which
    /// the receiver has to exceed. The default if there is none, and in HELLO.
    pub known: Epoch,
}

/// The content of SERVER: what is known about a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerFact {
    /// The server.
    pub id: HostId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its nonce.
    pub nonce: Nonce,
    /// The server adjacent to it on the path towards the receiver; [`HostId::NONE`] if the fact is
    /// about the sender itself.
    pub via: HostId,
    /// Number of its users.
    pub users: u32,
    /// Digest of its users.
    pub digest: Digest,
}

/// The content of PING and PONG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Token that the PONG repeats.
    pub token: u64,
    /// Number of bytes of whole frames that the sender has handled on this connection.
    pub handled_bytes: u64,
    /// Digest of all that the sender has announced on this link, if it is known.
    pub digest: Option<Digest>,
}

/// The content of TRACE and TRACE_REPLY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace<'a> {
    /// Token that the TRACE_REPLY repeats.
    pub token: u64,
    /// The host whose home is sought.
    pub target: HostId,
    /// The servers on the path so far, at most [`super::codec::HOPS_MAX`].
    pub hops: List<'a, Hop>,
}

/// The content of PROOF: the server that dialled proves that it has a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Number of the invitation whose key it is; 0 for the link key.
    pub invitation: u64,
    /// A random number that the server has chosen for this link.
    pub nonce: [u8; 32],
    /// Stands for the server that was invited; zeros with the link key.
    pub holder: [u8; 32],
    /// The proof.
    pub mac: [u8; 32],
}

/// From which server to which other one LINKS_REQUEST goes. LINKS comes back to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errand {
    /// The server that asks.
    pub origin: HostId,
    /// The server that is asked.
    pub target: HostId,
    /// Number of servers that have sent the frame on.
    pub hops: u8,
}

/// The content of ROOM_CHAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomChat<'a> {
    /// The sender.
    pub user: HostId,
    /// The server whose users are to get the message; [`HostId::NONE`] for all members.
    pub home: HostId,
    /// Higher than that of every earlier room message of a user of the sender's home.
    pub number: u64,
    /// The room.
    pub room: RoomName<'a>,
    /// Text of the message.
    pub text: &'a [u8],
}

/// The content of ROOM_TOPIC: the topic of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomTopic<'a> {
    /// Higher than that of every topic that was known when it was set.
    pub stamp: u64,
    /// The user who has set it.
    pub user: HostId,
    /// The room.
    pub room: RoomName<'a>,
    /// The name of that user, at most 255 bytes.
    pub name: &'a [u8],
    /// The topic, at most [`crate::limits::TOPIC_BYTES_MAX`]; empty if there is none any more.
    pub text: &'a [u8],
}

impl<'a> RoomChat<'a> {
    /// Returns the room message that a message between two servers is, if it is one.
    pub(in crate::relay) fn of_message(message: &Message<'a>) -> Option<Self> {
        let Message::Status { destination: HostId::EXTENSION, code, text, .. } = *message else {
            return None;
        };
        if code != StatusCode::ROOM_CHAT {
            return None;
        }
        match Frame::parse(code, text)?.ok()? {
            Frame::RoomChat(chat) => Some(chat),
            _ => None,
        }
    }
}

/// The reason of a REFUSE. Reasons that are not known refuse as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefuseReason(pub u8);

impl RefuseReason {
    /// The two servers are already connected over others.
    pub const LOOP: Self = Self(1);
    /// Another server has the id.
    pub const ID_TAKEN: Self = Self(2);
    /// The two servers are already connected by another link.
    pub const SECOND_LINK: Self = Self(3);
    /// The sender is moving to another parent.
    pub const MOVING: Self = Self(4);
}

/// The result in a TRACE_REPLY. Results that are not known end a trace as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceResult(pub u8);

impl TraceResult {
    /// The replying server is the home of the target.
    pub const HOME: Self = Self(0);
    /// The replying server does not know the target.
    pub const UNKNOWN: Self = Self(1);
    /// The target is lost in a split.
    pub const SPLIT: Self = Self(2);
    /// The target is behind a plain neighbour of the replying server.
    pub const PLAIN: Self = Self(3);
}

/// A frame of the extension. Numbers of entries and lengths of texts are bounded by the constants
/// of [`super::codec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// [`StatusCode::READS_CUT_FRAMES`]; the text is for people.
    ReadsCutFrames(&'a [u8]),
    /// [`StatusCode::HELLO`].
    Hello(Hello),
    /// [`StatusCode::OFFER`].
    Offer(Hello),
    /// [`StatusCode::COMMIT`].
    Commit {
        /// The raised epoch of the sender.
        epoch: Epoch,
        /// As in [`Hello::known`].
        known: Epoch,
    },
    /// [`StatusCode::REFUSE`].
    Refuse {
        /// Why the link is refused.
        reason: RefuseReason,
        /// Text for people, at most [`super::codec::REFUSE_TEXT_BYTES_MAX`].
        text: &'a [u8],
    },
    /// [`StatusCode::SERVER`].
    Server(ServerFact),
    /// [`StatusCode::FACTS_END`].
    FactsEnd {
        /// Number of SERVER frames sent since the COMMIT.
        servers: u32,
    },
    /// [`StatusCode::WITHDRAW`], with at most [`super::codec::IDS_MAX`] servers.
    Withdraw(List<'a, HostId>),
    /// [`StatusCode::USERS`].
    Users {
        /// The server that the users belong to.
        home: HostId,
        /// Stamps of the users in the next registrations of users, in order, at most
        /// [`super::codec::STAMPS_MAX`].
        stamps: List<'a, u64>,
    },
    /// [`StatusCode::SYNC_REQUEST`], with at most [`super::codec::IDS_MAX`] homes.
    SyncRequest(List<'a, HostId>),
    /// [`StatusCode::SYNC_BEGIN`].
    SyncBegin {
        /// The server whose users follow.
        home: HostId,
    },
    /// [`StatusCode::SYNC_END`].
    SyncEnd {
        /// The server whose users have been sent.
        home: HostId,
        /// Number of its users.
        users: u32,
        /// Digest of its users.
        digest: Digest,
    },
    /// [`StatusCode::PING`].
    Ping(Ping),
    /// [`StatusCode::PONG`].
    Pong(Ping),
    /// [`StatusCode::ACK`].
    Ack {
        /// Number of bytes of whole frames that the sender has handled on this connection.
        handled_bytes: u64,
    },
    /// [`StatusCode::MOVE`].
    Move {
        /// The server to join instead.
        replacement: HostId,
        /// Its address, `host:port`, at most [`super::codec::ADDRESS_BYTES_MAX`].
        address: &'a str,
    },
    /// [`StatusCode::END`].
    End,
    /// [`StatusCode::TRACE`].
    Trace(Trace<'a>),
    /// [`StatusCode::TRACE_REPLY`].
    TraceReply {
        /// How the trace ended.
        result: TraceResult,
        /// The trace as it arrived at the replying server.
        trace: Trace<'a>,
    },
    /// [`StatusCode::CHALLENGE`].
    Challenge {
        /// A random number that the server has chosen for this link.
        nonce: [u8; 32],
    },
    /// [`StatusCode::PROOF`].
    Proof(Proof),
    /// [`StatusCode::PROVEN`].
    Proven {
        /// The proof.
        mac: [u8; 32],
    },
    /// [`StatusCode::ROOMS`].
    Rooms {
        /// The user.
        user: HostId,
        /// Whether the user is in no other rooms.
        is_complete: bool,
        /// Rooms in which the user is.
        names: RoomNames<'a>,
    },
    /// [`StatusCode::ROOM_PART`].
    RoomPart {
        /// The user.
        user: HostId,
        /// The room that the user leaves.
        name: RoomName<'a>,
        /// Text for people.
        text: &'a [u8],
    },
    /// [`StatusCode::ROOM_CHAT`].
    RoomChat(RoomChat<'a>),
    /// [`StatusCode::ROOM_TOPIC`].
    RoomTopic(RoomTopic<'a>),
    /// [`StatusCode::PROFILE`].
    Profile {
        /// The user.
        user: HostId,
        /// Whether the registration of the user follows.
        precedes_registration: bool,
        /// What the user says of itself.
        profile: Profile<'a>,
    },
    /// [`StatusCode::LINKS_REQUEST`].
    LinksRequest(Errand),
    /// [`StatusCode::LINKS`]; the server of the errand has answered.
    Links {
        /// The errand of the LINKS_REQUEST, on its way back.
        errand: Errand,
        /// The links of the server to others, at most [`super::codec::LINKS_MAX`].
        links: List<'a, LinkLoad>,
    },
}

impl Frame<'_> {
    /// Returns the code of the status that carries the frame.
    #[must_use]
    pub fn code(&self) -> StatusCode {
        match self {
            Self::ReadsCutFrames(_) => StatusCode::READS_CUT_FRAMES,
            Self::Hello(_) => StatusCode::HELLO,
            Self::Offer(_) => StatusCode::OFFER,
            Self::Commit { .. } => StatusCode::COMMIT,
            Self::Refuse { .. } => StatusCode::REFUSE,
            Self::Server(_) => StatusCode::SERVER,
            Self::FactsEnd { .. } => StatusCode::FACTS_END,
            Self::Withdraw(_) => StatusCode::WITHDRAW,
            Self::Users { .. } => StatusCode::USERS,
            Self::SyncRequest(_) => StatusCode::SYNC_REQUEST,
            Self::SyncBegin { .. } => StatusCode::SYNC_BEGIN,
            Self::SyncEnd { .. } => StatusCode::SYNC_END,
            Self::Ping(_) => StatusCode::PING,
            Self::Pong(_) => StatusCode::PONG,
            Self::Ack { .. } => StatusCode::ACK,
            Self::Move { .. } => StatusCode::MOVE,
            Self::End => StatusCode::END,
            Self::Trace(_) => StatusCode::TRACE,
            Self::TraceReply { .. } => StatusCode::TRACE_REPLY,
            Self::Challenge { .. } => StatusCode::CHALLENGE,
            Self::Proof(_) => StatusCode::PROOF,
            Self::Proven { .. } => StatusCode::PROVEN,
            Self::Rooms { .. } => StatusCode::ROOMS,
            Self::RoomPart { .. } => StatusCode::ROOM_PART,
            Self::RoomChat(_) => StatusCode::ROOM_CHAT,
            Self::RoomTopic(_) => StatusCode::ROOM_TOPIC,
            Self::Profile { .. } => StatusCode::PROFILE,
            Self::LinksRequest(_) => StatusCode::LINKS_REQUEST,
            Self::Links { .. } => StatusCode::LINKS,
        }
    }
}
