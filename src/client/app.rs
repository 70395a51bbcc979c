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
use super::session::{Classic, Crc, Direct, LineError, Session, SessionError};
use crate::limits::CLIENT_QUEUE_BYTES_MAX;
use crate::link::frame_decoder::FrameDecoder;
use crate::relay::Identity;
use crate::wires::classic::codec::Name;

/// How long the server may take to answer the registration: as long as it gives a client to send one.
pub const WELCOME_TIMEOUT: Duration = crate::limits::REGISTER_DEADLINE;

/// How long the server may take to close after it was sent the quit; after an interrupt, also how
/// long it may take to be sent it.
pub const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a server that is left may take none of what it has yet to be sent.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of lines that wait past which no more should be read, see [`App::is_above_high_water`].
const PENDING_HIGH_WATER_BYTES: usize = 256 * 1024;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The user left.
    UserQuit,
    /// The connection was lost, or never was of use, or the server did not take all it was sent.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unconnected,
    Registering { deadline: Duration },
    Registered,
    Quitting { deadline: Duration, is_interrupted: bool },
    Closed(Outcome),
}

/// The client's state machine.
///
/// After every call that takes bytes, a line or time, [`App::take_output`] has what to write and
/// [`App::poll_event`] what to show. Whoever cannot write it all at once says so to
/// [`App::set_unsent_bytes`].
#[derive(Debug)]
pub struct App {
    session: Box<dyn Session>,
    decoder: FrameDecoder,
    state: State,
    pending_lines: VecDeque<String>,
    pending_bytes: usize,
    /// When the first line that waits is looked at again, whatever comes.
    retry_at: Option<Duration>,
    is_input_ended: bool,
    output: Vec<u8>,
    /// Bytes of output that were taken and are not written yet.
    unsent_bytes: usize,
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
            decoder: FrameDecoder::default(),
            state: State::Unconnected,
            pending_lines: VecDeque::new(),
            pending_bytes: 0,
            retry_at: None,
            is_input_ended: false,
            output: Vec::new(),
            unsent_bytes: 0,
            events: VecDeque::new(),
        }
    }

    /// The connection stands: registers.
    pub fn connected(&mut self, now: Duration) {
        self.session.open(&mut self.output);
        self.state = State::Registering { deadline: now + WELCOME_TIMEOUT };
    }

    /// Bytes from the server, in whatever pieces.
    pub fn receive(&mut self, now: Duration, bytes: &[u8]) {
        if self.is_closed() {
            return;
        }
        let frame_len = self.session.frame_len();
        let mut decoder = std::mem::take(&mut self.decoder);
        let result = decoder.decode(bytes, frame_len, |frame| {
            self.handle_frame(now, frame);
            !self.is_closed()
        });
        self.decoder = decoder;
        if let Err(error) = result {
            self.on_session_error(SessionError::Protocol(error));
        }
    }

    /// A line that was typed, with or without its line end.
    pub fn push_line(&mut self, now: Duration, line: &str) {
        if self.is_input_ended || matches!(self.state, State::Quitting { .. } | State::Closed(_)) {
            return;
        }
        let mut line = line.to_owned();
        self.session.sanitize(&mut line);
        self.pending_bytes += line_cost_bytes(&line);
        self.pending_lines.push_back(line);
        self.run_pending_lines(now);
    }

    /// No more lines come: leaves when all that wait are carried out.
    pub fn end_input(&mut self, now: Duration) {
        self.is_input_ended = true;
        self.run_pending_lines(now);
    }

    /// Leaves at once; lines that wait are dropped. Cuts short a leave that has begun.
    pub fn interrupt(&mut self, now: Duration) {
        self.is_input_ended = true;
        if self.state == State::Registered {
            self.quit(now);
        }
        match &mut self.state {
            State::Quitting { deadline, is_interrupted } => {
                *deadline = (*deadline).min(now + QUIT_TIMEOUT);
                *is_interrupted = true;
            }
            State::Closed(_) => {}
            _ => self.close(Outcome::UserQuit, "left before the server answered"),
        }
    }

    /// Shows why something that was typed cannot be a line.
    pub fn report_error(&mut self, why: &str) {
        self.events.push_back(Event::error(why));
    }

    /// The connection is gone; `reason` says why, as in "the server closed the connection".
    pub fn closed(&mut self, _now: Duration, reason: &str) {
        match self.state {
            State::Quitting { .. } => self.finish_quit(reason),
            State::Closed(_) => {}
            State::Unconnected | State::Registering { .. } | State::Registered => {
                self.fail(reason);
            }
        }
    }

    /// Fires the deadlines that have come.
    pub fn advance(&mut self, now: Duration) {
        match self.state {
            State::Registering { deadline } if now >= deadline => self.fail(&format!(
                "the server did not answer within {} s: is it a {} server?",
                WELCOME_TIMEOUT.as_secs(),
                self.session.wire_name()
            )),
            State::Quitting { deadline, .. } if now >= deadline => {
                self.finish_quit("the server does not read them");
            }
            State::Registered => {
                self.advance_session(now);
                self.run_pending_lines(now);
            }
            _ => {}
        }
    }

    /// When [`App::advance`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        match self.state {
            State::Registering { deadline } | State::Quitting { deadline, .. } => Some(deadline),
            State::Registered => {
                self.retry_at.into_iter().chain(self.session.next_deadline()).min()
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
    /// slow to take them is waited for until it has, or takes none for [`STALL_TIMEOUT`].
    pub fn set_unsent_bytes(&mut self, now: Duration, len: usize) {
        let has_changed = len != std::mem::replace(&mut self.unsent_bytes, len);
        let new_deadline = now + self.quit_timeout();
        match &mut self.state {
            State::Quitting { deadline, is_interrupted: false } if has_changed => {
                *deadline = new_deadline;
            }
            _ => {}
        }
    }

    /// The next thing to show.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether nothing follows but the events that wait: close the connection.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.outcome().is_some()
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Closed(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Whether all has been said, and the server learns from the end of the stream that the user
    /// left: shut the connection for writing when all output is written.
    #[must_use]
    pub fn wants_write_shutdown(&self) -> bool {
        matches!(self.state, State::Quitting { .. }) && !self.session.has_quit_message()
    }

    /// Whether so many lines wait that the source of lines should.
    #[must_use]
    pub fn is_above_high_water(&self) -> bool {
        self.pending_bytes > PENDING_HIGH_WATER_BYTES
    }

    fn handle_frame(&mut self, now: Duration, frame: &[u8]) {
        let mut events = Vec::new();
        let result = self.session.on_frame(now, frame, &mut self.output, &mut events);
        if events.iter().any(|event| matches!(event, Event::Connected { .. })) {
            self.state = State::Registered;
        }
        self.events.extend(events);
        match result {
            Ok(()) => self.run_pending_lines(now),
            Err(error) => self.on_session_error(error),
        }
    }

    fn on_session_error(&mut self, error: SessionError) {
        match error {
            SessionError::Protocol(what) => self.fail(&format!(
                "this is not a {} server, or it is broken: {what}",
                self.session.wire_name()
            )),
            SessionError::Rejected(why) => self.fail(&why),
        }
    }

    fn advance_session(&mut self, now: Duration) {
        let len = self.output.len();
        self.session.advance(now, &mut self.output);
        // Behind so much that a server does not read, it would come too late, and add up.
        if self.unsent_bytes >= CLIENT_QUEUE_BYTES_MAX {
            self.output.truncate(len);
        }
    }

    /// Carries out the lines that need not wait any longer, and leaves after the last one.
    fn run_pending_lines(&mut self, now: Duration) {
        while self.state == State::Registered {
            let Some(line) = self.pending_lines.pop_front() else {
                if self.is_input_ended {
                    self.quit(now);
                }
                return;
            };
            self.retry_at = None;
            match self.execute_line(now, &line) {
                Err(LineError::RetryAt(retry_at)) => {
                    self.retry_at = Some(retry_at);
                    self.pending_lines.push_front(line);
                    return;
                }
                Err(LineError::Invalid(why)) => self.report_error(&why),
                Ok(()) => {}
            }
            self.pending_bytes = self.pending_bytes.saturating_sub(line_cost_bytes(&line));
        }
    }

    fn execute_line(&mut self, now: Duration, line: &str) -> Result<(), LineError> {
        match grammar::parse(line).map_err(|error| LineError::Invalid(error.to_string()))? {
            None => {}
            Some(Command::Send { to, text }) => {
                self.session.send(now, to, text, &mut self.output)?;
            }
            Some(Command::List) => {
                let users = self.session.users(now)?;
                self.events.push_back(Event::Users { users });
            }
            Some(Command::Quit(text)) => {
                self.session.quit(text, &mut self.output)?;
                self.enter_quitting(now);
            }
            Some(Command::Help) => {
                self.events.push_back(Event::Help { text: grammar::HELP.into() });
            }
        }
        Ok(())
    }

    fn quit(&mut self, now: Duration) {
        // A farewell without words can always be said.
        let _ = self.session.quit("", &mut self.output);
        self.enter_quitting(now);
    }

    fn enter_quitting(&mut self, now: Duration) {
        self.pending_lines.clear();
        self.pending_bytes = 0;
        let deadline = now + self.quit_timeout();
        self.state = State::Quitting { deadline, is_interrupted: false };
    }

    fn quit_timeout(&self) -> Duration {
        if self.unsent_bytes == 0 { QUIT_TIMEOUT } else { STALL_TIMEOUT }
    }

    /// Ends what was to be a leave; `why` says why bytes that are left cannot be sent any more.
    fn finish_quit(&mut self, why: &str) {
        match self.unsent_bytes {
            0 => self.close(Outcome::UserQuit, "left"),
            unsent => self.fail(&format!("{unsent} bytes were not sent: {why}")),
        }
    }

    fn fail(&mut self, why: &str) {
        if !self.is_closed() {
            self.report_error(why);
            self.close(Outcome::Failed, why);
        }
    }

    fn close(&mut self, outcome: Outcome, why: &str) {
        self.state = State::Closed(outcome);
        self.events.push_back(Event::Disconnected { text: why.into() });
    }
}

/// What a line that waits takes, roughly, in bytes.
fn line_cost_bytes(line: &str) -> usize {
    line.len() + size_of::<String>()
}

#[cfg(test)]
mod tests;
