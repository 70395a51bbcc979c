//! A direct client's session: gives it an id, and turns its messages into chats, echoes and mail.
//!
//! A client is a user of the network as soon as it is connected. Its id is its CRC id where that
//! fits, and its name in decimal; a larger one has a random CRC id under that name.

use std::borrow::Cow;

use super::codec::{self as wire, Control, FastHandshake};
use crate::id::{HostId, WideId};
use crate::limits::{DIRECT_ID_CHANGE_INTERVAL, FRAME_HEADROOM_BYTES};
use crate::link::SendQueue;
use crate::link::{CloseReason, Time};
use crate::relay::FirstLink;
use crate::relay::message::{Message, StatusCode};
use crate::wires::{Effect, SessionCx, SharedNames};

/// What a client is known as.
#[derive(Debug)]
pub struct Session {
    /// In the network; [`HostId::NO_SLOT`] until it is registered.
    id: HostId,
    /// On this wire.
    wide_id: WideId,
    /// It has asked for the id that it is being registered with.
    has_requested_id: bool,
    /// It changed its id lately: the next change waits until then.
    next_id_change_at: Option<Time>,
    /// What it says waits for that.
    is_deferred: bool,
    /// To whom the last message was that went on as a chat.
    last_recipient: WideId,
}

impl Default for Session {
    fn default() -> Self {
        let (id, wide_id, last_recipient) = (HostId::NONE, WideId(0), WideId(0));
        Self {
            id,
            wide_id,
            has_requested_id: false,
            next_id_change_at: None,
            is_deferred: false,
            last_recipient,
        }
    }
}

impl Session {
    /// Assigns an id.
    pub(in crate::wires) fn on_connect(&mut self, cx: &mut SessionCx<'_>) -> Effect<'static> {
        // Not one that somebody else has mail under: that is for who asks for it.
        let mut id = cx.unused_id();
        while cx.spool.has_mail(id.into()) {
            id = cx.unused_id();
        }
        self.register(id, id.into())
    }

    fn register(&mut self, id: HostId, wide_id: WideId) -> Effect<'static> {
        (self.id, self.wide_id) = (id, wide_id);
        Effect::Register { id, name: Cow::Owned(wide_id.to_string().into_bytes()) }
    }

