//! Memberships in rooms, as facts of the homes of their users.

use super::host::{Home, ServerKey};
use super::rooms::{EndedRoom, MemberHome, Rooms};
use super::servers::HostSet;
use super::{Host, Topology};
use crate::id::HostId;
use crate::relay::extension::Digest;
use crate::room::RoomName;

/// Position of the boot count in the number of a room message: above 2^40 messages.
const BOOT_SHIFT: u32 = 40;

/// Returns what a membership adds to the digest of the user's home.
fn membership_digest(user: HostId, name: RoomName<'_>) -> Digest {
    Digest::of_membership(user, &name.key())
}

impl Topology {
    /// Returns all rooms.
    pub(in crate::relay) fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Returns where a user is as a member of rooms, or `None` while its home has come back without
    /// it.
    pub(in crate::relay) fn member_home(&self, host: &Host) -> Option<MemberHome> {
        self.member_home_of(host.home)
    }

    pub(super) fn member_home_of(&self, home: Home) -> Option<MemberHome> {
        match home {
            Home::Server(server, _) => Some(MemberHome::Server(server)),
            Home::Split(split) if !self.lost(split).is_own => None,
            Home::Link(_) | Home::Split(_) => Some(MemberHome::Own),
        }
    }

    fn digest_of(&mut self, home: MemberHome) -> &mut HostSet {
        match home {
            MemberHome::Own => &mut self.own_hosts,
            MemberHome::Server(server) => self.servers.hosts_mut(server),
        }
    }

    /// Adds a user to a room. Returns false if the user is in it.
    pub(in crate::relay) fn join_room(&mut self, user: HostId, name: RoomName<'_>) -> bool {
        let host = self.hosts.get(user).expect("a known user");
        let Some(home) = self.member_home(host) else { return false };
        let Some(index) = self.rooms.insert(user, name, home) else { return false };
        self.record_room_event(user, index, false, b"");
        self.digest_of(home).digest += membership_digest(user, name);
        true
    }

    /// Removes a user from a room, with a text for the others. Returns false if the user is not in
    /// it.
    pub(in crate::relay) fn leave_room(
        &mut self,
        user: HostId,
        name: RoomName<'_>,
        text: &[u8],
    ) -> bool {
        let home = self.hosts.get(user).and_then(|host| self.member_home(host));
        let (Some(home), true) = (home, self.rooms.is_member(user, name)) else { return false };
        let index = self.rooms.by_key[&name.key()];
        self.record_room_event(user, index, true, text);
        self.rooms.remove(user, index, home);
        self.digest_of(home).digest -= membership_digest(user, name);
        true
    }

    /// Removes a user from all rooms, before it leaves `home`. Returns whether it was in any.
    pub(super) fn leave_all_rooms(&mut self, user: HostId, home: Home) -> bool {
        let Some(home) = self.member_home_of(home) else { return false };
        if self.rooms.by_user.is_empty() {
            return false;
        }
        let rooms = self.rooms.by_user.get(&user).cloned().unwrap_or_default();
        for &index in &rooms {
            let digest = membership_digest(user, self.rooms.slab[index].name());
            self.record_room_event(user, index, true, b"");
            self.rooms.remove(user, index, home);
            self.digest_of(home).digest -= digest;
        }
        !rooms.is_empty()
    }

    /// Removes a user that stays from all rooms, because its home no longer has it in any, and
    /// records that this is to be announced.
    pub(super) fn forget_rooms(&mut self, user: HostId, home: Home) {
        if self.leave_all_rooms(user, home) {
            self.rooms.left.push(user);
        }
    }

