//! A classic client's session: turns names into ids and back, and keeps the client's life.
//!
//! A client is a user of the network from its `Connect` on, under a random id and its own name.
//! Lists are put into its queue when the turn is over, or before the next thing that it says is
//! handled: so many changes make one list, and answers come in the order of what was said.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use super::codec::{self as wire, Form, Name};
use super::list_cache::ListCache;
use super::list_sender::ListSender;
use super::responder::Responder;
use crate::id::{HostId, WideId};
use crate::limits::{
    CLASSIC_MISSED_ALIVES_MAX, CLASSIC_RECENT_RECIPIENTS_MAX, CLASSIC_WORK_INTERVAL,
    FRAME_HEADROOM_BYTES,
};
use crate::link::SendQueue;
use crate::link::{CloseReason, Time};
use crate::names::{is_reserved, make_alias, parse_user_name};
use crate::printable::Printable;
use crate::relay::encode_mail_text;
use crate::relay::message::{Message, StatusCode};
use crate::wires::{Effect, SessionCx, SharedNames};

/// How much of a word that nobody knows is said back, in bytes: however it is escaped, one message
/// has room for it.
const EXCERPT_BYTES_MAX: usize = 32;

/// A classic client.
#[derive(Debug)]
pub struct Session {
    state: State,
    /// In the network, once it has asked to join.
    id: HostId,
    responder: Responder,
    list_sender: ListSender,
    /// It counts among the readers of the directory.
    is_directory_reader: bool,
    /// Its `Connect` waits until the directory is there, which goes on then.
    connect_retry_at: Option<Time>,
    /// When it counts as gone.
    alive_deadline: Option<Time>,
    /// How often it is to say that it is alive.
    alive_interval: Duration,
    /// Whom it spoke to, the last one last: they may be gone when the answer comes.
    recent_recipients: VecDeque<(HostId, Name)>,
}

/// Where a client stands.
#[derive(Debug)]
enum State {
    /// It has not said who it is.
    Unregistered,
    /// The relay has been asked.
    Joining,
    /// It is a user of the network.
    Online,
    /// It has been told why not, and goes when it is clear in which form.
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
            recent_recipients: VecDeque::new(),
        }
    }
}

