//! Who else is online, as far as the server has told.

use std::collections::BTreeMap;

use super::event::{Text, User};

/// The other users by id, in the order of their ids.
#[derive(Debug, Default)]
pub(super) struct Roster {
    names: BTreeMap<i64, Text>,
}

impl Roster {
    /// Adds a user, or gives them another name.
    pub(super) fn insert(&mut self, id: i64, name: Text) {
        self.names.insert(id, name);
    }

    /// Forgets a user and answers their name, if they were known.
    pub(super) fn remove(&mut self, id: i64) -> Option<Text> {
        self.names.remove(&id)
    }

    /// The name of a user.
    #[must_use]
    pub(super) fn name(&self, id: i64) -> Option<&Text> {
        self.names.get(&id)
    }

    /// Everyone with that name, which must match to the byte.
    #[must_use]
    pub(super) fn ids(&self, name: &[u8]) -> Vec<i64> {
        let same = self.names.iter().filter(|(_, known)| known.0 == name);
        same.map(|(id, _)| *id).collect()
    }

    /// Everyone, by id.
    #[must_use]
    pub(super) fn users(&self) -> Vec<User> {
        let user = |(id, name): (&i64, &Text)| User { id: Some(*id), name: name.clone() };
        self.names.iter().map(user).collect()
    }
}
