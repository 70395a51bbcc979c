//! The workload of people who talk: throughput, latency, losses, and what it costs the servers.

use std::time::Duration;

use crc::limits::CLIENT_QUEUE_BYTES_MAX;

use super::conversation::{Conversation, Talk};
use super::fleet::{Deaf, Fleet};
use super::hosts::{Announced, Announcer};
use super::pace::Pace;
use super::report::chat::{ChatReport, Memory};
use super::servers::{Network, Site};
use super::usage::{self, Mark};
use super::{AT_A_TIME, Context, Stop};

/// A run of this workload.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) site: Site,
    pub(super) talk: Talk,
    /// Clients beside those that talk.
    pub(super) idle: usize,
    /// Hosts beside the clients.
    pub(super) hosts: usize,
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
    pub(super) pin: bool,
    pub(super) spin: bool,
}

impl Plan {
    fn connections(&self) -> usize {
        self.talk.connections() + self.idle + 2
    }

    /// What an end may be due to that the plan itself has asked for.
    fn explain(&self, stop: Stop) -> Stop {
        let (size, kept) = (self.talk.size, CLIENT_QUEUE_BYTES_MAX);
        match (stop, self.talk.pace) {
            (Stop::Fault(reason), Pace::InFlight(count)) if count as usize * size > kept => {
                Stop::Fault(format!(
                    "{reason}; --in-flight {count} of --size {size} is more than the {kept} bytes \
                     that a server keeps for one client, unless its --client-queue is larger"
                ))
            }
            (stop, _) => stop,
        }
    }
}

/// Runs it. What was measured until something failed is in the report, with the reason.
///
/// # Errors
/// Nothing could be measured.
pub(super) fn run(plan: &Plan, context: &Context) -> Result<ChatReport, Stop> {
    usage::allow_connections(plan.connections())?;
    let mut network = Network::open(&plan.site, plan.talk.wire, plan.pin)?;
    match load(plan, &network, context) {
        Ok(mut report) => {
            let stop = report.stop.take();
            report.stop = stop.map(|stop| plan.explain(network.explain(stop)));
            Ok(report)
        }
        Err(stop) => Err(plan.explain(network.explain(stop))),
    }
}

fn load(plan: &Plan, network: &Network, context: &Context) -> Result<ChatReport, Stop> {
    let pids = network.pids();
    let mut memory = Memory { empty: usage::resident_bytes(pids), ..Memory::default() };
    let mut fleet = Fleet::new(plan.talk.size, context.interrupted.clone())?;
    if plan.hosts > 0 {
        context.note(&format!("announcing {} hosts", plan.hosts));
        let mut announcer = Announcer::join(&mut fleet, network, plan.hosts, Announced::Servers)?;
        while !announcer.is_done() {
            announcer.feed(&mut fleet);
            fleet.turn(Duration::from_millis(100), &mut announcer)?;
            announcer.check_progress()?;
        }
        memory.hosts = usage::resident_bytes(pids);
    }
    if plan.idle > 0 {
        context.note(&format!("connecting {} idle clients", plan.idle));
        let (wire, servers) = (plan.talk.wire, network.len());
        let before = usage::resident_bytes(pids);
        let doors = (0..plan.idle).map(|at| (wire, network.door(at % servers, wire)));
        fleet.connect_all(doors, AT_A_TIME, &mut Deaf)?;
        fleet.quieten()?;
        memory.idle = before.zip(usage::resident_bytes(pids));
    }
    context.note(&format!("connecting {} clients that talk", plan.talk.connections()));
    let mut conversation = Conversation::join(&mut fleet, network, plan.talk.clone())?;
    fleet.quieten()?;
    fleet.spins = plan.spin;
    conversation.begin(&mut fleet);
    let warm_until = fleet.now() + plan.warm_up.as_nanos() as u64;
    while fleet.now() < warm_until {
        conversation.step(&mut fleet, &mut Deaf)?;
    }

    conversation.open_window(&fleet, plan.duration);
    let (begin, arrived) = (Mark::now(pids, fleet.waited()), arrived(&conversation));
    let stop = talk(plan, network, context, &mut fleet, &mut conversation, &begin).err();
    let end = Mark::now(pids, fleet.waited());
    let delivered = self::arrived(&conversation) - arrived;
    memory.loaded = usage::resident_bytes(pids);
    memory.peak = usage::peak_bytes(pids);
    let stop = stop.or_else(|| {
        conversation.close_window(&mut fleet);
        conversation.settle(&mut fleet).err()
    });
    Ok(ChatReport {
        plan: plan.clone(),
        servers: network.len(),
        spent: begin.until(&end),
        delivered,
        sent_in_all: conversation.hearing.ledger.sent_count,
        lost: conversation.hearing.ledger.missing_count(),
        disordered: conversation.hearing.ledger.disordered_count,
        astray: conversation.hearing.ledger.astray_count,
        absent: conversation.hearing.absent_count,
        unsent: conversation.unsent_count,
        lateness: conversation.lateness,
        latencies: conversation.hearing.latencies,
        memory,
        status: fleet.status,
        stop,
    })
}

fn arrived(conversation: &Conversation) -> u64 {
    conversation.hearing.ledger.arrived_count
}

/// The measured time, with a line of progress each second.
fn talk(
    plan: &Plan,
    network: &Network,
    context: &Context,
    fleet: &mut Fleet,
    conversation: &mut Conversation,
    begin: &Mark,
) -> Result<(), Stop> {
    const SECOND: u64 = 1_000_000_000;
    let start = fleet.now();
    let until = start + plan.duration.as_nanos() as u64;
    let (mut next, mut seconds) = (start + SECOND, 0);
    let (mut mark, mut arrived) = (begin.clone(), arrived(conversation));
    loop {
        conversation.step(fleet, &mut Deaf)?;
        let now = fleet.now();
        if now >= until {
            return Ok(());
        }
        if now >= next {
            (next, seconds) = (next + SECOND, seconds + 1);
            let end = Mark::now(network.pids(), fleet.waited());
            let count = self::arrived(conversation) - arrived;
            let hearing = &conversation.hearing;
            let missing = hearing.ledger.missing_count();
            context.progress(seconds, count, &hearing.latencies, missing, &mark.until(&end));
            (mark, arrived) = (end, arrived + count);
        }
    }
}
