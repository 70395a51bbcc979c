//! The CRC door.

pub mod wire;
