//! The classic door (contract section 4): messages of 256 bytes, names of eight.

pub mod wire;
