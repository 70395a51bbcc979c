//! The other users on the CRC wire, as registered by the server.

use std::collections::BTreeMap;

use crate::id::HostId;
use crate::vocabulary::{Text, User};

/// The other users, ordered by id.
#[derive(Debug, Default)]
pub(super) struct Roster {
    names: BTreeMap<HostId, Text>,
}

impl Roster {
    /// Adds a user or replaces the user's name.
    pub(super) fn insert(&mut self, id: HostId, name: Text) {
        self.names.insert(id, name);
    }

    /// Removes a user. Returns the name if the user was known.
    pub(super) fn remove(&mut self, id: HostId) -> Option<Text> {
        self.names.remove(&id)
    }

    /// Returns the name of a user.
    #[must_use]
    pub(super) fn name(&self, id: HostId) -> Option<&Text> {
        self.names.get(&id)
    }

    /// Returns the ids of all users with exactly that name.
    #[must_use]
    pub(super) fn ids_by_name(&self, name: &[u8]) -> Vec<HostId> {
        let matching = self.names.iter().filter(|(_, known)| known.0 == name);
        matching.map(|(id, _)| *id).collect()
    }

    /// Returns all users, ordered by id.
    #[must_use]
    pub(super) fn users(&self) -> Vec<User> {
        let user =
            |(id, name): (&HostId, &Text)| User { id: Some(id.0.into()), name: name.clone() };
        self.names.iter().map(user).collect()
    }
}
