//! The doors: a wire a folder, each turning its bytes into the relay's messages and back.
//!
//! [`Session`] is the one table of them. What only one wire needs stays in its own session; no door
//! knows another.

pub mod assembly;
pub mod classic;
pub mod crc;
pub mod direct;
mod queue;

use std::fmt;

pub use self::queue::SendQueue;

use crate::limits::Limits;
use crate::relay::message::Message;

/// Which wire a listener or a dialled link speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Door {
    /// Binary CRC frames (contract section 2).
    Crc,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crc => "crc",
        })
    }
}

impl Door {
    /// Bytes of the frame that `bytes` begins with, or `None` while they do not suffice to tell.
    ///
    /// # Errors
    /// A text that says what in the bytes is not this wire's language: the stream is at its end.
    pub fn frame_len(self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, String> {
        match self {
            Self::Crc => crc::wire::frame_len(bytes, limits.frame_bytes_max)
                .map_err(|error| error.to_string()),
        }
    }
}

/// One connection's side of a wire: whole frames ⇄ messages.
#[derive(Debug)]
pub enum Session {
    /// CRC's messages are the relay's own: nothing has to be remembered between two frames.
    Crc,
}

impl Session {
    /// A session for a connection that has just begun.
    #[must_use]
    pub fn new(door: Door) -> Self {
        match door {
            Door::Crc => Self::Crc,
        }
    }

    /// Which wire it speaks.
    #[must_use]
    pub fn door(&self) -> Door {
        match self {
            Self::Crc => Door::Crc,
        }
    }

    /// What a frame, whole by [`Door::frame_len`], says.
    pub fn receive<'a>(&mut self, frame: &'a [u8]) -> Message<'a> {
        match self {
            Self::Crc => crc::wire::message(frame),
        }
    }

    /// Says a message in this wire's words.
    pub fn deliver(&mut self, message: &Message<'_>, queue: &mut SendQueue) {
        match self {
            Self::Crc => crc::wire::encode(message, queue.tail()),
        }
    }
}
