//! What happens in rooms, for the members at this server whose wires report it.
//!
//! A change is recorded only if such a member is in the room, so the others cost nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Topology;
use crate::id::HostId;
use crate::link::LinkId;
use crate::relay::extension::RoomTopic;
use crate::relay::notice::ServerPair;
use crate::room::RoomName;

/// A user has done something in a room in which somebody is to be notified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relay) struct RoomEvent {
    pub(super) room: Box<[u8]>,
    /// The user.
    pub(in crate::relay) user: HostId,
    /// The name of the user, who may have left since.
    pub(in crate::relay) name: Box<[u8]>,
    /// What the user has done.
    pub(in crate::relay) change: RoomChange,
}

/// What a user has done in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relay) enum RoomChange {
    /// Joined it. With the ends of a new link, if the server of the user has come with that.
    Joined(Option<Arc<ServerPair>>),
    /// Left it.
    Parted {
        /// Text for the others.
        text: Box<[u8]>,
        /// The info of the user, if it has left the network.
        quit_info: Option<Box<[u8]>>,
    },
    /// Set its topic to this text.
    Topic(Box<[u8]>),
}

impl RoomEvent {
    /// Returns the room.
    pub(in crate::relay) fn room(&self) -> RoomName<'_> {
        RoomName::parse(&self.room).expect("the name of a room")
    }
}

impl Topology {
    /// Sets whether the user at the other end of a link is sent the events of its rooms.
    pub(in crate::relay) fn set_room_events(&mut self, link: LinkId, is_sent: bool) {
        if let Some(user) = self.link(link).host_id().filter(|_| is_sent) {
            self.rooms.listeners.insert(user);
        }
    }

    /// Records that a user has joined a room.
    pub(super) fn record_join(
        &mut self,
        user: HostId,
        index: usize,
        joined_over: Option<&Arc<ServerPair>>,
    ) {
        self.record_room_event(user, index, || RoomChange::Joined(joined_over.cloned()));
    }

    /// Records that a user is about to leave a room.
    pub(super) fn record_part(&mut self, user: HostId, index: usize, text: &[u8]) {
        let part = || RoomChange::Parted { text: text.into(), quit_info: None };
        self.record_room_event(user, index, part);
    }

    fn record_room_event(
        &mut self,
        user: HostId,
        index: usize,
        change: impl FnOnce() -> RoomChange,
    ) {
        let name = self.hosts.get(user).map_or(&[][..], |host| host.name());
        self.rooms.push_event(index, (user, name), change);
    }

    /// Records that the topic of a room has changed.
    pub(super) fn record_topic_event(&mut self, topic: &RoomTopic<'_>) {
        if let Some(index) = self.rooms.index_of(topic.room) {
            let change = || RoomChange::Topic(topic.text.into());
            self.rooms.push_event(index, (topic.user, topic.name), change);
        }
    }

    /// Records that a user, which is in the table still, leaves its rooms because it leaves the
    /// network.
    pub(super) fn mark_quits(&mut self, user: HostId) {
        let Self { rooms, hosts, .. } = self;
        for event in rooms.events.iter_mut().filter(|event| event.user == user) {
            if let RoomChange::Parted { quit_info, .. } = &mut event.change {
                *quit_info = hosts.get(user).map(|host| host.info().into());
            }
        }
    }

    /// Removes and returns the events of rooms since the last call.
    pub(in crate::relay) fn take_room_events(&mut self) -> Vec<RoomEvent> {
        std::mem::take(&mut self.rooms.events)
    }

    /// Returns the users of this server who are to be notified of what a user does wherever it is,
    /// since they are in a room with it.
    pub(in crate::relay) fn listeners_beside(&self, user: HostId) -> BTreeSet<HostId> {
        self.rooms.of(user).flat_map(|room| room.listeners.iter().copied()).collect()
    }

    /// Returns the users of this server who are to be notified of an event: those who are in the
    /// room, and the user itself.
    pub(in crate::relay) fn listeners_of(&self, event: &RoomEvent) -> Vec<HostId> {
        let room = self.rooms.find(event.room());
        let mut users = room.map_or_else(Vec::new, |room| room.listeners.iter().copied().collect());
        let has_parted = matches!(event.change, RoomChange::Parted { .. });
        if has_parted && self.rooms.listeners.contains(&event.user) {
            users.push(event.user);
        }
        users
    }
}
