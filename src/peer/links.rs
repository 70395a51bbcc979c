//! The links of a peer: what is kept for each connection, and what goes into its queue.

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

/// How far the two ends have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The connection is being made.
    Dialling,
    /// This peer connected and has said its hello.
    AwaitsGrant,
    /// Somebody connected and has said nothing yet.
    AwaitsHello,
    /// Somebody asks; there is no id for them yet.
    Asked(Hello),
    /// All that is known has been told, and all news will be.
    Attached { life: u64 },
    /// It is to close; nothing more is heard or said.
    Closing,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    pub(super) state: State,
    /// Which of the peers named this peer dialled.
    pub(super) target: Option<usize>,
    /// The id that was granted over it, and to which life.
    pub(super) granted: Option<(i64, u64)>,
    pub(super) assembly: FrameDecoder,
    pub(super) queue: SendQueue,
    pub(super) address: Option<SocketAddr>,
    since: Time,
    heard: Time,
    /// When the frame began that has not come to its end.
    frame_began: Option<Time>,
    is_asked: bool,
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

/// What a link needs at its deadline.
#[derive(Debug)]
pub(super) enum Due {
    Ping,
    Close(CloseReason),
}

impl Link {
    /// Bytes came, after which a frame is begun or is not; frames were completed or were not.
    pub(super) fn note_heard(&mut self, now: Time, has_frames: bool) {
        self.heard = now;
        self.is_asked = false;
        let began = self.frame_began.filter(|_| !has_frames).unwrap_or(now);
        self.frame_began = self.assembly.has_partial_frame().then_some(began);
    }

    fn deadline(&self) -> Option<Time> {
        let frame = self.frame_began.map(|began| began + PEER_FRAME_TIMEOUT);
        let silence = match self.state {
            State::Closing => return None,
            State::Attached { .. } if self.is_asked => self.heard + PEER_IDLE_TIMEOUT,
            State::Attached { .. } => self.heard + PEER_PING_AFTER,
            _ => self.since + REGISTER_DEADLINE,
        };
        frame.into_iter().chain([silence]).min()
    }

    fn due(&mut self) -> Due {
        match self.state {
            State::Attached { .. } if !self.is_asked => {
                self.is_asked = true;
                Due::Ping
            }
            State::Attached { .. } => Due::Close(CloseReason::Session("silent".to_owned())),
            _ => Due::Close(CloseReason::RegisterDeadline),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) slots: LinkTable<Link>,
    /// Those whose queue has grown too long.
    overfull: Vec<LinkId>,
}

impl Links {
    pub(super) fn open(
        &mut self,
        now: Time,
        state: State,
        target: Option<usize>,
        address: Option<SocketAddr>,
    ) -> LinkId {
        self.slots.open(|id| Link {
            id,
            state,
            target,
            granted: None,
            assembly: FrameDecoder::default(),
            queue: SendQueue::default(),
            address,
            since: now,
            heard: now,
            frame_began: None,
            is_asked: false,
        })
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Link> {
        self.slots.get(id)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.slots.get_mut(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.slots.iter()
    }

    /// Those that are told all news, with the life at the other end.
    pub(super) fn attached(&self) -> impl Iterator<Item = (&Link, u64)> {
        self.iter().filter_map(|link| match link.state {
            State::Attached { life } => Some((link, life)),
            _ => None,
        })
    }

    pub(super) fn neighbours(&self) -> BTreeSet<u64> {
        self.attached().map(|(_, life)| life).collect()
    }

    /// Says something over one link.
    pub(super) fn say(&mut self, id: LinkId, body: Body) {
        let mut bytes = Vec::new();
        wire::encode(body, &mut bytes);
        self.put(id, &bytes);
    }

    /// Says something over all attached links but one.
    pub(super) fn flood(&mut self, body: Body, except: Option<LinkId>) {
        let ids: Vec<LinkId> = self.attached().map(|(link, _)| link.id).collect();
        let mut bytes = Vec::new();
        wire::encode(body, &mut bytes);
        for id in ids.into_iter().filter(|id| Some(*id) != except) {
            self.put(id, &bytes);
        }
    }

    fn put(&mut self, id: LinkId, bytes: &[u8]) {
        let Some(link) = self.slots.get(id) else { return };
        let unsent_bytes = link.queue.len();
        if unsent_bytes > PEER_QUEUE_BYTES_MAX {
            return self.overfull.push(id);
        }
        self.slots.enqueue_with(id, |link| link.queue.tail().extend_from_slice(bytes));
    }

    /// The next link that does not drain, and why it is to close.
    pub(super) fn next_overfull(&mut self) -> Option<(LinkId, CloseReason)> {
        let id = self.overfull.pop().or_else(|| self.longest_of_too_many_bytes())?;
        let unsent_bytes = self.get(id).map_or(0, |link| link.queue.len());
        Some((id, CloseReason::QueueFull { unsent_bytes }))
    }

    /// The link with the most unsent bytes, if all have more than they may together.
    fn longest_of_too_many_bytes(&self) -> Option<LinkId> {
        let open = || self.iter().filter(|link| link.state != State::Closing);
        let unsent_bytes: usize = open().map(|link| link.queue.len()).sum();
        if unsent_bytes <= PEER_QUEUES_BYTES_MAX {
            return None;
        }
        open().max_by_key(|link| link.queue.len()).map(|link| link.id)
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.iter().filter_map(Link::deadline).min()
    }

    /// The next link whose deadline has come.
    pub(super) fn next_due(&mut self, now: Time) -> Option<(LinkId, Due)> {
        let is_due = |link: &Link| link.deadline().is_some_and(|at| at <= now);
        let link = self.slots.iter_mut().find(|link| is_due(link))?;
        if link.frame_began.is_some_and(|began| began + PEER_FRAME_TIMEOUT <= now) {
            let why = "a frame that does not come to its end".to_owned();
            return Some((link.id, Due::Close(CloseReason::Session(why))));
        }
        Some((link.id, link.due()))
    }
}
