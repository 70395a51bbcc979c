//! The workloads of strangers: what many connections that harm cost a server, and those that chat
//! meanwhile.
//!
//! Each attack runs on threads of its own, with blocking sockets, and counts its connections.

mod churn;
mod hostile;
mod never_readers;
mod slow_heads;
mod socket;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(super) use self::slow_heads::Closings;
use super::burst::{Phase, PhaseRunner};
use super::chat_parameters::ChatParameters;
use super::chat_traffic::ChatTraffic;
use super::client_pool::{ClientPool, NullSink};
use super::context::LoadContext;
use super::error::LoadError;
use super::format::median;
use super::servers::{Network, Target};
use super::usage::{self, UsageSample};

/// Threads of an attack.
const THREADS: usize = 2;

/// Time within which a server must have closed the connections of an attack that has ended.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(30);

/// What strangers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Attack {
    /// Connections that send bad bytes, half frames, false sources and nothing, and end.
    Hostile,
    /// Users that leave and join, while as many are connected.
    Churn,
    /// Users that do not read what they are sent.
    NeverReaders,
    /// Requests over HTTP whose heads come a byte at a time and never end.
    SlowHeads,
}

impl Attack {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hostile => "hostile",
            Self::Churn => "churn",
            Self::NeverReaders => "never-readers",
            Self::SlowHeads => "slow-heads",
        }
    }
}

/// Parameters of a run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) attack: Attack,
    /// Number of connections in all.
    pub(super) connections: u64,
    /// Number of connections at a time.
    pub(super) at_a_time: usize,
    /// The chats meanwhile, in an open loop.
    pub(super) chat: ChatParameters,
    pub(super) warm_up: Duration,
    /// Measured time before the attack, for comparison.
    pub(super) duration: Duration,
    /// How long strangers act, and pause, in turns. Without it they never pause.
    pub(super) turn: Option<Duration>,
    pub(super) pins_cores: bool,
}

/// Memory and descriptors of the servers at one moment, if known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Footprint {
    pub(super) memory_bytes: Option<u64>,
    pub(super) descriptors: Option<usize>,
}

impl Footprint {
    fn now(pids: &[u32]) -> Self {
        let count = |pid: &u32| Some(std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count());
        let descriptors = pids.iter().map(count).sum::<Option<usize>>();
        Self {
            memory_bytes: usage::resident_bytes(pids),
            descriptors: descriptors.filter(|_| !pids.is_empty()),
        }
    }
}

/// The results of a run.
pub(super) struct StrangersReport {
    pub(super) plan: Plan,
    pub(super) before: Phase,
    /// The time in which strangers act.
    pub(super) during: Phase,
    pub(super) turns: Turns,
    /// Connections that the attack has made.
    pub(super) connections: u64,
    pub(super) sent: u64,
    pub(super) lost: u64,
    /// Before the attack; for [`Attack::Churn`] when all are connected for the first time.
    pub(super) start: Footprint,
    /// The same, after the attack.
    pub(super) end: Footprint,
    pub(super) peak_bytes: Option<u64>,
    /// When the server has closed the connections of [`Attack::SlowHeads`].
    pub(super) closings: Closings,
    pub(super) usage: usage::Usage,
}

/// The latency of the chats in each turn of the strangers.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The 99th percentile of each turn in which they act, in nanoseconds.
    pub(super) acting: Vec<u64>,
    /// That of each turn in which they pause.
    pub(super) pausing: Vec<u64>,
}

impl Turns {
    /// Returns the medians of turns in which strangers act and pause, if there were any.
    pub(super) fn medians(&self) -> Option<(u64, u64)> {
        let of = |turns: &[u64]| median(turns.iter().map(|&nanos| nanos as f64)) as u64;
        (!self.pausing.is_empty()).then(|| (of(&self.acting), of(&self.pausing)))
    }
}

/// Returns the 99th percentile of the latency in a turn, in nanoseconds.
fn p99(phase: &Phase) -> u64 {
    phase.latencies.value_at_quantile(0.99)
}

