//! A classic client's session: turns names into ids and back, and keeps the client's life.
//!
//! A client is a user of the network from its `Connect` on, under a random id and its own name.
//! Lists are put into its queue when the turn is over, or before the next thing that it says is
//! handled: so many changes make one list, and answers come in the order of what was said.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use super::answers::Answers;
use super::lists::Lists;
use super::names::{alias, is_reserved, plain};
use super::wire::{self, Form, Name};
use crate::doors::{Desk, SendQueue, Shared, Step};
use crate::limits::{
    CLASSIC_ADDRESSEES_MAX, CLASSIC_INTERVALS_MAX, CLASSIC_TURN_PAUSE, FRAME_MARGIN_BYTES,
};
use crate::printable::Printable;
use crate::relay::message::{HostId, Message, StatusCode, WideId};
use crate::relay::{CloseReason, Time, name_sender};

/// How much of a word that nobody knows is said back, in bytes: however it is escaped, one message
/// has room for it.
const EXCERPT_BYTES: usize = 32;

/// A classic client.
#[derive(Debug)]
pub struct Session {
    stage: Stage,
    /// In the network, once it has asked to join.
    id: HostId,
    answers: Answers,
    lists: Lists,
    /// It counts among the readers of the directory.
    is_reader: bool,
    /// Its `Connect` waits until the directory is there, which goes on then.
    goes_on_at: Option<Time>,
    /// When it counts as gone.
    life_ends: Option<Time>,
    /// How often it is to say that it is alive.
    interval: Duration,
    /// Whom it spoke to, the last one last: they may be gone when the answer comes.
    addressees: VecDeque<(HostId, Name)>,
}

/// Where a client stands.
#[derive(Debug)]
enum Stage {
    /// It has not said who it is.
    Unknown,
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
            stage: Stage::Unknown,
            id: HostId::NONE,
            answers: Answers::default(),
            lists: Lists::default(),
            is_reader: false,
            goes_on_at: None,
            life_ends: None,
            interval: Duration::ZERO,
            addressees: VecDeque::new(),
        }
    }
}

