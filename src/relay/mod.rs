//! The relay: a server of the network without its wires and sockets.
//!
//! [`Relay`] takes typed [`Message`]s that arrive over links, and acts through an [`Outbox`]. Time
//! is an argument, and random choices come from a seed. The state is divided into parts with
//! private fields, each in the layer above the ones that it uses:
//!
//! - `topology`: this server, the hosts, the links, and the next hop towards each host;
//! - `announcements`: the registrations and quits that each link is sent;
//! - `peering`: registrations, the uplink, splits, and claims on ids in use;
//! - `router`: chats, statuses and quits.
//!
//! [`extension`] has the frames of the extension between crc servers, and their codec.
//!
//! Invariants:
//! - **True sources.** A frame counts only if it arrived over the first link of its source; a link
//!   to a user is the source of that user only; a link takes its role once. Other frames are
//!   dropped and counted.
//! - Every host in the table has a live first link, or is in exactly one split.
//! - Output depends only on input, time and seed: no hash table is iterated where the order would
//!   be visible outside.
//!
//! [`Relay::check`] asserts the relations between the parts.

mod admission;
mod admit;
mod announcements;
mod cx;
pub mod extension;
mod forward;
mod lookup;
mod mail_text;
pub mod marks;
pub mod message;
pub mod notice;
mod operations;
mod outbox;
mod peering;
mod plain;
pub mod profile;
#[cfg(test)]
mod recorder;
mod room_requests;
mod router;
mod routes;
mod send;
mod timers;
mod topology;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

pub use self::admission::{
    Admission, AdmittedBy, InviteError, Join, LinkKey, Token, UsedInvitation,
};
pub use self::mail_text::MailText;
pub use self::operations::{KickError, LinkReport, RoomReport, ServerReport, TopicReport};
pub use self::outbox::{Displaced, Interests, Outbox, Unacknowledged, View};
pub(crate) use self::peering::NickClaim;
pub use self::peering::{LoadReport, TraceReport};
pub use self::router::RoomRefusal;
pub use self::topology::{
    FirstLink, Home, HomeList, Host, HostTable, Identity, MemberCursor, Refusals, ServerKey,
    SplitId,
};

use self::announcements::Announcements;
use self::announcements::pacing::Clock;
use self::cx::RelayCx;
use self::extension::Nonce;
use self::message::{HostKind, Message, Summary};
use self::peering::Peering;
use self::router::Router;
use self::timers::{Timer, Timers};
use self::topology::Topology;
use crate::id::HostId;
use crate::limits::Limits;
use crate::link::{CloseReason, LinkId, Time};

/// Separates the nonce from the other random choices of a seed.
const NONCE_SEED: u64 = 0x6372_6320_6e6f_6e63;

/// Numbers of dropped frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Frames whose source was not behind the link on which they arrived.
    pub false_sources: u64,
    /// Chats and statuses for unreachable hosts, or for hosts behind the link on which they
    /// arrived.
    pub unroutable: u64,
    /// Messages that were refused because nobody has their destination.
    pub unknown_ids: u64,
    /// Messages of lost links and for lost hosts that were dropped without an answer, since they
    /// may have arrived or their sender has left.
    pub lost: u64,
}

/// The network as one server knows it.
#[derive(Clone, Debug)]
pub struct Relay {
    limits: Limits,
    /// This server stops: only messages of servers are still handled.
    is_stopping: bool,
    topology: Topology,
    announcements: Announcements,
    peering: Peering,
    router: Router,
    timers: Timers,
}

impl Relay {
    /// Creates the relay of a server that knows no other host. Dialling any of `parent_count`
    /// parents begins with the first [`Relay::advance`]. `seed` decides ids and delays.
    #[must_use]
    pub fn new(identity: Identity, parent_count: usize, limits: Limits, seed: u64) -> Self {
        let nonce = Nonce(StdRng::seed_from_u64(seed ^ NONCE_SEED).random());
        Self {
            limits,
            is_stopping: false,
            topology: Topology::new(identity, nonce),
            announcements: Announcements::new(&limits),
            peering: Peering::new(parent_count, seed),
            router: Router::default(),
            timers: Timers::default(),
        }
    }