/// What the threads of an attack share.
pub(super) struct Shared {
    address: SocketAddr,
    connections_max: u64,
    at_a_time: usize,
    /// Connections made so far.
    connections: AtomicU64,
    /// All connections that are to be there at a time are there.
    is_warm: AtomicBool,
    /// The threads are to do nothing.
    is_pausing: AtomicBool,
    /// The threads are to end.
    must_end: AtomicBool,
    /// The connections are to be closed.
    must_close: AtomicBool,
    /// Threads that have done what they have to do and hold their connections.
    done: AtomicU64,
    closings: Mutex<Closings>,
}

impl Shared {
    fn new(plan: &Plan, network: &Network) -> Self {
        Self {
            address: network.address(0, attack_wire(plan.attack).into()),
            connections_max: plan.connections,
            at_a_time: plan.at_a_time / THREADS,
            connections: AtomicU64::new(0),
            is_warm: AtomicBool::new(false),
            is_pausing: AtomicBool::new(false),
            must_end: AtomicBool::new(false),
            must_close: AtomicBool::new(false),
            done: AtomicU64::new(0),
            closings: Mutex::default(),
        }
    }

    /// Waits until the threads are not to pause, or are to end.
    fn wait_for_turn(&self) {
        while self.is_pausing.load(Ordering::Relaxed) && !self.must_end.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Takes the number of the next connection; `None` if there are enough.
    fn next(&self) -> Option<u64> {
        self.wait_for_turn();
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let is_over = number >= self.connections_max || self.must_end.load(Ordering::Relaxed);
        if is_over {
            self.connections.fetch_sub(1, Ordering::Relaxed);
        }
        (!is_over).then_some(number)
    }

    /// Holds the connections of a thread that is done until they are to be closed.
    fn hold_until_close(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        while !self.must_close.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed) == THREADS as u64
    }
}

/// Runs the workload.
///
/// # Errors
/// Returns the reason if nothing could be measured.
pub(super) fn run(plan: &Plan, context: &LoadContext) -> Result<StrangersReport, LoadError> {
    usage::raise_open_files_limit(plan.chat.connection_count() + plan.at_a_time)?;
    let mut network = Network::open(&plan.target, plan.chat.protocol, plan.pins_cores)?;
    run_on(plan, &network, context).map_err(|stop| network.add_cause(stop))
}

fn run_on(
    plan: &Plan,
    network: &Network,
    context: &LoadContext,
) -> Result<StrangersReport, LoadError> {
    let pids = network.pids();
    let mut pool = ClientPool::new(plan.chat.text_place(), context.interrupted.clone())?;
    let mut traffic = ChatTraffic::join(&mut pool, network, plan.chat.clone())?;
    traffic.start(&mut pool);
    let warm_up_end = pool.now() + plan.warm_up.as_nanos() as u64;
    while pool.now() < warm_up_end {
        traffic.run_turn(&mut pool, &mut NullSink)?;
    }
    context.print_note("measuring the chats alone");
    let start_sample = UsageSample::now(pids, pool.idle_time());
    let start = Footprint::now(pids);
    let mut phases = PhaseRunner { pool: &mut pool, traffic: &mut traffic, pids };
    let before_end = phases.pool.now() + plan.duration.as_nanos() as u64;
    let before = phases
        .run(&mut NullSink, |pool, _| Ok((pool.now() >= before_end).then_some(plan.duration)))?;

    context.print_note(&format!("{} strangers connect", plan.connections));
    let shared = Shared::new(plan, network);
    let Attacked { during, turns, held, warm } = run_attack(plan, &shared, &mut phases)?;
    let start = warm.unwrap_or(start);
    let spent = start_sample.usage_until(&UsageSample::now(pids, pool.idle_time()));
    let end = match plan.attack {
        Attack::Churn => held,
        Attack::Hostile | Attack::NeverReaders | Attack::SlowHeads => wait_for_cleanup(pids, start),
    };
    traffic.drain_in_flight(&mut pool)?;
    Ok(StrangersReport {
        plan: plan.clone(),
        before,
        during,
        turns,
        connections: shared.connections.load(Ordering::Relaxed),
        sent: traffic.received.deliveries.sent_count,
        lost: traffic.received.deliveries.missing_count(),
        start,
        end,
        peak_bytes: usage::peak_bytes(pids),
        closings: *shared.closings.lock().expect("no thread panics"),
        usage: spent,
    })
}

