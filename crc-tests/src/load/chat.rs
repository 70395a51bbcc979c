//! The workload of clients that chat: throughput, latency, losses, and the cost to the servers.

use std::time::Duration;

use crc::limits::CLIENT_QUEUE_BYTES_MAX;
use hdrhistogram::Histogram;

use super::announcer::{AnnouncedKind, Announcer};
use super::chat_parameters::ChatParameters;
use super::chat_traffic::ChatTraffic;
use super::client_pool::{ClientPool, NullSink};
use super::context::LoadContext;
use super::error::LoadError;
use super::pace::Pace;
use super::servers::{Network, Target};
use super::usage::{self, Usage, UsageSample};

/// Parameters of a run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) chat: ChatParameters,
    /// Number of idle clients.
    pub(super) idle_clients: usize,
    /// Number of announced hosts besides the clients.
    pub(super) extra_hosts: usize,
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
    pub(super) pins_cores: bool,
    pub(super) busy_polls: bool,
}

impl Plan {
    fn connection_count(&self) -> usize {
        self.chat.connection_count() + self.idle_clients + 2
    }

    /// Returns a failure with a hint, if an option of the plan explains it.
    fn add_cause(&self, stop: LoadError) -> LoadError {
        let (size, queue_bytes_max) = (self.chat.text_bytes, CLIENT_QUEUE_BYTES_MAX);
        match (stop, self.chat.pace) {
            (LoadError::Failed(reason), Pace::InFlight(count))
                if count as usize * size > queue_bytes_max =>
            {
                LoadError::Failed(format!(
                    "{reason}; --in-flight {count} of --size {size} is more than the {queue_bytes_max} bytes \
                     that a server keeps for one client, unless its --client-queue is larger"
                ))
            }
            (stop, _) => stop,
        }
    }
}

/// Resident memory of all servers together, in bytes, where known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// Before any client connected.
    pub(super) at_start: Option<u64>,
    /// After the hosts were announced.
    pub(super) after_hosts: Option<u64>,
    /// Before and after the idle clients connected.
    pub(super) around_idle_clients: Option<(u64, u64)>,
    /// At the end of the measured time.
    pub(super) at_end: Option<u64>,
    /// The peak.
    pub(super) peak: Option<u64>,
}

/// The results of a run.
pub(super) struct ChatReport {
    pub(super) plan: Plan,
    /// Number of servers, if known.
    pub(super) servers: usize,
    pub(super) usage: Usage,
    /// Messages that arrived in the measured time.
    pub(super) delivered: u64,
    /// Messages sent in total, including the warm-up.
    pub(super) sent: u64,
    /// Number of these that never arrived.
    pub(super) lost: u64,
    pub(super) out_of_order: u64,
    pub(super) misdelivered: u64,
    /// Replies that a destination is unknown.
    pub(super) unknown_destination: u64,
    /// Messages of an open loop that were due in the measured time and not sent.
    pub(super) unsent: u64,
    pub(super) lateness: Histogram<u64>,
    pub(super) latencies: Histogram<u64>,
    pub(super) memory: Memory,
    /// An unexpected status from a server.
    pub(super) unexpected_status: Option<String>,
    /// The reason why the run ended early.
    pub(super) error: Option<LoadError>,
}

/// Runs the workload. If something fails, the results up to then are returned with the reason.
///
/// # Errors
/// Returns the reason if nothing could be measured.
pub(super) fn run(plan: &Plan, context: &LoadContext) -> Result<ChatReport, LoadError> {
    usage::raise_open_files_limit(plan.connection_count())?;
    let mut network = Network::open(&plan.target, plan.chat.protocol, plan.pins_cores)?;
    match run_on(plan, &network, context) {
        Ok(mut report) => {
            let error = report.error.take();
            report.error = error.map(|stop| plan.add_cause(network.add_cause(stop)));
            Ok(report)
        }
        Err(stop) => Err(plan.add_cause(network.add_cause(stop))),
    }
}

