//! The parts of a connection that do not depend on its protocol: [`LinkId`], [`SendQueue`], the
//! frame decoder, the [`LinkTable`], [`CloseReason`], and the [`Machine`] trait that a shell
//! drives.

mod buffer_pool;
pub mod frame_decoder;
mod life_cycle;
mod machine;
mod redial;
mod seeded_rng;
mod send_queue;
mod slab;
mod table;
mod time;
mod traffic;

use std::fmt;

pub use self::buffer_pool::BufferPool;
pub use self::life_cycle::LifeCycle;
pub use self::machine::{Action, DirectWrite, Keepalive, ListenerId, Machine, Origin, Security};
pub use self::redial::Redial;
pub use self::seeded_rng::SeededRng;
pub use self::send_queue::{Buffer, SendQueue, Unacknowledged};
pub(crate) use self::slab::Slab;
pub use self::table::{LinkTable, QueuedLink};
pub use self::time::Time;
pub use self::traffic::Traffic;

use crate::id::HostId;
use crate::limits::{FALSE_SOURCES_MAX, REFUSED_REGISTRATIONS_MAX, STATUS_UPDATE_BYTES_MAX};
use crate::printable::{Printable, truncated};

/// Identifies a link for the life of the program. The index is reused, the generation is not, so a
/// late event never reaches a newer connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId {
    /// Index into tables with an entry per link.
    pub index: u32,
    /// Number of the link among all that were opened.
    pub generation: u32,
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// The reason for which a link ends. `Display` is for the log; [`CloseReason::quit_text`] is the
/// text that other hosts receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The other end closed the connection.
    PeerClosed,
    /// An I/O error, such as a reset or a failed dial.
    Io(String),
    /// The machine at the other end has acknowledged nothing for too long.
    TimedOut,
    /// The input violates the wire's protocol.
    ProtocolError(String),
    /// The registration has an id that is never valid.
    InvalidId(HostId),
    /// Too many frames had a source that is not behind the link.
    FalseSources,
    /// No registration was accepted before the deadline.
    RegisterDeadline,
    /// The send queue exceeded its maximum: the other end does not read.
    QueueFull {
        /// Length of the queue in bytes.
        unsent_bytes: usize,
    },
    /// A frame that had begun was not complete in time.
    FrameDeadline,
    /// Too many registrations were refused.
    RefusedRegistrations,
    /// The address at the other end has too many connections of this kind.
    AddressLimit(&'static str),
    /// The connection had not registered, and there were too many such connections.
    Crowded,
    /// All buffers together were too large, and this link held the most.
    BuffersFull {
        /// What the link held, in bytes.
        bytes: usize,
    },
    /// The link announced more hosts than the table holds.
    TableFull,
    /// The user quit.
    Quit,
    /// The operator closed the link, with this text.
    Kicked(Vec<u8>),
    /// The server at the other end quit, with this text.
    ServerQuit(Vec<u8>),
    /// The parent is this server itself, or can be reached by another link.
    RoutingLoop(HostId),
    /// Another host registered this id earlier elsewhere in the network.
    IdTaken(HostId),
    /// Another user of the IRC wire took the nick earlier elsewhere in the network.
    NickCollision,
    /// The server at the other end sent nothing for too long.
    Silent {
        /// Time since the last byte.
        silence: std::time::Duration,
    },
    /// This server joins another one instead of the server at the other end.
    Moved(HostId),
    /// The other server to join does not answer, or does not stay.
    MoveFailed,
    /// This server stays with its parent.
    StaysAttached,
    /// This server is moving to another parent, and takes no server that moves.
    Moving,
    /// The parent refused the id.
    IdRefused(HostId),
    /// The server at the other end, or this one, may not join over this link.
    NotAdmitted,
    /// The other end showed that it speaks the extension after this end took it for plain.
    LateHello,
    /// This server takes another id and has to register anew.
    Renumbered,
    /// This server shuts down.
    Shutdown,
    /// The client has its answer, and nothing follows.
    Answered,
    /// A rule of the wire, named by the text.
    Session(String),
}

