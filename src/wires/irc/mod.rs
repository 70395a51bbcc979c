//! The IRC wire: rooms are channels, and users of all wires are nicks. See `docs/IRC.md`.
//!
//! A session replies to a command at once. What the relay has to do comes back as notices, and
//! [`Effect::Continue`](crate::wires::Effect::Continue) lets the session go on behind them, so that
//! replies have the order that clients expect. Lists that may be long are sent as the client reads,
//! and its further lines wait meanwhile.

mod caps;
mod glob;
pub mod line;
mod numerics;
mod session;
mod text;
mod whox;
mod write;

pub use self::session::Session;

use crate::wires::WireSpec;

/// The row of the IRC wire in the table of wires.
pub static SPEC: WireSpec = WireSpec {
    name: "irc",
    default_port: 6667,
    default_tls_port: 6697,
    sends_mail: true,
    open: || Box::new(Session::default()),
};
