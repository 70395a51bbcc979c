//! The relations between lists, homes, routes, roles and the table.

use super::link_state::{LinkState, Role};
use super::servers::HostSet;
use super::{FirstLink, Home, Topology};

impl Topology {
    /// Checks that lists, homes, routes, roles and the table agree.
    ///
    /// # Panics
    /// If they do not.
    pub(in crate::relay) fn check(&self) {
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
        listed += self.servers.check(&self.hosts, |id, digest| self.add_memberships(id, digest));
        assert_eq!(listed, self.hosts.iter().count(), "every host has one live link or one home");
        let mut own = HostSet::default();
        for host in self.hosts.iter() {
            if let Home::Link(index) = host.home {
                assert!(self.links[index as usize].is_some(), "the link of host {} lives", host.id);
            }
            if self.home_id(host) == self.own_id() && !self.waits_for_home(host) {
                own.add(host.id, self.hosts.profiles().version(host.id, host.stamp));
                self.add_memberships(host.id, &mut own.digest);
            }
            assert!(host.stamp <= self.clock, "the clock is not behind host {}", host.id);
        }
        assert_eq!(self.own_hosts, own, "the digest of the hosts of this server");
        self.check_rooms();
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
