//! Peer mode: a network without a server. Peers link to the peers named on the command line and
//! flood messages until they reach their addressee (`docs/PROTOCOL.md`, *The peer wire*).
//!
//! [`Peer`] is a state machine without sockets. Bytes and time go in; bytes wait in send queues,
//! [`Action`]s say what the event loop has to do, and [`Event`]s what the user should see. One file
//! holds each part: `handshake` opens links and grants ids, `messages` sends, forwards, retains and
//! acknowledges chats, `topology` computes which peers are reachable, `retained` stores the chats
//! that have no receipt, `inbox` delivers the chats addressed to this peer,
//! `rooms` floods messages to rooms.
//!
//! # Delivery
//!
//! While no bound forces a peer to drop a message, each incarnation of an addressee is shown every
//! message once, in the order in which its sender sent them. Three invariants give this:
//!
//! 1. A link delivers frames in the order in which they were sent.
//! 2. A peer forwards chats and receipts in the order in which it received them, to all links but
//!    the one that they came from.
//! 3. A new link starts with every retained chat, in that same order.
//!
//! By induction, a peer that receives a message has received all earlier ones from the same sender
//! to the same addressee, except those that already have their receipt; and a peer that receives a
//! receipt has received its message. The addressee therefore needs one high-water mark for each
//! sender: a message at or below the mark is a duplicate. Gaps appear only where a bound made a
//! peer drop a message. `inbox` waits for a missing message for up to [`PEER_GAP_TIMEOUT`] and
//! shows nothing out of order.
//!
//! A receipt is accepted only for a message that is retained, and is then forwarded. It therefore
//! goes where its message went and no further. A copy of an acknowledged message is answered with
//! the receipt, which is how a partition that rejoins learns of it.
//!
//! Across restarts of the addressee a message is shown at least once: a new incarnation does not
//! know what the previous one has shown if no peer near it has the receipt.
//!
//! [`PEER_GAP_TIMEOUT`]: crate::limits::PEER_GAP_TIMEOUT

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
mod rooms;
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
use self::rooms::Rooms;
use self::send_sequences::SendSequences;
use self::targets::Targets;
use self::topology::{ReachabilityChange, Topology};
use self::wire::{Body, Empty};
use crate::limits::PEER_ID_GRANT_TIMEOUT;
use crate::link::{CloseReason, LifeCycle, LinkId, Machine as _, Time};

/// A peer of a serverless network.
#[derive(Debug)]
pub struct Peer {
    /// A reading of the wall clock, since the Unix epoch, and the time at which it was taken.
    wall_clock: (Time, Duration),
    rng: StdRng,
    snowflakes: SnowflakeGenerator,
    desired_id: Option<i64>,
    /// When this peer assigns an id to itself. `None` once it has an id.
    grant_deadline: Option<Time>,
    /// When hellos that could not be granted an id are retried.
    retry_at: Option<Time>,
    topology: Topology,
    links: Links,
    targets: Targets,
    retained: Retained,
    seen: SeenFilter,
    inbox: Inbox,
    sequences: SendSequences,
    rooms: Rooms,
    dropped: u64,
    late: u64,
    out_of_order: u64,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
    life_cycle: LifeCycle,
}

/// Random bits of a timestamp made by [`Peer::unique_timestamp`], below its interval.
const RANDOM_BITS: u32 = 26;

impl Peer {
    /// Returns a peer without links, at time zero. The first call of [`Machine::advance`] dials its
    /// targets, which are numbered from 0 to `target_count - 1`.
    ///
    /// `desired_id` is ignored unless it is positive. `unix_time` is the wall clock, since the Unix
    /// epoch. `seed` determines every random choice.
    ///
    /// [`Machine::advance`]: crate::link::Machine::advance
    #[must_use]
    pub fn new(
        desired_id: Option<i64>,
        target_count: usize,
        unix_time: Duration,
        seed: u64,
    ) -> Self {
        let mut peer = Self {
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
            rooms: Rooms::default(),
            dropped: 0,
            late: 0,
            out_of_order: 0,
            actions: VecDeque::new(),
            events: VecDeque::new(),
            life_cycle: LifeCycle::default(),
        };
        peer.topology = Topology::new(peer.unique_timestamp(Time::default()));
        peer
    }

