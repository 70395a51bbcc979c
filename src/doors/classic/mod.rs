//! The classic door (contract section 4): messages of 256 bytes, names of eight.

mod directory;
mod session;
pub mod wire;

pub use self::directory::Directory;
pub use self::session::Session;
