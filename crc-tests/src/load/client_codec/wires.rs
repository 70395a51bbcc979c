//! The client side of crc's wires.

use std::time::Duration;

use crc::id::HostId;
use crc::limits::FRAME_BYTES_MAX_CEILING;
use crc::relay::message::{HostKind, Message, Registration, StatusCode};
use crc::wires::Wire;
use crc::wires::classic::codec as classic;
use crc::wires::classic::codec::{Form, Name};
use crc::wires::crc::codec as crc_wire;
use crc::wires::direct::codec as direct;

use super::super::json_codec;
use super::{Identity, Incoming, Role, Room, TextPlace};
use crate::frames;

/// Length of the header of a direct frame, in bytes.
const DIRECT_HEADER_BYTES: usize = 4;
/// First byte of a direct message that has a sender: a chat.
const DIRECT_FROM_TAG: u8 = 0x08;

/// Panics: the table has a wire that this codec lacks. A test encodes a chat on every wire.
fn unsupported(wire: Wire) -> ! {
    unreachable!("the load generator does not speak {wire}")
}

/// Returns the length of the first frame in `bytes`, or `None` if more bytes are needed.
pub(super) fn frame_len(wire: Wire, bytes: &[u8]) -> Result<Option<usize>, String> {
    match wire {
        wire if wire == Wire::CRC => {
            crc_wire::frame_len(bytes, FRAME_BYTES_MAX_CEILING).map_err(|error| error.to_string())
        }
        wire if wire == Wire::DIRECT => {
            direct::frame_len(bytes, FRAME_BYTES_MAX_CEILING).map_err(|error| error.to_string())
        }
        wire if wire == Wire::CLASSIC => {
            classic::frame_len(bytes).map_err(|error| error.to_string())
        }
        wire if wire == Wire::HTTP => Ok(json_codec::frame_len(bytes)),
        wire => unsupported(wire),
    }
}

/// Parses a complete frame.
pub(super) fn parse(wire: Wire, frame: &[u8], place: TextPlace) -> Result<Incoming<'_>, String> {
    match wire {
        wire if wire == Wire::CRC => Ok(parse_crc(frame, place)),
        wire if wire == Wire::DIRECT => parse_direct(frame, place),
        wire if wire == Wire::CLASSIC => Ok(parse_classic(frame)),
        wire if wire == Wire::HTTP => Ok(json_codec::parse(frame, place.text_bytes)),
        wire => unsupported(wire),
    }
}

fn parse_crc(frame: &[u8], place: TextPlace) -> Incoming<'_> {
    match crc_wire::parse_frame(frame) {
        // In a room, the name of the speaker precedes the text.
        Message::Chat { text, .. } => Incoming::Chat(place.text_in(text)),
        Message::Registration(Registration { source, .. }) => Incoming::HostUp(source),
        Message::Status { code: StatusCode::WELCOME, source, .. } => {
            Incoming::Welcome { id: None, server: source }
        }
        Message::Status { code: StatusCode::UNKNOWN_ID, .. } => Incoming::UnknownDestination,
        Message::Status { code: StatusCode::ID_TAKEN, .. } => Incoming::IdentityTaken,
        // Extension frames are ignored, as by a plain client.
        Message::Status { destination: HostId::EXTENSION, .. }
        | Message::ClientQuit { .. }
        | Message::ServerQuit { .. } => Incoming::Ignored,
        Message::Status { text, .. } => Incoming::Status(text),
    }
}

/// Returns the text of a chat without a copy.
fn parse_direct(frame: &[u8], place: TextPlace) -> Result<Incoming<'_>, String> {
    let body = &frame[DIRECT_HEADER_BYTES..];
    if body.first() == Some(&DIRECT_FROM_TAG) && body.len() > place.text_bytes {
        // A bare handshake begins with the same byte, and is shorter than any stamp.
        return Ok(Incoming::Chat(place.text_in(body)));
    }
    if let Ok(handshake) = direct::parse_handshake(frame)
        && handshake.id != 0
    {
        let id = u32::try_from(handshake.id).map_err(|_| "the server assigned an odd id")?;
        return Ok(if handshake.error {
            Incoming::IdentityTaken
        } else {
            Incoming::Welcome { id: Some(id), server: HostId::NONE }
        });
    }
    let text = direct::parse_frame(frame).map_err(|error| error.to_string())?.msg;
    Ok(if text.is_empty() {
        Incoming::Ignored
    } else {
        Incoming::Status(&frame[frame.len() - text.len()..])
    })
}

fn parse_classic(frame: &[u8]) -> Incoming<'_> {
    let Some(message) = classic::parse_frame(frame) else {
        return Incoming::Ignored;
    };
    if message.source != Name::SERVER {
        return Incoming::Chat(message.text);
    }
    let text = message.text;
    if let Some(seconds) = text.strip_prefix(b"Interval ") {
        let seconds = std::str::from_utf8(seconds).ok().and_then(|text| text.parse::<f64>().ok());
        let span = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        return span.map_or(Incoming::Status(text), Incoming::KeepaliveInterval);
    }
    if text.starts_with(b"List ") {
        return Incoming::Ignored;
    }
    if text.ends_with(b" is already online") {
        return Incoming::IdentityTaken;
    }
    if text.ends_with(b" is not online") {
        Incoming::UnknownDestination
    } else {
        Incoming::Status(text)
    }
}