impl CloseReason {
    /// Returns the text of the quit that announces the end of a user's link for this reason.
    ///
    /// Other programs receive these bytes, so the wording does not follow that of the log.
    #[must_use]
    pub fn quit_text(&self) -> Vec<u8> {
        let text = match self {
            Self::PeerClosed => "connection closed".to_owned(),
            Self::Io(why) | Self::Session(why) => why.clone(),
            Self::ProtocolError(what) => format!("not the protocol: {what}"),
            Self::InvalidId(id) => format!("id {id} cannot be registered"),
            Self::FalseSources => {
                format!("{FALSE_SOURCES_MAX} frames with a source that is not its own")
            }
            Self::RegisterDeadline => "no registration in time".to_owned(),
            Self::QueueFull { unsent_bytes } => {
                format!("does not read: {unsent_bytes} bytes unsent")
            }
            Self::FrameDeadline => "a frame took too long".to_owned(),
            Self::RefusedRegistrations => {
                format!("{REFUSED_REGISTRATIONS_MAX} refused registrations")
            }
            Self::AddressLimit(_) => "too many connections from your address".to_owned(),
            Self::Crowded => "too many connections".to_owned(),
            Self::BuffersFull { bytes } => format!("does not read: {bytes} bytes buffered"),
            Self::TableFull => "the table of hosts is full".to_owned(),
            Self::Quit => "quit".to_owned(),
            Self::Kicked(text) if text.is_empty() => "kicked".to_owned(),
            Self::Kicked(text) => return text.clone(),
            Self::ServerQuit(text) => format!("server quit: {}", shown(text)),
            Self::RoutingLoop(id) => format!("a loop: server {id} can be reached already"),
            Self::Moved(id) => format!("joining server {id} instead"),
            Self::MoveFailed => "the other server does not answer".to_owned(),
            Self::StaysAttached => "staying with the parent".to_owned(),
            Self::Moving => "moving to another parent".to_owned(),
            Self::IdTaken(id) => format!("id {id} is taken"),
            Self::NickCollision => "nick collision".to_owned(),
            Self::Silent { .. } | Self::TimedOut => "no answer".to_owned(),
            Self::IdRefused(id) => format!("the parent refused id {id}"),
            Self::NotAdmitted => "not admitted as a server".to_owned(),
            Self::LateHello => "HELLO came too late".to_owned(),
            Self::Renumbered => "this server takes another id".to_owned(),
            Self::Shutdown => "server shutdown".to_owned(),
            Self::Answered => "answered".to_owned(),
        };
        text.into_bytes()
    }
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
            Self::FrameDeadline => f.write_str("a frame was not complete in time"),
            Self::RefusedRegistrations => {
                write!(f, "{REFUSED_REGISTRATIONS_MAX} registrations were refused")
            }
            Self::AddressLimit(what) => {
                write!(f, "too many connections {what} from its address")
            }
            Self::Crowded => f.write_str("too many connections that have not registered"),
            Self::BuffersFull { bytes } => {
                write!(
                    f,
                    "all buffers together are too large, and it holds the most: {bytes} bytes"
                )
            }
            Self::TableFull => f.write_str("the table of hosts is full"),
            Self::Quit => f.write_str("quit"),
            Self::Kicked(text) if text.is_empty() => f.write_str("kicked"),
            Self::Kicked(text) => write!(f, "kicked: {}", shown(text)),
            Self::ServerQuit(text) => write!(f, "server quit: {}", shown(text)),
            Self::RoutingLoop(id) => write!(f, "a loop: server {id} can be reached already"),
            Self::IdRefused(id) => write!(f, "the parent refused id {id}"),
            Self::Moved(id) => write!(f, "joining server {id} instead"),
            Self::MoveFailed => f.write_str("the server to join instead does not answer"),
            Self::StaysAttached => f.write_str("this server stays with its parent"),
            Self::Moving => f.write_str("moving to another parent"),
            Self::IdTaken(id) => write!(f, "another host registered id {id} earlier"),
            Self::NickCollision => f.write_str("nick collision"),
            Self::TimedOut => f.write_str("the other machine does not answer"),
            Self::Silent { silence } => write!(f, "no answer for {} s", silence.as_secs()),
            Self::NotAdmitted => f.write_str("not admitted as a server"),
            Self::LateHello => {
                f.write_str("the neighbour speaks the extension after all; joining again")
            }
            Self::Renumbered => f.write_str("this server takes another id"),
            Self::Answered => f.write_str("answered"),
            Self::Shutdown => f.write_str("server shutdown"),
        }
    }
}

/// Shows a text from others, cut at [`STATUS_UPDATE_BYTES_MAX`].
fn shown(text: &[u8]) -> Printable<'_> {
    Printable(truncated(text, STATUS_UPDATE_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quit_text_is_that_of_the_protocol() {
        let check = |reason: CloseReason, expected: &str| {
            assert_eq!(reason.quit_text(), expected.as_bytes());
        };
        check(CloseReason::PeerClosed, "connection closed");
        check(CloseReason::Io("reset".into()), "reset");
        check(CloseReason::ProtocolError("type 7".into()), "not the protocol: type 7");
        check(CloseReason::FalseSources, "8 frames with a source that is not its own");
        check(CloseReason::QueueFull { unsent_bytes: 9 }, "does not read: 9 bytes unsent");
        check(CloseReason::TableFull, "the table of hosts is full");
        check(CloseReason::Kicked(vec![]), "kicked");
        check(CloseReason::Kicked(b"too\nloud".to_vec()), "too\nloud");
        check(CloseReason::ServerQuit(b"bye".to_vec()), "server quit: bye");
        check(CloseReason::Shutdown, "server shutdown");
    }
}
