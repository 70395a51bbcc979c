//! [`PlainServer`]: the state of a plain CRC server, without sockets.

use std::collections::BTreeMap;

use super::frame::{self, Frame, Kind, Parsed};
use super::habits::{ExtensionStatus, Habits, IntroductionHop};

/// The destination of a status that means the receiver.
const NOBODY: u32 = 0;
/// The destination of a status that is an extension.
const EXTENSION: u32 = u32::MAX;

const WELCOME: u16 = 0;
const UNKNOWN_ID: u16 = 1;
const ID_TAKEN: u16 = 2;

/// Identifies a connection of one server; chosen by its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u32);

/// A known host.
#[derive(Clone, Debug)]
struct Host {
    kind: Kind,
    name: Vec<u8>,
    info: Vec<u8>,
    /// The id of the adjacent host through which it is reached.
    first_link: u32,
}

#[derive(Clone, Debug, Default)]
struct Conn {
    /// The adjacent host, once it has registered.
    host: Option<u32>,
    is_uplink: bool,
    /// The received part of an incomplete frame.
    unread: Vec<u8>,
}

/// A plain CRC server.
#[derive(Clone, Debug)]
pub struct PlainServer {
    id: u32,
    name: Vec<u8>,
    habits: Habits,
    hosts: BTreeMap<u32, Host>,
    conns: BTreeMap<ConnId, Conn>,
    output: BTreeMap<ConnId, Vec<u8>>,
    closing: Vec<ConnId>,
    status_log: Vec<String>,
    extension_log: Vec<String>,
    ended: Option<String>,
}

impl PlainServer {
    /// Returns a server without connections.
    #[must_use]
    pub fn new(id: u32, name: &str, habits: Habits) -> Self {
        Self {
            id,
            name: name.as_bytes().to_vec(),
            habits,
            hosts: BTreeMap::new(),
            conns: BTreeMap::new(),
            output: BTreeMap::new(),
            closing: Vec::new(),
            status_log: Vec::new(),
            extension_log: Vec::new(),
            ended: None,
        }
    }

    /// Returns its habits.
    #[must_use]
    pub fn habits(&self) -> &Habits {
        &self.habits
    }

    /// Returns the reason for which the program has ended, if it has.
    #[must_use]
    pub fn has_ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// Returns the texts of the statuses for this server.
    #[must_use]
    pub fn status_log(&self) -> &[String] {
        &self.status_log
    }

    /// Returns the texts of the statuses to `0xFFFFFFFF` that it keeps by habit.
    #[must_use]
    pub fn extension_log(&self) -> &[String] {
        &self.extension_log
    }

    /// Returns the ids of all other hosts that it knows.
    pub fn host_ids(&self) -> impl Iterator<Item = u32> {
        self.hosts.keys().copied()
    }

    /// Returns the connection to its parent.
    #[must_use]
    pub fn uplink(&self) -> Option<ConnId> {
        self.conns.iter().find(|(_, conn)| conn.is_uplink).map(|(&id, _)| id)
    }

    /// Returns whether it waits for the introduction of its parent.
    #[must_use]
    pub fn is_joining(&self) -> bool {
        self.conns.values().any(|conn| conn.is_uplink && conn.host.is_none())
    }

    /// Returns the smallest number from 1 that no connection has.
    #[must_use]
    pub fn free_conn(&self) -> ConnId {
        (1..).map(ConnId).find(|conn| !self.conns.contains_key(conn)).expect("a free number")
    }

    /// Adds an accepted connection.
    pub fn connected(&mut self, conn: ConnId) {
        self.conns.insert(conn, Conn::default());
    }

    /// Adds a connection to a parent, and registers there.
    pub fn dial(&mut self, conn: ConnId) {
        self.conns.insert(conn, Conn { is_uplink: true, ..Conn::default() });
        self.introduce(conn, 0);
    }

