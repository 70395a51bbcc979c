//! What a server does with an event that reaches it.

use crc::link::{CloseReason, LinkId, Machine as _};
use crc::node::Node;
use crc::wires::crc::codec;

use super::run::Event;
use super::{Call, PipeEnd, World};

impl World {
    /// Handles an event that a fault does not keep from arriving, or that has arrived before.
    pub(super) fn handle_arrived(&mut self, event: Event) {
        if let Event::Bytes(end @ PipeEnd::Server { .. }, _)
        | Event::Closed(end @ PipeEnd::Server { .. }, _) = event
            && !self.wants_read(end)
        {
            return self.deferred_events.entry(end).or_default().push_back(event);
        }
        match event {
            Event::Bytes(end, bytes) => self.receive(end, &bytes),
            Event::Closed(end, reason) => self.end_connection(end, &reason),
            Event::PlainRead(end) => self.read_plain_once(end),
            Event::Dialled { from, label } if self.is_dial_lost(from, &label) => {}
            Event::Dialled { from: PipeEnd::Server { server, link }, label } => {
                self.complete_dial(server, link, &label);
            }
            Event::Dialled { from: PipeEnd::PlainServer { server, conn }, label } => {
                self.complete_plain_dial(server, conn, &label);
            }
            Event::Dialled { from: PipeEnd::Client(_), .. } => unreachable!("clients do not dial"),
            Event::Store { server } => self.answer_store_requests(server),
            Event::Audible(end) => self.end_silence(end),
            Event::Keepalive(end) => self.on_keepalive(end),
            Event::Continued { server } => self.continue_process(server),
            Event::Resumed(end) => {
                for event in self.deferred_events.remove(&end).unwrap_or_default() {
                    self.handle_arrived(event); // which may defer it again, and all that follow
                }
            }
        }
    }

    fn receive(&mut self, end: PipeEnd, bytes: &[u8]) {
        match end {
            PipeEnd::Client(client) => self.clients[client.0].received.extend_from_slice(bytes),
            PipeEnd::PlainServer { server, conn } => self.receive_plain(server, conn, bytes),
            PipeEnd::Server { server, link } => self.read_in_turns(server, link, bytes),
        }
    }

    /// Has a server read what has arrived, no more in a turn than it would read from a socket. What
    /// it does not want to read is deferred. A link that it has closed is not read.
    fn read_in_turns(&mut self, server: usize, link: LinkId, bytes: &[u8]) {
        let end = PipeEnd::Server { server, link };
        let mut unread = bytes;
        while let Some(node) = &self.servers[server].node {
            let portion;
            (portion, unread) = unread.split_at(node.read_budget(link).min(unread.len()));
            self.read_once(server, link, portion);
            let is_open = |node: &Node| node.is_open(link);
            if unread.is_empty() || !self.servers[server].node.as_ref().is_some_and(is_open) {
                return;
            }
            if !self.wants_read(end) {
                let rest = Event::Bytes(end, unread.to_vec());
                return self.deferred_events.entry(end).or_default().push_front(rest);
            }
        }
    }

    fn read_once(&mut self, server: usize, link: LinkId, bytes: &[u8]) {
        // The node is taken out because the direct write borrows the network.
        let Some(mut node) = self.servers[server].node.take() else { return };
        let now = self.net.now;
        let was_open = node.is_open(link);
        let started_at = self.start_turn();
        let mut direct_write = |to, pieces: [&[u8]; 2]| self.write_direct(server, to, pieces);
        node.receive_with_direct_write(now, link, bytes, &mut direct_write);
        self.end_turn(started_at, server, Call::Receive);
        if let Some(observer) = self.observer.as_mut().filter(|_| was_open) {
            let is_handled = node.is_open(link) && node.wants_read(link);
            let end = PipeEnd::Server { server, link };
            observer.on_received(now, end, bytes.len(), is_handled);
        }
        self.servers[server].node = Some(node);
        self.record_first_frame(server, link, bytes);
        self.drive(server);
    }

    fn end_connection(&mut self, end: PipeEnd, reason: &CloseReason) {
        match end {
            PipeEnd::Client(client) => self.clients[client.0].is_closed = true,
            PipeEnd::PlainServer { server, conn } => self.close_plain(server, conn),
            PipeEnd::Server { server, link } => {
                self.observe_unsent(server, link);
                let now = self.net.now;
                let started_at = self.start_turn();
                if let Some(node) = &mut self.servers[server].node {
                    node.closed(now, link, reason);
                    self.end_turn(started_at, server, Call::Closed);
                    self.drive(server);
                }
            }
        }
    }

    /// Has a server's mail store handle its pending requests.
    fn answer_store_requests(&mut self, server: usize) {
        let replies = self.stores.run_pending(&self.servers[server].label);
        self.observe_kept_mail(server);
        let now = self.net.now;
        if let Some(node) = &mut self.servers[server].node {
            for reply in replies {
                node.on_store_reply(now, reply);
            }
            self.drive(server);
        }
    }

    fn is_dial_lost(&self, from: PipeEnd, label: &str) -> bool {
        let server = from.server().map(|server| self.servers[server].label.as_str());
        server.is_some_and(|server| self.faults.is_dial_lost(server, label, self.net.now))
    }

    /// Returns whether a server reads what arrives at its end of a pipe.
    fn wants_read(&self, end: PipeEnd) -> bool {
        let PipeEnd::Server { server, link } = end else { return true };
        let wants_read = |node: &Node| node.wants_read(link) || !node.is_open(link);
        !self.deferred_events.contains_key(&end)
            && self.servers[server].node.as_ref().is_none_or(wants_read)
    }

    fn record_first_frame(&mut self, server: usize, link: LinkId, bytes: &[u8]) {
        let server = &mut self.servers[server];
        let Some((at, decoder)) = server.first_frame_decoders.get_mut(&link) else {
            return;
        };
        let (at, first_frames) = (*at, &mut server.first_frames);
        let mut is_complete = false;
        let len_of = |bytes: &[u8]| codec::frame_len(bytes, usize::MAX);
        let result = decoder.decode(bytes, len_of, |frame| {
            first_frames[at] = frame.to_vec();
            is_complete = true;
            false
        });
        if is_complete || result.is_err() {
            server.first_frame_decoders.remove(&link);
        }
    }
}
