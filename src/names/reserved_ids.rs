//! Ids that were assigned to clients which are not users of the network yet.

use std::collections::BTreeMap;

use crate::id::HostId;
use crate::link::LinkId;

/// The reserved ids, with the links of their clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReservedIds(BTreeMap<HostId, LinkId>);

impl ReservedIds {
    /// Returns whether no id is reserved.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reserves an id for the client of a link.
    pub(crate) fn insert(&mut self, id: HostId, link: LinkId) {
        self.0.insert(id, link);
    }

    /// Ends the reservation of an id, if there is one.
    pub(crate) fn remove(&mut self, id: HostId) {
        self.0.remove(&id);
    }

    /// Returns the link of the client for which an id is reserved.
    pub(crate) fn link_of(&self, id: HostId) -> Option<LinkId> {
        self.0.get(&id).copied()
    }
}