/// What was measured during an attack.
struct Attacked {
    during: Phase,
    turns: Turns,
    /// When all connections that are to be there at a time were there, if the attack has such a
    /// moment.
    warm: Option<Footprint>,
    /// At the end, before the connections are closed.
    held: Footprint,
}

/// Runs the threads of an attack, and the chats meanwhile.
fn run_attack(
    plan: &Plan,
    shared: &Shared,
    phases: &mut PhaseRunner<'_>,
) -> Result<Attacked, LoadError> {
    let pids = phases.pids;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                // The thread that chats goes first: its latencies are to be those of the server.
                let _ = rustix::process::nice(19);
                match plan.attack {
                    Attack::Hostile => hostile::run(shared),
                    Attack::Churn => churn::run(shared, thread),
                    Attack::NeverReaders => never_readers::run(shared, thread),
                    Attack::SlowHeads => slow_heads::run(shared),
                }
            });
        }
        let mut warm = None;
        let during = run_turns(plan.turn.unwrap_or(Duration::MAX), shared, phases, &mut warm);
        shared.must_end.store(true, Ordering::Relaxed);
        let held = Footprint::now(pids);
        shared.must_close.store(true, Ordering::Relaxed);
        during.map(|(during, turns)| Attacked { during, turns, warm, held })
    })
}

/// Runs the turns of the strangers until they are done. Returns what was measured while they acted,
/// and the turns.
fn run_turns(
    turn: Duration,
    shared: &Shared,
    phases: &mut PhaseRunner<'_>,
    warm: &mut Option<Footprint>,
) -> Result<(Phase, Turns), LoadError> {
    let pids = phases.pids;
    let mut turns = Turns::default();
    let mut all: Option<Phase> = None;
    loop {
        let started_at = Instant::now();
        let acting = phases.run(&mut NullSink, |_, _| {
            if warm.is_none() && shared.is_warm.load(Ordering::Relaxed) {
                *warm = Some(Footprint::now(pids));
            }
            let took = started_at.elapsed();
            Ok((shared.is_done() || took >= turn).then_some(took))
        })?;
        turns.acting.push(p99(&acting));
        match &mut all {
            Some(all) => all.add(&acting),
            None => all = Some(acting),
        }
        if shared.is_done() {
            return Ok((all.expect("a turn"), turns));
        }
        shared.is_pausing.store(true, Ordering::Relaxed);
        let started_at = Instant::now();
        let pausing = phases.run(&mut NullSink, |_, _| {
            Ok((started_at.elapsed() >= turn).then(|| started_at.elapsed()))
        })?;
        turns.pausing.push(p99(&pausing));
        shared.is_pausing.store(false, Ordering::Relaxed);
    }
}

/// Returns the wire on which an attack connects. Users of the direct wire are not sent who comes
/// and goes, so their number can be large.
fn attack_wire(attack: Attack) -> crc::wires::Wire {
    match attack {
        Attack::Hostile | Attack::NeverReaders => crc::wires::Wire::CRC,
        Attack::Churn => crc::wires::Wire::DIRECT,
        Attack::SlowHeads => crc::wires::Wire::HTTP,
    }
}

/// Waits until the servers have as many descriptors as before the attack.
fn wait_for_cleanup(pids: &[u32], start: Footprint) -> Footprint {
    let deadline = Instant::now() + CLEANUP_TIMEOUT;
    loop {
        let now = Footprint::now(pids);
        if now.descriptors <= start.descriptors || Instant::now() > deadline {
            return now;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
