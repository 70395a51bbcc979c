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

mod host;
mod index;
mod link_state;
mod servers;
mod table;

use slab::Slab;

pub use self::host::{FirstLink, Home, Host, ServerKey, SplitId};
pub(super) use self::host::{Slot, host_size_bytes};
pub use self::link_state::Refusals;
pub(super) use self::link_state::{LinkState, Refusal, Role, Subtree};
pub use self::table::HostTable;
pub(super) use self::table::List;

pub(super) use self::servers::HostSet;
use self::servers::Servers;
use super::extension::{Epoch, Nonce};
use super::routes::Routes;
use crate::chunked_vec::ChunkedVec;
use crate::id::HostId;
use crate::limits::FALSE_SOURCES_MAX;
use crate::link::{LinkId, Time};
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

/// What was lost with one link to a server.
#[derive(Clone, Debug)]
pub(super) struct LostSubtree {
    /// The adjacent server that was lost.
    neighbour: HostId,
    /// Time of the loss, in the topology's count of joins and splits.
    lost_event: u64,
    /// The hosts behind a plain neighbour, and hosts that their home did not confirm.
    hosts: List,
    /// The servers whose route was the link.
    servers: Vec<ServerKey>,
    /// This server is the home of `hosts`.
    is_own: bool,
}

