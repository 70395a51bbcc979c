//! [`Message`]: the messages that hosts exchange, independent of a wire.
//!
//! Messages borrow their texts from the buffer that they were parsed from. Names and texts are
//! bytes, because texts that are not UTF-8 are forwarded unchanged. See "The frames" in
//! `docs/PROTOCOL.md`.

use std::fmt;

use crate::id::HostId;
use crate::printable::{Excerpt, Printable};

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
    /// Extension, to [`HostId::EXTENSION`]: the sender of this status reads frames that are cut.
    pub const READS_CUT_FRAMES: Self = Self(0xC700);
    /// A message that was sent to the destination while it was away. The sender may have left.
    pub const MAIL: Self = Self(0x0004);
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
