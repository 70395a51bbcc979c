//! The workload of everybody who arrives at once, as after a power cut.

use std::time::Duration;

use super::fleet::{Ear, Fleet};
use super::report::others::ConnectReport;
use super::servers::{Network, Site};
use super::stamp::STAMP_BYTES;
use super::usage::{self, Mark};
use super::wire::{Heard, Role};
use super::{Context, Stop};
use crate::command::Wire;

/// When nothing has come for so long, everybody has been told of everybody.
const QUIET: u64 = 300_000_000;

/// A run of this workload.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) site: Site,
    pub(super) wire: Wire,
    pub(super) clients: usize,
    /// How many may wait to be registered at a time.
    pub(super) at_a_time: usize,
    pub(super) pin: bool,
}

/// When who was taken in, and what was said of it.
#[derive(Default)]
struct Arrivals {
    registered: usize,
    registered_at: u64,
    /// Registrations of others that clients were told of.
    told: u64,
    heard_at: u64,
}

impl Ear for Arrivals {
    fn hear(&mut self, _: usize, heard: Heard<'_>, now: u64) {
        self.heard_at = now;
        match heard {
            Heard::Host(_) => self.told += 1,
            Heard::Welcome(_) | Heard::Interval(_) => {
                self.registered += 1;
                self.registered_at = now;
            }
            _ => {}
        }
    }
}

/// Runs it.
///
/// # Errors
/// The clients could not all be registered, with a reason.
pub(super) fn run(plan: &Plan, context: &Context) -> Result<ConnectReport, Stop> {
    usage::allow_connections(plan.clients)?;
    let mut network = Network::open(&plan.site, plan.wire, plan.pin)?;
    load(plan, &network, context).map_err(|stop| network.explain(stop))
}

fn load(plan: &Plan, network: &Network, context: &Context) -> Result<ConnectReport, Stop> {
    let pids = network.pids();
    let mut fleet = Fleet::new(STAMP_BYTES, context.interrupted.clone())?;
    let mut arrivals = Arrivals::default();
    context.note(&format!("connecting {} clients, {} at a time", plan.clients, plan.at_a_time));
    let empty = usage::resident_bytes(pids);
    let (begin, begun_at) = (Mark::now(pids, fleet.waited()), fleet.now());
    for at in 0..plan.clients {
        fleet.connect(plan.wire, Role::User, network.door(at % network.len(), plan.wire))?;
        fleet.await_registered(plan.at_a_time.saturating_sub(1), &mut arrivals)?;
    }
    fleet.await_registered(0, &mut arrivals)?;
    while fleet.now() < arrivals.heard_at + QUIET {
        fleet.turn(Duration::from_millis(20), &mut arrivals)?;
    }
    let end = Mark::now(pids, fleet.waited());
    let span = |at: u64| Duration::from_nanos(at.saturating_sub(begun_at));
    Ok(ConnectReport {
        plan: plan.clone(),
        servers: network.len(),
        registered_in: span(arrivals.registered_at),
        told_in: span(arrivals.heard_at),
        told: arrivals.told,
        spent: begin.until(&end),
        empty,
        loaded: usage::resident_bytes(pids),
        peak: usage::peak_bytes(pids),
    })
}
