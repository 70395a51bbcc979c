//! Scenarios drawn from a seed.

use std::time::Duration;

use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::liar::{COMMON_LIES, LIES};
use super::races::{draw_races, draw_rings};
use super::rooms::draw_rooms;
use super::stops::Stops;
use super::texts::{ChatText, draw_bursts, draw_floods, draw_texts};
use super::twins::draw_twins;
use super::weave::Weave;
use super::{Event, Scenario, ServerPlan};
use crate::sim::{NetConditions, Silence};

/// Separates the choices of events from those of the network that plays them.
const EVENTS_SEED: u64 = 0x5ce_0a71;
/// The ids that several users register, if they do.
pub(super) const CONTESTED_IDS: std::ops::Range<u32> = 100..104;
/// The presets of the habits of plain servers.
const PRESETS: [&str; 6] = ["plain", "A", "B", "C", "D", "E"];

/// What a scenario has: each seed has a part of all conditions, so that some of them meet often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Condition {
    /// Links are reset.
    Resets,
    /// Links become silent.
    Silences,
    /// Servers are killed, vanish, and start again.
    Restarts,
    /// Processes are paused.
    Pauses,
    /// Users stop to read.
    SlowReaders,
    /// Users register the same ids.
    ContestedIds,
    /// Writes are split.
    SplitWrites,
    /// Delays are long.
    LongDelays,
    /// Servers have several parents.
    Fallbacks,
    /// Some servers are plain, with the habits of other programs.
    PlainServers,
    /// Programs say HELLO and send frames that are not true.
    Liars,
    /// Servers dial one another at the same time.
    Rings,
    /// Some users are on the direct wire, and messages to absent users are kept.
    Mail,
    /// The disks under mail stores fail.
    StoreFailures,
    /// Groups of servers cannot reach each other for a time.
    Partitions,
    /// Dials to and from a server get no answer for a time.
    UnreachableHosts,
    /// Programs connect and send nothing, or a part of a frame.
    IdleClients,
    /// Programs connect and send frames of others, or bytes that are no frames.
    Garbage,
    /// Liars claim the ids of servers, repeat old facts, and send statuses of others.
    Impostors,
    /// Servers are stopped as by an operator, and start again.
    Stops,
    /// Servers are stopped, or links are reset, and nothing else fails: users may not notice.
    Unnoticed,
    /// Chats have long texts, or texts that are not UTF-8.
    Texts,
    /// Two servers start under one id.
    Twins,
    /// Users stop reading, and are sent more than their queues hold.
    Floods,
    /// Links become silent, and more is sent over them than may wait.
    Bursts,
    /// Users join rooms, speak in them and leave them.
    Rooms,
}

/// The conditions whose events are drawn after the others, see [`Weave`].
pub(super) const WOVEN: [Condition; 7] = [
    Condition::Mail,
    Condition::Partitions,
    Condition::UnreachableHosts,
    Condition::IdleClients,
    Condition::Garbage,
    Condition::Impostors,
    Condition::StoreFailures,
];

impl Condition {
    /// Returns the share of seeds that have the condition.
    pub(super) fn share(self) -> f64 {
        match self {
            Self::Resets | Self::Silences | Self::Restarts | Self::Impostors => 0.5,
            Self::SplitWrites | Self::LongDelays | Self::Fallbacks | Self::Mail => 0.4,
            Self::Rings => 0.35,
            Self::Pauses
            | Self::SlowReaders
            | Self::ContestedIds
            | Self::PlainServers
            | Self::Liars
            | Self::Partitions
            | Self::UnreachableHosts
            | Self::IdleClients
            | Self::Garbage
            | Self::StoreFailures
            | Self::Floods => 0.25,
            Self::Texts | Self::Rooms => 0.2,
            Self::Stops | Self::Twins | Self::Unnoticed => 0.15,
            Self::Bursts => 0.08,
        }
    }

    pub(super) fn draw_all(rng: &mut StdRng, all: impl Iterator<Item = Self>) -> Vec<Self> {
        all.filter(|condition| rng.random_bool(condition.share())).collect()
    }

