//! The HTTP wire: the embedded pages, and chat as JSON over WebSocket.
//!
//! A connection begins with HTTP requests. Until one of them opens a WebSocket and its client says
//! `hello`, the connection is one that has not registered, and is bounded as such.

mod answer;
mod chat;
mod chat_event;
pub mod command;
mod finder;
mod lists;
mod message;
mod operator;
mod pages;
pub mod request;
mod response;
mod session;
mod upgrade;
pub mod websocket;

pub use self::session::Session;

use crate::wires::WireSpec;

/// The row of the HTTP wire in the table of wires.
pub static SPEC: WireSpec = WireSpec {
    name: "http",
    default_port: 3680,
    default_tls_port: 3680,
    sends_mail: false,
    open: || Box::new(Session::default()),
};
