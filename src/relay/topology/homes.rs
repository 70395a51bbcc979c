//! Hosts and their homes: which list a host is in, and the stamps and digests of each home.

use super::link_state::{LinkState, Role};
use super::servers::{HostSet, Servers};
use super::splits::LostSubtree;
use super::{FirstLink, Home, HomeList, Host, List, ServerKey, Slot, Topology};
use crate::chunked_vec::ChunkedVec;
use crate::id::HostId;
use crate::link::{LinkId, Slab};
use crate::relay::message::Registration;
use crate::relay::profile::Profile;

impl Topology {
    /// Returns the next logical time.
    pub(in crate::relay) fn next_stamp(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Records a logical time that another server has assigned.
    pub(in crate::relay) fn observe_stamp(&mut self, stamp: u64) {
        self.clock = self.clock.max(stamp);
    }

    /// Adds a host whose id is not in the table.
    pub(in crate::relay) fn insert_host(
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
    pub(in crate::relay) fn remove_host(&mut self, id: HostId) -> Option<Host> {
        let home = self.hosts.get(id)?.home;
        self.leave_all_rooms(id, home);
        self.set_profile(id, Profile::default());
        self.mark_quits(id);
        self.rooms.listeners.remove(&id);
        let Self { hosts, links, servers, lost, .. } = self;
        let host = hosts.remove(id, list_of(home, links, servers, lost))?;
        self.count(id, home, host.stamp, HostSet::remove);
        if let Some(server) = home.server().filter(|&server| self.servers.id(server) == id) {
            self.leave_split(server);
            self.forget_unconfirmed_rooms(server);
            self.forget_server_members(server);
            self.servers.remove(server);
        }
        Some(host)
    }

    /// Moves a host to another home, with another stamp.
    pub(in crate::relay) fn set_home(&mut self, id: HostId, home: Home, stamp: u64) {
        let (slot, host) = self.hosts.find(id).expect("a known host");
        let (old_home, old_stamp) = (host.home, host.stamp);
        self.rehome_rooms(id, old_home, home);
        let Self { hosts, links, servers, lost, .. } = self;
        hosts.remove_from_list(slot, list_of(old_home, links, servers, lost));
        hosts.append_to_list(slot, home, list_of(home, links, servers, lost));
        hosts.set_stamp(slot, stamp);
        self.count(id, old_home, old_stamp, HostSet::remove);
        self.count(id, home, stamp, HostSet::add);
    }

    /// Sets the profile of a user. Returns whether it was another.
    pub(in crate::relay) fn set_profile(&mut self, id: HostId, profile: Profile<'_>) -> bool {
        let Some(host) = self.hosts.get(id) else { return false };
        let (home, stamp) = (host.home, host.stamp);
        if self.hosts.profile(id) == profile {
            return false;
        }
        self.count(id, home, stamp, HostSet::remove);
        self.hosts.profiles_mut().set(id, profile);
        self.count(id, home, stamp, HostSet::add);
        true
    }

    /// Updates the digest of a home for a host that was added or removed.
    pub(super) fn count(
        &mut self,
        id: HostId,
        home: Home,
        stamp: u64,
        update: fn(&mut HostSet, HostId, u64),
    ) {
        let version = self.hosts.profiles().version(id, stamp);
        match home {
            Home::Server(server, _) => {
                self.servers.count(server, id, version, update);
            }
            Home::Split(split) if !self.lost(split).is_own => {}
            Home::Link(_) | Home::Split(_) => {
                update(&mut self.own_hosts, id, version);
                self.own_host_count_max = self.own_host_count_max.max(self.own_hosts.count);
            }
        }
    }

    /// Returns the number and the digest of the hosts whose home is this server.
    pub(in crate::relay) fn own_hosts(&self) -> HostSet {
        self.own_hosts
    }

    /// Returns the key of a server that extended links lead to.
    pub(in crate::relay) fn server_key(&self, id: HostId) -> Option<ServerKey> {
        let server = self.hosts.get(id)?.home.server()?;
        (self.servers.id(server) == id).then_some(server)
    }

    /// Adds a server that extended links lead to, with the next hop towards it.
    pub(in crate::relay) fn insert_server(
        &mut self,
        registration: &Registration<'_>,
        link: LinkId,
    ) -> Slot {
        let server = self.servers.insert(registration.source, FirstLink::Link(link));
        self.insert_host(registration, self.confirmed_home(server), 0)
    }

    /// Returns the hosts of a server.
    pub(in crate::relay) fn server_hosts(&self, server: ServerKey) -> Vec<HostId> {
        self.servers.leaving_ids(server, &self.hosts).collect()
    }

    /// Returns the home of a host that a server has confirmed.
    pub(in crate::relay) fn confirmed_home(&self, server: ServerKey) -> Home {
        Home::Server(server, self.servers.confirmed(server))
    }

    /// Marks the hosts of a server as not confirmed, before the server sends all of them.
    ///
    /// The two lists of the server change places, whatever the number of its hosts. Only if an
    /// earlier synchronization was interrupted are the hosts of the shorter list moved.
    pub(in crate::relay) fn unconfirm_hosts(&mut self, server: ServerKey) {
        let (id, confirmed) = (self.servers.id(server), self.servers.confirmed(server));
        let len = |list: HomeList| self.servers.list(server, list).len();
        let (mut from, mut to) = (confirmed.other(), confirmed);
        if len(from) > len(to) {
            (from, to) = (to, from);
        }
        let moved: Vec<HostId> = self.hosts.ids_in(self.servers.list(server, from)).collect();
        for host in moved {
            self.move_to_list(host, server, to);
        }
        if to == confirmed {
            self.servers.swap_lists(server);
        }
        self.move_to_list(id, server, self.servers.confirmed(server));
    }

    fn move_to_list(&mut self, host: HostId, server: ServerKey, list: HomeList) {
        let stamp = self.hosts.get(host).expect("a listed host").stamp;
        self.set_home(host, Home::Server(server, list), stamp);
    }

    /// Returns the id of the home of a host.
    pub(in crate::relay) fn home_id(&self, host: &Host) -> HostId {
        match host.home {
            Home::Split(split) if !self.lost(split).is_own => self.lost(split).neighbour,
            Home::Link(_) | Home::Split(_) => self.own_id(),
            Home::Server(server, _) => self.servers.id(server),
        }
    }

    /// Returns whether another server than this one is the home of a host.
    pub(in crate::relay) fn is_of_other_home(&self, host: &Host) -> bool {
        host.home.server().is_some() || self.waits_for_home(host)
    }

    /// Returns whether a host waits for its home, which has come back without it.
    pub(in crate::relay) fn waits_for_home(&self, host: &Host) -> bool {
        self.waits_at(host.home)
    }

    pub(super) fn waits_at(&self, home: Home) -> bool {
        matches!(home, Home::Split(split) if !self.lost(split).is_own)
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
        Home::Server(server, list) => Some(servers.list_mut(server, list)),
    }
}
