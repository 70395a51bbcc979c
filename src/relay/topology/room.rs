//! [`Room`]: one room and its members.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use super::host::ServerKey;
use crate::id::HostId;
use crate::limits::{ROOM_BURST_MAX, ROOM_LEAVERS_MAX};
use crate::link::{LinkId, Time};
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
    /// By home, none of which has no members. In an order that depends only on joins and leaves.
    pub(super) members: BTreeMap<MemberHome, Vec<HostId>>,
    /// The members of [`MemberHome::Own`], in the same order.
    pub(super) own: Vec<OwnMember>,
    /// Number of those that are behind plain neighbours.
    plain_count: usize,
    /// When the messages of users of this server who have left are made up for, the longest ago
    /// first: who comes back has not sent fewer. At most [`ROOM_LEAVERS_MAX`].
    leavers: VecDeque<(HostId, Time)>,
    /// The members at this server who are sent its events.
    pub(super) listeners: BTreeSet<HostId>,
    /// The id under which clients and plain neighbours know the room.
    pub(super) shown_as: Option<HostId>,
}

impl Room {
    /// Creates a room without members.
    pub(super) fn new(name: RoomName<'_>) -> Self {
        let (name, members) = (name.as_bytes().into(), BTreeMap::new());
        let (own, leavers, listeners) = (Vec::new(), VecDeque::new(), BTreeSet::new());
        Self { name, members, own, plain_count: 0, leavers, listeners, shown_as: None }
    }

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
        self.members.values().map(Vec::len).sum()
    }

    /// Returns the members at a home, in an order that depends only on joins and leaves.
    pub(in crate::relay) fn members_at(&self, home: MemberHome) -> &[HostId] {
        self.members.get(&home).map_or(&[], Vec::as_slice)
    }

    /// Returns the members whose home is this server.
    pub(in crate::relay) fn own_members(&self) -> &[OwnMember] {
        &self.own
    }

    /// Iterates over the members at this server who are sent what happens in the room.
    pub(in crate::relay) fn listeners(&self) -> impl Iterator<Item = HostId> {
        self.listeners.iter().copied()
    }

    /// Returns the number of members behind plain neighbours.
    pub(in crate::relay) fn plain_count(&self) -> usize {
        self.plain_count
    }

    /// Adds a member at a home; `link` is the link of a user of this server. Returns its position
    /// among the members there.
    pub(super) fn insert(&mut self, user: HostId, home: MemberHome, link: Option<LinkId>) -> u32 {
        let ids = self.members.entry(home).or_default();
        let position = u32::try_from(ids.len()).expect("fewer members than ids");
        ids.push(user);
        if home == MemberHome::Own {
            self.plain_count += usize::from(link.is_none());
            let left = self.leavers.iter().position(|&(id, _)| id == user);
            let left = left.and_then(|index| self.leavers.remove(index));
            let idle_at = left.map(|(_, idle_at)| idle_at).unwrap_or_default();
            self.own.push(OwnMember { id: user, link, idle_at });
        }
        position
    }

    /// Removes the member at a position among those of a home. Returns the member that has it now.
    pub(super) fn remove_at(&mut self, position: u32, home: MemberHome) -> Option<HostId> {
        let position = position as usize;
        if home == MemberHome::Own {
            let member = self.own.swap_remove(position);
            self.plain_count -= usize::from(member.link.is_none());
            if member.idle_at != Time::default() {
                if self.leavers.len() == ROOM_LEAVERS_MAX {
                    self.leavers.pop_front();
                }
                self.leavers.push_back((member.id, member.idle_at));
            }
        }
        let ids = self.members.get_mut(&home).expect("the members at a home");
        ids.swap_remove(position);
        if ids.is_empty() {
            self.members.remove(&home);
            return None;
        }
        ids.get(position).copied()
    }

    /// Iterates over all members.
    pub(in crate::relay) fn members(&self) -> impl Iterator<Item = HostId> {
        self.members.values().flatten().copied()
    }

    /// Returns up to `count_max` further members, by home, and whether there are more.
    pub(in crate::relay) fn next_members(
        &self,
        cursor: &mut MemberCursor,
        count_max: usize,
    ) -> (Vec<HostId>, bool) {
        let mut ids = Vec::new();
        let start = cursor.home.map_or(Bound::Unbounded, Bound::Included);
        for (&home, members) in self.members.range((start, Bound::Unbounded)) {
            if cursor.home.replace(home) != Some(home) {
                cursor.index = 0;
            }
            if ids.len() == count_max {
                return (ids, true);
            }
            let rest = members.get(cursor.index..).unwrap_or_default();
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

/// A member whose home is this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) struct OwnMember {
    /// Id of the user.
    pub(in crate::relay) id: HostId,
    /// The link of the user, for as long as it is one; `None` if it is behind a plain neighbour.
    pub(in crate::relay) link: Option<LinkId>,
    /// When the messages of the user to the room are made up for, see
    /// [`ROOM_BURST_MAX`](crate::limits::ROOM_BURST_MAX).
    idle_at: Time,
}

/// Whether a user may send a message to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum Speech {
    /// The message is counted.
    Counted,
    /// The user is not in the room.
    NotMember,
    /// The user sends too much.
    TooMuch,
}

impl OwnMember {
    /// Counts a message to the room, of which at most `rate` may follow in a second after a burst.
    pub(super) fn count_message(&mut self, now: Time, rate: u32) -> Speech {
        let interval = Duration::from_secs(1) / rate;
        let idle_at = self.idle_at.max(now);
        if idle_at.since(now) + interval > interval * ROOM_BURST_MAX {
            return Speech::TooMuch;
        }
        self.idle_at = idle_at + interval;
        Speech::Counted
    }
}
