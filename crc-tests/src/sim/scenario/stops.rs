//! Servers that are stopped as by an operator, and start again, whatever else happens; and networks
//! in which servers are stopped, or links are reset, but nothing else fails, so that users may not
//! notice.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::texts::ChatText;
use super::unnoticed::{MOVE_DELAY_MAX, MOVE_TIME};
use super::{Condition, Event, ServerPlan};

/// Separates these choices from the others of a seed.
const STOPS_SEED: u64 = 0x570b_0a5e;

/// Time after which a chat is on some link on its way, in ms.
const IN_FLIGHT_MAX_MS: u64 = 30;

/// The conditions that users may notice, and those in which servers may not move unnoticed.
const FAULTS: [Condition; 15] = [
    Condition::Resets,
    Condition::Silences,
    Condition::Restarts,
    Condition::Pauses,
    Condition::SplitWrites,
    Condition::LongDelays,
    Condition::PlainServers,
    Condition::Liars,
    Condition::Partitions,
    Condition::UnreachableHosts,
    Condition::Twins,
    Condition::Rings,
    Condition::Stops,
    Condition::Floods,
    Condition::Bursts,
];

/// What happens to a network besides what the other conditions bring.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Servers are stopped.
    Stops,
    /// Servers are stopped, and nothing else fails.
    UnnoticedStops,
    /// Links are reset, and nothing else fails.
    UnnoticedResets,
}

/// Whether servers are stopped or links are reset.
pub(super) struct Stops {
    rng: StdRng,
    kind: Option<Kind>,
}

impl Stops {
    /// Draws whether servers are stopped or links are reset.
    pub(super) fn draw(seed: u64, without: &[Condition]) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ STOPS_SEED);
        let mut has = |it: Condition| rng.random_bool(it.share()) && !without.contains(&it);
        let (is_unnoticed, has_stops) = (has(Condition::Unnoticed), has(Condition::Stops));
        let kind = match is_unnoticed {
            true if rng.random() => Some(Kind::UnnoticedStops),
            true => Some(Kind::UnnoticedResets),
            false => has_stops.then_some(Kind::Stops),
        };
        Self { rng, kind }
    }

    /// Returns the conditions that are left out, besides those that are anyway.
    pub(super) fn leave_out(&self, without: &[Condition]) -> Vec<Condition> {
        let is_unnoticed = self.kind.is_some_and(|kind| kind != Kind::Stops);
        let faults = FAULTS.into_iter().filter(|_| is_unnoticed);
        // Over another parent nothing is sent again.
        let has_resets = self.kind == Some(Kind::UnnoticedResets);
        let fallbacks = has_resets.then_some(Condition::Fallbacks);
        without.iter().copied().chain(faults).chain(fallbacks).collect()
    }

    /// Returns the maximum delay of links, if that is not the usual one: a link may then be reset
    /// again while it is new, with chats in flight.
    pub(super) fn delay_max(&self) -> Option<Duration> {
        (self.kind == Some(Kind::UnnoticedResets)).then_some(MOVE_DELAY_MAX)
    }

    /// Adds what happens to the events.
    pub(super) fn weave(mut self, servers: &[ServerPlan], events: &mut Vec<Event>) {
        let Some(kind) = self.kind else { return };
        let is_ours = |&at: &usize| servers[at].habits.is_none();
        let ours: Vec<usize> = (0..servers.len()).filter(is_ours).collect();
        let rng = &mut self.rng;
        for _ in 0..rng.random_range(1..=3) {
            let Some(&server) = ours.choose(rng) else { return };
            let at = rng.random_range(0..=events.len());
            let users = users_of(&events[..at]);
            let added = match kind {
                Kind::Stops => draw_stop(rng, server, &users),
                Kind::UnnoticedStops => {
                    let stop = draw_stop(rng, server, &users);
                    std::iter::once(Event::Wait(MOVE_TIME)).chain(stop).collect()
                }
                Kind::UnnoticedResets => draw_resets(rng, server, &users),
            };
            events.splice(at..at, added);
        }
    }
}

/// Draws a stop, with chats around it, and the start after it.
fn draw_stop(rng: &mut StdRng, server: usize, users: &[(u32, u32)]) -> Vec<Event> {
    let mut events = draw_chats(rng, users);
    events.push(Event::Stop { server });
    events.extend(draw_chats(rng, users));
    if rng.random_bool(0.7) {
        events.push(draw_wait(rng, 9000));
        events.push(Event::Start { server, has_memory: rng.random() });
    }
    events
}

/// Draws resets of the link to a parent, one shortly after the other, with chats around them.
fn draw_resets(rng: &mut StdRng, server: usize, users: &[(u32, u32)]) -> Vec<Event> {
    let mut events = Vec::new();
    for _ in 0..rng.random_range(1..=6) {
        events.extend(draw_chats(rng, users));
        // Some are on the link when it is reset.
        for _ in 0..rng.random_range(0..12) {
            events.extend(draw_chat(rng, users));
        }
        events.push(draw_wait(rng, IN_FLIGHT_MAX_MS));
        let span = Duration::from_millis(rng.random_range(0..2000));
        events.push(match rng.random_bool(0.3) {
            true => Event::HalfOpenReset { server, span },
            false => Event::Reset { server },
        });
        events.extend(draw_chats(rng, users));
        events.push(draw_wait(rng, 1000));
    }
    events
}

/// Draws chats, with little time between them.
fn draw_chats(rng: &mut StdRng, users: &[(u32, u32)]) -> Vec<Event> {
    let mut events = Vec::new();
    for _ in 0..rng.random_range(0..8) {
        events.extend(draw_chat(rng, users));
        if rng.random() {
            events.push(draw_wait(rng, 20));
        }
    }
    events
}

fn draw_chat(rng: &mut StdRng, users: &[(u32, u32)]) -> Option<Event> {
    let (&(user, _), &(_, id)) = (users.choose(rng)?, users.choose(rng)?);
    Some(Event::Chat { user, id, count: rng.random_range(1..=3), text: ChatText::Number })
}

fn draw_wait(rng: &mut StdRng, max_ms: u64) -> Event {
    Event::Wait(Duration::from_millis(rng.random_range(0..=max_ms)))
}

/// Returns the users that have joined in some events and not left, with their ids.
pub(super) fn users_of(events: &[Event]) -> Vec<(u32, u32)> {
    let mut users: Vec<(u32, u32)> = Vec::new();
    for event in events {
        match *event {
            Event::Join { user, id, .. } => users.push((user, id)),
            Event::Quit { user } | Event::Disconnect { user } => {
                users.retain(|&(number, _)| number != user);
            }
            _ => {}
        }
    }
    users
}
