//! The direct door (contract section 3): length-prefixed protobuf and numeric ids of 64 bits.

pub mod wire;
