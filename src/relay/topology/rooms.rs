//! [`Rooms`]: which users are in which rooms.
//!
//! Membership is a fact about a user, which the user's home alone changes. A room exists while
//! somebody is in it. See "Rooms" in `docs/PROTOCOL.md`.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Bound;

use foldhash::fast::RandomState;
use smallvec::{SmallVec, smallvec};

use super::host::ServerKey;
use super::id_map::IdMap;
use super::room::{MemberHome, Room, Speech};
use super::room_events::{RoomChange, RoomEvent};
use super::room_numbers::LatestNumber;
use super::topics::Topics;
use crate::id::HostId;
use crate::link::{LinkId, Slab, Time};
use crate::room::RoomName;

/// A membership, as it is found by its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    /// Index of the room.
    pub(super) room: u32,
    /// Position among the members at the user's home.
    pub(super) position: u32,
}

/// The rooms of a user who is in any.
#[derive(Clone, Debug, Default)]
pub(super) struct UserRooms {
    /// In the order of joining. Most users are in few rooms: tens of thousands of small allocations
    /// that are freed at once would keep the allocator busy for milliseconds later on.
    pub(super) memberships: SmallVec<[Membership; 2]>,
    /// The synchronization in which the home of the user has confirmed them, see
    /// [`ServerMembers::sync`].
    pub(super) confirmed_in: u32,
}

impl UserRooms {
    /// Returns the membership in a room.
    fn find(&mut self, room: usize) -> Option<&mut Membership> {
        self.memberships.iter_mut().find(|membership| membership.room as usize == room)
    }
}

/// The users of another server who are in rooms.
#[derive(Clone, Debug)]
pub(super) struct ServerMembers {
    /// Number of them.
    pub(super) users: usize,
    /// Number of those that their home has confirmed in the latest synchronization, or since.
    pub(super) confirmed_users: usize,
    /// Number of the latest synchronization, from 1.
    pub(super) sync: u32,
}

impl Default for ServerMembers {
    fn default() -> Self {
        Self { users: 0, confirmed_users: 0, sync: 1 }
    }
}

/// A search for the users of a server in rooms who are not confirmed.
///
/// It goes through the rooms in the order of their names, and through the members of each from the
/// last to the first: who joins meanwhile is confirmed, and of those who are still to be looked at,
/// none gets a place behind.
#[derive(Clone, Debug)]
pub(super) struct RoomSweep {
    pub(super) server: ServerKey,
    /// Key of the room that is looked at; `None` before the first.
    pub(super) room: Option<Box<[u8]>>,
    /// Number of members there that are still to be looked at.
    pub(super) left: usize,
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
    pub(super) by_user: IdMap<UserRooms>,
    pub(super) by_server: BTreeMap<ServerKey, ServerMembers>,
    /// The searches for users whose home has not confirmed them, in the order of their beginning.
    pub(super) sweeps: VecDeque<RoomSweep>,
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
    /// Those from users of other servers, at most
    /// [`ROOM_NUMBERS_MAX`](crate::limits::ROOM_NUMBERS_MAX).
    pub(super) numbers: BTreeMap<HostId, LatestNumber>,
    pub(super) topics: Topics,
}

impl Rooms {
    /// Returns the index of the room with a name.
    pub(super) fn index_of(&self, name: RoomName<'_>) -> Option<usize> {
        self.by_key.get(&*name.key()).copied()
    }

    /// Records an event of a room, if somebody is to be notified of it.
    pub(super) fn push_event(
        &mut self,
        index: usize,
        (user, name): (HostId, &[u8]),
        change: impl FnOnce() -> RoomChange,
    ) {
        let room = &self.slab[index];
        if !room.listeners.is_empty() {
            let (room, name, change) = (room.name.clone(), name.into(), change());
            self.events.push(RoomEvent { room, user, name, change });
        }
    }

    /// Returns the room with a name.
    pub(in crate::relay) fn find(&self, name: RoomName<'_>) -> Option<&Room> {
        self.index_of(name).map(|index| &self.slab[index])
    }

    /// Returns the room that is shown under an id.
    pub(in crate::relay) fn shown_under(&self, id: HostId) -> Option<&Room> {
        self.by_shown_id.get(&id).map(|&index| &self.slab[index])
    }

    /// Returns the topics of all rooms.
    pub(in crate::relay) fn topics(&self) -> &Topics {
        &self.topics
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
        let rooms = self.by_user.get(user).map_or(&[][..], |rooms| &rooms.memberships);
        rooms.iter().map(|membership| &self.slab[membership.room as usize])
    }

    /// Returns whether a user is in a room.
    pub(in crate::relay) fn is_member(&self, user: HostId, name: RoomName<'_>) -> bool {
        self.index_of(name).is_some_and(|index| self.position_of(user, index).is_some())
    }

    /// Returns the position of a user among the members of a room at the user's home.
    fn position_of(&self, user: HostId, room: usize) -> Option<usize> {
        let memberships = &self.by_user.get(user)?.memberships;
        let found = memberships.iter().find(|membership| membership.room as usize == room);
        found.map(|membership| membership.position as usize)
    }

