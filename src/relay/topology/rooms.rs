//! [`Rooms`]: which users are in which rooms.
//!
//! Membership is a fact about a user, which the user's home alone changes. A room exists while
//! somebody is in it. See "Rooms" in `docs/PROTOCOL.md`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

use foldhash::fast::RandomState;

use super::host::ServerKey;
use super::room_events::RoomEvent;
use crate::id::HostId;
use crate::link::Slab;
use crate::room::RoomName;

/// Where the members of a room are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::relay) enum MemberHome {
    /// At this server, or behind a plain neighbour of it.
    Own,
    /// At another server, to which routes lead.
    Server(ServerKey),
}

/// How far the members of a room were listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberCursor {
    home: Option<MemberHome>,
    index: usize,
}

/// A room in which somebody is.
#[derive(Clone, Debug)]
pub(in crate::relay) struct Room {
    /// The name as it was first used.
    pub(super) name: Box<[u8]>,
    /// By home; no set is empty.
    pub(super) members: BTreeMap<MemberHome, MemberSet>,
    /// The members at this server who are sent its events.
    pub(super) listeners: MemberSet,
    /// The id under which clients and plain neighbours know the room.
    pub(super) shown_as: Option<HostId>,
}

impl Room {
    /// Returns the name.
    pub(in crate::relay) fn name(&self) -> RoomName<'_> {
        RoomName::parse(&self.name).expect("the name of a room")
    }

    /// Returns the id under which the room is shown as a user, if it is.
    pub(in crate::relay) fn shown_as(&self) -> Option<HostId> {
        self.shown_as
    }

    /// Returns the number of members.
    pub(in crate::relay) fn len(&self) -> usize {
        self.members.values().map(|set| set.ids.len()).sum()
    }

    /// Returns the members at a home, in an order that depends only on joins and leaves.
    pub(in crate::relay) fn members_at(&self, home: MemberHome) -> &[HostId] {
        self.members.get(&home).map_or(&[], |set| &set.ids)
    }

    /// Iterates over all members.
    pub(in crate::relay) fn members(&self) -> impl Iterator<Item = HostId> {
        self.members.values().flat_map(|set| set.ids.iter().copied())
    }

    /// Returns up to `count_max` further members, by home, and whether there are more.
    pub(in crate::relay) fn next_members(
        &self,
        cursor: &mut MemberCursor,
        count_max: usize,
    ) -> (Vec<HostId>, bool) {
        let mut ids = Vec::new();
        let start = cursor.home.map_or(Bound::Unbounded, Bound::Included);
        for (&home, set) in self.members.range((start, Bound::Unbounded)) {
            if cursor.home.replace(home) != Some(home) {
                cursor.index = 0;
            }
            if ids.len() == count_max {
                return (ids, true);
            }
            let rest = set.ids.get(cursor.index..).unwrap_or_default();
            let count = rest.len().min(count_max - ids.len());
            ids.extend_from_slice(&rest[..count]);
            cursor.index += count;
            if count < rest.len() {
                return (ids, true);
            }
        }
        (ids, false)
    }

    /// Iterates over the other servers that have members.
    pub(in crate::relay) fn servers(&self) -> impl Iterator<Item = ServerKey> {
        self.members.keys().filter_map(|home| match home {
            MemberHome::Own => None,
            MemberHome::Server(server) => Some(*server),
        })
    }
}

/// A set of users that is iterated in a definite order.
#[derive(Clone, Debug, Default)]
pub(super) struct MemberSet {
    pub(super) ids: Vec<HostId>,
    pub(super) positions: HashMap<HostId, usize, RandomState>,
}

impl MemberSet {
    pub(super) fn insert(&mut self, id: HostId) {
        self.positions.insert(id, self.ids.len());
        self.ids.push(id);
    }

    pub(super) fn remove(&mut self, id: HostId) {
        let Some(position) = self.positions.remove(&id) else { return };
        self.ids.swap_remove(position);
        if let Some(&moved) = self.ids.get(position) {
            self.positions.insert(moved, position);
        }
    }
}

/// The users of another server who are in rooms.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerMembers {
    /// Their home has confirmed them.
    pub(super) confirmed: HashSet<HostId, RandomState>,
    /// Their home has not yet confirmed them in the synchronization that is in progress.
    pub(super) unconfirmed: HashSet<HostId, RandomState>,
    /// The number of the latest room message from a user there.
    pub(super) last_number: u64,
}

/// A room that has ended, and was shown as a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) struct EndedRoom {
    /// The id under which it was shown.
    pub(in crate::relay) shown_as: HostId,
}

