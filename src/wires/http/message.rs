//! Joins the frames of a client into messages.

use tungstenite::protocol::frame::coding::CloseCode;

use super::websocket::{Fault, Frame, parse_close};

/// What a frame leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// Nothing yet: a part of a message, or a pong.
    Nothing,
    /// A whole text message.
    Text(String),
    /// A ping, with what the pong must hold.
    Ping(Vec<u8>),
    /// The client closes the connection.
    Close,
}

/// The parts of a message whose end has not arrived. Without one, it owns no memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Assembler {
    #[expect(
        clippy::box_collection,
        reason = "every idle client has this, and hardly any uses it"
    )]
    parts: Option<Box<Vec<u8>>>,
}

impl Assembler {
    /// Returns the size of its memory in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.parts.as_ref().map_or(0, |parts| parts.capacity())
    }

    /// Handles a frame.
    ///
    /// # Errors
    /// Why the connection must end.
    pub(super) fn add(&mut self, frame: &Frame<'_>, bytes_max: usize) -> Result<Incoming, Fault> {
        if frame.is_control() {
            return read_control(frame);
        }
        let protocol_error = |reason| Fault { code: CloseCode::Protocol, reason };
        let mut bytes = match (self.parts.take(), frame.is_continuation()) {
            (Some(parts), true) => *parts,
            (None, false) => Vec::new(),
            (None, true) => return Err(protocol_error("nothing is continued")),
            (Some(_), false) => return Err(protocol_error("a message begins within another")),
        };
        if frame.is_binary() {
            return Err(Fault { code: CloseCode::Unsupported, reason: "write text messages" });
        }
        frame.unmask(&mut bytes);
        if bytes.len() > bytes_max {
            return Err(Fault { code: CloseCode::Size, reason: "the message is too long" });
        }
        if !frame.is_final {
            self.parts = Some(Box::new(bytes));
            return Ok(Incoming::Nothing);
        }
        let invalid = Fault { code: CloseCode::Invalid, reason: "the message is not UTF-8" };
        String::from_utf8(bytes).map(Incoming::Text).map_err(|_| invalid)
    }
}

fn read_control(frame: &Frame<'_>) -> Result<Incoming, Fault> {
    let mut payload = Vec::new();
    frame.unmask(&mut payload);
    if frame.is_close() {
        return parse_close(&payload).map(|_| Incoming::Close);
    }
    Ok(if frame.is_ping() { Incoming::Ping(payload) } else { Incoming::Nothing })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds frames with an empty mask, each given by its first byte and its payload.
    fn add(frames: &[(u8, &[u8])]) -> Result<Vec<Incoming>, u16> {
        let mut assembler = Assembler::default();
        let found = frames.iter().map(|(first, payload)| {
            let length = u8::try_from(payload.len()).expect("short");
            let frame = [&[*first, 0x80 | length, 0, 0, 0, 0], *payload].concat();
            let frame = Frame::parse(&frame, 100).expect("a frame");
            assembler.add(&frame, 100).map_err(|fault| u16::from(fault.code))
        });
        found.collect()
    }

    fn text(text: &str) -> Incoming {
        Incoming::Text(text.to_owned())
    }

    #[test]
    fn message_is_joined_across_control_frames() {
        let frames = [(0x01, &b"Hel"[..]), (0x89, b"x"), (0x00, b""), (0x80, b"lo"), (0x81, b"")];
        let ping = Incoming::Ping(b"x".to_vec());
        let nothing = || Incoming::Nothing;
        assert_eq!(add(&frames), Ok(vec![nothing(), ping, nothing(), text("Hello"), text("")]));
        assert_eq!(add(&[(0x8a, b"?"), (0x88, b"")]), Ok(vec![Incoming::Nothing, Incoming::Close]));
    }

    #[test]
    fn character_may_be_cut_by_a_fragment_but_not_be_invalid() {
        assert_eq!(
            add(&[(0x01, &[0xc3]), (0x80, &[0xbc])]),
            Ok(vec![Incoming::Nothing, text("ü")])
        );
        assert_eq!(add(&[(0x81, &[0xc3])]), Err(1007));
        assert_eq!(add(&[(0x81, &[0xed, 0xa0, 0x80])]), Err(1007));
    }

    #[test]
    fn frame_out_of_place_ends_the_connection() {
        assert_eq!(add(&[(0x80, b"x")]), Err(1002));
        assert_eq!(add(&[(0x01, b"x"), (0x81, b"y")]), Err(1002));
        assert_eq!(add(&[(0x82, b"x")]), Err(1003));
        let long = [b'x'; 60];
        assert_eq!(add(&[(0x01, &long), (0x80, &long)]), Err(1009));
        assert_eq!(add(&[(0x88, &[3])]), Err(1002));
    }
}
