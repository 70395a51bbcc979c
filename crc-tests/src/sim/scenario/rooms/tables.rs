//! What holds for rooms once a network has healed: all servers have one table of them, that of the
//! users' homes.

use std::collections::{BTreeMap, BTreeSet};

use crc::id::HostId;
use crc::relay::Relay;

use super::super::Predicate;
use super::super::end::Graph;
use super::super::event::label;
use super::super::player::Player;
use super::super::users::{Broken, User};
use super::Room;
use crate::sim::PipeEnd;

/// The members of each room.
pub(super) type Table = BTreeMap<Room, BTreeSet<u32>>;

fn table_of(relay: &Relay) -> Table {
    let members = |room: Room| relay.room_members(room.name()).map(|host| host.id.0).collect();
    let rooms = Room::all().into_iter().map(|room| (room, members(room)));
    rooms.filter(|(_, ids): &(Room, BTreeSet<u32>)| !ids.is_empty()).collect()
}

/// Returns the topics of the rooms that there are.
fn topics_of(relay: &Relay) -> BTreeMap<Room, String> {
    let rooms = table_of(relay).into_keys();
    let topics = rooms.filter_map(|room| {
        let topic = relay.topic(room.name())?;
        Some((room, String::from_utf8_lossy(topic.text).into_owned()))
    });
    topics.collect()
}

/// Returns the texts of the users who are away.
fn away_texts_of(relay: &Relay) -> BTreeMap<u32, String> {
    let users = relay.hosts().iter().map(|host| (host.id.0, relay.hosts().profile(host.id).away));
    let away = users.filter(|(_, text)| !text.is_empty());
    away.map(|(id, text)| (id, String::from_utf8_lossy(text).into_owned())).collect()
}

