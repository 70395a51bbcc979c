//! The client's side of the direct wire (contract section 3): takes the id that the server assigns,
//! asks for the one that the user wants, and turns frames into events.
//!
//! Users are numbers here and nobody is told of. There is no word for a farewell either: the end of
//! the stream is one.

use std::time::Duration;

use super::{End, FrameLen, NotDone, Session, bounded, id_too_large};
use crate::client::event::{Event, User};
use crate::client::grammar::Addressee;
use crate::limits::FRAME_BYTES_MAX_CEILING;
use crate::wires::direct::codec as wire;
use crate::wires::direct::codec::{Control, FastHandshake, Message, WireError};

/// The sender and the addressee that is the server.
const SERVER: i64 = 0;

/// Bytes of a frame that do not count where its length is bounded.
const HEADER: usize = 4;

/// A connection to a direct server, as its client.
#[derive(Debug)]
pub(in crate::client) struct Direct {
    state: State,
    /// The id that one goes by; 0 before the server has assigned one.
    id: i64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The server has not assigned an id.
    Greeting { desired_id: Option<i64> },
    /// It has, and was asked for another.
    Asking { desired_id: i64 },
    /// The id is the one to stay.
    Settled,
}

impl Direct {
    /// A client that is not connected; `desired_id`, if any, is positive.
    #[must_use]
    pub(in crate::client) fn new(desired_id: Option<i64>) -> Self {
        Self { state: State::Greeting { desired_id }, id: 0 }
    }
}

impl Session for Direct {
    fn wire(&self) -> &'static str {
        "direct"
    }

    fn frame_len(&self) -> FrameLen {
        |bytes| wire::frame_len(bytes, FRAME_BYTES_MAX_CEILING).map_err(|error| error.to_string())
    }

    /// The server speaks first.
    fn open(&self, _out: &mut Vec<u8>) {}

    fn hear(
        &mut self,
        _now: Duration,
        frame: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), End> {
        let broken = |error: WireError| End::Broken(error.to_string());
        if let State::Greeting { desired_id } = self.state {
            let handshake = wire::parse_handshake(frame).map_err(broken)?;
            return self.hear_greeting(handshake, desired_id, out, events);
        }
        let Message { from, msg, control, .. } = wire::parse_frame(frame).map_err(broken)?;
        match (control, self.state) {
            (Some(Control::Handshake(handshake)), State::Asking { desired_id }) => {
                if handshake.error {
                    let id = handshake.id;
                    events.push(Event::error(format!("id {desired_id} is in use: you are {id}")));
                }
                self.settle(handshake.id, events);
            }
            (Some(_), _) => {}
            (None, _) if from == SERVER => {
                events.push(Event::Status { code: None, text: msg.into() });
            }
            (None, _) => {
                events.push(Event::Chat { from: Some(from), name: None, text: msg.into() });
            }
        }
        Ok(())
    }

    fn say(
        &self,
        _now: Duration,
        to: Addressee<'_>,
        text: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), NotDone> {
        let to = match to {
            Addressee::Number(digits) | Addressee::NumberOrName(digits) => {
                digits.parse().map_err(|_| id_too_large(digits, i64::MAX))?
            }
            Addressee::Name(name) => {
                return Err(NotDone::Never(format!(
                    "this wire knows users by number, not by name: write a number instead of {name}"
                )));
            }
        };
        let mut frame = Vec::new();
        wire::encode_plain(self.id, to, text, &mut frame);
        bounded(frame.len() - HEADER)?;
        out.append(&mut frame);
        Ok(())
    }

    fn users(&self, _now: Duration) -> Result<Vec<User>, NotDone> {
        Err(NotDone::Never(
            "this wire has no list of users: you must know their numbers".to_owned(),
        ))
    }

    /// The text is dropped: the wire has no word for it.
    fn quit(&self, _text: &str, _out: &mut Vec<u8>) -> Result<(), NotDone> {
        Ok(())
    }

    fn has_farewell(&self) -> bool {
        false
    }
}

impl Direct {
    fn hear_greeting(
        &mut self,
        FastHandshake { id, error }: FastHandshake,
        desired_id: Option<i64>,
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), End> {
        if error {
            return Err(End::Refused("the server refused the connection".to_owned()));
        }
        match desired_id {
            None => self.settle(id, events),
            Some(desired_id) => {
                self.id = id;
                self.state = State::Asking { desired_id };
                let control = Some(Control::DesiredId(desired_id));
                wire::encode(&Message { control, ..Message::default() }, out);
            }
        }
        Ok(())
    }

    fn settle(&mut self, id: i64, events: &mut Vec<Event>) {
        self.id = id;
        self.state = State::Settled;
        events.push(Event::Connected { id: Some(id), name: id.to_string().into() });
    }
}
