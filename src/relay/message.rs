//! What hosts say to each other, typed: the words that every door turns its bytes into.
//!
//! Messages borrow their texts from the buffer they were read into; names and texts are bytes,
//! because what is not UTF-8 is passed on as it is. Section 2 of `docs/PROTOCOL.md` has the bytes.

use crate::id::HostId;

/// The two kinds of host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostKind {
    /// A machine that relays.
    Server,
    /// A person or program that chats.
    User,
}

/// A code of a status message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusCode(pub u16);

impl StatusCode {
    /// The registration was accepted.
    pub const WELCOME: Self = Self(0x0000);
    /// The destination of a chat is not known.
    pub const UNKNOWN_ID: Self = Self(0x0001);
    /// The id of a registration is taken.
    pub const ID_TAKEN: Self = Self(0x0002);
    /// The operator ends this connection.
    pub const KICKED: Self = Self(0x0003);
    /// What somebody who may have left since said to the destination while that was away.
    pub const MAIL: Self = Self(0x0004);
}

/// "I am here", or "that one is there".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration<'a> {
    /// What the source is.
    pub kind: HostKind,
    /// Who is registered.
    pub source: HostId,
    /// 0 when the source itself says so, else the adjacent server that passes it on.
    pub last_hop: HostId,
    /// At most [`crate::limits::NAME_BYTES_MAX`] bytes.
    pub name: &'a [u8],
    /// At most [`crate::limits::INFO_BYTES_MAX`] bytes.
    pub info: &'a [u8],
}

/// A message between hosts (contract section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// `0x00` and `0x80`.
    Registration(Registration<'a>),
    /// `0x01`: a server tells a host something.
    Status {
        /// The server that says it.
        source: HostId,
        /// Whom it is for; 0 for whoever is at the other end.
        destination: HostId,
        /// What it is about.
        code: StatusCode,
        /// For people.
        text: &'a [u8],
    },
    /// `0x02`: a server leaves.
    ServerQuit {
        /// Who leaves.
        source: HostId,
        /// Where its children should go.
        replacement: HostId,
        /// For people.
        text: &'a [u8],
    },
    /// `0x81`: one user speaks to another.
    Chat {
        /// Who speaks.
        source: HostId,
        /// To whom.
        destination: HostId,
        /// What.
        text: &'a [u8],
    },
    /// `0x82`: a user leaves.
    ClientQuit {
        /// Who leaves.
        source: HostId,
        /// For people.
        text: &'a [u8],
    },
}
