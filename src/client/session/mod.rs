//! A client's side of a wire: bytes ⇄ events and lines. One file a wire.
//!
//! A session knows who it is, who else is online as far as its wire tells, and whom a line
//! addresses: that is an id on one wire and a name on another, so the app sees neither. The app
//! knows nothing of frames, and a session nothing of lines that wait or of the end.

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

use super::event::{Event, User};
use super::grammar::Recipient;
use crate::limits::FRAME_BYTES_MAX;

/// How long after the welcome a line waits for what the server has yet to tell of users.
pub(super) const NAME_LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the frame is that some bytes begin with, `None` while they do not suffice to tell, or
/// what is wrong with them.
pub(super) type FrameLenFn = fn(&[u8]) -> Result<Option<usize>, String>;

/// Why nothing more can come of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SessionError {
    /// Its bytes are not the wire's: what is wrong with them.
    Protocol(String),
    /// The server does not take this user. The text is for people.
    Rejected(String),
}

/// Why a line is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineError {
    /// It may be when the server has told of more users, and is looked at again by then.
    RetryAt(Duration),
    /// It cannot be. The text says why.
    Invalid(String),
}

/// A wire from the client's side.
///
/// What goes to the server is appended to `out`, what the user should know to `events`.
pub(super) trait Session: Debug {
    /// What people call the wire, as in "a CRC server".
    fn wire_name(&self) -> &'static str;

    /// How the stream is cut into frames.
    fn frame_len(&self) -> FrameLenFn;

    /// Says on a new connection what the server must hear first.
    fn open(&self, out: &mut Vec<u8>);

    /// Takes a whole frame. [`Event::Connected`] is among the events just once: when the server has
    /// taken this user.
    ///
    /// # Errors
    /// The connection is of no more use.
    fn on_frame(
        &mut self,
        now: Duration,
        frame: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), SessionError>;

    /// Makes of a line what the wire can carry.
    fn sanitize(&self, _line: &mut String) {}

    /// Sends a text to a user.
    ///
    /// # Errors
    /// Nothing was appended.
    fn send(
        &self,
        now: Duration,
        to: Recipient<'_>,
        text: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), LineError>;

    /// Everyone else who is online.
    ///
    /// # Errors
    /// The wire tells of nobody, or has not told of everyone yet.
    fn users(&self, now: Duration) -> Result<Vec<User>, LineError>;

    /// Says farewell, upon which the server closes.
    ///
    /// # Errors
    /// Nothing was appended, as the text cannot be sent; an empty one can.
    fn quit(&self, text: &str, out: &mut Vec<u8>) -> Result<(), LineError>;

    /// Whether the wire has a farewell. Else the server learns from the end of the stream that
    /// this user left.
    fn has_quit_message(&self) -> bool {
        true
    }

    /// When [`Session::advance`] has something to say, once the server has taken this user.
    fn next_deadline(&self) -> Option<Duration> {
        None
    }

    /// Says what is due.
    fn advance(&mut self, _now: Duration, _out: &mut Vec<u8>) {}
}

/// Whether a message is one that servers take. `len` is counted as they count it.
fn check_frame_len(len: usize) -> Result<(), LineError> {
    if len <= FRAME_BYTES_MAX {
        return Ok(());
    }
    Err(LineError::Invalid(format!(
        "too long: it makes a message of {len} bytes, and servers take {FRAME_BYTES_MAX}"
    )))
}

/// The answer to digits that no user can have as an id.
fn id_too_large(digits: &str, id_max: i64) -> LineError {
    LineError::Invalid(format!("{digits} is not an id: the largest is {id_max}"))
}
