//! The hot path: runs of chats, which are most of a relay's work.
//!
//! Chats between the same two users that arrive together need one look-up. Between links of a wire
//! whose frames may be forwarded unchanged, their bytes are copied once; long runs are written to
//! the socket straight from the buffer that they were read into. For other wires each chat is
//! encoded for the recipient. Any other frame, and each chat that has side effects, is handled by
//! the relay.

use super::Node;
use super::link::Link;
use super::links::Links;
use crate::id::HostId;
use crate::limits::{DIRECT_WRITE_BYTES_MIN, QUEUE_HIGH_WATER_BYTES};
use crate::link::{DirectWrite, LinkId};
use crate::relay::message::Message;
use crate::wires::{ChatRun, NoticeCx, Wire};

impl Node {
    /// Forwards the run of chats at the front of `bytes` unchanged; the first frame has `len`
    /// bytes. Returns bytes and number of the frames forwarded, or `None` if the first frame is to
    /// be handled by its session.
    #[inline]
    pub(super) fn forward_frames(
        &mut self,
        id: LinkId,
        bytes: &[u8],
        len: usize,
        direct_write: DirectWrite<'_>,
    ) -> Option<(usize, u64)> {
        let link = self.links.get(id)?;
        let (source, destination) = link.session.peek_chat(bytes)?;
        let wire = link.wire();
        if !self.links.closing.is_empty() {
            return None;
        }
        let next_hop = self.relay.next_hop(id, source, destination)?;
        let forwarded = if self.relay.is_behind(next_hop) {
            // Announcements are pending for that link: nothing is written past its queue.
            self.links.forward_frames(next_hop, wire, bytes, len, &mut |_, _| 0)
        } else {
            self.links.forward_frames(next_hop, wire, bytes, len, direct_write)
        };
        let (_, frames) = forwarded?;
        log::debug!("link {id}: {frames} chats from {source} to {destination}");
        forwarded
    }

    /// Forwards a chat of a session's client, and those in `rest` that continue its run, with one
    /// look-up. Returns the number of chats, and the bytes of `rest` that were forwarded.
    pub(super) fn forward_chats(
        &mut self,
        id: LinkId,
        ids: (HostId, HostId),
        text: &[u8],
        rest: &[u8],
    ) -> (u64, usize) {
        let (source, destination) = ids;
        let server = self.relay.identity().id;
        if self.links.closing.is_empty()
            && let Some(next_hop) = self.relay.next_hop(id, source, destination)
            && let Some(link) = self.links.get(id)
        {
            let mut run = ChatRun::new(link.session.run_matcher(), rest, &self.links.limits);
            if let Some(frames) = self.links.forward_texts(next_hop, server, ids, text, &mut run) {
                log::debug!("link {id}: {frames} chats from {source} to {destination}");
                return (frames, run.consumed_bytes());
            }
        }
        let chat = Message::Chat { source, destination, text };
        self.relay.receive(self.links.now, id, &chat, &mut self.links);
        (1, 0)
    }
}

impl Links {
    /// Appends the run of chats at the front of `bytes` to a link's queue, or writes it to the
    /// link's socket if it is long and nothing tracks the offsets of the queue. A queue may exceed
    /// its maximum by one read. Returns bytes and number of the frames, or `None` if the link
    /// speaks another wire or takes no output.
    fn forward_frames(
        &mut self,
        id: LinkId,
        wire: Wire,
        bytes: &[u8],
        len: usize,
        direct_write: DirectWrite<'_>,
    ) -> Option<(usize, u64)> {
        let Self { table, spool, limits, .. } = self;
        let enqueue = |link: &mut Link| {
            if link.wire() != wire || !link.accepts_output(limits) {
                return None;
            }
            let (run_bytes, frames) = link.session.measure_chat_run(bytes, len, limits);
            link.traffic.bytes_out += run_bytes as u64;
            link.traffic.frames_out += frames;
            let mut rest = &bytes[..run_bytes];
            if run_bytes >= DIRECT_WRITE_BYTES_MIN && !spool.is_delivering() {
                let sent = direct_write(id, [link.queue.unsent(), rest]);
                let from_queue = sent.min(link.queue.len());
                link.queue.consume(from_queue);
                rest = &rest[sent - from_queue..];
            }
            link.queue.tail().extend_from_slice(rest);
            Some((run_bytes, frames))
        };
        let (forwarded, above_high_water) = table.enqueue_with(id, enqueue)?;
        self.above_high_water |= above_high_water;
        forwarded
    }

    /// Encodes a chat with `text`, and those of `run`, for a link of any wire, until the link's
    /// queue is to be written or is full. Returns the number of chats, or `None` if the link takes
    /// no output.
    fn forward_texts(
        &mut self,
        id: LinkId,
        server: HostId,
        ids: (HostId, HostId),
        text: &[u8],
        run: &mut ChatRun<'_>,
    ) -> Option<u64> {
        let Self { table, names, limits, .. } = self;
        let enqueue = |link: &mut Link| {
            if !link.accepts_output(limits) {
                return None;
            }
            let mut queue_len = link.queue.len();
            let queue_len_max = match queue_len < QUEUE_HIGH_WATER_BYTES {
                true => QUEUE_HIGH_WATER_BYTES - 1, // written as soon as it is reached
                false => link.queue_bytes_max(limits),
            };
            let Link { session, queue, traffic, .. } = link;
            let (mut first_text, mut frames) = (Some(text), 0);
            let mut cx = NoticeCx { server, names, queue };
            session.on_chats(ids, &mut cx, &mut |queue| {
                if first_text.is_none() {
                    traffic.count_frame(queue.len() - queue_len);
                    frames += 1;
                }
                queue_len = queue.len();
                if queue_len > queue_len_max {
                    return None;
                }
                first_text.take().or_else(|| run.next())
            });
            Some((frames, link.earlier_timer()))
        };
        let (forwarded, above_high_water) = table.enqueue_with(id, enqueue)?;
        self.above_high_water |= above_high_water;
        let (frames, timer) = forwarded?;
        self.set_timer(id, timer);
        Some(frames)
    }
}
