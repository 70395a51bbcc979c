//! [`Topology`]: this server, the known hosts and their homes, the live links, and the next hop
//! towards each host.
//!
//! A host belongs to a home server, and routes lead to servers: a link that is lost or moved
//! changes the routes of the servers behind it, and not its hosts. Hosts behind a neighbour that
//! speaks plain CRC are hosts of this server.
//!
//! Invariants:
//! - Every host has one home. The list of a home, of a link to a plain neighbour, and of a split
//!   holds the hosts that belong to it. A link to a user has no list: it leads to that user only.
//! - Every other home has a live link as its route, or is in exactly one split.
//! - True sources: a frame counts only if it arrived over the first link of its source.

mod check;
mod homes;
mod host;
mod id_map;
mod link_state;
mod links;
mod memberships;
mod profiles;
mod room;
mod room_events;
mod room_numbers;
mod room_sync;
mod rooms;
mod server_pairs;
mod servers;
mod splits;
mod table;
mod topics;

pub use self::host::{FirstLink, Home, HomeList, Host, ServerKey, SplitId};
pub(super) use self::host::{Slot, host_size_bytes};
pub use self::link_state::Refusals;
pub(super) use self::link_state::{LinkState, Refusal, Role};
pub use self::room::MemberCursor;
pub(super) use self::room::{MemberHome, OwnMember, Room, Speech};
pub(super) use self::room_events::{RoomChange, RoomEvent};
pub(super) use self::rooms::Rooms;
pub use self::table::HostTable;
pub(super) use self::table::List;

pub(super) use self::servers::HostSet;
use self::servers::Servers;
use self::splits::LostSubtree;
use super::extension::{Epoch, Nonce};
use super::outbox::View;
use super::routes::Routes;
use crate::chunked_vec::ChunkedVec;
use crate::id::HostId;
use crate::link::{LinkId, Slab};
use crate::relay::message::{HostKind, Registration};

/// The identity of this server.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Id in the network.
    pub id: HostId,
    /// Whether the operator chose the id. A chosen id is never replaced by another.
    pub is_id_configured: bool,
    /// Name, of at most [`crate::limits::NAME_BYTES_MAX`] bytes.
    pub name: Vec<u8>,
    /// Description, of at most [`crate::limits::INFO_BYTES_MAX`] bytes.
    pub info: Vec<u8>,
}

/// The hosts, the links, and the routes between them.
#[derive(Clone, Debug)]
pub(super) struct Topology {
    identity: Identity,
    hosts: HostTable,
    /// Indexed by [`LinkId::index`]; callers pass ids of live links.
    links: ChunkedVec<Option<LinkState>>,
    /// The other servers that extended links lead to.
    servers: Servers,
    /// The facts about these servers, and their routes.
    routes: Routes,
    lost: Slab<LostSubtree>,
    /// The hosts whose home is this server.
    own_hosts: HostSet,
    /// Highest number of these so far.
    own_host_count_max: u32,
    rooms: Rooms,
    /// The highest logical time of any host seen so far.
    clock: u64,
    /// Number of servers that joined and links to servers that were lost: orders these events.
    event_count: u64,
    false_sources: u64,
    /// Number of chats that a plain neighbour does not read, whose senders could not be informed.
    unanswered_chats: u64,
    /// Number of refusals for an unknown id.
    unknown_ids: u64,
}

impl Topology {
    /// Creates the topology of a server that knows no other host.
    pub(super) fn new(identity: Identity, nonce: Nonce) -> Self {
        let epoch = Epoch { boot: 1, attach: 0 };
        Self {
            routes: Routes::new(identity.id, epoch, nonce.0),
            identity,
            hosts: HostTable::default(),
            links: ChunkedVec::default(),
            servers: Servers::default(),
            lost: Slab::new(),
            own_hosts: HostSet::default(),
            own_host_count_max: 0,
            rooms: Rooms::default(),
            clock: 0,
            event_count: 0,
            false_sources: 0,
            unanswered_chats: 0,
            unknown_ids: 0,
        }
    }

    /// Returns the identity of this server.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the id of this server.
    pub(super) fn own_id(&self) -> HostId {
        self.identity.id
    }

