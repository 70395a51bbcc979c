//! The fuzz target of the handshake between two servers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crc::id::HostId;
use crc::limits::Limits;
use crc::link::{CloseReason, LinkId, ListenerId, Machine as _, Origin, Time};
use crc::mail::StoreRequest;
use crc::mail::store::MemoryMailbox;
use crc::node::{Action, Node};
use crc::relay::{Admission, Identity, LinkKey};
use crc::wires::Wire;

use super::take_bytes;
use crate::frames;

/// Maximum number of bytes on their way in one direction, as of socket buffers.
const IN_FLIGHT_BYTES_MAX: usize = 64 * 1024;

/// Time in which two servers are joined again after the last change of a byte: redialling and
/// detection take seconds, and an id that was refused stays away for a minute.
const HEALING: Duration = Duration::from_secs(180);

const STEP: Duration = Duration::from_millis(100);

/// Joins two servers, each with a user, with and without a link key, over a link whose bytes the
/// script cuts, changes, inserts, removes and repeats. It lets time pass, and closes the link.
///
/// # Panics
/// If a server panics or breaks one of its relations, or if the servers do not know each other and
/// their users, and nobody else, [`HEALING`] after the link was closed and left alone.
pub fn handshake(script: &[u8]) {
    HandshakeFuzz::new(&Admission::default(), None).run(script);
    // Once more, as strangers to each other who have to prove a link key.
    let address = Some("203.0.113.9:3600".parse().expect("an address"));
    let link_key = Some(LinkKey::new(b"sixteen bytes or more"));
    HandshakeFuzz::new(&Admission { allowed: vec![], link_key }, address).run(script);
}

/// Two servers, of which the first dials the second.
struct HandshakeFuzz {
    servers: [Server; 2],
    /// Where the link comes from and goes to; `None` within the process.
    origin: Origin,
    now: Time,
}

/// A server, its user, and its end of the link.
struct Server {
    node: Node,
    listener: ListenerId,
    user: LinkId,
    link: Option<LinkId>,
    /// Bytes on their way to this server.
    incoming: Vec<u8>,
    store: MemoryMailbox,
}

impl Server {
    fn new(id: u32, parent_count: usize, admission: &Admission) -> Self {
        let now = Time::default();
        let identity = Identity {
            id: HostId(id),
            is_id_configured: false,
            name: format!("server{id}").into_bytes(),
            info: vec![],
        };
        let mut node = Node::new(identity, parent_count, Limits::default(), u64::from(id));
        node.set_admission(admission.clone());
        let listener = node.add_listener(Wire::CRC);
        let user = node.open_link(now, Wire::CRC);
        node.receive(now, user, &frames::user(100 + id, "user", ""));
        Self { node, listener, user, link: None, incoming: Vec::new(), store: MemoryMailbox::new() }
    }

    /// The id of the user who is still here, if one is.
    fn user_id(&self) -> Option<HostId> {
        self.node.relay().adjacent_host(self.user).map(|host| host.id)
    }
}

impl HandshakeFuzz {
    fn new(admission: &Admission, address: Option<SocketAddr>) -> Self {
        Self {
            servers: [Server::new(1, 1, admission), Server::new(2, 0, admission)],
            origin: Origin { address, ..Origin::default() },
            now: Time::default(),
        }
    }

    fn run(&mut self, mut script: &[u8]) {
        self.settle();
        while let Some((&opcode, rest)) = script.split_first() {
            script = rest;
            self.step(opcode, &mut script);
            self.settle();
            self.servers.iter().for_each(|server| server.node.check());
        }
        self.close_link();
        let end = self.now + HEALING;
        while self.now < end {
            let deadlines = self.servers.iter().filter_map(|server| server.node.next_deadline());
            self.now = deadlines.min().map_or(end, |at| at.max(self.now).min(end));
            self.exchange();
        }
        self.assert_joined();
    }

