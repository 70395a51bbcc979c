//! Two servers and two users in one process, without a socket: `cargo run --example embed`.
//!
//! A [`Node`] is a state machine. The program around it owns connections and time: it passes in
//! what arrives, sends what waits in the send queues, and carries out the node's [`Action`]s. Here
//! the connections are pipes in memory and time is a variable, so a run takes no time and is always
//! the same.

use std::collections::HashMap;
use std::time::Duration;

use crc::id::HostId;
use crc::limits::{FRAME_BYTES_MAX, Limits};
use crc::link::{CloseReason, LinkId, ListenerId, Machine as _, Origin, Time};
use crc::mail::store::Mailbox;
use crc::node::{Action, Node};
use crc::relay::Identity;
use crc::relay::message::{HostKind, Message, Registration};
use crc::wires::Wire;
use crc::wires::crc::codec;

/// One end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum End {
    Server(usize, LinkId),
    User(usize),
}

struct Server {
    node: Node,
    mailbox: Mailbox,
    listener: ListenerId,
}

/// Servers, users, and the pipes between them.
#[derive(Default)]
struct Network {
    now: Time,
    servers: Vec<Server>,
    /// What each user has received.
    users: Vec<Vec<u8>>,
    /// The other end of each end.
    pipes: HashMap<End, End>,
}

impl Network {
    /// Starts a server. Its parent, if it has one, is the server before it.
    fn start(&mut self, id: u32, name: &str, parent_count: usize) -> usize {
        let name = name.into();
        let identity = Identity { id: HostId(id), is_id_configured: true, name, info: Vec::new() };
        let (mailbox, inventory) = Mailbox::in_memory();
        let seed = u64::from(id);
        let mut node = Node::with_mail(identity, parent_count, Limits::default(), &inventory, seed);
        let listener = node.add_listener(Wire::CRC);
        self.servers.push(Server { node, mailbox, listener });
        self.servers.len() - 1
    }

    fn connect(&mut self, server: usize) -> usize {
        self.users.push(Vec::new());
        let user = self.users.len() - 1;
        let end = self.accept(server);
        self.join(End::User(user), end);
        user
    }

    fn accept(&mut self, server: usize) -> End {
        let Server { node, listener, .. } = &mut self.servers[server];
        End::Server(server, node.accepted(self.now, *listener, &Origin::default()))
    }

    fn join(&mut self, a: End, b: End) {
        self.pipes.insert(a, b);
        self.pipes.insert(b, a);
    }

    fn send(&mut self, user: usize, message: &Message<'_>) {
        let mut frame = Vec::new();
        codec::encode(message, &mut frame);
        self.deliver(self.pipes[&End::User(user)], &frame);
    }

    fn deliver(&mut self, to: End, bytes: &[u8]) {
        match to {
            End::User(user) => self.users[user].extend_from_slice(bytes),
            End::Server(server, link) => self.servers[server].node.receive(self.now, link, bytes),
        }
    }

