//! Lists of users, rooms and members, in events of a bounded size.
//!
//! The next event of a list is written when the client's queue has room, so that a list of a
//! million users neither fills the queue nor holds up other clients. Users who come or go meanwhile
//! may be in the list or not.

use std::collections::VecDeque;

use crate::id::HostId;
use crate::limits::{
    QUEUE_LOW_WATER_BYTES, WEB_HOSTS_PER_STEP_MAX, WEB_LIST_ENTRIES_MAX, WEB_LISTS_MAX,
};
use crate::link::SendQueue;
use crate::relay::message::HostKind;
use crate::relay::{Host, MemberCursor, Relay};
use crate::room::RoomName;
use crate::vocabulary::{Borrowed, EventOf, RoomSize, User};

use super::websocket::write_text;

/// A list that a client has asked for, and how far it was written.
#[derive(Clone, Debug)]
pub(super) enum List {
    /// All users but the client.
    Users {
        /// The first place in the table of hosts that was not looked at.
        next_slot: usize,
    },
    /// All rooms.
    Rooms {
        /// The key of the last room that was written.
        after: Option<Box<[u8]>>,
    },
    /// The members of a room.
    Members {
        /// The room.
        room: Box<[u8]>,
        /// Those that were written.
        cursor: MemberCursor,
    },
}

/// The lists that a client waits for, in the order in which it has asked. Without any, it owns no
/// memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    #[expect(
        clippy::box_collection,
        reason = "every idle client has this, and hardly any uses it"
    )]
    pending: Option<Box<VecDeque<List>>>,
}

impl Lists {
    /// Returns whether there are any.
    pub(super) fn is_any(&self) -> bool {
        self.pending.is_some()
    }

    /// Adds a list. Returns false if there are too many.
    pub(super) fn add(&mut self, list: List) -> bool {
        let pending = self.pending.get_or_insert_default();
        let has_room = pending.len() < WEB_LISTS_MAX;
        if has_room {
            pending.push_back(list);
        }
        has_room
    }

    /// Writes the next event for the user `client`, if the queue has room for it.
    pub(super) fn write_next(&mut self, client: HostId, relay: &Relay, queue: &mut SendQueue) {
        let Some(pending) = &mut self.pending else { return };
        if queue.len() >= QUEUE_LOW_WATER_BYTES {
            return;
        }
        if let Some(list) = pending.front_mut() {
            let event = list.next_event(client, relay);
            let has_more = match &event {
                EventOf::Users { more, .. }
                | EventOf::Rooms { more, .. }
                | EventOf::RoomUsers { more, .. } => *more,
                _ => false,
            };
            write_text(queue.tail(), |out| event.write_json(out));
            if !has_more {
                pending.pop_front();
            }
        }
        if pending.is_empty() {
            self.pending = None;
        }
    }
}

fn to_user(host: &Host) -> User<Borrowed<'_>> {
    User { id: Some(host.id.0.into()), name: Borrowed(host.name()) }
}

impl List {
    fn next_event<'a>(&'a mut self, client: HostId, relay: &'a Relay) -> EventOf<Borrowed<'a>> {
        match self {
            Self::Users { next_slot } => {
                let hosts = relay.hosts();
                let end = hosts.slot_count().min(*next_slot + WEB_HOSTS_PER_STEP_MAX);
                let mut users = Vec::new();
                let is_other = |host: &&Host| host.kind == HostKind::User && host.id != client;
                while *next_slot < end {
                    if let Some(host) = hosts.at_slot(*next_slot).filter(is_other) {
                        if users.len() == WEB_LIST_ENTRIES_MAX {
                            break;
                        }
                        users.push(to_user(host));
                    }
                    *next_slot += 1;
                }
                EventOf::Users { users, more: *next_slot < hosts.slot_count() }
            }
            Self::Rooms { after } => {
                let previous = after.take();
                let mut found = relay.rooms_after(previous.as_deref());
                let mut last = None;
                let rooms = found.by_ref().take(WEB_LIST_ENTRIES_MAX).map(|room| {
                    last = Some(room.name);
                    let users = (room.members_here + room.members_elsewhere) as u64;
                    RoomSize { room: Borrowed(room.name.as_bytes()), users }
                });
                let rooms = rooms.collect();
                let more = found.next().is_some();
                drop(found);
                *after = last.map(|room| room.key().into());
                EventOf::Rooms { rooms, more }
            }
            Self::Members { room, cursor } => {
                let name = RoomName::parse(room).expect("checked when it was asked for");
                let (hosts, more) = relay.next_members(name, cursor, WEB_LIST_ENTRIES_MAX);
                let users = hosts.into_iter().map(to_user).collect();
                EventOf::RoomUsers { room: Borrowed(room), users, more }
            }
        }
    }
}
