//! The client's side of the direct wire, see `docs/PROTOCOL.md`, "The direct wire".
//!
//! The server assigns an id in its first frame; the session then asks for the desired one. Users
//! are identified by number. The wire has no list of users and no quit message.

use std::time::Duration;

use super::{FrameLenFn, LineError, Session, SessionError, check_frame_len, id_too_large};
use crate::client::grammar::Recipient;
use crate::limits::FRAME_BYTES_MAX_CEILING;
use crate::vocabulary::{Event, User};
use crate::wires::direct::codec;
use crate::wires::direct::codec::{Control, FastHandshake, Message, WireError};

/// The id of the server.
const SERVER_ID: i64 = 0;

/// Bytes of the length header, which limits do not count.
const HEADER_BYTES: usize = 4;

/// A connection to a direct server, as its client.
#[derive(Debug)]
pub(in crate::client) struct Direct {
    state: State,
    /// The user's own id; 0 before the server has assigned one.
    id: i64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The server has not assigned an id.
    AwaitingGreeting { desired_id: Option<i64> },
    /// The desired id was requested.
    AwaitingId { desired_id: i64 },
    /// The id is final.
    Ready,
}

impl Direct {
    /// Creates an unregistered session. `desired_id` is positive.
    #[must_use]
    pub(in crate::client) fn new(desired_id: Option<i64>) -> Self {
        Self { state: State::AwaitingGreeting { desired_id }, id: 0 }
    }
}

impl Session for Direct {
    fn wire_name(&self) -> &'static str {
        "direct"
    }

    fn frame_len(&self) -> FrameLenFn {
        |bytes| codec::frame_len(bytes, FRAME_BYTES_MAX_CEILING).map_err(|error| error.to_string())
    }

    /// Sends nothing: the server sends the first frame.
    fn open(&self, _out: &mut Vec<u8>) {}

    fn on_frame(
        &mut self,
        _now: Duration,
        frame: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), SessionError> {
        let protocol_error = |error: WireError| SessionError::Protocol(error.to_string());
        if let State::AwaitingGreeting { desired_id } = self.state {
            let handshake = codec::parse_handshake(frame).map_err(protocol_error)?;
            return self.handle_greeting(handshake, desired_id, out, events);
        }
        let Message { from, msg, control, room, .. } =
            codec::parse_frame(frame).map_err(protocol_error)?;
        match (control, self.state) {
            (Some(Control::Handshake(handshake)), State::AwaitingId { desired_id }) => {
                if handshake.error {
                    let id = handshake.id;
                    events.push(Event::error(format!("id {desired_id} is in use: you are {id}")));
                }
                self.confirm_id(handshake.id, events);
            }
            (Some(_), _) => {}
            (None, _) if from == SERVER_ID => {
                events.push(Event::Status { code: None, text: msg.into() });
            }
            (None, _) if !room.is_empty() => {
                let (room, from, text) = (room.into(), Some(from), msg.into());
                events.push(Event::Room { room, from, name: None, text });
            }
            (None, _) => {
                events.push(Event::Chat { from: Some(from), name: None, text: msg.into() });
            }
        }
        Ok(())
    }

    fn send(
        &self,
        _now: Duration,
        to: Recipient<'_>,
        text: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), LineError> {
        let to = match to {
            Recipient::Number(digits) | Recipient::NumberOrName(digits) => {
                digits.parse().map_err(|_| id_too_large(digits, i64::MAX))?
            }
            Recipient::Name(name) => {
                return Err(LineError::Invalid(format!(
                    "this wire knows users by number, not by name: write a number instead of {name}"
                )));
            }
        };
        let mut frame = Vec::new();
        codec::encode_plain(self.id, to, text, &mut frame);
        check_frame_len(frame.len() - HEADER_BYTES)?;
        out.append(&mut frame);
        Ok(())
    }

    fn own_user(&self) -> User {
        User { id: Some(self.id), name: self.id.to_string().into() }
    }

    /// Returns `false`, since users have no names.
    fn is_user(&self, _now: Duration, _name: &str) -> Result<bool, LineError> {
        Ok(false)
    }

    fn join_room(
        &mut self,
        _now: Duration,
        room: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), LineError> {
        self.send_to_server("", "", Some(Control::Join(room.to_owned())), out)
    }

    fn part_room(&self, room: &str, text: &str, out: &mut Vec<u8>) -> Result<(), LineError> {
        self.send_to_server("", text, Some(Control::Part(room.to_owned())), out)
    }

    fn send_to_room(
        &self,
        _now: Duration,
        room: &str,
        text: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), LineError> {
        self.send_to_server(room, text, None, out)
    }

    fn users(&self, _now: Duration) -> Result<Vec<User>, LineError> {
        Err(LineError::Invalid(
            "this wire has no list of users: you must know their numbers".to_owned(),
        ))
    }

    /// Sends nothing: the wire has no quit message.
    fn quit(&self, _text: &str, _out: &mut Vec<u8>) -> Result<(), LineError> {
        Ok(())
    }

    fn has_quit_message(&self) -> bool {
        false
    }
}

impl Direct {
    fn handle_greeting(
        &mut self,
        FastHandshake { id, error }: FastHandshake,
        desired_id: Option<i64>,
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), SessionError> {
        if error {
            return Err(SessionError::Rejected("the server refused the connection".to_owned()));
        }
        match desired_id {
            None => self.confirm_id(id, events),
            Some(desired_id) => {
                self.id = id;
                self.state = State::AwaitingId { desired_id };
                let control = Some(Control::DesiredId(desired_id));
                codec::encode(&Message { control, ..Message::default() }, out);
            }
        }
        Ok(())
    }

    /// Sends a message about a room to the server.
    fn send_to_server(
        &self,
        room: &str,
        text: &str,
        control: Option<Control>,
        out: &mut Vec<u8>,
    ) -> Result<(), LineError> {
        let (msg, room) = (text.to_owned(), room.to_owned());
        let mut frame = Vec::new();
        codec::encode(&Message { from: self.id, to: SERVER_ID, msg, room, control }, &mut frame);
        check_frame_len(frame.len() - HEADER_BYTES)?;
        out.append(&mut frame);
        Ok(())
    }

    fn confirm_id(&mut self, id: i64, events: &mut Vec<Event>) {
        self.id = id;
        self.state = State::Ready;
        events.push(Event::Connected { id: Some(id), name: id.to_string().into() });
    }
}
