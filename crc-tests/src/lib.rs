//! The case runner, the simulator that it shares with the project's own tests, and the load generator.
//!
//! A `case` is a file of `command`s and of the `state` expected in the end. The `runner` plays it on
//! a `backend`: in the `simulator`, which runs on `sim`, or on real `processes`. The `suite` does so
//! with many, and the `report` is what people read. The `load` stands apart: it only measures.

pub mod backend;
pub mod binary;
pub mod case;
mod client_log;
pub mod command;
mod command_words;
pub mod frames;
pub mod fuzz;
pub mod load;
mod port_map;
pub mod processes;
mod report;
pub mod runner;
pub mod sim;
pub mod simulator;
pub mod state;
pub mod suite;
