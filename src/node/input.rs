//! Input: bytes of a link become frames, and each frame is forwarded or handled by its session.

use super::link::{InputKind, LinkRole, Wait};
use super::links::Links;
use super::{Action, Node};
use crate::limits::{BURST_CHANGES_MIN, READ_BYTES_PER_TURN, STREAM_OTHER_BYTES_MAX};
use crate::link::frame_decoder::{Decoded, Flow, FrameHandler};
use crate::link::{CloseReason, DirectWrite, LinkId, Machine as _};
use crate::relay::Outbox as _;
use crate::wires::{ChatHeader, Effect, Effects, RoomAction, RoomRequest, Wire};

/// The frames of one read of a link.
pub(super) struct Input<'a> {
    pub(super) node: &'a mut Node,
    pub(super) link: LinkId,
    /// Wire of the link.
    pub(super) wire: Wire,
    /// Header of the next frame, if that is a chat which may be forwarded unchanged.
    pub(super) chat: Option<ChatHeader>,
    pub(super) forwarded_frames: u64,
    /// Number of bytes of frames that were not forwarded unchanged.
    pub(super) other_bytes: usize,
    /// Number of such bytes after which the rest waits for the next turn.
    pub(super) other_bytes_max: usize,
    pub(super) direct_write: DirectWrite<'a>,
}

impl FrameHandler for Input<'_> {
    type Error = String;

    #[inline]
    fn frame_len(&mut self, bytes: &[u8]) -> Result<Option<usize>, String> {
        let Links { table, limits, .. } = &self.node.links;
        let Some(link) = table.get(self.link) else { return Ok(None) };
        self.chat = link.session.peek_chat(bytes, limits);
        if let Some(chat) = &self.chat {
            return Ok(Some(chat.frame_bytes));
        }
        link.session.frame_len(bytes, limits)
    }

    #[inline]
    fn on_frame(&mut self, bytes: &[u8], len: usize) -> Flow {
        if self.node.links.must_pause {
            return Flow::Defer;
        }
        match self.forward_frames(bytes) {
            Some(run_bytes) => Flow::ContinueAfter(run_bytes),
            None => {
                let flow = self.node.handle_frame(self.link, bytes, len);
                if let Flow::ContinueAfter(handled_bytes) = flow {
                    self.other_bytes += handled_bytes;
                    self.node.links.must_pause |= self.other_bytes >= self.other_bytes_max;
                }
                flow
            }
        }
    }
}

impl Node {
    /// Handles the frames that some bytes complete, until a send queue rises above its high-water
    /// mark: a few bytes of one wire can be very many of another, and the recipient gets to read.
    pub(super) fn decode_input(&mut self, id: LinkId, bytes: &[u8], direct_write: DirectWrite<'_>) {
        let Some(link) = self.links.live_mut(id) else {
            return;
        };
        let wire = link.wire();
        // More than usual is read of a link that brought forwarded chats alone.
        let is_long_read = link.last_input == InputKind::Stream;
        let other_bytes_max = if is_long_read { READ_BYTES_PER_TURN } else { usize::MAX };
        let mut decoder = std::mem::take(&mut link.decoder);
        let partial_bytes_before = decoder.partial_bytes();
        let mut spare_buffer = self.links.table.buffer_pool.take();
        self.links.table_changes = 0;
        let mut input = Input {
            node: self,
            link: id,
            wire,
            chat: None,
            forwarded_frames: 0,
            other_bytes: 0,
            other_bytes_max,
            direct_write,
        };
        let result = decoder.decode_while(bytes, &mut spare_buffer, &mut input);
        let Input { forwarded_frames, other_bytes, .. } = input;
        if let Some(spare_buffer) = spare_buffer {
            self.links.table.buffer_pool.recycle(spare_buffer);
        }
        let must_pause = self.links.must_pause;
        let table_changes = self.links.table_changes;
        let Links { table, limits, .. } = &mut self.links;
        let link = table.get_mut(id).expect("links are removed in `closed` alone");
        let partial_bytes = decoder.partial_bytes();
        link.decoder = decoder;
        link.traffic.frames_in += forwarded_frames;
        let is_stream = link.role == LinkRole::Server
            && bytes.len() >= READ_BYTES_PER_TURN
            && other_bytes <= STREAM_OTHER_BYTES_MAX;
        link.last_input = if table_changes >= BURST_CHANGES_MIN {
            InputKind::Burst
        } else if is_stream {
            InputKind::Stream
        } else {
            InputKind::Mixed
        };
        let unhandled_bytes = match &result {
            Ok(Decoded::All) | Err(_) => 0,
            Ok(Decoded::Dropped(bytes)) => *bytes,
            Ok(Decoded::Deferred(rest)) => rest.len(),
        };
        let is_ack_due = link.on_decoded(unhandled_bytes, limits);
        match result {
            Ok(Decoded::All | Decoded::Dropped(_)) => {}
            Ok(Decoded::Deferred(rest)) => {
                link.deferred_input = Some(Box::new(rest));
                self.links.table.count_buffers(id);
                if must_pause {
                    self.links.pause(id);
                }
            }
            Err(message) => self.links.close(id, CloseReason::ProtocolError(message)),
        }
        if partial_bytes > 0 || partial_bytes_before > 0 {
            let is_same_frame = partial_bytes == partial_bytes_before + bytes.len();
            self.links.on_partial_frame(id, partial_bytes, is_same_frame);
        }
        if is_ack_due {
            self.relay.acknowledge(self.links.now, id, &mut self.links);
        }
    }