    /// Runs every server for a span of virtual time.
    fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            while (0..self.servers.len()).any(|server| self.turn(server)) {}
            let deadlines = self.servers.iter().filter_map(|server| server.node.next_deadline());
            match deadlines.min() {
                Some(deadline) if deadline <= end => self.now = self.now.max(deadline),
                _ => break,
            }
        }
        self.now = end;
    }

    /// Runs one turn of a server. Returns whether it did anything.
    fn turn(&mut self, server: usize) -> bool {
        let mut has_worked = false;
        let now = self.now;
        self.servers[server].node.advance(now);
        while let Some(action) = self.servers[server].node.poll_action() {
            has_worked = true;
            self.carry_out(server, action);
        }
        while let Some(link) = self.servers[server].node.poll_unsent() {
            has_worked = true;
            let node = &mut self.servers[server].node;
            let bytes = node.unsent(link).to_vec();
            node.sent(link, bytes.len());
            if let Some(&to) = self.pipes.get(&End::Server(server, link)) {
                self.deliver(to, &bytes);
            }
        }
        has_worked
    }

    fn carry_out(&mut self, server: usize, action: Action) {
        match action {
            Action::Dial { link, .. } => {
                let parent = server - 1;
                let end = self.accept(parent);
                self.join(End::Server(server, link), end);
                self.servers[server].node.dialled(self.now, link, &Origin::default());
            }
            Action::Close { link, reason } => {
                self.servers[server].node.closed(self.now, link, &reason);
                let other = self.pipes.remove(&End::Server(server, link));
                if let Some(End::Server(neighbour, link)) = other {
                    let reason = CloseReason::PeerClosed;
                    self.servers[neighbour].node.closed(self.now, link, &reason);
                }
            }
            Action::Store(request) => {
                let Server { node, mailbox, .. } = &mut self.servers[server];
                mailbox.request(request);
                while let Some(reply) = mailbox.poll() {
                    node.on_store_reply(self.now, reply);
                }
            }
            // Nothing waits outside the nodes, and a pipe in memory does not fail silently.
            // In memory, servers have no addresses and no sockets.
            Action::DialAddress { .. }
            | Action::Keepalive { .. }
            | Action::Resume { .. }
            | Action::Shutdown => {}
        }
    }

    /// Takes what a user has received, a line for each frame.
    fn received(&mut self, user: usize) -> Vec<String> {
        let bytes = std::mem::take(&mut self.users[user]);
        let (mut rest, mut lines) = (&bytes[..], Vec::new());
        while let Ok(Some((message, len))) = codec::parse(rest, FRAME_BYTES_MAX) {
            lines.push(describe(&message));
            rest = &rest[len..];
        }
        lines
    }
}

fn describe(message: &Message<'_>) -> String {
    let text = String::from_utf8_lossy;
    match message {
        Message::Registration(host) => format!("{} {} is here", host.source, text(host.name)),
        Message::Status { text: status, .. } => format!("status: {}", text(status)),
        Message::Chat { source, text: chat, .. } => format!("{source} says: {}", text(chat)),
        Message::ClientQuit { source, text: farewell } => {
            format!("{source} left: {}", text(farewell))
        }
        Message::ServerQuit { source, .. } => format!("server {source} left"),
    }
}

fn registration(id: u32, name: &str) -> Message<'_> {
    Message::Registration(Registration {
        kind: HostKind::User,
        source: HostId(id),
        last_hop: HostId::NONE,
        name: name.as_bytes(),
        info: b"",
    })
}

/// Runs the network and returns what the two users saw.
pub(crate) fn run() -> (Vec<String>, Vec<String>) {
    let mut network = Network::default();
    let theshire = network.start(1, "theshire", 0);
    let bree = network.start(2, "bree", 1);
    network.run_for(Duration::from_secs(1));

    let frodo = network.connect(theshire);
    network.send(frodo, &registration(101, "frodo"));
    let sam = network.connect(bree);
    network.send(sam, &registration(102, "sam"));
    network.run_for(Duration::from_secs(1));

    let (source, destination) = (HostId(101), HostId(102));
    network.send(frodo, &Message::Chat { source, destination, text: b"Hello Sam" });
    network.send(frodo, &Message::Chat { source, destination: HostId(7), text: b"Anyone?" });
    network.run_for(Duration::from_secs(1));
    network.send(sam, &Message::ClientQuit { source: destination, text: b"Leaving" });
    network.run_for(Duration::from_secs(1));

    (network.received(frodo), network.received(sam))
}

fn main() {
    let (frodo, sam) = run();
    for (name, lines) in [("frodo", &frodo), ("sam", &sam)] {
        for line in lines {
            println!("{name} sees: {line}");
        }
    }
    assert_eq!(sam.last().map(String::as_str), Some("101 says: Hello Sam"));
}
