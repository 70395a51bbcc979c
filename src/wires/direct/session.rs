//! The session of a direct client: assigns ids, and turns messages into chats, echoes and mail.
//!
//! A client is assigned an id when it connects. It becomes a user of the network when it sends its
//! first frame, when somebody sends something to that id, or after a short time: connections that
//! are opened and closed are not announced. Its CRC id is its id where that fits in 32 bits, and
//! random otherwise. Its name is its id in decimal.

use std::borrow::Cow;

use super::codec::{self, Control, FastHandshake};
use crate::id::{HostId, WideId};
use crate::limits::{DIRECT_ID_CHANGE_INTERVAL, DIRECT_SILENCE_MAX, FRAME_HEADROOM_BYTES, Limits};
use crate::link::SendQueue;
use crate::link::{CloseReason, Time};
use crate::names::Names;
use crate::printable::Excerpt;
use crate::relay::FirstLink;
use crate::relay::message::StatusCode;
use crate::relay::notice::{Notice, RoomChats, RoomText};
use crate::wires::{
    Effect, Effects, NoticeCx, RoomAction, RoomFrames, RoomRequest, RunKey, RunMatcher, SessionCx,
    Wire,
};

/// A direct session.
#[derive(Clone, Debug)]
pub struct Session {
    /// The client's id in the network; [`HostId::NONE`] until one is assigned.
    id: HostId,
    /// When the client becomes a user, if it is not one yet.
    registers_at: Option<Time>,
    /// The client's id on this wire.
    wide_id: WideId,
    /// Whether the client asked for the id that is being registered.
    has_requested_id: bool,
    /// When the client may change its id next.
    next_id_change_at: Option<Time>,
    /// Whether input is deferred until `next_id_change_at`.
    is_deferred: bool,
    /// Recipient of the last message that became a chat.
    last_recipient: WideId,
}

impl Default for Session {
    fn default() -> Self {
        let (id, wide_id, last_recipient) = (HostId::NONE, WideId(0), WideId(0));
        Self {
            id,
            registers_at: None,
            wide_id,
            has_requested_id: false,
            next_id_change_at: None,
            is_deferred: false,
            last_recipient,
        }
    }
}

impl crate::wires::Session for Session {
    #[inline]
    fn wire(&self) -> Wire {
        Wire::DIRECT
    }

    fn clone_box(&self) -> Box<dyn crate::wires::Session> {
        Box::new(self.clone())
    }

    #[inline]
    fn frame_len(&self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, String> {
        codec::frame_len(bytes, limits.frame_bytes_max).map_err(|error| error.to_string())
    }

    /// Assigns an id. An id that mail waits for is left to the user who asks for it.
    fn on_open(&mut self, cx: &mut SessionCx<'_>, effects: &mut Effects<'_>) {
        if !cx.relay.has_room_for_user() {
            self.on_registration_refused(cx.queue);
            return effects.push(Effect::Close(CloseReason::TableFull));
        }
        let mut id = cx.unused_id();
        while cx.spool.has_mail(id.into()) {
            id = cx.unused_id();
        }
        (self.id, self.wide_id) = (id, id.into());
        self.registers_at = Some(cx.now + DIRECT_SILENCE_MAX);
        cx.names.reserved_ids.insert(id, cx.link);
        codec::encode(&FastHandshake { id: self.wide_id.0, error: false }, cx.queue.tail());
    }

    /// A client that asks for another id at once is announced under that id alone.
    fn on_first_use(
        &mut self,
        frame: Option<&[u8]>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) {
        let is_registered_by_frame = |message: codec::ClientMessage<'_>| match message.control {
            Some(Control::DesiredId(desired)) => self.free_id(WideId(desired), cx).is_some(),
            _ => false,
        };
        // A frame that cannot be parsed closes the connection.
        let is_left_to_frame = frame.is_some_and(|frame| {
            codec::parse_client_frame(frame).map_or(true, is_registered_by_frame)
        });
        if self.registers_at.is_some() && !is_left_to_frame {
            effects.push(self.register(self.id, self.wide_id, cx.names));
        }
    }

