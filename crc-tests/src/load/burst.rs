//! The workload of servers that join a large network, while people talk: how fast hosts are taken
//! from one and told to the next, and whether anybody notices.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::conversation::{Conversation, Talk, histogram};
use super::fleet::{Deaf, Ear, Fleet, PATIENCE};
use super::hosts::{Announced, Announcer, Counter};
use super::report::others::BurstReport;
use super::servers::{Network, Site};
use super::usage::{self, Mark};
use super::wire::Role;
use super::{Context, Stop};
use crate::command::Wire;

/// A window that is closed by hand.
const OPEN_END: Duration = Duration::from_secs(24 * 60 * 60);

/// A run of this workload.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) site: Site,
    /// Users behind the server that joins.
    pub(super) users: usize,
    /// Who talks meanwhile, in an open loop.
    pub(super) talk: Talk,
    pub(super) warm_up: Duration,
    /// How long people talk before anybody joins, for comparison.
    pub(super) duration: Duration,
    pub(super) pin: bool,
}

/// What happened to those who talked, in one part of the run, and what that cost.
pub(super) struct Phase {
    pub(super) latencies: Histogram<u64>,
    /// How long the hosts took.
    pub(super) took: Duration,
    /// CPU time of all servers, if it is known.
    pub(super) server: Option<Duration>,
}

/// Runs it.
///
/// # Errors
/// It could not be measured, with a reason.
pub(super) fn run(plan: &Plan, context: &Context) -> Result<BurstReport, Stop> {
    usage::allow_connections(plan.talk.connections() + 3)?;
    let mut network = Network::open(&plan.site, plan.talk.wire, plan.pin)?;
    load(plan, &network, context).map_err(|stop| network.explain(stop))
}

fn load(plan: &Plan, network: &Network, context: &Context) -> Result<BurstReport, Stop> {
    let pids = network.pids();
    let mut fleet = Fleet::new(plan.talk.size, context.interrupted.clone())?;
    context.note(&format!("preparing {} users", plan.users));
    let mut announcer = Announcer::join(&mut fleet, network, plan.users, Announced::Users)?;
    let mut talk = Conversation::join(&mut fleet, network, plan.talk.clone())?;
    let empty = usage::resident_bytes(pids);
    talk.begin(&mut fleet);
    let warm = fleet.now() + plan.warm_up.as_nanos() as u64;
    while fleet.now() < warm {
        talk.step(&mut fleet, &mut Deaf)?;
    }

    let begin_of_all = Mark::now(pids, fleet.waited());
    context.note("people talk, and nobody joins");
    let mut phases = Phases { fleet: &mut fleet, talk: &mut talk, pids };
    let until = phases.fleet.now() + plan.duration.as_nanos() as u64;
    let before = phases.run(&mut Deaf, |fleet, _| {
        let now = fleet.now();
        Ok((now >= until).then_some(plan.duration))
    })?;

    context.note(&format!("a server with {} users joins", plan.users));
    let applied = phases.run(&mut announcer, |fleet, announcer| {
        announcer.feed(fleet);
        announcer.check_progress()?;
        Ok(announcer.took().map(Duration::from_nanos))
    })?;
    let loaded = usage::resident_bytes(pids);

    context.note("a server joins that is told of them");
    let last = network.door(network.len() - 1, Wire::Crc);
    let begin = phases.fleet.now();
    let client = phases.fleet.connect(Wire::Crc, Role::Server, last)?;
    let mut counter = Counter { client, count: 0, at: begin };
    let told = phases.run(&mut counter, |fleet, counter| {
        if fleet.now() > counter.at + PATIENCE.as_nanos() as u64 {
            let (count, seconds) = (counter.count, PATIENCE.as_secs());
            return Err(Stop::fault(format!(
                "a new server was told of {count} hosts, and of no more for {seconds} s"
            )));
        }
        let is_told = counter.count >= plan.users as u64;
        Ok(is_told.then(|| Duration::from_nanos(counter.at - begin)))
    })?;
    let spent = begin_of_all.until(&Mark::now(pids, fleet.waited()));
    talk.settle(&mut fleet)?;
    Ok(BurstReport {
        plan: plan.clone(),
        servers: network.len(),
        before,
        applied,
        told,
        spent,
        sent: talk.hearing.ledger.sent_count,
        lost: talk.hearing.ledger.missing_count(),
        empty,
        loaded,
        peak: usage::peak_bytes(pids),
    })
}

/// People talk, and something else goes on.
struct Phases<'a> {
    fleet: &'a mut Fleet,
    talk: &'a mut Conversation,
    pids: &'a [u32],
}

impl Phases<'_> {
    /// A part of the run, until `end` says how long it took.
    fn run<E: Ear>(
        &mut self,
        ear: &mut E,
        mut end: impl FnMut(&mut Fleet, &mut E) -> Result<Option<Duration>, Stop>,
    ) -> Result<Phase, Stop> {
        self.talk.open_window(self.fleet, OPEN_END);
        let begin = Mark::now(self.pids, self.fleet.waited());
        let took = loop {
            self.talk.step(self.fleet, ear)?;
            if let Some(took) = end(self.fleet, ear)? {
                break took;
            }
        };
        self.talk.close_window(self.fleet);
        let spent = begin.until(&Mark::now(self.pids, self.fleet.waited()));
        // What was due in this part and is on its way still belongs to it.
        let (sent, patience) =
            (self.talk.hearing.ledger.sent_count, self.fleet.now() + 2_000_000_000);
        while self.talk.hearing.ledger.arrived_count < sent && self.fleet.now() < patience {
            self.talk.step(self.fleet, ear)?;
        }
        let latencies = std::mem::replace(&mut self.talk.hearing.latencies, histogram());
        Ok(Phase { latencies, took, server: spent.all_servers() })
    }
}
