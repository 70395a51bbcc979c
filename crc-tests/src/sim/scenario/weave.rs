//! Events that are drawn between those of a scenario, from a seed of their own: a scenario without
//! these conditions is the same as before they were added.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::draw::WOVEN;
use super::liar::{COMMON_LIES, IMPOSTOR_LIES, LIES};
use super::texts::ChatText;
use super::{Condition, Event, ServerPlan};

/// Separates these choices from the others of a seed.
const WEAVE_SEED: u64 = 0x3ea5_e571;
/// The number of the first user that is added.
const ADDED_USERS: u32 = 500;

/// Length of a registration that an idle program does not finish, in bytes.
const REGISTRATION_BYTES: u32 = 12;

/// Draws further events between those of a scenario.
pub(super) struct Weave {
    rng: StdRng,
    conditions: Vec<Condition>,
    server_count: usize,
    /// The users that have joined so far, with their ids.
    users: Vec<(u32, u32)>,
    /// The ids of those that have left.
    left_ids: Vec<u32>,
    user_count: u32,
    liar_count: u32,
}

impl Weave {
    /// Draws the conditions of a seed that are woven, besides those of the scenario.
    pub(super) fn new(
        seed: u64,
        without: &[Condition],
        servers: &[ServerPlan],
        others: &[Condition],
    ) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ WEAVE_SEED);
        let mut conditions = Condition::draw_all(&mut rng, WOVEN.into_iter());
        conditions.retain(|it| !without.contains(it));
        if others.contains(&Condition::PlainServers) {
            // A user of the direct wire has two ids shortly after one another, and plain servers
            // echo the registration of the first after its quit.
            conditions.retain(|&it| it != Condition::Mail);
        }
        Self {
            rng,
            conditions,
            server_count: servers.len(),
            users: Vec::new(),
            left_ids: Vec::new(),
            user_count: ADDED_USERS,
            liar_count: 0,
        }
    }

    fn has(&self, condition: Condition) -> bool {
        self.conditions.contains(&condition)
    }

    /// Returns the events with further ones between them.
    pub(super) fn weave(mut self, events: Vec<Event>) -> Vec<Event> {
        let mut woven = Vec::new();
        for mut event in events {
            self.observe(&mut event);
            woven.push(event);
            if self.has(Condition::Mail) && self.rng.random_bool(0.3) {
                woven.extend(self.draw_mail());
            }
            if matches!(event, Event::Liar { .. } | Event::Lie { .. }) {
                woven.extend(self.draw_lie());
            }
            woven.extend(self.draw_fault());
        }
        woven
    }

    /// Keeps track of the users, and moves some to the direct wire.
    fn observe(&mut self, event: &mut Event) {
        match event {
            Event::Join { user, id, is_direct, .. } => {
                self.users.push((*user, *id));
                *is_direct = self.has(Condition::Mail) && self.rng.random_bool(0.5);
            }
            Event::Liar { liar, .. } => self.liar_count = self.liar_count.max(*liar),
            Event::Quit { user } | Event::Disconnect { user } => {
                if let Some(at) = self.users.iter().position(|(number, _)| number == user) {
                    self.left_ids.push(self.users.swap_remove(at).1);
                }
            }
            _ => {}
        }
    }

    /// Lets a user send to one who has left or will join, or lets such a user come back.
    fn draw_mail(&mut self) -> Option<Event> {
        let &(_, latest_id) = self.users.last()?;
        let absent_id = self.left_ids.choose(&mut self.rng).copied();
        match (absent_id, self.rng.random_range(0..4)) {
            (Some(id), 0) => {
                let user = self.user_count;
                self.user_count += 1;
                self.left_ids.retain(|&left| left != id);
                let server = self.rng.random_range(0..self.server_count);
                let is_direct = self.rng.random();
                self.users.push((user, id));
                Some(Event::Join { user, id, server, is_direct })
            }
            (absent_id, at) => {
                let next_id = latest_id + self.rng.random_range(1..3);
                let id = absent_id.filter(|_| at != 1).unwrap_or(next_id);
                let &(user, _) = self.users.choose(&mut self.rng)?;
                let count = self.rng.random_range(1..=3);
                Some(Event::Chat { user, id, count, text: ChatText::Number })
            }
        }
    }

    /// Lets a liar lie as an impostor.
    fn draw_lie(&mut self) -> Option<Event> {
        if !self.has(Condition::Impostors) || self.liar_count == 0 {
            return None;
        }
        let (lie, _) = LIES[self.rng.random_range(COMMON_LIES..IMPOSTOR_LIES)];
        Some(Event::Lie { liar: self.rng.random_range(1..=self.liar_count), lie })
    }

    fn draw_fault(&mut self) -> Option<Event> {
        let server = self.rng.random_range(0..self.server_count);
        let span = Duration::from_millis(self.rng.random_range(100..=20_000));
        match self.rng.random_range(0..30) {
            0 | 1 if self.has(Condition::Partitions) => {
                let group = (0..self.server_count).filter(|_| self.rng.random()).collect();
                Some(Event::Partition { group, span })
            }
            2 | 3 if self.has(Condition::UnreachableHosts) => {
                Some(Event::Unreachable { server, span })
            }
            4 | 5 if self.has(Condition::IdleClients) => {
                let bytes = self.rng.random_range(0..REGISTRATION_BYTES);
                Some(Event::Idle { server, bytes })
            }
            6 | 7 if self.has(Condition::Garbage) => {
                Some(Event::Garbage { server, seed: self.rng.random() })
            }
            8 if self.has(Condition::StoreFailures) && self.has(Condition::Mail) => {
                Some(Event::StoreFails { server })
            }
            _ => None,
        }
    }
}
