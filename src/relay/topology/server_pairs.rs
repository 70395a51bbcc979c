//! The links between servers that were lost or are new, as those are shown who see users leave and
//! join for it.

use std::sync::Arc;

use super::{FirstLink, ServerKey, SplitId, Topology};
use crate::id::HostId;
use crate::link::LinkId;
use crate::relay::notice::ServerPair;

impl Topology {
    fn name_of(&self, id: HostId) -> Box<[u8]> {
        if id == self.own_id() {
            return self.identity.name.as_slice().into();
        }
        self.hosts.get(id).map_or_else(Box::default, |host| host.name().into())
    }

    /// Returns the server next to another one, on the way from there to this server.
    pub(in crate::relay) fn hub_of(&self, id: HostId) -> HostId {
        self.routes.fact(id).map_or(self.own_id(), |fact| fact.via)
    }

    /// Returns the ends of a link between two servers.
    pub(super) fn pair(&self, hub: HostId, leaf: HostId) -> Arc<ServerPair> {
        Arc::new(ServerPair { hub: self.name_of(hub), leaf: self.name_of(leaf) })
    }

    /// Returns the ends of the last link on the way to a server.
    pub(in crate::relay) fn link_towards(&self, id: HostId) -> Arc<ServerPair> {
        self.pair(self.hub_of(id), id)
    }

    /// Returns the ends of the link whose loss has led to a split.
    pub(in crate::relay) fn lost_link(&self, split: SplitId) -> Arc<ServerPair> {
        self.lost(split).link.clone()
    }

    /// Records that a server has joined, behind another one that has just joined or with a link of
    /// its own.
    pub(in crate::relay) fn record_joining(&mut self, server: ServerKey) {
        let id = self.servers.id(server);
        let hub = self.server_key(self.hub_of(id));
        let link = hub.and_then(|hub| self.servers.joined_over(hub).cloned());
        let link = link.unwrap_or_else(|| self.link_towards(id));
        self.servers.set_joined_over(server, Some(link));
    }

    /// Records that the users of all servers that are reached over a link are known.
    pub(in crate::relay) fn end_joining(&mut self, link: LinkId) {
        let behind: Vec<ServerKey> = self
            .servers
            .routes()
            .filter(|(_, route)| *route == FirstLink::Link(link))
            .map(|(server, _)| server)
            .filter(|&server| self.servers.joined_over(server).is_some())
            .collect();
        for server in behind {
            self.servers.set_joined_over(server, None);
        }
    }

    /// Records that the users of a server are known.
    pub(in crate::relay) fn end_joining_of(&mut self, server: ServerKey) {
        self.servers.set_joined_over(server, None);
    }

    /// Records that a server begins to send all of its users.
    pub(in crate::relay) fn begin_users(&mut self, server: ServerKey) {
        self.servers.set_sending_users(server, true);
    }

    /// Records that a server has sent all of its users.
    pub(in crate::relay) fn end_users(&mut self, server: ServerKey) {
        self.servers.set_sending_users(server, false);
        self.end_joining_of(server);
    }

    /// Returns whether a server is sending all of its users.
    pub(in crate::relay) fn is_sending_users(&self, server: ServerKey) -> bool {
        self.servers.is_sending_users(server)
    }
}
