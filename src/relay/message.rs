//! [`Message`]: the messages that hosts exchange, independent of a wire.
//!
//! Messages borrow their texts from the buffer that they were parsed from. Names and texts are
//! bytes, because texts that are not UTF-8 are forwarded unchanged. See "The frames" in
//! `docs/PROTOCOL.md`.

use std::fmt;

use crate::id::HostId;
use crate::printable::{Excerpt, Printable};
use crate::relay::extension::codec::frame_name;

/// The kind of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostKind {
    /// A server, which relays.
    Server,
    /// A user, which chats.
    User,
}

impl fmt::Display for HostKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::User => "user",
        })
    }
}

/// The code of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusCode(pub u16);

impl StatusCode {
    /// The registration was accepted.
    pub const WELCOME: Self = Self(0x0000);
    /// The destination of a chat is not known.
    pub const UNKNOWN_ID: Self = Self(0x0001);
    /// The id of a registration is taken.
    pub const ID_TAKEN: Self = Self(0x0002);
    /// The operator closes this connection.
    pub const KICKED: Self = Self(0x0003);
    /// A message that was sent to the destination while it was away. The sender may have left.
    pub const MAIL: Self = Self(0x0004);
    /// A chat was dropped, because a plain server on its path does not read it.
    pub const NOT_DELIVERED: Self = Self(0x0005);
    /// This connection may not register a server.
    pub const NOT_ADMITTED: Self = Self(0x0006);
    /// A registration is refused for a bound of the server, and the connection closed.
    pub const REFUSED: Self = Self(0x0007);
}

/// Codes of statuses to [`HostId::EXTENSION`]: the frames of [`crate::relay::extension`].
impl StatusCode {
    /// The sender of this status reads frames that are cut.
    pub const READS_CUT_FRAMES: Self = Self(0xC700);
    /// The dialling server speaks the extension.
    pub const HELLO: Self = Self(0xC701);
    /// The accepting server speaks it, too.
    pub const OFFER: Self = Self(0xC702);
    /// The link may be used: the other server is new in this part of the network.
    pub const COMMIT: Self = Self(0xC703);
    /// The link must not be used.
    pub const REFUSE: Self = Self(0xC704);
    /// The fact about a server that its registration follows.
    pub const SERVER: Self = Self(0xC705);
    /// All facts of the burst have been sent.
    pub const FACTS_END: Self = Self(0xC706);
    /// Servers are no longer reached over this link.
    pub const WITHDRAW: Self = Self(0xC707);
    /// The home and the stamps of the registrations of users that follow.
    pub const USERS: Self = Self(0xC708);
    /// The users of these homes shall be sent again.
    pub const SYNC_REQUEST: Self = Self(0xC709);
    /// All users of a home follow.
    pub const SYNC_BEGIN: Self = Self(0xC70A);
    /// All users of a home have been sent.
    pub const SYNC_END: Self = Self(0xC70B);
    /// Asks for a [`StatusCode::PONG`].
    pub const PING: Self = Self(0xC70C);
    /// The reply to a [`StatusCode::PING`].
    pub const PONG: Self = Self(0xC70D);
    /// The bytes that have been handled.
    pub const ACK: Self = Self(0xC70E);
    /// The receiver shall join another server.
    pub const MOVE: Self = Self(0xC70F);
    /// Nothing follows in this direction.
    pub const END: Self = Self(0xC710);
    /// Records its path towards a host.
    pub const TRACE: Self = Self(0xC711);
    /// Returns the path of a [`StatusCode::TRACE`].
    pub const TRACE_REPLY: Self = Self(0xC712);
    /// Asks the server that dialled to prove its key.
    pub const CHALLENGE: Self = Self(0xC713);
    /// The proof of the server that dialled.
    pub const PROOF: Self = Self(0xC714);
    /// The proof of the server that accepted.
    pub const PROVEN: Self = Self(0xC715);
    /// The rooms of a user.
    pub const ROOMS: Self = Self(0xC716);
    /// A user leaves a room.
    pub const ROOM_PART: Self = Self(0xC717);
    /// A message to a room.
    pub const ROOM_CHAT: Self = Self(0xC718);
    /// The topic of a room has changed, or may not be known.
    pub const ROOM_TOPIC: Self = Self(0xC71B);
    /// What a user says of itself.
    pub const PROFILE: Self = Self(0xC71C);
    /// Asks a server what its links to servers carry.
    pub const LINKS_REQUEST: Self = Self(0xC719);
    /// The answer to a [`StatusCode::LINKS_REQUEST`].
    pub const LINKS: Self = Self(0xC71A);
}

/// The registration of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration<'a> {
    /// Kind of the host.
    pub kind: HostKind,
    /// Id of the host.
    pub source: HostId,
    /// [`HostId::NONE`] from the host itself, otherwise the adjacent server that passes the
    /// registration on.
    pub last_hop: HostId,
    /// Name, of at most [`crate::limits::NAME_BYTES_MAX`] bytes.
    pub name: &'a [u8],
    /// Description, of at most [`crate::limits::INFO_BYTES_MAX`] bytes.
    pub info: &'a [u8],
}

/// A message between hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Frame types `0x00` and `0x80`.
    Registration(Registration<'a>),
    /// Frame type `0x01`: a status from a server.
    Status {
        /// The server that sent the status.
        source: HostId,
        /// The recipient; [`HostId::NONE`] for the host at the other end of the link.
        destination: HostId,
        /// Code of the status.
        code: StatusCode,
        /// Text for people.
        text: &'a [u8],
    },
    /// Frame type `0x02`: a server leaves.
    ServerQuit {
        /// The host that leaves.
        source: HostId,
        /// The server that its children should join instead.
        replacement: HostId,
        /// Text for people.
        text: &'a [u8],
    },
    /// Frame type `0x81`: a chat from one user to another.
    Chat {
        /// The sender.
        source: HostId,
        /// The recipient.
        destination: HostId,
        /// Text of the chat.
        text: &'a [u8],
    },
    /// Frame type `0x82`: a user leaves.
    ClientQuit {
        /// The host that leaves.
        source: HostId,
        /// Text for people.
        text: &'a [u8],
    },
}

/// Shows a message in the log: its hosts and its size, but not the text of a chat.
pub(super) struct Summary<'a>(pub(super) &'a Message<'a>);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.0 {
            Message::Registration(Registration { kind, source, last_hop, name, .. }) => {
                write!(f, "registration of {kind} {source} {} by {last_hop}", Printable(name))
            }
            Message::Status { source, destination: HostId::EXTENSION, code, .. }
                if let Some(name) = frame_name(code) =>
            {
                write!(f, "{name} from {source}")
            }
            Message::Status { source, destination, code, text } => {
                let (code, text) = (code.0, Excerpt(text));
                write!(f, "status {code} from {source} to {destination}: {text}")
            }
            Message::ServerQuit { source, .. } => write!(f, "quit of server {source}"),
            Message::Chat { source, destination, text } => {
                write!(f, "chat of {} bytes from {source} to {destination}", text.len())
            }
            Message::ClientQuit { source, .. } => write!(f, "quit of user {source}"),
        }
    }
}
