//! `crc-tests mixed`: random trees of servers of this project and of plain ones, each compared with
//! the same tree of plain servers alone.
//!
//! Each plain server has habits of its own: those of a preset, or random ones. Two users join each
//! server, every two of them exchange a chat, and two leave. No plain server may end, and every
//! pair that the tree of plain servers connects must be connected.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use crc::limits::FRAME_BYTES_MAX;
use crc::relay::message::Message;
use crc::wires::crc::codec;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::{ClientId, NetConditions, PlainConditions, PlainSpec, ServerSpec, World};
use crate::frames;
use crate::plain::Habits;

/// The presets of the habits of plain servers.
const PRESETS: [&str; 6] = ["plain", "A", "B", "C", "D", "E"];
/// Time in which all that waits for portions arrives.
const ROUND: Duration = Duration::from_secs(2);
/// Pause between two chats: some programs read once, and more than 1,024 bytes of chats end them.
const CHAT_PAUSE: Duration = Duration::from_millis(60);
/// Time after the quits in which claims are granted and lost links are dialled again.
const END_TIME: Duration = Duration::from_secs(30);

/// Plays random trees of crc servers and plain ones, each beside the same tree of plain ones alone
///
/// Exit codes: 0 if no plain server ended and every pair is connected that plain servers alone
/// connect, 1 otherwise, 2 for wrong usage.
#[derive(Args, Clone, Debug)]
pub struct MixedArguments {
    /// Number of trees
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub runs: u64,
    /// Seed of the first tree
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Number of trees at a time [default: the number of cores]
    #[arg(long, value_name = "J")]
    pub jobs: Option<NonZeroUsize>,
}

/// A server of a tree.
#[derive(Clone, Debug)]
struct Member {
    /// The id of its parent. Ids count from 1.
    parent: Option<u32>,
    /// `None` for a server of this project.
    habits: Option<Habits>,
}

/// A random tree.
#[derive(Clone, Debug)]
pub struct MixedTree {
    seed: u64,
    members: Vec<Member>,
}

/// What a tree has shown.
#[derive(Debug, Default)]
struct Shown {
    /// The plain servers that have ended, with their reasons.
    ended: Vec<String>,
    /// The pairs of source and destination of the chats that arrived.
    pairs: BTreeSet<(u32, u32)>,
    /// Users that a server of this project still knows after their quits.
    ghosts: BTreeSet<u32>,
}

/// The counts of several runs.
#[derive(Clone, Debug, Default)]
pub struct MixedReport {
    /// Number of trees.
    pub runs: u64,
    /// Number of servers of this project, and of plain ones.
    pub servers: (usize, usize),
    /// Pairs that a tree of plain servers alone connects, and those that a mixed tree connects.
    pub pairs: (usize, usize),
    /// Number of plain servers with each value of each habit.
    pub habits: BTreeMap<String, usize>,
    /// What does not hold, with the seed.
    pub failures: Vec<String>,
}

impl MixedTree {
    /// Draws a tree of 2 to 6 servers, at least one of each kind. In larger ones, plain servers
    /// that read once are ended by adjacent plain ones: the refusals of a whole echoed burst exceed
    /// a read.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let count = rng.random_range(2..=6_u32);
        let ours = rng.random_range(0..count);
        let plain = (ours + rng.random_range(1..count)) % count;
        let members = (0..count).map(|at| Member {
            parent: (at > 0).then(|| rng.random_range(1..=at)),
            habits: (at == plain || at != ours && rng.random()).then(|| draw_habits(&mut rng)),
        });
        Self { seed, members: members.collect() }
    }

    /// Plays the tree, and the same one of plain servers alone.
    #[must_use]
    pub fn play(&self) -> MixedReport {
        let plain_only = self.play_with(Some(&Habits::ours_plain()));
        let mixed = self.play_with(None);
        let seed = self.seed;
        let mut failures = Vec::new();
        failures.extend(mixed.ended.iter().map(|it| format!("seed {seed}: {it}")));
        let missing: Vec<_> = plain_only.pairs.difference(&mixed.pairs).collect();
        if !missing.is_empty() {
            failures.push(format!("seed {seed}: no chat from one to the other of {missing:?}"));
        }
        if !mixed.ghosts.is_empty() && !self.has_adjacent_plain_servers() {
            failures.push(format!("seed {seed}: still known after the quit: {:?}", mixed.ghosts));
        }
        let plain = self.members.iter().filter_map(|member| member.habits.as_ref());
        let mut habits = BTreeMap::new();
        for value in plain.clone().flat_map(Habits::values) {
            *habits.entry(value).or_default() += 1;
        }
        let plain_count = plain.count();
        MixedReport {
            runs: 1,
            servers: (self.members.len() - plain_count, plain_count),
            pairs: (plain_only.pairs.len(), mixed.pairs.len()),
            habits,
            failures,
        }
    }

    /// Plays the tree. `habits` are those of the servers of this project, if these are replaced by
    /// plain ones.
    fn play_with(&self, habits: Option<&Habits>) -> Shown {
        let mut world = World::new(self.seed, NetConditions::default());
        let coalesces_writes = self.seed % 2 == 1;
        world.set_plain_conditions(PlainConditions { coalesces_writes, ..Default::default() });
        let mut users = Vec::new();
        for (id, member) in (1..).zip(&self.members) {
            let server = match member.habits.as_ref().or(habits) {
                None => world.start(ServerSpec::new(id, member.parent)),
                Some(habits) => {
                    world.start_plain(PlainSpec::new(id, member.parent, habits.clone()))
                }
            };
            world.run_for(ROUND);
            for user in [100 * id + 1, 100 * id + 2] {
                let client = world.connect(server);
                world.send(client, &frames::user(user, &format!("u{user}"), "mixed"));
                world.run_for(ROUND);
                users.push((user, client));
            }
        }
        for &(user, client) in &users {
            for &(other, _) in users.iter().filter(|&&(other, _)| other != user) {
                world.send(client, &frames::chat(user, other, "Hi"));
                world.run_for(CHAT_PAUSE);
            }
        }
        world.run_for(ROUND);
        let mut shown = Shown::default();
        for &(user, client) in &users {
            shown.pairs.extend(sources_of_chats(&mut world, client).map(|source| (source, user)));
        }
        let (first, last) = (users[0], users[users.len() - 1]);
        world.send(first.1, &frames::quit(first.0, "bye"));
        world.disconnect(last.1);
        world.run_for(END_TIME);
        shown.ghosts = known_users(&world, &self.members, [first.0, last.0]);
        shown.ended = world.ended_plain_servers().map(|(it, why)| format!("{it}: {why}")).collect();
        shown
    }

    /// Returns whether plain servers are adjacent: these bring users back among themselves.
    fn has_adjacent_plain_servers(&self) -> bool {
        let is_plain = |id: u32| self.members[id as usize - 1].habits.is_some();
        let mut plain = self.members.iter().filter(|member| member.habits.is_some());
        plain.any(|member| member.parent.is_some_and(is_plain))
    }
}

