//! A server without its sockets: joins the sessions of its links to the relay.
//!
//! The shell and the simulator drive it alike: bytes and time go in, bytes wait in send queues,
//! and [`Action`]s say what only the outside can do. It owns each link's session, queue and
//! counters, and it alone decides that a link closes.
//!
//! Invariants: a link lives until [`Node::closed`] is called for it, by whichever side ended it;
//! an ended link takes in nothing more; events of a link that is gone are ignored.

use std::collections::VecDeque;
use std::net::SocketAddr;

use slab::Slab;

use crate::doors::assembly::Assembly;
use crate::doors::{Door, SendQueue, Session};
use crate::limits::{BURST_PORTION_BYTES, Limits, QUEUE_PRESSED_BYTES, SHUTDOWN_DRAIN};
use crate::printable::Printable;
use crate::relay::message::{HostId, Kind, Message};
use crate::relay::{CloseReason, Identity, KickError, LinkId, Outbox, Relay, Time};

/// What the outside is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect to a parent, by its place in the list of parents; answer with [`Node::dialled`], or
    /// [`Node::closed`] if it fails.
    Dial {
        /// The parent.
        parent: usize,
        /// The link that this becomes.
        link: LinkId,
    },
    /// Send what the queue still holds as far as the socket takes it at once, close the
    /// connection, and call [`Node::closed`].
    Close {
        /// The link that ends.
        link: LinkId,
        /// Why, for the log.
        reason: CloseReason,
    },
    /// Everything is said: end the program.
    Shutdown,
}

/// What has passed over a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes put into the send queue.
    pub bytes_out: u64,
    /// Whole frames received.
    pub frames_in: u64,
    /// Frames put into the send queue.
    pub frames_out: u64,
}

/// A link as the node knows it.
#[derive(Debug)]
pub struct Link {
    id: LinkId,
    assembly: Assembly,
    session: Session,
    queue: SendQueue,
    queue_bytes_max: usize,
    traffic: Traffic,
    peer: Option<SocketAddr>,
    since: Time,
    /// It stands in the list of links with something to send.
    is_listed: bool,
    /// It has been told to close.
    is_closing: bool,
}

impl Link {
    /// Its name in the log.
    #[must_use]
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// The wire that it speaks.
    #[must_use]
    pub fn door(&self) -> Door {
        self.session.door()
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
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// When it began.
    #[must_use]
    pub fn since(&self) -> Time {
        self.since
    }
}

/// The links and what the relay asks for them: everything but the relay itself.
#[derive(Debug)]
struct Links {
    slots: Slab<Link>,
    limits: Limits,
    generation: u32,
    now: Time,
    unsent: VecDeque<LinkId>,
    pressed: VecDeque<LinkId>,
    /// Told to close; the relay has not heard of it yet.
    closing: VecDeque<(LinkId, CloseReason)>,
    actions: VecDeque<Action>,
}

impl Links {
    fn open(&mut self, door: Door, peer: Option<SocketAddr>) -> LinkId {
        let entry = self.slots.vacant_entry();
        self.generation = self.generation.wrapping_add(1);
        let index = u32::try_from(entry.key()).expect("fewer links than 2^32");
        let id = LinkId { index, generation: self.generation };
        entry.insert(Link {
            id,
            assembly: Assembly::default(),
            session: Session::new(door),
            queue: SendQueue::default(),
            queue_bytes_max: self.limits.client_queue_bytes_max,
            traffic: Traffic::default(),
            peer,
            since: self.now,
            is_listed: false,
            is_closing: false,
        });
        id
    }

    fn get(&self, id: LinkId) -> Option<&Link> {
        self.slots.get(id.index as usize).filter(|link| link.id == id)
    }

    fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.slots.get_mut(id.index as usize).filter(|link| link.id == id)
    }
}

impl Outbox for Links {
    fn deliver(&mut self, id: LinkId, message: &Message<'_>) {
        let Some(link) = self.slots.get_mut(id.index as usize).filter(|link| link.id == id) else {
            return;
        };
        if link.is_closing {
            return;
        }
        let unsent_bytes = link.queue.len();
        if unsent_bytes > link.queue_bytes_max {
            return self.close(id, CloseReason::QueueFull { unsent_bytes });
        }
        link.session.deliver(message, &mut link.queue);
        let added = (link.queue.len() - unsent_bytes) as u64;
        link.traffic.bytes_out += added;
        link.traffic.frames_out += 1;
        if !link.is_listed && added > 0 {
            link.is_listed = true;
            self.unsent.push_back(id);
        }
        if unsent_bytes < QUEUE_PRESSED_BYTES && link.queue.len() >= QUEUE_PRESSED_BYTES {
            self.pressed.push_back(id);
        }
    }

