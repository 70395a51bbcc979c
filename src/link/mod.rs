//! What every connection has, whatever it speaks: its [`LinkId`], its [`SendQueue`], the frame
//! decoder, the table of links and the reasons for which a link ends.

mod backoff;
pub mod frame_decoder;
mod send_queue;
mod table;
mod time;

use std::fmt;

pub use self::backoff::backoff;
pub use self::send_queue::{Buffer, SendQueue};
pub use self::table::{BufferPool, LinkTable, QueuedLink};
pub use self::time::Time;

use crate::id::HostId;
use crate::limits::{FALSE_SOURCES_MAX, STATUS_UPDATE_BYTES_MAX};
use crate::printable::Printable;

/// Names one link for as long as the program runs: an index that is used again, and a generation
/// that is not, so that a late event never meets the next connection in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId {
    /// Place in the tables of those who keep something for each link.
    pub index: u32,
    /// Counts the links that have been there.
    pub generation: u32,
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// Why a link ends. Its text is what the log says, and what others read when a user is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The other end closed the connection.
    PeerClosed,
    /// The system says so: a reset, a dial that failed.
    Io(String),
    /// What came is not the wire's language.
    ProtocolError(String),
    /// It asked for an id that nobody can have.
    InvalidId(HostId),
    /// It kept sending frames with a source that is not its own.
    FalseSources,
    /// No registration was accepted in time.
    RegisterDeadline,
    /// It does not take what it is sent.
    QueueFull {
        /// Bytes that were waiting.
        unsent_bytes: usize,
    },
    /// It tells of more hosts than the table holds.
    TableFull,
    /// The user left.
    Quit,
    /// The operator ended it.
    Kicked(Vec<u8>),
    /// The server at the other end said that it leaves.
    ServerQuit(Vec<u8>),
    /// The parent is this server itself or can be reached already: a loop.
    RoutingLoop(HostId),
    /// The parent refused the id.
    IdRefused(HostId),
    /// This server takes another id, so its neighbours must be introduced anew.
    Renumbered,
    /// This server stops.
    Shutdown,
    /// Its wire's own rules end it; the text says which.
    Session(String),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed => f.write_str("connection closed"),
            Self::Io(why) | Self::Session(why) => f.write_str(why),
            Self::ProtocolError(what) => write!(f, "not the protocol: {what}"),
            Self::InvalidId(id) => write!(f, "id {id} cannot be registered"),
            Self::FalseSources => {
                write!(f, "{FALSE_SOURCES_MAX} frames with a source that is not its own")
            }
            Self::RegisterDeadline => f.write_str("no registration in time"),
            Self::QueueFull { unsent_bytes } => {
                write!(f, "does not read: {unsent_bytes} bytes unsent")
            }
            Self::TableFull => f.write_str("the table of hosts is full"),
            Self::Quit => f.write_str("quit"),
            Self::Kicked(text) if text.is_empty() => f.write_str("kicked"),
            Self::Kicked(text) => write!(f, "kicked: {}", truncated(text)),
            Self::ServerQuit(text) => write!(f, "server quit: {}", truncated(text)),
            Self::RoutingLoop(id) => write!(f, "a loop: server {id} can be reached already"),
            Self::IdRefused(id) => write!(f, "the parent refused id {id}"),
            Self::Renumbered => f.write_str("this server takes another id"),
            Self::Shutdown => f.write_str("server shutdown"),
        }
    }
}

fn truncated(text: &[u8]) -> Printable<'_> {
    Printable(&text[..text.len().min(STATUS_UPDATE_BYTES_MAX)])
}
