//! The client's side of each wire, one file a wire.
//!
//! A session turns frames into events and commands into frames. It holds the user's own identity
//! and the list of other users, and resolves recipients, which are ids on some wires and names on
//! others. Pending lines and the life cycle of the connection belong to the app.

mod classic;
mod crc;
mod direct;
mod roster;

use std::fmt::Debug;
use std::time::Duration;

pub(super) use classic::Classic;
pub(super) use crc::Crc;
#[cfg(test)]
pub(super) use crc::LIST_QUIET_PERIOD;
pub(super) use direct::Direct;

use super::grammar::Recipient;
use crate::limits::FRAME_BYTES_MAX;
use crate::vocabulary::{Event, User};

/// Time after the welcome during which a line waits for the registrations of other users.
pub(super) const NAME_LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// A function that returns the length of the first frame in the bytes, `None` if more bytes are
/// needed, or a protocol error.
pub(super) type FrameLenFn = fn(&[u8]) -> Result<Option<usize>, String>;

/// The reason why a connection is useless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SessionError {
    /// The server broke the protocol.
    Protocol(String),
    /// The server rejected the registration. The text is for the user.
    Rejected(String),
}

/// The reason why a line was not executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineError {
    /// The recipient may still appear. The line is retried after each frame, and at this time.
    RetryAt(Duration),
    /// The line cannot be executed. The text is for the user.
    Invalid(String),
}

/// The client's side of a wire.
///
/// Frames for the server are appended to `out`, events for the user to `events`.
pub(super) trait Session: Debug {
    /// Returns the name of the wire, as in "a CRC server".
    fn wire_name(&self) -> &'static str;

    /// Returns the function that finds the end of a frame.
    fn frame_len(&self) -> FrameLenFn;

    /// Sends the first frames of a new connection.
    fn open(&self, out: &mut Vec<u8>);

    /// Handles a frame. Emits [`Event::Connected`] once, when the server accepts the registration.
    ///
    /// # Errors
    /// The connection must be closed.
    fn on_frame(
        &mut self,
        now: Duration,
        frame: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), SessionError>;

    /// Replaces characters that the wire cannot carry.
    fn sanitize(&self, _line: &mut String) {}

    /// Sends a text to a user.
    ///
    /// # Errors
    /// Nothing was sent.
    fn send(
        &self,
        now: Duration,
        to: Recipient<'_>,
        text: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), LineError>;

    /// Returns the user's own id and name.
    fn own_user(&self) -> User;

    /// Returns whether somebody of that name is online, as far as the wire knows users by name.
    ///
    /// # Errors
    /// The list of users is incomplete.
    fn is_user(&self, now: Duration, name: &str) -> Result<bool, LineError>;

    /// Joins a room, whose name is valid.
    ///
    /// # Errors
    /// Nothing was sent.
    fn join_room(&mut self, now: Duration, room: &str, out: &mut Vec<u8>) -> Result<(), LineError>;

    /// Leaves a room.
    ///
    /// # Errors
    /// Nothing was sent.
    fn part_room(&self, room: &str, text: &str, out: &mut Vec<u8>) -> Result<(), LineError>;

    /// Whether the text of [`Session::part_room`] is sent.
    fn carries_part_text(&self) -> bool {
        true
    }

    /// Sends a text to a room.
    ///
    /// # Errors
    /// Nothing was sent.
    fn send_to_room(
        &self,
        now: Duration,
        room: &str,
        text: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), LineError>;

    /// Requests the list of rooms. Most wires have none.
    ///
    /// # Errors
    /// The wire has no such list.
    fn list_rooms(&self, _out: &mut Vec<u8>) -> Result<(), LineError> {
        Err(no_room_lists())
    }

    /// Requests the list of the members of a room. Most wires have none.
    ///
    /// # Errors
    /// The wire has no such list.
    fn list_members(&self, _room: &str, _out: &mut Vec<u8>) -> Result<(), LineError> {
        Err(no_room_lists())
    }

    /// Returns the other users who are online.
    ///
    /// # Errors
    /// The wire has no list of users, or the list is incomplete.
    fn users(&self, now: Duration) -> Result<Vec<User>, LineError>;

    /// Sends the quit, after which the server closes the connection.
    ///
    /// # Errors
    /// Nothing was sent, because the text is too long. An empty text never fails.
    fn quit(&self, text: &str, out: &mut Vec<u8>) -> Result<(), LineError>;

    /// Whether the wire has a quit message. Otherwise the end of the stream is the quit.
    fn has_quit_message(&self) -> bool {
        true
    }

    /// Returns when [`Session::advance`] must run next. Valid once registered.
    fn next_deadline(&self) -> Option<Duration> {
        None
    }

    /// Sends the heartbeats that are due.
    fn advance(&mut self, _now: Duration, _out: &mut Vec<u8>) {}
}

/// Returns the error for a list of rooms or members, on a wire that has none.
fn no_room_lists() -> LineError {
    LineError::Invalid(
        "this wire has no lists of rooms and of who is in them: connect with crc:// to see them"
            .to_owned(),
    )
}

/// Checks the length of a frame, counted as servers count it.
fn check_frame_len(len: usize) -> Result<(), LineError> {
    if len <= FRAME_BYTES_MAX {
        return Ok(());
    }
    Err(LineError::Invalid(format!(
        "too long: it makes a message of {len} bytes, and servers take {FRAME_BYTES_MAX}"
    )))
}

/// Returns the error for a number that exceeds the largest id.
fn id_too_large(digits: &str, id_max: i64) -> LineError {
    LineError::Invalid(format!("{digits} is not an id: the largest is {id_max}"))
}
