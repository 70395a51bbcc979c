//! Users on the IRC wire: nicks, of which two users at two servers may take the same. In a scenario
//! they take part in rooms alone.

use std::collections::{BTreeMap, BTreeSet};

use crc::relay::message::HostKind;
use crc::wires::Wire;

use super::player::Player;
use super::rooms::{ReceivedInRoom, Room};
use super::seen::LIE_TEXT;
use super::users::{Broken, Standing, User};
use super::{Predicate, Violation};

/// What a user on the IRC wire is shown.
#[derive(Debug, Default)]
pub(super) struct IrcView {
    /// The rooms in which it is.
    pub(super) rooms: BTreeMap<Room, ShownRoom>,
    /// What it sends to its server.
    replies: Vec<u8>,
    /// Another user has its nick.
    has_lost_nick: bool,
}

/// A room as a user is shown it.
#[derive(Debug, Default)]
pub(super) struct ShownRoom {
    /// The nicks of its members.
    pub(super) nicks: BTreeSet<String>,
    /// All members have been listed.
    is_listed: bool,
}

/// Returns the nick of the sender and the text of a message to a room.
pub(super) fn room_text(line: &str) -> Option<(&str, &str)> {
    let (source, rest) = line.strip_prefix(':')?.split_once(" PRIVMSG #")?;
    let (_, text) = rest.split_once(" :")?;
    Some((source.split('!').next()?, text))
}

/// Returns whether a user may be shown under a nick: its name, or an alias with its id.
pub(super) fn is_nick_of(user: &User, nick: &[u8]) -> bool {
    user.name.as_bytes() == nick || nick.ends_with(format!("|{}", user.id).as_bytes())
}

impl User {
    /// Handles received bytes of the IRC wire, of which there are no chats for it.
    pub(super) fn receive_irc(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let (lines, rest) = bytes.split_at(end);
        self.unread = rest.to_vec();
        let broken = |what: &str| (Predicate::WholeFrames, format!("to {}: {what}", self.name));
        let lines = std::str::from_utf8(lines).map_err(|_| broken("not UTF-8"))?;
        for line in lines.split_terminator('\n') {
            let line = line.strip_suffix('\r').ok_or_else(|| {
                (Predicate::WholeFrames, format!("to {}: no line: {line}", self.name))
            })?;
            self.handle_line(line).map_err(|what| {
                (Predicate::ClientView, format!("{what}: `{line}` to {}", self.name))
            })?;
        }
        Ok(())
    }