/// Appends the first frames of a client. On the CRC wire they enable cut frames, so that servers
/// send bursts at full speed.
pub(super) fn encode_join(wire: Wire, role: Role, identity: &Identity, out: &mut Vec<u8>) {
    match wire {
        wire if wire == Wire::CRC => {
            let kind = if role == Role::Server { HostKind::Server } else { HostKind::User };
            encode_registration(
                kind,
                HostId(identity.id),
                HostId::NONE,
                identity.name.unpadded(),
                out,
            );
            frames::append_reads_cut_frames(identity.id, out);
        }
        wire if wire == Wire::DIRECT => {} // on this wire, the server sends first
        wire if wire == Wire::CLASSIC => {
            encode_to_server(b"Connect ", identity.name.unpadded(), identity, out);
        }
        wire if wire == Wire::HTTP => json_codec::encode_join(identity, out),
        wire => unsupported(wire),
    }
}

/// Appends a CRC registration.
pub(in crate::load) fn encode_registration(
    kind: HostKind,
    source: HostId,
    last_hop: HostId,
    name: &[u8],
    out: &mut Vec<u8>,
) {
    let registration = Registration { kind, source, last_hop, name, info: b"" };
    crc_wire::encode(&Message::Registration(registration), out);
}

/// Appends the `Alive` of a classic client.
pub(in crate::load) fn encode_alive(identity: &Identity, out: &mut Vec<u8>) {
    encode_to_server(b"Alive ", identity.name.unpadded(), identity, out);
}

fn encode_to_server(command: &[u8], argument: &[u8], identity: &Identity, out: &mut Vec<u8>) {
    let text = &[command, argument].concat();
    let message = classic::Message { destination: Name::SERVER, source: identity.name, text };
    classic::encode(&message, Form::Compact, out);
}

/// Appends the request of a client to join a room. On the CRC wire it goes to the client's server.
pub(super) fn encode_room_join(
    wire: Wire,
    from: &Identity,
    server: HostId,
    room: &Room,
    out: &mut Vec<u8>,
) {
    let name = &room.name;
    match wire {
        wire if wire == Wire::CRC => {
            let text = &format!("/join {name}").into_bytes();
            let chat = Message::Chat { source: HostId(from.id), destination: server, text };
            crc_wire::encode(&chat, out);
        }
        wire if wire == Wire::DIRECT => {
            let control = Some(direct::Control::Join(name.clone()));
            direct::encode(&direct::Message { control, ..direct::Message::default() }, out);
        }
        wire if wire == Wire::CLASSIC => {
            encode_to_server(format!("Join {name}").as_bytes(), b"", from, out);
        }
        wire if wire == Wire::HTTP => json_codec::encode_room_join(name, out),
        wire => unsupported(wire),
    }
}

/// Returns how many bytes a copy of a message to a room has beside its text on the direct wire,
/// with ids that the server has chosen and a text of less than 128 bytes.
pub(super) fn direct_room_overhead(room: &Room) -> usize {
    let mut frame = Vec::new();
    direct::encode_to_room((i64::MAX, i64::MAX), room.name.as_bytes(), b"", &mut frame);
    // The key and the length of the text, which are left out without one.
    frame.len() + 2
}

/// Appends a message to a room. The text is as that of a chat.
pub(super) fn encode_room_chat(
    wire: Wire,
    from: &Identity,
    room: &Room,
    text: &[u8],
    out: &mut Vec<u8>,
) {
    match wire {
        wire if wire == Wire::CRC => {
            let (source, destination) = (HostId(from.id), room.shown_as);
            crc_wire::encode(&Message::Chat { source, destination, text }, out);
        }
        wire if wire == Wire::DIRECT => {
            let msg = std::str::from_utf8(text).expect("ASCII").to_owned();
            let room = room.name.clone();
            direct::encode(&direct::Message { msg, room, ..direct::Message::default() }, out);
        }
        wire if wire == Wire::CLASSIC => {
            let destination = Name::new(room.name.as_bytes()).expect("eight bytes at most");
            let message = classic::Message { destination, source: from.name, text };
            classic::encode(&message, Form::Compact, out);
        }
        wire if wire == Wire::HTTP => {
            let text = std::str::from_utf8(text).expect("ASCII");
            json_codec::encode_room_chat(&room.name, text, out);
        }
        wire => unsupported(wire),
    }
}

