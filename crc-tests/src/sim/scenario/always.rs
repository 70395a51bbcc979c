//! The predicates that hold after every event.

use std::collections::BTreeMap;

use crc::relay::message::{HostKind, Message};
use crc::wires::crc::codec;

use super::player::Player;
use super::races::is_handshake;
use super::users::{ReceivedChat, Standing};
use super::{HEAL_TIME_MAX, Predicate, Violation};
use crate::sim::PipeEnd;
use crate::sim::observer::ObservedFrame;

impl Player<'_> {
    pub(super) fn check_always(&mut self) -> Result<(), Violation> {
        self.receive_all()?;
        self.check_frames()?;
        self.check_bounds()?;
        self.check_homes()
    }

    /// Handles what all users have received.
    fn receive_all(&mut self) -> Result<(), Violation> {
        let numbers: Vec<u32> = self.users.keys().copied().collect();
        for number in numbers {
            let user = self.users.get_mut(&number).expect("a user");
            let bytes = self.world.take_received(user.client);
            let is_closed = self.world.is_closed(user.client);
            let received = user.receive(&bytes);
            let was_online = user.is_online() && user.is_reading && !user.is_on_plain;
            let id = user.id;
            if is_closed {
                user.standing = Standing::Left;
            }
            let broken = |(predicate, text)| self.violation(predicate, text);
            for chat in received.map_err(broken)? {
                self.check_chat(number, id, &chat)?;
            }
            if is_closed && was_online {
                let text = format!("user#{number} with id {id} was closed, and not informed");
                return Err(self.violation(Predicate::OneClaim, text));
            }
        }
        Ok(())
    }

    /// Checks a chat that a user has received.
    fn check_chat(&mut self, number: u32, id: u32, chat: &ReceivedChat) -> Result<(), Violation> {
        let text = String::from_utf8_lossy(&chat.text).into_owned();
        let fail = |player: &Self, predicate, what: &str| {
            let source = chat.source;
            Err(player.violation(predicate, format!("{what}: `{text}` from {source} to {id}")))
        };
        if self.claimed_by_liars.contains(&chat.source) && text == "lie" {
            return Ok(());
        }
        let Some(at) = sequence_of(&chat.text).filter(|&at| at < self.chats.len()) else {
            return fail(self, Predicate::Authentic, "nobody has sent this chat");
        };
        let sent = &self.chats[at];
        let (sender, is_delivered) = (sent.user, sent.is_delivered);
        if self.users[&sender].id != chat.source {
            return fail(self, Predicate::Authentic, "the source is false");
        }
        if sent.to != id || chat.destination != id {
            return fail(self, Predicate::NoMisdelivery, "for somebody else");
        }
        if is_delivered {
            return fail(self, Predicate::NoDuplicate, "for the second time");
        }
        if self.is_settled(at) && self.latest.get(&(sender, number)).is_some_and(|&it| it > at) {
            return fail(self, Predicate::Order, "after a later one");
        }
        self.chats[at].is_delivered = true;
        self.latest.insert((sender, number), at);
        Ok(())
    }

    /// Returns whether the tree has not changed since a chat was sent, nor shortly before.
    pub(super) fn is_settled(&self, at: usize) -> bool {
        let sent_at = self.chats[at].sent_at;
        self.faulted_at.is_none_or(|fault| fault + HEAL_TIME_MAX < sent_at)
    }

    fn check_frames(&mut self) -> Result<(), Violation> {
        let observer = self.world.observer.as_mut().expect("an observer");
        let frames = std::mem::take(&mut observer.frames);
        let is_plain = |end: &PipeEnd| matches!(end, PipeEnd::PlainServer { .. });
        let cut_write = std::mem::take(&mut observer.cut_writes).into_iter().find(is_plain);
        if let Some((from, error)) = observer.errors.pop() {
            return Err(self.violation(Predicate::WholeFrames, format!("{from:?}: {error}")));
        }
        if let Some(end) = cut_write {
            let text = format!("a write to {end:?} does not end with a frame");
            return Err(self.violation(Predicate::PlainSafe, text));
        }
        for frame in &frames {
            self.check_frame(frame)?;
        }
        if let Some((label, reason)) = self.world.ended_plain_servers().next() {
            let text = format!("{label} has ended: {reason}");
            return Err(self.violation(Predicate::PlainSafe, text));
        }
        Ok(())
    }

    fn check_frame(&mut self, frame: &ObservedFrame) -> Result<(), Violation> {
        let is_dial = self.scenario.has_rings() && is_handshake(&frame.bytes);
        let is_quiet = is_dial || Self::is_quiet_frame(&frame.bytes);
        if self.must_be_quiet && self.unquiet.is_none() && !is_quiet {
            let seconds = frame.sent_at.since_start().as_secs_f64();
            let frame = crate::sim::describe_frame(&frame.bytes);
            self.unquiet = Some(format!("at {seconds:.3} s: {frame}"));
        }
        let PipeEnd::Server { server, .. } = frame.to else { return Ok(()) };
        if let Message::Chat { text, destination, .. } = codec::parse_frame(&frame.bytes)
            && let Some(at) = sequence_of(text).filter(|&at| at < self.chats.len())
            && !self.chats[at].visited.insert(server)
            && self.is_settled(at)
        {
            let label = &self.world.servers[server].label;
            let text = format!("chat {at} to {destination} visits {label} twice");
            return Err(self.violation(Predicate::NoCirculation, text));
        }
        Ok(())
    }

    /// Checks that no send queue is longer than its bound and a frame.
    fn check_bounds(&self) -> Result<(), Violation> {
        let limits = crc::limits::Limits::default();
        for node in self.servers.iter().flatten().filter_map(|&index| self.world.node(index)) {
            for link in node.links() {
                let host = node.relay().adjacent_host(link.id());
                let is_server = host.is_some_and(|host| host.kind == HostKind::Server);
                let queue_bytes_max = match is_server {
                    true => limits.server_queue_bytes_max,
                    false => limits.client_queue_bytes_max,
                };
                if link.queue_bytes() > queue_bytes_max + limits.frame_bytes_max {
                    let (link, bytes) = (link.id(), link.queue_bytes());
                    let text = format!("{bytes} bytes wait on link {link}");
                    return Err(self.violation(Predicate::Bounded, text));
                }
            }
        }
        Ok(())
    }

    /// Checks that each server attributes each user to a server at which it has registered.
    ///
    /// A host behind a plain neighbour counts as its border server's own. With split writes, a
    /// neighbour whose HELLO comes late is a plain one for a moment. Both are left out.
    fn check_homes(&self) -> Result<(), Violation> {
        if self.has_plain_servers() || self.scenario.conditions.splits_writes {
            return Ok(());
        }
        let ids: BTreeMap<u32, usize> = self.servers_by_id();
        for node in self.servers.iter().flatten().filter_map(|&index| self.world.node(index)) {
            let relay = node.relay();
            for host in relay.hosts().iter().filter(|host| host.kind == HostKind::User) {
                let home = relay.home_id(host).0;
                let homes = self.homes.get(&host.id.0);
                let is_home =
                    ids.get(&home).is_none_or(|at| homes.is_some_and(|homes| homes.contains(at)));
                if !is_home {
                    let (own, id) = (relay.identity().id, host.id);
                    let text = format!("server {own} has user {id} at {home}, where it never was");
                    return Err(self.violation(Predicate::SingleWriter, text));
                }
            }
        }
        Ok(())
    }

    /// Returns the running servers by their ids.
    fn servers_by_id(&self) -> BTreeMap<u32, usize> {
        let running = self.servers.iter().enumerate();
        running
            .filter_map(|(at, index)| {
                Some((self.world.node((*index)?)?.relay().identity().id.0, at))
            })
            .collect()
    }
}

/// Returns the number of a chat of a scenario.
fn sequence_of(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.split(' ').next()?.parse().ok()
}
