//! The client without its terminal and its socket: bytes and typed lines go in, bytes and events
//! come out. No socket, file, clock or thread; time is an argument, randomness a seed.
//!
//! Lines are carried out in the order they were typed. They wait for the welcome, and just after it
//! one to a name that is not known, or one that asks for the list, waits a moment for the server to
//! tell of everyone, because a script pipes its lines in before the server can have told of anyone.
//! The last event is [`Event::Disconnected`].

use std::collections::VecDeque;
use std::time::Duration;

use super::event::{Event, Text};
use super::grammar::{self, Addressee, Command};
use super::roster::Roster;
use super::session::{Crc, Heard, Session};
use crate::limits::FRAME_BYTES_MAX;
use crate::relay::Identity;

/// How long the server may take to answer the registration: as long as it gives a client to send one.
pub const WELCOME_DEADLINE: Duration = crate::limits::REGISTER_DEADLINE;

/// How long after the welcome a line waits for a name that is not known.
pub const NAME_DEADLINE: Duration = Duration::from_secs(1);

/// How long nothing may come after the welcome before a list counts as complete: the server tells
/// of everyone at once, but not when it is done.
pub const LIST_QUIET: Duration = Duration::from_millis(100);

/// How long the server may take to close after it was sent the quit; after an interrupt, also how
/// long it may take to be sent it.
pub const QUIT_DEADLINE: Duration = Duration::from_secs(2);

/// How long a server that is left may take none of what it has yet to be sent.
pub const STALL_DEADLINE: Duration = Duration::from_secs(30);

/// Bytes of lines that wait past which no more should be read, see [`App::is_congested`].
const WAITING_BYTES_MAX: usize = 256 * 1024;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The user left.
    Left,
    /// The connection was lost, or never was of use, or the server did not take all it was sent.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unconnected,
    Registering { until: Duration },
    Chatting,
    Leaving { until: Duration, is_interrupted: bool },
    Over(Outcome),
}

/// The client's state machine.
///
/// After every call that takes bytes, a line or time, [`App::take_output`] has what to write and
/// [`App::poll_event`] what to show. Whoever cannot write it all at once says so to
/// [`App::set_unsent`].
#[derive(Debug)]
pub struct App {
    session: Session,
    state: State,
    roster: Roster,
    waiting: VecDeque<String>,
    waiting_bytes: usize,
    /// When the first line that waits is looked at again, whatever comes.
    waits_until: Option<Duration>,
    /// Until when a name that is not known may yet be told of.
    names_until: Duration,
    /// Until when the list of users may be incomplete; never later than `names_until`.
    list_until: Duration,
    input_ended: bool,
    output: Vec<u8>,
    /// Bytes of output that were taken and are not written yet.
    unsent: usize,
    events: VecDeque<Event>,
}

impl App {
    /// A client of the CRC wire that is not connected. Random ids come from `seed`.
    #[must_use]
    pub fn new(identity: Identity, seed: u64) -> Self {
        Self {
            session: Session::Crc(Crc::new(identity, seed)),
            state: State::Unconnected,
            roster: Roster::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            waits_until: None,
            names_until: Duration::ZERO,
            list_until: Duration::ZERO,
            input_ended: false,
            output: Vec::new(),
            unsent: 0,
            events: VecDeque::new(),
        }
    }

    /// The connection stands: registers.
    pub fn connected(&mut self, now: Duration) {
        self.session.open(&mut self.output);
        self.state = State::Registering { until: now + WELCOME_DEADLINE };
    }

    /// Bytes from the server, in whatever pieces.
    pub fn receive(&mut self, now: Duration, bytes: &[u8]) {
        if self.is_over() {
            return;
        }
        self.list_until = self.names_until.min(now + LIST_QUIET);
        let mut heard = Vec::new();
        let read = self.session.receive(bytes, &mut self.output, &mut heard);
        for heard in heard {
            if !self.is_over() {
                self.handle_heard(now, heard);
                self.handle_waiting(now);
            }
        }
        if let Err(what) = read {
            self.fail(&what);
        }
    }

    /// A line that was typed, with or without its line end.
    pub fn line(&mut self, now: Duration, line: &str) {
        if self.input_ended || matches!(self.state, State::Leaving { .. } | State::Over(_)) {
            return;
        }
        self.waiting_bytes += cost(line);
        self.waiting.push_back(line.to_owned());
        self.handle_waiting(now);
    }

