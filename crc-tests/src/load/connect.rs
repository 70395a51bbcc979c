//! The workload of clients that all connect at once, as after a power failure.

use std::time::Duration;

use crc::limits::UNREGISTERED_MAX;

use super::client_codec::{Incoming, Protocol, Role, TextPlace};
use super::client_pool::{ClientPool, Sink};
use super::context::LoadContext;
use super::error::LoadError;
use super::servers::{Network, Target};
use super::stamp::STAMP_BYTES;
use super::usage::{self, MemoryUse, Usage, UsageSample};

/// After this time without a frame, all registrations have been delivered.
const QUIET_NANOS: u64 = 300_000_000;

/// Parameters of a run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) protocol: Protocol,
    pub(super) clients: usize,
    /// Maximum number of unregistered clients at a time.
    pub(super) pending_max: usize,
    pub(super) pin: bool,
}

impl Plan {
    fn is_crc(&self) -> bool {
        !matches!(self.target, Target::Program { .. })
    }

    /// Returns a failure with a hint, if an option of the plan explains it.
    fn add_cause(&self, stop: LoadError) -> LoadError {
        match stop {
            LoadError::Failed(reason) if self.pending_max > UNREGISTERED_MAX && self.is_crc() => {
                LoadError::Failed(format!(
                    "{reason}; {} clients register at a time, and a server closes the oldest beyond \
                     {UNREGISTERED_MAX}, unless its --max-unregistered is larger: try --at-a-time \
                     {UNREGISTERED_MAX}",
                    self.pending_max
                ))
            }
            stop => stop,
        }
    }
}

/// Registration times, and announcements received meanwhile.
#[derive(Default)]
struct RegistrationStats {
    registered_count: usize,
    last_registered_at: u64,
    /// Registrations of other hosts that clients received.
    announced_count: u64,
    last_frame_at: u64,
}

impl Sink for RegistrationStats {
    fn receive(&mut self, _: usize, incoming: Incoming<'_>, now: u64) {
        self.last_frame_at = now;
        match incoming {
            Incoming::HostUp(_) => self.announced_count += 1,
            Incoming::Welcome { .. } | Incoming::KeepaliveInterval(_) => {
                self.registered_count += 1;
                self.last_registered_at = now;
            }
            _ => {}
        }
    }
}

/// The results of a run.
pub(super) struct ConnectReport {
    pub(super) plan: Plan,
    pub(super) servers: usize,
    /// Time until the last client was registered.
    pub(super) registered_in: Duration,
    /// Time until the last announcement was delivered.
    pub(super) announced_in: Duration,
    pub(super) announced_count: u64,
    pub(super) usage: Usage,
    pub(super) memory: MemoryUse,
}

/// Runs the workload.
///
/// # Errors
/// Returns the reason if not all clients could be registered.
pub(super) fn run(plan: &Plan, context: &LoadContext) -> Result<ConnectReport, LoadError> {
    usage::raise_open_files_limit(plan.clients)?;
    let mut network = Network::open(&plan.target, plan.protocol, plan.pin)?;
    run_on(plan, &network, context).map_err(|stop| plan.add_cause(network.add_cause(stop)))
}

fn run_on(
    plan: &Plan,
    network: &Network,
    context: &LoadContext,
) -> Result<ConnectReport, LoadError> {
    let pids = network.pids();
    let mut pool = ClientPool::new(
        TextPlace::new(plan.protocol, STAMP_BYTES, None),
        context.interrupted.clone(),
    )?;
    let mut stats = RegistrationStats::default();
    context.print_note(&format!(
        "connecting {} clients, {} at a time",
        plan.clients, plan.pending_max
    ));
    let memory_before = usage::resident_bytes(pids);
    let (start_sample, started_at) = (UsageSample::now(pids, pool.idle_time()), pool.now());
    for at in 0..plan.clients {
        let address = network.address(at % network.len(), plan.protocol);
        pool.connect(plan.protocol, Role::User, address)?;
        pool.wait_until_registered(plan.pending_max.saturating_sub(1), &mut stats)?;
    }
    pool.wait_until_registered(0, &mut stats)?;
    while pool.now() < stats.last_frame_at + QUIET_NANOS {
        pool.run_turn(Duration::from_millis(20), &mut stats)?;
    }
    let end_sample = UsageSample::now(pids, pool.idle_time());
    let since_start = |at: u64| Duration::from_nanos(at.saturating_sub(started_at));
    Ok(ConnectReport {
        plan: plan.clone(),
        servers: network.len(),
        registered_in: since_start(stats.last_registered_at),
        announced_in: since_start(stats.last_frame_at),
        announced_count: stats.announced_count,
        usage: start_sample.usage_until(&end_sample),
        memory: MemoryUse {
            before: memory_before,
            after: usage::resident_bytes(pids),
            peak: usage::peak_bytes(pids),
        },
    })
}
