//! The pipes of the simulated network: how send queues move into them, and their ends.

use crc::link::frame_decoder::FrameDecoder;
use crc::link::{CloseReason, LinkId, Machine as _};
use crc::mail::StoreRequest;
use crc::wires::Wire;
use rand::RngExt as _;

use super::observer::Observation;
use super::run::Event;
use super::{Call, PipeEnd, World};

/// Capacity of a pipe to an end that does not read, in bytes, like that of socket buffers.
pub(super) const PIPE_BYTES_MAX: usize = 64 * 1024;

impl World {
    /// Moves a send queue into its pipe, up to the capacity of the other end.
    pub(super) fn flush_link(&mut self, server: usize, link: LinkId) {
        let end = PipeEnd::Server { server, link };
        let Some(&to) = self.net.pipes.get(&end) else {
            return;
        };
        loop {
            let Some(node) = self.node(server) else { return };
            let bytes = node.unsent(link).to_vec();
            let is_paused = self.is_reading_paused(to);
            if bytes.is_empty() && !is_paused {
                return;
            }
            let count = self.fill_pipe(end, to, &bytes);
            let started_at = self.start_turn();
            let node = self.servers[server].node.as_mut().expect("a running server");
            node.sent(link, count);
            self.end_turn(started_at, server, Call::Sent);
            if is_paused || count < bytes.len() {
                return;
            }
        }
    }

    /// Writes bytes directly to a link, of which the socket accepts a random part. Returns the
    /// number of bytes accepted.
    pub(super) fn write_direct(
        &mut self,
        server: usize,
        link: LinkId,
        pieces: [&[u8]; 2],
    ) -> usize {
        let end = PipeEnd::Server { server, link };
        let Some(&to) = self.net.pipes.get(&end) else {
            return 0;
        };
        let bytes = pieces.concat();
        let is_whole = matches!(to, PipeEnd::PlainServer { .. });
        let count = match self.net.rng.random_range(0..4) {
            0 => 0,
            _ if is_whole => bytes.len(),
            1 => bytes.len(),
            _ => self.net.rng.random_range(0..=bytes.len()),
        };
        self.fill_pipe(end, to, &bytes[..count])
    }

    /// Writes bytes into a pipe up to its capacity. Returns the number of bytes written.
    fn fill_pipe(&mut self, from: PipeEnd, to: PipeEnd, bytes: &[u8]) -> usize {
        match to {
            PipeEnd::Client(client) if self.is_reading_paused(to) => {
                // What is in flight takes room in the pipe as well, and arrives first.
                let in_flight = self.net.pending().filter_map(|event| match event {
                    Event::Bytes(end, bytes) if *end == to => Some(bytes.len()),
                    _ => None,
                });
                let unread = self.clients[client.0].received.len() + in_flight.sum::<usize>();
                let count = bytes.len().min(PIPE_BYTES_MAX.saturating_sub(unread));
                self.transmit(from, to, &bytes[..count]);
                count
            }
            _ => {
                let count = bytes.len().min(self.faults.room_bytes(to));
                self.transmit(from, to, &bytes[..count]);
                count
            }
        }
    }

    fn is_reading_paused(&self, end: PipeEnd) -> bool {
        matches!(end, PipeEnd::Client(client) if self.clients[client.0].is_reading_paused)
    }

    pub(super) fn transmit(&mut self, from: PipeEnd, to: PipeEnd, bytes: &[u8]) {
        let wire = self.wire_of(from);
        if let Some(trace) = &mut self.trace {
            trace.record(self.net.now, from, to, wire, bytes);
        }
        if let Some(meter) = &mut self.meter
            && let (Some(server), Some(_)) = (from.server(), to.server())
        {
            meter.count_bytes(server, bytes.len());
        }
        if let Some(observer) = &mut self.observer {
            observer.on_write(self.net.now, wire, (from, to), bytes);
        }
        let splits_writes = match to {
            PipeEnd::PlainServer { .. } => self.plain_conditions.splits_writes,
            _ => self.net.conditions.splits_writes,
        };
        self.net.send(to, bytes, splits_writes, Event::Bytes);
    }

    fn wire_of(&self, end: PipeEnd) -> Wire {
        self.non_crc_ends.get(&end).copied().unwrap_or(Wire::CRC)
    }

    /// Lets the observer know what is lost with a connection. What waits for another crc server is
    /// not: it is sent again, or answered.
    pub(super) fn observe_unsent(&mut self, server: usize, link: LinkId) {
        let end = PipeEnd::Server { server, link };
        let wire = self.wire_of(end);
        let now = self.net.now;
        let Self { observer: Some(observer), servers, .. } = self else { return };
        if let Some(node) = &servers[server].node
            && !node.relay().is_extended(link)
        {
            observer.on_unsent(now, wire, end, node.unsent(link));
        }
    }

    /// Lets the observer know what a mail store is asked to keep.
    pub(super) fn observe_store_request(&mut self, label: &str, request: &StoreRequest) {
        if let StoreRequest::Append(mail) = request
            && let Some(observer) = &mut self.observer
        {
            let (label, text) = (label.to_owned(), mail.text.clone());
            observer.observations.push(Observation::MailRequested { label, text });
        }
    }

    /// Lets the observer know what a mail store has kept.
    pub(super) fn observe_kept_mail(&mut self, server: usize) {
        let Self { observer: Some(observer), stores, servers, .. } = self else { return };
        let texts = stores.take_kept_texts(&servers[server].label).into_iter();
        observer.observations.extend(texts.map(|text| Observation::MailKept { text }));
    }

    pub(super) fn open_pipe(&mut self, from: PipeEnd, server: usize, link: LinkId, wire: Wire) {
        let accepted = PipeEnd::Server { server, link };
        if wire != Wire::CRC {
            self.non_crc_ends.extend([(from, wire), (accepted, wire)]);
        }
        self.net.open_pipe(from, accepted);
        if wire == Wire::CRC {
            let server = &mut self.servers[server];
            server.first_frames.push(Vec::new());
            server
                .first_frame_decoders
                .insert(link, (server.first_frames.len() - 1, FrameDecoder::default()));
        }
    }

    /// Removes a pipe. `other` sees it close after the bytes in flight.
    pub(super) fn close_pipe(&mut self, end: PipeEnd, other: PipeEnd) {
        let close_event = Event::Closed(other, CloseReason::PeerClosed);
        self.net.close_pipe(end, other, close_event);
    }
}