    /// Lets the relay decide which protocol a server speaks that has just registered, if all of its
    /// input has been handled.
    #[inline]
    pub(super) fn settle_introduction(&mut self, id: LinkId) {
        if self.relay.is_undecided(id)
            && self.links.get(id).is_some_and(|link| !link.decoder.has_partial_frame())
        {
            let now = self.links.now;
            self.relay.on_input_end(now, id, &mut self.links);
        }
    }

    /// Handles the frame at the front of `bytes` in the link's session; if it is a chat, with those
    /// behind it that continue its run.
    fn handle_frame(&mut self, id: LinkId, bytes: &[u8], len: usize) -> Flow {
        // The session replies on the queue of a client that may not be reading.
        if !self.is_open(id) || self.links.close_if_overfull(id) {
            return Flow::Stop;
        }
        if self.links.get(id).is_some_and(|link| link.waits.is_for(Wait::Broadcast)) {
            return Flow::Defer;
        }
        if !self.links.names.reserved_ids.is_empty() {
            self.register_assigned(id, Some(&bytes[..len]));
        }
        let mut effects = Effects::new();
        let (frame, rest) = bytes.split_at(len);
        self.links.with_session(id, &self.relay, |session, cx| {
            session.on_frame(frame, cx, &mut effects);
        });
        let (mut frames, mut rest_bytes) = (1, 0);
        self.links.frame_link = Some(id);
        let last = effects.len().saturating_sub(1);
        for (i, effect) in effects.into_iter().enumerate() {
            match effect {
                Effect::Defer => {
                    self.links.frame_link = None;
                    return Flow::Defer;
                }
                Effect::Chat { from, to, text } => {
                    let rest = if i == last { rest } else { &[] };
                    (frames, rest_bytes) = self.forward_chats(id, (from, to), &text, rest);
                }
                Effect::Room(RoomRequest { room, action: RoomAction::Chat(text) }) => {
                    let rest = if i == last { rest } else { &[] };
                    (frames, rest_bytes) = self.chat_in_room(id, (&room, &text), rest);
                }
                Effect::Relay(message) if self.relay.begins_room_run(id, &message) => {
                    let rest = if i == last { rest } else { &[] };
                    (frames, rest_bytes) = self.receive_room_run(id, &message, rest);
                }
                effect => self.apply(id, effect),
            }
        }
        self.links.frame_link = None;
        if let Some(link) = self.links.get_mut(id) {
            if link.waits.is_for(Wait::LostHost) {
                return Flow::Defer;
            }
            link.traffic.frames_in += frames;
        }
        Flow::ContinueAfter(len + rest_bytes)
    }

    /// Handles deferred input of a link, if nothing holds it back any more.
    pub(super) fn resume_input(&mut self, id: LinkId) {
        let must_pause = self.links.must_pause;
        let Some(link) = self.links.live_mut(id) else {
            return;
        };
        if link.unacked_mail > 0 || link.waits.is_any() {
            return;
        }
        if must_pause && link.deferred_input.is_some() {
            return self.links.pause(id);
        }
        if let Some(input) = link.deferred_input.take() {
            self.links.table.count_buffers(id);
            self.decode_input(id, &input, &mut |_, _| 0);
            if self.wants_read(id) {
                self.links.actions.push_back(Action::Resume { link: id });
            }
        }
    }
}
