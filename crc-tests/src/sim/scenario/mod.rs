//! Scenarios: random networks and what happens to them, drawn from a seed, played in a
//! [`World`](super::World), and judged by [`Predicate`]s.
//!
//! A scenario is a list of events, drawn before it is played, so any event can be left out. A
//! scenario that breaks a predicate is shrunk to the shortest list found that still breaks it.

mod accounting;
mod always;
mod apply;
mod chats;
mod classic;
mod direct;
mod draw;
mod end;
mod event;
mod garbage;
mod irc;
mod liar;
mod mail_pieces;
pub(super) mod panics;
mod parse;
mod player;
mod probes;
mod races;
mod rooms;
mod seen;
mod shrink;
mod stops;
mod texts;
mod twins;
mod unnoticed;
mod users;
mod weave;

use std::fmt;
use std::time::Duration;

use crc::limits::{PING_TIMEOUT, UPLINK_REFUSED_RETRY_DELAY};
use crc::link::Time;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

pub use self::draw::Condition;
pub use self::event::{Event, Group};
use self::event::{Seconds, label};
pub use self::liar::Lie;
use self::player::Player;
pub use self::rooms::RoomLabel;
use super::NetConditions;
use crate::plain::Habits;

/// Time within which a network has healed once faults have stopped: twice the detection time, and
/// 5 s.
pub const HEAL_TIME_MAX: Duration =
    PING_TIMEOUT.saturating_mul(2).saturating_add(Duration::from_secs(5));

/// Time that a network may take longer to heal if a parent has refused the id of a server: that
/// asks again after a minute, by `docs/PROTOCOL.md`, "Registration and the tree", and may be
/// refused by each of its parents.
const REFUSED_TIME_MAX: Duration =
    Duration::from_millis(UPLINK_REFUSED_RETRY_DELAY.as_millis() as u64 * 11 / 10);

/// What must hold, always or once a network has healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Predicate {
    /// A chat or a registration shows its true source.
    Authentic,
    /// No chat arrives twice.
    NoDuplicate,
    /// A chat arrives only at the user that it was sent to.
    NoMisdelivery,
    /// Chats between two users arrive in the order in which they were sent, while the tree stays
    /// as it is.
    Order,
    /// No chat visits a server twice, while the tree stays as it is.
    NoCirculation,
    /// A link carries whole frames, and no other bytes.
    WholeFrames,
    /// Every queue, set and pool has its bound.
    Bounded,
    /// What a bad connection sends changes nothing else.
    Isolation,
    /// A connection that does not register in time is closed.
    Deadlines,
    /// Each chat is delivered, or its sender is informed, while the tree stays as it is.
    Accounting,
    /// A host belongs to a server at which it has registered.
    SingleWriter,
    /// A plain server receives only what it can read.
    PlainSafe,
    /// The parts of each relay agree, and no code panics.
    IndicesAgree,
    /// The servers that are connected have one table of the live hosts.
    OneTable,
    /// The links are a tree, and no server without a parent could have one.
    Tree,
    /// The first links lead to each host's home in fewer hops than there are servers.
    Routes,
    /// An id has one holder, and all who lost it are informed.
    OneClaim,
    /// Nobody is lost in a split, and no link leads nowhere.
    NoGhosts,
    /// Each client knows the users of its part of the network.
    ClientView,
    /// Only PING and PONG are sent.
    Quiet,
    /// A probe between every two users arrives.
    EveryPair,
    /// Mail is acknowledged only once it is kept.
    Durable,
    /// No server keeps mail for a user whom it can reach.
    MailDrains,
    /// While servers stop and move, or links are reset and come back, no user is shown as quit who
    /// has not left, and each chat arrives.
    Unnoticed,
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Authentic => "authentic",
            Self::NoDuplicate => "no duplicate",
            Self::NoMisdelivery => "no misdelivery",
            Self::Order => "order",
            Self::NoCirculation => "no circulation",
            Self::WholeFrames => "whole frames",
            Self::Bounded => "bounded",
            Self::Isolation => "isolation",
            Self::Deadlines => "deadlines",
            Self::Accounting => "accounting",
            Self::SingleWriter => "single writer",
            Self::PlainSafe => "plain-safe",
            Self::IndicesAgree => "indices agree",
            Self::OneTable => "one table",
            Self::Tree => "a tree",
            Self::Routes => "routes",
            Self::OneClaim => "one claim an id",
            Self::NoGhosts => "no ghosts",
            Self::ClientView => "each client's view",
            Self::Quiet => "quiet",
            Self::EveryPair => "every pair",
            Self::Durable => "durable",
            Self::MailDrains => "mail drains",
            Self::Unnoticed => "unnoticed",
        };
        f.write_str(text)
    }
}

