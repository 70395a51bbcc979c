//! Peer mode: no server; peers link to the peers named and flood what is said until it is where it
//! belongs (contract section 5, `docs/PROTOCOL.md`).
//!
//! [`Peer`] is one of them without its sockets: bytes and time go in, bytes wait in send queues,
//! [`Action`]s say what only the outside can do and [`Event`]s what the user should know. `handshake`
//! is how links begin and ids are granted; `messages` is what is said, passed on, kept and receipted;
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
mod gauges;
mod handshake;
pub mod id;
mod inbox;
mod links;
mod machine;
mod messages;
mod range_set;
mod retained;
mod send_sequences;
mod targets;
mod topology;
pub mod wire;

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

pub use self::event::{Action, Event};
pub use self::gauges::Gauges;
pub use self::messages::SendError;

use self::id::{SnowflakeGenerator, interval_of};
use self::inbox::Inbox;
use self::links::{Links, State};
use self::retained::{Retained, SeenFilter};
use self::send_sequences::SendSequences;
use self::targets::Targets;
use self::topology::{ReachabilityChange, Topology};
use self::wire::{Body, Empty};
use crate::limits::PEER_ID_GRANT_TIMEOUT;
use crate::link::{CloseReason, LifeCycle, LinkId, Machine as _, Time};

/// One peer.
#[derive(Debug)]
pub struct Peer {
    now: Time,
    /// What the wall clock showed at some time.
    wall_clock: (Time, Duration),
    rng: StdRng,
    snowflakes: SnowflakeGenerator,
    desired_id: Option<i64>,
    /// Until when an id from others is waited for.
    grant_deadline: Option<Time>,
    /// When those who could not be given an id are looked at again.
    retry_at: Option<Time>,
    topology: Topology,
    links: Links,
    targets: Targets,
    retained: Retained,
    seen: SeenFilter,
    inbox: Inbox,
    sequences: SendSequences,
    dropped: u64,
    late: u64,
    out_of_order: u64,
    pending_closes: VecDeque<(LinkId, CloseReason)>,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
    life_cycle: LifeCycle,
}

/// Bits of chance in a stamp, below the interval.
const RANDOM_BITS: u32 = 26;

impl Peer {
    /// A peer that knows nobody, at time zero. It dials its `targets` when [`Peer::advance`] is first
    /// called. `wall` is what the wall clock shows, counted from 1970; `seed` decides every random
    /// choice. A desired id is positive.
    #[must_use]
    pub fn new(
        desired_id: Option<i64>,
        target_count: usize,
        unix_time: Duration,
        seed: u64,
    ) -> Self {
        let mut peer = Self {
            now: Time::default(),
            wall_clock: (Time::default(), unix_time),
            rng: StdRng::seed_from_u64(seed),
            snowflakes: SnowflakeGenerator::default(),
            desired_id: desired_id.filter(|&id| id > 0),
            grant_deadline: Some(match target_count {
                0 => Time::default(),
                _ => Time::default() + PEER_ID_GRANT_TIMEOUT,
            }),
            retry_at: None,
            topology: Topology::new(0),
            links: Links::default(),
            targets: Targets::new(target_count),
            retained: Retained::default(),
            seen: SeenFilter::default(),
            inbox: Inbox::default(),
            sequences: SendSequences::default(),
            dropped: 0,
            late: 0,
            out_of_order: 0,
            pending_closes: VecDeque::new(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
            life_cycle: LifeCycle::default(),
        };
        peer.topology = Topology::new(peer.unique_timestamp());
        peer
    }

    /// Its id, once it has one.
    #[must_use]
    pub fn id(&self) -> Option<i64> {
        Some(self.topology.own().id).filter(|&id| id != 0)
    }

    /// The ids of all others that can be reached, ascending.
    pub fn other_ids(&self) -> impl Iterator<Item = i64> {
        self.topology.reachable_ids()
    }

    fn handle_frame(&mut self, id: LinkId, frame: &[u8]) {
        let body = match wire::parse(frame) {
            Ok(Some(body)) => body,
            Ok(None) => return,
            Err(error) => return self.close(id, CloseReason::ProtocolError(error.to_string())),
        };
        let state = self.links.get(id).expect("a link that speaks").state;
        match (body, state) {
            (Body::Hello(hello), State::AwaitingHello) => self.handle_hello(id, hello),
            (Body::Grant(grant), State::AwaitingGrant) => self.handle_grant(id, grant),
            (Body::Advertisement(advertisement), State::Attached { .. }) => {
                if self.topology.receive(self.now, advertisement.clone()) {
                    self.links.flood(Body::Advertisement(advertisement), Some(id));
                }
            }
            (Body::Chat(chat), State::Attached { .. }) => self.handle_chat(id, chat),
            (Body::Receipt(receipt), State::Attached { .. }) => self.handle_receipt(id, receipt),
            (Body::Ping(_), State::Attached { .. }) => self.links.send(id, Body::Pong(Empty {})),
            (Body::Pong(_) | Body::EndOfState(_), State::Attached { .. }) => {}
            (_, _) => {
                let error = "a word out of place".to_owned();
                self.close(id, CloseReason::ProtocolError(error));
            }
        }
    }

    /// The next thing that the user should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// A moment with a little chance, for what must be unique and is better ordered by time.
    fn unique_timestamp(&mut self) -> u64 {
        let random_bits = self.rng.random_range(1..1 << RANDOM_BITS);
        interval_of(self.unix_time_now()) << RANDOM_BITS | random_bits
    }

    fn unix_time_now(&self) -> Duration {
        self.wall_clock.1.saturating_add(self.now.since(self.wall_clock.0))
    }

    /// Ends a link from this side.
    fn close(&mut self, id: LinkId, reason: CloseReason) {
        if self.is_open(id) {
            self.mark_closing(id);
            self.pending_closes.push_back((id, reason));
        }
    }

    /// A link ends, whichever side wants it: nothing more is heard or said over it.
    fn mark_closing(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let state = std::mem::replace(&mut link.state, State::Closing);
        if let Some(target) = link.target {
            self.targets.on_link_closed(self.now, target, id, &mut self.rng);
        }
        if let State::Attached { incarnation } = state
            && !self.links.neighbours().contains(&incarnation)
        {
            self.targets.on_peer_unlinked(self.now, incarnation, &mut self.rng);
        }
    }

    /// Ends what an event has begun, until nothing follows from it any more.
    fn run_pending(&mut self) {
        loop {
            while let Some((id, reason)) = self.links.next_overfull() {
                self.close(id, reason);
            }
            while let Some((link, reason)) = self.pending_closes.pop_front() {
                log::info!("link {link} ends: {reason}");
                self.actions.push_back(Action::Close { link, reason });
            }
            if self.topology.own().id == 0 && self.targets.have_all_failed() {
                self.self_assign_id();
            }
            self.topology.set_neighbours(self.links.neighbours());
            for change in self.topology.update_reachability(self.now) {
                self.events.push_back(match change {
                    ReachabilityChange::Up(id) => Event::PeerUp { id },
                    ReachabilityChange::Down(id) => Event::PeerDown { id },
                });
            }
            if self.topology.must_yield_id() {
                self.replace_id();
            }
            if self.topology.is_version_exhausted() {
                self.reincarnate();
                continue;
            }
            match self.topology.take_advertisement() {
                Some(advertisement) => self.links.flood(Body::Advertisement(advertisement), None),
                None => return,
            }
        }
    }
}
