//! A server without its sockets: joins the sessions of its links to the relay.
//!
//! The shell and the simulator drive it alike: bytes and time go in, bytes wait in send queues,
//! and [`Action`]s say what only the outside can do. It owns each link's session, queue and
//! counters (`links`), and it alone decides that a link closes; `steps` carries out what sessions ask
//! for, `broadcast` what they say to everyone.
//!
//! Invariants: a link lives until [`Node::closed`] is called for it, by whichever side ended it;
//! an ended link takes in nothing more; events of a link that is gone are ignored; what follows a
//! message that is to be kept is not looked at before that is on disk.

mod broadcast;
mod links;
mod steps;

use std::net::SocketAddr;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

pub use self::links::{AtOnce, Link, Traffic};

use self::broadcast::Broadcast;
use self::links::Links;
use crate::doors::assembly::{Fed, Flow};
use crate::doors::{Door, classic, crc, direct};
use crate::limits::{
    BURST_PORTION_BYTES, Limits, NEWS_HOSTS_MANY, NEWS_READ_BYTES_PER_TURN, READ_BYTES_PER_TURN,
    SHUTDOWN_DRAIN,
};
use crate::mail::{Inventory, Reply, Request, Room};
use crate::printable::Printable;
use crate::relay::message::{HostId, Kind, WideId};
use crate::relay::{CloseReason, Identity, KickError, LinkId, Outbox as _, Relay, Time};

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

    /// Handles the frames that some bytes complete, until they have made a queue long: a few bytes of
    /// one wire can be very many of another, and who reads well must get to read.
    fn feed(&mut self, id: LinkId, bytes: &[u8], socket: AtOnce<'_>) {
        let limits = self.links.limits;
        let mut spare = self.links.slots.spares.take();
        let Some(link) = self.links.live_mut(id) else {
            return;
        };
        let door = link.session.door();
        let mut assembly = std::mem::take(&mut link.assembly);
        let mut passed = 0;
        self.links.joined = 0;
        let result = match door {
            Door::Crc => {
                let len_of = |bytes: &[u8]| crc::wire::frame_len(bytes, limits.frame_bytes_max);
                let each =
                    |bytes: &[u8], len| self.pass_or_handle(id, bytes, len, &mut passed, socket);
                let result = assembly.feed_while(bytes, &mut spare, len_of, each);
                result.map_err(|error| error.to_string())
            }
            Door::Direct => {
                let len_of = |bytes: &[u8]| direct::wire::frame_len(bytes, limits.frame_bytes_max);
                let each = |bytes: &[u8], len| self.handle_words(id, bytes, len);
                let result = assembly.feed_while(bytes, &mut spare, len_of, each);
                result.map_err(|error| error.to_string())
            }
            Door::Classic => {
                let each = |bytes: &[u8], len| self.handle_words(id, bytes, len);
                let result = assembly.feed_while(bytes, &mut spare, classic::wire::frame_len, each);
                result.map_err(|error| error.to_string())
            }
        };
        self.links.slots.spares.give(spare);
        let is_paused = self.links.is_pressed;
        let joined = self.links.joined;
        let link = self.links.get_mut(id).expect("links are removed in `closed` alone");
        link.assembly = assembly;
        link.traffic.frames_in += passed;
        link.brings_hosts = joined >= NEWS_HOSTS_MANY;
        match result {
            Ok(Fed::All) => {}
            Ok(Fed::Held(rest)) => {
                link.held = Some(Box::new(rest));
                if is_paused {
                    self.links.pause(id);
                }
            }
            Err(what) => self.links.close(id, CloseReason::BadBytes(what)),
        }
    }

    /// The hot path: chats in a row from one user to another are looked up once, and copied once. They
    /// are added to `passed`. Any other frame is handled alone.
    #[inline]
    fn pass_or_handle(
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

    fn handle_frame(&mut self, id: LinkId, frame: &[u8]) -> Flow {
        let now = self.links.now;
        let Some(link) = self.links.live_mut(id) else {
            return Flow::Stop;
        };
        link.traffic.frames_in += 1;
        self.relay.receive(now, id, &crc::wire::message(frame), &mut self.links);
        Flow::More
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

    /// Ends what an event has begun: hands over mail and broadcasts as far as there is room, tells
    /// the relay of every link that is to close, which may close further ones, and asks the outside
    /// to close them.
    #[inline]
    fn settle(&mut self, now: Time) {
        let is_settled = self.links.closing.is_empty()
            && self.broadcasts.is_empty()
            && self.links.mail.next_ready().is_none();
        if !is_settled {
            self.settle_all(now);
        }
    }

    fn settle_all(&mut self, now: Time) {
        loop {
            self.close_links(now);
            let done = self.broadcast();
            self.hand_over();
            if done.is_empty() {
                break;
            }
            for link in done {
                self.release(link);
            }
        }
        self.close_links(now);
    }

    fn close_links(&mut self, now: Time) {
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
