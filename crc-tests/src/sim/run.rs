//! What happens in a network by itself: events reach servers and clients, deadlines come, and what the
//! servers say and ask for is carried out.

use crc::doors::Door;
use crc::doors::assembly::Assembly;
use crc::doors::crc::wire;
use crc::node::{Action, Node};
use crc::relay::{CloseReason, LinkId, Time};
use rand::RngExt as _;

use super::{End, World};

/// What a pipe holds for an end that does not read, like a socket's buffers.
const PIPE_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug)]
pub(super) enum Event {
    /// Bytes reach an end.
    Bytes(End, Vec<u8>),
    /// The other end has closed.
    Closed(End, CloseReason),
    /// A dial reaches its parent.
    Dialled { from: End, label: String },
    /// The store of a server does what it was asked.
    Store { server: usize },
    /// A server listens to an end again.
    Resumed(End),
}

impl World {
    pub(super) fn run_until(&mut self, end: Time) {
        loop {
            self.fire_deadlines();
            let deadline = self.next_deadline();
            let event = self.ether.next_at();
            let Some(next) = [deadline, event].into_iter().flatten().min().filter(|&t| t <= end)
            else {
                self.ether.now = end;
                return;
            };
            self.ether.now = self.ether.now.max(next);
            if event == Some(next) {
                let event = self.ether.pop().expect("the event that was seen");
                self.happen(event);
            }
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        self.servers.iter().filter_map(|server| server.node.as_ref()?.next_deadline()).min()
    }

    pub(super) fn fire_deadlines(&mut self) {
        for server in 0..self.servers.len() {
            let due = |node: &Node| node.next_deadline().is_some_and(|at| at <= self.ether.now);
            if self.servers[server].node.as_ref().is_some_and(due) {
                self.step(server);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.ether.now;
        if let Event::Bytes(end @ End::Server { .. }, _)
        | Event::Closed(end @ End::Server { .. }, _) = event
            && !self.is_listening(end)
        {
            return self.parked.entry(end).or_default().push_back(event);
        }
        match event {
            Event::Bytes(End::Client(client), bytes) => {
                self.clients[client.0].received.extend_from_slice(&bytes);
            }
            Event::Closed(End::Client(client), _) => self.clients[client.0].is_closed = true,
            Event::Bytes(End::Server { server, link }, bytes) => {
                // It is away while the sockets, which are the network's, take what it offers.
                if let Some(mut node) = self.servers[server].node.take() {
                    let mut socket = |to, pieces: [&[u8]; 2]| self.offer(server, to, pieces);
                    node.receive_and_pass(now, link, &bytes, &mut socket);
                    self.servers[server].node = Some(node);
                    self.note_first_frame(server, link, &bytes);
                    self.step(server);
                }
            }
            Event::Closed(End::Server { server, link }, reason) => {
                if let Some(node) = &mut self.servers[server].node {
                    node.closed(now, link, &reason);
                    self.step(server);
                }
            }
            Event::Dialled { from: End::Server { server, link }, label } => {
                let parent = self.server(&label).filter(|&p| {
                    self.servers[p].node.as_ref().is_some_and(|node| !node.is_stopping())
                });
                if self.servers[server].node.is_none() {
                    return;
                }
                let Some(parent) = parent else {
                    let reason = CloseReason::Failed("connection refused".to_owned());
                    return self.happen(Event::Closed(End::Server { server, link }, reason));
                };
                let node = self.servers[parent].node.as_mut().expect("a living parent");
                let accepted = node.accepted(now, Door::Crc, None);
                self.plug(End::Server { server, link }, parent, accepted, Door::Crc);
                let node = self.servers[server].node.as_mut().expect("a living child");
                node.dialled(now, link, None);
                self.step(server);
            }
            Event::Dialled { .. } => unreachable!("clients do not dial"),
            Event::Store { server } => {
                let replies = self.stores.visit(&self.servers[server].label);
                if let Some(node) = &mut self.servers[server].node {
                    for reply in replies {
                        node.mail_replied(now, reply);
                    }
                    self.step(server);
                }
            }
            Event::Resumed(end) => {
                for event in self.parked.remove(&end).unwrap_or_default() {
                    self.happen(event); // where it is parked again, so is what follows
                }
            }
        }
    }

    /// Whether a server takes in what arrives at its end of a pipe.
    fn is_listening(&self, end: End) -> bool {
        let End::Server { server, link } = end else { return true };
        let is_listening = |node: &Node| node.is_listening(link) || !node.is_open(link);
        !self.parked.contains_key(&end)
            && self.servers[server].node.as_ref().is_none_or(is_listening)
    }

    fn note_first_frame(&mut self, server: usize, link: LinkId, bytes: &[u8]) {
        let server = &mut self.servers[server];
        let Some((at, assembly)) = server.firsts.get_mut(&link) else {
            return;
        };
        let (at, first_frames) = (*at, &mut server.first_frames);
        let mut is_done = false;
        let len_of = |bytes: &[u8]| wire::frame_len(bytes, usize::MAX);
        let result = assembly.feed(bytes, len_of, |frame| {
            first_frames[at] = frame.to_vec();
            is_done = true;
            false
        });
        if is_done || result.is_err() {
            server.firsts.remove(&link);
        }
    }

    /// Lets a server do what is due, and carries out what it asks for.
    pub(super) fn step(&mut self, server: usize) {
        let now = self.ether.now;
        let Some(node) = self.servers[server].node.as_mut() else {
            return;
        };
        node.advance(now);
        while let Some(node) = self.servers[server].node.as_mut() {
            if let Some(action) = node.poll_action() {
                self.act(server, action);
            } else if let Some(link) = node.poll_unsent() {
                self.write(server, link);
            } else {
                while node.poll_pressed().is_some() {}
                return;
            }
        }
    }

    fn act(&mut self, server: usize, action: Action) {
        let now = self.ether.now;
        match action {
            Action::Dial { parent, link } => {
                let label = self.servers[server].parents[parent].clone();
                let at = now + self.ether.delay();
                self.ether
                    .schedule(at, Event::Dialled { from: End::Server { server, link }, label });
            }
            Action::Close { link, reason } => {
                self.write(server, link);
                let end = End::Server { server, link };
                if let Some(&other) = self.ether.pipes.get(&end) {
                    self.unplug(end, other);
                }
                let node = self.servers[server].node.as_mut().expect("the server that acts");
                node.closed(now, link, &reason);
            }
            Action::Resume { link } => {
                self.ether.schedule(now, Event::Resumed(End::Server { server, link }));
            }
            Action::Mail(request) => {
                let label = self.servers[server].label.clone();
                if self.stores.ask(&label, request) {
                    let at = now + self.ether.delay();
                    self.ether.schedule(at, Event::Store { server });
                }
            }
            Action::Shutdown => self.kill(server),
        }
    }

    /// Moves a link's queue into its pipe, as far as the other end takes it.
    pub(super) fn write(&mut self, server: usize, link: LinkId) {
        let end = End::Server { server, link };
        let Some(&to) = self.ether.pipes.get(&end) else {
            return;
        };
        loop {
            let bytes = self.node(server).expect("the server that writes").unsent(link).to_vec();
            let is_deaf = self.is_deaf(to);
            if bytes.is_empty() && !is_deaf {
                return;
            }
            let count = self.fill(end, to, &bytes);
            let node = self.servers[server].node.as_mut().expect("the server that writes");
            node.sent(link, count);
            if is_deaf {
                return;
            }
        }
    }

    /// A server offers bytes to a link's socket at once, which takes all of them, or some, or none.
    /// Answers how many it took.
    fn offer(&mut self, server: usize, link: LinkId, pieces: [&[u8]; 2]) -> usize {
        let end = End::Server { server, link };
        let Some(&to) = self.ether.pipes.get(&end) else {
            return 0;
        };
        let bytes = pieces.concat();
        let count = match self.ether.rng.random_range(0..4) {
            0 => 0,
            1 => bytes.len(),
            _ => self.ether.rng.random_range(0..=bytes.len()),
        };
        self.fill(end, to, &bytes[..count])
    }

    /// Puts bytes into a pipe, as far as the other end takes them. Answers how many those are.
    fn fill(&mut self, from: End, to: End, bytes: &[u8]) -> usize {
        match to {
            End::Client(client) if self.is_deaf(to) => {
                let received = &mut self.clients[client.0].received;
                let count = bytes.len().min(PIPE_BYTES_MAX.saturating_sub(received.len()));
                received.extend_from_slice(&bytes[..count]);
                count
            }
            _ => {
                self.carry(from, to, bytes);
                bytes.len()
            }
        }
    }

    fn is_deaf(&self, end: End) -> bool {
        matches!(end, End::Client(client) if self.clients[client.0].is_deaf)
    }

    pub(super) fn carry(&mut self, from: End, to: End, bytes: &[u8]) {
        if let Some(mut trace) = self.trace.take() {
            let way = format!("{} → {}", self.end_name(from), self.end_name(to));
            match self.foreign.contains(&from) {
                true => trace.note_bytes(self.ether.now, &way, bytes),
                false => trace.note(self.ether.now, from, &way, bytes),
            }
            self.trace = Some(trace);
        }
        self.ether.carry(to, bytes, Event::Bytes);
    }

    pub(super) fn plug(&mut self, from: End, server: usize, link: LinkId, door: Door) {
        let accepted = End::Server { server, link };
        if door != Door::Crc {
            self.foreign.extend([from, accepted]);
        }
        self.ether.plug(from, accepted);
        if door == Door::Crc {
            let server = &mut self.servers[server];
            server.first_frames.push(Vec::new());
            server.firsts.insert(link, (server.first_frames.len() - 1, Assembly::default()));
        }
    }

    /// Takes a pipe away; `other` sees it close after what is on its way.
    pub(super) fn unplug(&mut self, end: End, other: End) {
        let closed = Event::Closed(other, CloseReason::PeerClosed);
        self.ether.unplug(end, other, closed);
    }

    fn end_name(&self, end: End) -> String {
        match end {
            End::Server { server, .. } => self.servers[server].label.clone(),
            End::Client(client) => format!("client#{}", client.0),
        }
    }
}
