//! What carries everything in a simulated network: virtual time, pipes that delay and cut what
//! passes, and the events that are still to happen.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use crc::limits::READ_BYTES_PER_TURN;
use crc::link::Time;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::NetConditions;

/// Events happen to ends of pipes, and to what their owner wants.
pub(super) struct VirtualNet<End, Event> {
    pub(super) now: Time,
    pub(super) rng: StdRng,
    pub(super) conditions: NetConditions,
    /// For each end, the other one.
    pub(super) pipes: HashMap<End, End>,
    /// When the last piece on its way to an end arrives.
    last_arrival: HashMap<End, Time>,
    events: BTreeMap<(Time, u64), Event>,
    event_count: u64,
}

impl<End: Copy + Eq + Hash, Event> VirtualNet<End, Event> {
    pub(super) fn new(seed: u64, conditions: NetConditions) -> Self {
        Self {
            now: Time::default(),
            rng: StdRng::seed_from_u64(seed),
            conditions,
            pipes: HashMap::new(),
            last_arrival: HashMap::new(),
            events: BTreeMap::new(),
            event_count: 0,
        }
    }

    /// When the next event happens.
    pub(super) fn next_event_at(&self) -> Option<Time> {
        self.events.first_key_value().map(|(&(at, _), _)| at)
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.events.pop_first().map(|(_, event)| event)
    }

    pub(super) fn schedule(&mut self, at: Time, event: Event) {
        self.event_count += 1;
        self.events.insert((at, self.event_count), event);
    }

    pub(super) fn random_delay(&mut self) -> Duration {
        self.rng.random_range(Duration::ZERO..=self.conditions.delay_max)
    }

    /// Sends bytes to an end, in pieces as the weather cuts them.
    pub(super) fn send(
        &mut self,
        to: End,
        mut bytes: &[u8],
        event: impl Fn(End, Vec<u8>) -> Event,
    ) {
        while !bytes.is_empty() {
            let count = match self.conditions.splits_writes {
                true => self.rng.random_range(1..=bytes.len().min(40)),
                false => bytes.len().min(READ_BYTES_PER_TURN),
            };
            let (piece, rest) = bytes.split_at(count);
            bytes = rest;
            let at = self.next_arrival(to);
            self.schedule(at, event(to, piece.to_vec()));
        }
    }

    /// When the next thing sent to an end arrives: after all that was sent before.
    fn next_arrival(&mut self, to: End) -> Time {
        let at = self.now + self.random_delay();
        let last = self.last_arrival.entry(to).or_insert(at);
        *last = at.max(*last);
        *last
    }

    pub(super) fn open_pipe(&mut self, one: End, other: End) {
        self.pipes.insert(one, other);
        self.pipes.insert(other, one);
    }

    /// Takes a pipe away; `other` sees it close, by this event, after what is on its way.
    pub(super) fn close_pipe(&mut self, end: End, other: End, close_event: Event) {
        self.pipes.remove(&end);
        self.pipes.remove(&other);
        let at = self.next_arrival(other);
        self.schedule(at, close_event);
    }
}
