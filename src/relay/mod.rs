//! The core: which hosts exist, the first link towards each, and what is told to whom.
//!
//! Typed messages, time and a seed go in; messages for links and a few requests come out through
//! [`Outbox`]. It knows no wire, socket, file or clock. Files: `message` the words, `host` a host, `table`
//! all of them, `index` where in it an id is, `link` what a link is, `join` registrations, `claims` ids
//! that two hosts want, `news` what links are told of hosts, `route` chats and statuses, `mail` what was
//! said to the absent, `leave` quits, `split` what a lost server link means, `uplink` the way to the parent.
//!
//! Invariants:
//! - **True sources.** A frame counts only if it came over the first link of its source; a user's
//!   link speaks for that one user; a role is taken once. Everything else is dropped and counted.
//! - Every host in the table has a live first link, or is one of the hosts of exactly one split.
//! - What goes out depends on what came in, the time told and the seed: no hash table is iterated
//!   where anyone could see the order.

mod announcements;
mod claims;
mod host;
mod index;
mod join;
mod leave;
mod link_state;
mod mail;
pub mod message;
pub mod notice;
mod route;
mod split;
mod table;
mod uplink;

use std::collections::{BTreeSet, HashMap, VecDeque};

use foldhash::fast::RandomState;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use slab::Slab;

pub use self::host::{FirstLink, Host};
pub use self::leave::KickError;
pub use self::mail::encode_mail_text;
pub use self::table::HostTable;

use self::announcements::{Announcements, Cursor};
use self::claims::Claims;
use self::link_state::{LinkState, Role};
use self::message::{HostKind, Message};
use self::notice::Notice;
use self::split::Split;
use self::uplink::{Uplink, UplinkState};
use crate::chunked_vec::ChunkedVec;
use crate::id::HostId;
use crate::limits::{FALSE_SOURCES_MAX, Limits, STATUS_UPDATE_BYTES_MAX, STATUS_UPDATES_MAX};
use crate::link::{CloseReason, LinkId, Time};
use crate::printable::{Excerpt, Printable, truncated};

/// Where the relay's decisions go. Delivering to a link that is about to close does nothing.
pub trait Outbox {
    /// Puts a message into the send queue of a link to a server, or of one that dials a parent.
    fn deliver(&mut self, link: LinkId, message: &Message<'_>);
    /// Notifies a user, or a client that has not registered. `server` is the id of this server.
    fn notify(&mut self, link: LinkId, server: HostId, notice: &Notice<'_>);
    /// Bytes in a link's send queue.
    fn unsent_bytes(&self, link: LinkId) -> usize;
    /// A link has taken its role: its bounds change with it. Answers whether its wire has words for
    /// who is there: if not, no registrations are delivered to it.
    fn link_registered(&mut self, link: LinkId, kind: HostKind) -> bool;
    /// Ends a link; the relay hears of it through [`Relay::closed`].
    fn close(&mut self, link: LinkId, reason: CloseReason);
    /// Opens a link to a parent, by its place in the list of parents.
    fn dial(&mut self, parent: usize) -> LinkId;
    /// A host can be reached now: it has joined, or was lost in a split and is found again.
    fn host_up(&mut self, host: &Host);
    /// A host has left the table.
    fn host_down(&mut self, host: &Host);
}

/// Who this server is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its id in the network.
    pub id: HostId,
    /// Whether a person chose that id, so that it must not be changed.
    pub is_id_configured: bool,
    /// At most [`crate::limits::NAME_BYTES_MAX`] bytes.
    pub name: Vec<u8>,
    /// At most [`crate::limits::INFO_BYTES_MAX`] bytes.
    pub info: Vec<u8>,
}

/// What was dropped, and why.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Frames whose source is not behind the link they came over.
    pub false_sources: u64,
    /// Statuses and chats that would have gone back where they came from, or to nobody.
    pub unroutable: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    RegisterDeadline(LinkId),
    Split(u32),
    Claim(HostId),
    AnnounceBatch,
}

/// The state of one server.
#[derive(Debug)]
pub struct Relay {
    identity: Identity,
    limits: Limits,
    /// The latest that the caller has told.
    now: Time,
    /// This server takes its leave: of those connected, only servers are still listened to.
    is_stopping: bool,
    hosts: HostTable,
    /// By [`LinkId::index`]; the caller vouches for the generation.
    links: ChunkedVec<Option<LinkState>>,
    /// Registrations of an id that somebody else had first, heard over other links.
    claims: HashMap<HostId, Claims, RandomState>,
    claims_bytes: usize,
    /// Counts servers that joined and links that were lost: which came first.
    event_count: u64,
    splits: Slab<Split>,
    announcements: Announcements,
    uplink: Uplink,
    timers: BTreeSet<(Time, Timer)>,
    status_updates: VecDeque<String>,
    counters: Counters,
    rng: StdRng,
}

