//! A client's side of a wire: what the server says ⇄ bytes. One file a wire.
//!
//! The app knows users by `i64`, which holds the ids of every wire, and nothing of frames.

mod crc;

pub(super) use crc::Crc;

use super::event::Text;

/// What the server said, whatever the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The registration is accepted.
    Welcome {
        /// The id that one goes by from now on.
        id: i64,
        /// The words that came with it.
        status: Option<(u16, Text)>,
    },
    /// The registration is refused for good: the id was asked for, and somebody has it.
    IdTaken {
        /// The code of the refusal.
        code: u16,
        /// Its words.
        text: Text,
        /// What is wrong and what to do, for people.
        advice: String,
    },
    /// Anything else that the server wants read.
    Status {
        /// About what.
        code: u16,
        /// For people.
        text: Text,
    },
    /// A user is online.
    Joined {
        /// Their id.
        id: i64,
        /// Their name.
        name: Text,
        /// What they say of themselves.
        info: Text,
    },
    /// A user left.
    Left {
        /// Their id.
        id: i64,
        /// Why.
        text: Text,
    },
    /// A user speaks.
    Said {
        /// Their id.
        from: i64,
        /// What.
        text: Text,
    },
}

/// The wire that is spoken.
#[derive(Debug)]
pub(super) enum Session {
    /// See [`Crc`].
    Crc(Crc),
}

impl Session {
    /// Says hello on a new connection: appends to `out` what the server must hear first.
    pub(super) fn open(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Crc(crc) => crc.open(out),
        }
    }

    /// Takes bytes from the server, and appends what they say to `heard` and answers to `out`.
    ///
    /// # Errors
    /// What is wrong with the bytes; the connection is of no more use. What came before is in `heard`.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        heard: &mut Vec<Heard>,
    ) -> Result<(), String> {
        match self {
            Self::Crc(crc) => crc.receive(bytes, out, heard),
        }
    }

    /// Appends a message to a user.
    pub(super) fn say(&self, to: i64, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Crc(crc) => crc.say(to, text, out),
        }
    }

    /// Appends a farewell.
    pub(super) fn quit(&self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Crc(crc) => crc.quit(text, out),
        }
    }

    /// The id that one goes by, or would.
    #[must_use]
    pub(super) fn id(&self) -> i64 {
        match self {
            Self::Crc(crc) => crc.id(),
        }
    }

    /// The name that one goes by.
    #[must_use]
    pub(super) fn name(&self) -> &[u8] {
        match self {
            Self::Crc(crc) => crc.name(),
        }
    }

    /// The largest id of the wire.
    #[must_use]
    pub(super) fn id_max(&self) -> i64 {
        match self {
            Self::Crc(_) => i64::from(u32::MAX),
        }
    }
}