    fn handle_line(&mut self, line: &str) -> Result<(), &'static str> {
        if let Some((nick, text)) = room_text(line) {
            return self.handle_room_text(nick, text, line);
        }
        let words: Vec<&str> = line.split(' ').collect();
        let view = self.irc.as_mut().expect("a user on the IRC wire");
        if words[0] == "ERROR" {
            view.has_lost_nick = line.ends_with(": nick collision");
            let has_lost_id = line.contains(" registered id ");
            if self.standing == Standing::Online && (view.has_lost_nick || has_lost_id) {
                self.standing = Standing::Evicted;
            }
            return Ok(());
        }
        let nick = words[0].trim_start_matches(':').split('!').next().unwrap_or("");
        let room = |at: usize| words.get(at).and_then(|name| Room::named(name.as_bytes()));
        match words[1] {
            "001" if self.standing == Standing::Registering => self.standing = Standing::Online,
            "433" if self.standing == Standing::Registering => self.standing = Standing::Left,
            "PING" => view.replies.extend_from_slice(b"PONG :x\r\n"),
            "353" => {
                let names = line.rsplit(" :").next().unwrap_or("").split(' ');
                let shown = room(4).and_then(|room| view.rooms.get_mut(&room));
                let shown = shown.ok_or("members of a room in which it is not")?;
                shown.nicks.extend(names.map(str::to_owned));
            }
            "366" => {
                if let Some(shown) = room(3).and_then(|room| view.rooms.get_mut(&room)) {
                    shown.is_listed = true;
                }
            }
            "JOIN" if nick == self.name => {
                view.rooms.insert(room(2).ok_or("a room without a name")?, ShownRoom::default());
            }
            "PART" if nick == self.name => {
                let room = room(2).ok_or("a room without a name")?;
                view.rooms.remove(&room).ok_or("it is not in the room")?;
            }
            "JOIN" | "PART" => {
                let shown = room(2).and_then(|room| view.rooms.get_mut(&room));
                let shown = shown.ok_or("it is not in the room")?;
                let changes = match words[1] {
                    "JOIN" => shown.nicks.insert(nick.to_owned()),
                    _ => shown.nicks.remove(nick),
                };
                if !changes && shown.is_listed {
                    return Err("the user is, or is not, there");
                }
            }
            "QUIT" | "NICK" => {
                let new = words[2].trim_start_matches(':');
                if !view.replace(nick, (words[1] == "NICK").then_some(new)) {
                    return Err("the user is not there");
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_room_text(&mut self, nick: &str, text: &str, line: &str) -> Result<(), &'static str> {
        let room = line.split(' ').nth(2).and_then(|name| Room::named(name.as_bytes()));
        let view = self.irc.as_ref().expect("a user on the IRC wire");
        if text.as_bytes() == LIE_TEXT {
            self.received_in_rooms.push(ReceivedInRoom::Lie);
            return Ok(());
        }
        // The sender may have left meanwhile: what waited for a lost server comes behind that.
        room.and_then(|room| view.rooms.get(&room)).ok_or("it is not in the room")?;
        let received = ReceivedInRoom::on_irc(self.id, room, nick, text);
        self.received_in_rooms.extend(received);
        Ok(())
    }
}

impl IrcView {
    /// Replaces a nick in all rooms by another, or removes it. Returns whether it may be in one.
    fn replace(&mut self, nick: &str, new: Option<&str>) -> bool {
        let mut is_there = false;
        for shown in self.rooms.values_mut() {
            let is_in = shown.nicks.remove(nick);
            shown.nicks.extend(new.filter(|_| is_in).map(str::to_owned));
            is_there |= is_in || !shown.is_listed;
        }
        is_there
    }
}

impl Player<'_> {
    /// Lets a user connect on the IRC wire.
    pub(super) fn join_irc(&mut self, number: u32, server: usize) {
        let Some(index) = self.servers[server].filter(|_| !self.is_plain(server)) else { return };
        if self.users.contains_key(&number) {
            return;
        }
        let client = self.world.connect_on(index, Wire::IRC);
        let nick = format!("i{}", number % 2);
        self.world.send(client, format!("NICK {nick}\r\nUSER u 0 * :u\r\n").as_bytes());
        let mut user = User::new(client, 0, server, self.world.now());
        user.irc = Some(IrcView::default());
        user.name = nick;
        self.users.insert(number, user);
    }

    /// Returns whether another user on the IRC wire has, or had, the nick of a user: the home of
    /// one of the two closes it, and others may be shown that first.
    pub(super) fn may_lose_nick(&self, user: &User) -> bool {
        let is_rival =
            |it: &User| it.client != user.client && it.irc.is_some() && it.name == user.name;
        user.irc.is_some() && self.users.values().any(is_rival)
    }

    /// Finds the id of a user on the IRC wire that has just been accepted, lets it reply to its
    /// server, and checks that it has lost its nick to another one.
    pub(super) fn handle_irc(&mut self, number: u32) -> Result<(), Violation> {
        let user = self.users.get_mut(&number).expect("a user");
        let Some(view) = &mut user.irc else { return Ok(()) };
        let (replies, client) = (std::mem::take(&mut view.replies), user.client);
        let has_lost_nick = std::mem::take(&mut view.has_lost_nick);
        if !replies.is_empty() && user.is_online() {
            self.world.send(client, &replies);
        }
        let user = &self.users[&number];
        // Behind a plain server, its own earlier registration may stay.
        if has_lost_nick && !self.may_lose_nick(user) && !self.has_plain_servers() {
            let text = format!("user#{number} is closed for a nick that nobody else has");
            return Err(self.violation(Predicate::OneClaim, text));
        }
        if user.id == 0 && user.is_online() {
            let node = self.servers[user.home].and_then(|index| self.world.node(index));
            let found = node.and_then(|node| {
                let mut hosts =
                    node.links().filter_map(|link| node.relay().adjacent_host(link.id()));
                hosts.find(|it| {
                    it.kind == HostKind::User
                        && it.name() == user.name.as_bytes()
                        && it.info().starts_with(b"irc ")
                })
            });
            let id = found.map_or(0, |host| host.id.0);
            self.users.get_mut(&number).expect("a user").id = id;
        }
        Ok(())
    }
}