impl Relay {
    /// A server that knows nobody, with this many parents to join. `seed` decides ids and waits.
    #[must_use]
    pub fn new(identity: Identity, parent_count: usize, limits: Limits, seed: u64) -> Self {
        Self {
            identity,
            limits,
            now: Time::default(),
            is_stopping: false,
            hosts: HostTable::default(),
            links: ChunkedVec::default(),
            claims: HashMap::default(),
            claims_bytes: 0,
            event_count: 0,
            splits: Slab::new(),
            announcements: Announcements::default(),
            uplink: Uplink::new(parent_count),
            timers: BTreeSet::new(),
            status_updates: VecDeque::new(),
            counters: Counters::default(),
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// Who this server is. Its id changes if a parent refuses one that nobody chose.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Every other host.
    #[must_use]
    pub fn hosts(&self) -> &HostTable {
        &self.hosts
    }

    /// What was dropped so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The newest texts of statuses that were for this server, oldest first.
    pub fn status_updates(&self) -> impl Iterator<Item = &str> {
        self.status_updates.iter().map(String::as_str)
    }

    /// The registered host at the other end of a link.
    #[must_use]
    pub fn adjacent_host(&self, link: LinkId) -> Option<&Host> {
        let state = self.links.occupied(link.index as usize)?;
        self.hosts.get(state.host_id()?)
    }

    /// Whether a link is, or is to become, the one to the parent.
    #[must_use]
    pub fn is_uplink(&self, link: LinkId) -> bool {
        self.uplink.has_link(link)
    }

    /// The id of the adjacent host that leads to `host`: the one that was lost, during a split.
    #[must_use]
    pub fn first_link_host(&self, host: &Host) -> HostId {
        match host.first_link {
            FirstLink::Link(link) => {
                self.adjacent_host(link).map_or(host.id, |adjacent| adjacent.id)
            }
            FirstLink::Split(split) => self.splits[split as usize].neighbour,
        }
    }

    /// Somebody connected. They have until the register deadline.
    pub fn accepted(&mut self, now: Time, link: LinkId) {
        self.now = now;
        self.add_link(link, false);
    }

    fn add_link(&mut self, link: LinkId, is_uplink: bool) {
        let index = link.index as usize;
        let deadline = self.now + self.limits.register_deadline;
        self.timers.insert((deadline, Timer::RegisterDeadline(link)));
        let role = Role::Unregistered { is_uplink, deadline };
        let cursor = Cursor::default();
        self.links.set(index, LinkState { id: link, role, cursor, false_sources: 0 });
    }

    /// A link that [`Outbox::dial`] opened is connected: introduce ourselves.
    pub fn dialled(&mut self, link: LinkId, out: &mut impl Outbox) {
        let registration = self.own_registration(HostId::NONE);
        out.deliver(link, &Message::Registration(registration));
    }

    /// Handles one message. Links of which [`Relay::closed`] was told must not come again.
    pub fn receive(
        &mut self,
        now: Time,
        link: LinkId,
        message: &Message<'_>,
        out: &mut impl Outbox,
    ) {
        self.now = now;
        if self.is_stopping {
            let is_server = matches!(self.link_state(link).role, Role::Server { .. });
            if !is_server || matches!(message, Message::Registration(_)) {
                return; // nobody is introduced any more
            }
        }
        log::debug!("link {link}: {}", Summary(message));
        match *message {
            Message::Registration(registration) => {
                self.handle_registration(link, &registration, out);
            }
            Message::Chat { source, destination, text } => {
                self.handle_chat(link, source, destination, text, out);
            }
            Message::Status { source, destination, code, text } => {
                self.handle_status(link, source, destination, code, text, out);
            }
            Message::ClientQuit { source, text } => {
                self.handle_client_quit(link, source, text, out);
            }
            Message::ServerQuit { source, text, .. } => {
                self.handle_server_quit(link, source, text, out);
            }
        }
    }

    /// A link's queue has room again: it is told more, if it is behind.
    pub fn has_room(&mut self, link: LinkId, out: &mut impl Outbox) {
        if self.links.occupied(link.index as usize).is_some() {
            self.catch_up(link, out);
        }
    }

    /// Does all that is due by now.
    pub fn advance(&mut self, now: Time, out: &mut impl Outbox) {
        self.now = now;
        self.announcements.begin_turn();
        while let Some(&(at, timer)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            match timer {
                Timer::RegisterDeadline(link) => out.close(link, CloseReason::RegisterDeadline),
                Timer::Split(split) => self.end_split(split, out),
                Timer::Claim(id) => self.grant_claim(id, out),
                Timer::AnnounceBatch => self.announce_batch(),
            }
        }
        if let Some(parent) = self.uplink.due_parent(now) {
            let link = out.dial(parent);
            self.add_link(link, true);
            self.uplink.state = UplinkState::Dialling { link };
        }
    }

    /// When [`Relay::advance`] must be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let timer = self.timers.first().map(|&(at, _)| at);
        let next_turn = self.announcements.has_ready().then_some(self.now);
        [timer, next_turn, self.uplink.deadline()].into_iter().flatten().min()
    }

    /// Takes this server's leave: stops dialling, tells the other servers that the users of this one
    /// quit, and listens to servers alone from now on.
    pub fn stop(&mut self, now: Time, out: &mut impl Outbox) {
        self.now = now;
        self.is_stopping = true;
        self.uplink.state = UplinkState::Off;
        let mut leaving = Vec::new();
        for state in self.links.iter().flatten() {
            match state.role {
                Role::Unregistered { .. } => out.close(state.id, CloseReason::Shutdown),
                Role::User { host } => leaving.push(host),
                Role::Server { .. } => {}
            }
        }
        let text = CloseReason::Shutdown.quit_text();
        for id in leaving {
            self.remove_host(id, &text, out);
        }
    }

    fn own_registration(&self, last_hop: HostId) -> message::Registration<'_> {
        message::Registration {
            kind: HostKind::Server,
            source: self.identity.id,
            last_hop,
            name: &self.identity.name,
            info: &self.identity.info,
        }
    }

