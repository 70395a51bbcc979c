//! The case runner and the simulator that it shares with the project's own tests.

pub mod backend;
pub mod case;
mod client_log;
pub mod command;
pub mod frames;
mod ports;
pub mod processes;
pub mod runner;
pub mod sim;
pub mod simulator;
pub mod state;
mod words;
