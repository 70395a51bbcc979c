//! The classic wire: messages of 256 bytes with eight-byte names.
//!
//! `list_sender` decides when a client is sent a list of users, and `responder` encodes replies in
//! the form that the client uses.

pub mod codec;
mod list_sender;
mod responder;
mod session;

pub use self::session::Session;

use crate::wires::WireSpec;

/// The row of the classic wire in the table of wires.
pub static SPEC: WireSpec = WireSpec {
    name: "classic",
    default_port: 3602,
    default_tls_port: 3602,
    sends_mail: false,
    open: || Box::new(Session::default()),
};
