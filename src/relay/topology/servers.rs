//! [`Servers`]: the other servers that extended links lead to. Each is the home of its users, and
//! of the hosts behind its plain neighbours.

use std::sync::Arc;

use super::host::{FirstLink, Home, HomeList, Host, ServerKey};
use super::table::{HostTable, List};
use crate::id::HostId;
use crate::link::Slab;
use crate::relay::extension::Digest;
use crate::relay::notice::ServerPair;

/// The number and the digest of a set of hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::relay) struct HostSet {
    pub(in crate::relay) count: u32,
    pub(in crate::relay) digest: Digest,
}

impl HostSet {
    /// Adds a host with its [version](super::profiles::Profiles::version).
    pub(super) fn add(&mut self, id: HostId, version: u64) {
        self.count += 1;
        self.digest.add_user(id, version);
    }

    /// Removes a host.
    pub(super) fn remove(&mut self, id: HostId, version: u64) {
        self.count -= 1;
        self.digest.remove_user(id, version);
    }
}

/// A home server.
#[derive(Clone, Debug)]
struct Server {
    id: HostId,
    route: FirstLink,
    /// The hosts of this home, itself included: [`HomeList::A`] and [`HomeList::B`].
    lists: [List; 2],
    /// Which list has the hosts that the home has confirmed. The other one has those that it has
    /// not yet confirmed in the synchronization that is in progress.
    confirmed: HomeList,
    /// The hosts of this home, itself left out.
    hosts: HostSet,
    /// The ends of the new link with which the server has joined, until its users are known.
    joined_over: Option<Arc<ServerPair>>,
    /// The server is sending all of its users.
    is_sending_users: bool,
}

/// The home servers.
#[derive(Clone, Debug, Default)]
pub(in crate::relay) struct Servers {
    slab: Slab<Server>,
}

impl Servers {
    fn get(&self, key: ServerKey) -> &Server {
        &self.slab[key.0 as usize]
    }

    fn get_mut(&mut self, key: ServerKey) -> &mut Server {
        &mut self.slab[key.0 as usize]
    }

    /// Adds a server without hosts.
    pub(super) fn insert(&mut self, id: HostId, route: FirstLink) -> ServerKey {
        let (lists, confirmed) = (<[List; 2]>::default(), HomeList::default());
        let server = Server {
            id,
            route,
            lists,
            confirmed,
            hosts: HostSet::default(),
            joined_over: None,
            is_sending_users: false,
        };
        ServerKey(u32::try_from(self.slab.insert(server)).expect("fewer servers than ids"))
    }

    /// Removes a server that has no hosts.
    pub(super) fn remove(&mut self, key: ServerKey) {
        debug_assert_eq!(self.host_count(key), 0, "a server is removed after its hosts");
        self.slab.remove(key.0 as usize);
    }

    /// Returns the id of a server.
    pub(in crate::relay) fn id(&self, key: ServerKey) -> HostId {
        self.get(key).id
    }

    /// Returns the next hop towards a server.
    #[inline]
    pub(in crate::relay) fn route(&self, key: ServerKey) -> FirstLink {
        self.get(key).route
    }

    /// Sets the next hop towards a server.
    pub(super) fn set_route(&mut self, key: ServerKey, route: FirstLink) {
        self.get_mut(key).route = route;
    }

    /// Returns the ends of the new link with which a server has joined, until its users are known.
    pub(super) fn joined_over(&self, key: ServerKey) -> Option<&Arc<ServerPair>> {
        self.get(key).joined_over.as_ref()
    }

    /// Sets the ends of the new link with which a server has joined.
    pub(super) fn set_joined_over(&mut self, key: ServerKey, link: Option<Arc<ServerPair>>) {
        self.get_mut(key).joined_over = link;
    }

    /// Returns whether a server is sending all of its users.
    pub(super) fn is_sending_users(&self, key: ServerKey) -> bool {
        self.get(key).is_sending_users
    }

