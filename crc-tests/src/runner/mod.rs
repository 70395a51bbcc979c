//! The case runner: plays case files on a simulated network and on real processes.
//!
//! [`case`] reads a file into typed [`command`]s and the [`state`] expected at the end. [`run`]
//! plays it on a [`backend`], either the [`simulator`] or [`processes`]. [`suite`] runs many cases,
//! and `report` renders the results. `golden` compares the frames of a run with the trace beside
//! its case.

pub mod backend;
pub mod case;
mod client_log;
pub mod command;
mod command_parsers;
mod command_words;
mod golden;
mod port_map;
pub mod processes;
mod report;
pub mod run;
pub mod simulator;
pub mod state;
pub mod suite;
