//! A plain CRC server, as other people write it for their course, in which each habit of such
//! programs is a switch.
//!
//! The server is written from the text of the protocol alone and shares no code with the relay, so
//! it does not share its faults. [`PlainServer`] is a state machine without sockets; the simulator
//! connects it with pipes, and [`process`] with TCP.

mod frame;
pub mod habits;
pub mod process;
mod server;
#[cfg(test)]
mod tests;

pub use self::habits::{ExtensionStatus, Habits, IntroductionHop};
pub use self::server::{ConnId, PlainServer};
