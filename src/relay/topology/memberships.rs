//! Memberships in rooms, as facts of the homes of their users.

use std::collections::BTreeSet;
use std::sync::Arc;

use smallvec::SmallVec;

use super::host::Home;
use super::room::{MemberHome, OwnMember, Speech};
use super::rooms::{EndedRoom, Membership, Rooms};
use super::servers::HostSet;
use super::{Host, Topology};
use crate::id::HostId;
use crate::limits::ROOM_NUMBERS_MAX;
use crate::link::{LinkId, Time};
use crate::relay::extension::Digest;
use crate::relay::notice::ServerPair;
use crate::room::{RoomKey, RoomName};

/// Returns what a membership adds to the digest of the user's home.
fn membership_digest(user: HostId, name: RoomName<'_>) -> Digest {
    Digest::of_membership(user, &name.key())
}

impl Topology {
    /// Returns all rooms.
    pub(in crate::relay) fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Returns where a user is as a member of rooms, or `None` if the home that it waits for has
    /// left.
    pub(in crate::relay) fn member_home(&self, host: &Host) -> Option<MemberHome> {
        self.member_home_of(host.home)
    }

    pub(super) fn member_home_of(&self, home: Home) -> Option<MemberHome> {
        match home {
            Home::Server(server, _) => Some(MemberHome::Server(server)),
            Home::Split(split) if !self.lost(split).is_own => {
                self.lost(split).rooms_at.map(MemberHome::Server)
            }
            Home::Link(_) | Home::Split(_) => Some(MemberHome::Own),
        }
    }

    /// Returns the link of a user of this server, or `None` for any other host.
    pub(in crate::relay) fn user_link(&self, home: Home) -> Option<LinkId> {
        let Home::Link(index) = home else { return None };
        let state = self.live_at(index);
        state.is_user().then(|| state.id())
    }

    /// Counts a message of a user of this server to a room.
    pub(in crate::relay) fn count_room_message(
        &mut self,
        user: HostId,
        name: RoomName<'_>,
        now: Time,
        rate: u32,
    ) -> Speech {
        self.rooms.count_message(user, name, now, rate)
    }

    /// Updates the digest of a home for memberships of one of its hosts. While the home has still
    /// to register the host, neither counts.
    fn count_memberships(&mut self, home: Home, update: impl FnOnce(&mut Digest)) {
        let hosts: &mut HostSet = match home {
            Home::Server(server, _) => self.servers.hosts_mut(server),
            Home::Split(split) if !self.lost(split).is_own => return,
            Home::Link(_) | Home::Split(_) => &mut self.own_hosts,
        };
        update(&mut hosts.digest);
    }

    /// Adds a user to a room. Returns false if the user is in it.
    pub(in crate::relay) fn join_room(&mut self, user: HostId, name: RoomName<'_>) -> bool {
        self.join_room_over(user, name, None)
    }

    /// Like [`Topology::join_room`], for a user whose server has joined with a new link.
    fn join_room_over(
        &mut self,
        user: HostId,
        name: RoomName<'_>,
        joined_over: Option<&Arc<ServerPair>>,
    ) -> bool {
        let home = self.hosts.get(user).expect("a known user").home;
        let Some(member_home) = self.member_home_of(home) else { return false };
        let link = self.user_link(home);
        let Some(index) = self.rooms.insert(user, name, (member_home, link)) else { return false };
        self.record_join(user, index, joined_over);
        self.count_memberships(home, |digest| *digest += membership_digest(user, name));
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
        let Some(home) = self.hosts.get(user).map(|host| host.home) else { return false };
        let Some(member_home) = self.member_home_of(home) else { return false };
        let Some(index) = self.rooms.index_of(name) else { return false };
        if !self.rooms.is_member(user, name) {
            return false;
        }
        self.record_part(user, index, text);
        self.rooms.remove(user, index, member_home);
        self.count_memberships(home, |digest| *digest -= membership_digest(user, name));
        true
    }

    /// Removes a user from all rooms, before it leaves `home`. Returns whether it was in any.
    pub(super) fn leave_all_rooms(&mut self, user: HostId, home: Home) -> bool {
        let Some(member_home) = self.member_home_of(home) else { return false };
        let rooms = self.rooms.by_user.get(user);
        let memberships = rooms.map_or(SmallVec::new(), |rooms| rooms.memberships.clone());
        for membership in &memberships {
            let index = membership.room as usize;
            let digest = membership_digest(user, self.rooms.slab[index].name());
            self.record_part(user, index, b"");
            self.rooms.remove(user, index, member_home);
            self.count_memberships(home, |sum| *sum -= digest);
        }
        !memberships.is_empty()
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
        let keys: Vec<RoomKey> = names.iter().map(|name| name.key()).collect();
        let left: Vec<RoomKey> = self.rooms.of(user).map(|room| room.name().key()).collect();
        let mut changes = false;
        for key in left.iter().filter(|key| !keys.contains(key)) {
            let name = RoomName::parse(key).expect("the key of a room");
            changes |= self.leave_room(user, name, b"");
        }
        let server = self.hosts.get(user).and_then(|host| host.home.server());
        let joined_over = server.and_then(|server| self.servers.joined_over(server)).cloned();
        for name in names {
            changes |= self.join_room_over(user, name, joined_over.as_ref());
        }
        let host = self.hosts.get(user).and_then(|host| self.member_home(host));
        if let Some(MemberHome::Server(server)) = host {
            self.rooms.confirm(user, server);
        }
        changes
    }

