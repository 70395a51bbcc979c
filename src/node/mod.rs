//! A server without sockets: the sessions of its links, the relay, and the mail spool.
//!
//! [`Node`] is a [`Machine`](crate::link::Machine): the shell and the simulator drive it by the
//! same calls. It owns each link's session, send queue and counters (`link`, `links`), and it alone
//! decides that a link closes. `input` decodes received bytes, `fast_path` forwards runs of chats,
//! `effects` applies what sessions ask for, `broadcast` sends a chat to every user, `replay` keeps
//! what a server has not acknowledged, and `run_pending` completes each event.
//!
//! Invariants:
//! - A link exists until `closed` is called for it, whichever side ended it.
//! - A link that the node has ended takes no more input.
//! - Events of a link that is gone are ignored.
//! - Input after a message that is to be stored is not handled before the message is on disk.

mod broadcast;
mod check;
mod effects;
mod ending;
mod fast_path;
mod frame_deadlines;
mod input;
mod invite;
mod join_rates;
mod link;
mod links;
mod machine;
mod pool;
mod replay;
mod room_runs;
mod run_pending;
mod strangers;
mod timers;
mod web;

pub use self::invite::InviteListener;
pub use self::link::Link;
pub use self::strangers::ClosedForBound;
pub use self::web::WireTotals;

use std::collections::VecDeque;

use self::broadcast::Broadcast;
use self::links::Links;
use crate::id::{HostId, WideId};
use crate::limits::Limits;
use crate::link::{LifeCycle, LinkId, ListenerId, Origin, SeededRng, Time};
use crate::mail::{AppendOutcome, Inventory, Spool, StoreReply, StoreRequest};
use crate::relay::extension::TraceResult;
use crate::relay::{
    Admission, Identity, Join, KickError, LinkReport, LoadReport, Relay, TraceReport,
};
use crate::wires::{Effects, WebAccess, WebRequest, Wire};

/// A request of a [`Node`] to its driver. A store request is answered by
/// [`Node::on_store_reply`].
pub type Action = crate::link::Action<StoreRequest>;

/// Separates the random choices of sessions from those of the relay.
const SESSION_SEED: u64 = 0x6372_6320_646f_6f72;

/// A server.
#[derive(Clone, Debug)]
pub struct Node {
    relay: Relay,
    links: Links,
    broadcasts: Vec<Broadcast>,
    /// Requests for the operator's surface.
    web_requests: VecDeque<(LinkId, WebRequest)>,
    life_cycle: LifeCycle,
    /// By [`ListenerId`].
    listeners: Vec<Wire>,
    /// Where invited servers find this one.
    invite_listener: Option<InviteListener>,
}

impl Node {
    /// Creates a server without links. It dials the first of its `parent_count` parents at the
    /// first call of [`advance`](crate::link::Machine::advance). `seed` decides every random
    /// choice.
    #[must_use]
    pub fn new(identity: Identity, parent_count: usize, limits: Limits, seed: u64) -> Self {
        Self::with_mail(identity, parent_count, limits, &Inventory::default(), seed)
    }

    /// Like [`Node::new`], with a store that already holds the messages in `inventory`.
    #[must_use]
    pub fn with_mail(
        identity: Identity,
        parent_count: usize,
        limits: Limits,
        inventory: &Inventory,
        seed: u64,
    ) -> Self {
        let spool = Spool::new(&limits, inventory);
        let links = Links::new(limits, spool, SeededRng::new(seed ^ SESSION_SEED));
        let relay = Relay::new(identity, parent_count, limits, seed);
        Self {
            relay,
            links,
            broadcasts: Vec::new(),
            web_requests: VecDeque::new(),
            life_cycle: LifeCycle::default(),
            listeners: Vec::new(),
            invite_listener: None,
        }
    }

    /// Adds a listener whose connections speak `wire`.
    pub fn add_listener(&mut self, wire: Wire) -> ListenerId {
        self.listeners.push(wire);
        ListenerId(self.listeners.len() - 1)
    }

    /// Sets the port on which this server accepts servers, see [`Relay::set_listen_port`].
    pub fn set_listen_port(&mut self, port: u16) {
        self.relay.set_listen_port(port);
    }

    /// Replaces what decides who may join as a server, see [`Relay::set_admission`].
    pub fn set_admission(&mut self, admission: Admission) {
        self.relay.set_admission(admission);
    }

    /// Replaces what decides which requests of browsers are answered.
    pub fn set_web_access(&mut self, web: WebAccess) {
        self.links.web = web;
    }

    /// Replaces the message of the day, which IRC clients are sent when they connect; there is none
    /// if it is empty.
    pub fn set_motd(&mut self, motd: String) {
        self.links.motd = motd;
    }

