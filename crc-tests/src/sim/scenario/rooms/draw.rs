//! Draws what happens in rooms.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::super::liar::Lie;
use super::super::{Condition, Event, ServerPlan};
use super::RoomLabel;

/// Separates these choices from the others of a seed.
const ROOMS_SEED: u64 = 0x700_0a5e;
/// The number of the first user on the classic wire or on that of IRC.
const NAMED_USERS: u32 = 2000;

/// The users who are connected, and the rooms that they have joined.
struct Draw<'a> {
    rng: StdRng,
    servers: &'a [ServerPlan],
    /// The servers that speak the extension.
    ours: Vec<usize>,
    /// By number, with their server: those that have had time to register.
    users: BTreeMap<u32, usize>,
    /// Those that have connected since the last pause.
    newcomers: Vec<(u32, usize)>,
    joined: Vec<(u32, RoomLabel)>,
    has_named: bool,
    /// The number of the next user on the classic wire or on that of IRC.
    next_named: u32,
}

/// Lets users join rooms, speak in them and leave them between the events of a scenario, in a part
/// of all seeds.
pub(in crate::sim::scenario) fn draw_rooms(
    seed: u64,
    servers: &[ServerPlan],
    events: &mut Vec<Event>,
) {
    let mut rng = StdRng::seed_from_u64(seed ^ ROOMS_SEED);
    let ours = (0..servers.len()).filter(|&at| servers[at].habits.is_none());
    let ours: Vec<usize> = ours.collect();
    if !rng.random_bool(Condition::Rooms.share()) || ours.is_empty() {
        return;
    }
    let (users, newcomers, joined) = (BTreeMap::new(), Vec::new(), Vec::new());
    let has_named = rng.random_bool(0.5);
    let next_named = NAMED_USERS;
    let mut draw = Draw { rng, servers, ours, users, newcomers, joined, has_named, next_named };
    for event in std::mem::take(events) {
        draw.observe(event);
        events.push(event);
        for _ in 0..draw.rng.random_range(0..=2) {
            events.extend(draw.draw());
        }
        if let Event::Lie { liar, .. } = event {
            events.push(Event::Lie { liar, lie: Lie::Rooms });
        }
    }
}

impl Draw<'_> {
    fn observe(&mut self, event: Event) {
        match event {
            Event::Join { user, server, .. } => self.newcomers.push((user, server)),
            Event::Wait(_) => self.users.extend(self.newcomers.drain(..)),
            Event::Quit { user } | Event::Disconnect { user } => {
                self.users.remove(&user);
                self.newcomers.retain(|&(number, _)| number != user);
                self.joined.retain(|&(number, _)| number != user);
            }
            _ => {}
        }
    }

    fn draw(&mut self) -> Option<Event> {
        let users: Vec<(u32, usize)> = self.users.iter().map(|(&user, &at)| (user, at)).collect();
        let &(user, home) = users.choose(&mut self.rng)?;
        let rooms: Vec<RoomLabel> = RoomLabel::all().collect();
        let &room = rooms.choose(&mut self.rng)?;
        let count = self.rng.random_range(1..=3);
        let joined = self.joined.choose(&mut self.rng).copied();
        if self.has_named && self.rng.random_bool(0.05) {
            return Some(self.draw_named());
        }
        match (self.rng.random_range(0..12), joined) {
            (0..4, _) | (4..10, None) => {
                self.joined.push((user, room));
                Some(Event::JoinRoom { user, room, server: self.server_for(home) })
            }
            (4, Some((user, room))) => {
                let home = self.users.get(&user).copied().unwrap_or(home);
                self.joined.retain(|&it| it != (user, room));
                Some(Event::PartRoom { user, room, server: self.server_for(home) })
            }
            (5..10, Some((user, room))) => Some(Event::Say { user, room, count }),
            (10, _) => Some(Event::Say { user, room, count }),
            _ if self.rng.random_bool(0.6) => {
                let (user, room) = joined.unwrap_or((user, room));
                let home = self.users.get(&user).copied().unwrap_or(home);
                Some(Event::Topic { user, room, server: self.server_for(home) })
            }
            _ if self.rng.random_bool(0.7) => {
                Some(Event::Away { user, server: self.server_for(home) })
            }
            _ => Some(Event::Names { user, room, server: self.server_for(home) }),
        }
    }

    /// Lets a user connect on the classic wire or on that of IRC.
    fn draw_named(&mut self) -> Event {
        let (user, server) =
            (self.next_named, *self.ours.choose(&mut self.rng).expect("a crc server"));
        self.next_named += 1;
        self.newcomers.push((user, server));
        match user % 3 {
            0 => Event::JoinClassic { user, server },
            _ => Event::JoinIrc { user, server },
        }
    }

    /// Returns the server to whose id a user sends its requests: its own, if that is a crc server.
    fn server_for(&mut self, home: usize) -> usize {
        match self.servers[home].habits {
            None => home,
            Some(_) => *self.ours.choose(&mut self.rng).expect("a crc server"),
        }
    }
}
