//! What carries everything in a simulated network: virtual time, pipes that delay and cut what
//! passes, and the events that are still to happen.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use crc::limits::READ_BYTES_PER_TURN;
use crc::relay::Time;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::Weather;

/// Events happen to ends of pipes, and to what their owner wants.
pub(super) struct Ether<End, Event> {
    pub(super) now: Time,
    pub(super) rng: StdRng,
    pub(super) weather: Weather,
    /// For each end, the other one.
    pub(super) pipes: HashMap<End, End>,
    /// When the last piece on its way to an end arrives.
    last_arrival: HashMap<End, Time>,
    events: BTreeMap<(Time, u64), Event>,
    next_event: u64,
}

impl<End: Copy + Eq + Hash, Event> Ether<End, Event> {
    pub(super) fn new(seed: u64, weather: Weather) -> Self {
        Self {
            now: Time::default(),
            rng: StdRng::seed_from_u64(seed),
            weather,
            pipes: HashMap::new(),
            last_arrival: HashMap::new(),
            events: BTreeMap::new(),
            next_event: 0,
        }
    }

    /// When the next event happens.
    pub(super) fn next_at(&self) -> Option<Time> {
        self.events.first_key_value().map(|(&(at, _), _)| at)
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.events.pop_first().map(|(_, event)| event)
    }

    pub(super) fn schedule(&mut self, at: Time, event: Event) {
        self.next_event += 1;
        self.events.insert((at, self.next_event), event);
    }

    pub(super) fn delay(&mut self) -> Duration {
        self.rng.random_range(Duration::ZERO..=self.weather.delay_max)
    }

    /// Sends bytes to an end, in pieces as the weather cuts them.
    pub(super) fn carry(
        &mut self,
        to: End,
        mut bytes: &[u8],
        event: impl Fn(End, Vec<u8>) -> Event,
    ) {
        while !bytes.is_empty() {
            let count = match self.weather.cuts {
                true => self.rng.random_range(1..=bytes.len().min(40)),
                false => bytes.len().min(READ_BYTES_PER_TURN),
            };
            let (piece, rest) = bytes.split_at(count);
            bytes = rest;
            let at = self.arrival(to);
            self.schedule(at, event(to, piece.to_vec()));
        }
    }

    /// When the next thing sent to an end arrives: after all that was sent before.
    fn arrival(&mut self, to: End) -> Time {
        let at = self.now + self.delay();
        let last = self.last_arrival.entry(to).or_insert(at);
        *last = at.max(*last);
        *last
    }

    pub(super) fn plug(&mut self, one: End, other: End) {
        self.pipes.insert(one, other);
        self.pipes.insert(other, one);
    }

    /// Takes a pipe away; `other` sees it close, by this event, after what is on its way.
    pub(super) fn unplug(&mut self, end: End, other: End, closed: Event) {
        self.pipes.remove(&end);
        self.pipes.remove(&other);
        let at = self.arrival(other);
        self.schedule(at, closed);
    }
}