    fn on_frame<'a>(&mut self, frame: &'a [u8], cx: &mut SessionCx<'_>, effects: &mut Effects<'a>) {
        let message = match codec::parse_client_frame(frame) {
            Ok(message) => message,
            Err(error) => {
                let reason = CloseReason::ProtocolError(error.to_string());
                return effects.push(Effect::Close(reason));
            }
        };
        effects.extend(match message.control {
            _ if cx.has_unacked_mail && !is_mail(&message, cx) => Some(Effect::Defer),
            Some(Control::DesiredId(desired)) => self.handle_desired_id(WideId(desired), cx),
            // A reply to nothing that the server sent.
            Some(Control::Handshake(_)) => None,
            Some(Control::Join(room)) => Some(request(room, RoomAction::Join)),
            Some(Control::Part(room)) => Some(request(room, RoomAction::Part(message.msg))),
            None if !message.room.is_empty() => {
                Some(request(message.room, RoomAction::Chat(message.msg)))
            }
            None => self.handle_message(WideId(message.to), message.msg, cx),
        });
    }

    fn on_notice(&mut self, notice: &Notice<'_>, cx: &mut NoticeCx<'_>) {
        match *notice {
            Notice::Chat { source, text, .. } => {
                self.send_text(cx.names.wide_ids.wide_id(source), text, cx.queue);
            }
            Notice::Mail { mail, .. } => self.send_text(mail.sender, mail.text, cx.queue),
            Notice::RoomChat { room, source, text, .. } => {
                let WideId(from) = cx.names.wide_ids.wide_id(source);
                let (text, room) = (to_utf8(text), to_utf8(room.as_bytes()));
                codec::encode_to_room((from, self.wide_id.0), &room, &text, cx.queue.tail());
            }
            Notice::RoomRefused { room, reason } => {
                let text = format!("{}: {reason}", Excerpt(room));
                self.send_text(WideId(0), text.as_bytes(), cx.queue);
            }
            Notice::Welcome { .. } => {
                if std::mem::take(&mut self.has_requested_id) {
                    self.send_handshake(false, cx.queue);
                }
            }
            Notice::MailRefused { to, reason } => {
                let text = format!("not kept for {to}: {reason}");
                self.send_text(WideId(0), text.as_bytes(), cx.queue);
            }
            Notice::Status { code, text, .. } if code != StatusCode::UNKNOWN_ID => {
                self.send_text(WideId(0), text, cx.queue);
            }
            Notice::IdTaken { .. } | Notice::Kicked { .. } => {
                if let Some((_, text)) = notice.status() {
                    self.send_text(WideId(0), &text, cx.queue);
                }
            }
            // This wire has no form for presence, and none for a message that reached nobody.
            Notice::Status { .. }
            | Notice::UnknownId(_)
            | Notice::MailKept
            | Notice::RoomJoined { .. }
            | Notice::RoomParted { .. }
            | Notice::NickChanged(_)
            | Notice::RoomTopic { .. }
            | Notice::RoomTags { .. }
            | Notice::Away { .. }
            | Notice::RealName { .. }
            | Notice::Joined(_)
            | Notice::Quit { .. } => {}
        }
    }

    fn parse_room_text<'a>(
        &self,
        room: &[u8],
        bytes: &'a [u8],
        limits: &Limits,
    ) -> Option<(&'a [u8], usize)> {
        codec::parse_text_to_room(room, bytes, limits.frame_bytes_max)
    }

    fn on_room_chats(
        &mut self,
        chats: &RoomChats<'_>,
        _: HostId,
        encoded: &mut RoomFrames,
        cx: &mut NoticeCx<'_>,
    ) {
        let to = self.wide_id.0;
        let recipient = codec::Varint::new(to as u64);
        let form = u8::try_from(recipient.as_bytes().len()).expect("at most ten bytes");
        let names = cx.names;
        let encode = |bytes: &mut Vec<u8>, offsets: &mut Vec<usize>| {
            for &RoomText { source, text, .. } in chats.texts {
                let WideId(from) = names.wide_ids.wide_id(source);
                let (text, room) = (to_utf8(text), to_utf8(chats.room.as_bytes()));
                let begin = bytes.len();
                offsets.push(begin + codec::encode_to_room((from, to), &room, &text, bytes));
            }
        };
        encoded.append((Wire::DIRECT, form), recipient.as_bytes(), cx.queue.tail(), encode);
    }

    fn on_timer(&mut self, cx: &mut SessionCx<'_>, effects: &mut Effects<'_>) {
        self.is_deferred &= self.next_id_change_at.is_some_and(|at| at > cx.now);
        if self.registers_at.is_none_or(|at| at > cx.now) {
            return;
        }
        if !cx.queue.is_empty() {
            // Its id was not sent yet, as during a TLS handshake: it is not silent, but not there.
            self.registers_at = Some(cx.now + DIRECT_SILENCE_MAX);
        } else {
            effects.push(self.register(self.id, self.wide_id, cx.names));
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.registers_at.or(self.next_id_change_at.filter(|_| self.is_deferred))
    }

    fn closed(&mut self, names: &mut Names) {
        if self.registers_at.is_some() {
            names.reserved_ids.remove(self.id);
        }
    }

    fn on_registration_refused(&mut self, queue: &mut SendQueue) {
        codec::encode(&FastHandshake { id: 0, error: true }, queue.tail());
    }

    fn run_matcher(&self) -> Option<RunMatcher> {
        let mut key = RunKey::default();
        key[..8].copy_from_slice(&self.last_recipient.0.to_ne_bytes());
        Some(RunMatcher { key, match_chat })
    }

    fn on_chats<'a>(
        &mut self,
        (source, _): (HostId, HostId),
        cx: &mut NoticeCx<'_>,
        next_text: &mut dyn FnMut(&SendQueue) -> Option<&'a [u8]>,
    ) {
        let sender = cx.names.wide_ids.wide_id(source);
        while let Some(text) = next_text(cx.queue) {
            self.send_text(sender, text, cx.queue);
        }
    }
}

