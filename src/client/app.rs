//! The client without its terminal and its socket: bytes and typed lines go in, bytes and events
//! come out. No socket, file, clock or thread; time is an argument, randomness a seed.
//!
//! Lines are carried out in the order they were typed. They wait until the server has taken the
//! user, and after that for one that the session cannot carry out yet. What is said in which bytes is
//! the session's. The last event is [`Event::Disconnected`].

use std::collections::VecDeque;
use std::time::Duration;

use super::event::Event;
use super::grammar::{self, Command};
use super::session::{Classic, Crc, Direct, End, NotDone, Session};
use crate::limits::CLIENT_QUEUE_BYTES_MAX;
use crate::link::frame_decoder::FrameDecoder;
use crate::relay::Identity;
use crate::wires::classic::codec::Name;

/// How long the server may take to answer the registration: as long as it gives a client to send one.
pub const WELCOME_DEADLINE: Duration = crate::limits::REGISTER_DEADLINE;

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
    session: Box<dyn Session>,
    assembly: FrameDecoder,
    state: State,
    waiting: VecDeque<String>,
    waiting_bytes: usize,
    /// When the first line that waits is looked at again, whatever comes.
    waits_until: Option<Duration>,
    input_ended: bool,
    output: Vec<u8>,
    /// Bytes of output that were taken and are not written yet.
    unsent: usize,
    events: VecDeque<Event>,
}

impl App {
    /// A client of the CRC wire (contract section 2) that is not connected. Random ids come from
    /// `seed`.
    #[must_use]
    pub fn crc(identity: Identity, seed: u64) -> Self {
        Self::new(Crc::new(identity, seed))
    }

    /// A client of the direct wire (contract section 3) that is not connected. An id to ask for is
    /// positive; without one it goes by the id that the server assigns.
    #[must_use]
    pub fn direct(desired_id: Option<i64>) -> Self {
        Self::new(Direct::new(desired_id))
    }

    /// A client of the classic wire (contract section 4) that is not connected.
    #[must_use]
    pub fn classic(name: Name) -> Self {
        Self::new(Classic::new(name))
    }

    fn new(session: impl Session + 'static) -> Self {
        Self {
            session: Box::new(session),
            assembly: FrameDecoder::default(),
            state: State::Unconnected,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            waits_until: None,
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
        let frame_len = self.session.frame_len();
        let mut assembly = std::mem::take(&mut self.assembly);
        let read = assembly.decode(bytes, frame_len, |frame| {
            self.handle_frame(now, frame);
            !self.is_over()
        });
        self.assembly = assembly;
        if let Err(what) = read {
            self.on_end(End::Broken(what));
        }
    }

    /// A line that was typed, with or without its line end.
    pub fn line(&mut self, now: Duration, line: &str) {
        if self.input_ended || matches!(self.state, State::Leaving { .. } | State::Over(_)) {
            return;
        }
        let mut line = line.to_owned();
        self.session.clean(&mut line);
        self.waiting_bytes += cost(&line);
        self.waiting.push_back(line);
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
                "the server did not answer within {} s: is it a {} server?",
                WELCOME_DEADLINE.as_secs(),
                self.session.wire()
            )),
            State::Leaving { until, .. } if now >= until => {
                self.end_leaving("the server does not read them");
            }
            State::Chatting => {
                self.advance_session(now);
                self.handle_waiting(now);
            }
            _ => {}
        }
    }

    /// When [`App::advance`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        match self.state {
            State::Registering { until } | State::Leaving { until, .. } => Some(until),
            State::Chatting => {
                self.waits_until.into_iter().chain(self.session.next_deadline()).min()
            }
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

    /// Whether all has been said, and the server learns from the end of the stream that the user
    /// left: shut the connection for writing when all output is written.
    #[must_use]
    pub fn ends_stream(&self) -> bool {
        matches!(self.state, State::Leaving { .. }) && !self.session.has_farewell()
    }

    /// Whether so many lines wait that the source of lines should.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.waiting_bytes > WAITING_BYTES_MAX
    }

    fn handle_frame(&mut self, now: Duration, frame: &[u8]) {
        let mut events = Vec::new();
        let heard = self.session.hear(now, frame, &mut self.output, &mut events);
        if events.iter().any(|event| matches!(event, Event::Connected { .. })) {
            self.state = State::Chatting;
        }
        self.events.extend(events);
        match heard {
            Ok(()) => self.handle_waiting(now),
            Err(end) => self.on_end(end),
        }
    }

    fn on_end(&mut self, end: End) {
        match end {
            End::Broken(what) => self.fail(&format!(
                "this is not a {} server, or it is broken: {what}",
                self.session.wire()
            )),
            End::Refused(why) => self.fail(&why),
        }
    }

    fn advance_session(&mut self, now: Duration) {
        let len = self.output.len();
        self.session.advance(now, &mut self.output);
        // Behind so much that a server does not read, it would come too late, and add up.
        if self.unsent >= CLIENT_QUEUE_BYTES_MAX {
            self.output.truncate(len);
        }
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
        match grammar::parse(line).map_err(|error| NotDone::Never(error.to_string()))? {
            None => {}
            Some(Command::Say { to, text }) => {
                self.session.say(now, to, text, &mut self.output)?;
            }
            Some(Command::List) => {
                let users = self.session.users(now)?;
                self.events.push_back(Event::Users { users });
            }
            Some(Command::Quit(text)) => {
                self.session.quit(text, &mut self.output)?;
                self.on_left(now);
            }
            Some(Command::Help) => {
                self.events.push_back(Event::Help { text: grammar::HELP.into() });
            }
        }
        Ok(())
    }

    fn leave(&mut self, now: Duration) {
        // A farewell without words can always be said.
        let _ = self.session.quit("", &mut self.output);
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

/// What a line that waits takes, roughly, in bytes.
fn cost(line: &str) -> usize {
    line.len() + size_of::<String>()
}

#[cfg(test)]
mod tests;
