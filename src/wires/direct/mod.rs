//! The direct door (contract section 3): length-prefixed protobuf and ids of 64 bits.

pub mod codec;
mod session;

pub use self::session::Session;