    /// Returns the id of this peer, or `None` before it has one.
    #[must_use]
    pub fn id(&self) -> Option<i64> {
        Some(self.topology.own().id).filter(|&id| id != 0)
    }

    /// Returns the ids of all other reachable peers, ascending.
    pub fn other_ids(&self) -> impl Iterator<Item = i64> {
        self.topology.reachable_ids()
    }

    fn handle_frame(&mut self, now: Time, id: LinkId, frame: &[u8]) {
        let body = match wire::parse(frame) {
            Ok(Some(body)) => body,
            Ok(None) => return,
            Err(error) => {
                return self.close(now, id, CloseReason::ProtocolError(error.to_string()));
            }
        };
        let state = self.links.get(id).expect("only open links receive frames").state;
        match (body, state) {
            (Body::Hello(hello), State::AwaitingHello) => self.handle_hello(now, id, hello),
            (Body::Grant(grant), State::AwaitingGrant) => self.handle_grant(now, id, grant),
            (Body::Advertisement(advertisement), State::Attached { .. }) => {
                if self.topology.receive(now, advertisement.clone()) {
                    self.links.flood(Body::Advertisement(advertisement), Some(id));
                }
            }
            (Body::Chat(chat), State::Attached { .. }) => self.handle_chat(now, id, chat),
            (Body::Receipt(receipt), State::Attached { .. }) => self.handle_receipt(id, receipt),
            (Body::RoomChat(chat), State::Attached { .. }) => self.handle_room_chat(id, chat),
            (Body::Ping(_), State::Attached { .. }) => self.links.send(id, Body::Pong(Empty {})),
            (Body::Pong(_) | Body::EndOfState(_), State::Attached { .. }) => {}
            (_, _) => {
                let error = "a message that this state of the link does not allow".to_owned();
                self.close(now, id, CloseReason::ProtocolError(error));
            }
        }
    }

    /// Returns the next event for the user.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns the current interval with random low bits: unique, and ordered by time.
    fn unique_timestamp(&mut self, now: Time) -> u64 {
        let random_bits = self.rng.random_range(1..1 << RANDOM_BITS);
        interval_of(self.unix_time(now)) << RANDOM_BITS | random_bits
    }

    fn unix_time(&self, now: Time) -> Duration {
        self.wall_clock.1.saturating_add(now.since(self.wall_clock.0))
    }

    /// Closes a link from this side.
    fn close(&mut self, now: Time, link: LinkId, reason: CloseReason) {
        if self.is_open(link) {
            log::info!("link {link} closed: {reason}");
            self.mark_closing(now, link);
            self.actions.push_back(Action::Close { link, reason });
        }
    }

    /// Marks a link as closing and schedules the redial of its target. Nothing more is received or
    /// sent on it.
    fn mark_closing(&mut self, now: Time, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let state = std::mem::replace(&mut link.state, State::Closing);
        if let Some(target) = link.target {
            self.targets.on_link_closed(now, target, id, &mut self.rng);
        }
        if let State::Attached { incarnation } = state
            && !self.links.neighbours().contains(&incarnation)
        {
            self.targets.on_peer_unlinked(now, incarnation, &mut self.rng);
        }
    }

    /// Runs all follow-up work of an event: closes of full links, id changes, reachability and
    /// advertisements. Repeats until no more work is pending.
    fn run_pending(&mut self, now: Time) {
        loop {
            while let Some((id, reason)) = self.links.next_overfull() {
                self.close(now, id, reason);
            }
            if self.topology.own().id == 0 && self.targets.have_all_failed() {
                self.self_assign_id(now);
            }
            self.topology.set_neighbours(self.links.neighbours());
            for change in self.topology.update_reachability(now) {
                self.events.push_back(match change {
                    ReachabilityChange::Up(id) => Event::PeerUp { id },
                    ReachabilityChange::Down(id) => Event::PeerDown { id },
                });
            }
            if self.topology.must_yield_id() {
                self.replace_id(now);
            }
            if self.topology.is_version_exhausted() {
                self.reincarnate(now);
                continue;
            }
            match self.topology.take_advertisement() {
                Some(advertisement) => self.links.flood(Body::Advertisement(advertisement), None),
                None => return,
            }
        }
    }
}
