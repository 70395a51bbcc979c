//! The CRC wire: binary frames with 32-bit ids, spoken by servers and clients.

pub mod codec;
mod session;

pub use self::session::Session;

use crate::wires::WireSpec;

/// The row of the CRC wire in the table of wires.
pub static SPEC: WireSpec = WireSpec {
    name: "crc",
    default_port: 3600,
    default_tls_port: 3600,
    sends_mail: false,
    open: || Box::new(Session),
};
