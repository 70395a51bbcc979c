//! A client that chats by JSON over WebSocket.

use std::borrow::Cow;

use tungstenite::protocol::frame::coding::CloseCode;

use super::chat_event::write_plain;
use super::command::{Command, Str, To};
use super::finder::{Finder, Found};
use super::lists::{List, Lists};
use super::message::{Assembler, Incoming};
use super::websocket::{Closing, Fault, Frame, write_pong, write_text};
use crate::id::{HostId, WideId};
use crate::limits::{
    FRAME_HEADROOM_BYTES, NAME_BYTES_MAX, WEB_LOOKUP_INTERVAL, WEB_REFUSED_IDS_MAX,
};
use crate::link::{CloseReason, SendQueue, Time};
use crate::relay::message::{HostKind, StatusCode};
use crate::relay::notice::Notice;
use crate::relay::{Interests, MemberCursor};
use crate::room::RoomName;
use crate::vocabulary::{Borrowed, EventOf};
use crate::wires::{Effect, Effects, NoticeCx, RoomAction, RoomRequest, SessionCx};

/// The subprotocol.
pub(super) const PROTOCOL: &str = "crc.json.v1";

/// A client of the chat.
#[derive(Clone, Debug, Default)]
pub(super) struct Chat {
    /// The id of the client, once it has said `hello`.
    own_id: Option<HostId>,
    is_registered: bool,
    wants_presence: bool,
    closing: Closing,
    refused_ids: u8,
    assembler: Assembler,
    lists: Lists,
    finder: Option<Box<Finder>>,
    /// The message that waits for the finder.
    #[expect(
        clippy::box_collection,
        reason = "every idle client has this, and hardly any uses it"
    )]
    waiting: Option<Box<String>>,
    /// When the finder continues.
    find_at: Option<Time>,
}

impl Chat {
    /// Returns the size of its memory of messages in bytes.
    pub(super) fn buffer_bytes(&self) -> usize {
        let waiting_bytes = self.waiting.as_ref().map_or(0, |waiting| waiting.capacity());
        self.assembler.capacity() + waiting_bytes
    }

    fn id(&self) -> HostId {
        self.own_id.unwrap_or(HostId::NONE)
    }

    pub(super) fn interests(&self) -> Interests {
        Interests { users: self.wants_presence, room_events: true, reads_cut_frames: true }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.find_at
    }

    pub(super) fn on_timer(&mut self, now: Time) {
        self.find_at.take_if(|at| *at <= now);
    }

    pub(super) fn is_behind(&self) -> bool {
        self.lists.is_any()
    }

    /// Writes the next event of a list.
    pub(super) fn send_pending(&mut self, relay: &crate::relay::Relay, queue: &mut SendQueue) {
        if !self.closing.is_closed() {
            self.lists.write_next(self.id(), relay, queue);
        }
    }

    /// Handles a whole frame.
    pub(super) fn on_frame(
        &mut self,
        frame: &[u8],
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) {
        if self.closing.is_closed() {
            return;
        }
        if let Some(message) = self.waiting.take() {
            return self.handle_message(*message, cx, effects);
        }
        let bytes_max = cx.limits.frame_bytes_max;
        let frame = Frame::parse(frame, bytes_max);
        match frame.and_then(|frame| self.assembler.add(&frame, bytes_max)) {
            Ok(Incoming::Nothing) => {}
            Ok(Incoming::Ping(payload)) => write_pong(&payload, cx.queue.tail()),
            Ok(Incoming::Text(message)) => self.handle_message(message, cx, effects),
            Ok(Incoming::Close) => self.quit(b"".into(), cx.queue, effects),
            Err(fault) => self.fail(fault, cx.queue, effects),
        }
    }

    fn handle_message(
        &mut self,
        message: String,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) {
        self.find_at = None;
        let result = match Command::parse(&message) {
            Ok(command) => self.handle(command, cx, effects),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            self.send_error(&error, cx.queue);
        }
        if self.find_at.is_some() {
            self.waiting = Some(Box::new(message));
        }
    }

    /// Handles a request.
    ///
    /// # Errors
    /// Why it is refused, for people.
    fn handle(
        &mut self,
        command: Command<'_>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) -> Result<(), String> {
        if let Command::Hello { name, id, presence } = command {
            return self.register(&name.0, id, presence, cx, effects);
        }
        if !self.is_registered {
            return Err("write {\"do\":\"hello\",\"name\":…} first".to_owned());
        }
        match command {
            Command::Hello { .. } => {}
            Command::Say { to, text } => return self.say(&to, text, cx, effects),
            Command::Join { room } => effects.push(request(&room, RoomAction::Join)),
            Command::Part { room, text } => {
                let text = text.map_or(Cow::Borrowed(&b""[..]), into_bytes);
                effects.push(request(&room, RoomAction::Part(text)));
            }
            Command::List => self.list(List::Users { next_slot: 0 }, cx)?,
            Command::Rooms => self.list(List::Rooms { after: None }, cx)?,
            Command::Names { room } => {
                let name = room.0.as_bytes();
                RoomName::parse(name).map_err(|error| format!("{}: {error}", room.0))?;
                let cursor = MemberCursor::default();
                self.list(List::Members { room: name.into(), cursor }, cx)?;
            }
            Command::Quit { text } => {
                let text = text.map_or(Cow::Borrowed(&b""[..]), into_bytes);
                self.quit(text, cx.queue, effects);
            }
        }
        Ok(())
    }