impl Session {
    pub(in crate::wires) fn on_frame<'a>(
        &mut self,
        frame: &'a [u8],
        cx: &mut SessionCx<'_>,
    ) -> Effect<'a> {
        self.responder.detect_form(frame, cx.queue);
        if let State::Refused(reason) = &self.state {
            return Effect::Close(reason.clone());
        }
        self.send_presence(cx.now, cx.names, cx.queue);
        let Some(message) = wire::parse_frame(frame) else {
            return Effect::None;
        };
        let (command, argument) = split_command(message.text);
        let is_command = message.destination == Name::SERVER;
        if is_command && command == b"Connect" {
            return self.handle_connect(argument, message.source, frame, cx);
        }
        if !matches!(self.state, State::Online) || message.source != self.responder.client_name() {
            return invalid_source();
        }
        if is_command {
            self.handle_command(command, argument, cx)
        } else {
            self.handle_chat(&message, cx)
        }
    }

    /// Handles a `Connect`. The name is `argument`, or the source field if that is empty.
    fn handle_connect<'a>(
        &mut self,
        argument: &'a [u8],
        source: Name,
        frame: &[u8],
        cx: &mut SessionCx<'_>,
    ) -> Effect<'a> {
        let name = match argument {
            [] => Cow::Owned(source.unpadded().to_vec()),
            _ => Cow::Borrowed(argument),
        };
        let wanted_name = parse_user_name(&name);
        if wanted_name.is_some_and(|name| !is_reserved(name)) && !self.prepare_directory(cx) {
            return Effect::Defer;
        }
        if matches!(self.state, State::Unregistered) {
            self.responder.start(cx.now, wanted_name.unwrap_or(source), frame);
        }
        let Some(wanted_name) = wanted_name else {
            let problem = "is no name: 1 to 8 bytes, no spaces, no control bytes, no ~";
            return self.refuse_connect(excerpt(&name).as_bytes(), problem, cx.queue);
        };
        let is_repeated = !matches!(self.state, State::Unregistered);
        if is_repeated || cx.names.directory.is_taken(wanted_name) {
            return self.refuse_connect(wanted_name.unpadded(), "is already online", cx.queue);
        }
        self.state = State::Joining;
        self.id = cx.unused_id();
        self.alive_interval = cx.limits.classic_alive_interval;
        self.extend_alive_deadline(cx.now);
        Effect::Register { id: self.id, name }
    }

    /// Whether it is known who has which name. If not, it is found out for this client, from turn to turn.
    fn prepare_directory(&mut self, cx: &mut SessionCx<'_>) -> bool {
        if !std::mem::replace(&mut self.is_directory_reader, true) {
            cx.names.directory.add_reader();
        }
        let is_ready = cx.names.directory.fill(cx.now, cx.relay.hosts());
        self.connect_retry_at = (!is_ready).then(|| cx.now + CLASSIC_WORK_INTERVAL);
        is_ready
    }

    /// The client does not join, or not again.
    fn refuse_connect(
        &mut self,
        name: &[u8],
        problem: &str,
        queue: &mut SendQueue,
    ) -> Effect<'static> {
        self.send_error(name, problem, queue);
        let reason = CloseReason::Session(format!("{} {problem}", Printable(name)));
        if self.responder.is_form_known() {
            return Effect::Close(reason);
        }
        self.state = State::Refused(reason);
        Effect::None
    }

    fn extend_alive_deadline(&mut self, now: Time) {
        self.alive_deadline =
            Some(now + self.alive_interval.saturating_mul(CLASSIC_MISSED_ALIVES_MAX));
    }

    /// A client that is online speaks to the server.
    fn handle_command(
        &mut self,
        command_word: &[u8],
        argument: &[u8],
        cx: &mut SessionCx<'_>,
    ) -> Effect<'static> {
        // Without an argument, the source field names the client; it was checked already.
        let is_own_name =
            argument.is_empty() || argument == self.responder.client_name().unpadded();
        match command_word {
            b"List" => {
                self.list_sender.request();
                self.send_presence(cx.now, cx.names, cx.queue);
            }
            b"Alive" | b"Quit" if !is_own_name => return invalid_source(),
            b"Alive" => self.extend_alive_deadline(cx.now),
            b"Quit" => return Effect::Relay(Message::ClientQuit { source: self.id, text: b"" }),
            _ => self
                .send_server_text(&format!("unknown command: {}", excerpt(command_word)), cx.queue),
        }
        Effect::None
    }

    /// A client that is online speaks to others.
    fn handle_chat<'a>(
        &mut self,
        message: &wire::Message<'a>,
        cx: &mut SessionCx<'_>,
    ) -> Effect<'a> {
        let (from, text) = (self.id, Cow::Borrowed(message.text));
        if text.len() + FRAME_HEADROOM_BYTES > cx.limits.frame_bytes_max {
            self.send_server_text("this text is too long to pass on", cx.queue);
            return Effect::None;
        }
        let name = message.destination;
        if name == Name::ALL {
            return Effect::Broadcast { from, text };
        }
        match cx.names.directory.find_user(name) {
            Some(to) => {
                self.remember_recipient(to, name);
                Effect::Chat { from, to, text }
            }
            None => {
                self.send_not_online(name, cx.queue);
                Effect::None
            }
        }
    }

    /// Between whom the last chat was: its destination, and this client.
    pub(in crate::wires) fn last_chat_names(&self) -> Option<(Name, Name)> {
        self.recent_recipients.back().map(|&(_, name)| (name, self.responder.client_name()))
    }

    fn remember_recipient(&mut self, id: HostId, name: Name) {
        if self.recent_recipients.back() == Some(&(id, name)) {
            return;
        }
        self.recent_recipients.retain(|&(recipient, _)| recipient != id);
        if self.recent_recipients.len() == CLASSIC_RECENT_RECIPIENTS_MAX {
            self.recent_recipients.pop_front();
        }
        self.recent_recipients.push_back((id, name));
    }

    pub(in crate::wires) fn on_registration_refused(&mut self, queue: &mut SendQueue) {
        let name = self.responder.client_name();
        self.send_error(name.unpadded(), "cannot be registered now", queue);
        if !self.responder.is_form_known() {
            self.responder.set_form(Form::Compact, queue); // there is no later
        }
    }

    pub(in crate::wires) fn deliver(
        &mut self,
        message: &Message<'_>,
        names: &SharedNames,
        queue: &mut SendQueue,
    ) {
        match *message {
            Message::Chat { source, text, .. } => {
                self.deliver_chat(sender_name(source, names), text, queue);
            }
            Message::Status { code: StatusCode::WELCOME, .. }
                if matches!(self.state, State::Joining) =>
            {
                self.state = State::Online;
                self.send_server_text(
                    &format!("Interval {}", self.alive_interval.as_secs_f64()),
                    queue,
                );
                self.list_sender.request();
            }
            Message::Status { code, text, .. } => {
                let unknown_host =
                    (code == StatusCode::UNKNOWN_ID).then(|| parse_unknown_id(text)).flatten();
                match unknown_host.and_then(|id| self.name_of(id, names)) {
                    Some(name) => self.send_not_online(name, queue),
                    None => self.responder.send_text(Name::SERVER, text, queue),
                }
            }
            Message::Registration(_) | Message::ClientQuit { .. } | Message::ServerQuit { .. } => {}
        }
    }

    /// A chat, from whom [`sender_name`] names.
    pub(in crate::wires) fn deliver_chat(
        &mut self,
        sender: Name,
        text: &[u8],
        queue: &mut SendQueue,
    ) {
        self.responder.send_text(sender, text, queue);
    }

    /// The name of a user who is here, or was when this client spoke to it.
    fn name_of(&self, id: HostId, names: &SharedNames) -> Option<Name> {
        let recipient = self.recent_recipients.iter().find(|&&(addressee, _)| addressee == id);
        names.directory.name_of(id).or(recipient.map(|&(_, name)| name))
    }

    /// What somebody said while this client was away. Who is not online is called by the number.
    pub(in crate::wires) fn deliver_mail(
        &mut self,
        sender: WideId,
        text: &[u8],
        names: &SharedNames,
        queue: &mut SendQueue,
    ) {
        let directory = &names.directory;
        let online_name = u32::try_from(sender.0).ok().and_then(|id| directory.name_of(HostId(id)));
        let id_text = sender.to_string();
        let free_name =
            parse_user_name(id_text.as_bytes()).filter(|&name| !directory.is_taken(name));
        match online_name.or(free_name) {
            Some(name) => self.responder.send_text(name, text, queue),
            None => self.responder.send_text(Name::SERVER, &encode_mail_text(sender, text), queue),
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

    pub(in crate::wires) fn deadline(&self) -> Option<Time> {
        let list_deadline = self.list_sender.deadline();
        let deadlines =
            [self.responder.deadline(), self.alive_deadline, list_deadline, self.connect_retry_at];
        deadlines.into_iter().flatten().min()
    }

    pub(in crate::wires) fn on_timer(&mut self, cx: &mut SessionCx<'_>) -> Effect<'static> {
        self.connect_retry_at = self.connect_retry_at.filter(|&at| at > cx.now);
        if self.responder.deadline().is_some_and(|at| at <= cx.now) {
            self.responder.set_form(Form::Compact, cx.queue);
        }
        if let State::Refused(reason) = &self.state {
            return Effect::Close(reason.clone());
        }
        if self.alive_deadline.is_some_and(|at| at <= cx.now) {
            if cx.has_deferred_input {
                // What waits may say that it is alive.
                self.alive_deadline = Some(cx.now + self.alive_interval);
                return Effect::None;
            }
            self.alive_deadline = None;
            return Effect::Close(CloseReason::Session("no Alive for three intervals".to_owned()));
        }
        self.send_presence(cx.now, cx.names, cx.queue);
        Effect::None
    }

    /// Whether [`Session::refresh`] has anything to do.
    pub(in crate::wires) fn is_behind(&self, names: &SharedNames) -> bool {
        self.list_sender.is_pending(&names.directory)
    }

    pub(in crate::wires) fn send_presence(
        &mut self,
        now: Time,
        names: &mut SharedNames,
        queue: &mut SendQueue,
    ) {
        if !self.is_behind(names) {
            return;
        }
        // Who has left, because the server stops for one, is told nothing any more.
        if self.responder.is_form_known() && names.directory.name_of(self.id).is_some() {
            let (directory, lists) = (&mut names.directory, &mut names.lists);
            self.list_sender.send(now, directory, lists, &mut self.responder, queue);
        } else {
            self.list_sender.pause();
        }
    }

    pub(in crate::wires) fn on_closed(&mut self, names: &mut SharedNames) {
        if std::mem::take(&mut self.is_directory_reader) && names.directory.remove_reader() {
            names.lists = ListCache::default();
        }
    }
}

/// What the sender of a chat is called.
pub(in crate::wires) fn sender_name(source: HostId, names: &SharedNames) -> Name {
    names.directory.name_of(source).unwrap_or_else(|| make_alias(b"", source))
}

/// A frame of a client that says to be somebody else, or nobody yet: the relay drops it, and closes
/// the link when there have been many.
fn invalid_source() -> Effect<'static> {
    Effect::Relay(Message::Chat { source: HostId::NONE, destination: HostId::NONE, text: b"" })
}

/// The first word of a text and what follows it, without the spaces around.
fn split_command(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word.trim_ascii_end(), rest.trim_ascii())
}

/// The id in the text `Unknown ID_KEY X`.
fn parse_unknown_id(text: &[u8]) -> Option<HostId> {
    let id = text.strip_prefix(b"Unknown ID ")?;
    std::str::from_utf8(id).ok()?.parse().ok().map(HostId)
}

fn excerpt(text: &[u8]) -> String {
    match text.split_at_checked(EXCERPT_BYTES_MAX) {
        None | Some((_, [])) => Printable(text).to_string(),
        Some((begin, _)) => format!("{}…", Printable(begin)),
    }
}