    /// Counts a message of a user of this server to a room, of which at most `rate` may follow in
    /// a second after a burst.
    pub(super) fn count_message(
        &mut self,
        user: HostId,
        name: RoomName<'_>,
        now: Time,
        rate: u32,
    ) -> Speech {
        let Some(index) = self.index_of(name) else { return Speech::NotMember };
        let Some(position) = self.position_of(user, index) else { return Speech::NotMember };
        let own = &mut self.slab[index].own;
        match own.get_mut(position).filter(|member| member.id == user) {
            None => Speech::NotMember,
            Some(member) => member.count_message(now, rate),
        }
    }

    /// Returns the number of memberships of all users.
    pub(in crate::relay) fn memberships(&self) -> usize {
        self.memberships
    }

    /// Adds a membership at a home; `link` is the link of a user of this server. Returns the index
    /// of the room, or `None` if the user is in it.
    pub(super) fn insert(
        &mut self,
        user: HostId,
        name: RoomName<'_>,
        (home, link): (MemberHome, Option<LinkId>),
    ) -> Option<usize> {
        let key = name.key();
        let index = match self.by_key.get(&*key) {
            Some(&index) => index,
            None => {
                let index = self.slab.insert(Room::new(name));
                self.topics.on_room_begins(&key);
                self.by_key.insert(key.into(), index);
                index
            }
        };
        if self.position_of(user, index).is_some() {
            return None;
        }
        let room = u32::try_from(index).expect("fewer rooms than ids");
        let membership = Membership { room, position: self.slab[index].insert(user, home, link) };
        self.memberships += 1;
        if self.listeners.contains(&user) {
            self.slab[index].listeners.insert(user);
        }
        match self.by_user.get_mut(user) {
            Some(rooms) => rooms.memberships.push(membership),
            None => {
                let rooms = UserRooms { memberships: smallvec![membership], confirmed_in: 0 };
                self.by_user.insert(user, rooms);
                if let MemberHome::Server(server) = home {
                    self.by_server.entry(server).or_default().users += 1;
                    self.confirm(user, server);
                }
            }
        }
        Some(index)
    }

    /// Stops counting a user that has left the rooms of a server.
    fn uncount(&mut self, home: MemberHome, confirmed_in: u32) {
        if let MemberHome::Server(server) = home
            && let Some(members) = self.by_server.get_mut(&server)
        {
            members.users -= 1;
            members.confirmed_users -= usize::from(confirmed_in == members.sync);
        }
    }

    /// Removes the member at a position among those of a home from the list of a room.
    fn remove_from_list(&mut self, index: usize, position: u32, home: MemberHome) {
        if let Some(moved) = self.slab[index].remove_at(position, home)
            && let Some(rooms) = self.by_user.get_mut(moved)
            && let Some(membership) = rooms.find(index)
        {
            membership.position = position;
        }
    }

    /// Moves the memberships of a user to another home; `link` is the link of a user of this
    /// server.
    pub(super) fn rehome(
        &mut self,
        user: HostId,
        (old, new): (MemberHome, MemberHome),
        link: Option<LinkId>,
    ) {
        let rooms = self.by_user.get(user).cloned().unwrap_or_default();
        for &Membership { room, position } in &rooms.memberships {
            let index = room as usize;
            self.remove_from_list(index, position, old);
            if old != new {
                self.slab[index].listeners.remove(&user); // it is connected to another server now
            }
            let position = self.slab[index].insert(user, new, link);
            if let Some(membership) = self.by_user.get_mut(user).and_then(|it| it.find(index)) {
                membership.position = position;
            }
        }
        self.uncount(old, rooms.confirmed_in);
        if let MemberHome::Server(server) = new {
            self.by_server.entry(server).or_default().users += 1;
            if let Some(rooms) = self.by_user.get_mut(user) {
                rooms.confirmed_in = 0;
            }
            self.confirm(user, server);
        }
    }

    /// Removes a membership. A room that nobody is in ends.
    pub(super) fn remove(&mut self, user: HostId, index: usize, home: MemberHome) {
        let rooms = self.by_user.get_mut(user).expect("the rooms of a member");
        let Some(&mut Membership { position, .. }) = rooms.find(index) else { return };
        rooms.memberships.retain(|membership| membership.room as usize != index);
        if rooms.memberships.is_empty() {
            let confirmed_in = rooms.confirmed_in;
            self.by_user.remove(user);
            self.uncount(home, confirmed_in);
        }
        self.memberships -= 1;
        self.remove_from_list(index, position, home);
        let room = &mut self.slab[index];
        room.listeners.remove(&user);
        if room.members.is_empty() {
            let room = self.slab.remove(index);
            self.by_key.remove(&*room.name().key());
            if let Some(shown_as) = room.shown_as {
                self.by_shown_id.remove(&shown_as);
                self.ended.push(EndedRoom { shown_as });
            }
        }
    }
}
