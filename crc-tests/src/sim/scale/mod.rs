//! `crc-tests simulate --scale`: one large network, whose root is lost for good and then comes
//! back.
//!
//! The servers form a tree with the same number of children everywhere. Each has fallback parents:
//! a child of the root those of its siblings that come before it, and any other server the sibling
//! of its parent and its grandparent. The users are on the direct wire, since each CRC client would
//! be sent all others.

mod command;
mod large_link;
mod network;
mod table;

use std::fmt;
use std::time::Duration;

pub use self::command::ScaleArguments;
pub(super) use self::command::run_command;
pub use self::large_link::{LinkPhase, Traffic, run_large_link};
use self::network::Network;
use super::{Meter, Turn};

/// How the root is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Loss {
    /// Its process ends, and its connections are reset.
    Kill,
    /// Its machine vanishes, and nobody is informed.
    Vanish,
}

/// The size of a network, and what happens in it.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Number of servers.
    pub servers: u32,
    /// Number of users at each server.
    pub users: u32,
    /// Number of children of a server.
    pub fan_out: u32,
    /// How the root is lost.
    pub loss: Loss,
    /// Seed of the network.
    pub seed: u64,
}

/// A phase of the run: from its beginning until all servers have one table.
#[derive(Clone, Debug)]
pub struct Phase {
    /// What it begins with.
    pub name: &'static str,
    /// Virtual time until all servers have one table; `None` if they do not within a minute.
    pub until_one_table: Option<Duration>,
    /// What it took.
    pub meter: Meter,
    servers: u32,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (total, most) = self.meter.bytes();
        match self.until_one_table {
            Some(time) => write!(f, "{}: one table after {:.2} s", self.name, time.as_secs_f64())?,
            None => write!(f, "{}: no one table within a minute", self.name)?,
        }
        write!(
            f,
            "; sent by a server {} bytes on average, {most} at most; {} calls, longest",
            total / u64::from(self.servers),
            self.meter.calls()
        )?;
        for Turn { cpu, call, server, at } in self.meter.longest() {
            let (ms, at) = (cpu.as_secs_f64() * 1000.0, at.since_start().as_secs_f64());
            write!(f, " {call} {ms:.2} ms (server {} at {at:.2} s)", server + 1)?;
        }
        Ok(())
    }
}

/// Plays a network: it comes up, its root is lost, and comes back. `on_phase` is called at the end
/// of each phase.
pub fn run(options: &Options, mut on_phase: impl FnMut(&Phase)) -> Vec<Phase> {
    let mut network = Network::start(options);
    let mut phases = Vec::new();
    let mut end_phase = |network: &mut Network, name: &'static str| {
        let until_one_table = network.run_until_one_table();
        let (servers, meter) = (options.servers, network.restart_meter());
        let phase = Phase { name, until_one_table, meter, servers };
        on_phase(&phase);
        phases.push(phase);
    };
    end_phase(&mut network, "start");
    network.lose_root(options.loss);
    end_phase(&mut network, "root lost");
    network.run_for(Duration::from_secs(30));
    network.restart_meter();
    network.start_root();
    end_phase(&mut network, "root back");
    network.run_for(Duration::from_secs(30));
    end_phase(&mut network, "30 s later");
    phases
}
