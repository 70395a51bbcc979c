//! The session of a classic client: translates between names and ids, and enforces the keepalive.
//!
//! A client becomes a user of the network with its `Connect`, under its own name and a random id.
//! Lists are queued at the end of a turn, or before the client's next message is handled. Many
//! changes in one turn make one list, and replies are in the order of the requests.

mod connect;

use std::borrow::Cow;
use std::time::Duration;

use super::codec::{self, Form, NAME_BYTES, Name};
use super::list_sender::ListSender;
use super::responder::Responder;
use crate::id::HostId;
use crate::limits::{CLASSIC_MISSED_ALIVES_MAX, FRAME_HEADROOM_BYTES, Limits};
use crate::link::SendQueue;
use crate::link::{CloseReason, Time};
use crate::names::{Names, make_alias, parse_user_name};
use crate::printable::Printable;
use crate::relay::message::{Message, StatusCode};
use crate::relay::notice::{Notice, parse_unknown_id};
use crate::relay::{MailText, Relay};
use crate::wires::{
    Effect, Effects, NoticeCx, RecentRecipients, RoomAction, RoomRequest, RunKey, RunMatcher,
    Session as _, SessionCx, Wire,
};

/// Maximum length of the excerpt of an invalid word in a reply, in bytes. With every byte escaped,
/// the reply still fits into one message.
const EXCERPT_BYTES_MAX: usize = 32;

/// The session of one classic client.
#[derive(Clone, Debug)]
pub struct Session {
    state: State,
    /// The client's id in the network; [`HostId::NONE`] before its `Connect`.
    id: HostId,
    responder: Responder,
    list_sender: ListSender,
    /// Whether the session is registered as a reader of the directory.
    is_directory_reader: bool,
    /// When a deferred `Connect` is handled again. It is deferred until the directory is filled.
    connect_retry_at: Option<Time>,
    /// When the client is closed unless it sends an `Alive`.
    alive_deadline: Option<Time>,
    /// Interval in which the client must send an `Alive`.
    alive_interval: Duration,
    /// The recent recipients of the client's chats.
    recent_recipients: RecentRecipients<Name>,
}

/// The state of a client.
#[derive(Clone, Debug)]
enum State {
    /// The client has not sent a `Connect`.
    Unregistered,
    /// The registration was passed to the relay.
    Joining,
    /// The client is a user of the network.
    Online,
    /// The `Connect` was refused. The error is sent and the link closed once the message form is
    /// known.
    Refused(CloseReason),
}

impl Default for Session {
    fn default() -> Self {
        Self {
            state: State::Unregistered,
            id: HostId::NONE,
            responder: Responder::default(),
            list_sender: ListSender::default(),
            is_directory_reader: false,
            connect_retry_at: None,
            alive_deadline: None,
            alive_interval: Duration::ZERO,
            recent_recipients: RecentRecipients::default(),
        }
    }
}

impl crate::wires::Session for Session {
    #[inline]
    fn wire(&self) -> Wire {
        Wire::CLASSIC
    }

    fn clone_box(&self) -> Box<dyn crate::wires::Session> {
        Box::new(self.clone())
    }

    #[inline]
    fn frame_len(&self, bytes: &[u8], _: &Limits) -> Result<Option<usize>, String> {
        codec::frame_len(bytes).map_err(|error| error.to_string())
    }

