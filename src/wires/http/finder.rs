//! Finds a user by name, which several users may have.

use crate::id::HostId;
use crate::limits::WEB_HOSTS_PER_STEP_MAX;
use crate::relay::HostTable;
use crate::relay::message::HostKind;

/// What a search has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The only user with the name.
    One(HostId),
    /// Nobody has the name.
    Nobody,
    /// Several users have the name.
    Several,
    /// The search continues with the next call.
    Later,
}

/// A search, and its result while the network has the same users.
#[derive(Clone, Debug, Default)]
pub(super) struct Finder {
    name: Box<[u8]>,
    next_slot: usize,
    found: Option<HostId>,
    /// The join order at the start of the search: a user who has joined since may have the name.
    join_seq: u64,
}

impl Finder {
    /// Continues the search for a name, or begins another.
    pub(super) fn find(&mut self, name: &[u8], hosts: &HostTable) -> Found {
        let is_same = *self.name == *name && self.join_seq == hosts.next_join_seq();
        if !is_same {
            let join_seq = hosts.next_join_seq();
            *self = Self { name: name.into(), next_slot: 0, found: None, join_seq };
        }
        let has_name = |id: &HostId| hosts.get(*id).is_some_and(|host| host.name() == name);
        let end = hosts.slot_count().min(self.next_slot + WEB_HOSTS_PER_STEP_MAX);
        while self.next_slot < end {
            let host = hosts.at_slot(self.next_slot);
            self.next_slot += 1;
            if let Some(host) = host
                && host.kind == HostKind::User
                && host.name() == name
                && self.found.replace(host.id).is_some()
            {
                *self = Self::default();
                return Found::Several;
            }
        }
        if self.next_slot < hosts.slot_count() {
            return Found::Later;
        }
        self.found.filter(has_name).map_or(Found::Nobody, Found::One)
    }
}
