//! The transport of a simulated network: virtual time, pipes with delays and split writes, and the
//! queue of pending events.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use crc::limits::READ_BYTES_PER_TURN;
use crc::link::Time;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::NetConditions;

/// The time of an event, and its number.
pub(super) type EventKey = (Time, u64);

/// A queue of events, and pipes between ends.
pub(super) struct VirtualNet<End, Event> {
    pub(super) now: Time,
    pub(super) rng: StdRng,
    pub(super) conditions: NetConditions,
    /// The opposite end of each end.
    pub(super) pipes: HashMap<End, End>,
    /// The arrival time of the last piece sent to each end.
    last_arrival: HashMap<End, Time>,
    events: BTreeMap<EventKey, Event>,
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

    /// Returns the time of the next event.
    pub(super) fn next_event_at(&self) -> Option<Time> {
        self.events.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Iterates over the pending events, in the order in which they will happen.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Event> {
        self.events.values()
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.events.pop_first().map(|(_, event)| event)
    }

    pub(super) fn schedule(&mut self, at: Time, event: Event) {
        self.event_count += 1;
        self.events.insert((at, self.event_count), event);
    }

    /// Returns the keys of the pending events that a test selects, in order of time.
    pub(super) fn events_where(
        &self,
        is_selected: impl Fn(&Event) -> bool,
    ) -> impl Iterator<Item = EventKey> {
        self.events.iter().filter(move |(_, event)| is_selected(event)).map(|(&key, _)| key)
    }

    /// Removes a pending event.
    pub(super) fn remove(&mut self, key: &EventKey) -> Option<Event> {
        self.events.remove(key)
    }

    /// Puts an event in the place of one that was removed.
    pub(super) fn insert(&mut self, key: EventKey, event: Event) {
        self.events.insert(key, event);
    }

    pub(super) fn random_delay(&mut self) -> Duration {
        self.rng.random_range(Duration::ZERO..=self.conditions.delay_max)
    }

    /// Sends bytes to an end, split at random or not.
    pub(super) fn send(
        &mut self,
        to: End,
        mut bytes: &[u8],
        splits_writes: bool,
        event: impl Fn(End, Vec<u8>) -> Event,
    ) {
        while !bytes.is_empty() {
            let count = match splits_writes {
                true => self.rng.random_range(1..=bytes.len().min(40)),
                false => bytes.len().min(READ_BYTES_PER_TURN),
            };
            let (piece, rest) = bytes.split_at(count);
            bytes = rest;
            let at = self.next_arrival(to);
            self.schedule(at, event(to, piece.to_vec()));
        }
    }

    /// Returns the arrival time of the next piece to an end, after all earlier ones.
    pub(super) fn next_arrival(&mut self, to: End) -> Time {
        let at = self.now + self.random_delay();
        let last = self.last_arrival.entry(to).or_insert(at);
        *last = at.max(*last);
        *last
    }

    pub(super) fn open_pipe(&mut self, one: End, other: End) {
        self.pipes.insert(one, other);
        self.pipes.insert(other, one);
    }

    /// Removes a pipe, and schedules `close_event` for `other` after the bytes in flight.
    pub(super) fn close_pipe(&mut self, end: End, other: End, close_event: Event) {
        self.pipes.remove(&end);
        self.pipes.remove(&other);
        let at = self.next_arrival(other);
        self.schedule(at, close_event);
    }
}
