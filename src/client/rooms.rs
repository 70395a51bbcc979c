//! The rooms that the user is in, and the lines that are for the current one.

use std::collections::VecDeque;

use crate::vocabulary::Text;

/// Maximum number of [correspondents](Rooms::add_correspondent) that are remembered.
const CORRESPONDENTS_MAX: usize = 100;

/// The rooms that the user has asked to join.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    /// Names as typed, in the order in which they were made current.
    joined: Vec<String>,
    /// Names of the users with whom private messages were exchanged, oldest first.
    correspondents: VecDeque<Text>,
}

impl Rooms {
    /// Returns the current room.
    #[must_use]
    pub(super) fn current(&self) -> Option<&str> {
        self.joined.last().map(String::as_str)
    }

    /// Gives a room the name under which the user has joined it, which may differ in case.
    pub(super) fn rename(&self, room: &mut Text) {
        let joined =
            self.joined.iter().find(|joined| room.0.eq_ignore_ascii_case(joined.as_bytes()));
        if let Some(joined) = joined {
            *room = joined.as_str().into();
        }
    }

    /// Adds a room and makes it the current one.
    pub(super) fn join(&mut self, room: &str) {
        self.part(room);
        self.joined.push(room.to_owned());
    }

    /// Removes a room. The one that was current before becomes the current one.
    pub(super) fn part(&mut self, room: &str) {
        self.joined.retain(|joined| !joined.eq_ignore_ascii_case(room));
    }

    /// Remembers a user, so that a line that begins with the name is never taken for one to the
    /// current room after the user has left.
    pub(super) fn add_correspondent(&mut self, name: Text) {
        self.correspondents.retain(|known| *known != name);
        if self.correspondents.len() == CORRESPONDENTS_MAX {
            self.correspondents.pop_front();
        }
        self.correspondents.push_back(name);
    }

    /// Returns whether private messages were exchanged with a user of that name.
    #[must_use]
    pub(super) fn is_correspondent(&self, name: &str) -> bool {
        self.correspondents.iter().any(|known| known.0 == name.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_joined_room_is_current() {
        let mut rooms = Rooms::default();
        assert_eq!(rooms.current(), None);
        rooms.join("#lab");
        rooms.join("#ops");
        assert_eq!(rooms.current(), Some("#ops"));
        rooms.join("#LAB");
        assert_eq!(rooms.current(), Some("#LAB"), "as typed last");
        let mut room = Text::from("#Lab");
        rooms.rename(&mut room);
        assert_eq!(room, "#LAB".into());
        rooms.part("#other");
        rooms.part("#Lab");
        assert_eq!(rooms.current(), Some("#ops"), "the one before");
        rooms.part("#ops");
        assert_eq!(rooms.current(), None);
    }

    #[test]
    fn remembered_correspondents_are_bounded() {
        let mut rooms = Rooms::default();
        for i in 0..=CORRESPONDENTS_MAX {
            rooms.add_correspondent("0".into());
            rooms.add_correspondent(i.to_string().into());
        }
        assert_eq!(rooms.correspondents.len(), CORRESPONDENTS_MAX);
        assert!(rooms.is_correspondent("0") && rooms.is_correspondent("100"));
        assert!(!rooms.is_correspondent("1"), "the oldest");
    }
}