    /// Returns whether it is drawn from a seed of its own: a scenario without it is the same as
    /// before it was added.
    fn has_own_seed(self) -> bool {
        WOVEN.contains(&self)
            || matches!(
                self,
                Self::Rings
                    | Self::Stops
                    | Self::Unnoticed
                    | Self::Texts
                    | Self::Twins
                    | Self::Floods
                    | Self::Bursts
                    | Self::Rooms
            )
    }
}

/// Draws events one after the other.
struct Draw {
    rng: StdRng,
    conditions: Vec<Condition>,
    server_count: usize,
    /// Whether each server runs, as far as the events so far tell.
    is_running: Vec<bool>,
    /// The users that have joined, with their ids.
    users: Vec<(u32, u32)>,
    user_count: u32,
    liar_count: u32,
    events: Vec<Event>,
}

impl Scenario {
    /// Draws a scenario from a seed, leaving out some conditions.
    #[must_use]
    pub fn draw(seed: u64, without: &[Condition]) -> Self {
        let stops = Stops::draw(seed, without);
        let without = &stops.leave_out(without);
        let mut rng = StdRng::seed_from_u64(seed ^ EVENTS_SEED);
        let first = Condition::value_variants().iter().copied().filter(|it| !it.has_own_seed());
        let mut conditions = Condition::draw_all(&mut rng, first);
        conditions.retain(|it| !without.contains(it));
        if conditions.contains(&Condition::PlainServers) {
            // Who has an id across a plain server is best effort, and a plain server believes every
            // source.
            conditions.retain(|it| !matches!(it, Condition::ContestedIds | Condition::Liars));
        }
        let has = |it| conditions.contains(&it);
        let server_count = rng.random_range(2..=8_usize);
        let mut servers: Vec<ServerPlan> =
            (0..server_count).map(|at| draw_server(&mut rng, &conditions, at)).collect();
        let delay_ms = if has(Condition::LongDelays) { 300 } else { 2 };
        let net = NetConditions {
            delay_max: stops.delay_max().unwrap_or(Duration::from_millis(delay_ms)),
            splits_writes: has(Condition::SplitWrites),
        };
        let batching = rng.random_range(0..3);
        let event_count = rng.random_range(10..80);
        let is_running = vec![true; server_count];
        let (users, user_count, liar_count, events) = (Vec::new(), 0, 0, Vec::new());
        let mut draw = Draw {
            rng,
            conditions,
            server_count,
            is_running,
            users,
            user_count,
            liar_count,
            events,
        };
        for _ in 0..event_count {
            draw.push();
        }
        if !without.contains(&Condition::Rings) && !draw.has(Condition::PlainServers) {
            draw_rings(seed, &mut servers, &mut draw.events);
        }
        if draw.has(Condition::ContestedIds) {
            draw_races(seed, server_count, &mut draw.events);
        }
        let has_plain = draw.has(Condition::PlainServers);
        // A refused server asks again and again; while its HELLO is cut off, it is a plain one.
        if !without.contains(&Condition::Twins) && !has_plain && !net.splits_writes {
            draw_twins(seed, &mut servers, &mut draw.events);
        }
        let mut events = Weave::new(seed, without, &servers, &draw.conditions).weave(draw.events);
        stops.weave(&servers, &mut events);
        if !without.contains(&Condition::Texts) {
            draw_texts(seed, has_plain, &mut events);
        }
        if !without.contains(&Condition::Floods) && !has_plain {
            draw_floods(seed, &mut events);
        }
        if !without.contains(&Condition::Rooms) {
            draw_rooms(seed, &servers, &mut events);
        }
        if !without.contains(&Condition::Bursts) && !has_plain && !net.splits_writes {
            draw_bursts(seed, server_count, &mut events);
        }
        Self { seed, conditions: net, batching, split_batch: None, servers, events }
    }
}

fn draw_server(rng: &mut StdRng, conditions: &[Condition], at: usize) -> ServerPlan {
    let mut parents = Vec::new();
    if at > 0 {
        parents.push(rng.random_range(0..at));
        let other = rng.random_range(0..at);
        if conditions.contains(&Condition::Fallbacks) && other != parents[0] {
            parents.push(other);
        }
    }
    let is_id_configured = rng.random_bool(0.7);
    let is_plain = conditions.contains(&Condition::PlainServers) && rng.random_bool(0.4);
    let habits = is_plain.then(|| match rng.random_range(0..=PRESETS.len()) {
        at if at < PRESETS.len() => PRESETS[at].to_owned(),
        _ => rng.random_range(0..1000).to_string(),
    });
    ServerPlan { parents, id: None, is_id_configured, habits }
}

