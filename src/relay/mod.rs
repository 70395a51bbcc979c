//! The core.

pub mod message;