    /// Sets whether a server is sending all of its users.
    pub(super) fn set_sending_users(&mut self, key: ServerKey, is_sending: bool) {
        self.get_mut(key).is_sending_users = is_sending;
    }

    /// Returns the number and the digest of the hosts of a server, itself left out.
    pub(in crate::relay) fn hosts(&self, key: ServerKey) -> HostSet {
        self.get(key).hosts
    }

    /// Like [`Servers::hosts`], to change the digest.
    pub(super) fn hosts_mut(&mut self, key: ServerKey) -> &mut HostSet {
        &mut self.get_mut(key).hosts
    }

    /// Updates the digest of a home for a host that was added or removed.
    pub(super) fn count(
        &mut self,
        key: ServerKey,
        id: HostId,
        version: u64,
        update: fn(&mut HostSet, HostId, u64),
    ) {
        let server = self.get_mut(key);
        if server.id != id {
            update(&mut server.hosts, id, version);
        }
    }

    /// Returns the number of hosts of a server, itself included.
    pub(super) fn host_count(&self, key: ServerKey) -> usize {
        self.get(key).lists.iter().map(List::len).sum()
    }

    /// Iterates over the hosts of a server, itself last.
    pub(super) fn leaving_ids<'a>(
        &'a self,
        key: ServerKey,
        hosts: &'a HostTable,
    ) -> impl Iterator<Item = HostId> + use<'a> {
        let server = self.get(key);
        let lists = [server.confirmed, server.confirmed.other()];
        let ids = lists.into_iter().flat_map(|list| hosts.ids_in(&server.lists[list as usize]));
        ids.filter(move |&id| id != server.id).chain(std::iter::once(server.id))
    }

    /// Returns which list has the hosts that a server has confirmed.
    pub(super) fn confirmed(&self, key: ServerKey) -> HomeList {
        self.get(key).confirmed
    }

    /// Lets the two lists of a server change places.
    pub(super) fn swap_lists(&mut self, key: ServerKey) {
        let server = self.get_mut(key);
        server.confirmed = server.confirmed.other();
    }

    /// Returns a list of the hosts of a server.
    pub(super) fn list(&self, key: ServerKey, list: HomeList) -> &List {
        &self.get(key).lists[list as usize]
    }

    /// Like [`Servers::list`], to change it.
    pub(super) fn list_mut(&mut self, key: ServerKey, list: HomeList) -> &mut List {
        &mut self.get_mut(key).lists[list as usize]
    }

    /// Iterates over the servers and their routes.
    pub(super) fn routes(&self) -> impl Iterator<Item = (ServerKey, FirstLink)> {
        self.slab.iter().map(|(key, server)| {
            (ServerKey(u32::try_from(key).expect("a server's key")), server.route)
        })
    }

    /// Checks that lists and digests agree with the table. Returns the number of hosts listed.
    ///
    /// # Panics
    /// If they do not.
    pub(super) fn check(
        &self,
        hosts: &HostTable,
        add_memberships: impl Fn(HostId, &mut Digest),
    ) -> usize {
        let mut listed = 0;
        for (key, _) in self.routes() {
            let server = self.get(key);
            for list in [HomeList::A, HomeList::B] {
                hosts.check_home(self.list(key, list), Home::Server(key, list));
            }
            let home = hosts.get(server.id).map(Host::home);
            assert_eq!(home, Some(Home::Server(key, server.confirmed)), "a server confirms itself");
            listed += self.host_count(key);
            let mut set = HostSet::default();
            for id in self.leaving_ids(key, hosts).filter(|&id| id != server.id) {
                let stamp = hosts.get(id).expect("a listed host").stamp();
                set.add(id, hosts.profiles().version(id, stamp));
                add_memberships(id, &mut set.digest);
            }
            assert_eq!(server.hosts, set, "the digest of server {}", server.id);
        }
        listed
    }
}
