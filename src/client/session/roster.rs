//! Who else is online on the CRC wire, as far as the server has told.

use std::collections::BTreeMap;

use crate::client::event::{Text, User};
use crate::id::HostId;

/// The other users by id, in the order of their ids.
#[derive(Debug, Default)]
pub(super) struct Roster {
    names: BTreeMap<HostId, Text>,
}

impl Roster {
    /// Adds a user, or gives them another name.
    pub(super) fn insert(&mut self, id: HostId, name: Text) {
        self.names.insert(id, name);
    }

    /// Forgets a user and answers their name, if they were known.
    pub(super) fn remove(&mut self, id: HostId) -> Option<Text> {
        self.names.remove(&id)
    }

    /// The name of a user.
    #[must_use]
    pub(super) fn name(&self, id: HostId) -> Option<&Text> {
        self.names.get(&id)
    }

    /// Everyone with that name, which must match to the byte.
    #[must_use]
    pub(super) fn ids_by_name(&self, name: &[u8]) -> Vec<HostId> {
        let matching = self.names.iter().filter(|(_, known)| known.0 == name);
        matching.map(|(id, _)| *id).collect()
    }

    /// Everyone, by id.
    #[must_use]
    pub(super) fn users(&self) -> Vec<User> {
        let user =
            |(id, name): (&HostId, &Text)| User { id: Some(id.0.into()), name: name.clone() };
        self.names.iter().map(user).collect()
    }
}