    fn on_frame<'a>(&mut self, frame: &'a [u8], cx: &mut SessionCx<'_>, effects: &mut Effects<'a>) {
        self.responder.detect_form(frame, cx.queue);
        if let State::Refused(reason) = &self.state {
            return effects.push(Effect::Close(reason.clone()));
        }
        self.send_pending(cx.now, cx.relay, cx.names, cx.queue);
        let Some(message) = codec::parse_frame(frame) else {
            return;
        };
        let (command, argument) = codec::split_command(message.text);
        let is_command = message.destination == Name::SERVER;
        effects.extend(if is_command && command == b"Connect" {
            self.handle_connect(argument, message.source, frame, cx)
        } else if !matches!(self.state, State::Online)
            || message.source != self.responder.client_name()
        {
            Some(invalid_source())
        } else if is_command {
            self.handle_command(command, argument, cx)
        } else {
            self.handle_chat(&message, cx)
        });
    }

    fn on_notice(&mut self, notice: &Notice<'_>, cx: &mut NoticeCx<'_>) {
        let unknown_host = match *notice {
            Notice::UnknownId(id) => Some(id),
            Notice::Status { code: StatusCode::UNKNOWN_ID, text, .. } => parse_unknown_id(text),
            _ => None,
        };
        if let Some(name) = unknown_host.and_then(|id| self.name_of(id, cx.names)) {
            return self.send_not_online(name, cx.queue);
        }
        match *notice {
            Notice::Chat { source, text, .. } => {
                self.responder.send_text(sender_name(source, cx.names), text, cx.queue);
            }
            Notice::RoomChat { room, source, text, .. } => {
                if let Some(room) = Name::new(room.as_bytes()) {
                    let source = sender_name(source, cx.names);
                    self.responder.send_text_to(room, source, text, cx.queue);
                }
            }
            Notice::RoomRefused { room, reason } => {
                self.send_server_text(&format!("{}: {reason}", excerpt(room)), cx.queue);
            }
            Notice::Mail { ref mail, .. } => self.send_mail(mail, cx),
            Notice::Welcome { .. } if matches!(self.state, State::Joining) => {
                self.state = State::Online;
                let interval = format!("Interval {}", self.alive_interval.as_secs_f64());
                self.send_server_text(&interval, cx.queue);
                self.list_sender.request();
            }
            Notice::Joined(_)
            | Notice::Quit { .. }
            | Notice::RoomJoined { .. }
            | Notice::RoomParted { .. }
            | Notice::NickChanged(_)
            | Notice::RoomTopic { .. }
            | Notice::RoomTags { .. }
            | Notice::Away { .. }
            | Notice::RealName { .. }
            | Notice::MailKept
            | Notice::MailRefused { .. } => {}
            Notice::Welcome { .. }
            | Notice::IdTaken { .. }
            | Notice::UnknownId(_)
            | Notice::Kicked { .. }
            | Notice::Status { .. } => {
                if let Some((_, text)) = notice.status() {
                    self.responder.send_text(Name::SERVER, &text, cx.queue);
                }
            }
        }
    }

    fn on_timer(&mut self, cx: &mut SessionCx<'_>, effects: &mut Effects<'_>) {
        self.connect_retry_at = self.connect_retry_at.filter(|&at| at > cx.now);
        if self.responder.deadline().is_some_and(|at| at <= cx.now) {
            self.responder.set_form(Form::Compact, cx.queue);
        }
        if let State::Refused(reason) = &self.state {
            return effects.push(Effect::Close(reason.clone()));
        }
        if self.alive_deadline.is_some_and(|at| at <= cx.now) {
            if cx.has_deferred_input {
                // The deferred input may hold an `Alive`.
                self.alive_deadline = Some(cx.now + self.alive_interval);
                return;
            }
            self.alive_deadline = None;
            let reason = CloseReason::Session("no Alive for three intervals".to_owned());
            return effects.push(Effect::Close(reason));
        }
        self.send_pending(cx.now, cx.relay, cx.names, cx.queue);
    }

    fn deadline(&self) -> Option<Time> {
        let list_deadline = self.list_sender.deadline();
        let deadlines =
            [self.responder.deadline(), self.alive_deadline, list_deadline, self.connect_retry_at];
        deadlines.into_iter().flatten().min()
    }

    fn on_registration_refused(&mut self, queue: &mut SendQueue) {
        let name = self.responder.client_name();
        self.send_error(name.unpadded(), "cannot be registered now", queue);
        if !self.responder.is_form_known() {
            self.responder.set_form(Form::Compact, queue); // the link is closed now
        }
    }

    fn is_behind(&self, names: &Names) -> bool {
        self.list_sender.is_pending(&names.directory)
    }

    fn send_pending(&mut self, now: Time, _: &Relay, names: &mut Names, queue: &mut SendQueue) {
        if !self.is_behind(names) {
            return;
        }
        // A client that is no longer a user, because the server stops, gets no list.
        if self.responder.is_form_known() && names.directory.name_of(self.id).is_some() {
            self.list_sender.send(now, names, &mut self.responder, queue);
        } else {
            self.list_sender.pause();
        }
    }

    fn closed(&mut self, names: &mut Names) {
        if std::mem::take(&mut self.is_directory_reader) {
            names.remove_directory_reader();
        }
    }

    fn run_matcher(&self) -> Option<RunMatcher> {
        let recipient = self.recent_recipients.latest_name()?;
        let mut key = RunKey::default();
        key[..8].copy_from_slice(recipient.padded());
        key[8..16].copy_from_slice(self.responder.client_name().padded());
        Some(RunMatcher { key, match_chat })
    }

    fn on_chats<'a>(
        &mut self,
        (source, _): (HostId, HostId),
        cx: &mut NoticeCx<'_>,
        next_text: &mut dyn FnMut(&SendQueue) -> Option<&'a [u8]>,
    ) {
        let sender = sender_name(source, cx.names);
        while let Some(text) = next_text(cx.queue) {
            self.responder.send_text(sender, text, cx.queue);
        }
    }
}

impl Session {
    /// Restarts the keepalive timeout.
    fn extend_alive_deadline(&mut self, now: Time) {
        self.alive_deadline =
            Some(now + self.alive_interval.saturating_mul(CLASSIC_MISSED_ALIVES_MAX));
    }