    /// Joins one of the parents by an invitation, see [`Relay::set_join`].
    pub fn set_join(&mut self, parent: usize, join: Join) {
        self.relay.set_join(parent, join);
    }

    /// Opens a link that speaks `wire` for a connection that no listener accepted, such as an
    /// in-memory pipe.
    pub fn open_link(&mut self, now: Time, wire: Wire) -> LinkId {
        self.open_link_from(now, wire, &Origin::default())
    }

    fn open_link_from(&mut self, now: Time, wire: Wire, origin: &Origin) -> LinkId {
        self.links.begin_event(now);
        let link = self.links.open(wire, origin);
        self.relay.accepted(now, link, &mut self.links);
        self.links.admit(link);
        let mut effects = Effects::new();
        self.links.with_session(link, &self.relay, |session, cx| session.on_open(cx, &mut effects));
        self.apply_all(link, effects);
        self.run_pending(now);
        link
    }

    /// Returns the relay: the network as this server knows it.
    #[must_use]
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Returns the open links, in no particular order.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.table.iter().filter(|link| !link.is_closing)
    }

    /// Returns what the relay knows of a link.
    #[must_use]
    pub fn link_report(&self, link: LinkId) -> Option<LinkReport> {
        self.relay.link_report(link, &self.links)
    }

    /// Returns the number of chats and mail that were dropped because their link was being closed
    /// or its queue was full.
    #[must_use]
    pub fn undelivered(&self) -> u64 {
        self.links.undelivered
    }

    /// Returns the size of all send queues and of all incomplete and deferred input, in bytes.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        self.links.table.buffer_bytes()
    }

    /// Returns the limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.links.limits
    }

    /// Returns the number of connections that have not registered.
    #[must_use]
    pub fn unregistered(&self) -> usize {
        self.links.strangers.unregistered.len()
    }

    /// Returns how many connections were closed for a bound of this server.
    #[must_use]
    pub fn closed_for_bound(&self) -> ClosedForBound {
        self.links.strangers.closed
    }

    /// Returns the mail spool.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.links.spool
    }

    /// Deletes all mail for `to`. Returns the number of messages deleted.
    pub fn delete_mail(&mut self, to: WideId) -> u64 {
        self.links.spool.delete_all(to)
    }

    /// Returns whether input of a link can be handled now, see
    /// [`read_budget`](crate::link::Machine::read_budget).
    #[must_use]
    pub fn wants_read(&self, id: LinkId) -> bool {
        self.links.get(id).is_none_or(|link| link.deferred_input.is_none())
    }

    /// Handles a reply of the mail store.
    pub fn on_store_reply(&mut self, now: Time, reply: StoreReply) {
        self.links.begin_event(now);
        let was_congested = self.links.spool.is_congested();
        for AppendOutcome { link: id, to, result } in self.links.spool.handle_reply(now, reply) {
            match &result {
                Ok(()) => self.confirm_mail(id),
                Err(error) => self.refuse_mail(id, to, error),
            }
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

    /// Closes the link of an adjacent host.
    ///
    /// # Errors
    /// See [`KickError`].
    pub fn kick(&mut self, now: Time, id: HostId, text: &[u8]) -> Result<(), KickError> {
        self.links.begin_event(now);
        self.relay.kick(id, text, &mut self.links)?;
        self.run_pending(now);
        Ok(())
    }

    /// Starts to trace the path to a host, see [`Relay::start_trace`].
    ///
    /// # Errors
    /// The result, if this server knows it without asking others.
    pub fn start_trace(&mut self, now: Time, target: HostId) -> Result<u64, TraceResult> {
        self.links.begin_event(now);
        let result = self.relay.start_trace(now, target, &mut self.links);
        self.run_pending(now);
        result
    }

    /// Removes and returns the report of a trace, if it is complete.
    pub fn take_trace_report(&mut self, token: u64) -> Option<TraceReport> {
        self.relay.take_trace_report(token)
    }

    /// Asks a server what its links carry, see [`Relay::ask_loads`].
    pub fn ask_loads(&mut self, now: Time, server: HostId) {
        self.links.begin_event(now);
        self.relay.ask_loads(now, server, &mut self.links);
        self.run_pending(now);
    }

    /// Removes and returns the oldest answer of a server that was asked.
    pub fn take_load_report(&mut self) -> Option<LoadReport> {
        self.relay.take_load_report()
    }

    fn is_drained(&self) -> bool {
        !self.links.spool.has_unacked()
            && !self.relay.is_waiting_for_children()
            && self.links().all(|link| link.queue.is_empty())
    }
}
