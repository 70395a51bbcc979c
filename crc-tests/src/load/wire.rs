//! The clients' side of the three wires, as far as a load needs it: how to join, to say something,
//! and to hear what comes, without a copy or an allocation for a message.

use std::time::Duration;

use crc::doors::classic::wire::{self as classic, Form, Name};
use crc::doors::crc::wire as crc_wire;
use crc::doors::direct::wire as direct;
use crc::limits::FRAME_BYTES_MAX_CEILING;
use crc::relay::message::{HostId, Kind, Message, Registration, StatusCode};

use crate::command::Wire;

/// Bytes of the header of a direct frame.
const DIRECT_HEADER: usize = 4;
/// The first byte of a direct message that has a sender: what people say, and nothing else.
const DIRECT_FROM: u8 = 0x08;

/// Who a client is, on any wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    /// On the CRC wire, and on the direct wire, where the server chooses it.
    pub(super) id: u32,
    /// On the classic wire.
    pub(super) name: Name,
}

/// What a connection joins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A user.
    User,
    /// A server, on the CRC wire only.
    Server,
}

/// What a frame says to a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// The server has taken the client in; under this id, if it is the server that chooses.
    Welcome(Option<u32>),
    /// Somebody said this.
    Chat(&'a [u8]),
    /// There is another host.
    Host(HostId),
    /// Nobody is at the address to which something was sent.
    Absent,
    /// The id or the name that was asked for is taken.
    Taken,
    /// How often the client must say that it is alive.
    Interval(Duration),
    /// The server says something that a load does not expect.
    Status(&'a [u8]),
    /// News that a load has no use for.
    News,
}

/// Bytes of the frame that `bytes` begins with, if they suffice to tell.
pub(super) fn frame_len(wire: Wire, bytes: &[u8]) -> Result<Option<usize>, String> {
    match wire {
        Wire::Crc => {
            crc_wire::frame_len(bytes, FRAME_BYTES_MAX_CEILING).map_err(|error| error.to_string())
        }
        Wire::Direct => {
            direct::frame_len(bytes, FRAME_BYTES_MAX_CEILING).map_err(|error| error.to_string())
        }
        Wire::Classic => classic::frame_len(bytes).map_err(|error| error.to_string()),
    }
}

/// What a whole frame says. `size` is the length of the load's own texts.
pub(super) fn hear(wire: Wire, frame: &[u8], size: usize) -> Result<Heard<'_>, String> {
    match wire {
        Wire::Crc => Ok(hear_crc(frame)),
        Wire::Direct => hear_direct(frame, size),
        Wire::Classic => Ok(hear_classic(frame)),
    }
}

fn hear_crc(frame: &[u8]) -> Heard<'_> {
    match crc_wire::message(frame) {
        Message::Chat { text, .. } => Heard::Chat(text),
        Message::Registration(Registration { source, .. }) => Heard::Host(source),
        Message::Status { code: StatusCode::WELCOME, .. } => Heard::Welcome(None),
        Message::Status { code: StatusCode::UNKNOWN_ID, .. } => Heard::Absent,
        Message::Status { code: StatusCode::ID_TAKEN, .. } => Heard::Taken,
        // An extension, which a plain neighbour ignores.
        Message::Status { destination: HostId::EXTENSION, .. }
        | Message::ClientQuit { .. }
        | Message::ServerQuit { .. } => Heard::News,
        Message::Status { text, .. } => Heard::Status(text),
    }
}

/// The codec would copy the text; here it is where a message of the load must have it, at the end.
fn hear_direct(frame: &[u8], size: usize) -> Result<Heard<'_>, String> {
    let body = &frame[DIRECT_HEADER..];
    if body.first() == Some(&DIRECT_FROM) && body.len() > size {
        // A bare handshake begins with the same byte, and is shorter than any stamp.
        return Ok(Heard::Chat(&body[body.len() - size..]));
    }
    if let Ok(handshake) = direct::handshake(frame)
        && handshake.id != 0
    {
        let id = u32::try_from(handshake.id).map_err(|_| "the server assigned an odd id")?;
        return Ok(if handshake.error { Heard::Taken } else { Heard::Welcome(Some(id)) });
    }
    let text = direct::message(frame).map_err(|error| error.to_string())?.msg;
    Ok(if text.is_empty() {
        Heard::News
    } else {
        Heard::Status(&frame[frame.len() - text.len()..])
    })
}

fn hear_classic(frame: &[u8]) -> Heard<'_> {
    let Some(message) = classic::message(frame) else {
        return Heard::News;
    };
    if message.source != Name::SERVER {
        return Heard::Chat(message.text);
    }
    let text = message.text;
    if let Some(seconds) = text.strip_prefix(b"Interval ") {
        let seconds = std::str::from_utf8(seconds).ok().and_then(|text| text.parse::<f64>().ok());
        let span = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        return span.map_or(Heard::Status(text), Heard::Interval);
    }
    if text.starts_with(b"List ") {
        return Heard::News;
    }
    if text.ends_with(b" is already online") {
        return Heard::Taken;
    }
    if text.ends_with(b" is not online") { Heard::Absent } else { Heard::Status(text) }
}

