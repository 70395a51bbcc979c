//! The classic door (contract section 4): messages of 256 bytes, names of eight.
//!
//! `codec` the codec, `pages` the list as it
//! is sent, `lists` when a client is sent one, `answers` the form of what it is told, `session` the rest.

pub mod codec;
mod list_cache;
mod list_sender;
mod pages;
mod responder;
mod session;

pub use self::list_cache::ListCache;
pub use self::session::Session;
pub(in crate::wires) use self::session::sender_name;
