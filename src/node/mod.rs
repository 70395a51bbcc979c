//! A server without its sockets: joins the sessions of its links to the relay.
//!
//! The shell and the simulator drive it alike: bytes and time go in, bytes wait in send queues,
//! and [`Action`]s say what only the outside can do. It owns each link's session, queue and
//! counters (`link`, `links`), and it alone decides that a link closes. Bytes come in through `feed`; chats
//! in rows go straight on (`pass`); `steps` carries out what sessions ask for, `broadcast` what they say
//! to everyone; `settle` ends each event.
//!
//! Invariants: a link lives until [`Node::closed`] is called for it, by whichever side ended it;
//! an ended link takes in nothing more; events of a link that is gone are ignored; what follows a
//! message that is to be kept is not looked at before that is on disk.

mod broadcast;
mod effects;
mod fast_path;
mod input;
mod link;
mod links;
mod run_pending;

use std::net::SocketAddr;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

pub use self::fast_path::DirectWrite;
pub use self::link::{Link, Traffic};

use self::broadcast::Broadcast;
use self::links::Links;
use crate::id::{HostId, WideId};
use crate::limits::{
    BURST_READ_BYTES_PER_TURN, Limits, QUEUE_LOW_WATER_BYTES, READ_BYTES_PER_TURN,
    SHUTDOWN_DRAIN_TIMEOUT,
};
use crate::link::{CloseReason, LinkId, Time};
use crate::mail::{Inventory, Spool, StoreReply, StoreRequest};
use crate::relay::{Identity, KickError, Relay};
use crate::wires::Wire;

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
    /// Read from a link again, of which [`Node::wants_read`] said no.
    Resume {
        /// The link.
        link: LinkId,
    },
    /// Have the store of mail do something; answer with [`Node::on_store_reply`].
    Store(StoreRequest),
    /// Everything is said: end the program.
    Shutdown,
}

/// Where a server stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LifeCycle {
    Running,
    /// Everything is said; the queues may drain until then.
    Draining {
        deadline: Time,
    },
    Stopped,
}

/// Sets the random choices of the doors apart from those of the relay.
const SESSION_SEED: u64 = 0x6372_6320_646f_6f72;

/// One server.
#[derive(Debug)]
pub struct Node {
    relay: Relay,
    links: Links,
    broadcasts: Vec<Broadcast>,
    life_cycle: LifeCycle,
}

impl Node {
    /// A server that knows nobody. It dials the first of its `parents` when [`Node::advance`] is
    /// first called. `seed` decides every random choice.
    #[must_use]
    pub fn new(identity: Identity, parent_count: usize, limits: Limits, seed: u64) -> Self {
        Self::with_mail(identity, parent_count, limits, &Inventory::default(), seed)
    }

    /// The same over a mailbox that holds what `mail` says.
    #[must_use]
    pub fn with_mail(
        identity: Identity,
        parent_count: usize,
        limits: Limits,
        inventory: &Inventory,
        seed: u64,
    ) -> Self {
        let spool = Spool::new(&limits, inventory);
        let links = Links::new(limits, spool, StdRng::seed_from_u64(seed ^ SESSION_SEED));
        let relay = Relay::new(identity, parent_count, limits, seed);
        Self { relay, links, broadcasts: Vec::new(), life_cycle: LifeCycle::Running }
    }