    /// No more lines come: leaves when all that wait are carried out.
    pub fn end_of_input(&mut self, now: Duration) {
        self.input_ended = true;
        self.handle_waiting(now);
    }

    /// Leaves at once; lines that wait are dropped. Cuts short a leave that has begun.
    pub fn interrupt(&mut self, now: Duration) {
        self.input_ended = true;
        if self.state == State::Chatting {
            self.leave(now);
        }
        match &mut self.state {
            State::Leaving { until, is_interrupted } => {
                *until = (*until).min(now + QUIT_DEADLINE);
                *is_interrupted = true;
            }
            State::Over(_) => {}
            _ => self.end(Outcome::Left, "left before the server answered"),
        }
    }

    /// Shows why something that was typed cannot be a line.
    pub fn refuse_line(&mut self, why: &str) {
        self.events.push_back(Event::error(why));
    }

    /// The connection is gone; `reason` says why, as in "the server closed the connection".
    pub fn closed(&mut self, _now: Duration, reason: &str) {
        match self.state {
            State::Leaving { .. } => self.end_leaving(reason),
            State::Over(_) => {}
            State::Unconnected | State::Registering { .. } | State::Chatting => {
                self.fail(reason);
            }
        }
    }

    /// Fires the deadlines that have come.
    pub fn advance(&mut self, now: Duration) {
        match self.state {
            State::Registering { until } if now >= until => self.fail(&format!(
                "the server did not answer within {} s: is it a CRC server?",
                WELCOME_DEADLINE.as_secs()
            )),
            State::Leaving { until, .. } if now >= until => {
                self.end_leaving("the server does not read them");
            }
            _ => self.handle_waiting(now),
        }
    }

