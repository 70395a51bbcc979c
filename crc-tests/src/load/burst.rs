//! The workload of servers that join a large network while clients chat. Measures how fast hosts
//! are received and announced, and the effect on the chats.

use std::time::Duration;

use crc::wires::Wire;
use hdrhistogram::Histogram;

use super::announcer::{AnnouncedKind, Announcer, HostCounter};
use super::chat_parameters::ChatParameters;
use super::chat_traffic::{ChatTraffic, latency_histogram};
use super::client_codec::Role;
use super::client_pool::{ClientPool, NullSink, RESPONSE_TIMEOUT, Sink};
use super::context::LoadContext;
use super::error::LoadError;
use super::servers::{Network, Target};
use super::usage::{self, MemoryUse, Usage, UsageSample};

/// Duration of a window that is closed explicitly.
const UNBOUNDED_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// Parameters of a run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) target: Target,
    /// Number of users behind the server that joins.
    pub(super) users: usize,
    /// The chats meanwhile, in an open loop.
    pub(super) chat: ChatParameters,
    pub(super) warm_up: Duration,
    /// Measured time before a server joins, for comparison.
    pub(super) duration: Duration,
    pub(super) pins_cores: bool,
}

/// The latency of the chats in one part of the run, and its cost.
pub(super) struct Phase {
    pub(super) latencies: Histogram<u64>,
    /// Time that the hosts took.
    pub(super) duration: Duration,
    /// CPU time of all servers, if known.
    pub(super) server_cpu: Option<Duration>,
}

impl Phase {
    /// Adds what another part has measured.
    pub(super) fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies).expect("histograms of the same bounds");
        self.duration += other.duration;
        self.server_cpu = self.server_cpu.zip(other.server_cpu).map(|(one, two)| one + two);
    }
}

/// The results of a run.
pub(super) struct BurstReport {
    pub(super) plan: Plan,
    pub(super) servers: usize,
    pub(super) before: Phase,
    pub(super) applied: Phase,
    pub(super) announced: Phase,
    /// CPU use of the whole run.
    pub(super) usage: Usage,
    pub(super) sent: u64,
    pub(super) lost: u64,
    pub(super) memory: MemoryUse,
}

/// Runs the workload.
///
/// # Errors
/// Returns the reason if nothing could be measured.
pub(super) fn run(plan: &Plan, context: &LoadContext) -> Result<BurstReport, LoadError> {
    usage::raise_open_files_limit(plan.chat.connection_count() + 3)?;
    let mut network = Network::open(&plan.target, plan.chat.protocol, plan.pins_cores)?;
    run_on(plan, &network, context).map_err(|stop| network.add_cause(stop))
}

fn run_on(plan: &Plan, network: &Network, context: &LoadContext) -> Result<BurstReport, LoadError> {
    let pids = network.pids();
    let mut pool = ClientPool::new(plan.chat.text_place(), context.interrupted.clone())?;
    context.print_note(&format!("preparing {} users", plan.users));
    let mut announcer = Announcer::join(&mut pool, network, plan.users, AnnouncedKind::Users)?;
    let mut traffic = ChatTraffic::join(&mut pool, network, plan.chat.clone())?;
    let memory_before = usage::resident_bytes(pids);
    traffic.start(&mut pool);
    let warm_up_end = pool.now() + plan.warm_up.as_nanos() as u64;
    while pool.now() < warm_up_end {
        traffic.run_turn(&mut pool, &mut NullSink)?;
    }

    let start_sample = UsageSample::now(pids, pool.idle_time());
    context.print_note("measuring the traffic alone");
    let mut phases = PhaseRunner { pool: &mut pool, traffic: &mut traffic, pids };
    let baseline_end = phases.pool.now() + plan.duration.as_nanos() as u64;
    let before = phases.run(&mut NullSink, |pool, _| {
        let now = pool.now();
        Ok((now >= baseline_end).then_some(plan.duration))
    })?;

    context.print_note(&format!("a server with {} users joins", plan.users));
    let applied = phases.run(&mut announcer, |pool, announcer| {
        announcer.queue_more(pool);
        announcer.check_progress()?;
        Ok(announcer.elapsed_nanos().map(Duration::from_nanos))
    })?;
    let memory_after = usage::resident_bytes(pids);

    context.print_note("a server joins to which they are announced");
    let last = network.address(network.len() - 1, Wire::CRC.into());
    let started_at = phases.pool.now();
    let client = phases.pool.connect(Wire::CRC.into(), Role::Server, last)?;
    let mut counter = HostCounter { client, count: 0, last_at: started_at };
    let announced =
        phases.run(&mut counter, |pool, counter| counter.poll_end(pool, plan.users, started_at))?;
    let spent = start_sample.usage_until(&UsageSample::now(pids, pool.idle_time()));
    traffic.drain_in_flight(&mut pool)?;
    Ok(BurstReport {
        plan: plan.clone(),
        servers: network.len(),
        before,
        applied,
        announced,
        usage: spent,
        sent: traffic.received.deliveries.sent_count,
        lost: traffic.received.deliveries.missing_count(),
        memory: MemoryUse {
            before: memory_before,
            after: memory_after,
            peak: usage::peak_bytes(pids),
        },
    })
}

impl HostCounter {
    /// Returns how long the announcement of `users` hosts took, or `None` until all have arrived.
    fn poll_end(
        &self,
        pool: &ClientPool,
        users: usize,
        started_at: u64,
    ) -> Result<Option<Duration>, LoadError> {
        if pool.now() > self.last_at + RESPONSE_TIMEOUT.as_nanos() as u64 {
            let (count, seconds) = (self.count, RESPONSE_TIMEOUT.as_secs());
            return Err(LoadError::failed(format!(
                "{count} of {users} hosts were announced to a new server, and then none for \
                 {seconds} s"
            )));
        }
        let is_done = self.count >= users as u64;
        Ok(is_done.then(|| Duration::from_nanos(self.last_at - started_at)))
    }
}

/// The traffic during another activity.
pub(super) struct PhaseRunner<'a> {
    pub(super) pool: &'a mut ClientPool,
    pub(super) traffic: &'a mut ChatTraffic,
    pub(super) pids: &'a [u32],
}

impl PhaseRunner<'_> {
    /// Runs one part, until `poll_end` returns its duration.
    pub(super) fn run<E: Sink>(
        &mut self,
        sink: &mut E,
        mut poll_end: impl FnMut(&mut ClientPool, &mut E) -> Result<Option<Duration>, LoadError>,
    ) -> Result<Phase, LoadError> {
        self.traffic.open_window(self.pool, UNBOUNDED_WINDOW);
        let begin = UsageSample::now(self.pids, self.pool.idle_time());
        let duration = loop {
            self.traffic.run_turn(self.pool, sink)?;
            if let Some(took) = poll_end(self.pool, sink)? {
                break took;
            }
        };
        self.traffic.close_window(self.pool);
        let spent = begin.usage_until(&UsageSample::now(self.pids, self.pool.idle_time()));
        // Messages that were due in this part and are in flight still count for it.
        let (sent, drain_deadline) =
            (self.traffic.received.deliveries.sent_count, self.pool.now() + 2_000_000_000);
        while self.traffic.received.deliveries.arrived_count < sent
            && self.pool.now() < drain_deadline
        {
            self.traffic.run_turn(self.pool, sink)?;
        }
        let latencies =
            std::mem::replace(&mut self.traffic.received.latencies, latency_histogram());
        Ok(Phase { latencies, duration, server_cpu: spent.servers_total() })
    }
}
