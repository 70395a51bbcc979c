//! The classic wire: messages of 256 bytes with eight-byte names.
//!
//! `pages` holds a list of users as it is sent, `list_cache` shares lists between clients,
//! `list_sender` decides when a client is sent one, and `responder` encodes replies in the form
//! that the client uses.

pub mod codec;
mod list_cache;
mod list_sender;
mod pages;
mod responder;
mod session;

pub use self::list_cache::ListCache;
pub use self::session::Session;

use crate::wires::WireSpec;

/// The row of the classic wire in the table of wires.
pub static SPEC: WireSpec = WireSpec {
    name: "classic",
    default_port: 3602,
    sends_mail: false,
    open: || Box::new(Session::default()),
};
