//! Peer mode: no server; peers link to the peers named and flood what is said until it is where it
//! belongs (contract section 5, `docs/PROTOCOL.md`).
//!
//! [`Peer`] is one of them without its sockets: bytes and time go in, bytes wait in send queues,
//! [`Action`]s say what only the outside can do and [`Event`]s what the user should know. `handshake`
//! is how links begin and ids are granted; `flood` is what is said, passed on, kept and receipted;
//! `network` knows who is here, `kept` what has no receipt, `inbox` what is said to this peer.
//!
//! **Every message is shown once, in the order in which it was sent.** A link keeps the order of what
//! is said over it. A peer passes on what it learns in the order in which it learns it, to all links
//! but the one it came from, and begins each new link with all that it keeps, in that order. So, by
//! induction over what is learnt, who learns a message of one sender to one addressee has learnt
//! those before it, but for those that have their receipts; and who hears a receipt has learnt its
//! message. The addressee therefore needs one high-water mark a sender: what is not above it
//! is a copy. Only where bounds made somebody drop a message there are gaps; `inbox` waits for
//! what may be on its way, and shows nothing late.
//!
//! A receipt is taken for a message that is kept, and for that alone; it is passed on when it is
//! taken, so it goes where the message went and no further. A copy of a message that has had its
//! receipt is answered with it, which is how a part of the network that was cut off hears of it.
//!
//! Over restarts of the addressee, a message is shown at least once: a new life does not know
//! what the last one has shown, if nobody near has heard of the receipt.

mod event;
mod flood;
mod gauges;
mod handshake;
pub mod id;
mod inbox;
mod kept;
mod links;
mod network;
mod runs;
mod said;
mod targets;
pub mod wire;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

pub use self::event::{Action, Event};
pub use self::flood::SayError;
pub use self::gauges::Gauges;

use self::id::{Snowflakes, interval_of};
use self::inbox::Inbox;
use self::kept::{Kept, Pairs};
use self::links::{Due, Links, State};
use self::network::{Change, Network};
use self::said::Said;
use self::targets::Targets;
use self::wire::{Body, Empty};
use crate::limits::{PEER_ID_GRANT_TIMEOUT, SHUTDOWN_DRAIN_TIMEOUT};
use crate::link::{CloseReason, LinkId, Time};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Draining { deadline: Time },
    Over,
}

/// One peer.
#[derive(Debug)]
pub struct Peer {
    now: Time,
    /// What the wall clock showed at some time.
    wall: (Time, Duration),
    rng: StdRng,
    snowflakes: Snowflakes,
    desired_id: Option<i64>,
    /// Until when an id from others is waited for.
    grant_until: Option<Time>,
    /// When those who could not be given an id are looked at again.
    retry_at: Option<Time>,
    network: Network,
    links: Links,
    targets: Targets,
    kept: Kept,
    pairs: Pairs,
    inbox: Inbox,
    said: Said,
    given_up: u64,
    late: u64,
    early: u64,
    closing: VecDeque<(LinkId, CloseReason)>,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
    stage: Stage,
}

/// Bits of chance in a stamp, below the interval.
const CHANCE_BITS: u32 = 26;