    /// Makes the rooms of a user exactly these, as its home says. Returns whether others were
    /// known.
    pub(in crate::relay) fn set_rooms<'a>(
        &mut self,
        user: HostId,
        names: impl Iterator<Item = RoomName<'a>>,
    ) -> bool {
        let names: Vec<RoomName<'_>> = names.collect();
        let keys: Vec<Box<[u8]>> = names.iter().map(|name| name.key()).collect();
        let left: Vec<Box<[u8]>> = self.rooms.of(user).map(|room| room.name().key()).collect();
        let mut changes = false;
        for key in left.iter().filter(|key| !keys.contains(key)) {
            let name = RoomName::parse(key).expect("the key of a room");
            changes |= self.leave_room(user, name, b"");
        }
        for name in names {
            changes |= self.join_room(user, name);
        }
        let host = self.hosts.get(user).and_then(|host| self.member_home(host));
        if let Some(MemberHome::Server(server)) = host
            && self.rooms.by_user.contains_key(&user)
        {
            self.rooms.confirm(user, server);
        }
        changes
    }

    /// Marks the memberships of the users of a server as not confirmed, before the server sends all
    /// of them.
    pub(in crate::relay) fn unconfirm_rooms(&mut self, server: ServerKey) {
        if let Some(members) = self.rooms.by_server.get_mut(&server) {
            if members.unconfirmed.is_empty() {
                std::mem::swap(&mut members.unconfirmed, &mut members.confirmed);
            } else {
                members.unconfirmed.extend(members.confirmed.drain());
            }
        }
    }

    /// Lets the users leave all rooms whose home has sent all its users and has not confirmed that
    /// they are in any.
    pub(in crate::relay) fn end_rooms_sync(&mut self, server: ServerKey) {
        let Some(members) = self.rooms.by_server.get_mut(&server) else { return };
        let mut users: Vec<HostId> = members.unconfirmed.drain().collect();
        users.sort_unstable(); // the order in which rooms end is visible
        for user in users {
            if let Some(home) = self.hosts.get(user).map(|host| host.home)
                && home.server() == Some(server)
            {
                self.forget_rooms(user, home);
            }
        }
    }

    /// Forgets a server that has left.
    pub(super) fn forget_server_members(&mut self, server: ServerKey) {
        self.rooms.by_server.remove(&server);
    }

    /// Returns the number of the next room message of a user of this server. It is higher than
    /// those of an earlier instance, which had a lower boot count.
    pub(in crate::relay) fn next_room_number(&mut self) -> u64 {
        let first = u64::from(self.routes.own_epoch().boot) << BOOT_SHIFT;
        self.rooms.own_number = first.max(self.rooms.own_number) + 1;
        self.rooms.own_number
    }

    /// Returns whether a user of another server may have sent a room message with a number: the
    /// server has started as often as the number says, or more often. One that is too high would
    /// stand in the way of all that follow. Over a link that this server has ended, it is not
    /// checked: the fact is gone.
    pub(in crate::relay) fn may_have_room_number(&self, server: ServerKey, number: u64) -> bool {
        let fact = self.routes.fact(self.servers.id(server));
        fact.is_none_or(|fact| number >> BOOT_SHIFT <= u64::from(fact.epoch.boot))
    }

    /// Records the number of a room message from a user of another server. Returns false if it has
    /// been recorded, or a higher one.
    pub(in crate::relay) fn record_room_number(&mut self, server: ServerKey, number: u64) -> bool {
        let last = &mut self.rooms.by_server.entry(server).or_default().last_number;
        let is_new = number > *last;
        *last = number.max(*last);
        is_new
    }

    /// Chooses the id under which a room is shown as a user: the first of its ids that nobody has.
    /// Returns whether there is one.
    pub(in crate::relay) fn show_room(&mut self, name: RoomName<'_>) -> Option<HostId> {
        let index = *self.rooms.by_key.get(&name.key())?;
        let is_free = |id: &HostId| !self.is_known(*id) && !self.rooms.by_shown_id.contains_key(id);
        let id = name.shown_ids().find(is_free)?;
        self.rooms.slab[index].shown_as = Some(id);
        self.rooms.by_shown_id.insert(id, index);
        Some(id)
    }

    /// Gives up the id under which a room is shown. Returns the name of the room.
    pub(in crate::relay) fn hide_room(&mut self, id: HostId) -> Option<Box<[u8]>> {
        let index = self.rooms.by_shown_id.remove(&id)?;
        let room = &mut self.rooms.slab[index];
        room.shown_as = None;
        Some(room.name.clone())
    }

    /// Removes and returns the shown rooms that have ended.
    pub(in crate::relay) fn take_ended_rooms(&mut self) -> Vec<EndedRoom> {
        std::mem::take(&mut self.rooms.ended)
    }

    /// Removes and returns the users whose home no longer has them in any room.
    pub(in crate::relay) fn take_users_without_rooms(&mut self) -> Vec<HostId> {
        std::mem::take(&mut self.rooms.left)
    }

    /// Moves the memberships of a user to another home. They end if its home has come back without
    /// the user.
    pub(super) fn rehome_rooms(&mut self, user: HostId, from: Home, to: Home) {
        let (Some(old), new) = (self.member_home_of(from), self.member_home_of(to)) else { return };
        if Some(old) == new || self.rooms.of(user).len() == 0 {
            return;
        }
        let names: Vec<Box<[u8]>> = self.rooms.of(user).map(|room| room.name.clone()).collect();
        let Some(new) = new else { return self.forget_rooms(user, from) };
        for name in &names {
            let name = RoomName::parse(name).expect("the name of a room");
            let index = self.rooms.by_key[&name.key()];
            let room = &mut self.rooms.slab[index];
            room.listeners.remove(user); // it is connected to another server now
            let members = &mut room.members;
            members.entry(new).or_default().insert(user);
            if let Some(set) = members.get_mut(&old) {
                set.remove(user);
                if set.ids.is_empty() {
                    members.remove(&old);
                }
            }
            let digest = membership_digest(user, name);
            self.digest_of(old).digest -= digest;
            self.digest_of(new).digest += digest;
        }
        if let MemberHome::Server(server) = old
            && let Some(members) = self.rooms.by_server.get_mut(&server)
        {
            members.confirmed.remove(&user);
            members.unconfirmed.remove(&user);
        }
        if let MemberHome::Server(server) = new {
            self.rooms.confirm(user, server);
        }
    }

    /// Adds the memberships of a user to a digest, to check that of a home.
    pub(super) fn add_memberships(&self, user: HostId, digest: &mut Digest) {
        for room in self.rooms.of(user) {
            *digest += membership_digest(user, room.name());
        }
    }

    /// Checks that rooms, their members and the table agree.
    ///
    /// # Panics
    /// If they do not.
    pub(super) fn check_rooms(&self) {
        let rooms = &self.rooms;
        let mut memberships = 0;
        for (key, &index) in &rooms.by_key {
            let room = &rooms.slab[index];
            assert_eq!(*key, room.name().key(), "the key of a room");
            assert!(!room.members.is_empty(), "somebody is in a room");
            if let Some(id) = room.shown_as {
                assert_eq!(rooms.by_shown_id.get(&id), Some(&index), "the id of a shown room");
                assert!(!self.is_known(id), "no host has the id of a shown room");
            }
            let own = room.members.get(&MemberHome::Own);
            for id in &room.listeners.ids {
                assert!(rooms.listeners.contains(id), "a listener wants events");
                assert!(own.is_some_and(|own| own.positions.contains_key(id)), "{id} is here");
            }
            for (&home, set) in &room.members {
                assert!(!set.ids.is_empty(), "a home without members is not listed");
                for (position, id) in set.ids.iter().enumerate() {
                    let host = self.hosts.get(*id).expect("a member is known");
                    assert_eq!(self.member_home(host), Some(home), "the home of a member");
                    assert_eq!(set.positions.get(id), Some(&position), "the place of a member");
                    assert!(rooms.by_user[id].contains(&index), "a member knows its room");
                }
                memberships += set.ids.len();
            }
        }
        assert_eq!(rooms.by_user.values().map(Vec::len).sum::<usize>(), memberships);
        assert_eq!(rooms.memberships, memberships, "the number of memberships");
        assert!(rooms.events.is_empty(), "listeners are notified in the same event");
        assert!(rooms.ended.is_empty(), "the end of a shown room is announced in the same event");
        assert!(rooms.left.is_empty(), "that users are in no room is announced in the same event");
        for (&server, members) in &rooms.by_server {
            for id in members.confirmed.iter().chain(&members.unconfirmed) {
                let home = self.hosts.get(*id).map(|host| host.home);
                assert_eq!(home.and_then(Home::server), Some(server), "the home of {id}");
                assert!(rooms.by_user.contains_key(id), "{id} is in a room");
            }
        }
    }
}
