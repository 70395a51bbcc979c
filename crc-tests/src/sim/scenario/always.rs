//! The predicates that hold after every event.

use std::collections::BTreeMap;
use std::time::Duration;

use crc::limits::{READ_BYTES_PER_TURN, REGISTER_DEADLINE};
use crc::relay::message::HostKind;

use super::event::{Event, label};
use super::liar::Liar;
use super::player::Player;
use super::seen::LIE_TEXT;
use super::users::{Standing, User};
use super::{Predicate, Violation};
use crate::sim::PipeEnd;

/// Time that a server may take beyond a deadline.
const DEADLINE_SLACK: Duration = Duration::from_secs(1);

/// Maximum size of the send queue of a link to a user: the least that `--client-queue` takes.
pub(super) const CLIENT_QUEUE_BYTES_MAX: usize = 64 * 1024;
/// Length of the longest frame that is sent in a scenario, in bytes, or more.
const LONGEST_FRAME_BYTES: usize = 16 * 1024;

impl Player<'_> {
    pub(super) fn check_always(&mut self) -> Result<(), Violation> {
        self.check_frames()?;
        self.receive_all()?;
        self.check_bounds()?;
        self.check_idlers()?;
        self.check_stopping()?;
        self.check_homes()?;
        self.check_memberships()
    }

    /// Handles what all users have received.
    fn receive_all(&mut self) -> Result<(), Violation> {
        let numbers: Vec<u32> = self.users.keys().copied().collect();
        for number in numbers {
            let user = self.users.get_mut(&number).expect("a user");
            let is_closed = self.world.is_closed(user.client);
            let is_flooded = self.scenario.is_flooded(user.id);
            if is_flooded && !user.is_reading && !is_closed {
                continue; // its connection fills
            }
            let bytes = self.world.take_received(user.client);
            if user.is_dismissed {
                continue;
            }
            let received = user.receive(&bytes);
            let may_be_closed =
                self.scenario.may_be_closed(user.id) || !user.is_reading || user.is_on_plain;
            let was_online = user.is_online() && !may_be_closed;
            let id = user.id;
            if is_closed {
                user.leave(self.world.now());
            }
            let broken = |(predicate, text)| self.violation(predicate, text);
            for chat in received.map_err(broken)? {
                if let Some(chat) = self.join_pieces(number, chat) {
                    self.check_chat(number, id, &chat)?;
                }
            }
            self.find_classic_id(number);
            self.handle_irc(number)?;
            self.check_received_in_rooms(number)?;
            if is_closed && was_online {
                let text = format!("user#{number} with id {id} was closed, and not informed");
                return Err(self.violation(Predicate::OneClaim, text));
            }
        }
        self.check_shown_quits()
    }

    fn check_frames(&mut self) -> Result<(), Violation> {
        let observer = self.world.observer.as_mut().expect("an observer");
        let is_plain = |end: &PipeEnd| matches!(end, PipeEnd::PlainServer { .. });
        let cut_write = std::mem::take(&mut observer.cut_writes).into_iter().find(is_plain);
        // Programs may send what they like.
        observer.errors.retain(|(from, _)| !matches!(from, PipeEnd::Client(_)));
        if let Some((from, error)) = observer.errors.pop() {
            return Err(self.violation(Predicate::WholeFrames, format!("{from:?}: {error}")));
        }
        if let Some(end) = cut_write {
            let text = format!("a write to {end:?} does not end with a frame");
            return Err(self.violation(Predicate::PlainSafe, text));
        }
        self.check_observations()?;
        if let Some((label, reason)) = self.world.ended_plain_servers().next() {
            let text = format!("{label} has ended: {reason}");
            return Err(self.violation(Predicate::PlainSafe, text));
        }
        Ok(())
    }

    /// Checks that no send queue is longer than its bound, a frame and one read.
    fn check_bounds(&self) -> Result<(), Violation> {
        let limits = crc::limits::Limits::default();
        for node in self.servers.iter().flatten().filter_map(|&index| self.world.node(index)) {
            for link in node.links() {
                let host = node.relay().adjacent_host(link.id());
                let is_server = host.is_some_and(|host| host.kind == HostKind::Server);
                let queue_bytes_max = match is_server {
                    true => limits.server_queue_bytes_max,
                    false => CLIENT_QUEUE_BYTES_MAX,
                };
                // Chats that arrive in one read go on together.
                let excess_bytes_max = READ_BYTES_PER_TURN + LONGEST_FRAME_BYTES;
                if link.queue_bytes() > queue_bytes_max + excess_bytes_max {
                    let (link, bytes) = (link.id(), link.queue_bytes());
                    let text = format!("{bytes} bytes wait on link {link}");
                    return Err(self.violation(Predicate::Bounded, text));
                }
            }
        }
        Ok(())
    }

    /// Checks that programs which have not registered in time are closed, unless their server has
    /// been paused.
    fn check_idlers(&self) -> Result<(), Violation> {
        let time_max = REGISTER_DEADLINE + 2 * self.scenario.conditions.delay_max;
        for &(client, index, connected_at) in &self.idlers {
            let is_late = self.world.now().since(connected_at) > time_max + DEADLINE_SLACK;
            let Some(server) = self.servers.iter().position(|&it| it == Some(index)) else {
                continue;
            };
            let is_paused =
                |event: &Event| matches!(event, Event::Pause { server: at, .. } if *at == server);
            if is_late
                && !self.world.is_closed(client)
                && self.world.node(index).is_some()
                && !self.scenario.events.iter().any(is_paused)
            {
                let text = format!("{} keeps a connection that has not registered", label(server));
                return Err(self.violation(Predicate::Deadlines, text));
            }
        }
        Ok(())
    }

    /// Checks that each server attributes each user to a server at which it has registered.
    ///
    /// A host behind a plain neighbour counts as its border server's own. With split writes, a
    /// neighbour whose HELLO comes late is a plain one for a moment. Both are left out, and so is
    /// a network in which a liar has the route to another's server, and speaks for its users. So
    /// are the users of a liar that is a plain server.
    fn check_homes(&self) -> Result<(), Violation> {
        let splits_writes = self.scenario.conditions.splits_writes;
        if self.has_plain_servers() || splits_writes || self.has_impostor {
            return Ok(());
        }
        let has_plain_liar = self.liars.values().any(Liar::is_plain);
        let mut ids: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (id, at) in self.server_ids() {
            ids.entry(id).or_default().push(at);
        }
        if self.scenario.has_twins() {
            // One of them had this id until it met the other, or until it ended.
            for (at, server) in self.scenario.servers.iter().enumerate() {
                ids.entry(server.first_id(at)).or_default().push(at);
            }
        }
        for node in self.servers.iter().flatten().filter_map(|&index| self.world.node(index)) {
            let relay = node.relay();
            for host in relay.hosts().iter().filter(|host| host.kind == HostKind::User) {
                if has_plain_liar && *host.name() == *LIE_TEXT {
                    continue;
                }
                let home = relay.home_id(host).0;
                let is_home = ids.get(&home).is_none_or(|homes| {
                    homes.iter().any(|&at| self.has_registered_at(host.id.0, at))
                });
                if !is_home {
                    let (own, id) = (relay.identity().id, host.id);
                    let text = format!("server {own} has user {id} at {home}, where it never was");
                    return Err(self.violation(Predicate::SingleWriter, text));
                }
            }
        }
        Ok(())
    }

    /// Returns whether a user with this id, or garbage, has registered at a server. The id that a
    /// server assigns to a user of the direct wire, until that asks for another, is no other
    /// user's.
    fn has_registered_at(&self, id: u32, server: usize) -> bool {
        let homes = self.homes.get(&id);
        let is_assigned = |user: &User| {
            // One that was closed at once has not been found.
            let is_found = user.id != 0 && user.standing != Standing::Registering;
            let is_its_id = user.id == id || !is_found;
            let has_assigned = user.is_direct || user.is_named();
            has_assigned && user.home == server && (homes.is_none() || is_its_id)
        };
        self.garbage_ids.contains(&(id, server))
            || homes.is_some_and(|homes| homes.contains(&server))
            || self.users.values().any(is_assigned)
    }

    /// Returns the ids of the running servers, with their places in the scenario.
    pub(super) fn server_ids(&self) -> impl Iterator<Item = (u32, usize)> {
        let running = self.servers.iter().enumerate();
        running.filter_map(|(at, index)| {
            Some((self.world.node((*index)?)?.relay().identity().id.0, at))
        })
    }
}
