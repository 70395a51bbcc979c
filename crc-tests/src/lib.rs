//! The case runner and the simulator that it shares with the project's own tests.

pub mod frames;
pub mod sim;
