//! What users ask for, and what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crc::link::Time;
use crc::wires::direct::codec::{self as direct, Control, Message};

use super::super::classic;
use super::super::player::Player;
use super::super::unnoticed::ARRIVAL_TIME;
use super::super::users::User;
use super::super::{Event, Violation};
use super::{Request, Room, RoomLabel, RoomMessage, text_of};
use crate::frames;
use crate::sim::{ClientId, PipeEnd};

/// Time after which has been written what the server of a user had sent to it before it handled
/// the request to leave.
const LEAVE_TIME: Duration = Duration::from_secs(2);

impl Player<'_> {
    /// Lets a user ask for something about a room, or speak in it.
    pub(in crate::sim::scenario) fn apply_in_room(
        &mut self,
        event: Event,
    ) -> Result<(), Violation> {
        match event {
            Event::JoinRoom { user, room, server } => self.request(user, room, server, true),
            Event::PartRoom { user, room, server } => self.request(user, room, server, false),
            Event::Topic { user, room, server } => {
                let text = self.rooms.topics.to_string();
                self.rooms.topics += 1;
                self.command(user, server, &format!("/topic {room} {text}"));
            }
            Event::Away { user, server } => {
                let text = self.rooms.away_texts.to_string();
                self.rooms.away_texts += 1;
                self.command(user, server, &format!("/away {text}"));
            }
            Event::Names { user, room, server } => {
                self.command(user, server, &format!("/names {room}"));
            }
            Event::Say { user, room, count } => {
                for _ in 0..count {
                    self.say(user, room)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Sends the request of a user to join a room or to leave it.
    fn request(&mut self, number: u32, label: RoomLabel, server: usize, is_join: bool) {
        let Some(user) = self.users.get(&number).filter(|user| user.is_online()) else { return };
        let mut sent_to = None;
        let bytes = if user.is_classic {
            let command = if is_join { "Join" } else { "Part" };
            classic::command(&user.name, &format!("{command} {label}"))
        } else if user.irc.is_some() {
            let command = if is_join { "JOIN" } else { "PART" };
            format!("{command} {label}\r\n").into_bytes()
        } else if user.is_direct {
            let name = label.name().to_owned();
            let control = if is_join { Control::Join(name) } else { Control::Part(name) };
            encode(&Message { control: Some(control), ..Message::default() })
        } else {
            let Some(server_id) = self.server_id(server) else { return };
            sent_to = Some(server_id).filter(|_| server == user.home);
            let command = if is_join { "/join" } else { "/part" };
            frames::chat(user.id, server_id, &format!("{command} {label}"))
        };
        let (is_certain, client) = (self.is_certain(user, server), user.client);
        self.world.send(client, &bytes);
        let place = self.place_of_sent(client);
        let request =
            Request { is_join, at: self.world.now(), place, handled_at: None, is_certain, sent_to };
        self.rooms.requests.entry((number, label.room())).or_default().push(request);
    }

    /// Returns the end that receives what a client has just sent, and the position at which that
    /// ends, and observes when it is handled.
    fn place_of_sent(&mut self, client: ClientId) -> Option<(PipeEnd, u64)> {
        let from = PipeEnd::Client(client);
        let to = *self.world.net.pipes.get(&from)?;
        if !matches!(to, PipeEnd::Server { .. }) {
            return None;
        }
        let observer = self.world.observer.as_mut().expect("an observer");
        Some((to, observer.watch(from, to)))
    }

    /// Sends a command of a CRC user to the id of a server.
    fn command(&mut self, number: u32, server: usize, command: &str) {
        let user =
            self.users.get(&number).filter(|it| it.is_online() && !it.is_direct && !it.is_named());
        if let Some((user, server_id)) = user.zip(self.server_id(server)) {
            self.world.send(user.client, &frames::chat(user.id, server_id, command));
        }
    }

    /// Returns the present id of a crc server that runs.
    fn server_id(&self, server: usize) -> Option<u32> {
        let node = self.world.node(self.servers[server]?)?;
        Some(node.relay().identity().id.0)
    }

    /// Returns whether the home of a user handles what the user sends to a server. The id of that
    /// server may be another one's by the time that the request arrives.
    fn is_certain(&self, user: &User, server: usize) -> bool {
        let has_its_id = !self.scenario.has_twins()
            && (self.liars.is_empty() || self.scenario.servers[server].is_id_configured);
        let has_one_server = user.is_direct || user.is_named();
        !user.is_on_plain && (has_one_server || server == user.home && has_its_id)
    }

    /// Returns whether the home of a user has handled a request, or will: it still has the id to
    /// which the request was sent.
    pub(super) fn counts(&self, number: u32, request: &Request) -> bool {
        let home = self.users.get(&number).map(|user| user.home);
        let id = home.and_then(|home| self.server_id(home));
        request.is_certain && (request.sent_to.is_none() || request.sent_to == id)
    }

    /// Lets a user speak in a room.
    pub(super) fn say(&mut self, number: u32, label: RoomLabel) -> Result<(), Violation> {
        let Some(user) = self.users.get(&number).filter(|user| user.is_online()) else {
            return Ok(());
        };
        let (at, room) = (self.rooms.messages.len(), label.room());
        let text = text_of(at, room);
        let (bytes, is_shown) = if user.is_classic {
            (classic::message(&user.name, label.name(), &text), true)
        } else if user.irc.is_some() {
            (format!("PRIVMSG {label} :{text}\r\n").into_bytes(), true)
        } else if user.is_direct {
            let room = label.name().to_owned();
            (encode(&Message { msg: text, room, ..Message::default() }), true)
        } else {
            let shown = user.rooms.iter().find(|(_, name)| Room::named(name) == Some(room));
            let id = shown.map(|(&id, _)| id);
            let first = || room.name().shown_ids().next().expect("an id").0;
            (frames::chat(user.id, id.unwrap_or_else(first), &text), id.is_some())
        };
        let is_member = self
            .rooms
            .last_request(number, room)
            .is_some_and(|it| it.is_join && self.counts(number, it));
        let expected = match is_member && is_shown {
            true => self.recipients(number, room),
            false => BTreeSet::new(),
        };
        self.world.send(user.client, &bytes);
        self.rooms.messages.push(RoomMessage {
            user: number,
            room,
            sent_at: self.world.now(),
            expected,
            received: BTreeSet::new(),
            crossings: BTreeMap::new(),
            hops: BTreeSet::new(),
        });
        // Some plain servers read once, and more than 1,024 bytes of chats end them.
        self.pause_for_plain_servers()
    }

    /// Returns the users whom a message of a user to a room can reach, and who have long been in
    /// the room.
    fn recipients(&self, number: u32, room: Room) -> BTreeSet<u32> {
        let sender = &self.users[&number];
        let now = self.world.now();
        let is_in = |number: u32, request: &Request| {
            let is_long_ago = request.at + ARRIVAL_TIME <= now;
            request.is_join && self.counts(number, request) && is_long_ago
        };
        let others = self.online().filter(|&(&other, _)| other != number);
        let members = others.filter(|&(&other, _)| {
            self.rooms.last_request(other, room).is_some_and(|request| is_in(other, request))
        });
        let reachable = members.filter(|(_, user)| self.may_reach(sender, user.id));
        reachable.map(|(&other, _)| other).collect()
    }

    /// Returns whether a user may have been in a room at a time, or may not have left it for long.
    pub(super) fn may_be_member(&self, number: u32, room: Room, at: Time) -> bool {
        let Some(requests) = self.rooms.requests.get(&(number, room)) else { return false };
        let mut left_at = None;
        for request in requests.iter().filter(|request| request.at <= at) {
            match request.is_join {
                true => left_at = Some(at + LEAVE_TIME),
                false if request.is_certain => {
                    // It waits behind what the user had sent before.
                    let handled_at = request.handled_at.unwrap_or(at);
                    left_at = left_at.map(|_| handled_at + LEAVE_TIME);
                }
                false => {}
            }
        }
        left_at.is_some_and(|left_at| at <= left_at)
    }
}

fn encode(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    direct::encode(message, &mut bytes);
    bytes
}
