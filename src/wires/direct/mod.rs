//! The direct door (contract section 3): length-prefixed protobuf and ids of 64 bits.

mod session;
pub mod wire;

pub use self::session::Session;
