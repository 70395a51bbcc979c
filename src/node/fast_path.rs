//! The hot path: runs of chats, which are most of a relay's work.
//!
//! Chats between the same two users that arrive together need one look-up. Between links of a wire
//! whose frames may be forwarded unchanged, their bytes are copied once; long runs are written to
//! the socket straight from the buffer that they were read into. For other wires each chat is
//! encoded for the recipient. Any other frame, and each chat that has side effects, is handled by
//! the relay.

use super::Node;
use super::input::Input;
use super::link::Link;
use super::links::Links;
use crate::id::HostId;
use crate::limits::{DIRECT_WRITE_BYTES_MIN, QUEUE_HIGH_WATER_BYTES};
use crate::link::LinkId;
use crate::relay::View;
use crate::relay::message::Message;
use crate::wires::{ChatHeader, ChatRun, NoticeCx, Wire};

impl Input<'_> {
    /// Forwards the run of chats at the front of `bytes` unchanged. Returns the number of bytes
    /// forwarded, or `None` if the frame there is to be handled by its session.
    #[inline]
    pub(super) fn forward_frames(&mut self, bytes: &[u8]) -> Option<usize> {
        let Self { node: Node { relay, links, .. }, link: id, direct_write, .. } = self;
        let chat = self.chat.as_ref()?;
        if !links.closing.is_empty() {
            return None;
        }
        let next_hop = relay.next_hop(*id, chat.source, chat.destination)?;
        // While announcements are pending for a link, nothing is written past its queue.
        let direct_write = |link, pieces: [&[u8]; 2]| {
            if relay.is_behind(link) { 0 } else { direct_write(link, pieces) }
        };
        let (run_bytes, frames) =
            links.forward_frames(next_hop, &self.wire, chat, bytes, direct_write)?;
        self.forwarded_frames += frames;
        if log::log_enabled!(log::Level::Debug) {
            log_forwarded(*id, (chat.source, chat.destination), frames);
        }
        Some(run_bytes)
    }
}

impl Node {
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
        if self.links.closing.is_empty()
            && let Some(next_hop) = self.relay.next_hop(id, source, destination)
            && let Some(link) = self.links.get(id)
        {
            let mut run = ChatRun::new(link.session.run_matcher(), rest, &self.links.limits);
            if let Some(frames) =
                self.links.forward_texts(next_hop, self.relay.view(), ids, text, &mut run)
            {
                if log::log_enabled!(log::Level::Debug) {
                    log_forwarded(id, ids, frames);
                }
                return (frames, run.consumed_bytes());
            }
        }
        let chat = Message::Chat { source, destination, text };
        self.relay.receive(self.links.now, id, &chat, &mut self.links);
        (1, 0)
    }
}

#[cold]
fn log_forwarded(link: LinkId, (source, destination): (HostId, HostId), frames: u64) {
    log::debug!("link {link}: {frames} chats from {source} to {destination}");
}

impl Link {
    /// Offers the queue and then `bytes` to the socket. Returns those of `bytes` that it did not
    /// take.
    #[inline(never)] // rare, and keeps the code for short runs small
    fn write_directly<'a>(
        &mut self,
        bytes: &'a [u8],
        direct_write: impl FnOnce(LinkId, [&[u8]; 2]) -> usize,
    ) -> &'a [u8] {
        let sent = direct_write(self.id, [self.queue.unsent(), bytes]);
        let from_queue = sent.min(self.queue.len());
        self.queue.consume(from_queue);
        &bytes[sent - from_queue..]
    }
}

impl Links {
    /// Appends the run of chats at the front of `bytes` to a link's queue, or writes it to the
    /// link's socket if it is long and nothing keeps the queue's bytes or tracks their offsets. A
    /// queue may exceed its maximum by one read; once it is half full, the rest of the read waits
    /// until it has been written. Returns bytes and number of the frames, or `None` if the link
    /// speaks another wire or takes no output.
    #[inline]
    fn forward_frames(
        &mut self,
        id: LinkId,
        wire: &Wire,
        chat: &ChatHeader,
        bytes: &[u8],
        direct_write: impl FnOnce(LinkId, [&[u8]; 2]) -> usize,
    ) -> Option<(usize, u64)> {
        let Self { table, spool, limits, .. } = self;
        let enqueue = |link: &mut Link| {
            if link.wire() != *wire || !link.accepts_output(limits) {
                return None;
            }
            let len = chat.frame_bytes;
            let (run_bytes, frames) = match chat.is_continued {
                true => link.session.measure_chat_run(bytes, len, limits),
                false => (len, 1),
            };
            link.traffic.bytes_out += run_bytes as u64;
            link.traffic.frames_out += frames;
            let mut rest = &bytes[..run_bytes];
            if run_bytes >= DIRECT_WRITE_BYTES_MIN && !spool.is_delivering() && !link.is_resumable()
            {
                rest = link.write_directly(rest, direct_write);
            }
            let len_before = link.queue.len();
            link.queue.tail().extend_from_slice(rest);
            let pause_bytes = (link.queue_bytes_max(limits) / 2).max(QUEUE_HIGH_WATER_BYTES);
            let must_pause = len_before < pause_bytes && len_before + rest.len() >= pause_bytes;
            Some((run_bytes, frames, must_pause))
        };
        let (run_bytes, frames, must_pause) = table.enqueue_with(id, enqueue)?.0?;
        self.must_pause |= must_pause;
        Some((run_bytes, frames))
    }

    /// Encodes a chat with `text`, and those of `run`, for a link of any wire, until the link's
    /// queue is to be written or is full. Returns the number of chats, or `None` if the link takes
    /// no output.
    fn forward_texts(
        &mut self,
        id: LinkId,
        view: View<'_>,
        ids: (HostId, HostId),
        text: &[u8],
        run: &mut ChatRun<'_>,
    ) -> Option<u64> {
        let unix_time = self.unix_time();
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
            let mut cx = NoticeCx { view, names, queue, unix_time };
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
        self.must_pause |= above_high_water;
        let (frames, timer) = forwarded?;
        self.set_timer(id, timer);
        Some(frames)
    }
}
