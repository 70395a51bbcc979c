//! The links of a peer: the state of each connection, its timers and its send queue.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::wire::{self, Body, Hello};
use crate::limits::{
    PEER_FRAME_TIMEOUT, PEER_IDLE_TIMEOUT, PEER_PING_AFTER, PEER_QUEUE_BYTES_MAX,
    PEER_QUEUES_BYTES_MAX, REGISTER_DEADLINE,
};
use crate::link::SendQueue;
use crate::link::frame_decoder::FrameDecoder;
use crate::link::{CloseReason, LinkId, Time};
use crate::link::{LinkTable, QueuedLink};

/// The handshake state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The connection is being made.
    Dialling,
    /// This peer connected and sent its hello.
    AwaitingGrant,
    /// A connection was accepted; its hello has not arrived.
    AwaitingHello,
    /// The hello arrived; no id can be granted yet.
    AwaitingId(Hello),
    /// The handshake is complete: the whole state was sent, and all updates follow.
    Attached { incarnation: u64 },
    /// The link is being closed: nothing more is received or sent.
    Closing,
}

/// A link to another peer.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    pub(super) state: State,
    /// The index of the target that was dialled; `None` for an accepted connection.
    pub(super) target: Option<usize>,
    /// The id that was granted on this link, and the incarnation that it was granted to.
    pub(super) granted: Option<(i64, u64)>,
    pub(super) decoder: FrameDecoder,
    pub(super) queue: SendQueue,
    pub(super) peer_addr: Option<SocketAddr>,
    opened_at: Time,
    last_received_at: Time,
    /// When the first byte of an incomplete frame arrived.
    frame_started_at: Option<Time>,
    is_ping_pending: bool,
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

/// The action that is due on a link.
#[derive(Debug)]
pub(super) enum TimerAction {
    Ping,
    Close(CloseReason),
}

impl Link {
    /// Restarts the timers after bytes were received. `has_frames` says whether they completed a
    /// frame.
    pub(super) fn on_received(&mut self, now: Time, has_frames: bool) {
        self.last_received_at = now;
        self.is_ping_pending = false;
        let started_at = self.frame_started_at.filter(|_| !has_frames).unwrap_or(now);
        self.frame_started_at = self.decoder.has_partial_frame().then_some(started_at);
    }

    fn deadline(&self) -> Option<Time> {
        let frame_deadline = self.frame_started_at.map(|began| began + PEER_FRAME_TIMEOUT);
        let idle_deadline = match self.state {
            State::Closing => return None,
            State::Attached { .. } if self.is_ping_pending => {
                self.last_received_at + PEER_IDLE_TIMEOUT
            }
            State::Attached { .. } => self.last_received_at + PEER_PING_AFTER,
            _ => self.opened_at + REGISTER_DEADLINE,
        };
        frame_deadline.into_iter().chain([idle_deadline]).min()
    }

    fn on_deadline(&mut self) -> TimerAction {
        match self.state {
            State::Attached { .. } if !self.is_ping_pending => {
                self.is_ping_pending = true;
                TimerAction::Ping
            }
            State::Attached { .. } => TimerAction::Close(CloseReason::Session(format!(
                "silent for {PEER_IDLE_TIMEOUT:?}"
            ))),
            _ => TimerAction::Close(CloseReason::RegisterDeadline),
        }
    }
}

/// All links of a peer.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) table: LinkTable<Link>,
    /// Links that were sent a message in this event although their queue exceeds
    /// [`PEER_QUEUE_BYTES_MAX`]. They close at the end of the event: a message is sent to all links
    /// at once, in the middle of what the event changes. Empty between events.
    overfull: Vec<LinkId>,
}

impl Links {
    /// Adds a link.
    pub(super) fn open(
        &mut self,
        now: Time,
        state: State,
        target: Option<usize>,
        peer_addr: Option<SocketAddr>,
    ) -> LinkId {
        self.table.open(|id| Link {
            id,
            state,
            target,
            granted: None,
            decoder: FrameDecoder::default(),
            queue: SendQueue::default(),
            peer_addr,
            opened_at: now,
            last_received_at: now,
            frame_started_at: None,
            is_ping_pending: false,
        })
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Link> {
        self.table.get(id)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.table.get_mut(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.table.iter()
    }

    /// Returns the attached links, with the incarnation at the other end.
    pub(super) fn attached(&self) -> impl Iterator<Item = (&Link, u64)> {
        self.iter().filter_map(|link| match link.state {
            State::Attached { incarnation } => Some((link, incarnation)),
            _ => None,
        })
    }

    /// Returns the incarnations that are linked to this peer.
    pub(super) fn neighbours(&self) -> BTreeSet<u64> {
        self.attached().map(|(_, incarnation)| incarnation).collect()
    }

    /// Sends a message on one link.
    pub(super) fn send(&mut self, id: LinkId, body: Body) {
        let mut bytes = Vec::new();
        wire::encode(body, &mut bytes);
        self.enqueue(id, &bytes);
    }

    /// Sends a message on all attached links but one.
    pub(super) fn flood(&mut self, body: Body, except: Option<LinkId>) {
        let ids: Vec<LinkId> = self.attached().map(|(link, _)| link.id).collect();
        let mut bytes = Vec::new();
        wire::encode(body, &mut bytes);
        for id in ids.into_iter().filter(|id| Some(*id) != except) {
            self.enqueue(id, &bytes);
        }
    }

    fn enqueue(&mut self, id: LinkId, bytes: &[u8]) {
        let Some(link) = self.table.get(id) else { return };
        let unsent_bytes = link.queue.len();
        if unsent_bytes > PEER_QUEUE_BYTES_MAX {
            return self.overfull.push(id);
        }
        self.table.enqueue_with(id, |link| link.queue.tail().extend_from_slice(bytes));
    }

    /// Returns the next link to close because its queue, or all queues together, exceed their
    /// bound.
    pub(super) fn next_overfull(&mut self) -> Option<(LinkId, CloseReason)> {
        let id = self.overfull.pop().or_else(|| self.longest_queue_if_over_total())?;
        let unsent_bytes = self.get(id).map_or(0, |link| link.queue.len());
        Some((id, CloseReason::QueueFull { unsent_bytes }))
    }

    /// Returns the link with the most unsent bytes if all together exceed
    /// [`PEER_QUEUES_BYTES_MAX`].
    fn longest_queue_if_over_total(&self) -> Option<LinkId> {
        let open_links = || self.iter().filter(|link| link.state != State::Closing);
        let unsent_bytes: usize = open_links().map(|link| link.queue.len()).sum();
        if unsent_bytes <= PEER_QUEUES_BYTES_MAX {
            return None;
        }
        open_links().max_by_key(|link| link.queue.len()).map(|link| link.id)
    }

    /// Returns the earliest deadline of all links.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.iter().filter_map(Link::deadline).min()
    }

    /// Returns the next link whose deadline has passed, and the action that is due.
    pub(super) fn next_due(&mut self, now: Time) -> Option<(LinkId, TimerAction)> {
        let is_due = |link: &Link| link.deadline().is_some_and(|at| at <= now);
        let link = self.table.iter_mut().find(|link| is_due(link))?;
        if link.frame_started_at.is_some_and(|began| began + PEER_FRAME_TIMEOUT <= now) {
            let why = format!("a frame took longer than {PEER_FRAME_TIMEOUT:?}");
            return Some((link.id, TimerAction::Close(CloseReason::Session(why))));
        }
        Some((link.id, link.on_deadline()))
    }
}
