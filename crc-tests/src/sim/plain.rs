//! Plain servers in the simulated network: reads of bounded size, dials, and their end.

use std::collections::BTreeMap;

use super::run::Event;
use super::{PipeEnd, PlainConditions, PlainSpec, Server, World};
use crate::plain::{ConnId, PlainServer};

/// A program: a plain server, and what its sockets hold for it.
pub(super) struct PlainProcess {
    server: PlainServer,
    is_killed: bool,
    /// A plain server has sent what has ended it.
    is_ended_by_plain: bool,
    conn_count: u32,
    /// The bytes that have arrived and were not yet read, while a read is pending.
    unread: BTreeMap<ConnId, Vec<u8>>,
}

impl PlainProcess {
    pub(super) fn is_running(&self) -> bool {
        !self.is_killed && self.server.has_ended().is_none()
    }

    pub(super) fn kill(&mut self) {
        self.is_killed = true;
    }

    fn new_conn(&mut self) -> ConnId {
        self.conn_count += 1;
        ConnId(self.conn_count)
    }
}

impl World {
    /// Sets the conditions of the links towards plain servers.
    pub fn set_plain_conditions(&mut self, conditions: PlainConditions) {
        self.plain_conditions = conditions;
    }

    /// Starts a plain server, and returns its index. It dials its parent once.
    pub fn start_plain(&mut self, spec: PlainSpec) -> usize {
        let PlainSpec { label, id, name, parent, habits } = spec;
        let server = PlainServer::new(id, &name, habits);
        let mut process = PlainProcess {
            server,
            is_killed: false,
            is_ended_by_plain: false,
            conn_count: 0,
            unread: BTreeMap::new(),
        };
        let server = self.servers.len();
        if let Some(label) = parent {
            let from = PipeEnd::PlainServer { server, conn: process.new_conn() };
            let at = self.net.now + self.net.random_delay();
            self.net.schedule(at, Event::Dialled { from, label });
        }
        self.servers.push(Server { label, plain: Some(process), ..Server::default() });
        server
    }

    /// Returns a plain server, also after its end.
    #[must_use]
    pub fn plain(&self, server: usize) -> Option<&PlainServer> {
        self.servers[server].plain.as_ref().map(|process| &process.server)
    }

    /// Returns the label of each plain server that a crc server has ended, and the reason. What
    /// plain servers send each other may end them as well.
    pub fn ended_plain_servers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.servers.iter().filter_map(|server| {
            let process = server.plain.as_ref().filter(|process| !process.is_ended_by_plain)?;
            let reason = process.server.has_ended()?;
            Some((server.label.as_str(), reason))
        })
    }

    fn running_plain(&mut self, server: usize) -> Option<&mut PlainProcess> {
        self.servers[server].plain.as_mut().filter(|process| process.is_running())
    }

    /// Connects an end with a plain server. Returns whether that is running.
    pub(super) fn accept_plain(&mut self, from: PipeEnd, server: usize) -> bool {
        let Some(process) = self.running_plain(server) else {
            return false;
        };
        let conn = process.new_conn();
        process.server.connected(conn);
        self.net.open_pipe(from, PipeEnd::PlainServer { server, conn });
        true
    }

    /// Connects a plain server with its parent. A refused dial leaves it without one.
    pub(super) fn complete_plain_dial(&mut self, server: usize, conn: ConnId, label: &str) {
        let end = PipeEnd::PlainServer { server, conn };
        let parent = self.server(label);
        if self.running_plain(server).is_none()
            || !parent.is_some_and(|parent| self.accept(end, parent, crc::wires::Wire::CRC))
        {
            return;
        }
        let process = self.running_plain(server).expect("a running server");
        process.server.dial(conn);
        self.drive_plain(server);
    }

    /// Handles bytes that arrive at a plain server: all at once, or in later reads if it reads
    /// late.
    pub(super) fn receive_plain(&mut self, server: usize, conn: ConnId, bytes: &[u8]) {
        let Some(process) = self.running_plain(server) else {
            return;
        };
        let unread = process.unread.entry(conn).or_default();
        let is_read_pending = !unread.is_empty();
        unread.extend(bytes);
        let end = PipeEnd::PlainServer { server, conn };
        if !self.plain_conditions.coalesces_writes {
            self.read_plain_all(server, conn);
        } else if !is_read_pending {
            let at = self.net.now + self.net.random_delay();
            self.net.schedule(at, Event::PlainRead(end));
        }
    }

    /// Lets a plain server read once, and again at once while more bytes wait.
    pub(super) fn read_plain_once(&mut self, end: PipeEnd) {
        let PipeEnd::PlainServer { server, conn } = end else {
            unreachable!("other ends are not read late");
        };
        if self.read_plain(server, conn) {
            self.net.schedule(self.net.now, Event::PlainRead(end));
        }
    }

    fn read_plain_all(&mut self, server: usize, conn: ConnId) {
        while self.read_plain(server, conn) {}
    }

    /// Lets a plain server read once. Returns whether more bytes wait.
    fn read_plain(&mut self, server: usize, conn: ConnId) -> bool {
        let other = self.net.pipes.get(&PipeEnd::PlainServer { server, conn });
        let is_from_plain = matches!(other, Some(PipeEnd::PlainServer { .. }));
        let Some(process) = self.running_plain(server) else {
            return false;
        };
        let Some(mut bytes) = process.unread.remove(&conn) else {
            return false;
        };
        let rest = bytes.split_off(bytes.len().min(process.server.habits().read_bytes_max()));
        let is_more = !rest.is_empty();
        if is_more {
            process.unread.insert(conn, rest);
        }
        process.server.received(conn, &bytes);
        process.is_ended_by_plain = is_from_plain && process.server.has_ended().is_some();
        self.drive_plain(server);
        is_more
    }

    /// Handles the end of a connection, after all bytes that arrived before.
    pub(super) fn close_plain(&mut self, server: usize, conn: ConnId) {
        self.read_plain_all(server, conn);
        if let Some(process) = self.running_plain(server) {
            process.server.closed(conn);
            self.drive_plain(server);
        }
    }

    /// Sends a plain server's output, and closes what it closes: everything, if it has ended.
    fn drive_plain(&mut self, server: usize) {
        let plain = &mut self.servers[server].plain.as_mut().expect("a plain server").server;
        let (output, closing) = (plain.take_output(), plain.take_closing());
        let has_ended = plain.has_ended().is_some();
        for (conn, bytes) in output {
            let end = PipeEnd::PlainServer { server, conn };
            if let Some(&to) = self.net.pipes.get(&end) {
                self.transmit(end, to, &bytes);
            }
        }
        for conn in closing {
            let end = PipeEnd::PlainServer { server, conn };
            if let Some(&other) = self.net.pipes.get(&end) {
                self.close_pipe(end, other);
            }
        }
        if has_ended {
            self.kill(server);
        }
    }
}
