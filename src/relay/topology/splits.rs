//! Splits: what was lost with a link, until it comes back or its grace is over.

use std::sync::Arc;

use super::link_state::Subtree;
use super::servers::HostSet;
use super::{FirstLink, Home, Host, List, ServerKey, SplitId, Topology};
use crate::id::HostId;
use crate::link::LinkId;
use crate::relay::extension::Digest;
use crate::relay::notice::ServerPair;

/// What was lost with one link to a server.
#[derive(Clone, Debug)]
pub(super) struct LostSubtree {
    /// The adjacent server that was lost.
    pub(super) neighbour: HostId,
    /// The ends of the link that was lost, here or elsewhere.
    pub(super) link: Arc<ServerPair>,
    /// Time of the loss, in the topology's count of joins and splits.
    pub(super) lost_event: u64,
    /// The hosts behind a plain neighbour, and hosts that their home did not confirm.
    pub(super) hosts: List,
    /// The servers whose route was the link.
    pub(super) servers: Vec<ServerKey>,
    /// This server is the home of `hosts`.
    pub(super) is_own: bool,
    /// The server in whose rooms `hosts` stay: their home, which is back and has still to register
    /// them.
    pub(super) rooms_at: Option<ServerKey>,
}

impl Topology {
    /// Records that the link to the plain server `neighbour` was lost, with the hosts behind it.
    /// Returns `None` if there are none.
    pub(in crate::relay) fn begin_split(
        &mut self,
        neighbour: HostId,
        hosts: List,
    ) -> Option<SplitId> {
        let link = self.pair(self.own_id(), neighbour);
        (hosts.len() > 0).then(|| self.insert_split((neighbour, link), hosts, Vec::new(), true))
    }

    /// Records that servers have lost their route, because the link between `hub` and `neighbour`
    /// was lost, here or elsewhere. Returns `None` if there are none.
    pub(in crate::relay) fn split_servers(
        &mut self,
        (hub, neighbour): (HostId, HostId),
        servers: Vec<ServerKey>,
    ) -> Option<SplitId> {
        if servers.is_empty() {
            return None;
        }
        let link = self.pair(hub, neighbour);
        Some(self.insert_split((neighbour, link), List::default(), servers, false))
    }

    /// Puts all hosts of a server but itself into a split, since it has still to register them
    /// after the loss of a link. They stay in their rooms. Returns `None` if there are none.
    ///
    /// A server may have very many hosts: each is only put into the other list.
    pub(in crate::relay) fn split_hosts(
        &mut self,
        server: ServerKey,
        link: Arc<ServerPair>,
    ) -> Option<SplitId> {
        self.unconfirm_hosts(server);
        let (id, unconfirmed) = (self.servers.id(server), self.servers.confirmed(server).other());
        let hosts = std::mem::take(self.servers.list_mut(server, unconfirmed));
        if hosts.len() == 0 {
            return None;
        }
        *self.servers.hosts_mut(server) = HostSet::default();
        let split = self.insert_split((id, link), hosts, Vec::new(), false);
        self.lost[split.0 as usize].rooms_at = Some(server);
        Some(split)
    }

    /// Puts the hosts that their home did not confirm into a split, after the loss of a link. They
    /// stay in their rooms. Returns `None` if there are none.
    pub(in crate::relay) fn split_unconfirmed(
        &mut self,
        server: ServerKey,
        link: Arc<ServerPair>,
    ) -> Option<SplitId> {
        let id = self.servers.id(server);
        let unconfirmed = self.servers.confirmed(server).other();
        let hosts = std::mem::take(self.servers.list_mut(server, unconfirmed));
        let ids: Vec<HostId> = self.hosts.ids_in(&hosts).collect();
        let mut memberships = Digest::default();
        for &id in &ids {
            self.add_memberships(id, &mut memberships);
            let stamp = self.hosts.get(id).expect("a listed host").stamp;
            let version = self.hosts.profiles().version(id, stamp);
            self.servers.count(server, id, version, HostSet::remove);
        }
        self.servers.hosts_mut(server).digest -= memberships;
        if ids.is_empty() {
            return None;
        }
        let split = self.insert_split((id, link), hosts, Vec::new(), false);
        self.lost[split.0 as usize].rooms_at = Some(server);
        Some(split)
    }

    /// Lets a user leave all rooms that waits for its home, which has registered it anew.
    pub(in crate::relay) fn forget_rooms_of_waiting(&mut self, user: HostId) {
        if let Some(home) =
            self.hosts.get(user).map(|host| host.home).filter(|&it| self.waits_at(it))
        {
            self.forget_rooms(user, home);
        }
    }

    /// Lets the hosts that a server has still to register leave their rooms, since it leaves.
    pub(super) fn forget_unconfirmed_rooms(&mut self, server: ServerKey) {
        for split in self.splits().collect::<Vec<_>>() {
            if self.lost(split).rooms_at == Some(server) {
                for id in self.hosts.ids_in(&self.lost(split).hosts).collect::<Vec<_>>() {
                    self.forget_rooms(id, Home::Split(split));
                }
                self.lost[split.0 as usize].rooms_at = None;
            }
        }
    }