    /// What this server knows of the network.
    #[must_use]
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Its live links, in no order that means anything.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.table.iter().filter(|link| !link.is_closing)
    }

    /// What is kept for those who are away.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.links.spool
    }

    /// Forgets all that is kept for somebody; answers how many messages that is.
    pub fn delete_mail(&mut self, to: WideId) -> u64 {
        self.links.spool.delete_all(to)
    }

    /// A connection came in through a door.
    pub fn accepted(&mut self, now: Time, wire: Wire, peer_addr: Option<SocketAddr>) -> LinkId {
        self.links.begin_event(now);
        let link = self.links.open(wire, peer_addr);
        self.relay.accepted(now, link);
        if wire != Wire::Crc {
            let effect =
                self.links.with_session(link, &self.relay, |session, cx| session.on_connect(cx));
            if let Some(effect) = effect {
                self.apply(link, effect);
            }
            self.run_pending(now);
        }
        link
    }

    /// A connection that [`Action::Dial`] asked for is there.
    pub fn dialled(&mut self, now: Time, id: LinkId, peer_addr: Option<SocketAddr>) {
        self.links.begin_event(now);
        if let Some(link) = self.links.get_mut(id)
            && !link.is_closing
        {
            link.peer_addr = peer_addr;
            self.relay.dialled(id, &mut self.links);
            self.run_pending(now);
        }
    }

    /// Whether a link is still waited for: one that was dialled may have been given up meanwhile.
    #[must_use]
    pub fn is_open(&self, id: LinkId) -> bool {
        self.links.get(id).is_some_and(|link| !link.is_closing)
    }

    /// How many bytes of a link are best handled now, [`READ_BYTES_PER_TURN`] at most. While it is
    /// 0, they are better left where they are: [`Action::Resume`] tells when.
    #[must_use]
    pub fn read_budget(&self, id: LinkId) -> usize {
        match self.links.get(id) {
            Some(link) if link.deferred_input.is_some() => 0,
            Some(link) if link.is_bursting => BURST_READ_BYTES_PER_TURN,
            _ => READ_BYTES_PER_TURN,
        }
    }

    /// Whether bytes of a link can be handled now at all, see [`Node::appetite`].
    #[must_use]
    pub fn wants_read(&self, id: LinkId) -> bool {
        self.read_budget(id) > 0
    }

    /// Bytes came over a link, however cut; a partial frame waits inside.
    pub fn receive(&mut self, now: Time, id: LinkId, bytes: &[u8]) {
        self.receive_with_direct_write(now, id, bytes, &mut |_, _| 0);
    }

    /// The same, where long runs of chats may be passed on to sockets without being copied.
    pub fn receive_with_direct_write(
        &mut self,
        now: Time,
        id: LinkId,
        bytes: &[u8],
        direct_write: DirectWrite<'_>,
    ) {
        self.links.begin_event(now);
        let Some(link) = self.links.live_mut(id) else {
            return;
        };
        link.traffic.bytes_in += bytes.len() as u64;
        match &mut link.deferred_input {
            Some(input) => input.extend_from_slice(bytes),
            None => {
                self.decode_input(id, bytes, direct_write);
                self.run_pending(now);
            }
        }
    }

    /// The store of mail has done something.
    pub fn on_store_reply(&mut self, now: Time, reply: StoreReply) {
        self.links.begin_event(now);
        let mut acked_links = Vec::new();
        let was_congested = self.links.spool.is_congested();
        self.links.spool.handle_reply(now, reply, |link| acked_links.push(link));
        for id in acked_links {
            if let Some(link) = self.links.get_mut(id) {
                link.unacked_mail -= 1;
                self.resume_input(id);
            }
        }
        if was_congested && !self.links.spool.is_congested() {
            let deferred_links = self.links().filter(|link| link.deferred_input.is_some());
            for id in deferred_links.map(Link::id).collect::<Vec<_>>() {
                self.resume_input(id);
            }
        }
        self.run_pending(now);
    }

    /// A link's connection is gone; its queue with it.
    pub fn closed(&mut self, now: Time, id: LinkId, reason: &CloseReason) {
        self.links.begin_event(now);
        let Some(link) = self.links.get(id) else {
            return;
        };
        if !link.is_closing {
            self.log_close(id, reason);
        }
        self.relay.closed(now, id, reason, &mut self.links);
        self.links.remove(id);
        self.run_pending(now);
    }

    /// Does everything that is due.
    pub fn advance(&mut self, now: Time) {
        self.links.begin_event(now);
        for id in std::mem::take(&mut self.links.paused) {
            if let Some(link) = self.links.get_mut(id) {
                link.is_paused = false;
                self.resume_input(id);
            }
        }
        self.relay.advance(now, &mut self.links);
        self.links.spool.advance(now);
        while let Some(id) = self.links.pop_due_timer() {
            let effect =
                self.links.with_session(id, &self.relay, |session, cx| session.on_timer(cx));
            if let Some(effect) = effect {
                self.apply(id, effect);
                self.resume_input(id);
            }
        }
        self.run_pending(now);
        if let LifeCycle::Draining { deadline } = self.life_cycle
            && deadline <= now
        {
            self.life_cycle = LifeCycle::Stopped;
            self.links.actions.push_back(Action::Shutdown);
        }
    }

    /// When [`Node::advance`] must be called at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let stop_at = match self.life_cycle {
            LifeCycle::Draining { deadline } => Some(deadline),
            LifeCycle::Running | LifeCycle::Stopped => None,
        };
        let timer = self.links.timers.first().map(|&(at, _)| at);
        let resume_at = (!self.links.paused.is_empty()).then_some(self.links.now);
        let (relay, mail) = (self.relay.next_deadline(), self.links.spool.next_deadline());
        let deadlines = [relay, mail, timer, resume_at, stop_at].into_iter().flatten();
        deadlines.chain(self.broadcasts.iter().filter_map(Broadcast::deadline)).min()
    }

    /// The next thing to do outside.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.links.actions.pop_front();
        let action = action.or_else(|| self.links.spool.poll_request().map(Action::Store));
        let is_draining = matches!(self.life_cycle, LifeCycle::Draining { .. });
        if action.is_none() && is_draining && self.is_drained() {
            self.life_cycle = LifeCycle::Stopped;
            return Some(Action::Shutdown);
        }
        action
    }

    fn is_drained(&self) -> bool {
        !self.links.spool.has_unacked() && self.links().all(|link| link.queue.is_empty())
    }

    /// The next link with bytes to send that was not named since it last had none. Who takes it
    /// up sends until the queue is empty, calling [`Node::sent`] as it goes. To be asked at the end of
    /// a turn: sessions tell their clients then of what has changed in it.
    pub fn poll_unsent(&mut self) -> Option<LinkId> {
        if self.links.names.directory.take_changed() {
            self.send_presence_to_all();
        }
        loop {
            if let Some(link) = self.links.table.poll_unsent() {
                return Some(link);
            }
            if !self.relay.announce_next(&mut self.links) {
                return None;
            }
            self.run_pending(self.links.now);
        }
    }

    /// The next link whose queue has become long within this turn, and should be written now: in any
    /// case before [`Node::advance`], with which goes on what has made it long.
    pub fn poll_above_high_water(&mut self) -> Option<LinkId> {
        self.links.table.poll_above_high_water()
    }

    /// Unsent bytes of a link, bounded; empty if the link is gone.
    #[must_use]
    pub fn unsent(&self, id: LinkId) -> &[u8] {
        self.links.table.unsent(id)
    }

    /// The first `count` unsent bytes of a link have been sent: there is room again.
    pub fn sent(&mut self, id: LinkId, count: usize) {
        let Some(link) = self.links.table.mark_sent(id, count) else {
            return;
        };
        if link.queue.len() >= QUEUE_LOW_WATER_BYTES || link.is_closing {
            return;
        }
        let bytes_sent = link.bytes_sent();
        let is_behind = link.session.is_behind(&self.links.names);
        let is_delivering = self.links.spool.is_delivering();
        if !is_behind && !is_delivering && !self.relay.is_behind(id) && self.broadcasts.is_empty() {
            return; // nobody waits for room
        }
        self.relay.has_room(id, &mut self.links);
        if is_delivering {
            self.links.spool.on_sent(id, bytes_sent);
        }
        if is_behind {
            self.send_presence_to(id);
        }
        self.run_pending(self.links.now);
    }

    /// Begins to stop: the users' quits are sent, and [`Action::Shutdown`] follows once the queues
    /// are empty, or after [`SHUTDOWN_DRAIN_TIMEOUT`].
    pub fn stop(&mut self, now: Time) {
        self.links.begin_event(now);
        if !self.is_stopping() {
            self.relay.stop(now, &mut self.links);
            self.life_cycle = LifeCycle::Draining { deadline: now + SHUTDOWN_DRAIN_TIMEOUT };
            self.run_pending(now);
        }
    }

    /// Whether [`Node::stop`] was called: nobody is to be accepted any more.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.life_cycle != LifeCycle::Running
    }

    /// Ends the link of an adjacent host.
    ///
    /// # Errors
    /// See [`KickError`].
    pub fn kick(&mut self, now: Time, id: HostId, text: &[u8]) -> Result<(), KickError> {
        self.links.begin_event(now);
        self.relay.kick(id, text, &mut self.links)?;
        self.run_pending(now);
        Ok(())
    }
}