    /// Chooses the id under which a room is shown as a user: the first of its ids that nobody has.
    /// Returns whether there is one.
    pub(in crate::relay) fn show_room(&mut self, name: RoomName<'_>) -> Option<HostId> {
        let index = self.rooms.index_of(name)?;
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
        let link = self.user_link(to);
        let is_counted_anew = self.waits_at(from) != self.waits_at(to);
        let stays = Some(old) == new && link.is_none();
        if stays && !is_counted_anew || self.rooms.of(user).len() == 0 {
            return;
        }
        let Some(new) = new else { return self.forget_rooms(user, from) };
        let mut sum = Digest::default();
        self.add_memberships(user, &mut sum);
        if !stays {
            self.rooms.rehome(user, (old, new), link);
        }
        self.count_memberships(from, |digest| *digest -= sum);
        self.count_memberships(to, |digest| *digest += sum);
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
        let (mut memberships, mut users) = (0, BTreeSet::new());
        for (key, &index) in &rooms.by_key {
            let room = &rooms.slab[index];
            assert_eq!(**key, *room.name().key(), "the key of a room");
            assert!(!room.members.is_empty(), "somebody is in a room");
            if let Some(id) = room.shown_as {
                assert_eq!(rooms.by_shown_id.get(&id), Some(&index), "the id of a shown room");
                assert!(!self.is_known(id), "no host has the id of a shown room");
            }
            for id in &room.listeners {
                assert!(rooms.listeners.contains(id), "a listener wants events");
                assert!(room.members_at(MemberHome::Own).contains(id), "{id} is here");
            }
            for (&home, ids) in &room.members {
                assert!(!ids.is_empty(), "a home without members is not listed");
                for (position, id) in (0..).zip(ids) {
                    let host = self.hosts.get(*id).expect("a member is known");
                    assert_eq!(self.member_home(host), Some(home), "the home of a member");
                    let room = u32::try_from(index).expect("a small index");
                    let membership = Membership { room, position };
                    let its = &rooms.by_user.get(*id).expect("a member").memberships;
                    assert!(its.contains(&membership), "a member knows its room and its place");
                    if home == MemberHome::Own {
                        let member = own_member(rooms, index, position);
                        assert_eq!((member.id, member.link), (*id, self.user_link(host.home)));
                    }
                    users.insert(*id);
                }
                memberships += ids.len();
            }
        }
        assert_eq!(rooms.memberships, memberships, "the number of memberships");
        assert_eq!(rooms.by_user.len(), users.len(), "the number of users in rooms");
        let of_users = users.iter().filter_map(|id| rooms.by_user.get(*id));
        assert_eq!(of_users.map(|it| it.memberships.len()).sum::<usize>(), memberships);
        assert!(rooms.events.is_empty(), "listeners are notified in the same event");
        assert!(rooms.ended.is_empty(), "the end of a shown room is announced in the same event");
        assert!(rooms.left.is_empty(), "that users are in no room is announced in the same event");
        rooms.topics.check();
        assert!(rooms.numbers.len() <= ROOM_NUMBERS_MAX, "the remembered numbers");
        self.check_room_sweeps();
        for (&server, members) in &rooms.by_server {
            let is_of = |id: &&HostId| {
                let home = self.hosts.get(**id).and_then(|host| self.member_home(host));
                home == Some(MemberHome::Server(server))
            };
            let is_confirmed = |id: &&HostId| {
                rooms.by_user.get(**id).is_some_and(|it| it.confirmed_in == members.sync)
            };
            assert_eq!(members.users, users.iter().filter(is_of).count(), "the users of a server");
            let confirmed = users.iter().filter(is_of).filter(is_confirmed).count();
            assert_eq!(members.confirmed_users, confirmed, "the confirmed users of a server");
        }
    }
}

/// Returns the member at a position among those of this server.
fn own_member(rooms: &Rooms, room: usize, position: u32) -> OwnMember {
    rooms.slab[room].own_members()[position as usize]
}