impl Session {
    fn register(&mut self, id: HostId, wide_id: WideId, names: &mut Names) -> Effect<'static> {
        if self.registers_at.take().is_some() {
            names.reserved_ids.remove(self.id);
        }
        (self.id, self.wide_id) = (id, wide_id);
        Effect::Register { id, name: Cow::Owned(wide_id.to_string().into_bytes()), info: None }
    }

    /// Handles a request for another id.
    fn handle_desired_id(
        &mut self,
        desired: WideId,
        cx: &mut SessionCx<'_>,
    ) -> Option<Effect<'static>> {
        if desired == self.wide_id {
            self.send_handshake(false, cx.queue);
            return None;
        }
        match self.free_id(desired, cx) {
            Some(_) if self.next_id_change_at.is_some_and(|at| at > cx.now) => {
                self.is_deferred = true;
                Some(Effect::Defer)
            }
            Some(id) => {
                self.has_requested_id = true;
                self.next_id_change_at = Some(cx.now + DIRECT_ID_CHANGE_INTERVAL);
                Some(self.register(id, desired, cx.names))
            }
            None => {
                self.send_handshake(true, cx.queue);
                None
            }
        }
    }

    /// Returns the CRC id that the client would have under another id, if that one is free.
    fn free_id(&self, desired: WideId, cx: &mut SessionCx<'_>) -> Option<HostId> {
        match u32::try_from(desired.0).map(HostId) {
            Ok(id) if id.is_registrable() => (!cx.is_taken(id)).then_some(id),
            _ if desired.0 <= 0 => None,
            _ => match cx.names.wide_ids.find_user(desired, cx.relay.hosts()) {
                Some(_) => None,
                None => Some(cx.unused_id()),
            },
        }
    }

    fn send_handshake(&self, error: bool, queue: &mut SendQueue) {
        let WideId(id) = self.wide_id;
        let control = Some(Control::Handshake(FastHandshake { id, error }));
        let message = codec::Message { to: id, control, ..codec::Message::default() };
        codec::encode(&message, queue.tail());
    }

    /// Handles a message: an echo, a chat, or mail.
    fn handle_message<'a>(
        &mut self,
        to: WideId,
        text: Cow<'a, [u8]>,
        cx: &mut SessionCx<'_>,
    ) -> Option<Effect<'a>> {
        let WideId(from) = self.wide_id;
        if to.0 == 0 {
            codec::encode_plain_utf8(from, 0, &text, cx.queue.tail());
            return None;
        }
        if text.len() + FRAME_HEADROOM_BYTES > cx.limits.frame_bytes_max {
            let detail = format!("a text of {} bytes, too long to pass on", text.len());
            return Some(Effect::Close(CloseReason::ProtocolError(detail)));
        }
        if to.0 < 0 {
            log::debug!("direct client {from}: dropped a message to {to}, which is not an id");
            return None;
        }
        Some(match find_reachable_user(to, cx) {
            Some(host_id) => {
                self.last_recipient = to;
                Effect::Chat { from: self.id, to: host_id, text }
            }
            None if cx.spool.is_congested() => Effect::Defer,
            // A refusal must follow the results of the messages before it.
            None if cx.has_unacked_mail && cx.spool.check_append(to, text.len()).is_err() => {
                Effect::Defer
            }
            None => Effect::SendMail { from: self.wide_id, to, text },
        })
    }

    /// Sends a text to the client. Sender 0 is the server.
    fn send_text(&self, sender: WideId, text: &[u8], queue: &mut SendQueue) {
        if codec::is_utf8(text) {
            codec::encode_plain_utf8(sender.0, self.wide_id.0, text, queue.tail());
        } else {
            let text = String::from_utf8_lossy(text);
            codec::encode_plain(sender.0, self.wide_id.0, &text, queue.tail());
        }
    }
}