impl Draw {
    fn has(&self, condition: Condition) -> bool {
        self.conditions.contains(&condition)
    }

    fn push(&mut self) {
        let server = self.rng.random_range(0..self.server_count);
        let event = match self.rng.random_range(0..20) {
            0..=4 => self.draw_join(server),
            5 => self.draw_leave(),
            6..=9 => self.draw_chat(),
            10 if self.has(Condition::SlowReaders) => self.draw_reading(),
            11 | 12 if self.has(Condition::Resets) => Event::Reset { server },
            13 | 14 if self.has(Condition::Silences) => self.draw_silence(server),
            15 | 16 if self.has(Condition::Restarts) => self.draw_end_or_start(server),
            17 if self.has(Condition::Pauses) => {
                Event::Pause { server, span: self.draw_span(100, 40_000) }
            }
            18 if self.has(Condition::Liars) => self.draw_lie(server),
            18 => Event::Wait(self.draw_span(0, 20_000)),
            _ => Event::Wait(self.draw_span(0, 900)),
        };
        self.events.push(event);
    }

    fn draw_span(&mut self, min_ms: u64, max_ms: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(min_ms..=max_ms))
    }

    fn draw_join(&mut self, server: usize) -> Event {
        let user = self.user_count;
        self.user_count += 1;
        let id = match self.has(Condition::ContestedIds) {
            true => self.rng.random_range(CONTESTED_IDS),
            false => 1000 + user,
        };
        self.users.push((user, id));
        Event::Join { user, id, server, is_direct: false }
    }

    fn draw_leave(&mut self) -> Event {
        if self.users.is_empty() {
            return Event::Wait(self.draw_span(0, 900));
        }
        let (user, _) = self.users.swap_remove(self.rng.random_range(0..self.users.len()));
        if self.rng.random() { Event::Quit { user } } else { Event::Disconnect { user } }
    }

    fn draw_chat(&mut self) -> Event {
        let pair = (self.users.choose(&mut self.rng), self.users.choose(&mut self.rng));
        let (Some(&(user, _)), Some(&(_, id))) = pair else {
            return Event::Wait(self.draw_span(0, 900));
        };
        Event::Chat { user, id, count: self.rng.random_range(1..=3), text: ChatText::Number }
    }

    fn draw_reading(&mut self) -> Event {
        let Some(&(user, _)) = self.users.choose(&mut self.rng) else {
            return Event::Wait(self.draw_span(0, 900));
        };
        if self.rng.random() { Event::StopReading { user } } else { Event::Read { user } }
    }

    fn draw_silence(&mut self, server: usize) -> Event {
        let silence =
            [Silence::Both, Silence::Both, Silence::Up, Silence::Down][self.rng.random_range(0..4)];
        let span = self.rng.random_bool(0.4).then(|| self.draw_span(100, 20_000));
        Event::Silence { server, silence, span }
    }

    /// Lets a liar join, or lie if it has joined.
    fn draw_lie(&mut self, server: usize) -> Event {
        if self.liar_count == 0 || self.rng.random_bool(0.3) {
            self.liar_count += 1;
            return Event::Liar { liar: self.liar_count, server };
        }
        let liar = self.rng.random_range(1..=self.liar_count);
        let (lie, _) = LIES[self.rng.random_range(0..COMMON_LIES)];
        Event::Lie { liar, lie }
    }

    /// Starts a server that has ended, or ends it and starts it again soon.
    fn draw_end_or_start(&mut self, server: usize) -> Event {
        let has_memory = self.rng.random();
        if !std::mem::replace(&mut self.is_running[server], true) {
            return Event::Start { server, has_memory };
        }
        let is_noticed = self.rng.random();
        self.events.push(match is_noticed {
            true => Event::Kill { server },
            false => Event::Vanish { server },
        });
        if self.rng.random_bool(0.2) {
            self.is_running[server] = false;
            return Event::Wait(self.draw_span(0, 9000));
        }
        let span = self.draw_span(0, 9000);
        self.events.push(Event::Wait(span));
        Event::Start { server, has_memory }
    }
}
