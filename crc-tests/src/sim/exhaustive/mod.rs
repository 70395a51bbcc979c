//! Small networks, explored exhaustively: every order of deliveries, timers, users' steps and up to
//! a number of faults, breadth first, with the states that were visited remembered. A predicate
//! that does not hold is found with its shortest history.
//!
//! The servers are real [`Node`](crc::node::Node)s, cloned for each event. A state of a server is
//! known by its fingerprint, see [`canonical`], and kept once; what an event leads to is
//! remembered as well. A [`State`](state::State) of the network is then a few numbers.
//!
//! The model, beside the abstractions of [`canonical`]:
//!
//! - A write between servers arrives whole and in order. Cuts of the stream are tested elsewhere.
//! - What users send arrives at once, and they handle at once what they are sent: a user talks to
//!   one server, so every order of its server's events is still among those explored.
//! - A link to a plain server that is silent is noticed by the systems of both ends, at any time.
//! - Time passes only until the next timer of any server, and only while nothing has been in flight
//!   for longer than [`Options::delay_max`].
//! - A timer is late by less than [`Options::tick`]: everything happens at multiples of it. Servers
//!   whose timers are due at the same moment run them in any order. So the phases of timers with
//!   different intervals come back, and the states are finite. In a ring, the timers of each server
//!   run in a part of the tick of their own, see [`Network::turns`].
//! - Random choices of a server depend on its seed alone.
//! - A reset drops what is in flight, and what is sent before it is noticed. A silent link drops
//!   everything and informs nobody; the ends notice it by themselves. A killed server starts again
//!   without memory, at any later time at which nothing is in flight, or never.
//!
//! These are bounds of the model, not abstractions. Two more hold for histories with several
//! faults:
//!
//! - Only the last [`Options::faults_in_flight`] faults happen at any moment; others while nothing
//!   is in flight and no timer is due.
//! - Users take their steps before the history begins, at the same moment.
//!
//! Steps that commute are taken in one order, see [`reduction`].
//!
//! In each state in which nothing is in flight and no timer is due, the network must heal by
//! itself: it is let alone, and within [`Network::heal_time`] the predicates of a healed network
//! must hold for good.

mod canonical;
mod command;
mod debug_writer;
mod explorer;
mod healed;
mod history;
mod network;
mod process;
mod reduction;
mod search;
mod state;
mod steps;
mod users;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

pub use self::command::ExhaustiveArguments;
pub(super) use self::command::run_command;
use self::explorer::Explorer;
pub use self::network::Network;
use self::search::{Bounds, Found, Search};

/// How a network is explored.
#[derive(Clone, Debug)]
pub struct Options {
    /// The network.
    pub network: Network,
    /// Maximum number of faults in a history.
    pub faults: u8,
    /// Number of them that may happen while something is in flight, the last ones.
    pub faults_in_flight: u8,
    /// Time for which anything may be in flight.
    pub delay_max: Duration,
    /// Timers run at multiples of this time, so late by less than it.
    pub tick: Duration,
    /// Number of states after which the search ends.
    pub states_max: usize,
    /// Time after which the search ends.
    pub time_max: Duration,
}

/// What was explored.
#[derive(Clone, Debug)]
pub struct Report {
    name: &'static str,
    faults: u8,
    found: Found,
    server_states: usize,
    server_events: usize,
    elapsed: Duration,
    /// The steps of the shortest history that breaks a predicate, one line each.
    history: Option<Vec<String>>,
}

impl Report {
    /// Returns whether every state was visited.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.found.is_exhausted
    }

    /// Returns the shortest history that breaks a predicate, one line a step, and the predicate in
    /// the last line.
    #[must_use]
    pub fn violation(&self) -> Option<&[String]> {
        self.history.as_deref()
    }

    /// Returns the number of states of the network.
    #[must_use]
    pub fn states(&self) -> usize {
        self.found.states
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, faults, server_states, server_events, elapsed, .. } = self;
        let Found { states, steps, depth, healed, heal_time, .. } = self.found;
        let extent = match (&self.history, self.found.is_exhausted) {
            (Some(_), _) => "a predicate does not hold",
            (None, true) => "all states visited",
            (None, false) => "not all states visited",
        };
        write!(
            f,
            "{name}, at most {faults} faults: {extent}; {states} states, {steps} steps, depth \
             {depth}, {healed} states heal in at most {:.1} s; {server_states} states and {server_events} events of \
             servers; {:.1} s",
            heal_time.as_secs_f64(),
            elapsed.as_secs_f64()
        )?;
        for line in self.history.iter().flatten() {
            write!(f, "\n{line}")?;
        }
        Ok(())
    }
}

/// Explores a network. `on_depth` is called for each depth with the number of states visited and of
/// those that are left.
pub fn run(
    options: &Options,
    interrupted: &AtomicBool,
    on_depth: impl FnMut(usize, usize, usize),
) -> Report {
    let started_at = Instant::now();
    let Options { network, faults, faults_in_flight, delay_max, tick, states_max, time_max } =
        options.clone();
    let name = network.name;
    let mut explorer = Explorer::new(network, (faults, faults_in_flight), delay_max, tick);
    let bounds = Bounds { states_max, time_max, depth_max: usize::MAX, is_reduced: true };
    let mut found = Search::new(&mut explorer, bounds).run(interrupted, on_depth);
    if let Some((steps, ..)) = &found.violation {
        // The shortest history may be one that is equivalent to an explored one.
        let bounds = Bounds { depth_max: steps.len(), is_reduced: false, ..bounds };
        let all = Search::new(&mut explorer, bounds).run(interrupted, |_, _, _| {});
        found.violation = all.violation.or(found.violation);
    }
    let (server_states, server_events) = explorer.processes.len();
    let history = found.violation.as_ref().map(|violation| explorer.describe(violation));
    let elapsed = started_at.elapsed();
    Report { name, faults, found, server_states, server_events, elapsed, history }
}
