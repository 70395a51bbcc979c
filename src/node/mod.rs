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
mod feed;
mod link;
mod links;
mod pass;
mod settle;
mod steps;

use std::net::SocketAddr;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

pub use self::link::{Link, Traffic};
pub use self::pass::AtOnce;

use self::broadcast::Broadcast;
use self::links::Links;
use crate::doors::Door;
use crate::limits::{
    BURST_PORTION_BYTES, Limits, NEWS_READ_BYTES_PER_TURN, READ_BYTES_PER_TURN, SHUTDOWN_DRAIN,
};
use crate::mail::{Inventory, Reply, Request, Room};
use crate::relay::message::{HostId, WideId};
use crate::relay::{CloseReason, Identity, KickError, LinkId, Relay, Time};

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
    /// Read from a link again, of which [`Node::is_listening`] said no.
    Resume {
        /// The link.
        link: LinkId,
    },
    /// Have the store of mail do something; answer with [`Node::mail_replied`].
    Mail(Request),
    /// Everything is said: end the program.
    Shutdown,
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

/// Sets the random choices of the doors apart from those of the relay.
const DOOR_SEED: u64 = 0x6372_6320_646f_6f72;

/// One server.
#[derive(Debug)]
pub struct Node {
    relay: Relay,
    links: Links,
    broadcasts: Vec<Broadcast>,
    stage: Stage,
}

impl Node {
    /// A server that knows nobody. It dials the first of its `parents` when [`Node::advance`] is
    /// first called. `seed` decides every random choice.
    #[must_use]
    pub fn new(own: Identity, parents: usize, limits: Limits, seed: u64) -> Self {
        Self::with_mail(own, parents, limits, &Inventory::default(), seed)
    }

    /// The same over a mailbox that holds what `mail` says.
    #[must_use]
    pub fn with_mail(
        own: Identity,
        parents: usize,
        limits: Limits,
        mail: &Inventory,
        seed: u64,
    ) -> Self {
        let room = Room::new(&limits, mail);
        let links = Links::new(limits, room, StdRng::seed_from_u64(seed ^ DOOR_SEED));
        let relay = Relay::new(own, parents, limits, seed);
        Self { relay, links, broadcasts: Vec::new(), stage: Stage::Serving }
    }

