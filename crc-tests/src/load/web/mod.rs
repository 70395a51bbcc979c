//! The workload of pages: one lists all users of a large network on an operator's page and on a
//! chat page, again and again, while the metrics are scraped and others chat. Measures the turns of
//! the server's loop, by its own histogram, and the chats.

mod page;
mod turns;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crc::wires::Wire;

use self::page::{Page, Scraper};
use self::turns::Turns;
use super::announcer::{AnnouncedKind, Announcer};
use super::burst::{Phase, PhaseRunner};
use super::chat_parameters::ChatParameters;
use super::chat_traffic::ChatTraffic;
use super::client_pool::{ClientPool, NullSink};
use super::context::LoadContext;
use super::error::LoadError;
use super::servers::{Network, Target};
use super::usage::{self, MemoryUse, Usage, UsageSample};

/// What the operator shows.
const TOKEN: &str = "the-token-of-the-operator-of-a-load";

/// Interval at which the metrics are scraped.
const SCRAPE_INTERVAL: Duration = Duration::from_millis(100);

/// Parameters of a run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) binary: Option<std::path::PathBuf>,
    /// Number of users that are listed.
    pub(super) users: usize,
    /// The chats meanwhile, in an open loop.
    pub(super) chat: ChatParameters,
    /// Measured time of each part.
    pub(super) duration: Duration,
    pub(super) pins_cores: bool,
}

/// One part of a run.
pub(super) struct Part {
    pub(super) turns: Turns,
    /// How often the kernel took the core from the server: each such pause is a part of a turn.
    pub(super) preemptions: Option<u64>,
    pub(super) scrapes: u64,
    pub(super) chats: Phase,
}

/// The results of a run.
pub(super) struct WebReport {
    pub(super) plan: Plan,
    /// With the metrics scraped, and with the lists, too.
    pub(super) before: Part,
    pub(super) during: Part,
    /// Complete lists of each page.
    pub(super) operator_lists: u64,
    pub(super) chat_lists: u64,
    pub(super) sent: u64,
    pub(super) lost: u64,
    pub(super) usage: Usage,
    pub(super) memory: MemoryUse,
}

/// What the threads of the pages share.
struct Shared {
    address: SocketAddr,
    must_end: AtomicBool,
    /// The pages ask for lists.
    must_list: AtomicBool,
    scrapes: AtomicU64,
    operator_lists: AtomicU64,
    chat_lists: AtomicU64,
}

/// Runs the workload.
///
/// # Errors
/// Returns the reason if nothing could be measured.
pub(super) fn run(plan: &Plan, context: &LoadContext) -> Result<WebReport, LoadError> {
    let file_fault = |error| LoadError::failed(format!("the file of the token: {error}"));
    let folder = tempfile::tempdir().map_err(file_fault)?;
    let token_file = folder.path().join("token");
    let owner_only = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&token_file);
    owner_only.and_then(|mut file| file.write_all(TOKEN.as_bytes())).map_err(file_fault)?;
    let target = Target::Chain {
        servers: 1,
        binary: plan.binary.clone(),
        options: vec![format!("--operator-token-file={}", token_file.display())],
    };
    let mut network = Network::open(&target, plan.chat.protocol, plan.pins_cores)?;
    run_on(plan, &network, context).map_err(|stop| network.add_cause(stop))
}

fn run_on(plan: &Plan, network: &Network, context: &LoadContext) -> Result<WebReport, LoadError> {
    let pids = network.pids();
    let mut pool = ClientPool::new(plan.chat.text_place(), context.interrupted.clone())?;
    let memory_before = usage::resident_bytes(pids);
    announce(plan.users, network, context, &mut pool)?;
    let mut traffic = ChatTraffic::join(&mut pool, network, plan.chat.clone())?;
    traffic.start(&mut pool);
    let shared = Shared {
        address: network.address(0, Wire::HTTP.into()),
        must_end: AtomicBool::new(false),
        must_list: AtomicBool::new(false),
        scrapes: AtomicU64::new(0),
        operator_lists: AtomicU64::new(0),
        chat_lists: AtomicU64::new(0),
    };
    let start_sample = UsageSample::now(pids, pool.idle_time());
    let mut phases = PhaseRunner { pool: &mut pool, traffic: &mut traffic, pids };
    let parts = run_parts(plan, &shared, context, &mut phases);
    let (before, during) = parts?;
    let spent = start_sample.usage_until(&UsageSample::now(pids, pool.idle_time()));
    traffic.drain_in_flight(&mut pool)?;
    Ok(WebReport {
        plan: plan.clone(),
        before,
        during,
        operator_lists: shared.operator_lists.load(Ordering::Relaxed),
        chat_lists: shared.chat_lists.load(Ordering::Relaxed),
        sent: traffic.received.deliveries.sent_count,
        lost: traffic.received.deliveries.missing_count(),
        usage: spent,
        memory: MemoryUse {
            before: memory_before,
            after: usage::resident_bytes(pids),
            peak: usage::peak_bytes(pids),
        },
    })
}