/// A predicate that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The predicate.
    pub predicate: Predicate,
    /// When it did not hold.
    pub at: Time,
    /// What was expected, and what happened.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at.since_start().as_secs_f64();
        write!(f, "{} does not hold at {seconds:.3} s: {}", self.predicate, self.text)
    }
}

/// A server of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPlan {
    /// The indices of its parents, in order.
    pub parents: Vec<usize>,
    /// Its id, if that is not its place in the list, from 1 on.
    pub id: Option<u32>,
    /// Whether its id is configured, as with `--id`.
    pub is_id_configured: bool,
    /// Its habits, if it is a plain server: the name of a preset, or the seed of random habits.
    pub habits: Option<String>,
}

impl ServerPlan {
    /// Returns the id with which the server at a place in the list starts.
    fn first_id(&self, at: usize) -> u32 {
        self.id.unwrap_or_else(|| u32::try_from(at + 1).expect("few servers"))
    }

    /// Returns the habits of a plain server.
    fn plain_habits(&self) -> Option<Habits> {
        let name = self.habits.as_deref()?;
        Some(Habits::preset(name).unwrap_or_else(|| {
            let seed = name.parse().unwrap_or_default();
            Habits::random(&mut StdRng::seed_from_u64(seed))
        }))
    }
}

/// A network, and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Decides delays, splits, and all else that is random while it is played.
    pub seed: u64,
    /// The conditions of all links.
    pub conditions: NetConditions,
    /// The variant of the batching of announcements.
    pub batching: u64,
    /// Number of hosts that leave at a time after the grace, if it is not the default.
    pub split_batch: Option<usize>,
    /// The servers, started at once.
    pub servers: Vec<ServerPlan>,
    /// The events, after the servers have had 10 s to join.
    pub events: Vec<Event>,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NetConditions { delay_max, splits_writes } = self.conditions;
        let splits = if splits_writes { " --split-writes" } else { "" };
        let (seed, batching) = (self.seed, self.batching);
        let delay = Seconds(delay_max);
        write!(f, "NETWORK --seed {seed} --delay {delay} --batching {batching}{splits}")?;
        if let Some(hosts) = self.split_batch {
            write!(f, " --split-batch {hosts}")?;
        }
        writeln!(f)?;
        for (at, server) in self.servers.iter().enumerate() {
            write!(f, "SERVER {}", label(at))?;
            for &parent in &server.parents {
                write!(f, " --parent {}", label(parent))?;
            }
            let habits = server.habits.iter().map(|habits| format!(" --plain {habits}"));
            if let Some(id) = server.id {
                write!(f, " --id {id}")?;
            }
            let id = if server.is_id_configured { "" } else { " --any-id" };
            writeln!(f, "{id}{}", habits.collect::<String>())?;
        }
        self.events.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}

/// How a scenario ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The first predicate that did not hold.
    pub violation: Option<Violation>,
    /// How long the network took to heal, once faults had stopped.
    pub heal_time: Duration,
    /// The simulated time.
    pub simulated: Duration,
    /// Of all bytes sent: two runs with one digest are the same.
    pub digest: u64,
    /// Number of bytes sent.
    pub bytes: u64,
    /// The latest frames, if they were recorded.
    pub trace: Vec<String>,
}

impl Scenario {
    /// Returns whether links may end or lie. With split writes, one whose HELLO comes late ends.
    fn has_faults(&self) -> bool {
        self.conditions.splits_writes || self.has_twins() || self.events.iter().any(Event::is_fault)
    }

    /// Plays the scenario, and returns how it ended. A panic is a violation.
    #[must_use]
    pub fn play(&self) -> Outcome {
        self.play_with(Time::default(), false)
    }

    /// Like [`Scenario::play`], with clocks that show `start` at the beginning.
    #[must_use]
    pub fn play_from(&self, start: Time) -> Outcome {
        self.play_with(start, false)
    }

    /// Like [`Scenario::play`], and records the frames.
    #[must_use]
    pub fn play_traced(&self) -> Outcome {
        self.play_with(Time::default(), true)
    }

    fn play_with(&self, start: Time, is_traced: bool) -> Outcome {
        let mut player = Player::new(self, start, is_traced);
        let result = panics::catch(|| player.play());
        let result = result
            .unwrap_or_else(|message| Err(player.violation(Predicate::IndicesAgree, message)));
        player.into_outcome(result)
    }
}
