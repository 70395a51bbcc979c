//! Rooms of users whose home has sent all its users, and has not confirmed that they are in any.
//!
//! They leave their rooms in portions, since a home may have very many of them: a [`RoomSweep`]
//! looks at the members of each room at that home. A frame about one of them that comes before its
//! turn ends its rooms first, see [`Topology::end_stale_rooms`].

use std::ops::Bound;

use super::Topology;
use super::host::ServerKey;
use super::room::MemberHome;
use super::rooms::{RoomSweep, Rooms};
use crate::id::HostId;

impl Rooms {
    /// Records that a home has confirmed in which rooms its user is, who is in any.
    pub(super) fn confirm(&mut self, user: HostId, server: ServerKey) {
        let (Some(rooms), Some(members)) =
            (self.by_user.get_mut(user), self.by_server.get_mut(&server))
        else {
            return;
        };
        if rooms.confirmed_in != members.sync {
            rooms.confirmed_in = members.sync;
            members.confirmed_users += 1;
        }
    }

    /// Returns whether a user of a server in rooms is not confirmed.
    fn is_unconfirmed(&self, user: HostId, server: ServerKey) -> bool {
        let sync = self.by_server.get(&server).map(|members| members.sync);
        self.by_user.get(user).is_some_and(|rooms| Some(rooms.confirmed_in) != sync)
    }

    fn has_unconfirmed(&self, server: ServerKey) -> bool {
        let members = self.by_server.get(&server);
        members.is_some_and(|members| members.confirmed_users < members.users)
    }

    /// Returns the next member of a server that a sweep looks at in its room.
    fn next_swept(&self, sweep: &mut RoomSweep) -> Option<HostId> {
        let index = *self.by_key.get(sweep.room.as_deref()?)?;
        let members = self.slab[index].members_at(MemberHome::Server(sweep.server));
        let position = sweep.left.min(members.len()).checked_sub(1)?;
        sweep.left = position;
        members.get(position).copied()
    }

    /// Goes on to the next room. Returns false if there is none.
    fn go_to_next_room(&self, sweep: &mut RoomSweep) -> bool {
        let start = sweep.room.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.by_key.range::<[u8], _>((start, Bound::Unbounded)).next();
        sweep.room = next.map(|(key, _)| key.clone());
        sweep.left = usize::MAX;
        sweep.room.is_some()
    }

    /// Returns the number of those who are informed when a user leaves all its rooms: itself, so
    /// many links, and those who are notified of each room.
    fn informed_count(&self, user: HostId, link_count: usize) -> usize {
        let listeners = self.of(user).map(|room| 1 + room.listeners.len());
        1 + link_count + listeners.sum::<usize>()
    }
}

impl Topology {
    /// Marks the memberships of the users of a server as not confirmed, before the server sends all
    /// of them.
    pub(in crate::relay) fn unconfirm_rooms(&mut self, server: ServerKey) {
        self.rooms.sweeps.retain(|sweep| sweep.server != server);
        if let Some(members) = self.rooms.by_server.get_mut(&server) {
            members.sync = members.sync.wrapping_add(1).max(1);
            members.confirmed_users = 0;
        }
    }

    /// Begins to let the users leave all rooms whose home has sent all its users and has not
    /// confirmed that they are in any.
    pub(in crate::relay) fn end_rooms_sync(&mut self, server: ServerKey) {
        let is_running = self.rooms.sweeps.iter().any(|sweep| sweep.server == server);
        if !is_running && self.rooms.has_unconfirmed(server) {
            self.rooms.sweeps.push_back(RoomSweep { server, room: None, left: 0 });
        }
    }

    /// Lets the next users leave all rooms whose home has not confirmed them. `work` is the number
    /// of members that are looked at, and of those that are informed of the others; each user is
    /// announced on `link_count` links. Returns whether there may be more.
    pub(in crate::relay) fn continue_rooms_sync(
        &mut self,
        mut work: usize,
        link_count: usize,
    ) -> bool {
        while let Some(mut sweep) = self.rooms.sweeps.pop_front() {
            while self.rooms.has_unconfirmed(sweep.server) {
                if work == 0 {
                    self.rooms.sweeps.push_front(sweep);
                    return true;
                }
                work -= 1;
                match self.rooms.next_swept(&mut sweep) {
                    Some(user) if self.has_stale_rooms(user, sweep.server) => {
                        let informed = self.rooms.informed_count(user, link_count);
                        work = work.saturating_sub(informed);
                        self.end_rooms_of(user);
                    }
                    Some(_) => {}
                    None if self.rooms.go_to_next_room(&mut sweep) => {}
                    None => break,
                }
            }
        }
        false
    }

    /// Returns whether a user is in rooms that its home has not confirmed. While the home has not
    /// confirmed the user itself, it stays in them.
    fn has_stale_rooms(&self, user: HostId, server: ServerKey) -> bool {
        let host = self.hosts.get(user);
        self.rooms.is_unconfirmed(user, server)
            && host.is_some_and(|host| !self.waits_for_home(host))
    }

    /// Ends the rooms of a user whose home has confirmed it and none of its rooms, before the home
    /// changes them. Returns whether there were any.
    pub(in crate::relay) fn end_stale_rooms(&mut self, user: HostId) -> bool {
        let Some(server) = self.hosts.get(user).and_then(|host| host.home.server()) else {
            return false;
        };
        let home = self.hosts.get(user).map(|host| host.home);
        let is_stale =
            home == Some(self.confirmed_home(server)) && self.rooms.is_unconfirmed(user, server);
        if is_stale {
            self.end_rooms_of(user);
        }
        is_stale
    }

    fn end_rooms_of(&mut self, user: HostId) {
        if let Some(home) = self.hosts.get(user).map(|host| host.home) {
            self.forget_rooms(user, home);
        }
    }

    /// Forgets a server that has left.
    pub(super) fn forget_server_members(&mut self, server: ServerKey) {
        self.rooms.by_server.remove(&server);
        self.forget_room_numbers();
        self.rooms.sweeps.retain(|sweep| sweep.server != server);
    }

    /// Checks the searches for users who are not confirmed.
    ///
    /// # Panics
    /// If there are two for one server, or if one is for a server that has no members.
    pub(super) fn check_room_sweeps(&self) {
        let mut servers: Vec<ServerKey> = self.rooms.sweeps.iter().map(|it| it.server).collect();
        assert!(servers.iter().all(|server| self.rooms.by_server.contains_key(server)));
        servers.sort_unstable();
        servers.dedup();
        assert_eq!(servers.len(), self.rooms.sweeps.len(), "a home is searched once");
    }

    /// Returns whether users are still to leave rooms, for checks.
    pub(in crate::relay) fn has_rooms_sync(&self) -> bool {
        !self.rooms.sweeps.is_empty()
    }
}
