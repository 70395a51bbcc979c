//! The doors: a wire a folder, each turning its bytes into the relay's messages and back.

pub mod assembly;
pub mod crc;