fn run_on(plan: &Plan, network: &Network, context: &LoadContext) -> Result<ChatReport, LoadError> {
    let pids = network.pids();
    let mut memory = Memory { at_start: usage::resident_bytes(pids), ..Memory::default() };
    let mut pool = ClientPool::new(plan.chat.text_place(), context.interrupted.clone())?;
    prepare(plan, network, context, &mut pool, &mut memory)?;
    context.print_note(&format!("connecting {} active clients", plan.chat.connection_count()));
    let mut traffic = ChatTraffic::join(&mut pool, network, plan.chat.clone())?;
    pool.run_until_quiet()?;
    pool.busy_polls = plan.busy_polls;
    traffic.start(&mut pool);
    let warm_up_end = pool.now() + plan.warm_up.as_nanos() as u64;
    while pool.now() < warm_up_end {
        traffic.run_turn(&mut pool, &mut NullSink)?;
    }

    traffic.open_window(&pool, plan.duration);
    let (begin, arrived_before) =
        (UsageSample::now(pids, pool.idle_time()), arrived_count(&traffic));
    let error = run_window(plan, network, context, &mut pool, &mut traffic, &begin).err();
    let end = UsageSample::now(pids, pool.idle_time());
    let delivered = self::arrived_count(&traffic) - arrived_before;
    memory.at_end = usage::resident_bytes(pids);
    memory.peak = usage::peak_bytes(pids);
    let stop = error.or_else(|| {
        traffic.close_window(&mut pool);
        traffic.drain_in_flight(&mut pool).err()
    });
    Ok(ChatReport {
        plan: plan.clone(),
        servers: network.len(),
        usage: begin.usage_until(&end),
        delivered,
        sent: traffic.received.deliveries.sent_count,
        lost: traffic.received.deliveries.missing_count(),
        out_of_order: traffic.received.deliveries.out_of_order_count,
        misdelivered: traffic.received.deliveries.misdelivered_count,
        unknown_destination: traffic.received.unknown_destination_count,
        unsent: traffic.overdue_count,
        lateness: traffic.lateness,
        latencies: traffic.received.latencies,
        memory,
        unexpected_status: pool.unexpected_status,
        error: stop,
    })
}

/// Announces the extra hosts and connects the idle clients of a plan.
fn prepare(
    plan: &Plan,
    network: &Network,
    context: &LoadContext,
    pool: &mut ClientPool,
    memory: &mut Memory,
) -> Result<(), LoadError> {
    let pids = network.pids();
    if plan.extra_hosts > 0 {
        context.print_note(&format!("announcing {} hosts", plan.extra_hosts));
        let mut announcer =
            Announcer::join(pool, network, plan.extra_hosts, AnnouncedKind::Servers)?;
        while !announcer.is_done() {
            announcer.queue_more(pool);
            pool.run_turn(Duration::from_millis(100), &mut announcer)?;
            announcer.check_progress()?;
        }
        memory.after_hosts = usage::resident_bytes(pids);
    }
    if plan.idle_clients > 0 {
        context.print_note(&format!("connecting {} idle clients", plan.idle_clients));
        let (protocol, servers) = (plan.chat.protocol, network.len());
        let before = usage::resident_bytes(pids);
        let addresses =
            (0..plan.idle_clients).map(|at| (protocol, network.address(at % servers, protocol)));
        pool.connect_all(addresses, network.pending_registrations_max(), &mut NullSink)?;
        pool.run_until_quiet()?;
        memory.around_idle_clients = before.zip(usage::resident_bytes(pids));
    }
    Ok(())
}

fn arrived_count(traffic: &ChatTraffic) -> u64 {
    traffic.received.deliveries.arrived_count
}

/// Runs the measured time, with a line of progress each second.
fn run_window(
    plan: &Plan,
    network: &Network,
    context: &LoadContext,
    pool: &mut ClientPool,
    traffic: &mut ChatTraffic,
    start_sample: &UsageSample,
) -> Result<(), LoadError> {
    const SECOND: u64 = 1_000_000_000;
    let start = pool.now();
    let window_end = start + plan.duration.as_nanos() as u64;
    let (mut next_report_at, mut seconds) = (start + SECOND, 0);
    let (mut last_sample, mut last_arrived) = (start_sample.clone(), arrived_count(traffic));
    loop {
        traffic.run_turn(pool, &mut NullSink)?;
        let now = pool.now();
        if now >= window_end {
            return Ok(());
        }
        if now >= next_report_at {
            (next_report_at, seconds) = (next_report_at + SECOND, seconds + 1);
            let end = UsageSample::now(network.pids(), pool.idle_time());
            let count = self::arrived_count(traffic) - last_arrived;
            let received = &traffic.received;
            let missing = received.deliveries.missing_count();
            context.progress(
                seconds,
                count,
                &received.latencies,
                missing,
                &last_sample.usage_until(&end),
            );
            (last_sample, last_arrived) = (end, last_arrived + count);
        }
    }
}
