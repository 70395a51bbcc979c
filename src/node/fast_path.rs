//! The hot path: chats that are passed on in rows, as a relay has little else to do.
//!
//! Chats from one user to another that came together are looked up once. Between two links of the CRC wire
//! their bytes are copied as they are, or, where they are many, written to the socket from the buffer that they
//! were read into. On the other wires each is put into the addressee's words. What is no chat, and
//! every chat to which something may have to happen, goes the long way through the relay.

use super::Node;
use super::link::Link;
use super::links::Links;
use crate::id::HostId;
use crate::limits::{DIRECT_WRITE_BYTES_MIN, QUEUE_HIGH_WATER_BYTES};
use crate::link::frame_decoder::Flow;
use crate::link::{DirectWrite, LinkId};
use crate::relay::message::Message;
use crate::wires::{ChatRun, Session, crc};

impl Node {
    /// The hot path: chats in a row from one user to another are looked up once, and copied once. They
    /// are added to `passed`. Any other frame is handled alone.
    #[inline]
    pub(super) fn forward_or_handle(
        &mut self,
        id: LinkId,
        bytes: &[u8],
        len: usize,
        forwarded_frames: &mut u64,
        direct_write: DirectWrite<'_>,
    ) -> Flow {
        if self.links.above_high_water {
            return Flow::Defer;
        }
        // A link that is behind is told more as `sent` hears of room in its queue: nothing goes past that.
        let relay = &self.relay;
        let mut direct_write = |to, parts: [&[u8]; 2]| match relay.is_behind(to) {
            true => 0,
            false => direct_write(to, parts),
        };
        if let Some((source, destination)) = crc::codec::peek_chat_ids(bytes)
            && self.links.closing.is_empty()
            && let Some(next_hop) = relay.next_hop(id, source, destination)
            && let Some((run_bytes, frames)) =
                self.links.forward_frames(next_hop, bytes, len, &mut direct_write)
        {
            log::debug!("link {id}: {frames} chats from {source} to {destination}");
            *forwarded_frames += frames;
            return Flow::ContinueAfter(run_bytes);
        }
        self.handle_crc_frame(id, &bytes[..len])
    }

    /// Passes on a chat of a session's client, and those in the same row that follow it in `rest`: they
    /// are looked up once. Answers how many chats that was, and how many bytes of the rest.
    pub(super) fn forward_chats(
        &mut self,
        id: LinkId,
        ids: (HostId, HostId),
        text: &[u8],
        rest: &[u8],
    ) -> (u64, usize) {
        let (source, destination) = ids;
        if self.links.closing.is_empty()
            && let Some(next_hop) = self.relay.next_hop(id, source, destination)
            && let Some(link) = self.links.get(id)
        {
            let mut run = link.session.chat_run_after(rest, &self.links.limits);
            if let Some(frames) = self.links.forward_texts(next_hop, ids, text, &mut run) {
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
    /// Passes on the chats at the front of `bytes`, between the same two ends, of which the first has
    /// `len` bytes: over a link of the same wire, as they are. Many bytes are offered to its socket
    /// first, unless somebody counts what leaves the queue. A queue may go over its bound by this as by any
    /// other frame: by one read at most. Answers how many bytes and frames that was; `None` if each has to
    /// be looked at.
    fn forward_frames(
        &mut self,
        id: LinkId,
        bytes: &[u8],
        len: usize,
        direct_write: DirectWrite<'_>,
    ) -> Option<(usize, u64)> {
        let Self { table, spool, limits, .. } = self;
        let enqueue = |link: &mut Link| {
            if !matches!(link.session, Session::Crc) || !link.accepts_output(limits) {
                return None;
            }
            let (run_bytes, frames) =
                crc::codec::measure_chat_run(bytes, len, limits.frame_bytes_max);
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

    /// Passes on what a session has understood as chats between the same two ends, over a link of any
    /// wire: `text`, and of those in `rest` as many as there is room for before the link has to be looked
    /// at again. Answers how many frames that was; `None` if each has to be looked at.
    fn forward_texts(
        &mut self,
        id: LinkId,
        (source, destination): (HostId, HostId),
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
                true => QUEUE_HIGH_WATER_BYTES - 1, // as soon as it is long, it is written
                false => link.queue_bytes_max(limits),
            };
            let Link { session, queue, traffic, .. } = link;
            let (mut first_text, mut frames) = (Some(text), 0);
            session.deliver_chats(source, destination, names, queue, |queue| {
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