/// All rooms.
#[derive(Clone, Debug, Default)]
pub(in crate::relay) struct Rooms {
    pub(super) slab: Slab<Room>,
    pub(super) by_key: BTreeMap<Box<[u8]>, usize>,
    pub(super) by_shown_id: BTreeMap<HostId, usize>,
    /// The rooms of each user who is in any, in the order of joining.
    pub(super) by_user: HashMap<HostId, Vec<usize>, RandomState>,
    pub(super) by_server: BTreeMap<ServerKey, ServerMembers>,
    /// Users of this server who are sent the events of their rooms.
    pub(super) listeners: HashSet<HostId, RandomState>,
    /// Joins and leaves, until those are notified who listen.
    pub(super) events: Vec<RoomEvent>,
    /// Shown rooms that have ended, until that is announced.
    pub(super) ended: Vec<EndedRoom>,
    /// Users whose home no longer has them in any room, until that is announced: no frame of the
    /// home says so.
    pub(super) left: Vec<HostId>,
    /// Number of memberships.
    pub(super) memberships: usize,
    /// The number of the latest room message from a user of this server.
    pub(super) own_number: u64,
}

impl Rooms {
    /// Returns the room with a name.
    pub(in crate::relay) fn find(&self, name: RoomName<'_>) -> Option<&Room> {
        self.by_key.get(&name.key()).map(|&index| &self.slab[index])
    }

    /// Returns the room that is shown under an id.
    pub(in crate::relay) fn shown_under(&self, id: HostId) -> Option<&Room> {
        self.by_shown_id.get(&id).map(|&index| &self.slab[index])
    }

    /// Returns the number of rooms.
    pub(in crate::relay) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Iterates over the rooms in the order of their names.
    pub(in crate::relay) fn iter(&self) -> impl Iterator<Item = &Room> {
        self.by_key.values().map(|&index| &self.slab[index])
    }

    /// Iterates over the rooms behind the one with the key `after`, in the order of their names.
    pub(in crate::relay) fn iter_after(&self, after: Option<&[u8]>) -> impl Iterator<Item = &Room> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rooms = self.by_key.range::<[u8], _>((start, Bound::Unbounded));
        rooms.map(|(_, &index)| &self.slab[index])
    }

    /// Iterates over the rooms of a user, in the order of joining.
    pub(in crate::relay) fn of(&self, user: HostId) -> impl ExactSizeIterator<Item = &Room> {
        let rooms = match self.by_user.is_empty() {
            true => &[][..],
            false => self.by_user.get(&user).map_or(&[][..], Vec::as_slice),
        };
        rooms.iter().map(|&index| &self.slab[index])
    }

    /// Returns whether a user is in a room.
    pub(in crate::relay) fn is_member(&self, user: HostId, name: RoomName<'_>) -> bool {
        let index = self.by_key.get(&name.key());
        let rooms = self.by_user.get(&user);
        index.is_some_and(|index| rooms.is_some_and(|rooms| rooms.contains(index)))
    }

    /// Returns the number of memberships of all users.
    pub(in crate::relay) fn memberships(&self) -> usize {
        self.memberships
    }

    /// Adds a membership. Returns the index of the room, or `None` if the user is in it.
    pub(super) fn insert(
        &mut self,
        user: HostId,
        name: RoomName<'_>,
        home: MemberHome,
    ) -> Option<usize> {
        let key = name.key();
        let index = match self.by_key.get(&key) {
            Some(&index) => index,
            None => {
                let name = name.as_bytes().into();
                let (members, listeners) = (BTreeMap::new(), MemberSet::default());
                let room = Room { name, members, listeners, shown_as: None };
                let index = self.slab.insert(room);
                self.by_key.insert(key, index);
                index
            }
        };
        let rooms = self.by_user.entry(user).or_default();
        if rooms.contains(&index) {
            return None;
        }
        rooms.push(index);
        self.memberships += 1;
        let room = &mut self.slab[index];
        room.members.entry(home).or_default().insert(user);
        if self.listeners.contains(&user) {
            room.listeners.insert(user);
        }
        if let MemberHome::Server(server) = home {
            self.confirm(user, server);
        }
        Some(index)
    }

    /// Records that a home has confirmed in which rooms its user is.
    pub(super) fn confirm(&mut self, user: HostId, server: ServerKey) {
        let members = self.by_server.entry(server).or_default();
        members.unconfirmed.remove(&user);
        members.confirmed.insert(user);
    }

    /// Removes a membership. A room that nobody is in ends.
    pub(super) fn remove(&mut self, user: HostId, index: usize, home: MemberHome) {
        let rooms = self.by_user.get_mut(&user).expect("the rooms of a member");
        rooms.retain(|&other| other != index);
        if rooms.is_empty() {
            self.by_user.remove(&user);
            if let MemberHome::Server(server) = home
                && let Some(members) = self.by_server.get_mut(&server)
            {
                members.confirmed.remove(&user);
                members.unconfirmed.remove(&user);
            }
        }
        self.memberships -= 1;
        let room = &mut self.slab[index];
        room.listeners.remove(user);
        if let Some(set) = room.members.get_mut(&home) {
            set.remove(user);
            if set.ids.is_empty() {
                room.members.remove(&home);
            }
        }
        if room.members.is_empty() {
            let room = self.slab.remove(index);
            self.by_key.remove(&room.name().key());
            if let Some(shown_as) = room.shown_as {
                self.by_shown_id.remove(&shown_as);
                self.ended.push(EndedRoom { shown_as });
            }
        }
    }
}