/// Announces the users, over a connection that registers as a server.
fn announce(
    users: usize,
    network: &Network,
    context: &LoadContext,
    pool: &mut ClientPool,
) -> Result<(), LoadError> {
    context.print_note(&format!("announcing {users} users"));
    let mut announcer = Announcer::join(pool, network, users, AnnouncedKind::Users)?;
    while !announcer.is_done() {
        announcer.queue_more(pool);
        pool.run_turn(Duration::from_millis(100), &mut announcer)?;
        announcer.check_progress()?;
    }
    Ok(())
}

/// Runs the threads of the pages, and both parts beside them.
fn run_parts(
    plan: &Plan,
    shared: &Shared,
    context: &LoadContext,
    phases: &mut PhaseRunner<'_>,
) -> Result<(Part, Part), LoadError> {
    std::thread::scope(|scope| {
        let scraper = scope.spawn(|| scrape(shared));
        let operator = scope.spawn(|| list_as_operator(shared));
        let chat = scope.spawn(|| list_as_chat(shared));
        let parts = (|| {
            context.print_note("measuring with the metrics scraped");
            let before = run_part(plan, shared, phases)?;
            context.print_note("the pages list all users, too");
            shared.must_list.store(true, Ordering::Relaxed);
            let during = run_part(plan, shared, phases)?;
            Ok((before, during))
        })();
        shared.must_end.store(true, Ordering::Relaxed);
        for thread in [scraper, operator, chat] {
            let result = thread.join().expect("a thread that does not panic");
            if parts.is_ok() {
                result?;
            }
        }
        parts
    })
}

fn run_part(plan: &Plan, shared: &Shared, phases: &mut PhaseRunner<'_>) -> Result<Part, LoadError> {
    let read_turns = || Scraper::open(shared.address, TOKEN)?.turns();
    let scrapes = || shared.scrapes.load(Ordering::Relaxed);
    let (turns, scrapes_before) = (read_turns()?, scrapes());
    let preempted_before = usage::preemption_count(phases.pids);
    let end = phases.pool.now() + plan.duration.as_nanos() as u64;
    let chats =
        phases.run(&mut NullSink, |pool, _| Ok((pool.now() >= end).then_some(plan.duration)))?;
    let turns = read_turns()?.since(&turns);
    let preempted_after = usage::preemption_count(phases.pids);
    let preemptions = preempted_after.zip(preempted_before).map(|(after, before)| after - before);
    Ok(Part { turns, preemptions, scrapes: scrapes() - scrapes_before, chats })
}

fn scrape(shared: &Shared) -> Result<(), LoadError> {
    yield_to_chats();
    let mut scraper = Scraper::open(shared.address, TOKEN)?;
    let mut due = Instant::now();
    while !shared.must_end.load(Ordering::Relaxed) {
        scraper.turns()?;
        shared.scrapes.fetch_add(1, Ordering::Relaxed);
        due += SCRAPE_INTERVAL;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// Lists the users on an operator's page: those that were announced are the server's own.
fn list_as_operator(shared: &Shared) -> Result<(), LoadError> {
    yield_to_chats();
    wait_for_lists(shared);
    let mut page = Page::open(shared.address, "/operator/ws", "crc.operator.v1")?;
    page.send(&format!(r#"{{"do":"sign_in","token":"{TOKEN}"}}"#))?;
    let server = page.own_server()?;
    while !shared.must_end.load(Ordering::Relaxed) {
        page.send(&format!(r#"{{"do":"users","server":{server}}}"#))?;
        if page.read_list("users", &shared.must_end)? {
            shared.operator_lists.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Lists all users on a chat page.
fn list_as_chat(shared: &Shared) -> Result<(), LoadError> {
    yield_to_chats();
    wait_for_lists(shared);
    let mut page = Page::open(shared.address, "/ws", "crc.json.v1")?;
    page.send(r#"{"do":"hello","name":"pages"}"#)?;
    while !shared.must_end.load(Ordering::Relaxed) {
        page.send(r#"{"do":"list"}"#)?;
        if page.read_list("users", &shared.must_end)? {
            shared.chat_lists.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

fn wait_for_lists(shared: &Shared) {
    let must_wait =
        || !shared.must_list.load(Ordering::Relaxed) && !shared.must_end.load(Ordering::Relaxed);
    while must_wait() {
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Lets the thread that chats go first: its latencies are to be those of the server.
fn yield_to_chats() {
    let _ = rustix::process::nice(19);
}
