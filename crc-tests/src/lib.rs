//! The test tools of crc, in six parts.
//!
//! - [`sim`]: real nodes over in-memory links in virtual time, driven by a seed.
//! - [`runner`]: plays scripted cases in the simulator and against real processes.
//! - [`plain`]: a CRC server with the habits of other programs.
//! - [`load`]: the load generator, which measures and tests nothing.
//! - [`streams`]: mutated streams for each codec, as many as there is time for.
//! - [`tls_cost`]: what TLS costs a server.
//!
//! [`frames`] encodes CRC frames for tests, and [`fuzz`] holds the bodies of the fuzz targets.
//! [`binary`] and `child` find and run the `crc` executable for the runner and the load generator.

pub mod binary;
mod child;
pub mod frames;
pub mod fuzz;
pub mod load;
pub mod plain;
pub mod pty;
pub mod runner;
pub mod sim;
pub mod streams;
pub mod tls_cost;