    fn insert_split(
        &mut self,
        (neighbour, link): (HostId, Arc<ServerPair>),
        hosts: List,
        servers: Vec<ServerKey>,
        is_own: bool,
    ) -> SplitId {
        let lost_event = self.next_event();
        let rooms_at = None;
        let split = LostSubtree { neighbour, link, lost_event, hosts, servers, is_own, rooms_at };
        let split =
            SplitId(u32::try_from(self.lost.insert(split)).expect("fewer splits than links"));
        let Self { hosts, lost, servers, .. } = self;
        let subtree = &lost[split.0 as usize];
        hosts.set_home(&subtree.hosts, Home::Split(split));
        for &server in &subtree.servers {
            servers.set_route(server, FirstLink::Split(split));
            servers.set_sending_users(server, false);
        }
        split
    }

    /// Removes a lost server from its split.
    pub(super) fn leave_split(&mut self, server: ServerKey) {
        if let FirstLink::Split(split) = self.servers.route(server) {
            self.lost[split.0 as usize].servers.retain(|&other| other != server);
        }
    }

    /// Returns the ids of the servers in a split, the one behind the lost link first: others name
    /// that link by the first one that is withdrawn.
    pub(in crate::relay) fn lost_servers(&self, split: SplitId) -> Vec<HostId> {
        let lost = self.lost(split);
        let ids = lost.servers.iter().map(|&server| self.servers.id(server));
        let (first, others): (Vec<_>, Vec<_>) = ids.partition(|&id| id == lost.neighbour);
        [first, others].concat()
    }

    /// Ends a split that has no hosts any more.
    pub(in crate::relay) fn end_split(&mut self, split: SplitId) {
        debug_assert_eq!(self.lost_count(split), 0, "a split ends when its hosts are gone");
        self.lost.remove(split.0 as usize);
    }

    pub(super) fn lost(&self, split: SplitId) -> &LostSubtree {
        &self.lost[split.0 as usize]
    }

    /// Returns the server whose loss began a split.
    pub(in crate::relay) fn lost_neighbour(&self, split: SplitId) -> HostId {
        self.lost(split).neighbour
    }

    /// Returns whether a split has no hosts any more.
    pub(in crate::relay) fn is_split_over(&self, split: SplitId) -> bool {
        let lost = self.lost(split);
        lost.hosts.len() == 0 && lost.servers.is_empty()
    }

    /// Returns the splits of hosts behind the plain neighbour with this id.
    pub(in crate::relay) fn plain_splits(&self, neighbour: HostId) -> Vec<SplitId> {
        let is_its = |split: &SplitId| {
            let lost = self.lost(*split);
            lost.is_own && lost.neighbour == neighbour
        };
        self.splits().filter(is_its).collect()
    }

    /// Returns the number of hosts in a split.
    pub(in crate::relay) fn lost_count(&self, split: SplitId) -> usize {
        let lost = self.lost(split);
        let behind = lost.servers.iter().map(|&server| self.servers.host_count(server));
        lost.hosts.len() + behind.sum::<usize>()
    }

    /// Iterates over the hosts in a split: of each home in turn, its users before itself.
    pub(in crate::relay) fn lost_ids(&self, split: SplitId) -> impl Iterator<Item = HostId> {
        let lost = self.lost(split);
        let leaving = |&server| self.servers.leaving_ids(server, &self.hosts);
        let behind = lost.servers.iter().flat_map(leaving);
        self.hosts.ids_in(&lost.hosts).chain(behind)
    }

    /// Makes `link` the first link of a host that was lost behind a plain neighbour.
    ///
    /// # Panics
    /// If the host is not lost, or the link does not lead to a server.
    pub(in crate::relay) fn rejoin(&mut self, id: HostId, link: LinkId) {
        let host = self.hosts.get(id).expect("a known host");
        assert!(matches!(host.home, Home::Split(_)), "only lost hosts rejoin");
        let stamp = host.stamp;
        self.set_home(id, Home::Link(link.index), stamp);
    }

    /// Returns whether the server behind a link joined before `host` was lost, or whether the host
    /// is not lost. A server that joined later may be the one behind which the host is found again.
    pub(in crate::relay) fn joined_before_loss_of(&self, host: &Host, subtree: &Subtree) -> bool {
        match self.first_link(host) {
            FirstLink::Link(_) => true,
            FirstLink::Split(split) => subtree.joined_event < self.lost(split).lost_event,
        }
    }

    /// Iterates over the splits.
    pub(in crate::relay) fn splits(&self) -> impl Iterator<Item = SplitId> {
        self.lost.iter().map(|(key, _)| SplitId(u32::try_from(key).expect("a split's key")))
    }
}