impl Session {
    pub(in crate::doors) fn receive<'a>(
        &mut self,
        frame: &'a [u8],
        desk: &mut Desk<'_>,
    ) -> Step<'a> {
        self.answers.hear(frame, desk.queue);
        if let Stage::Refused(reason) = &self.stage {
            return Step::Close(reason.clone());
        }
        self.refresh(desk.now, desk.shared, desk.queue);
        let Some(message) = wire::message(frame) else {
            return Step::Nothing;
        };
        let (word, name) = split_word(message.text);
        let is_command = message.destination == Name::SERVER;
        if is_command && word == b"Connect" {
            return self.connect(name, message.source, frame, desk);
        }
        if !matches!(self.stage, Stage::Online) || message.source != self.answers.name() {
            return false_source();
        }
        if is_command { self.command(word, name, desk) } else { self.chat(&message, desk) }
    }

    /// The client wants to be known by a name.
    fn connect<'a>(
        &mut self,
        name: &'a [u8],
        source: Name,
        frame: &[u8],
        desk: &mut Desk<'_>,
    ) -> Step<'a> {
        let usable = plain(name);
        if usable.is_some_and(|name| !is_reserved(name)) && !self.knows_names(desk) {
            return Step::Hold;
        }
        if matches!(self.stage, Stage::Unknown) {
            self.answers.begin(desk.now, usable.unwrap_or(source), frame);
        }
        let Some(usable) = usable else {
            let why = "is no name: 1 to 8 bytes, no spaces, no control bytes, no ~";
            return self.refuse(excerpt(name).as_bytes(), why, desk.queue);
        };
        let is_second = !matches!(self.stage, Stage::Unknown);
        if is_second || desk.shared.directory.is_taken(usable) {
            return self.refuse(usable.bytes(), "is already online", desk.queue);
        }
        self.stage = Stage::Joining;
        self.id = desk.free_id();
        self.interval = desk.limits.classic_interval;
        self.live_on(desk.now);
        Step::Register { id: self.id, name: Cow::Borrowed(name) }
    }

    /// Whether it is known who has which name. If not, it is found out for this client, from turn to turn.
    fn knows_names(&mut self, desk: &mut Desk<'_>) -> bool {
        if !std::mem::replace(&mut self.is_reader, true) {
            desk.shared.directory.enter();
        }
        let is_done = desk.shared.directory.fill(desk.now, desk.relay.hosts());
        self.goes_on_at = (!is_done).then(|| desk.now + CLASSIC_TURN_PAUSE);
        is_done
    }

    /// The client does not join, or not again.
    fn refuse(&mut self, name: &[u8], why: &str, queue: &mut SendQueue) -> Step<'static> {
        self.tell_error(name, why, queue);
        let reason = CloseReason::Session(format!("{} {why}", Printable(name)));
        if self.answers.is_clear() {
            return Step::Close(reason);
        }
        self.stage = Stage::Refused(reason);
        Step::Nothing
    }

    fn live_on(&mut self, now: Time) {
        self.life_ends = Some(now + self.interval.saturating_mul(CLASSIC_INTERVALS_MAX));
    }

    /// A client that is online speaks to the server.
    fn command(&mut self, word: &[u8], name: &[u8], desk: &mut Desk<'_>) -> Step<'static> {
        let is_its_own = name == self.answers.name().bytes();
        match word {
            b"List" => {
                self.lists.ask();
                self.refresh(desk.now, desk.shared, desk.queue);
            }
            b"Alive" | b"Quit" if !is_its_own => return false_source(),
            b"Alive" => self.live_on(desk.now),
            b"Quit" => return Step::Say(Message::ClientQuit { source: self.id, text: b"" }),
            _ => self.tell(&format!("unknown command: {}", excerpt(word)), desk.queue),
        }
        Step::Nothing
    }

    /// A client that is online speaks to others.
    fn chat<'a>(&mut self, message: &wire::Message<'a>, desk: &mut Desk<'_>) -> Step<'a> {
        let (from, text) = (self.id, Cow::Borrowed(message.text));
        if text.len() + FRAME_MARGIN_BYTES > desk.limits.frame_bytes_max {
            self.tell("this text is too long to pass on", desk.queue);
            return Step::Nothing;
        }
        let name = message.destination;
        if name == Name::ALL {
            return Step::ChatToAll { from, text };
        }
        match desk.shared.directory.user(name) {
            Some(to) => {
                self.remember(to, name);
                Step::Chat { from, to, text }
            }
            None => {
                self.tell_absent(name, desk.queue);
                Step::Nothing
            }
        }
    }

    /// Between whom the last chat was: its destination, and this client.
    pub(in crate::doors) fn spoke_to(&self) -> Option<(Name, Name)> {
        self.addressees.back().map(|&(_, name)| (name, self.answers.name()))
    }

    fn remember(&mut self, id: HostId, name: Name) {
        if self.addressees.back() == Some(&(id, name)) {
            return;
        }
        self.addressees.retain(|&(addressee, _)| addressee != id);
        if self.addressees.len() == CLASSIC_ADDRESSEES_MAX {
            self.addressees.pop_front();
        }
        self.addressees.push_back((id, name));
    }

    pub(in crate::doors) fn refused(&mut self, queue: &mut SendQueue) {
        let name = self.answers.name();
        self.tell_error(name.bytes(), "cannot be registered now", queue);
        if !self.answers.is_clear() {
            self.answers.decide(Form::Short, queue); // there is no later
        }
    }

    pub(in crate::doors) fn deliver(
        &mut self,
        message: &Message<'_>,
        shared: &Shared,
        queue: &mut SendQueue,
    ) {
        match *message {
            Message::Chat { source, text, .. } => {
                self.say(sender_name(source, shared), text, queue);
            }
            Message::Status { code: StatusCode::WELCOME, .. }
                if matches!(self.stage, Stage::Joining) =>
            {
                self.stage = Stage::Online;
                self.tell(&format!("Interval {}", self.interval.as_secs_f64()), queue);
                self.lists.ask();
            }
            Message::Status { code, text, .. } => {
                let unknown = (code == StatusCode::UNKNOWN_ID).then(|| unknown_id(text)).flatten();
                match unknown.and_then(|id| self.name_of(id, shared)) {
                    Some(name) => self.tell_absent(name, queue),
                    None => self.answers.say(Name::SERVER, text, queue),
                }
            }
            Message::Registration(_) | Message::ClientQuit { .. } | Message::ServerQuit { .. } => {}
        }
    }

    /// A chat, from whom [`sender_name`] names.
    pub(in crate::doors) fn say(&mut self, sender: Name, text: &[u8], queue: &mut SendQueue) {
        self.answers.say(sender, text, queue);
    }

    /// The name of a user who is here, or was when this client spoke to it.
    fn name_of(&self, id: HostId, shared: &Shared) -> Option<Name> {
        let addressee = self.addressees.iter().find(|&&(addressee, _)| addressee == id);
        shared.directory.name(id).or(addressee.map(|&(_, name)| name))
    }

    /// What somebody said while this client was away. Who is not online is called by the number.
    pub(in crate::doors) fn deliver_mail(
        &mut self,
        sender: WideId,
        text: &[u8],
        shared: &Shared,
        queue: &mut SendQueue,
    ) {
        let directory = &shared.directory;
        let online = u32::try_from(sender.0).ok().and_then(|id| directory.name(HostId(id)));
        let number = sender.to_string();
        let free = plain(number.as_bytes()).filter(|&name| !directory.is_taken(name));
        match online.or(free) {
            Some(name) => self.answers.say(name, text, queue),
            None => self.answers.say(Name::SERVER, &name_sender(sender, text), queue),
        }
    }

    fn tell(&mut self, text: &str, queue: &mut SendQueue) {
        self.answers.say(Name::SERVER, text.as_bytes(), queue);
    }

    fn tell_error(&mut self, name: &[u8], why: &str, queue: &mut SendQueue) {
        let text = [b"Error ", name, b" ", why.as_bytes()].concat();
        self.answers.say(Name::SERVER, &text, queue);
    }

    fn tell_absent(&mut self, name: Name, queue: &mut SendQueue) {
        let text = [name.bytes(), b" is not online"].concat();
        self.answers.say(Name::SERVER, &text, queue);
    }

    pub(in crate::doors) fn deadline(&self) -> Option<Time> {
        let lists = self.lists.deadline();
        let deadlines = [self.answers.deadline(), self.life_ends, lists, self.goes_on_at];
        deadlines.into_iter().flatten().min()
    }

    pub(in crate::doors) fn expire(&mut self, desk: &mut Desk<'_>) -> Step<'static> {
        self.goes_on_at = self.goes_on_at.filter(|&at| at > desk.now);
        if self.answers.deadline().is_some_and(|at| at <= desk.now) {
            self.answers.decide(Form::Short, desk.queue);
        }
        if let Stage::Refused(reason) = &self.stage {
            return Step::Close(reason.clone());
        }
        if self.life_ends.is_some_and(|at| at <= desk.now) {
            if desk.is_held {
                // What waits may say that it is alive.
                self.life_ends = Some(desk.now + self.interval);
                return Step::Nothing;
            }
            self.life_ends = None;
            return Step::Close(CloseReason::Session("no Alive for three intervals".to_owned()));
        }
        self.refresh(desk.now, desk.shared, desk.queue);
        Step::Nothing
    }

    /// Whether [`Session::refresh`] has anything to do.
    pub(in crate::doors) fn is_behind(&self, shared: &Shared) -> bool {
        self.lists.are_due(&shared.directory)
    }

    pub(in crate::doors) fn refresh(
        &mut self,
        now: Time,
        shared: &mut Shared,
        queue: &mut SendQueue,
    ) {
        if !self.is_behind(shared) {
            return;
        }
        // Who has left, because the server stops for one, is told nothing any more.
        if self.answers.is_clear() && shared.directory.name(self.id).is_some() {
            self.lists.send(now, &mut shared.directory, &mut self.answers, queue);
        } else {
            self.lists.pause();
        }
    }

    pub(in crate::doors) fn closed(&mut self, shared: &mut Shared) {
        if std::mem::take(&mut self.is_reader) {
            shared.directory.leave();
        }
    }
}

/// What the sender of a chat is called.
pub(in crate::doors) fn sender_name(source: HostId, shared: &Shared) -> Name {
    shared.directory.name(source).unwrap_or_else(|| alias(b"", source))
}

/// A frame of a client that says to be somebody else, or nobody yet: the relay drops it, and closes
/// the link when there have been many.
fn false_source() -> Step<'static> {
    Step::Say(Message::Chat { source: HostId::NONE, destination: HostId::NONE, text: b"" })
}

/// The first word of a text and what follows it, without the spaces around.
fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word.trim_ascii_end(), rest.trim_ascii())
}

/// The id in the text `Unknown ID X`.
fn unknown_id(text: &[u8]) -> Option<HostId> {
    let id = text.strip_prefix(b"Unknown ID ")?;
    std::str::from_utf8(id).ok()?.parse().ok().map(HostId)
}

fn excerpt(text: &[u8]) -> String {
    match text.split_at_checked(EXCERPT_BYTES) {
        None | Some((_, [])) => Printable(text).to_string(),
        Some((begin, _)) => format!("{}…", Printable(begin)),
    }
}