    fn unsent_bytes(&self, id: LinkId) -> usize {
        self.get(id).map_or(0, |link| link.queue.len())
    }

    fn registered(&mut self, id: LinkId, kind: Kind) {
        let max = match kind {
            Kind::Server => self.limits.server_queue_bytes_max,
            Kind::User => self.limits.client_queue_bytes_max,
        };
        if let Some(link) = self.get_mut(id) {
            link.queue_bytes_max = max;
        }
    }

    fn close(&mut self, id: LinkId, reason: CloseReason) {
        if let Some(link) = self.get_mut(id)
            && !link.is_closing
        {
            link.is_closing = true;
            self.closing.push_back((id, reason));
        }
    }

    fn dial(&mut self, parent: usize) -> LinkId {
        let link = self.open(Door::Crc, None);
        self.actions.push_back(Action::Dial { parent, link });
        link
    }
}

/// Where a server stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Everything is said; the queues may drain until then.
    Draining {
        deadline: Time,
    },
    Over,
}

/// One server.
#[derive(Debug)]
pub struct Node {
    relay: Relay,
    links: Links,
    stage: Stage,
}

impl Node {
    /// A server that knows nobody. It dials the first of its `parents` when [`Node::advance`] is
    /// first called. `seed` decides every random choice.
    #[must_use]
    pub fn new(own: Identity, parents: usize, limits: Limits, seed: u64) -> Self {
        let links = Links {
            slots: Slab::new(),
            limits,
            generation: 0,
            now: Time::default(),
            unsent: VecDeque::new(),
            pressed: VecDeque::new(),
            closing: VecDeque::new(),
            actions: VecDeque::new(),
        };
        Self { relay: Relay::new(own, parents, limits, seed), links, stage: Stage::Serving }
    }

