//! [`Topology`]: this server, the known hosts, the live links, and the next hop towards each host.
//!
//! Invariants:
//! - Every host has a live first link, or is in the list of exactly one split.
//! - The list of a link to a server, or of a split, holds the hosts whose first link it is. A link
//!   to a user has no list: it leads to that user only.
//! - True sources: a frame counts only if it arrived over the first link of its source.

mod host;
mod index;
mod link_state;
mod table;

use slab::Slab;

pub use self::host::{FirstLink, Host, SplitId};
pub(super) use self::host::{Slot, host_size_bytes};
pub(super) use self::link_state::{LinkState, Role, Subtree};
pub use self::table::HostTable;
pub(super) use self::table::List;

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

/// The hosts that were lost with one link to a server.
#[derive(Debug)]
pub(super) struct LostSubtree {
    /// The adjacent server that was lost.
    neighbour: HostId,
    /// Time of the loss, in the topology's count of joins and splits.
    lost_event: u64,
    hosts: List,
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
#[derive(Debug)]
pub(super) struct Topology {
    identity: Identity,
    hosts: HostTable,
    /// Indexed by [`LinkId::index`]; callers pass ids of live links.
    links: ChunkedVec<Option<LinkState>>,
    lost: Slab<LostSubtree>,
    /// Number of servers that joined and links to servers that were lost: orders these events.
    event_count: u64,
    false_sources: u64,
}

impl Topology {
    /// Creates the topology of a server that knows no other host.
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity,
            hosts: HostTable::default(),
            links: ChunkedVec::default(),
            lost: Slab::new(),
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
    pub(super) fn register_server(&mut self, link: LinkId, host: HostId) -> Option<Time> {
        let joined_event = self.next_event();
        let subtree = Box::new(Subtree { joined_event, hosts: List::default() });
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

    /// Returns whether `link` is the first link of `source`.
    pub(super) fn is_first_link(&self, source: HostId, link: LinkId) -> bool {
        self.hosts.get(source).is_some_and(|host| host.first_link == FirstLink::Link(link))
    }

    /// Returns whether frames of `source` may arrive over `link`: the rule of true sources.
    #[inline]
    pub(super) fn is_valid_source(&self, source: HostId, link: LinkId) -> bool {
        match self.link(link).role {
            Role::Unregistered { .. } => false,
            Role::User { host } => host == source,
            Role::Server { .. } => self.is_first_link(source, link),
        }
    }

    /// Counts a frame that arrived over `link` from a source that is not behind it.
    pub(super) fn count_false_source(&mut self, link: LinkId) -> FalseSource {
        self.false_sources += 1;
        let state = self.link_mut(link);
        state.false_sources += 1;
        FalseSource {
            is_first: state.false_sources == 1,
            must_close: !state.is_server() && state.false_sources >= FALSE_SOURCES_MAX,
        }
    }

    /// Returns whether an id belongs to this server or to a host with a live first link.
    pub(super) fn is_reachable(&self, id: HostId) -> bool {
        self.is_reachable_host(id, self.hosts.get(id))
    }

    /// Like [`Topology::is_reachable`], for an id that has been looked up already.
    pub(super) fn is_reachable_host(&self, id: HostId, host: Option<&Host>) -> bool {
        id == self.own_id()
            || host.is_some_and(|host| matches!(host.first_link, FirstLink::Link(_)))
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
        match host.first_link {
            FirstLink::Link(link) => {
                let state = self.links.occupied(link.index as usize);
                state.is_none_or(|state| state.host_id() == Some(host.id))
            }
            FirstLink::Split(_) => false,
        }
    }

    /// Returns the id of the adjacent host that leads to `host`; during a split, that of the lost
    /// server.
    pub(super) fn first_link_host(&self, host: &Host) -> HostId {
        match host.first_link {
            FirstLink::Link(link) => {
                self.adjacent_host(link).map_or(host.id, |adjacent| adjacent.id)
            }
            FirstLink::Split(split) => self.lost(split).neighbour,
        }
    }

    /// Adds a host whose id is not in the table, behind `link`.
    pub(super) fn insert_host(&mut self, registration: &Registration<'_>, link: LinkId) -> Slot {
        let Self { hosts, links, lost, .. } = self;
        hosts.insert(registration, link, list_of(FirstLink::Link(link), links, lost))
    }

    /// Removes a host.
    pub(super) fn remove_host(&mut self, id: HostId) -> Option<Host> {
        let first_link = self.hosts.get(id)?.first_link;
        let Self { hosts, links, lost, .. } = self;
        hosts.remove(id, list_of(first_link, links, lost))
    }

    /// Records that the link to the server `neighbour` was lost, with the hosts behind it. Returns
    /// `None` if there are none.
    pub(super) fn begin_split(&mut self, neighbour: HostId, hosts: List) -> Option<SplitId> {
        if hosts.len() == 0 {
            return None;
        }
        let lost_event = self.next_event();
        let split = self.lost.insert(LostSubtree { neighbour, lost_event, hosts });
        let split = SplitId(u32::try_from(split).expect("fewer splits than links"));
        let Self { hosts, lost, .. } = self;
        hosts.set_first_link(&lost[split.0 as usize].hosts, FirstLink::Split(split));
        Some(split)
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

    /// Returns the number of hosts in a split.
    pub(super) fn lost_count(&self, split: SplitId) -> usize {
        self.lost(split).hosts.len()
    }

    /// Iterates over the hosts in a split, in the order in which they were learnt.
    pub(super) fn lost_ids(&self, split: SplitId) -> impl Iterator<Item = HostId> {
        self.hosts.ids_in(&self.lost(split).hosts)
    }

    /// Makes `link` the first link of a lost host.
    ///
    /// # Panics
    /// If the host is not lost, or the link does not lead to a server.
    pub(super) fn rejoin(&mut self, id: HostId, link: LinkId) {
        let Self { hosts, links, lost, .. } = self;
        let (slot, host) = hosts.find(id).expect("a known host");
        let (from, to) = (host.first_link, FirstLink::Link(link));
        assert!(matches!(from, FirstLink::Split(_)), "only lost hosts rejoin");
        hosts.remove_from_list(slot, list_of(from, links, lost));
        hosts.append_to_list(slot, to, list_of(to, links, lost).expect("a server's link"));
    }

    /// Returns whether the server behind a link joined before `host` was lost, or whether the host
    /// is not lost. A server that joined later may be the one behind which the host is found again.
    pub(super) fn joined_before_loss_of(&self, host: &Host, subtree: &Subtree) -> bool {
        match host.first_link {
            FirstLink::Link(_) => true,
            FirstLink::Split(split) => subtree.joined_event < self.lost(split).lost_event,
        }
    }

    /// Iterates over the splits.
    pub(super) fn splits(&self) -> impl Iterator<Item = SplitId> {
        self.lost.iter().map(|(key, _)| SplitId(u32::try_from(key).expect("a split's key")))
    }

    /// Checks that lists, first links, roles and the table agree.
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
                    self.hosts.check_route(&subtree.hosts, FirstLink::Link(state.id()));
                    listed += subtree.hosts.len();
                }
                Role::User { host } => listed += usize::from(self.is_first_link(*host, state.id())),
                Role::Unregistered { .. } => {}
            }
        }
        for split in self.splits() {
            let hosts = &self.lost(split).hosts;
            self.hosts.check_route(hosts, FirstLink::Split(split));
            listed += hosts.len();
        }
        assert_eq!(listed, self.hosts.iter().count(), "every host has one live link or one split");
        for host in self.hosts.iter() {
            if let FirstLink::Link(link) = host.first_link {
                assert!(
                    self.find_link(link).is_some(),
                    "first link {link} of host {} lives",
                    host.id
                );
            }
        }
    }
}

/// Returns the list of the hosts with this first link, or `None` for the link of a user.
fn list_of<'a>(
    first_link: FirstLink,
    links: &'a mut ChunkedVec<Option<LinkState>>,
    lost: &'a mut Slab<LostSubtree>,
) -> Option<&'a mut List> {
    match first_link {
        FirstLink::Link(link) => match &mut links[link.index as usize].as_mut()?.role {
            Role::Server { subtree, .. } => Some(&mut subtree.hosts),
            Role::User { .. } | Role::Unregistered { .. } => None,
        },
        FirstLink::Split(split) => Some(&mut lost[split.0 as usize].hosts),
    }
}

#[cfg(test)]
mod tests;