impl Player<'_> {
    /// Checks the rooms of a network that has healed.
    pub(in crate::sim::scenario) fn check_rooms(&self, graph: &Graph) -> Result<(), Broken> {
        if !self.scenario.has_rooms() {
            return Ok(());
        }
        for (one, other) in self.extended_links() {
            let (table, its_table) = (table_of(self.relay(one)), table_of(self.relay(other)));
            if table != its_table {
                let (one, other) = (label(one), label(other));
                let text = format!("in rooms at {one} {table:?}, at {other} {its_table:?}");
                return Err((Predicate::OneTable, text));
            }
        }
        for (one, other) in self.extended_links() {
            let (topics, its_topics) = (topics_of(self.relay(one)), topics_of(self.relay(other)));
            if topics != its_topics {
                let (one, other) = (label(one), label(other));
                let text = format!("topics at {one} {topics:?}, at {other} {its_topics:?}");
                return Err((Predicate::OneTable, text));
            }
        }
        for (one, other) in self.extended_links() {
            let (away, its_away) =
                (away_texts_of(self.relay(one)), away_texts_of(self.relay(other)));
            if away != its_away {
                let (one, other) = (label(one), label(other));
                let text = format!("away at {one} {away:?}, at {other} {its_away:?}");
                return Err((Predicate::OneTable, text));
            }
        }
        for server in self.crc_servers() {
            self.check_members(graph, server)?;
        }
        self.check_irc_views(graph)?;
        self.check_shown_rooms(graph)
    }

    /// Checks that each user on the IRC wire is shown the members of its rooms, and that no other
    /// one that the extension connects with it has its nick.
    fn check_irc_views(&self, graph: &Graph) -> Result<(), Broken> {
        let users =
            self.online().filter_map(|(&number, user)| Some((number, user, user.irc.as_ref()?)));
        for (number, user, view) in users {
            let relay = self.relay(user.home);
            for (room, ids) in table_of(relay) {
                let shown = view.rooms.get(&room);
                if !ids.contains(&user.id) {
                    continue;
                }
                let nicks = shown.map(|shown| &shown.nicks);
                let is_shown = |host: &crc::relay::Host| {
                    let alias = format!("|{}", host.id);
                    let name = String::from_utf8_lossy(host.name());
                    nicks.is_some_and(|nicks| {
                        nicks.contains(&*name) || nicks.iter().any(|nick| nick.ends_with(&alias))
                    })
                };
                let mut members = relay.room_members(room.name());
                let is_complete = nicks.is_some_and(|nicks| nicks.len() == ids.len());
                if !is_complete || !members.all(is_shown) {
                    let text = format!("user#{number} is shown {nicks:?} in {room}, with {ids:?}");
                    return Err((Predicate::ClientView, text));
                }
            }
            let is_rival = |(&other, it): (&u32, &User)| {
                other != number && it.irc.is_some() && it.name == user.name
            };
            let mut rivals = self.online().filter(|&it| is_rival(it)).map(|(_, it)| it);
            if rivals.any(|it| {
                graph.is_connected(user.home, it.home) && self.extends_to(user.home, it.home)
            }) {
                let text = format!("user#{number} has the nick {} and another one, too", user.name);
                return Err((Predicate::OneClaim, text));
            }
        }
        Ok(())
    }

    /// Checks that the members of rooms are those who have joined them.
    fn check_members(&self, graph: &Graph, server: usize) -> Result<(), Broken> {
        let table = table_of(self.relay(server));
        let is_in = |room, id| table.get(&room).is_some_and(|ids| ids.contains(&id));
        if graph.is_best_effort(server) {
            return Ok(());
        }
        let users = self.online().filter(|(_, user)| graph.is_connected(server, user.home));
        for (&number, user) in users.filter(|(_, user)| !user.is_on_plain) {
            if !self.extends_to(server, user.home) {
                continue;
            }
            for room in Room::all() {
                let request = self.rooms.last_request(number, room);
                let (joined, is_certain) =
                    request.map_or((false, true), |it| (it.is_join, self.counts(number, it)));
                if is_certain && is_in(room, user.id) != joined {
                    let (what, at) = (if joined { "not in" } else { "still in" }, label(server));
                    let text = format!("user#{number} is {what} {room} at {at}");
                    return Err((Predicate::OneTable, text));
                }
            }
        }
        for (room, ids) in &table {
            let is_online = |id: &u32| self.users_in_part(graph, server).any(|(it, _)| it == *id);
            if let Some(id) = ids.iter().find(|id| !is_online(id)) {
                let text = format!("{id}, who has left, is in {room} at {}", label(server));
                return Err((Predicate::NoGhosts, text));
            }
        }
        Ok(())
    }

    /// Checks that each CRC client is shown the rooms that its server shows, and those in which it
    /// is.
    fn check_shown_rooms(&self, graph: &Graph) -> Result<(), Broken> {
        let users = self.online().filter(|(_, user)| user.is_on_crc());
        for (&number, user) in users.filter(|(_, user)| !graph.is_best_effort(user.home)) {
            let relay = self.relay(user.home);
            let shown = relay.rooms().filter_map(|room| Some((room.shown_as?, room.name)));
            let shown: BTreeMap<u32, Vec<u8>> =
                shown.map(|(HostId(id), name)| (id, name.as_bytes().to_vec())).collect();
            if user.rooms != shown {
                let known: Vec<u32> = user.rooms.keys().copied().collect();
                let text = format!("user#{number} is shown {known:?}, its server shows {shown:?}");
                return Err((Predicate::ClientView, text));
            }
            for (room, ids) in table_of(relay) {
                let is_shown = || shown.values().any(|name| Room::named(name) == Some(room));
                if ids.contains(&user.id) && !is_shown() {
                    let text = format!("user#{number} is in {room}, and is not shown it");
                    return Err((Predicate::ClientView, text));
                }
            }
        }
        Ok(())
    }

    fn crc_servers(&self) -> impl Iterator<Item = usize> {
        let running = self.servers.iter().enumerate().filter(|(_, index)| index.is_some());
        running.map(|(at, _)| at).filter(|&at| !self.is_plain(at))
    }

    /// Returns the crc servers that are connected by the extension, each link once.
    fn extended_links(&self) -> Vec<(usize, usize)> {
        let mut links = Vec::new();
        for one in self.crc_servers() {
            let index = self.servers[one].expect("a running server");
            let node = self.world.node(index).expect("a node");
            for link in node.links().map(|link| link.id()) {
                let end = PipeEnd::Server { server: index, link };
                let other = self.world.net.pipes.get(&end).and_then(|end| end.server());
                let other = self.servers.iter().position(|it| other.is_some() && *it == other);
                if node.relay().is_extended(link)
                    && let Some(other) = other.filter(|&it| it > one)
                {
                    links.push((one, other));
                }
            }
        }
        links
    }

    /// Returns whether two crc servers are connected by the extension alone.
    fn extends_to(&self, one: usize, other: usize) -> bool {
        let links = self.extended_links();
        let mut reached = BTreeSet::from([one]);
        for _ in 0..self.servers.len() {
            let next = links.iter().flat_map(|&(a, b)| [(a, b), (b, a)]);
            let next: Vec<usize> =
                next.filter(|(from, _)| reached.contains(from)).map(|(_, to)| to).collect();
            reached.extend(next);
        }
        reached.contains(&other)
    }

    /// Returns the members of rooms as a user at a server reaches them: those that the server
    /// knows, or if it is a plain one, those that the crc servers know, if the extension connects
    /// all of these.
    pub(super) fn table_for(&self, home: usize, graph: &Graph) -> Option<Table> {
        if !self.is_plain(home) {
            return Some(table_of(self.relay(home)));
        }
        let crc = self.crc_servers().filter(|&at| graph.is_connected(home, at));
        let crc: Vec<usize> = crc.collect();
        let &first = crc.first()?;
        let is_one =
            !graph.is_best_effort(home) && crc.iter().all(|&at| self.extends_to(first, at));
        is_one.then(|| table_of(self.relay(first)))
    }

    /// Returns the number of the user with an id whom a message from a server has to reach: one
    /// behind a plain server only if the extension connects all crc servers.
    pub(super) fn member_with(&self, id: u32, from: usize, graph: &Graph) -> Option<u32> {
        let mut users =
            self.online().filter(|(_, user)| user.id == id && graph.is_connected(from, user.home));
        let (&number, user) = users.next()?;
        let is_certain =
            || !graph.is_best_effort(from) && self.table_for(user.home, graph).is_some();
        (!user.is_on_plain || is_certain()).then_some(number)
    }
}