fn draw_habits(rng: &mut StdRng) -> Habits {
    match PRESETS.get(rng.random_range(0..2 * PRESETS.len())) {
        Some(preset) => Habits::preset(preset).expect("a preset"),
        None => Habits::random(rng),
    }
}

/// Returns the sources of the chats that a client has received.
fn sources_of_chats(world: &mut World, client: ClientId) -> impl Iterator<Item = u32> + use<> {
    let bytes = world.take_received(client);
    let (mut rest, mut sources) = (bytes.as_slice(), BTreeSet::new());
    while let Ok(Some((message, len))) = codec::parse(rest, FRAME_BYTES_MAX) {
        if let Message::Chat { source, .. } = message {
            sources.insert(source.0);
        }
        rest = &rest[len..];
    }
    sources.into_iter()
}

/// Returns those of some users that a server of this project knows.
fn known_users(world: &World, members: &[Member], users: [u32; 2]) -> BTreeSet<u32> {
    let nodes = (0..members.len()).filter_map(|server| world.node(server));
    let known = nodes.flat_map(|node| node.relay().hosts().iter().map(|host| host.id.0));
    known.filter(|id| users.contains(id)).collect()
}

impl MixedReport {
    fn add(&mut self, run: Self) {
        self.runs += run.runs;
        self.servers.0 += run.servers.0;
        self.servers.1 += run.servers.1;
        self.pairs.0 += run.pairs.0;
        self.pairs.1 += run.pairs.1;
        self.failures.extend(run.failures);
        for (value, count) in run.habits {
            *self.habits.entry(value).or_default() += count;
        }
    }
}

impl fmt::Display for MixedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, servers: (ours, plain), pairs: (plain_pairs, pairs), .. } = self;
        let (value, count) = self.habits.iter().min_by_key(|(_, count)| **count).unzip();
        self.failures.iter().try_for_each(|failure| writeln!(f, "{failure}"))?;
        write!(
            f,
            "{runs} trees of {ours} crc servers and {plain} plain ones; {plain_pairs} pairs \
             connected by plain servers alone, {pairs} by both together; {} failures; the rarest \
             habit, {}, in {} plain servers",
            self.failures.len(),
            value.map_or("none", String::as_str),
            count.unwrap_or(&0),
        )
    }
}

/// Plays the trees of several seeds, `jobs` at a time.
#[must_use]
pub fn play_seeds(seeds: std::ops::Range<u64>, jobs: usize, stop: &AtomicBool) -> MixedReport {
    let next_seed = AtomicU64::new(seeds.start);
    let play_all = || {
        let mut report = MixedReport::default();
        while !stop.load(Ordering::Relaxed) {
            let seed = next_seed.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            report.add(MixedTree::draw(seed).play());
        }
        report
    };
    let mut total = MixedReport::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(play_all)).collect();
        threads.into_iter().for_each(|thread| total.add(thread.join().expect("no panic")));
    });
    total
}

/// Runs the subcommand.
#[must_use]
pub fn run(arguments: &MixedArguments, interrupted: &Arc<AtomicBool>) -> ExitCode {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let jobs = arguments.jobs.map_or(cores, NonZeroUsize::get);
    let seeds = arguments.seed..arguments.seed.saturating_add(arguments.runs);
    let report = play_seeds(seeds, jobs, interrupted);
    // The exit code has the result even if nobody reads the report.
    drop(writeln!(io::stdout(), "{report}"));
    ExitCode::from(u8::from(!report.failures.is_empty() || report.runs < arguments.runs))
}
