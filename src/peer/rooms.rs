//! Rooms: messages that are flooded to every peer, and shown by those that have joined the room.
//!
//! Room messages are neither retained nor acknowledged. Each peer forwards those of one sender in
//! ascending order and each once, so the invariants of the [module](super) hold while no link is
//! lost: a message at or below the highest one seen is a copy.

use std::collections::{BTreeMap, BTreeSet};

use super::messages::SendError;
use super::wire::{Body, RoomChat};
use super::{Event, Peer};
use crate::limits::PEER_TEXT_BYTES_MAX;
use crate::link::{LinkId, Time};
use crate::room::RoomName;

/// The rooms of this peer, and what was seen of others.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    /// The [keys](RoomName::key) of the rooms that this peer has joined.
    joined: BTreeSet<Box<[u8]>>,
    /// The number of room messages that this peer has sent.
    sequence: u64,
    /// The highest sequence number seen of each known incarnation.
    latest: BTreeMap<u64, u64>,
}

impl Rooms {
    /// Records a message. Returns whether it is later than all others of its sender. Forgets
    /// senders that are no longer known whenever a new one is recorded.
    fn record(&mut self, chat: &RoomChat, is_known: impl Fn(u64) -> bool) -> bool {
        if let Some(latest) = self.latest.get_mut(&chat.incarnation) {
            let is_later = chat.sequence > *latest;
            *latest = chat.sequence.max(*latest);
            return is_later;
        }
        self.latest.retain(|incarnation, _| is_known(*incarnation));
        self.latest.insert(chat.incarnation, chat.sequence);
        true
    }
}

impl Peer {
    /// Joins a room, whose messages are shown from now on. Other peers are not informed.
    pub fn join_room(&mut self, room: RoomName<'_>) {
        self.rooms.joined.insert(room.key().into());
    }

    /// Leaves a room. Returns whether this peer was in it.
    pub fn part_room(&mut self, room: RoomName<'_>) -> bool {
        self.rooms.joined.remove(&*room.key())
    }

    /// Sends a text to all reachable peers that have joined a room.
    ///
    /// # Errors
    /// Returns a [`SendError`] if the text cannot be sent; then the state is unchanged.
    pub fn send_to_room(
        &mut self,
        now: Time,
        room: RoomName<'_>,
        text: &str,
    ) -> Result<(), SendError> {
        let from = self.id().ok_or(SendError::NotReady)?;
        if !self.rooms.joined.contains(&*room.key()) {
            return Err(SendError::NotInRoom);
        }
        if text.len() > PEER_TEXT_BYTES_MAX {
            return Err(SendError::TooLong(text.len()));
        }
        self.rooms.sequence += 1;
        let (incarnation, sequence) = (self.topology.own().incarnation, self.rooms.sequence);
        let room = String::from_utf8_lossy(room.as_bytes()).into_owned();
        let chat = RoomChat { incarnation, sequence, from, room, text: text.to_owned() };
        self.links.flood(Body::RoomChat(chat), None);
        self.run_pending(now);
        Ok(())
    }

    /// Handles a received room message: shows it and forwards it, unless it is a copy or its sender
    /// is unknown.
    pub(super) fn handle_room_chat(&mut self, link: LinkId, chat: RoomChat) {
        let topology = &self.topology;
        let is_own = chat.incarnation == topology.own().incarnation;
        let is_known = |incarnation| topology.is_known(incarnation);
        if is_own || !is_known(chat.incarnation) || !self.rooms.record(&chat, is_known) {
            return;
        }
        let name = RoomName::parse(chat.room.as_bytes());
        if name.is_ok_and(|name| self.rooms.joined.contains(&*name.key())) {
            let (room, from, text) = (chat.room.clone(), chat.from, chat.text.clone());
            self.events.push_back(Event::RoomChat { room, from, text });
        }
        self.links.flood(Body::RoomChat(chat), Some(link));
    }
}