/// Appends a chat from one client to another. The text is made by the load: ASCII without NUL, and
/// short enough for the wire.
pub(super) fn encode_chat(
    wire: Wire,
    from: &Identity,
    to: &Identity,
    text: &[u8],
    out: &mut Vec<u8>,
) {
    match wire {
        wire if wire == Wire::CRC => {
            let (source, destination) = (HostId(from.id), HostId(to.id));
            crc_wire::encode(&Message::Chat { source, destination, text }, out);
        }
        wire if wire == Wire::DIRECT => {
            let text = std::str::from_utf8(text).expect("ASCII");
            direct::encode_plain(from.id.into(), to.id.into(), text, out);
        }
        wire if wire == Wire::CLASSIC => {
            let message = classic::Message { destination: to.name, source: from.name, text };
            classic::encode(&message, Form::Compact, out);
        }
        wire if wire == Wire::HTTP => {
            let text = std::str::from_utf8(text).expect("ASCII");
            json_codec::encode_chat(to.id, text, out);
        }
        wire => unsupported(wire),
    }
}

#[cfg(test)]
mod tests {
    use crc::wires::WIRES;

    use super::*;

    fn identity(id: u32, name: &[u8]) -> Identity {
        Identity { id, name: Name::new(name).expect("short") }
    }

    #[track_caller]
    fn check(wire: Wire, frame: &[u8], expected: Incoming<'_>) {
        assert_eq!(frame_len(wire, frame), Ok(Some(frame.len())));
        let place = TextPlace { text_bytes: 16, trailer_bytes: 0 };
        assert_eq!(parse(wire, frame, place), Ok(expected));
    }

    #[test]
    fn encoded_chat_parses_back_on_every_wire() {
        let (one, two) = (identity(7, b"one"), identity(u32::MAX - 1, b"two"));
        for wire in WIRES.into_iter().filter(|wire| *wire != Wire::IRC) {
            let mut frame = Vec::new();
            encode_chat(wire, &one, &two, b"0123456789abcdef", &mut frame);
            if wire == Wire::HTTP {
                // Servers send another message than clients.
                frame = b"\x81\x43{\"event\":\"chat\",\"from\":7,\"name\":\"one\",\
                          \"text\":\"0123456789abcdef\"}"
                    .to_vec();
                frame[1] = u8::try_from(frame.len() - 2).expect("short");
            }
            check(wire, &frame, Incoming::Chat(b"0123456789abcdef"));
        }
    }

    #[test]
    fn crc_join_is_a_registration_and_a_capability_status() {
        let mut bytes = Vec::new();
        encode_join(Wire::CRC, Role::User, &identity(0x0102_0304, b"one"), &mut bytes);
        let expected = b"\x80\x01\x02\x03\x04\0\0\0\0\x03\0\0one\
                         \x01\x01\x02\x03\x04\xff\xff\xff\xff\xc7\0\0\0\0\0";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn crc_server_frames_are_classified() {
        let status = |code, text| {
            let mut frame = Vec::new();
            let (source, destination) = (HostId(1), HostId::NONE);
            let text: &[u8] = text;
            crc_wire::encode(&Message::Status { source, destination, code, text }, &mut frame);
            frame
        };
        let welcome = Incoming::Welcome { id: None, server: HostId(1) };
        check(Wire::CRC, &status(StatusCode::WELCOME, b"Welcome"), welcome);
        check(
            Wire::CRC,
            &status(StatusCode::UNKNOWN_ID, b"Unknown ID 7"),
            Incoming::UnknownDestination,
        );
        check(Wire::CRC, &status(StatusCode::ID_TAKEN, b"Someone"), Incoming::IdentityTaken);
        check(Wire::CRC, &status(StatusCode(9), b"What"), Incoming::Status(b"What"));
        let mut frame = Vec::new();
        encode_registration(HostKind::User, HostId(9), HostId(1), b"sam", &mut frame);
        check(Wire::CRC, &frame, Incoming::HostUp(HostId(9)));
    }

    #[test]
    fn direct_server_frames_are_classified() {
        let mut frame = Vec::new();
        direct::encode(&direct::FastHandshake { id: 77, error: false }, &mut frame);
        let welcome = Incoming::Welcome { id: Some(77), server: HostId::NONE };
        check(Wire::DIRECT, &frame, welcome);
        frame.clear();
        direct::encode(&direct::FastHandshake { id: 77, error: true }, &mut frame);
        check(Wire::DIRECT, &frame, Incoming::IdentityTaken);
        frame.clear();
        direct::encode_plain(0, 77, "the mailbox is full", &mut frame);
        check(Wire::DIRECT, &frame, Incoming::Status(b"the mailbox is full"));
    }

    #[test]
    fn classic_server_frames_are_classified() {
        let from_server = |text: &[u8]| {
            let destination = Name::new(b"one").expect("short");
            let mut frame = Vec::new();
            let message = classic::Message { destination, source: Name::SERVER, text };
            classic::encode(&message, Form::Compact, &mut frame);
            frame
        };
        let interval = Duration::from_millis(2500);
        check(Wire::CLASSIC, &from_server(b"Interval 2.5"), Incoming::KeepaliveInterval(interval));
        check(Wire::CLASSIC, &from_server(b"List 1/1 one two"), Incoming::Ignored);
        check(Wire::CLASSIC, &from_server(b"Error one is already online"), Incoming::IdentityTaken);
        check(Wire::CLASSIC, &from_server(b"two is not online"), Incoming::UnknownDestination);
        check(Wire::CLASSIC, &from_server(b"what?"), Incoming::Status(b"what?"));
    }
}