    /// What this server knows of the network.
    #[must_use]
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Its live links, in no order that means anything.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.slots.iter().map(|(_, link)| link).filter(|link| !link.is_closing)
    }

    /// A connection came in through a door.
    pub fn accepted(&mut self, now: Time, door: Door, peer: Option<SocketAddr>) -> LinkId {
        self.links.now = now;
        let link = self.links.open(door, peer);
        self.relay.accepted(now, link);
        link
    }

    /// A connection that [`Action::Dial`] asked for is there.
    pub fn dialled(&mut self, now: Time, id: LinkId, peer: Option<SocketAddr>) {
        self.links.now = now;
        if let Some(link) = self.links.get_mut(id)
            && !link.is_closing
        {
            link.peer = peer;
            self.relay.dialled(id, &mut self.links);
            self.settle(now);
        }
    }

    /// Whether a link is still waited for: one that was dialled may have been given up meanwhile.
    #[must_use]
    pub fn is_open(&self, id: LinkId) -> bool {
        self.links.get(id).is_some_and(|link| !link.is_closing)
    }

    /// Bytes came over a link, however cut; a partial frame waits inside.
    pub fn receive(&mut self, now: Time, id: LinkId, bytes: &[u8]) {
        self.links.now = now;
        let Some(link) = self.links.get_mut(id).filter(|link| !link.is_closing) else {
            return;
        };
        link.traffic.bytes_in += bytes.len() as u64;
        let door = link.session.door();
        let mut assembly = std::mem::take(&mut link.assembly);
        let limits = self.links.limits;
        let (relay, links) = (&mut self.relay, &mut self.links);
        let result = assembly.feed(
            bytes,
            |bytes| door.frame_len(bytes, &limits),
            |frame| {
                let Some(link) = links.get_mut(id).filter(|link| !link.is_closing) else {
                    return false;
                };
                link.traffic.frames_in += 1;
                let message = link.session.receive(frame);
                relay.receive(now, id, &message, links);
                true
            },
        );
        if let Err(what) = result {
            self.links.close(id, CloseReason::BadBytes(what));
        }
        let link = self.links.get_mut(id).expect("links are removed in `closed` alone");
        link.assembly = assembly;
        self.settle(now);
    }

    /// A link's connection is gone; its queue with it.
    pub fn closed(&mut self, now: Time, id: LinkId, reason: &CloseReason) {
        self.links.now = now;
        let Some(link) = self.links.get(id) else {
            return;
        };
        if !link.is_closing {
            self.log_end(id, reason);
        }
        self.relay.closed(now, id, reason, &mut self.links);
        self.links.slots.remove(id.index as usize);
        self.settle(now);
    }

    /// Does everything that is due.
    pub fn advance(&mut self, now: Time) {
        self.links.now = now;
        self.relay.advance(now, &mut self.links);
        self.settle(now);
        if let Stage::Draining { deadline } = self.stage
            && deadline <= now
        {
            self.stage = Stage::Over;
            self.links.actions.push_back(Action::Shutdown);
        }
    }

    /// When [`Node::advance`] must be called at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let stop = match self.stage {
            Stage::Draining { deadline } => Some(deadline),
            Stage::Serving | Stage::Over => None,
        };
        [self.relay.next_deadline(), stop].into_iter().flatten().min()
    }

    /// The next thing to do outside.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.links.actions.pop_front();
        let is_draining = matches!(self.stage, Stage::Draining { .. });
        if action.is_none() && is_draining && self.links().all(|link| link.queue.is_empty()) {
            self.stage = Stage::Over;
            return Some(Action::Shutdown);
        }
        action
    }

    /// The next link with bytes to send that was not named since it last had none. Who takes it
    /// up sends until the queue is empty, calling [`Node::drained`] as it goes.
    pub fn poll_unsent(&mut self) -> Option<LinkId> {
        let id = self.links.unsent.pop_front()?;
        if let Some(link) = self.links.get_mut(id) {
            link.is_listed = false;
        }
        Some(id)
    }

    /// The next link whose queue has become long within this turn, and should be written now.
    pub fn poll_pressed(&mut self) -> Option<LinkId> {
        self.links.pressed.pop_front()
    }

    /// Unsent bytes of a link, bounded; empty if the link is gone.
    #[must_use]
    pub fn unsent(&self, id: LinkId) -> &[u8] {
        self.links.get(id).map_or(&[], |link| link.queue.unsent())
    }

    /// The first `count` unsent bytes of a link have been sent: there is room again.
    pub fn sent(&mut self, id: LinkId, count: usize) {
        if let Some(link) = self.links.get_mut(id) {
            link.queue.consume(count);
            if link.queue.len() < BURST_PORTION_BYTES && !link.is_closing {
                self.relay.drained(id, &mut self.links);
                self.settle(self.links.now);
            }
        }
    }

    /// Begins to stop: the users' quits are sent, and [`Action::Shutdown`] follows once the queues
    /// are empty, or after [`SHUTDOWN_DRAIN`].
    pub fn stop(&mut self, now: Time) {
        self.links.now = now;
        if !self.is_stopping() {
            self.relay.stop(now, &mut self.links);
            self.stage = Stage::Draining { deadline: now + SHUTDOWN_DRAIN };
            self.settle(now);
        }
    }

    /// Whether [`Node::stop`] was called: nobody is to be accepted any more.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stage != Stage::Serving
    }

    /// Ends the link of an adjacent host.
    ///
    /// # Errors
    /// See [`KickError`].
    pub fn kick(&mut self, now: Time, id: HostId, text: &[u8]) -> Result<(), KickError> {
        self.links.now = now;
        self.relay.kick(id, text, &mut self.links)?;
        self.settle(now);
        Ok(())
    }

    /// Tells the relay of every link that is to close, which may close further ones, and asks the
    /// outside to close them.
    fn settle(&mut self, now: Time) {
        while let Some((link, reason)) = self.links.closing.pop_front() {
            self.log_end(link, &reason);
            self.relay.closed(now, link, &reason, &mut self.links);
            self.links.actions.push_back(Action::Close { link, reason });
        }
    }
    /// Says whose link ends and why: a warning where the other end broke the rules.
    fn log_end(&self, id: LinkId, reason: &CloseReason) {
        let peer = self.links.get(id).and_then(|link| link.peer);
        let level = match reason {
            // That a parent cannot be reached is said once, where its address is known.
            _ if peer.is_none() => log::Level::Debug,
            CloseReason::BadBytes(_)
            | CloseReason::BadId(_)
            | CloseReason::FalseSources
            | CloseReason::RegisterDeadline
            | CloseReason::TableFull
            | CloseReason::QueueFull { .. } => log::Level::Warn,
            CloseReason::Quit => log::Level::Debug, // that the user left has been said
            _ => log::Level::Info,
        };
        if !log::log_enabled!(level) {
            return;
        }
        let who = match self.relay.adjacent(id) {
            Some(host) => {
                let kind = if host.kind == Kind::Server { "server" } else { "user" };
                format!("{kind} {} {}", host.id, Printable(host.name()))
            }
            None => "unregistered".to_owned(),
        };
        let peer = peer.map_or_else(|| "not connected".to_owned(), |peer| peer.to_string());
        log::log!(level, "link {id} ({who}, {peer}) ends: {reason}");
    }
}