    fn register(
        &mut self,
        name: &str,
        id: Option<i64>,
        presence: bool,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) -> Result<(), String> {
        if self.is_registered {
            return Err(format!("you are user {} already", self.id()));
        }
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(format!("a name has 1 to {NAME_BYTES_MAX} bytes"));
        }
        if !cx.relay.has_room_for_user() {
            let fault = Fault { code: CloseCode::Again, reason: "the network is full" };
            self.fail(fault, cx.queue, effects);
            return Ok(());
        }
        let id = match id {
            None => cx.unused_id(),
            Some(id) => {
                let is_valid = |id: &HostId| id.is_registrable();
                let valid = u32::try_from(id).ok().map(HostId).filter(is_valid);
                valid.ok_or_else(|| format!("{id} is not an id: they are 1 to {}", u32::MAX - 1))?
            }
        };
        if cx.is_taken(id) {
            let notice = Notice::IdTaken { kind: HostKind::User, id };
            self.send_status(&notice, cx.queue);
            self.refused_ids += 1;
            if self.refused_ids >= WEB_REFUSED_IDS_MAX {
                effects.push(Effect::Close(CloseReason::RefusedRegistrations));
            }
            return Ok(());
        }
        (self.own_id, self.wants_presence) = (Some(id), presence);
        let name = Cow::Owned(name.as_bytes().to_vec());
        effects.push(Effect::Register { id, name, info: None });
        Ok(())
    }

    fn say(
        &mut self,
        to: &To<'_>,
        text: Str<'_>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) -> Result<(), String> {
        let bytes = text.0.len();
        if bytes + FRAME_HEADROOM_BYTES > cx.limits.frame_bytes_max {
            return Err(format!("a text of {bytes} bytes is too long"));
        }
        let to = match to {
            To::Name(room) if room.0.starts_with('#') => {
                effects.push(request(room, RoomAction::Chat(into_bytes(text))));
                return Ok(());
            }
            To::Name(name) => match self.find(&name.0, cx) {
                Found::One(id) => id,
                Found::Nobody => return Err(format!("nobody has the name {:?}", name.0)),
                Found::Several => {
                    return Err(format!("several users have the name {:?}; write an id", name.0));
                }
                Found::Later => {
                    self.find_at = Some(cx.now + WEB_LOOKUP_INTERVAL);
                    effects.push(Effect::Defer);
                    return Ok(());
                }
            },
            To::Id(id) => {
                let id = u32::try_from(*id).map(HostId);
                id.map_err(|_| format!("nobody has the id {}", show_id(to)))?
            }
        };
        if to == self.id() {
            let notice = Notice::Chat { source: to, destination: to, text: text.0.as_bytes() };
            let mut cx = cx.notice_cx();
            self.on_notice(&notice, &mut cx);
        } else {
            effects.push(Effect::Chat { from: self.id(), to, text: into_bytes(text) });
        }
        Ok(())
    }

    fn find(&mut self, name: &str, cx: &SessionCx<'_>) -> Found {
        self.finder.get_or_insert_default().find(name.as_bytes(), cx.relay.hosts())
    }

    fn list(&mut self, list: List, cx: &mut SessionCx<'_>) -> Result<(), String> {
        let is_first = !self.lists.is_any();
        if !self.lists.add(list) {
            return Err("too many lists at once; wait for those that were asked for".to_owned());
        }
        if is_first {
            self.lists.write_next(self.id(), cx.relay, cx.queue);
        }
        Ok(())
    }

    /// Lets the client leave the network, and ends its connection.
    fn quit(&mut self, text: Cow<'_, [u8]>, queue: &mut SendQueue, effects: &mut Effects<'_>) {
        self.closing.close(CloseCode::Normal, "", queue);
        effects.push(match self.is_registered {
            true => Effect::Quit { from: self.id(), text: Cow::Owned(text.into_owned()) },
            false => Effect::Close(CloseReason::PeerClosed),
        });
    }

    /// Ends the connection because of the client.
    fn fail(&mut self, fault: Fault, queue: &mut SendQueue, effects: &mut Effects<'_>) {
        self.closing.close(fault.code, fault.reason, queue);
        let reason = format!("WebSocket: {}", fault.reason);
        effects.push(Effect::Close(CloseReason::ProtocolError(reason)));
    }

    /// Says why the node ends the connection.
    pub(super) fn on_closing(&mut self, reason: &CloseReason, queue: &mut SendQueue) {
        let code = match reason {
            CloseReason::PeerClosed | CloseReason::Io(_) | CloseReason::QueueFull { .. } => return,
            CloseReason::Quit => CloseCode::Normal,
            CloseReason::Shutdown => CloseCode::Away,
            CloseReason::Crowded | CloseReason::TableFull => CloseCode::Again,
            _ => CloseCode::Policy,
        };
        let text = reason.to_string();
        self.send(&EventOf::Disconnected { text: Borrowed(text.as_bytes()) }, queue);
        self.closing.close(code, &text, queue);
    }

    fn send(&self, event: &EventOf<Borrowed<'_>>, queue: &mut SendQueue) {
        if !self.closing.is_closed() {
            write_text(queue.tail(), |out| event.write_json(out));
        }
    }

    fn send_error(&self, text: &str, queue: &mut SendQueue) {
        self.send(&EventOf::Error { text: Borrowed(text.as_bytes()) }, queue);
    }

    fn send_status(&self, notice: &Notice<'_>, queue: &mut SendQueue) {
        if let Some((StatusCode(code), text)) = notice.status() {
            self.send(&EventOf::Status { code: Some(code), text: Borrowed(&text) }, queue);
        }
    }

    pub(super) fn on_notice(&mut self, notice: &Notice<'_>, cx: &mut NoticeCx<'_>) {
        if self.closing.is_closed() || !write_plain(notice, cx) {
            self.send_notice(notice, cx);
        }
    }

    fn send_notice(&mut self, notice: &Notice<'_>, cx: &mut NoticeCx<'_>) {
        let to_id = |id: HostId| Some(i64::from(id.0));
        let hosts = cx.view.hosts;
        let name_of = |id: HostId| hosts.get(id).map(|host| Borrowed(host.name()));
        let some = |text| Some(Borrowed(text)).filter(|text| !text.0.is_empty());
        let event = match *notice {
            Notice::Welcome { name } => {
                self.is_registered = true;
                EventOf::Connected { id: to_id(self.id()), name: Borrowed(name) }
            }
            Notice::Joined(user) => EventOf::Join {
                id: to_id(user.source),
                name: Borrowed(user.name),
                info: Some(Borrowed(user.info)),
            },
            Notice::Quit { source, text } => {
                EventOf::Quit { id: to_id(source), name: name_of(source), text: some(text) }
            }
            Notice::Chat { source, text, .. } => {
                EventOf::Chat { from: to_id(source), name: name_of(source), text: Borrowed(text) }
            }
            Notice::Mail { mail, .. } => {
                let WideId(from) = mail.sender;
                let sender = u32::try_from(from).map(HostId);
                let name = sender.ok().and_then(name_of);
                EventOf::Chat { from: Some(from), name, text: Borrowed(mail.text) }
            }
            Notice::RoomChat { room, source, name, text, .. } => EventOf::Room {
                room: Borrowed(room.as_bytes()),
                from: to_id(source),
                name: Some(Borrowed(name)),
                text: Borrowed(text),
            },
            Notice::RoomJoined { room, user, name, .. } => EventOf::RoomJoin {
                room: Borrowed(room.as_bytes()),
                id: to_id(user),
                name: Borrowed(name),
            },
            Notice::RoomParted { room, user, name, text, .. } => EventOf::RoomPart {
                room: Borrowed(room.as_bytes()),
                id: to_id(user),
                name: Borrowed(name),
                text: some(text),
            },
            Notice::RoomRefused { room, reason } => {
                let room = String::from_utf8_lossy(room);
                return self.send_error(&format!("{room}: {reason}"), cx.queue);
            }
            // Clients are sent no event for these.
            Notice::NickChanged(_)
            | Notice::RoomTopic { .. }
            | Notice::RoomTags { .. }
            | Notice::Away { .. }
            | Notice::RealName { .. }
            | Notice::MailKept => return,
            Notice::MailRefused { to, reason } => {
                return self.send_error(&format!("not kept for {to}: {reason}"), cx.queue);
            }
            Notice::IdTaken { .. }
            | Notice::UnknownId(_)
            | Notice::Kicked { .. }
            | Notice::Status { .. } => return self.send_status(notice, cx.queue),
        };
        self.send(&event, cx.queue);
    }
}

fn into_bytes(text: Str<'_>) -> Cow<'static, [u8]> {
    Cow::Owned(text.0.into_owned().into_bytes())
}

/// Returns the effect of a request about a room.
fn request(room: &Str<'_>, action: RoomAction<'static>) -> Effect<'static> {
    let room = Cow::Owned(room.0.as_bytes().to_vec());
    Effect::Room(RoomRequest { room, action })
}

fn show_id(to: &To<'_>) -> String {
    match to {
        To::Id(id) => id.to_string(),
        To::Name(name) => name.0.to_string(),
    }
}