    /// Gives this server another id.
    pub(super) fn set_own_id(&mut self, id: HostId) {
        self.identity.id = id;
        self.routes.set_own_id(id);
    }

    /// Returns the registration of this server, with the given last hop.
    pub(super) fn own_registration(&self, last_hop: HostId) -> Registration<'_> {
        let Identity { id: source, ref name, ref info, .. } = self.identity;
        Registration { kind: HostKind::Server, source, last_hop, name, info }
    }

    /// Returns the number of hosts whose home is this server.
    pub(super) fn own_host_count(&self) -> u32 {
        self.own_hosts.count
    }

    /// Returns the highest number of hosts whose home was this server.
    pub(super) fn own_host_count_max(&self) -> u32 {
        self.own_host_count_max
    }

    /// Returns the number of splits.
    pub(super) fn split_count(&self) -> usize {
        self.lost.len()
    }

    /// Returns what notices are encoded with.
    pub(super) fn view(&self) -> View<'_> {
        View { server: self.identity.id, name: &self.identity.name, hosts: &self.hosts }
    }

    /// Returns the table of the other hosts.
    pub(super) fn hosts(&self) -> &HostTable {
        &self.hosts
    }

    /// Returns the number of messages refused because nobody has their destination.
    pub(super) fn unknown_ids(&self) -> u64 {
        self.unknown_ids
    }

    /// Returns the number of frames dropped for their source.
    pub(super) fn false_sources(&self) -> u64 {
        self.false_sources
    }

    /// Counts a chat that a plain neighbour does not read, and whose sender is lost.
    pub(super) fn count_unanswered_chat(&mut self) {
        self.unanswered_chats += 1;
    }

    /// Returns the number of chats that plain neighbours do not read and whose senders were lost.
    pub(super) fn unanswered_chats(&self) -> u64 {
        self.unanswered_chats
    }

    pub(super) fn next_event(&mut self) -> u64 {
        self.event_count += 1;
        self.event_count
    }

    /// Returns the next hop towards a host.
    #[inline]
    pub(super) fn first_link(&self, host: &Host) -> FirstLink {
        match host.home {
            Home::Link(index) => FirstLink::Link(self.live_at(index).id()),
            Home::Split(split) => FirstLink::Split(split),
            Home::Server(server, _) => self.servers.route(server),
        }
    }

    /// Returns the link towards a host, if it is not lost.
    pub(super) fn next_hop(&self, host: &Host) -> Option<LinkId> {
        match self.first_link(host) {
            FirstLink::Link(link) => Some(link),
            FirstLink::Split(_) => None,
        }
    }

    /// Returns whether `link` is the first link of `source`.
    pub(super) fn is_first_link(&self, source: HostId, link: LinkId) -> bool {
        let host = self.hosts.get(source);
        host.is_some_and(|host| self.first_link(host) == FirstLink::Link(link))
    }

    /// Returns whether an id belongs to this server or to a host with a live first link.
    pub(super) fn is_reachable(&self, id: HostId) -> bool {
        self.is_reachable_host(id, self.hosts.get(id))
    }

    /// Like [`Topology::is_reachable`], for an id that has been looked up already.
    pub(super) fn is_reachable_host(&self, id: HostId, host: Option<&Host>) -> bool {
        id == self.own_id() || host.is_some_and(|host| self.next_hop(host).is_some())
    }

    /// Returns whether an id belongs to this server or to a host, reachable or lost.
    pub(super) fn is_known(&self, id: HostId) -> bool {
        id == self.own_id() || self.hosts.get(id).is_some()
    }

    /// Returns the other servers that extended links lead to.
    pub(super) fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Returns the facts about the servers that extended links lead to, and their routes.
    pub(super) fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Like [`Topology::routes`], to change them.
    pub(super) fn routes_mut(&mut self) -> &mut Routes {
        &mut self.routes
    }

    /// Sets the next hop towards a server, which may have been lost.
    pub(super) fn set_route(&mut self, server: ServerKey, link: LinkId) {
        self.leave_split(server);
        self.servers.set_route(server, FirstLink::Link(link));
    }
}

#[cfg(test)]
mod tests;
