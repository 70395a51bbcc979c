//! `crc-grpc` as processes: against itself, a crc network, and programs of others.

mod chat;
mod deadlines;
mod greeting;
mod hostile;
mod interop;
mod network;
#[path = "../../src/proto.rs"]
mod proto;
mod support;
mod terminal;
