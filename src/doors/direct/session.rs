//! A direct client's session: gives it an id, and turns its messages into chats, echoes and mail.
//!
//! A client is a user of the network as soon as it is connected. Its id is its CRC id where that
//! fits, and its name in decimal; a larger one has a random CRC id under that name.

use std::borrow::Cow;

use super::wire::{self, Control, FastHandshake};
use crate::doors::{Desk, SendQueue, Shared, Step};
use crate::limits::{DIRECT_CHANGE_PAUSE, FRAME_MARGIN_BYTES};
use crate::relay::message::{HostId, Message, StatusCode, WideId};
use crate::relay::{CloseReason, FirstLink, Time};

/// What a client is known as.
#[derive(Debug)]
pub struct Session {
    /// In the network; [`HostId::NONE`] until it is registered.
    id: HostId,
    /// On this wire.
    number: WideId,
    /// It has asked for the id that it is being registered with.
    has_asked: bool,
    /// It changed its id lately: the next change waits until then.
    changes_at: Option<Time>,
    /// What it says waits for that.
    is_held: bool,
    /// To whom the last message was that went on as a chat.
    spoke_to: WideId,
}

impl Default for Session {
    fn default() -> Self {
        let (id, number, spoke_to) = (HostId::NONE, WideId(0), WideId(0));
        Self { id, number, has_asked: false, changes_at: None, is_held: false, spoke_to }
    }
}

impl Session {
    /// Assigns an id.
    pub(in crate::doors) fn open(&mut self, desk: &mut Desk<'_>) -> Step<'static> {
        // Not one that somebody else has mail under: that is for who asks for it.
        let mut id = desk.free_id();
        while desk.mail.has_mail(id.into()) {
            id = desk.free_id();
        }
        self.register(id, id.into())
    }

    fn register(&mut self, id: HostId, number: WideId) -> Step<'static> {
        (self.id, self.number) = (id, number);
        Step::Register { id, name: Cow::Owned(number.to_string().into_bytes()) }
    }

