//! The classic door (contract section 4): messages of 256 bytes, names of eight.
//!
//! `wire` the codec, `names` which names there are, `directory` who has which, `pages` the list as it
//! is sent, `lists` when a client is sent one, `answers` the form of what it is told, `session` the rest.

mod answers;
mod directory;
mod lists;
mod names;
mod pages;
mod session;
mod sorted;
mod table;
pub mod wire;

pub use self::directory::Directory;
pub use self::session::Session;
pub(in crate::doors) use self::session::sender_name;