impl Peer {
    /// A peer that knows nobody, at time zero. It dials its `targets` when [`Peer::advance`] is first
    /// called. `wall` is what the wall clock shows, counted from 1970; `seed` decides every random
    /// choice. A desired id is positive.
    #[must_use]
    pub fn new(desired_id: Option<i64>, targets: usize, wall: Duration, seed: u64) -> Self {
        let mut peer = Self {
            now: Time::default(),
            wall: (Time::default(), wall),
            rng: StdRng::seed_from_u64(seed),
            snowflakes: Snowflakes::default(),
            desired_id: desired_id.filter(|&id| id > 0),
            grant_until: Some(match targets {
                0 => Time::default(),
                _ => Time::default() + PEER_ID_GRANT_TIMEOUT,
            }),
            retry_at: None,
            network: Network::new(0),
            links: Links::default(),
            targets: Targets::new(targets),
            kept: Kept::default(),
            pairs: Pairs::default(),
            inbox: Inbox::default(),
            said: Said::default(),
            given_up: 0,
            late: 0,
            early: 0,
            closing: VecDeque::new(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
            stage: Stage::Running,
        };
        peer.network = Network::new(peer.stamp());
        peer
    }

    /// The wall clock shows this now. Between two such words it is taken to go on as `now` does. It
    /// decides the time in ids and the precedence of claims, and nothing else.
    pub fn set_wall(&mut self, now: Time, wall: Duration) {
        self.wall = (now, wall);
    }

    /// Its id, once it has one.
    #[must_use]
    pub fn id(&self) -> Option<i64> {
        Some(self.network.own().id).filter(|&id| id != 0)
    }

    /// The ids of all others that can be reached, ascending.
    pub fn others(&self) -> impl Iterator<Item = i64> {
        self.network.present()
    }

    /// Somebody connected.
    pub fn accepted(&mut self, now: Time, address: Option<SocketAddr>) -> LinkId {
        self.now = now;
        self.links.open(now, State::AwaitsHello, None, address)
    }

    /// A connection that [`Action::Dial`] asked for is there.
    pub fn dialled(&mut self, now: Time, id: LinkId, address: Option<SocketAddr>) {
        self.now = now;
        if let Some(link) = self.links.get_mut(id)
            && link.state == State::Dialling
        {
            link.state = State::AwaitsGrant;
            link.address = address;
            self.say_hello(id);
            self.settle();
        }
    }

    /// Whether a link is still waited for.
    #[must_use]
    pub fn is_open(&self, id: LinkId) -> bool {
        self.links.get(id).is_some_and(|link| link.state != State::Closing)
    }

    /// Bytes came over a link, however cut.
    pub fn receive(&mut self, now: Time, id: LinkId, bytes: &[u8]) {
        self.now = now;
        let Some(link) = self.links.get_mut(id).filter(|link| link.state != State::Closing) else {
            return;
        };
        let mut assembly = std::mem::take(&mut link.assembly);
        let mut has_frames = false;
        let result = assembly.decode(bytes, wire::frame_len, |frame| {
            has_frames = true;
            self.handle_frame(id, frame);
            self.is_open(id)
        });
        let link = self.links.get_mut(id).expect("links are removed in `closed` alone");
        link.assembly = assembly;
        link.note_heard(now, has_frames);
        if let Err(what) = result {
            self.close(id, CloseReason::ProtocolError(what.to_string()));
        }
        self.settle();
    }

    fn handle_frame(&mut self, id: LinkId, frame: &[u8]) {
        let body = match wire::parse(frame) {
            Ok(Some(body)) => body,
            Ok(None) => return,
            Err(what) => return self.close(id, CloseReason::ProtocolError(what.to_string())),
        };
        let state = self.links.get(id).expect("a link that speaks").state;
        match (body, state) {
            (Body::Hello(hello), State::AwaitsHello) => self.handle_hello(id, hello),
            (Body::Grant(grant), State::AwaitsGrant) => self.handle_grant(id, grant),
            (Body::Here(here), State::Attached { .. }) => {
                if self.network.hear(self.now, here.clone()) {
                    self.links.flood(Body::Here(here), Some(id));
                }
            }
            (Body::Chat(chat), State::Attached { .. }) => self.handle_chat(id, chat),
            (Body::Receipt(receipt), State::Attached { .. }) => self.handle_receipt(id, receipt),
            (Body::Ping(_), State::Attached { .. }) => self.links.say(id, Body::Pong(Empty {})),
            (Body::Pong(_) | Body::EndOfState(_), State::Attached { .. }) => {}
            (_, _) => {
                let what = "a word out of place".to_owned();
                self.close(id, CloseReason::ProtocolError(what));
            }
        }
    }

    /// A link's connection is gone, or could not be made.
    pub fn closed(&mut self, now: Time, id: LinkId, reason: &CloseReason) {
        self.now = now;
        if self.is_open(id) {
            log::info!("link {id} ends: {reason}");
            self.end(id);
        }
        self.links.slots.remove(id);
        self.settle();
    }

    /// Does everything that is due.
    pub fn advance(&mut self, now: Time) {
        self.now = now;
        while let Some(target) = self.targets.due(now) {
            let link = self.links.open(now, State::Dialling, Some(target), None);
            self.targets.dialled(target, link);
            self.actions.push_back(Action::Dial { target, link });
        }
        if self.grant_until.is_some_and(|at| at <= now) {
            self.take_id_alone();
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.answer_those_who_asked();
        }
        while let Some((id, due)) = self.links.next_due(now) {
            match due {
                Due::Ping => self.links.say(id, Body::Ping(Empty {})),
                Due::Close(reason) => self.close(id, reason),
            }
        }
        self.advance_messages();
        self.network.advance(now);
        self.settle();
        if let Stage::Draining { deadline } = self.stage
            && deadline <= now
        {
            self.stage = Stage::Over;
            self.actions.push_back(Action::Shutdown);
        }
    }

    /// When [`Peer::advance`] must be called at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let stop = match self.stage {
            Stage::Draining { deadline } => Some(deadline),
            Stage::Running | Stage::Over => None,
        };
        let deadlines = [
            self.targets.deadline(),
            self.grant_until,
            self.retry_at,
            self.links.deadline(),
            self.kept.deadline(),
            self.inbox.deadline(),
            self.network.deadline(),
            stop,
        ];
        deadlines.into_iter().flatten().min()
    }

    /// The next thing to do outside.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        let is_draining = matches!(self.stage, Stage::Draining { .. });
        if action.is_none() && is_draining && self.links.iter().all(|link| link.queue.is_empty()) {
            self.stage = Stage::Over;
            return Some(Action::Shutdown);
        }
        action
    }

    /// The next thing that the user should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next link with bytes to send that was not named since it last had none.
    pub fn poll_unsent(&mut self) -> Option<LinkId> {
        self.links.slots.poll_unsent()
    }

    /// The next link whose queue has become long within this turn, and should be written now.
    pub fn poll_above_high_water(&mut self) -> Option<LinkId> {
        self.links.slots.poll_above_high_water()
    }

    /// Unsent bytes of a link, bounded; empty if the link is gone.
    #[must_use]
    pub fn unsent(&self, id: LinkId) -> &[u8] {
        self.links.slots.unsent(id)
    }

    /// The first `count` unsent bytes of a link have been sent.
    pub fn sent(&mut self, id: LinkId, count: usize) {
        self.links.slots.mark_sent(id, count);
    }

    /// Begins to stop: [`Action::Shutdown`] follows once the queues are empty, or after
    /// [`SHUTDOWN_DRAIN_TIMEOUT`].
    pub fn stop(&mut self, now: Time) {
        self.now = now;
        if !self.is_stopping() {
            self.targets.stop();
            self.stage = Stage::Draining { deadline: now + SHUTDOWN_DRAIN_TIMEOUT };
        }
    }

    /// Whether [`Peer::stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stage != Stage::Running
    }

    /// A moment with a little chance, for what must be unique and is better ordered by time.
    fn stamp(&mut self) -> u64 {
        let chance = self.rng.random_range(1..1 << CHANCE_BITS);
        interval_of(self.wall_now()) << CHANCE_BITS | chance
    }

    fn wall_now(&self) -> Duration {
        self.wall.1.saturating_add(self.now.since(self.wall.0))
    }

    /// Ends a link from this side.
    fn close(&mut self, id: LinkId, reason: CloseReason) {
        if self.is_open(id) {
            self.end(id);
            self.closing.push_back((id, reason));
        }
    }

    /// A link ends, whichever side wants it: nothing more is heard or said over it.
    fn end(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let state = std::mem::replace(&mut link.state, State::Closing);
        if let Some(target) = link.target {
            self.targets.ended(self.now, target, id, &mut self.rng);
        }
        if let State::Attached { life } = state
            && !self.links.neighbours().contains(&life)
        {
            self.targets.lost(self.now, life, &mut self.rng);
        }
    }

    /// Ends what an event has begun, until nothing follows from it any more.
    fn settle(&mut self) {
        loop {
            while let Some((id, reason)) = self.links.next_overfull() {
                self.close(id, reason);
            }
            while let Some((link, reason)) = self.closing.pop_front() {
                log::info!("link {link} ends: {reason}");
                self.actions.push_back(Action::Close { link, reason });
            }
            if self.network.own().id == 0 && self.targets.have_failed() {
                self.take_id_alone();
            }
            self.network.set_neighbours(self.links.neighbours());
            for change in self.network.settle(self.now) {
                self.events.push_back(match change {
                    Change::Came(id) => Event::Peer { id },
                    Change::Left(id) => Event::PeerLeft { id },
                });
            }
            if self.network.is_usurper() {
                self.renumber();
            }
            if self.network.is_worn_out() {
                self.begin_anew();
                continue;
            }
            match self.network.take_news() {
                Some(news) => self.links.flood(Body::Here(news), None),
                None => return,
            }
        }
    }
}
