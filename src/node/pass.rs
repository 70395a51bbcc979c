//! The hot path: chats that are passed on in rows, as a relay has little else to do.
//!
//! Chats from one user to another that came together are looked up once. Between two links of the CRC wire
//! their bytes are copied as they are, or, where they are many, written to the socket from the buffer that they
//! were read into. On the other wires each is put into the addressee's words. What is no chat, and
//! every chat to which something may have to happen, goes the long way through the relay.

use super::Node;
use super::link::Link;
use super::links::Links;
use crate::doors::assembly::Flow;
use crate::doors::{Chats, Session, crc};
use crate::limits::{PASS_AT_ONCE_BYTES, QUEUE_PRESSED_BYTES};
use crate::relay::LinkId;
use crate::relay::message::{HostId, Message};

/// Offers bytes to a link's socket at once, those of its queue first, and answers how many it took in
/// all: 0 if nothing fits now, or if there is no socket.
pub type AtOnce<'a> = &'a mut dyn FnMut(LinkId, [&[u8]; 2]) -> usize;

impl Node {
    /// The hot path: chats in a row from one user to another are looked up once, and copied once. They
    /// are added to `passed`. Any other frame is handled alone.
    #[inline]
    pub(super) fn pass_or_handle(
        &mut self,
        id: LinkId,
        bytes: &[u8],
        len: usize,
        passed: &mut u64,
        socket: AtOnce<'_>,
    ) -> Flow {
        if self.links.is_pressed {
            return Flow::Hold;
        }
        // A link that is behind is told more as `sent` hears of room in its queue: nothing goes past that.
        let relay = &self.relay;
        let mut socket = |to, pieces: [&[u8]; 2]| match relay.is_behind(to) {
            true => 0,
            false => socket(to, pieces),
        };
        if let Some((source, destination)) = crc::wire::chat_ends(bytes)
            && self.links.closing.is_empty()
            && let Some(first) = relay.lane(id, source, destination)
            && let Some((run_bytes, frames)) = self.links.pass(first, bytes, len, &mut socket)
        {
            log::debug!("link {id}: {frames} chats from {source} to {destination}");
            *passed += frames;
            return Flow::MoreAfter(run_bytes);
        }
        self.handle_frame(id, &bytes[..len])
    }

    /// Passes on a chat of a session's client, and those in the same row that follow it in `rest`: they
    /// are looked up once. Answers how many chats that was, and how many bytes of the rest.
    pub(super) fn chats(
        &mut self,
        id: LinkId,
        ends: (HostId, HostId),
        text: &[u8],
        rest: &[u8],
    ) -> (u64, usize) {
        let (source, destination) = ends;
        if self.links.closing.is_empty()
            && let Some(first) = self.relay.lane(id, source, destination)
            && let Some(link) = self.links.get(id)
        {
            let mut rest = link.session.chats_after(rest, &self.links.limits);
            if let Some(frames) = self.links.pass_chats(first, ends, text, &mut rest) {
                log::debug!("link {id}: {frames} chats from {source} to {destination}");
                return (frames, rest.taken_bytes());
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
    fn pass(
        &mut self,
        id: LinkId,
        bytes: &[u8],
        len: usize,
        socket: AtOnce<'_>,
    ) -> Option<(usize, u64)> {
        let Self { slots, mail, limits, .. } = self;
        let put = |link: &mut Link| {
            if !matches!(link.session, Session::Crc) || !link.may_grow(limits) {
                return None;
            }
            let (run_bytes, frames) = crc::wire::chats(bytes, len, limits.frame_bytes_max);
            link.traffic.bytes_out += run_bytes as u64;
            link.traffic.frames_out += frames;
            let mut rest = &bytes[..run_bytes];
            if run_bytes >= PASS_AT_ONCE_BYTES && !mail.is_handing_over() {
                let sent = socket(id, [link.queue.unsent(), rest]);
                let queued = sent.min(link.queue.len());
                link.queue.consume(queued);
                rest = &rest[sent - queued..];
            }
            link.queue.tail().extend_from_slice(rest);
            Some((run_bytes, frames))
        };
        let (passed, is_pressed) = slots.put(id, put)?;
        self.is_pressed |= is_pressed;
        passed
    }

    /// Passes on what a session has understood as chats between the same two ends, over a link of any
    /// wire: `text`, and of those in `rest` as many as there is room for before the link has to be looked
    /// at again. Answers how many frames that was; `None` if each has to be looked at.
    fn pass_chats(
        &mut self,
        id: LinkId,
        (source, destination): (HostId, HostId),
        text: &[u8],
        rest: &mut Chats<'_>,
    ) -> Option<u64> {
        let Self { slots, shared, limits, .. } = self;
        let put = |link: &mut Link| {
            if !link.may_grow(limits) {
                return None;
            }
            let mut unsent_bytes = link.queue.len();
            let unsent_bytes_max = match unsent_bytes < QUEUE_PRESSED_BYTES {
                true => QUEUE_PRESSED_BYTES - 1, // as soon as it is long, it is written
                false => link.queue_bytes_max(limits),
            };
            let Link { session, queue, traffic, .. } = link;
            let (mut first, mut frames) = (Some(text), 0);
            session.deliver_chats(source, destination, shared, queue, |queue| {
                if first.is_none() {
                    traffic.put(queue.len() - unsent_bytes);
                    frames += 1;
                }
                unsent_bytes = queue.len();
                if unsent_bytes > unsent_bytes_max {
                    return None;
                }
                first.take().or_else(|| rest.next())
            });
            Some((frames, link.next_alarm()))
        };
        let (passed, is_pressed) = slots.put(id, put)?;
        self.is_pressed |= is_pressed;
        let (frames, alarm) = passed?;
        self.set_alarm(id, alarm);
        Some(frames)
    }
}