    pub(in crate::wires) fn on_frame<'a>(
        &mut self,
        frame: &'a [u8],
        cx: &mut SessionCx<'_>,
    ) -> Effect<'a> {
        let message = match wire::parse_client_frame(frame) {
            Ok(message) => message,
            Err(error) => return Effect::Close(CloseReason::ProtocolError(error.to_string())),
        };
        match message.control {
            _ if cx.has_unacked_mail && !is_mail(&message, cx) => Effect::Defer,
            Some(Control::DesiredId(desired)) => self.handle_desired_id(WideId(desired), cx),
            // An answer that nobody asked for.
            Some(Control::Handshake(_)) => Effect::None,
            None => self.handle_message(WideId(message.to), message.msg, cx),
        }
    }

    /// The client wants to be known as somebody else.
    fn handle_desired_id(&mut self, desired: WideId, cx: &mut SessionCx<'_>) -> Effect<'static> {
        if desired == self.wide_id {
            self.send_handshake(false, cx.queue);
            return Effect::None;
        }
        let id = match u32::try_from(desired.0).map(HostId) {
            Ok(id) if id.is_registrable() => (!cx.is_taken(id)).then_some(id),
            _ if desired.0 <= 0 => None,
            _ => match cx.names.wide_ids.find_user(desired, cx.relay.hosts()) {
                Some(_) => None,
                None => Some(cx.unused_id()),
            },
        };
        match id {
            Some(_) if self.next_id_change_at.is_some_and(|at| at > cx.now) => {
                self.is_deferred = true;
                Effect::Defer
            }
            Some(id) => {
                self.has_requested_id = true;
                self.next_id_change_at = Some(cx.now + DIRECT_ID_CHANGE_INTERVAL);
                self.register(id, desired)
            }
            None => {
                self.send_handshake(true, cx.queue);
                Effect::None
            }
        }
    }

    fn send_handshake(&self, error: bool, queue: &mut SendQueue) {
        let WideId(id) = self.wide_id;
        let control = Some(Control::Handshake(FastHandshake { id, error }));
        let message = wire::Message { to: id, control, ..wire::Message::default() };
        wire::encode(&message, queue.tail());
    }

    fn handle_message<'a>(
        &mut self,
        to: WideId,
        text: Cow<'a, [u8]>,
        cx: &mut SessionCx<'_>,
    ) -> Effect<'a> {
        let WideId(from) = self.wide_id;
        if to.0 == 0 {
            wire::encode_plain_utf8(from, 0, &text, cx.queue.tail());
            return Effect::None;
        }
        if text.len() + FRAME_HEADROOM_BYTES > cx.limits.frame_bytes_max {
            let detail = format!("a text of {} bytes, too long to pass on", text.len());
            return Effect::Close(CloseReason::ProtocolError(detail));
        }
        if to.0 < 0 {
            log::debug!("direct client {from}: dropped a message to {to}, whom nobody can be");
            return Effect::None;
        }
        match find_reachable_user(to, cx) {
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
        }
    }

    /// To whom the last chat was.
    pub(in crate::wires) fn last_recipient(&self) -> WideId {
        self.last_recipient
    }

    pub(in crate::wires) fn deadline(&self) -> Option<Time> {
        self.next_id_change_at.filter(|_| self.is_deferred)
    }

    /// What was held comes again after this.
    pub(in crate::wires) fn on_timer(&mut self, now: Time) {
        self.is_deferred &= self.next_id_change_at.is_some_and(|at| at > now);
    }

    pub(in crate::wires) fn on_registration_refused(&mut self, queue: &mut SendQueue) {
        wire::encode(&FastHandshake { id: 0, error: true }, queue.tail());
    }

    pub(in crate::wires) fn deliver(
        &mut self,
        message: &Message<'_>,
        names: &SharedNames,
        queue: &mut SendQueue,
    ) {
        match *message {
            Message::Chat { source, text, .. } => {
                self.deliver_text(names.wide_ids.wide_id(source), text, queue);
            }
            Message::Status { code: StatusCode::WELCOME, .. } => {
                if std::mem::take(&mut self.has_requested_id) {
                    self.send_handshake(false, queue);
                } else {
                    let handshake = FastHandshake { id: self.wide_id.0, error: false };
                    wire::encode(&handshake, queue.tail());
                }
            }
            Message::Status { code, text, .. } if code != StatusCode::UNKNOWN_ID => {
                self.deliver_text(WideId(0), text, queue);
            }
            // To the sender of a message that reaches nobody nothing is said on this wire.
            Message::Status { .. }
            | Message::Registration(_)
            | Message::ClientQuit { .. }
            | Message::ServerQuit { .. } => {}
        }
    }

    /// Sends the notice that a message of this client to `to` is not kept.
    pub(in crate::wires) fn refuse_mail(
        &mut self,
        to: WideId,
        reason: &str,
        queue: &mut SendQueue,
    ) {
        self.deliver_text(WideId(0), format!("not kept for {to}: {reason}").as_bytes(), queue);
    }

    /// A text from somebody, now or some time ago; from 0 is from the server.
    pub(in crate::wires) fn deliver_text(
        &mut self,
        sender: WideId,
        text: &[u8],
        queue: &mut SendQueue,
    ) {
        if wire::is_utf8(text) {
            wire::encode_plain_utf8(sender.0, self.wide_id.0, text, queue.tail());
        } else {
            let text = String::from_utf8_lossy(text);
            wire::encode_plain(sender.0, self.wide_id.0, &text, queue.tail());
        }
    }
}

/// Whether a message is one that has to be kept, rather than anything else.
fn is_mail(message: &wire::ClientMessage<'_>, cx: &SessionCx<'_>) -> bool {
    let to = WideId(message.to);
    message.control.is_none() && to.0 > 0 && find_reachable_user(to, cx).is_none()
}

/// The user to whom a message can go now: who is there, not lost in a split, and has no mail waiting
/// that must go first.
fn find_reachable_user(to: WideId, cx: &SessionCx<'_>) -> Option<HostId> {
    let user = cx.names.wide_ids.find_user(to, cx.relay.hosts())?;
    let is_reachable = matches!(user.first_link, FirstLink::Link(_)) && !cx.spool.must_spool(to);
    is_reachable.then_some(user.id)
}
