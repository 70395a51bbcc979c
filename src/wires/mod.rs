//! The wires: one folder per protocol, each with a codec and a session, and the table of all.
//!
//! A new wire is a folder with a [`Session`] and a [`WireSpec`], and a row in [`WIRES`]. The
//! command line, URIs and the operator's tables read the table. No wire imports another.

mod chat_run;
pub mod classic;
pub mod crc;
pub mod direct;
mod endpoint;
pub mod http;
pub mod irc;
mod recent_recipients;
mod room_frames;
mod session;
mod web_access;
mod web_request;

use std::fmt;

pub use self::chat_run::{ChatRun, MatchChat, RunKey, RunMatcher};
pub use self::endpoint::Endpoint;
use self::recent_recipients::RecentRecipients;
pub use self::room_frames::RoomFrames;
pub use self::session::{
    ChatHeader, Effect, Effects, NoticeCx, RoomAction, RoomRequest, Session, SessionCx,
};
pub use self::web_access::{OperatorToken, WebAccess, WebOrigin};
pub use self::web_request::{WebReply, WebRequest};
pub use crate::names::Names;

/// Every wire that a server can listen on, the default first.
pub static WIRES: [Wire; 5] = [Wire::CRC, Wire::DIRECT, Wire::CLASSIC, Wire::IRC, Wire::HTTP];

/// Every wire that the bundled client speaks.
pub static CLIENT_WIRES: [Wire; 3] = [Wire::CRC, Wire::DIRECT, Wire::CLASSIC];

/// The description of a wire.
#[derive(Debug)]
pub struct WireSpec {
    /// Name of the wire: its URI scheme, and its name in the operator's tables.
    pub name: &'static str,
    /// Port of a URI that names none.
    pub default_port: u16,
    /// Port of a URI with TLS that names none.
    pub default_tls_port: u16,
    /// Whether its clients can send messages to users who are away.
    pub sends_mail: bool,
    /// Creates the session of a new connection.
    pub open: fn() -> Box<dyn Session>,
}

/// A wire, by its description. Two wires are equal if their names are.
#[derive(Clone, Copy)]
pub struct Wire(&'static WireSpec);

impl Wire {
    /// Binary CRC frames, spoken by servers and clients.
    pub const CRC: Self = Self(&crc::SPEC);
    /// Protobuf messages with 64-bit ids.
    pub const DIRECT: Self = Self(&direct::SPEC);
    /// Messages of 256 bytes with eight-byte names.
    pub const CLASSIC: Self = Self(&classic::SPEC);
    /// IRC.
    pub const IRC: Self = Self(&irc::SPEC);
    /// Web pages, and chat as JSON over WebSocket.
    pub const HTTP: Self = Self(&http::SPEC);

    /// Returns the wire that `spec` describes.
    #[must_use]
    pub const fn new(spec: &'static WireSpec) -> Self {
        Self(spec)
    }

    /// Returns the wire of [`WIRES`] with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        WIRES.into_iter().find(|wire| wire.name() == name)
    }

    /// Returns the wire's name, which is its URI scheme.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Returns the port of a URI that names none.
    #[must_use]
    pub fn default_port(self) -> u16 {
        self.0.default_port
    }

    /// Returns the port of a URI with TLS that names none.
    #[must_use]
    pub fn default_tls_port(self) -> u16 {
        self.0.default_tls_port
    }

    /// Returns whether its clients can send messages to users who are away.
    #[must_use]
    pub fn sends_mail(self) -> bool {
        self.0.sends_mail
    }

    /// Creates the session of a new connection.
    #[must_use]
    pub fn open_session(self) -> Box<dyn Session> {
        (self.0.open)()
    }
}

impl PartialEq for Wire {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0) || self.0.name == other.0.name
    }
}

impl Eq for Wire {}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wire").field(&self.name()).finish()
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wires_are_found_by_their_names() {
        for wire in WIRES {
            assert_eq!(Wire::by_name(wire.name()), Some(wire));
        }
        assert_eq!(Wire::by_name("gopher"), None);
        assert_ne!(Wire::CRC, Wire::DIRECT);
    }

    #[test]
    fn crc_session_takes_no_memory() {
        assert_eq!(size_of_val(&*Wire::CRC.open_session()), 0);
    }
}