    /// Runs one opcode: a bit of direction, and the operation.
    fn step(&mut self, opcode: u8, script: &mut &[u8]) {
        let to = usize::from(opcode & 1);
        let incoming = &mut self.servers[to].incoming;
        let mut argument = || usize::from(take_bytes(script, 1)[0]);
        match opcode >> 1 & 7 {
            0 => self.deliver(to, usize::MAX),
            1 => self.deliver(to, argument()),
            2 => {
                let (at, mask) = (argument(), argument() as u8);
                if let Some(byte) = incoming.get_mut(at) {
                    *byte ^= mask;
                }
            }
            3 => {
                let (at, count) = (argument().min(incoming.len()), argument());
                let bytes = take_bytes(script, count);
                drop(incoming.splice(at..at, bytes.iter().copied()));
            }
            4 => {
                let start = argument().min(incoming.len());
                let end = start.saturating_add(argument()).min(incoming.len());
                incoming.drain(start..end);
            }
            5 => self.now = self.now + STEP * argument() as u32,
            6 => self.close_link(),
            _ => {
                let repeated = incoming[..argument().min(incoming.len())].to_vec();
                incoming.extend(repeated);
            }
        }
        self.servers[to].incoming.truncate(IN_FLIGHT_BYTES_MAX);
    }

    /// Lets a server read up to `count` of the bytes on their way to it.
    fn deliver(&mut self, to: usize, count: usize) {
        let Server { node, link, incoming, .. } = &mut self.servers[to];
        let bytes: Vec<u8> = incoming.drain(..count.min(incoming.len())).collect();
        if let Some(link) = *link
            && !bytes.is_empty()
        {
            node.receive(self.now, link, &bytes);
        }
    }

    /// Delivers everything, until the servers are silent.
    fn exchange(&mut self) {
        self.settle();
        while self.servers.iter().any(|server| !server.incoming.is_empty()) {
            for to in 0..2 {
                self.deliver(to, usize::MAX);
            }
            self.settle();
        }
    }

    /// Runs timers and actions, and takes what the servers send, until nothing is left to do.
    fn settle(&mut self) {
        loop {
            let mut is_done = true;
            for index in 0..2 {
                self.servers[index].node.advance(self.now);
                while let Some(action) = self.servers[index].node.poll_action() {
                    is_done = false;
                    self.apply_action(index, action);
                }
                while let Some(link) = self.servers[index].node.poll_unsent() {
                    is_done = false;
                    self.send(index, link);
                }
            }
            if is_done {
                return;
            }
        }
    }

    /// Takes the send queue of a link. Users read everything.
    fn send(&mut self, from: usize, link: LinkId) {
        let Server { node, link: server_link, .. } = &mut self.servers[from];
        let bytes = node.unsent(link).to_vec();
        node.sent(link, bytes.len());
        if *server_link == Some(link) {
            let incoming = &mut self.servers[1 - from].incoming;
            incoming.extend_from_slice(&bytes);
            incoming.truncate(IN_FLIGHT_BYTES_MAX);
        }
    }

    fn apply_action(&mut self, index: usize, action: Action) {
        let now = self.now;
        match action {
            Action::Dial { link, .. } if index == 0 && self.servers[1].link.is_none() => {
                let Server { node, listener, .. } = &mut self.servers[1];
                let accepted = node.accepted(now, *listener, &self.origin);
                self.servers[1].link = Some(accepted);
                self.servers[0].link = Some(link);
                self.servers[0].node.dialled(now, link, &self.origin);
            }
            Action::Dial { link, .. } | Action::DialAddress { link, .. } => {
                self.servers[index].node.closed(now, link, &CloseReason::PeerClosed);
            }
            Action::Close { link, reason } => {
                self.servers[index].node.closed(now, link, &reason);
                if self.servers[index].link == Some(link) {
                    self.servers[index].link = None;
                    self.close_link();
                }
            }
            Action::Keepalive { .. } | Action::Resume { .. } => {}
            Action::Store(request) => self.store(index, request),
            Action::Shutdown => unreachable!("no operator stops it"),
        }
    }

    fn store(&mut self, index: usize, request: StoreRequest) {
        let Server { node, store, .. } = &mut self.servers[index];
        store.request(request);
        while let Some(reply) = store.poll() {
            node.on_store_reply(self.now, reply);
        }
    }

    /// Closes what is open of the link; the bytes on their way are lost.
    fn close_link(&mut self) {
        for server in &mut self.servers {
            server.incoming.clear();
            if let Some(link) = server.link.take() {
                server.node.closed(self.now, link, &CloseReason::PeerClosed);
            }
        }
    }

    fn assert_joined(&self) {
        let users = || self.servers.iter().filter_map(Server::user_id);
        for (index, server) in self.servers.iter().enumerate() {
            let relay = server.node.relay();
            let other = self.servers[1 - index].node.relay().identity().id;
            let expected: BTreeSet<HostId> = users().chain([other]).collect();
            let known: BTreeSet<HostId> = relay.hosts().iter().map(|host| host.id).collect();
            assert_eq!(known, expected, "known to server {}", relay.identity().id);
        }
    }
}