/// What a frame with a false source leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FalseSource {
    /// No frame of this link had a false source before.
    pub(super) is_first: bool,
    /// The link leads to a client that has sent too many of them.
    pub(super) must_close: bool,
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
    /// The highest logical time of any host seen so far.
    clock: u64,
    /// Number of servers that joined and links to servers that were lost: orders these events.
    event_count: u64,
    false_sources: u64,
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
            clock: 0,
            event_count: 0,
            false_sources: 0,
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

    /// Returns the table of the other hosts.
    pub(super) fn hosts(&self) -> &HostTable {
        &self.hosts
    }

    /// Returns the number of frames dropped for their source.
    pub(super) fn false_sources(&self) -> u64 {
        self.false_sources
    }

    /// Adds a link that has just been opened.
    pub(super) fn add_link(&mut self, link: LinkId, is_uplink: bool, deadline: Time) {
        self.links.set(link.index as usize, LinkState::new(link, is_uplink, deadline));
    }

    /// Returns the state of a live link.
    #[inline]
    pub(super) fn link(&self, link: LinkId) -> &LinkState {
        self.links[link.index as usize].as_ref().expect("a live link")
    }

    fn link_mut(&mut self, link: LinkId) -> &mut LinkState {
        self.links[link.index as usize].as_mut().expect("a live link")
    }

    /// Returns the state of a link, if it is live.
    pub(super) fn find_link(&self, link: LinkId) -> Option<&LinkState> {
        self.links.occupied(link.index as usize).filter(|state| state.id() == link)
    }

    /// Iterates over the live links, by index.
    pub(super) fn links(&self) -> impl Iterator<Item = &LinkState> {
        self.links.iter().flatten()
    }

    /// Gives a link the role of a user and returns its registration deadline, if it had one.
    pub(super) fn register_user(&mut self, link: LinkId, host: HostId) -> Option<Time> {
        self.set_role(link, Role::User { host })
    }

    /// Gives a link the role of a server and returns its registration deadline, if it had one.
    pub(super) fn register_server(
        &mut self,
        link: LinkId,
        host: HostId,
        is_extended: bool,
    ) -> Option<Time> {
        let joined_event = self.next_event();
        let subtree = Box::new(Subtree { joined_event, hosts: List::default(), is_extended });
        self.set_role(link, Role::Server { host, subtree })
    }

    fn set_role(&mut self, link: LinkId, role: Role) -> Option<Time> {
        match std::mem::replace(&mut self.link_mut(link).role, role) {
            Role::Unregistered { deadline, .. } => Some(deadline),
            Role::User { .. } | Role::Server { .. } => None,
        }
    }

    /// Removes a link that has ended. The hosts behind a server must go into a split next, see
    /// [`Topology::begin_split`].
    pub(super) fn remove_link(&mut self, link: LinkId) -> Option<LinkState> {
        self.links.get_mut(link.index as usize).and_then(Option::take)
    }

    fn next_event(&mut self) -> u64 {
        self.event_count += 1;
        self.event_count
    }

    /// Returns the next hop towards a host.
    #[inline]
    pub(super) fn first_link(&self, host: &Host) -> FirstLink {
        match host.home {
            Home::Link(index) => FirstLink::Link(self.live_at(index).id()),
            Home::Split(split) => FirstLink::Split(split),
            Home::Server(server) | Home::Unconfirmed(server) => self.servers.route(server),
        }
    }

    /// Returns the live link at an index.
    fn live_at(&self, index: u32) -> &LinkState {
        self.links[index as usize].as_ref().expect("the link of a host is live")
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

    /// Returns whether frames of `source` may arrive over `link`: the rule of true sources.
    #[inline]
    pub(super) fn is_valid_source(&self, source: HostId, link: LinkId) -> bool {
        match self.link(link).role {
            Role::Unregistered { .. } => false,
            Role::User { host } => host == source,
            Role::Server { .. } => {
                self.is_first_link(source, link) || self.waits_behind(source, link)
            }
        }
    }

    /// Returns whether `link` leads to the home of a host, which has come back and has not registered
    /// the host yet.
    #[cold]
    fn waits_behind(&self, source: HostId, link: LinkId) -> bool {
        let host = self.hosts.get(source).filter(|host| self.waits_for_home(host));
        let home = host.and_then(|host| self.server_key(self.home_id(host)));
        home.is_some_and(|home| self.servers.route(home) == FirstLink::Link(link))
    }

    /// Counts a frame that arrived over `link` from a source that is not behind it.
    pub(super) fn count_false_source(&mut self, link: LinkId) -> FalseSource {
        self.false_sources += 1;
        let state = self.link_mut(link);
        let false_sources = state.refusals.false_sources.saturating_add(1);
        state.refusals.false_sources = false_sources;
        FalseSource {
            is_first: false_sources == 1,
            must_close: !state.is_server() && false_sources >= FALSE_SOURCES_MAX,
        }
    }

    /// Counts a frame that arrived over `link` and is refused.
    pub(super) fn count_refusal(&mut self, link: LinkId, refusal: Refusal) {
        let refusals = &mut self.link_mut(link).refusals;
        let count = match refusal {
            Refusal::TakenId => &mut refusals.taken_ids,
            Refusal::UnknownId => &mut refusals.unknown_ids,
            Refusal::Unreadable => &mut refusals.unreadable,
        };
        *count = count.saturating_add(1);
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

    /// Returns the registered host at the other end of a link.
    pub(super) fn adjacent_host(&self, link: LinkId) -> Option<&Host> {
        let state = self.links.occupied(link.index as usize)?;
        self.hosts.get(state.host_id()?)
    }

    /// Returns whether a host is at the other end of its first link, rather than behind a server
    /// there or lost.
    pub(super) fn is_adjacent(&self, host: &Host) -> bool {
        let link = self.next_hop(host);
        link.is_some_and(|link| self.link(link).host_id() == Some(host.id))
    }

    /// Returns the id of the adjacent host that leads to `host`; during a split, that of the lost
    /// server.
    pub(super) fn first_link_host(&self, host: &Host) -> HostId {
        match self.first_link(host) {
            FirstLink::Link(link) => self.link(link).host_id().unwrap_or(host.id),
            FirstLink::Split(split) => self.lost(split).neighbour,
        }
    }

    /// Returns the next logical time.
    pub(super) fn next_stamp(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Records a logical time that another server has assigned.
    pub(super) fn observe_stamp(&mut self, stamp: u64) {
        self.clock = self.clock.max(stamp);
    }

    /// Adds a host whose id is not in the table.
    pub(super) fn insert_host(
        &mut self,
        registration: &Registration<'_>,
        home: Home,
        stamp: u64,
    ) -> Slot {
        self.count(registration.source, home, stamp, HostSet::add);
        let Self { hosts, links, servers, lost, .. } = self;
        hosts.insert(registration, (home, stamp), list_of(home, links, servers, lost))
    }

    /// Removes a host.
    pub(super) fn remove_host(&mut self, id: HostId) -> Option<Host> {
        let home = self.hosts.get(id)?.home;
        let Self { hosts, links, servers, lost, .. } = self;
        let host = hosts.remove(id, list_of(home, links, servers, lost))?;
        self.count(id, home, host.stamp, HostSet::remove);
        if let Some(server) = home.server().filter(|&server| self.servers.id(server) == id) {
            self.leave_split(server);
            self.servers.remove(server);
        }
        Some(host)
    }

    /// Moves a host to another home, with another stamp.
    pub(super) fn set_home(&mut self, id: HostId, home: Home, stamp: u64) {
        let (slot, host) = self.hosts.find(id).expect("a known host");
        let (old_home, old_stamp) = (host.home, host.stamp);
        let Self { hosts, links, servers, lost, .. } = self;
        hosts.remove_from_list(slot, list_of(old_home, links, servers, lost));
        hosts.append_to_list(slot, home, list_of(home, links, servers, lost));
        hosts.set_stamp(slot, stamp);
        self.count(id, old_home, old_stamp, HostSet::remove);
        self.count(id, home, stamp, HostSet::add);
    }

    /// Updates the digest of a home for a host that was added or removed.
    fn count(&mut self, id: HostId, home: Home, stamp: u64, update: fn(&mut HostSet, HostId, u64)) {
        match home {
            Home::Server(server) | Home::Unconfirmed(server) => {
                self.servers.count(server, id, stamp, update);
            }
            Home::Split(split) if !self.lost(split).is_own => {}
            Home::Link(_) | Home::Split(_) => update(&mut self.own_hosts, id, stamp),
        }
    }

    /// Returns the number and the digest of the hosts whose home is this server.
    pub(super) fn own_hosts(&self) -> HostSet {
        self.own_hosts
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

    /// Returns the key of a server that extended links lead to.
    pub(super) fn server_key(&self, id: HostId) -> Option<ServerKey> {
        let server = self.hosts.get(id)?.home.server()?;
        (self.servers.id(server) == id).then_some(server)
    }

    /// Adds a server that extended links lead to, with the next hop towards it.
    pub(super) fn insert_server(&mut self, registration: &Registration<'_>, link: LinkId) -> Slot {
        let server = self.servers.insert(registration.source, FirstLink::Link(link));
        self.insert_host(registration, Home::Server(server), 0)
    }

    /// Returns the hosts of a server.
    pub(super) fn server_hosts(&self, server: ServerKey) -> Vec<HostId> {
        self.servers.leaving_ids(server, &self.hosts).collect()
    }

    /// Sets the next hop towards a server, which may have been lost.
    pub(super) fn set_route(&mut self, server: ServerKey, link: LinkId) {
        self.leave_split(server);
        self.servers.set_route(server, FirstLink::Link(link));
    }

    /// Removes a lost server from its split.
    fn leave_split(&mut self, server: ServerKey) {
        if let FirstLink::Split(split) = self.servers.route(server) {
            self.lost[split.0 as usize].servers.retain(|&other| other != server);
        }
    }

    /// Marks the hosts of a server as not confirmed, before the server sends all of them.
    pub(super) fn unconfirm_hosts(&mut self, server: ServerKey) {
        let id = self.servers.id(server);
        let confirmed: Vec<_> = self.hosts.ids_in(self.servers.confirmed_mut(server)).collect();
        for host in confirmed.into_iter().filter(|&host| host != id) {
            let stamp = self.hosts.get(host).expect("a listed host").stamp;
            self.set_home(host, Home::Unconfirmed(server), stamp);
        }
    }

    /// Returns the id of the home of a host.
    pub(super) fn home_id(&self, host: &Host) -> HostId {
        match host.home {
            Home::Split(split) if !self.lost(split).is_own => self.lost(split).neighbour,
            Home::Link(_) | Home::Split(_) => self.own_id(),
            Home::Server(server) | Home::Unconfirmed(server) => self.servers.id(server),
        }
    }

    /// Returns whether another server than this one is the home of a host.
    pub(super) fn is_of_other_home(&self, host: &Host) -> bool {
        host.home.server().is_some() || self.waits_for_home(host)
    }

    /// Returns whether a host waits for its home, which has come back without it.
    pub(super) fn waits_for_home(&self, host: &Host) -> bool {
        matches!(host.home, Home::Split(split) if !self.lost(split).is_own)
    }

    /// Records that the link to the plain server `neighbour` was lost, with the hosts behind it.
    /// Returns `None` if there are none.
    pub(super) fn begin_split(&mut self, neighbour: HostId, hosts: List) -> Option<SplitId> {
        (hosts.len() > 0).then(|| self.insert_split(neighbour, hosts, Vec::new(), true))
    }

    /// Records that servers have lost their route, with the link to `neighbour` or because it
    /// withdrew them. Returns `None` if there are none.
    pub(super) fn split_servers(
        &mut self,
        neighbour: HostId,
        servers: Vec<ServerKey>,
    ) -> Option<SplitId> {
        let is_some = !servers.is_empty();
        is_some.then(|| self.insert_split(neighbour, List::default(), servers, false))
    }

    /// Puts the hosts that their home did not confirm into a split. Returns `None` if there are
    /// none.
    pub(super) fn split_unconfirmed(&mut self, server: ServerKey) -> Option<SplitId> {
        let id = self.servers.id(server);
        let hosts = std::mem::take(self.servers.unconfirmed_mut(server));
        let ids: Vec<HostId> = self.hosts.ids_in(&hosts).collect();
        for &id in &ids {
            let stamp = self.hosts.get(id).expect("a listed host").stamp;
            self.servers.count(server, id, stamp, HostSet::remove);
        }
        (!ids.is_empty()).then(|| self.insert_split(id, hosts, Vec::new(), false))
    }

    fn insert_split(
        &mut self,
        neighbour: HostId,
        hosts: List,
        servers: Vec<ServerKey>,
        is_own: bool,
    ) -> SplitId {
        let lost_event = self.next_event();
        let split = LostSubtree { neighbour, lost_event, hosts, servers, is_own };
        let split =
            SplitId(u32::try_from(self.lost.insert(split)).expect("fewer splits than links"));
        let Self { hosts, lost, servers, .. } = self;
        let subtree = &lost[split.0 as usize];
        hosts.set_home(&subtree.hosts, Home::Split(split));
        for &server in &subtree.servers {
            servers.set_route(server, FirstLink::Split(split));
        }
        split
    }

    /// Returns the ids of the servers in a split.
    pub(super) fn lost_servers(&self, split: SplitId) -> Vec<HostId> {
        self.lost(split).servers.iter().map(|&server| self.servers.id(server)).collect()
    }

    /// Ends a split that has no hosts any more.
    pub(super) fn end_split(&mut self, split: SplitId) {
        debug_assert_eq!(self.lost_count(split), 0, "a split ends when its hosts are gone");
        self.lost.remove(split.0 as usize);
    }

    fn lost(&self, split: SplitId) -> &LostSubtree {
        &self.lost[split.0 as usize]
    }

    /// Returns the server whose loss began a split.
    pub(super) fn lost_neighbour(&self, split: SplitId) -> HostId {
        self.lost(split).neighbour
    }

    /// Returns whether a split has no hosts any more.
    pub(super) fn is_split_over(&self, split: SplitId) -> bool {
        let lost = self.lost(split);
        lost.hosts.len() == 0 && lost.servers.is_empty()
    }

    /// Returns the splits of hosts behind the plain neighbour with this id.
    pub(super) fn plain_splits(&self, neighbour: HostId) -> Vec<SplitId> {
        let is_its = |split: &SplitId| {
            let lost = self.lost(*split);
            lost.is_own && lost.neighbour == neighbour
        };
        self.splits().filter(is_its).collect()
    }

    /// Returns the number of hosts in a split.
    pub(super) fn lost_count(&self, split: SplitId) -> usize {
        let lost = self.lost(split);
        let behind = lost.servers.iter().map(|&server| self.servers.host_count(server));
        lost.hosts.len() + behind.sum::<usize>()
    }

    /// Iterates over the hosts in a split: of each home in turn, its users before itself.
    pub(super) fn lost_ids(&self, split: SplitId) -> impl Iterator<Item = HostId> {
        let lost = self.lost(split);
        let leaving = |&server| self.servers.leaving_ids(server, &self.hosts);
        let behind = lost.servers.iter().flat_map(leaving);
        self.hosts.ids_in(&lost.hosts).chain(behind)
    }

    /// Makes `link` the first link of a host that was lost behind a plain neighbour.
    ///
    /// # Panics
    /// If the host is not lost, or the link does not lead to a server.
    pub(super) fn rejoin(&mut self, id: HostId, link: LinkId) {
        let host = self.hosts.get(id).expect("a known host");
        assert!(matches!(host.home, Home::Split(_)), "only lost hosts rejoin");
        let stamp = host.stamp;
        self.set_home(id, Home::Link(link.index), stamp);
    }

    /// Returns whether the server behind a link joined before `host` was lost, or whether the host
    /// is not lost. A server that joined later may be the one behind which the host is found again.
    pub(super) fn joined_before_loss_of(&self, host: &Host, subtree: &Subtree) -> bool {
        match self.first_link(host) {
            FirstLink::Link(_) => true,
            FirstLink::Split(split) => subtree.joined_event < self.lost(split).lost_event,
        }
    }

    /// Iterates over the splits.
    pub(super) fn splits(&self) -> impl Iterator<Item = SplitId> {
        self.lost.iter().map(|(key, _)| SplitId(u32::try_from(key).expect("a split's key")))
    }

    /// Checks that lists, homes, routes, roles and the table agree.
    ///
    /// # Panics
    /// If they do not.
    pub(super) fn check(&self) {
        self.hosts.check();
        assert!(self.hosts.get(self.own_id()).is_none(), "this server is not in its table");
        let mut listed = 0;
        for state in self.links() {
            match &state.role {
                Role::Server { subtree, .. } => {
                    self.hosts.check_home(&subtree.hosts, Home::Link(state.id().index));
                    listed += subtree.hosts.len();
                }
                Role::User { host } => listed += usize::from(self.is_first_link(*host, state.id())),
                Role::Unregistered { .. } => {}
            }
        }
        for split in self.splits() {
            let hosts = &self.lost(split).hosts;
            self.hosts.check_home(hosts, Home::Split(split));
            listed += hosts.len();
            for &server in &self.lost(split).servers {
                assert_eq!(self.servers.route(server), FirstLink::Split(split), "a lost route");
            }
        }
        listed += self.servers.check(&self.hosts);
        assert_eq!(listed, self.hosts.iter().count(), "every host has one live link or one home");
        let mut own = HostSet::default();
        for host in self.hosts.iter() {
            if let Home::Link(index) = host.home {
                assert!(self.links[index as usize].is_some(), "the link of host {} lives", host.id);
            }
            if self.home_id(host) == self.own_id() && !self.waits_for_home(host) {
                own.add(host.id, host.stamp);
            }
            assert!(host.stamp <= self.clock, "the clock is not behind host {}", host.id);
        }
        assert_eq!(self.own_hosts, own, "the digest of the hosts of this server");
        self.routes.check();
        for (server, route) in self.servers.routes() {
            let id = self.servers.id(server);
            match route {
                FirstLink::Link(link) => {
                    assert_eq!(self.routes.route(id), Some(link), "the route of server {id}");
                    let is_extended = self.find_link(link).is_some_and(LinkState::is_extended);
                    assert!(is_extended, "route {link} of server {server:?} is extended");
                }
                FirstLink::Split(split) => {
                    let is_listed = self.lost(split).servers.contains(&server);
                    assert!(is_listed, "server {server:?} is in its split");
                }
            }
        }
    }
}

/// Returns the list of a home, or `None` for the link of a user.
fn list_of<'a>(
    home: Home,
    links: &'a mut ChunkedVec<Option<LinkState>>,
    servers: &'a mut Servers,
    lost: &'a mut Slab<LostSubtree>,
) -> Option<&'a mut List> {
    match home {
        Home::Link(index) => match &mut links[index as usize].as_mut()?.role {
            Role::Server { subtree, .. } => Some(&mut subtree.hosts),
            Role::User { .. } | Role::Unregistered { .. } => None,
        },
        Home::Split(split) => Some(&mut lost[split.0 as usize].hosts),
        Home::Server(server) => Some(servers.confirmed_mut(server)),
        Home::Unconfirmed(server) => Some(servers.unconfirmed_mut(server)),
    }
}

#[cfg(test)]
mod tests;