/// Appends what a client says first.
pub(super) fn join(wire: Wire, role: Role, own: &Identity, out: &mut Vec<u8>) {
    match wire {
        Wire::Crc => {
            let kind = if role == Role::Server { Kind::Server } else { Kind::User };
            register(kind, HostId(own.id), HostId::NONE, own.name.bytes(), out);
        }
        Wire::Direct => {} // there the server speaks first
        Wire::Classic => tell_server(b"Connect ", own, out),
    }
}

/// Appends a CRC registration.
pub(super) fn register(
    kind: Kind,
    source: HostId,
    last_hop: HostId,
    name: &[u8],
    out: &mut Vec<u8>,
) {
    let registration = Registration { kind, source, last_hop, name, info: b"" };
    crc_wire::encode(&Message::Registration(registration), out);
}

/// Appends that a classic client is alive.
pub(super) fn live_on(own: &Identity, out: &mut Vec<u8>) {
    tell_server(b"Alive ", own, out);
}

fn tell_server(word: &[u8], own: &Identity, out: &mut Vec<u8>) {
    let mut text = [0; 16];
    let name = own.name.bytes();
    let end = word.len() + name.len();
    text[..word.len()].copy_from_slice(word);
    text[word.len()..end].copy_from_slice(name);
    let message =
        classic::Message { destination: Name::SERVER, source: own.name, text: &text[..end] };
    classic::encode(&message, Form::Short, out);
}

/// Appends what one client says to another. The text is of the load's own making: ASCII without NUL,
/// and short enough for the wire.
pub(super) fn say(wire: Wire, from: &Identity, to: &Identity, text: &[u8], out: &mut Vec<u8>) {
    match wire {
        Wire::Crc => {
            let (source, destination) = (HostId(from.id), HostId(to.id));
            crc_wire::encode(&Message::Chat { source, destination, text }, out);
        }
        Wire::Direct => {
            let text = std::str::from_utf8(text).expect("ASCII");
            direct::encode_plain(from.id.into(), to.id.into(), text, out);
        }
        Wire::Classic => {
            let message = classic::Message { destination: to.name, source: from.name, text };
            classic::encode(&message, Form::Short, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(id: u32, name: &[u8]) -> Identity {
        Identity { id, name: Name::new(name).expect("short") }
    }

    #[track_caller]
    fn check(wire: Wire, frame: &[u8], expected: Heard<'_>) {
        assert_eq!(frame_len(wire, frame), Ok(Some(frame.len())));
        assert_eq!(hear(wire, frame, 16), Ok(expected));
    }

    #[test]
    fn what_is_said_is_heard_on_every_wire() {
        let (one, two) = (identity(7, b"one"), identity(u32::MAX - 1, b"two"));
        for wire in Wire::ALL {
            let mut frame = Vec::new();
            say(wire, &one, &two, b"0123456789abcdef", &mut frame);
            check(wire, &frame, Heard::Chat(b"0123456789abcdef"));
        }
    }

    #[test]
    fn the_crc_server_is_understood() {
        let status = |code, text| {
            let mut frame = Vec::new();
            let (source, destination) = (HostId(1), HostId::NONE);
            let text: &[u8] = text;
            crc_wire::encode(&Message::Status { source, destination, code, text }, &mut frame);
            frame
        };
        check(Wire::Crc, &status(StatusCode::WELCOME, b"Welcome"), Heard::Welcome(None));
        check(Wire::Crc, &status(StatusCode::UNKNOWN_ID, b"Unknown ID 7"), Heard::Absent);
        check(Wire::Crc, &status(StatusCode::ID_TAKEN, b"Someone"), Heard::Taken);
        check(Wire::Crc, &status(StatusCode(9), b"What"), Heard::Status(b"What"));
        let mut frame = Vec::new();
        register(Kind::User, HostId(9), HostId(1), b"sam", &mut frame);
        check(Wire::Crc, &frame, Heard::Host(HostId(9)));
    }

    #[test]
    fn the_direct_server_is_understood() {
        let mut frame = Vec::new();
        direct::encode(&direct::FastHandshake { id: 77, error: false }, &mut frame);
        check(Wire::Direct, &frame, Heard::Welcome(Some(77)));
        frame.clear();
        direct::encode(&direct::FastHandshake { id: 77, error: true }, &mut frame);
        check(Wire::Direct, &frame, Heard::Taken);
        frame.clear();
        direct::encode_plain(0, 77, "the mailbox is full", &mut frame);
        check(Wire::Direct, &frame, Heard::Status(b"the mailbox is full"));
    }

    #[test]
    fn the_classic_server_is_understood() {
        let from_server = |text: &[u8]| {
            let destination = Name::new(b"one").expect("short");
            let mut frame = Vec::new();
            let message = classic::Message { destination, source: Name::SERVER, text };
            classic::encode(&message, Form::Short, &mut frame);
            frame
        };
        let interval = Duration::from_millis(2500);
        check(Wire::Classic, &from_server(b"Interval 2.5"), Heard::Interval(interval));
        check(Wire::Classic, &from_server(b"List 1/1 one two"), Heard::News);
        check(Wire::Classic, &from_server(b"Error one is already online"), Heard::Taken);
        check(Wire::Classic, &from_server(b"two is not online"), Heard::Absent);
        check(Wire::Classic, &from_server(b"what?"), Heard::Status(b"what?"));
    }
}