    /// What this server knows of the network.
    #[must_use]
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Its live links, in no order that means anything.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.slots.iter().filter(|link| !link.is_closing)
    }

    /// What is kept for those who are away.
    #[must_use]
    pub fn mail(&self) -> &Room {
        &self.links.mail
    }

    /// Forgets all that is kept for somebody; answers how many messages that is.
    pub fn drop_mail(&mut self, to: WideId) -> u64 {
        self.links.mail.drop_all(to)
    }

    /// A connection came in through a door.
    pub fn accepted(&mut self, now: Time, door: Door, peer: Option<SocketAddr>) -> LinkId {
        self.links.begin(now);
        let link = self.links.open(door, peer);
        self.relay.accepted(now, link);
        if door != Door::Crc {
            let step = self.links.at_desk(link, &self.relay, |session, desk| session.open(desk));
            if let Some(step) = step {
                self.perform(link, step);
            }
            self.settle(now);
        }
        link
    }

    /// A connection that [`Action::Dial`] asked for is there.
    pub fn dialled(&mut self, now: Time, id: LinkId, peer: Option<SocketAddr>) {
        self.links.begin(now);
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

    /// How many bytes of a link are best handled now, [`READ_BYTES_PER_TURN`] at most. While it is
    /// 0, they are better left where they are: [`Action::Resume`] tells when.
    #[must_use]
    pub fn appetite(&self, id: LinkId) -> usize {
        match self.links.get(id) {
            Some(link) if link.held.is_some() => 0,
            Some(link) if link.brings_hosts => NEWS_READ_BYTES_PER_TURN,
            _ => READ_BYTES_PER_TURN,
        }
    }

    /// Whether bytes of a link can be handled now at all, see [`Node::appetite`].
    #[must_use]
    pub fn is_listening(&self, id: LinkId) -> bool {
        self.appetite(id) > 0
    }

    /// Bytes came over a link, however cut; a partial frame waits inside.
    pub fn receive(&mut self, now: Time, id: LinkId, bytes: &[u8]) {
        self.receive_and_pass(now, id, bytes, &mut |_, _| 0);
    }

    /// The same, where long runs of chats may be passed on to sockets without being copied.
    pub fn receive_and_pass(&mut self, now: Time, id: LinkId, bytes: &[u8], socket: AtOnce<'_>) {
        self.links.begin(now);
        let Some(link) = self.links.live_mut(id) else {
            return;
        };
        link.traffic.bytes_in += bytes.len() as u64;
        match &mut link.held {
            Some(held) => held.extend_from_slice(bytes),
            None => {
                self.feed(id, bytes, socket);
                self.settle(now);
            }
        }
    }

    /// The store of mail has done something.
    pub fn mail_replied(&mut self, now: Time, reply: Reply) {
        self.links.begin(now);
        let mut settled = Vec::new();
        let was_congested = self.links.mail.is_congested();
        self.links.mail.handle(now, reply, |link| settled.push(link));
        for id in settled {
            if let Some(link) = self.links.get_mut(id) {
                link.unkept -= 1;
                self.release(id);
            }
        }
        if was_congested && !self.links.mail.is_congested() {
            let held = self.links().filter(|link| link.held.is_some());
            for id in held.map(Link::id).collect::<Vec<_>>() {
                self.release(id);
            }
        }
        self.settle(now);
    }

    /// A link's connection is gone; its queue with it.
    pub fn closed(&mut self, now: Time, id: LinkId, reason: &CloseReason) {
        self.links.begin(now);
        let Some(link) = self.links.get(id) else {
            return;
        };
        if !link.is_closing {
            self.log_end(id, reason);
        }
        self.relay.closed(now, id, reason, &mut self.links);
        self.links.remove(id);
        self.settle(now);
    }

    /// Does everything that is due.
    pub fn advance(&mut self, now: Time) {
        self.links.begin(now);
        for id in std::mem::take(&mut self.links.paused) {
            if let Some(link) = self.links.get_mut(id) {
                link.is_paused = false;
                self.release(id);
            }
        }
        self.relay.advance(now, &mut self.links);
        self.links.mail.advance(now);
        while let Some(id) = self.links.next_alarm() {
            let expire = self.links.at_desk(id, &self.relay, |session, desk| session.expire(desk));
            if let Some(step) = expire {
                self.perform(id, step);
                self.release(id);
            }
        }
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
        let alarm = self.links.alarms.first().map(|&(at, _)| at);
        let next_turn = (!self.links.paused.is_empty()).then_some(self.links.now);
        let (relay, mail) = (self.relay.next_deadline(), self.links.mail.next_deadline());
        let deadlines = [relay, mail, alarm, next_turn, stop].into_iter().flatten();
        deadlines.chain(self.broadcasts.iter().filter_map(Broadcast::deadline)).min()
    }

    /// The next thing to do outside.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.links.actions.pop_front();
        let action = action.or_else(|| self.links.mail.poll_request().map(Action::Mail));
        let is_draining = matches!(self.stage, Stage::Draining { .. });
        if action.is_none() && is_draining && self.is_drained() {
            self.stage = Stage::Over;
            return Some(Action::Shutdown);
        }
        action
    }

    fn is_drained(&self) -> bool {
        !self.links.mail.is_keeping() && self.links().all(|link| link.queue.is_empty())
    }

    /// The next link with bytes to send that was not named since it last had none. Who takes it
    /// up sends until the queue is empty, calling [`Node::sent`] as it goes. To be asked at the end of
    /// a turn: sessions tell their clients then of what has changed in it.
    pub fn poll_unsent(&mut self) -> Option<LinkId> {
        if self.links.shared.directory.take_news() {
            self.refresh_all();
        }
        loop {
            if let Some(link) = self.links.slots.poll_unsent() {
                return Some(link);
            }
            if !self.relay.tell_next(&mut self.links) {
                return None;
            }
            self.settle(self.links.now);
        }
    }

    /// The next link whose queue has become long within this turn, and should be written now: in any
    /// case before [`Node::advance`], with which goes on what has made it long.
    pub fn poll_pressed(&mut self) -> Option<LinkId> {
        self.links.slots.poll_pressed()
    }

    /// Unsent bytes of a link, bounded; empty if the link is gone.
    #[must_use]
    pub fn unsent(&self, id: LinkId) -> &[u8] {
        self.links.slots.unsent(id)
    }

    /// The first `count` unsent bytes of a link have been sent: there is room again.
    pub fn sent(&mut self, id: LinkId, count: usize) {
        let Some(link) = self.links.slots.sent(id, count) else {
            return;
        };
        if link.queue.len() >= BURST_PORTION_BYTES || link.is_closing {
            return;
        }
        let bytes_sent = link.bytes_sent();
        let is_behind = link.session.is_behind(&self.links.shared);
        let is_handing_over = self.links.mail.is_handing_over();
        if !is_behind && !is_handing_over && !self.relay.is_behind(id) && self.broadcasts.is_empty()
        {
            return; // nobody waits for room
        }
        self.relay.drained(id, &mut self.links);
        if is_handing_over {
            self.links.mail.sent(id, bytes_sent);
        }
        if is_behind {
            self.refresh(id);
        }
        self.settle(self.links.now);
    }

    /// Begins to stop: the users' quits are sent, and [`Action::Shutdown`] follows once the queues
    /// are empty, or after [`SHUTDOWN_DRAIN`].
    pub fn stop(&mut self, now: Time) {
        self.links.begin(now);
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
        self.links.begin(now);
        self.relay.kick(id, text, &mut self.links)?;
        self.settle(now);
        Ok(())
    }
}