    /// When [`App::advance`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        match self.state {
            State::Registering { until } | State::Leaving { until, .. } => Some(until),
            State::Chatting => self.waits_until,
            _ => None,
        }
    }

    /// The bytes to write to the server since the last call.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Of all the output that was taken, `len` bytes are not written yet. A server that is left and
    /// slow to take them is waited for until it has, or takes none for [`STALL_DEADLINE`].
    pub fn set_unsent(&mut self, now: Duration, len: usize) {
        let has_changed = len != std::mem::replace(&mut self.unsent, len);
        let next = now + self.leave_deadline();
        match &mut self.state {
            State::Leaving { until, is_interrupted: false } if has_changed => *until = next,
            _ => {}
        }
    }

    /// The next thing to show.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether nothing follows but the events that wait: close the connection.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.outcome().is_some()
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Over(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Whether so many lines wait that the source of lines should.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.waiting_bytes > WAITING_BYTES_MAX
    }

    fn handle_heard(&mut self, now: Duration, heard: Heard) {
        let event = match heard {
            Heard::Welcome { id, status } => {
                self.state = State::Chatting;
                self.names_until = now + NAME_DEADLINE;
                self.list_until = now + LIST_QUIET;
                self.events
                    .push_back(Event::Connected { id: Some(id), name: self.session.name().into() });
                let Some((code, text)) = status else { return };
                Event::Status { code: Some(code), text }
            }
            Heard::IdTaken { code, text, advice } => {
                self.events.push_back(Event::Status { code: Some(code), text });
                self.fail(&advice);
                return;
            }
            Heard::Status { code, text } => Event::Status { code: Some(code), text },
            Heard::Joined { id, name, info } => {
                self.roster.insert(id, name.clone());
                Event::Join { id: Some(id), name, info: Some(info) }
            }
            Heard::Left { id, text } => {
                Event::Quit { id: Some(id), name: self.roster.remove(id), text: Some(text) }
            }
            Heard::Said { from, text } => {
                Event::Chat { from: Some(from), name: self.name_of(from), text }
            }
        };
        self.events.push_back(event);
    }

    /// Carries out the lines that need not wait any longer, and leaves after the last one.
    fn handle_waiting(&mut self, now: Duration) {
        while self.state == State::Chatting {
            let Some(line) = self.waiting.pop_front() else {
                if self.input_ended {
                    self.leave(now);
                }
                return;
            };
            self.waits_until = None;
            match self.handle_line(now, &line) {
                Err(NotDone::Later(until)) => {
                    self.waits_until = Some(until);
                    self.waiting.push_front(line);
                    return;
                }
                Err(NotDone::Never(why)) => self.refuse_line(&why),
                Ok(()) => {}
            }
            self.waiting_bytes = self.waiting_bytes.saturating_sub(cost(&line));
        }
    }

    fn handle_line(&mut self, now: Duration, line: &str) -> Result<(), NotDone> {
        let command = grammar::parse(line, self.session.id_max());
        match command.map_err(|error| NotDone::Never(error.to_string()))? {
            None => {}
            Some(Command::Say { to, text }) => {
                let id = match to {
                    Addressee::Id(id) => id,
                    Addressee::IdOrName(id, name) => self.id_of_digits(now, id, name)?,
                    Addressee::Name(name) => self.id_of(now, name)?,
                };
                let mut frame = Vec::new();
                self.session.say(id, text.as_bytes(), &mut frame);
                self.send(&frame)?;
            }
            Some(Command::List) if now < self.list_until => {
                return Err(NotDone::Later(self.list_until));
            }
            Some(Command::List) => {
                let users = self.roster.users();
                self.events.push_back(Event::Users { users });
            }
            Some(Command::Quit(text)) => {
                let mut frame = Vec::new();
                self.session.quit(text.as_bytes(), &mut frame);
                self.send(&frame)?;
                self.on_left(now);
            }
            Some(Command::Help) => {
                self.events.push_back(Event::Help { text: grammar::HELP.into() });
            }
        }
        Ok(())
    }

    /// The one user of that name. It is one's own only while nobody else has it.
    fn id_of(&self, now: Duration, name: &str) -> Result<i64, NotDone> {
        let ids = self.roster.ids(name.as_bytes());
        match ids[..] {
            [id] => Ok(id),
            [] if name.as_bytes() == self.session.name() => Ok(self.session.id()),
            [] if now < self.names_until => Err(NotDone::Later(self.names_until)),
            [] => Err(NotDone::Never(format!("nobody here is called {name}: see /list"))),
            _ => {
                let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
                let ids = ids.join(", ");
                Err(NotDone::Never(format!(
                    "several users are called {name}: write one of the ids {ids} instead"
                )))
            }
        }
    }

    /// The id, unless nobody is known to have it and just one user has it as a name.
    fn id_of_digits(&self, now: Duration, id: i64, name: &str) -> Result<i64, NotDone> {
        if self.name_of(id).is_some() {
            return Ok(id);
        }
        match self.id_of(now, name) {
            Err(NotDone::Never(_)) => Ok(id),
            other => other,
        }
    }

    fn name_of(&self, id: i64) -> Option<Text> {
        if id == self.session.id() {
            return Some(self.session.name().into());
        }
        self.roster.name(id).cloned()
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), NotDone> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(NotDone::Never(format!(
                "too long: it makes a message of {} bytes, and servers take {FRAME_BYTES_MAX}",
                frame.len()
            )));
        }
        self.output.extend_from_slice(frame);
        Ok(())
    }

    fn leave(&mut self, now: Duration) {
        self.session.quit(b"", &mut self.output);
        self.on_left(now);
    }

    fn on_left(&mut self, now: Duration) {
        self.waiting.clear();
        self.waiting_bytes = 0;
        let until = now + self.leave_deadline();
        self.state = State::Leaving { until, is_interrupted: false };
    }

    fn leave_deadline(&self) -> Duration {
        if self.unsent == 0 { QUIT_DEADLINE } else { STALL_DEADLINE }
    }

    /// Ends what was to be a leave; `why` says why bytes that are left cannot be sent any more.
    fn end_leaving(&mut self, why: &str) {
        match self.unsent {
            0 => self.end(Outcome::Left, "left"),
            unsent => self.fail(&format!("{unsent} bytes were not sent: {why}")),
        }
    }

    fn fail(&mut self, why: &str) {
        if !self.is_over() {
            self.refuse_line(why);
            self.end(Outcome::Failed, why);
        }
    }

    fn end(&mut self, outcome: Outcome, why: &str) {
        self.state = State::Over(outcome);
        self.events.push_back(Event::Disconnected { text: why.into() });
    }
}

/// Why a line is not carried out.
enum NotDone {
    /// It may be when the server has told of more users, and is looked at again by then.
    Later(Duration),
    /// It cannot be. The text says why.
    Never(String),
}

/// What a line that waits takes, roughly, in bytes.
fn cost(line: &str) -> usize {
    line.len() + size_of::<String>()
}

#[cfg(test)]
mod tests;
