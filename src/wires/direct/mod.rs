//! The direct wire: length-prefixed protobuf messages with 64-bit ids, and mail.

pub mod codec;
mod session;

pub use self::session::Session;

use crate::wires::WireSpec;

/// The row of the direct wire in the table of wires.
pub static SPEC: WireSpec = WireSpec {
    name: "direct",
    default_port: 3601,
    default_tls_port: 3601,
    sends_mail: true,
    open: || Box::new(Session::default()),
};
