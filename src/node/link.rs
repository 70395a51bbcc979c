//! One link of a node.

use std::net::SocketAddr;

use crate::limits::{
    ACK_INTERVAL_BYTES, ACK_INTERVAL_DIVISOR, BURST_READ_BYTES_PER_TURN, Limits,
    READ_BYTES_PER_TURN, STREAM_READ_BYTES_PER_TURN,
};
use crate::link::QueuedLink;
use crate::link::SendQueue;
use crate::link::frame_decoder::FrameDecoder;
use crate::link::{LinkId, Origin, Security, Time, Traffic};
use crate::wires::{Session, Wire};

/// A link of a node.
#[derive(Clone, Debug)]
pub struct Link {
    pub(super) id: LinkId,
    pub(super) decoder: FrameDecoder,
    pub(super) session: Box<dyn Session>,
    pub(super) queue: SendQueue,
    /// Decides the maximum length of its queue, and what it counts as for its address.
    pub(super) role: LinkRole,
    pub(super) traffic: Traffic,
    pub(super) origin: Origin,
    pub(super) opened_at: Time,
    /// The node has ended the link; the connection is to be closed.
    pub(super) is_closing: bool,
    /// The link ends once its queue is sent.
    pub(super) ends_when_sent: bool,
    /// Set once the last frame of the queue is END: what would follow it.
    pub(super) late_output: Option<Box<SendQueue>>,
    /// What the last read brought.
    pub(super) last_input: InputKind,
    /// Number of messages that were handed to the mail store and have no reply yet.
    pub(super) unacked_mail: u32,
    /// Why its input waits, beside mail.
    pub(super) waits: Waits,
    /// Input that waits for one of the two above. Nothing more is read meanwhile.
    #[expect(clippy::box_collection, reason = "every idle link has this, and hardly any uses it")]
    pub(super) deferred_input: Option<Box<Vec<u8>>>,
    /// What has arrived on a link to a server.
    pub(super) arrivals: Option<Box<Arrivals>>,
    /// When the session's timers run next.
    pub(super) timer: Option<Time>,
}

/// What a read of a link brought, which decides how much is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputKind {
    /// Nothing special.
    Mixed,
    /// Many new hosts, or changes of rooms.
    Burst,
    /// From a server, as much as is read at a time, and hardly anything but chats that were
    /// forwarded unchanged.
    Stream,
}

/// What a link is, as far as bounds depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkRole {
    /// This server has dialled it, or has ended it.
    Dialled,
    /// It was accepted, and its TLS handshake goes on.
    Handshaking,
    /// It was accepted and has not registered.
    Unregistered,
    /// It leads to a user.
    User,
    /// It leads to a server.
    Server,
}

/// What has arrived on a link to a server. Boxed, because there are few servers.
#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    /// When bytes last arrived.
    pub(super) at: Time,
    /// What has been handled, if the link resumes after it was lost.
    pub(super) handled: Option<Handled>,
}

/// What has been handled on a link that resumes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handled {
    /// Number of bytes of whole frames that were handled.
    pub(super) bytes: u64,
    /// The last count that the other end was sent.
    acknowledged_bytes: u64,
    /// The other end is sent the count after this read, whatever it is.
    pub(super) must_acknowledge: bool,
}

/// A reason for which the input of a link waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Wait {
    /// A broadcast of its client is in progress.
    Broadcast = 1,
    /// Its input raised a queue above the high-water mark; the rest is handled in the next turn.
    NextTurn = 2,
    /// A message for a lost host does not fit, and waits until the host can be reached or leaves.
    LostHost = 4,
}

/// The reasons for which the input of a link waits, in one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waits(u8);

impl Waits {
    /// Returns whether there is any reason.
    pub(super) fn is_any(self) -> bool {
        self.0 != 0
    }

    /// Returns whether there is this reason.
    pub(super) fn is_for(self, wait: Wait) -> bool {
        self.0 & wait as u8 != 0
    }

    /// Adds a reason. Returns whether it is new.
    pub(super) fn insert(&mut self, wait: Wait) -> bool {
        let is_new = !self.is_for(wait);
        self.0 |= wait as u8;
        is_new
    }

    /// Removes a reason. Returns whether there was one.
    pub(super) fn remove(&mut self, wait: Wait) -> bool {
        let was_there = self.is_for(wait);
        self.0 &= !(wait as u8);
        was_there
    }
}

impl QueuedLink for Link {
    fn id(&self) -> LinkId {
        self.id
    }

    fn queue(&self) -> &SendQueue {
        &self.queue
    }

    fn queue_mut(&mut self) -> &mut SendQueue {
        &mut self.queue
    }

