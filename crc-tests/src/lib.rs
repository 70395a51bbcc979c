//! The case runner and the simulator that it shares with the project's own tests.

pub mod case;
pub mod command;
pub mod frames;
pub mod sim;
pub mod state;
mod words;
