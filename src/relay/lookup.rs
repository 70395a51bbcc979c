//! What the relay knows of its links, and of the way to each host.

use super::topology::{FirstLink, Host};
use super::{NickClaim, Relay};
use crate::id::HostId;
use crate::link::LinkId;

impl Relay {
    /// Returns the claim of a host on its name as a nick, if it is a user of the IRC wire.
    pub(crate) fn nick_claim(&self, host: &Host) -> Option<NickClaim> {
        NickClaim::of(host, &self.topology)
    }

    /// Returns the registered host at the other end of a link.
    #[must_use]
    pub fn adjacent_host(&self, link: LinkId) -> Option<&Host> {
        self.topology.adjacent_host(link)
    }

    /// Returns whether a link leads to the parent, or dials it.
    #[must_use]
    pub fn is_uplink(&self, link: LinkId) -> bool {
        self.peering.is_uplink(link)
    }

    /// Returns whether both ends of a link have committed to the extension.
    #[must_use]
    pub fn is_extended(&self, link: LinkId) -> bool {
        self.topology.find_link(link).is_some_and(|state| state.is_extended())
    }

    /// Returns the next hop towards a host.
    #[must_use]
    pub fn first_link(&self, host: &Host) -> FirstLink {
        self.topology.first_link(host)
    }

    /// Returns the id of the adjacent host that leads to `host`; during a split, that of the lost
    /// server.
    #[must_use]
    pub fn first_link_host(&self, host: &Host) -> HostId {
        self.topology.first_link_host(host)
    }

    /// Returns the id of the server that alone adds and removes `host`.
    #[must_use]
    pub fn home_id(&self, host: &Host) -> HostId {
        self.topology.home_id(host)
    }

    /// Returns whether the table has room for a user with a name and an info of usual length.
    #[must_use]
    pub fn has_room_for_user(&self) -> bool {
        self.topology.hosts().has_room_for_user(self.limits.host_table_bytes_max)
    }
}