    /// Handles a command of an online client to the server.
    fn handle_command(
        &mut self,
        command_word: &[u8],
        argument: &[u8],
        cx: &mut SessionCx<'_>,
    ) -> Option<Effect<'static>> {
        // Without an argument, the client is named by the source field, which was checked already.
        let is_own_name =
            argument.is_empty() || argument == self.responder.client_name().unpadded();
        match command_word {
            b"List" => {
                self.list_sender.request();
                self.send_pending(cx.now, cx.relay, cx.names, cx.queue);
            }
            b"Alive" | b"Quit" if !is_own_name => return Some(invalid_source()),
            b"Alive" => self.extend_alive_deadline(cx.now),
            b"Join" | b"Part" if argument.len() > NAME_BYTES => {
                let text = format!(
                    "{}: the name of a room has at most {NAME_BYTES} bytes on this wire",
                    excerpt(argument)
                );
                self.send_server_text(&text, cx.queue);
            }
            b"Join" => return Some(request(argument, RoomAction::Join)),
            b"Part" => return Some(request(argument, RoomAction::Part(Cow::Borrowed(b"")))),
            b"Quit" => {
                return Some(Effect::Relay(Message::ClientQuit { source: self.id, text: b"" }));
            }
            _ => self
                .send_server_text(&format!("unknown command: {}", excerpt(command_word)), cx.queue),
        }
        None
    }

    /// Handles a chat of an online client to a user, or to all.
    fn handle_chat<'a>(
        &mut self,
        message: &codec::Message<'a>,
        cx: &mut SessionCx<'_>,
    ) -> Option<Effect<'a>> {
        let (from, text) = (self.id, Cow::Borrowed(message.text));
        if text.len() + FRAME_HEADROOM_BYTES > cx.limits.frame_bytes_max {
            self.send_server_text("this text is too long to pass on", cx.queue);
            return None;
        }
        let name = message.destination;
        if name == Name::ALL {
            return Some(Effect::Broadcast { from, text });
        }
        let user = cx.names.directory.find_user(name);
        match user {
            None if name.unpadded().starts_with(b"#") => {
                Some(request(name.unpadded(), RoomAction::Chat(text)))
            }
            Some(to) => {
                self.recent_recipients.push(to, name);
                Some(Effect::Chat { from, to, text })
            }
            None => {
                self.send_not_online(name, cx.queue);
                None
            }
        }
    }

    /// Returns the name of an online user, or of a recent recipient that has quit.
    fn name_of(&self, id: HostId, names: &Names) -> Option<Name> {
        names.directory.name_of(id).or_else(|| self.recent_recipients.name_of(id).copied())
    }

    /// Delivers mail. A sender that is not online is named by its id, if no user has that name.
    fn send_mail(&mut self, mail: &MailText<'_>, cx: &mut NoticeCx<'_>) {
        let sender = mail.sender;
        let (directory, queue) = (&cx.names.directory, &mut *cx.queue);
        let online_name = u32::try_from(sender.0).ok().and_then(|id| directory.name_of(HostId(id)));
        let id_text = sender.to_string();
        let free_name =
            parse_user_name(id_text.as_bytes()).filter(|&name| !directory.is_taken(name));
        match online_name.or(free_name) {
            Some(name) => self.responder.send_text(name, mail.text, queue),
            None => self.responder.send_text(Name::SERVER, &mail.encode(), queue),
        }
    }

    fn send_server_text(&mut self, text: &str, queue: &mut SendQueue) {
        self.responder.send_text(Name::SERVER, text.as_bytes(), queue);
    }

    fn send_error(&mut self, name: &[u8], problem: &str, queue: &mut SendQueue) {
        let text = [b"Error ", name, b" ", problem.as_bytes()].concat();
        self.responder.send_text(Name::SERVER, &text, queue);
    }

    fn send_not_online(&mut self, name: Name, queue: &mut SendQueue) {
        let text = [name.unpadded(), b" is not online"].concat();
        self.responder.send_text(Name::SERVER, &text, queue);
    }
}

/// The [`crate::wires::MatchChat`] of the classic wire. The key is the destination and the source.
fn match_chat<'a>(key: &RunKey, bytes: &'a [u8], _: usize) -> Option<(&'a [u8], usize)> {
    let (destination, rest) = key.split_first_chunk()?;
    let source = rest.first_chunk()?;
    codec::parse_text_between(Name::from_padded(*destination), Name::from_padded(*source), bytes)
}

/// Returns the name of a chat's sender.
fn sender_name(source: HostId, names: &Names) -> Name {
    names.directory.name_of(source).unwrap_or_else(|| make_alias(b"", source))
}

/// Returns the effect of a request about a room.
fn request<'a>(room: &[u8], action: RoomAction<'a>) -> Effect<'a> {
    Effect::Room(RoomRequest { room: Cow::Owned(room.to_vec()), action })
}

/// Returns the effect of a frame with a wrong source, or from an unregistered client. The relay
/// drops the message, and closes the link after too many.
fn invalid_source() -> Effect<'static> {
    Effect::Relay(Message::Chat { source: HostId::NONE, destination: HostId::NONE, text: b"" })
}

/// Returns the printable form of a text, cut to [`EXCERPT_BYTES_MAX`].
fn excerpt(text: &[u8]) -> String {
    match text.split_at_checked(EXCERPT_BYTES_MAX) {
        None | Some((_, [])) => Printable(text).to_string(),
        Some((begin, _)) => format!("{}…", Printable(begin)),
    }
}