    fn link_state(&self, link: LinkId) -> &LinkState {
        self.links[link.index as usize].as_ref().expect("a live link")
    }

    fn link_state_mut(&mut self, link: LinkId) -> &mut LinkState {
        self.links[link.index as usize].as_mut().expect("a live link")
    }

    fn next_event_number(&mut self) -> u64 {
        self.event_count += 1;
        self.event_count
    }

    fn record_status(&mut self, text: &[u8]) {
        if self.status_updates.len() == STATUS_UPDATES_MAX {
            self.status_updates.pop_front();
        }
        let text = truncated(text, STATUS_UPDATE_BYTES_MAX);
        self.status_updates.push_back(String::from_utf8_lossy(text).into_owned());
    }

    /// Drops a frame whose source is not behind its link.
    fn drop_false_source(&mut self, link: LinkId, source: HostId, out: &mut impl Outbox) {
        self.counters.false_sources += 1;
        let state = self.link_state_mut(link);
        state.false_sources += 1;
        if state.false_sources == 1 {
            log::warn!("link {link}: dropped a frame of {source}, who is not behind this link");
        }
        let is_server = matches!(state.role, Role::Server { .. });
        if !is_server && state.false_sources >= FALSE_SOURCES_MAX {
            out.close(link, CloseReason::FalseSources);
        }
    }

    /// Sends an answer to `destination` over `link`: a notice to the client there, a status to a
    /// server.
    fn send_answer(
        &self,
        link: LinkId,
        destination: HostId,
        notice: &Notice<'_>,
        out: &mut impl Outbox,
    ) {
        let source = self.identity.id;
        match self.link_state(link).role {
            Role::Server { .. } => {
                if let Some((code, text)) = notice.status() {
                    let status = Message::Status { source, destination, code, text: &text };
                    out.deliver(link, &status);
                }
            }
            Role::User { .. } | Role::Unregistered { .. } => out.notify(link, source, notice),
        }
    }

    /// Sends the registration of a known host over `link`.
    fn send_registration(&self, link: LinkId, host: &Host, out: &mut impl Outbox) {
        let registration = host.registration(self.identity.id);
        match self.link_state(link).role {
            Role::Server { .. } => out.deliver(link, &Message::Registration(registration)),
            _ => out.notify(link, self.identity.id, &Notice::Joined(registration)),
        }
    }

    /// Sends a chat over `link`.
    fn send_chat(
        &self,
        link: LinkId,
        source: HostId,
        destination: HostId,
        text: &[u8],
        out: &mut impl Outbox,
    ) {
        match self.link_state(link).role {
            Role::Server { .. } => out.deliver(link, &Message::Chat { source, destination, text }),
            _ => {
                out.notify(link, self.identity.id, &Notice::Chat { source, destination, text });
            }
        }
    }
}

/// A message for the log: who, to whom and how much, but not what people say.
struct Summary<'a>(&'a Message<'a>);

impl std::fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self.0 {
            Message::Registration(message::Registration {
                kind, source, last_hop, name, ..
            }) => {
                let kind = if kind == HostKind::Server { "server" } else { "user" };
                write!(f, "registration of {kind} {source} {} by {last_hop}", Printable(name))
            }
            Message::Status { source, destination, code, text } => {
                let (code, text) = (code.0, Excerpt(text));
                write!(f, "status {code} from {source} to {destination}: {text}")
            }
            Message::ServerQuit { source, .. } => write!(f, "quit of server {source}"),
            Message::Chat { source, destination, text } => {
                write!(f, "chat of {} bytes from {source} to {destination}", text.len())
            }
            Message::ClientQuit { source, .. } => write!(f, "quit of user {source}"),
        }
    }
}