    /// Handles the bytes of one read.
    pub fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        let mut bytes = [std::mem::take(&mut entry.unread).as_slice(), bytes].concat();
        let (mut parsed_bytes, mut registrations) = (0, 0);
        while parsed_bytes < bytes.len() && self.ended.is_none() && self.conns.contains_key(&conn) {
            match frame::parse(&bytes[parsed_bytes..]) {
                Parsed::Frame(frame, len) => {
                    parsed_bytes += len;
                    registrations += usize::from(matches!(frame, Frame::Registration { .. }));
                    if self.habits.registrations_per_read_max.is_some_and(|m| registrations > m) {
                        self.end(format!("{registrations} registrations in one read"));
                    } else {
                        self.handle(conn, &frame);
                    }
                }
                Parsed::Incomplete if self.habits.reads_once => {
                    self.end("a frame was split over two reads".to_owned());
                }
                Parsed::Incomplete => break,
                Parsed::UnknownType(kind) => {
                    let reason = format!("unknown type {kind:#04x}");
                    self.end_or_close(conn, self.habits.ends_on_unknown_type, reason);
                }
                Parsed::HugeLength(length) => {
                    let reason = format!("length {length}");
                    self.end_or_close(conn, self.habits.ends_on_huge_length, reason);
                }
            }
        }
        if let Some(entry) = self.conns.get_mut(&conn) {
            entry.unread = bytes.split_off(parsed_bytes);
        }
    }

    /// Removes a connection that is closed, and all hosts behind it.
    pub fn closed(&mut self, conn: ConnId) {
        let Some(adjacent) = self.conns.remove(&conn).and_then(|conn| conn.host) else { return };
        let is_behind = |host: &Host| host.first_link == adjacent;
        let users = self.hosts.iter().filter(|(_, h)| h.kind == Kind::User && is_behind(h));
        for user in users.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.remove_user(conn, user, b"connection closed");
        }
        if !self.habits.keeps_lost_servers {
            self.hosts.retain(|_, host| !is_behind(host));
        }
    }

    /// Takes the bytes to send, all for one connection together.
    pub fn take_output(&mut self) -> BTreeMap<ConnId, Vec<u8>> {
        std::mem::take(&mut self.output)
    }

    /// Takes the connections to close once the output is sent.
    pub fn take_closing(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.closing)
    }

    fn handle(&mut self, conn: ConnId, frame: &Frame<'_>) {
        if self.habits.ends_on_invalid_text && !frame.is_utf8() {
            return self.end("text that is not UTF-8".to_owned());
        }
        match *frame {
            Frame::Registration { kind, source, last_hop, name, info } => {
                let (name, info) = (name.to_vec(), info.to_vec());
                self.register(conn, source, Host { kind, name, info, first_link: last_hop });
            }
            Frame::Status { destination, text, .. } => {
                self.handle_status(conn, frame, destination, text);
            }
            Frame::ServerQuit { .. } if self.habits.ends_on_server_quit => {
                self.end("type 0x02".to_owned());
            }
            Frame::ServerQuit { .. } => {}
            Frame::Chat { source, destination, .. } => {
                if let Some(next) = self.next_hop(destination) {
                    self.send(next, frame);
                } else if destination != NOBODY || self.habits.answers_chats_to_0 {
                    let next = self.next_hop(source).unwrap_or(conn);
                    let text = format!("Unknown ID {destination}");
                    self.send_status(next, source, UNKNOWN_ID, text.as_bytes());
                }
            }
            Frame::ClientQuit { source, text } => {
                if self.hosts.get(&source).is_some_and(|host| host.kind == Kind::User) {
                    self.remove_user(conn, source, text);
                }
            }
        }
    }

    /// Handles a registration. Its `first_link` is the last hop of the frame.
    fn register(&mut self, conn: ConnId, id: u32, mut host: Host) {
        let kind = host.kind;
        let is_introduction = host.first_link == 0;
        let entry = &self.conns[&conn];
        let is_parent = entry.is_uplink && entry.host.is_none() && kind == Kind::Server;
        if id == self.id || self.hosts.contains_key(&id) {
            let is_second_introduction = kind == Kind::Server && entry.host == Some(id);
            if !is_second_introduction || self.habits.refuses_second_introduction {
                self.refuse(conn, id, kind);
            }
            return;
        }
        if is_introduction || is_parent {
            host.first_link = id;
            self.conns.get_mut(&conn).expect("a connection").host = Some(id);
        }
        self.hosts.insert(id, host);
        if is_introduction && !is_parent {
            self.answer_newcomer(conn, id, kind);
        }
        let neighbours: Vec<(ConnId, Kind)> = self.neighbours().collect();
        for (neighbour, neighbour_kind) in neighbours {
            let is_wanted = neighbour_kind == Kind::Server || kind == Kind::User;
            let echoes = self.habits.echoes_announcements && neighbour_kind == Kind::Server;
            if is_wanted && (neighbour != conn || echoes) {
                self.announce(neighbour, id);
            }
        }
    }

    /// Sends a host that has just registered here all that it has to know.
    fn answer_newcomer(&mut self, conn: ConnId, newcomer: u32, kind: Kind) {
        if kind == Kind::Server {
            let last_hop = match self.habits.introduction_hop {
                IntroductionHop::Zero => 0,
                IntroductionHop::Own => self.id,
                IntroductionHop::Newcomer => newcomer,
            };
            self.introduce(conn, last_hop);
        } else {
            let code = if self.habits.welcomes_with_code_1 { UNKNOWN_ID } else { WELCOME };
            let destination = if self.habits.welcomes_to_client_id { newcomer } else { NOBODY };
            let text = b"Welcome to the Clemson Relay Chat network ";
            let text = &[text.as_slice(), &self.hosts[&newcomer].name].concat();
            self.send(conn, &Frame::Status { source: self.id, destination, code, text });
        }
        let is_wanted = |id: u32, host: &Host| {
            (id != newcomer || self.habits.returns_newcomer_entries)
                && (kind == Kind::Server || host.kind == Kind::User)
        };
        let hosts = self.hosts.iter().filter(|&(&id, host)| is_wanted(id, host));
        for id in hosts.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.announce(conn, id);
        }
    }

    fn refuse(&mut self, conn: ConnId, id: u32, kind: Kind) {
        let whose = if kind == Kind::Server { "A machine" } else { "Someone" };
        let text = format!("{whose} has already registered with ID {id}");
        let destination = self.conns[&conn].host.unwrap_or(NOBODY);
        self.send_status(conn, destination, ID_TAKEN, text.as_bytes());
    }

    fn handle_status(&mut self, conn: ConnId, frame: &Frame<'_>, destination: u32, text: &[u8]) {
        let text_of = |text| String::from_utf8_lossy(text).into_owned();
        if destination == EXTENSION {
            match self.habits.extension_status {
                ExtensionStatus::Returned => self.send(conn, frame),
                ExtensionStatus::Dropped => {}
                ExtensionStatus::Kept => self.extension_log.push(text_of(text)),
            }
            return;
        }
        if destination == self.id || destination == NOBODY && self.habits.logs_statuses_to_0 {
            return self.status_log.push(text_of(text));
        }
        if let (Some(next), &Frame::Status { source, code, .. }) =
            (self.next_hop(destination), frame)
        {
            let destination = self.status_destination(next, destination);
            self.send(next, &Frame::Status { source, destination, code, text });
        }
    }

    /// Forgets a user, and forwards the quit everywhere but over `from`.
    fn remove_user(&mut self, from: ConnId, user: u32, text: &[u8]) {
        self.hosts.remove(&user);
        let neighbours: Vec<ConnId> = self.neighbours().map(|(conn, _)| conn).collect();
        for conn in neighbours.into_iter().filter(|&conn| conn != from) {
            self.send(conn, &Frame::ClientQuit { source: user, text });
        }
        if let Some(conn) = self.conn_of(user) {
            self.close(conn);
        }
    }

    /// Returns the connections whose hosts have registered.
    fn neighbours(&self) -> impl Iterator<Item = (ConnId, Kind)> {
        let kind_of = |conn: &Conn| self.hosts.get(&conn.host?).map(|host| host.kind);
        self.conns.iter().filter_map(move |(&id, conn)| Some((id, kind_of(conn)?)))
    }

    /// Returns the connection over which a host is reached.
    fn next_hop(&self, id: u32) -> Option<ConnId> {
        self.conn_of(self.hosts.get(&id)?.first_link)
    }

    /// Returns the connection of an adjacent host.
    fn conn_of(&self, adjacent: u32) -> Option<ConnId> {
        self.conns.iter().find(|(_, conn)| conn.host == Some(adjacent)).map(|(&id, _)| id)
    }

    fn introduce(&mut self, conn: ConnId, last_hop: u32) {
        let name = self.name.clone();
        let (kind, source) = (Kind::Server, self.id);
        self.send(
            conn,
            &Frame::Registration { kind, source, last_hop, name: &name, info: b"plain" },
        );
    }

    fn announce(&mut self, conn: ConnId, id: u32) {
        let Host { kind, mut name, info, .. } = self.hosts[&id].clone();
        if kind == Kind::Server && self.habits.announces_servers_under_own_name {
            name.clone_from(&self.name);
        }
        let (last_hop, name, info) = (self.id, &name, &info);
        self.send(conn, &Frame::Registration { kind, source: id, last_hop, name, info });
    }

    fn send_status(&mut self, conn: ConnId, destination: u32, code: u16, text: &[u8]) {
        let destination = self.status_destination(conn, destination);
        self.send(conn, &Frame::Status { source: self.id, destination, code, text });
    }

    /// Returns the destination field of a status, which is 0 unless it is sent to a server.
    fn status_destination(&self, conn: ConnId, destination: u32) -> u32 {
        let is_server = self.neighbours().any(|neighbour| neighbour == (conn, Kind::Server));
        if is_server { destination } else { NOBODY }
    }

    fn send(&mut self, conn: ConnId, frame: &Frame<'_>) {
        frame.encode(self.output.entry(conn).or_default());
    }

    fn end(&mut self, reason: String) {
        self.ended = Some(reason);
    }

    fn end_or_close(&mut self, conn: ConnId, ends: bool, reason: String) {
        if ends { self.end(reason) } else { self.close(conn) }
    }

    /// Closes a connection, and removes all hosts behind it.
    fn close(&mut self, conn: ConnId) {
        self.closing.push(conn);
        self.closed(conn);
    }
}
