//! Runs of messages to a room: those in one read that follow each other are delivered together.

use smallvec::{SmallVec, smallvec};

use super::Node;
use crate::limits::{ROOM_RUN_BYTES_MAX, ROOM_RUN_MESSAGES_MAX};
use crate::link::LinkId;
use crate::relay::Relay;
use crate::relay::message::Message;

impl Node {
    /// Applies a message of a session's client to a room, and those in `rest` that continue its
    /// run. Returns the number of messages, and the bytes of `rest` that were handled.
    pub(super) fn chat_in_room(
        &mut self,
        id: LinkId,
        (room, text): (&[u8], &[u8]),
        rest: &[u8],
    ) -> (u64, usize) {
        let mut texts: SmallVec<[&[u8]; 1]> = smallvec![text];
        let mut handled_bytes = 0;
        if let Some(link) = self.links.get(id) {
            while texts.len() < ROOM_RUN_MESSAGES_MAX && handled_bytes < ROOM_RUN_BYTES_MAX {
                let (bytes, limits) = (&rest[handled_bytes..], &self.links.limits);
                let Some((text, len)) = link.session.parse_room_text(room, bytes, limits) else {
                    break;
                };
                texts.push(text);
                handled_bytes += len;
            }
        }
        self.relay.chat_in_room(self.links.now, id, (room, &texts), &mut self.links);
        (texts.len() as u64, handled_bytes)
    }

    /// Handles a message to a room on the wire of servers, and those in `rest` that continue its
    /// run. Returns the number of messages, and the bytes of `rest` that were handled.
    pub(super) fn receive_room_run(
        &mut self,
        id: LinkId,
        first: &Message<'_>,
        rest: &[u8],
    ) -> (u64, usize) {
        let mut messages: SmallVec<[Message<'_>; 1]> = smallvec![*first];
        let mut handled_bytes = 0;
        if let Some(link) = self.links.get(id) {
            while messages.len() < ROOM_RUN_MESSAGES_MAX && handled_bytes < ROOM_RUN_BYTES_MAX {
                let bytes = &rest[handled_bytes..];
                let len = link.session.frame_len(bytes, &self.links.limits).ok().flatten();
                let frame = len.and_then(|len| bytes.get(..len));
                let message = frame.and_then(|frame| link.session.parse_message(frame));
                let Some((frame, message)) = frame.zip(message) else { break };
                if !Relay::continues_room_run(first, &message) {
                    break;
                }
                messages.push(message);
                handled_bytes += frame.len();
            }
        }
        self.relay.receive_room_run(self.links.now, id, &messages, &mut self.links);
        (messages.len() as u64, handled_bytes)
    }
}