/// [`crate::wires::MatchChat`] of this wire; the key begins with the recipient.
fn match_chat<'a>(
    key: &RunKey,
    bytes: &'a [u8],
    frame_bytes_max: usize,
) -> Option<(&'a [u8], usize)> {
    let (to, _) = key.split_first_chunk()?;
    codec::parse_plain_to(i64::from_ne_bytes(*to), bytes, frame_bytes_max)
}

/// Returns a text with what is not UTF-8 replaced by U+FFFD.
fn to_utf8(text: &[u8]) -> Cow<'_, [u8]> {
    match codec::is_utf8(text) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(String::from_utf8_lossy(text).into_owned().into_bytes()),
    }
}

/// Returns the effect of a request about a room.
fn request(room: String, action: RoomAction<'_>) -> Effect<'_> {
    Effect::Room(RoomRequest { room: Cow::Owned(room.into_bytes()), action })
}

/// Returns whether a message is to be stored.
fn is_mail(message: &codec::ClientMessage<'_>, cx: &SessionCx<'_>) -> bool {
    let to = WideId(message.to);
    let is_for_user = message.control.is_none() && message.room.is_empty();
    is_for_user && to.0 > 0 && find_reachable_user(to, cx).is_none()
}

/// Returns the user to whom a message can be forwarded at once: reachable, and without mail waiting
/// that must be delivered first.
fn find_reachable_user(to: WideId, cx: &SessionCx<'_>) -> Option<HostId> {
    let user = cx.names.wide_ids.find_user(to, cx.relay.hosts())?;
    let is_reachable =
        matches!(cx.relay.first_link(user), FirstLink::Link(_)) && !cx.spool.must_spool(to);
    is_reachable.then_some(user.id)
}