    #[inline]
    fn buffer_bytes(&self) -> usize {
        let deferred_bytes = self.deferred_input.as_ref().map_or(0, |input| input.capacity());
        let late_bytes = self.late_output.as_ref().map_or(0, |queue| queue.capacity());
        let kept_bytes = deferred_bytes + late_bytes + self.session.buffer_bytes();
        self.queue.capacity() + self.decoder.capacity() + kept_bytes
    }
}

impl Link {
    /// Returns how much may be read at a time.
    pub(super) fn read_budget(&self) -> usize {
        match self.last_input {
            _ if self.deferred_input.is_some() => 0,
            InputKind::Mixed => READ_BYTES_PER_TURN,
            InputKind::Burst => BURST_READ_BYTES_PER_TURN,
            InputKind::Stream => STREAM_READ_BYTES_PER_TURN,
        }
    }

    /// Records that all bytes received so far have been handled but for `unhandled_bytes`. Returns
    /// whether an acknowledgement is due.
    #[inline]
    pub(super) fn on_decoded(&mut self, unhandled_bytes: usize, limits: &Limits) -> bool {
        let Some(arrivals) = &mut self.arrivals else { return false };
        let Some(handled) = &mut arrivals.handled else { return false };
        let partial_bytes = self.decoder.partial_bytes();
        handled.bytes = self.traffic.bytes_in - (unhandled_bytes + partial_bytes) as u64;
        let interval_bytes =
            ACK_INTERVAL_BYTES.min((limits.server_queue_bytes_max / ACK_INTERVAL_DIVISOR) as u64);
        let is_due = std::mem::take(&mut handled.must_acknowledge)
            || handled.bytes - handled.acknowledged_bytes >= interval_bytes;
        if is_due {
            handled.acknowledged_bytes = handled.bytes;
        }
        is_due
    }

    /// Returns what has arrived on a link to a server, or is about to be one.
    pub(super) fn arrivals_mut(&mut self, now: Time) -> &mut Arrivals {
        self.arrivals.get_or_insert_with(|| Box::new(Arrivals { at: now, handled: None }))
    }

    /// Returns whether sent bytes are kept until they are acknowledged.
    #[inline]
    pub(super) fn is_resumable(&self) -> bool {
        self.arrivals.as_ref().is_some_and(|arrivals| arrivals.handled.is_some())
    }

    /// Returns the link's id.
    #[must_use]
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// Returns the wire.
    #[must_use]
    pub fn wire(&self) -> Wire {
        self.session.wire()
    }

    /// Returns the counters.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Returns the number of bytes in the send queue.
    #[must_use]
    pub fn queue_bytes(&self) -> usize {
        self.queue.len()
    }

    /// Returns the address at the other end, once it is known.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.origin.address
    }

    /// Returns whether its bytes are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.origin.security != Security::Plain
    }

    /// Returns when the link was opened.
    #[must_use]
    pub fn opened_at(&self) -> Time {
        self.opened_at
    }

    /// Returns when bytes last arrived on a link to a server.
    #[must_use]
    pub fn received_at(&self) -> Option<Time> {
        Some(self.arrivals.as_ref()?.at)
    }

    /// Counts what was put into the queue since it had `len_before` bytes.
    pub(super) fn count_queued(&mut self, len_before: usize) {
        self.traffic.count_frame(self.queue.len() - len_before);
    }

    /// Counts this many frames that were put into the queue since it had `len_before` bytes.
    pub(super) fn count_queued_frames(&mut self, frames: usize, len_before: usize) {
        self.traffic.count_frames(frames, self.queue.len() - len_before);
    }

    /// Returns the session's deadline if it is before the timer that is set. A timer may be early:
    /// the session's deadline is read again then.
    pub(super) fn earlier_timer(&self) -> Option<Time> {
        self.session.deadline().filter(|&at| self.timer.is_none_or(|alarm| at < alarm))
    }

    /// Returns whether the queue exceeds its maximum.
    pub(super) fn is_overfull(&self, limits: &Limits) -> bool {
        self.queue.len() > self.queue_bytes_max(limits)
    }

    /// Returns the maximum number of bytes in the queue.
    pub(super) fn queue_bytes_max(&self, limits: &Limits) -> usize {
        match self.role {
            LinkRole::Server => limits.server_queue_bytes_max,
            _ => limits.client_queue_bytes_max,
        }
    }

    /// Returns whether frames may be put into the queue.
    pub(super) fn accepts_output(&self, limits: &Limits) -> bool {
        !self.is_closing && self.late_output.is_none() && !self.is_overfull(limits)
    }

    /// Returns the number of bytes that left the queue.
    pub(super) fn bytes_sent(&self) -> u64 {
        self.traffic.bytes_out - self.queue.len() as u64
    }
}
