//! What hosts say to each other, typed: the words that every door turns its bytes into.
//!
//! Messages borrow their texts from the buffer they were read into; names and texts are bytes,
//! because what is not UTF-8 is passed on as it is. Section 2 of `docs/PROTOCOL.md` has the bytes.

use std::fmt;

use rand::Rng;

/// The number of a server or a user, unique in the network.
///
/// 0 means "nobody yet" and `0xFFFF_FFFF` "whoever understands": neither can be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct HostId(pub u32);

impl HostId {
    /// As a destination: whoever is at the other end. As a last hop: the sender itself.
    pub const NONE: Self = Self(0);
    /// A status to this destination is an extension; who does not know it ignores it.
    pub const EXTENSION: Self = Self(u32::MAX);

    /// An id that a host may have, and that hardly anybody else has.
    pub fn random(rng: &mut impl Rng) -> Self {
        loop {
            let id = Self(rng.next_u32());
            if id.is_registrable() {
                return id;
            }
        }
    }

    /// Whether a host may have this id.
    #[must_use]
    pub fn is_registrable(self) -> bool {
        self != Self::NONE && self != Self::EXTENSION
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A user's number on the wires that have numbers of 64 bits; people's are positive.
///
/// It is the user's [`HostId`] where that is what it fits into. Where it does not, it is in the
/// user's name, in decimal, and so known to every server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct WideId(pub i64);

impl From<HostId> for WideId {
    fn from(id: HostId) -> Self {
        Self(i64::from(id.0))
    }
}

impl fmt::Display for WideId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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
