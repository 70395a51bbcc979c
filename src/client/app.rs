//! The client as a state machine: bytes and typed lines go in, bytes and events come out.
//!
//! It uses no socket, file, clock or thread; time is an argument and randomness comes from a seed.
//! Lines are executed in the order in which they were typed, once the server has accepted the
//! registration. A line that the session cannot execute yet delays those after it. The last event
//! is [`Event::Disconnected`].

use std::collections::VecDeque;
use std::time::Duration;

use super::rooms::Rooms;
use super::session::{Classic, Crc, Direct, LineError, Session, SessionError};
use crate::limits::CLIENT_QUEUE_BYTES_MAX;
use crate::link::frame_decoder::FrameDecoder;
use crate::relay::Identity;
use crate::vocabulary::Event;
use crate::wires::classic::codec::Name;

mod lines;

/// Time for the server to answer the registration. The server gives a client the same time to
/// register.
pub(crate) const WELCOME_TIMEOUT: Duration = crate::limits::REGISTER_DEADLINE;

/// Time for the server to close the connection after the quit was sent; after an interrupt, also
/// the time for sending it.
pub(crate) const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Time without progress after which a quitting client discards its unsent bytes.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of pending lines above which no input should be read, see [`App::is_above_high_water`].
const PENDING_HIGH_WATER_BYTES: usize = 256 * 1024;

/// The result of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The user quit.
    UserQuit,
    /// The connection was lost or rejected, or the server did not read all that was sent.
    Failed,
}

/// The life cycle of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is no connection yet.
    Unconnected,
    /// The server has not accepted the registration.
    Registering { deadline: Duration },
    /// Lines are executed.
    Registered,
    /// The quit was sent, or will be after the unsent bytes.
    Quitting { deadline: Duration, is_interrupted: bool },
    /// The connection can be closed.
    Closed(Outcome),
}

/// The client's state machine.
///
/// After each call with bytes, a line or a time, write the bytes of [`App::take_output`], show the
/// events of [`App::poll_event`], and pass the number of bytes not yet written to
/// [`App::set_unsent_bytes`].
#[derive(Debug)]
pub struct App {
    session: Box<dyn Session>,
    decoder: FrameDecoder,
    state: State,
    pending_lines: VecDeque<String>,
    pending_bytes: usize,
    rooms: Rooms,
    /// When the first pending line is tried again at the latest.
    retry_at: Option<Duration>,
    is_input_ended: bool,
    output: Vec<u8>,
    /// Bytes of output that were taken but not written.
    unsent_bytes: usize,
    events: VecDeque<Event>,
}

impl App {
    /// Creates a client of the CRC wire. Random ids come from `seed`.
    #[must_use]
    pub fn crc(identity: Identity, seed: u64) -> Self {
        Self::new(Crc::new(identity, seed))
    }

    /// Creates a client of the direct wire. `desired_id` is positive; without it the client keeps
    /// the id that the server assigns.
    #[must_use]
    pub fn direct(desired_id: Option<i64>) -> Self {
        Self::new(Direct::new(desired_id))
    }

    /// Creates a client of the classic wire.
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
            rooms: Rooms::default(),
            retry_at: None,
            is_input_ended: false,
            output: Vec::new(),
            unsent_bytes: 0,
            events: VecDeque::new(),
        }
    }

    /// Handles an established connection: registers.
    pub fn connected(&mut self, now: Duration) {
        self.session.open(&mut self.output);
        self.state = State::Registering { deadline: now + WELCOME_TIMEOUT };
    }

    /// Handles bytes from the server, split at any point.
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

    /// Handles a typed line, with or without its line end.
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

    /// Handles the end of input: quits once all pending lines were executed.
    pub fn end_input(&mut self, now: Duration) {
        self.is_input_ended = true;
        self.run_pending_lines(now);
    }

    /// Quits at once and discards the pending lines. Shortens a quit that has begun.
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

    /// Reports an error to the user.
    pub fn report_error(&mut self, why: &str) {
        self.events.push_back(Event::error(why));
    }

    /// Handles the end of the connection. `reason` is a clause, such as "the server closed the
    /// connection".
    pub fn closed(&mut self, _now: Duration, reason: &str) {
        match self.state {
            State::Quitting { .. } => self.finish_quit(reason),
            State::Closed(_) => {}
            State::Unconnected | State::Registering { .. } | State::Registered => {
                self.fail(reason);
            }
        }
    }

    /// Runs every timer that is due.
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

    /// Returns when [`App::advance`] must run next.
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

    /// Returns the bytes to write to the server and removes them.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Sets the number of output bytes that were taken but not written. A quitting client waits
    /// until it is 0, or did not change for [`STALL_TIMEOUT`].
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

    /// Returns the next event to show.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns the room to which lines go that begin with no recipient.
    #[must_use]
    pub fn current_room(&self) -> Option<&str> {
        self.rooms.current()
    }

    /// Whether the connection can be closed. Events may still be pending.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.outcome().is_some()
    }

    /// Returns the result of the session once it has ended.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Closed(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Whether the connection must be shut down for writing once all output was written. Wires
    /// without a quit message end this way.
    #[must_use]
    pub fn wants_write_shutdown(&self) -> bool {
        matches!(self.state, State::Quitting { .. }) && !self.session.has_quit_message()
    }

    /// Whether no more input should be read until pending lines were executed.
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
        for event in &mut events {
            match event {
                Event::Chat { name: Some(name), .. } => self.rooms.add_correspondent(name.clone()),
                Event::Room { room, .. } | Event::RoomUsers { room, .. } => self.rooms.rename(room),
                _ => {}
            }
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
        // Heartbeats behind a full queue would be late, and would accumulate.
        if self.unsent_bytes >= CLIENT_QUEUE_BYTES_MAX {
            self.output.truncate(len);
        }
    }

    /// Executes pending lines until one must wait. Quits after the last one if the input has ended.
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

    fn quit(&mut self, now: Duration) {
        // A quit without text always fits in a frame.
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

    /// Ends a quit. It fails with the reason `why` if bytes are unsent.
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

/// Returns the approximate memory of a pending line in bytes.
fn line_cost_bytes(line: &str) -> usize {
    line.len() + size_of::<String>()
}

#[cfg(test)]
mod tests;