    /// Divides the relay into the parts that handle an event, and the context for them.
    fn event<'a, O: Outbox>(
        &'a mut self,
        now: Time,
        out: &'a mut O,
    ) -> (&'a mut Peering, &'a mut Router, RelayCx<'a, O>) {
        let Self { limits, is_stopping, topology, announcements, peering, router, timers } = self;
        let is_stopping = *is_stopping;
        let cx = RelayCx { now, is_stopping, limits, topology, announcements, timers, out };
        (peering, router, cx)
    }

    /// Returns the identity of this server. Its id changes if a parent refuses it and the operator
    /// chose none.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        self.topology.identity()
    }

    /// Sets the port that this server names to its neighbours as the one on which it accepts
    /// servers. Without it, it names none.
    pub fn set_listen_port(&mut self, port: u16) {
        self.peering.set_listen_port(port);
    }

    /// Returns the network as this server knows it, for who encodes a notice.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        self.topology.view()
    }

    /// Returns the table of the other hosts.
    #[must_use]
    pub fn hosts(&self) -> &HostTable {
        self.topology.hosts()
    }

    /// Returns the numbers of frames dropped so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            false_sources: self.topology.false_sources(),
            unroutable: self.router.unroutable(),
            unknown_ids: self.topology.unknown_ids(),
            lost: self.peering.dropped_messages() + self.topology.unanswered_chats(),
        }
    }

    /// Iterates over the newest statuses that were addressed to this server, oldest first.
    pub fn status_updates(&self) -> impl Iterator<Item = &str> {
        self.router.status_updates()
    }

    /// Adds a link that was accepted. It must register before [`Limits::register_deadline`].
    pub fn accepted(&mut self, now: Time, link: LinkId, out: &mut impl Outbox) {
        let (_, _, mut cx) = self.event(now, out);
        cx.add_link(link, false);
    }

    /// Sends this server's registration over a link that [`Outbox::dial`] opened and that is
    /// connected now.
    pub fn dialled(&mut self, link: LinkId, out: &mut impl Outbox) {
        self.peering.register_with_parent(&self.topology, link, out);
    }

    /// Returns whether the frame that follows decides which protocol the server at the other end of
    /// a link speaks.
    #[must_use]
    pub fn is_undecided(&self, link: LinkId) -> bool {
        self.peering.is_undecided(link)
    }

    /// Handles that no frame follows the registration of the server at the other end of a link: the
    /// server speaks plain CRC.
    pub fn on_input_end(&mut self, now: Time, link: LinkId, out: &mut impl Outbox) {
        let (peering, _, mut cx) = self.event(now, out);
        peering.on_input_end(link, &mut cx);
    }

    /// Handles a message that arrived over a link. The link must not have been passed to
    /// [`Relay::closed`].
    pub fn receive(
        &mut self,
        now: Time,
        link: LinkId,
        message: &Message<'_>,
        out: &mut impl Outbox,
    ) {
        if self.is_stopping {
            // The facts about children that join another server are wanted still.
            let state = self.topology.link(link);
            let is_of_fact = state.is_extended() || !matches!(message, Message::Registration(_));
            if !state.is_server() || !is_of_fact {
                return;
            }
        }
        log::debug!("link {link}: {}", Summary(message));
        let (peering, router, mut cx) = self.event(now, out);
        let cx = &mut cx;
        if peering.must_wait_for_end(link) && cx.out.hold_back(link) {
            return;
        }
        let is_extension =
            matches!(message, Message::Status { destination: HostId::EXTENSION, .. });
        if !is_extension && peering.is_undecided(link) {
            peering.settle_as_plain(link, cx);
        }
        match *message {
            Message::Registration(registration) => {
                peering.handle_registration(link, &registration, cx);
            }
            Message::Chat { source, destination, text } => {
                router.handle_chat(link, (source, destination), text, peering, cx);
            }
            Message::Status { source, destination, code, text } => {
                router.handle_status(link, (source, destination), code, text, peering, cx);
            }
            Message::ClientQuit { source, text } => {
                router::handle_quit(link, HostKind::User, source, text, peering, cx);
            }
            Message::ServerQuit { source, text, .. } => {
                router::handle_quit(link, HostKind::Server, source, text, peering, cx);
            }
        }
    }

    /// Returns the link over which all chats from `source` to `destination` that arrive over `link`
    /// are forwarded unchanged, valid until any other event. Returns `None` if each chat must go
    /// through [`Relay::receive`].
    #[must_use]
    pub fn next_hop(&self, link: LinkId, source: HostId, destination: HostId) -> Option<LinkId> {
        if self.is_stopping {
            return None;
        }
        router::next_hop(&self.topology, &self.announcements, link, source, destination)
    }

    /// Sends a message that was kept for a user. `sender_host` is the user that has the sender's id
    /// now. Returns the link over which the message goes, or `None` if the user cannot be reached.
    pub fn forward_mail(
        &mut self,
        now: Time,
        (mail, sender_host): (&MailText<'_>, Option<HostId>),
        destination: HostId,
        out: &mut impl Outbox,
    ) -> Option<LinkId> {
        let (_, _, mut cx) = self.event(now, out);
        forward::forward_mail((mail, sender_host), destination, &mut cx)
    }

    /// Sends how many bytes have been handled on a link, if the server at the other end keeps what
    /// was not.
    pub fn acknowledge(&mut self, now: Time, link: LinkId, out: &mut impl Outbox) {
        if self.topology.find_link(link).is_some() {
            let (peering, _, mut cx) = self.event(now, out);
            peering.acknowledge(link, &mut cx);
        }
    }

    /// Returns whether frames to a link wait for a later portion, because the program at the other
    /// end may read once.
    #[must_use]
    pub fn has_paced_frames(&self, link: LinkId) -> bool {
        self.announcements.has_paced_frames(link)
    }

    /// Continues with pending announcements on a link whose send queue has room.
    pub fn has_room(&mut self, now: Time, link: LinkId, out: &mut impl Outbox) {
        if self.topology.find_link(link).is_some() {
            let mut clock = Clock { now, timers: &mut self.timers };
            self.announcements.on_room(&self.topology, link, &mut clock, out);
        }
    }

    /// Returns whether announcements are pending that continue when the queue of a link has room.
    #[must_use]
    pub fn is_behind(&self, link: LinkId) -> bool {
        self.announcements.is_behind(link)
    }

    /// Announces one portion to a link that is behind, within the budget of the turn. Returns
    /// whether a link got a portion. To be called at the end of a turn, and again after each `true`
    /// when that link has been written.
    pub fn announce_next(&mut self, now: Time, out: &mut impl Outbox) -> bool {
        let mut clock = Clock { now, timers: &mut self.timers };
        self.announcements.announce_next(&self.topology, &mut clock, out)
    }

    /// Handles all timers that are due.
    pub fn advance(&mut self, now: Time, out: &mut impl Outbox) {
        self.announcements.begin_turn();
        while let Some(timer) = self.timers.pop_due(now) {
            let (peering, _, mut cx) = self.event(now, out);
            match timer {
                Timer::RegisterDeadline(link) => cx.out.close(link, CloseReason::RegisterDeadline),
                Timer::Split(split) => peering.on_split_due(split, &mut cx),
                Timer::Claim(id) => peering.on_claim_due(id, &mut cx),
                Timer::RoomsSync => peering.on_rooms_sync_due(&mut cx),
                Timer::Topics => router::on_topics_due(&mut cx),
                Timer::AnnounceBatch => cx.announcements.on_batch_due(),
                Timer::Pace(link) => cx.on_pace_due(link),
                Timer::Liveness(link) => peering.on_liveness_due(link, &mut cx),
                Timer::PlainLiveness(link) => peering.on_plain_liveness_due(link, &mut cx),
                Timer::Probe(link) => peering.on_probe_due(link, &mut cx),
                Timer::Offer(link) => peering.settle_as_plain(link, &mut cx),
                Timer::Move => peering.on_move_due(&mut cx),
                Timer::End(link) => peering.on_end_due(link, &mut cx),
            }
        }
        let (peering, _, mut cx) = self.event(now, out);
        peering.advance(&mut cx);
    }

    /// Returns the time at which [`Relay::advance`] must be called, at the latest. `now` is the
    /// time of the last event: pending announcements are due at once.
    #[must_use]
    pub fn next_deadline(&self, now: Time) -> Option<Time> {
        let next_turn = self.announcements.has_ready().then_some(now);
        [self.timers.next_deadline(), next_turn, self.peering.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Begins to stop: ends dialling, sends the quits of this server's users to the other servers,
    /// and handles messages of servers only from now on.
    pub fn stop(&mut self, now: Time, out: &mut impl Outbox) {
        self.is_stopping = true;
        let (peering, _, mut cx) = self.event(now, out);
        peering.remove_own_users(&mut cx); // their quits come before the children leave
        peering.move_children(&mut cx);
        peering.stop();
    }

    /// Returns whether this server, which stops, waits for its children to join another server.
    #[must_use]
    pub fn is_waiting_for_children(&self) -> bool {
        self.peering.is_waiting_for_children()
    }

    /// Handles the end of a link, for any reason.
    pub fn closed(&mut self, now: Time, link: LinkId, reason: &CloseReason, out: &mut impl Outbox) {
        let (peering, _, mut cx) = self.event(now, out);
        peering.on_closed(link, reason, &mut cx);
    }

    /// Checks the relations between the parts of the relay. For tests and the simulator: takes time
    /// proportional to the number of hosts.
    ///
    /// # Panics
    /// If a relation does not hold.
    pub fn check(&self) {
        self.topology.check();
        let timer_count = self.announcements.check(&self.topology, &self.timers)
            + self.peering.check(&self.topology, &self.timers)
            + router::check_topics(&self.topology, &self.timers);
        assert_eq!(self.timers.len(), timer_count, "every timer belongs to a part");
    }
}
