//! One link of a server, as its node knows it.

use std::net::SocketAddr;

use crate::limits::Limits;
use crate::link::QueuedLink;
use crate::link::SendQueue;
use crate::link::frame_decoder::FrameDecoder;
use crate::link::{LinkId, Time};
use crate::relay::message::HostKind;
use crate::wires::{Session, Wire};

/// What has passed over a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes put into the send queue.
    pub bytes_out: u64,
    /// Whole frames received.
    pub frames_in: u64,
    /// Frames put into the send queue; what a session answers to one frame counts as one.
    pub frames_out: u64,
}

/// A link as the node knows it.
#[derive(Debug)]
pub struct Link {
    pub(super) id: LinkId,
    pub(super) decoder: FrameDecoder,
    pub(super) session: Session,
    pub(super) queue: SendQueue,
    /// What it is registered as: that decides how many bytes it may hold.
    pub(super) kind: HostKind,
    pub(super) traffic: Traffic,
    pub(super) peer_addr: Option<SocketAddr>,
    pub(super) opened_at: Time,
    /// It has been told to close.
    pub(super) is_closing: bool,
    /// It told of many new hosts when it was read last.
    pub(super) is_bursting: bool,
    /// What it said and the store of mail has not answered for yet, in messages.
    pub(super) unacked_mail: u32,
    /// It speaks to everyone, and not all of them have been reached yet.
    pub(super) is_broadcasting: bool,
    /// What it said has made a queue long: the rest comes in the next turn.
    pub(super) is_paused: bool,
    /// What must wait until that is done: the bytes of frames that came later. Nothing more is to be
    /// read meanwhile.
    #[expect(clippy::box_collection, reason = "every idle link has this, and hardly any uses it")]
    pub(super) deferred_input: Option<Box<Vec<u8>>>,
    /// When its session is called next.
    pub(super) timer: Option<Time>,
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
}

impl Traffic {
    /// A frame of so many bytes was put into the queue; of none if that was put off.
    pub(super) fn count_frame(&mut self, bytes: usize) {
        if bytes > 0 {
            self.bytes_out += bytes as u64;
            self.frames_out += 1;
        }
    }
}

impl Link {
    /// Its name in the log.
    #[must_use]
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// The wire that it speaks.
    #[must_use]
    pub fn wire(&self) -> Wire {
        self.session.wire()
    }

    /// What has passed over it.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Bytes that wait in its send queue.
    #[must_use]
    pub fn queue_bytes(&self) -> usize {
        self.queue.len()
    }

    /// The address at the other end, once it is known.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }

    /// When it began.
    #[must_use]
    pub fn opened_at(&self) -> Time {
        self.opened_at
    }

    /// Something may have been put into its queue, which held `unsent_bytes` before.
    pub(super) fn count_queued(&mut self, len_before: usize) {
        self.traffic.count_frame(self.queue.len() - len_before);
    }

    /// When its session is to be called, if no alarm is set for that time or before. A later alarm than
    /// needed does no harm: the session is asked again then.
    pub(super) fn earlier_timer(&self) -> Option<Time> {
        self.session.deadline().filter(|&at| self.timer.is_none_or(|alarm| at < alarm))
    }

    /// Whether it holds more unsent bytes than it may.
    pub(super) fn is_overfull(&self, limits: &Limits) -> bool {
        self.queue.len() > self.queue_bytes_max(limits)
    }

    /// How many unsent bytes it may hold.
    pub(super) fn queue_bytes_max(&self, limits: &Limits) -> usize {
        match self.kind {
            HostKind::Server => limits.server_queue_bytes_max,
            HostKind::User => limits.client_queue_bytes_max,
        }
    }

    /// Whether something may be put into its queue.
    pub(super) fn accepts_output(&self, limits: &Limits) -> bool {
        !self.is_closing && !self.is_overfull(limits)
    }

    /// Bytes that have been put into its queue and are not in it any more.
    pub(super) fn bytes_sent(&self) -> u64 {
        self.traffic.bytes_out - self.queue.len() as u64
    }
}
