//! What must always hold for messages to rooms and for memberships.

use crc::id::HostId;
use crc::relay::extension::Frame;
use crc::relay::message::{Message, StatusCode};
use crc::wires::Wire;
use crc::wires::classic::codec as classic;
use crc::wires::crc::codec;
use crc::wires::direct::codec as direct;

use super::super::event::Event;
use super::super::irc;
use super::super::player::Player;
use super::super::{Predicate, Violation};
use super::{LIE_ROOM, ReceivedInRoom, Room, number_of, split_crc_text};
use crate::sim::PipeEnd;
use crate::sim::observer::ObservedFrame;

/// What a frame has of a message to a room.
enum Seen {
    /// Its number, and the server for whose users it is; [`HostId::NONE`] for all.
    Crossing(usize, HostId),
    /// Its number, on the way to a client.
    Delivery(usize),
}

impl Seen {
    fn in_frame(frame: &ObservedFrame) -> Option<Self> {
        if frame.wire == Wire::DIRECT {
            let message =
                direct::parse_frame(&frame.bytes).ok().filter(|it| !it.room.is_empty())?;
            return Some(Self::Delivery(number_of(message.msg.as_bytes())?));
        }
        if frame.wire == Wire::CLASSIC {
            let message = classic::parse_frame(&frame.bytes)?;
            Room::named(message.destination.unpadded())?;
            return Some(Self::Delivery(number_of(message.text)?));
        }
        if frame.wire == Wire::IRC {
            let (_, text) = irc::room_text(std::str::from_utf8(&frame.bytes).ok()?)?;
            return Some(Self::Delivery(number_of(text.trim_end().as_bytes())?));
        }
        match codec::parse_frame(&frame.bytes) {
            Message::Chat { text, .. } => Some(Self::Delivery(split_crc_text(text)?.1)),
            Message::Status {
                destination: HostId::EXTENSION,
                code: code @ StatusCode::ROOM_CHAT,
                text,
                ..
            } => match Frame::parse(code, text)?.ok()? {
                Frame::RoomChat(chat) => Some(Self::Crossing(number_of(chat.text)?, chat.home)),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Player<'_> {
    /// Checks a frame that was sent.
    pub(in crate::sim::scenario) fn check_room_frame(
        &mut self,
        frame: &ObservedFrame,
    ) -> Result<(), Violation> {
        if self.rooms.messages.is_empty() {
            return Ok(());
        }
        match (Seen::in_frame(frame), frame.from, frame.to) {
            (Some(Seen::Crossing(number, home)), PipeEnd::Server { .. }, to) => {
                self.check_crossing(number, home, (frame.from, to))
            }
            (Some(Seen::Delivery(number)), PipeEnd::Server { .. }, PipeEnd::Client(client)) => {
                let mut users = self.users.iter();
                match users.find(|(_, user)| user.client == client) {
                    Some((&user, _)) => self.check_delivery(number, user, frame),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Checks that a message goes at most once over a link, and visits no server twice while the
    /// tree stays as it is.
    fn check_crossing(
        &mut self,
        number: usize,
        home: HostId,
        (from, to): (PipeEnd, PipeEnd),
    ) -> Result<(), Violation> {
        let Some(message) = self.rooms.messages.get_mut(number) else { return Ok(()) };
        let count = message.crossings.entry((to, home)).or_default();
        *count += 1;
        let count = *count;
        let Some((from, at)) = from.server().zip(to.server()) else { return Ok(()) };
        message.hops.insert((from, at));
        let label = &self.world.servers[at].label;
        if count > 1 {
            let text = format!("room message {number} goes to {label} {count} times over one link");
            return Err(self.violation(Predicate::NoCirculation, text));
        }
        let message = &self.rooms.messages[number];
        let visits: usize = message
            .crossings
            .iter()
            .filter(|((end, _), _)| end.server() == Some(at))
            .map(|(_, count)| count)
            .sum();
        if visits > 1 && self.is_settled_since(message.sent_at) {
            let text = format!("room message {number} visits {label} {visits} times");
            return Err(self.violation(Predicate::NoCirculation, text));
        }
        Ok(())
    }

    /// Checks that a message is sent to members only.
    fn check_delivery(
        &self,
        number: usize,
        user: u32,
        frame: &ObservedFrame,
    ) -> Result<(), Violation> {
        let Some(message) = self.rooms.messages.get(number) else { return Ok(()) };
        let home = self.users[&user].home;
        let delays = |event: &Event| match event {
            Event::Pause { server, .. } => *server == home,
            Event::StopReading { user: it } => *it == user,
            _ => false,
        };
        if self.may_be_member(user, message.room, frame.sent_at)
            || self.scenario.events.iter().any(delays) && self.rooms.has_asked(user, message.room)
        {
            return Ok(());
        }
        let text =
            format!("room message {number} is sent to user#{user}, who is not in {}", message.room);
        Err(self.violation(Predicate::NoMisdelivery, text))
    }

    /// Checks what a user has received about rooms.
    pub(in crate::sim::scenario) fn check_received_in_rooms(
        &mut self,
        number: u32,
    ) -> Result<(), Violation> {
        let user = self.users.get_mut(&number).expect("a user");
        let id = user.id;
        for received in std::mem::take(&mut user.received_in_rooms) {
            match received {
                ReceivedInRoom::Lie if self.has_impostor || !self.claimed_by_liars.is_empty() => {}
                ReceivedInRoom::Lie => {
                    let text = format!("what a liar has said in a room reaches {id}");
                    return Err(self.violation(Predicate::Authentic, text));
                }
                ReceivedInRoom::Answer { source } => {
                    let mut servers = self.server_ids();
                    let may_have_changed = self.scenario.has_twins() || self.scenario.has_faults();
                    if !servers.any(|(it, _)| it == source) && !may_have_changed {
                        let text = format!("{source}, which is no server, has answered {id}");
                        return Err(self.violation(Predicate::Authentic, text));
                    }
                }
                ReceivedInRoom::Message { number: at, room, sender, destination } => {
                    self.check_message((number, id), at, room, &sender, destination)?;
                }
            }
        }
        Ok(())
    }

    fn check_message(
        &mut self,
        (number, id): (u32, u32),
        at: usize,
        room: Option<Room>,
        sender: &[u8],
        destination: u32,
    ) -> Result<(), Violation> {
        let fail = |player: &Self, predicate, what: &str| {
            Err(player.violation(predicate, format!("{what}: room message {at} to {id}")))
        };
        let Some(message) = self.rooms.messages.get(at) else {
            return fail(self, Predicate::Authentic, "nobody has sent this");
        };
        let (user, sent_room) = (&self.users[&message.user], message.room);
        let speaker = message.user;
        let recipient = &self.users[&number];
        let is_sender = match recipient.is_direct {
            true => user.id.to_string().as_bytes() == sender,
            // Who shares a name with others has an alias there.
            false if recipient.irc.is_some() => irc::is_nick_of(user, sender),
            false => recipient.is_classic || user.name.as_bytes() == sender,
        };
        if !is_sender || room.is_some_and(|room| room != sent_room) {
            return fail(self, Predicate::Authentic, "the sender or the room is false");
        }
        if !self.may_be_member(speaker, sent_room, message.sent_at) {
            return fail(self, Predicate::Authentic, "the sender is not in the room");
        }
        if destination != id || speaker == number {
            return fail(self, Predicate::NoMisdelivery, "for somebody else");
        }
        if !self.rooms.messages[at].received.insert(number) {
            return fail(self, Predicate::NoDuplicate, "for the second time");
        }
        let earlier = self.rooms.latest.insert((speaker, number, sent_room), at);
        if earlier.is_some_and(|earlier| earlier > at) && !self.has_plain_servers() {
            return fail(self, Predicate::Order, "after a later one");
        }
        Ok(())
    }

    /// Checks that nobody is in a room who has not asked for it: only the home of a user changes
    /// that.
    pub(in crate::sim::scenario) fn check_memberships(&self) -> Result<(), Violation> {
        if !self.scenario.has_rooms() || self.has_impostor {
            return Ok(());
        }
        for node in self.servers.iter().flatten().filter_map(|&index| self.world.node(index)) {
            let relay = node.relay();
            for room in relay.rooms() {
                let named = Room::named(room.name.as_bytes());
                for host in relay.room_members(room.name) {
                    let id = host.id.0;
                    let mut users = self.users.iter().filter(|(_, user)| user.id == id);
                    let has_asked = named.is_some_and(|room| {
                        users.any(|(&user, _)| self.rooms.has_asked(user, room))
                    });
                    let is_lie = room.name.as_bytes() == LIE_ROOM.as_bytes()
                        && (id >= 9000 || self.claimed_by_liars.contains(&id));
                    if !has_asked && !is_lie {
                        let own = relay.identity().id;
                        let text =
                            format!("server {own} has {id} in {}, who has not asked", room.name);
                        return Err(self.violation(Predicate::SingleWriter, text));
                    }
                }
            }
        }
        Ok(())
    }
}
