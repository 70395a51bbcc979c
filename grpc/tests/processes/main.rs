//! `crc-grpc` as processes: against itself, in a crc network, and against other gRPC programs.

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