    pub(in crate::doors) fn receive<'a>(
        &mut self,
        frame: &'a [u8],
        desk: &mut Desk<'_>,
    ) -> Step<'a> {
        let said = match wire::said(frame) {
            Ok(said) => said,
            Err(error) => return Step::Close(CloseReason::BadBytes(error.to_string())),
        };
        match said.control {
            _ if desk.is_keeping && !is_to_keep(&said, desk) => Step::Hold,
            Some(Control::DesiredId(desired)) => self.ask(WideId(desired), desk),
            // An answer that nobody asked for.
            Some(Control::Handshake(_)) => Step::Nothing,
            None => self.say(WideId(said.to), said.msg, desk),
        }
    }

    /// The client wants to be known as somebody else.
    fn ask(&mut self, desired: WideId, desk: &mut Desk<'_>) -> Step<'static> {
        if desired == self.number {
            self.answer(false, desk.queue);
            return Step::Nothing;
        }
        let id = match u32::try_from(desired.0).map(HostId) {
            Ok(id) if id.is_registrable() => (!desk.is_taken(id)).then_some(id),
            _ if desired.0 <= 0 => None,
            _ => match desk.shared.numbers.user(desired, desk.relay.hosts()) {
                Some(_) => None,
                None => Some(desk.free_id()),
            },
        };
        match id {
            Some(_) if self.changes_at.is_some_and(|at| at > desk.now) => {
                self.is_held = true;
                Step::Hold
            }
            Some(id) => {
                self.has_asked = true;
                self.changes_at = Some(desk.now + DIRECT_CHANGE_PAUSE);
                self.register(id, desired)
            }
            None => {
                self.answer(true, desk.queue);
                Step::Nothing
            }
        }
    }

    fn answer(&self, error: bool, queue: &mut SendQueue) {
        let WideId(id) = self.number;
        let control = Some(Control::Handshake(FastHandshake { id, error }));
        let answer = wire::Message { to: id, control, ..wire::Message::default() };
        wire::encode(&answer, queue.tail());
    }

    fn say<'a>(&mut self, to: WideId, text: Cow<'a, [u8]>, desk: &mut Desk<'_>) -> Step<'a> {
        let WideId(from) = self.number;
        if to.0 == 0 {
            wire::encode_text(from, 0, &text, desk.queue.tail());
            return Step::Nothing;
        }
        if text.len() + FRAME_MARGIN_BYTES > desk.limits.frame_bytes_max {
            let what = format!("a text of {} bytes, too long to pass on", text.len());
            return Step::Close(CloseReason::BadBytes(what));
        }
        if to.0 < 0 {
            log::debug!("direct client {from}: dropped a message to {to}, whom nobody can be");
            return Step::Nothing;
        }
        match reachable(to, desk) {
            Some(host) => {
                self.spoke_to = to;
                Step::Chat { from: self.id, to: host, text }
            }
            None if desk.mail.is_congested() => Step::Hold,
            None => Step::Keep { from: self.number, to, text },
        }
    }

    /// To whom the last chat was.
    pub(in crate::doors) fn spoke_to(&self) -> WideId {
        self.spoke_to
    }

    pub(in crate::doors) fn deadline(&self) -> Option<Time> {
        self.changes_at.filter(|_| self.is_held)
    }

    /// What was held comes again after this.
    pub(in crate::doors) fn expire(&mut self, now: Time) {
        self.is_held &= self.changes_at.is_some_and(|at| at > now);
    }

    pub(in crate::doors) fn refused(&mut self, queue: &mut SendQueue) {
        wire::encode(&FastHandshake { id: 0, error: true }, queue.tail());
    }

    pub(in crate::doors) fn deliver(
        &mut self,
        message: &Message<'_>,
        shared: &Shared,
        queue: &mut SendQueue,
    ) {
        match *message {
            Message::Chat { source, text, .. } => {
                self.deliver_mail(shared.numbers.of(source), text, queue);
            }
            Message::Status { code: StatusCode::WELCOME, .. } => {
                if std::mem::take(&mut self.has_asked) {
                    self.answer(false, queue);
                } else {
                    let handshake = FastHandshake { id: self.number.0, error: false };
                    wire::encode(&handshake, queue.tail());
                }
            }
            Message::Status { code, text, .. } if code != StatusCode::UNKNOWN_ID => {
                self.deliver_mail(WideId(0), text, queue);
            }
            // To the sender of a message that reaches nobody nothing is said on this wire.
            Message::Status { .. }
            | Message::Registration(_)
            | Message::ClientQuit { .. }
            | Message::ServerQuit { .. } => {}
        }
    }

    /// A text from somebody, now or some time ago; from 0 is from the server.
    pub(in crate::doors) fn deliver_mail(
        &mut self,
        sender: WideId,
        text: &[u8],
        queue: &mut SendQueue,
    ) {
        if wire::is_utf8(text) {
            wire::encode_text(sender.0, self.number.0, text, queue.tail());
        } else {
            let text = String::from_utf8_lossy(text);
            wire::encode_plain(sender.0, self.number.0, &text, queue.tail());
        }
    }
}

/// Whether a message is one that has to be kept, rather than anything else.
fn is_to_keep(said: &wire::Said<'_>, desk: &Desk<'_>) -> bool {
    let to = WideId(said.to);
    said.control.is_none() && to.0 > 0 && reachable(to, desk).is_none()
}

/// The user to whom a message can go now: who is there, not lost in a split, and has no mail waiting
/// that must go first.
fn reachable(to: WideId, desk: &Desk<'_>) -> Option<HostId> {
    let user = desk.shared.numbers.user(to, desk.relay.hosts())?;
    let is_there = matches!(user.first_link, FirstLink::Link(_)) && !desk.mail.goes_first(to);
    is_there.then_some(user.id)
}
