//! The client side of the protocols, as far as a load needs it: joins, chats, and parses received
//! frames without a copy or an allocation per message.

mod mqtt;
mod programs;
pub(super) mod websocket;
mod wires;

use std::time::Duration;

use crc::id::HostId;
use crc::room::RoomName;
use crc::wires::Wire;
use crc::wires::classic::codec::Name;

pub(super) use self::websocket::{Transport, WebSocketInput};
pub(super) use self::wires::{encode_alive, encode_registration};

/// What the clients of a load speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// A wire of crc.
    Crc(Wire),
    /// NATS: a room is a subject, and so is a client.
    Nats(Transport),
    /// MQTT: a room is a topic, and so is a client. A client that sends to a room is not in it,
    /// since it would get its own messages.
    Mqtt(Transport),
    /// Redis: a room is a channel, and who is subscribed to one sends nothing.
    Redis,
    /// IRC, of crc and of other programs: a room is a channel, and a client a nick.
    Irc,
    /// Texts of one size, and nothing else: what a forwarder of bytes forwards.
    Bytes,
    /// The same, each with as many bytes behind it as a message to the room has beside its text on
    /// the direct wire.
    LongBytes,
}

impl From<Wire> for Protocol {
    fn from(wire: Wire) -> Self {
        if wire == Wire::IRC { Self::Irc } else { Self::Crc(wire) }
    }
}

impl Protocol {
    /// Returns the name, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crc(wire) => wire.name(),
            Self::Nats(_) => "nats",
            Self::Mqtt(_) => "mqtt",
            Self::Redis => "redis",
            Self::Irc => "irc",
            Self::Bytes => "bytes",
            Self::LongBytes => "long bytes",
        }
    }

    /// Returns whether a server answers when a client has registered.
    pub(super) fn has_welcome(self) -> bool {
        !matches!(self, Self::Bytes | Self::LongBytes)
    }

    /// Returns whether a client can be sent a message of its own, beside those to its rooms.
    pub(super) fn has_addresses(self) -> bool {
        matches!(self, Self::Crc(_) | Self::Nats(_) | Self::Mqtt(_) | Self::Irc)
    }

    /// Returns whether all who send to a room are in it.
    pub(super) fn has_speaking_members(self) -> bool {
        !matches!(self, Self::Redis | Self::Mqtt(_))
    }

    /// Returns what receives its bytes if they arrive in WebSocket messages of a program. crc's own
    /// are parsed as frames.
    pub(super) fn web_socket_input(self) -> Option<WebSocketInput> {
        match self {
            Self::Nats(Transport::WebSocket) | Self::Mqtt(Transport::WebSocket) => {
                Some(WebSocketInput::default())
            }
            _ => None,
        }
    }
}

/// A room in which the clients are.
#[derive(Clone, Debug)]
pub(super) struct Room {
    pub(super) name: String,
    /// The id under which CRC clients know it.
    pub(super) shown_as: HostId,
}

impl Room {
    /// Returns the room with a name.
    ///
    /// # Panics
    /// If it is not the name of a room.
    pub(super) fn new(name: String) -> Self {
        let shown_ids = RoomName::parse(name.as_bytes()).expect("the name of a room").shown_ids();
        let shown_as = { shown_ids }.next().expect("a registrable id");
        Self { name, shown_as }
    }
}

/// Where the text of the load is in a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextPlace {
    /// Size of the load's own texts, in bytes.
    pub(super) text_bytes: usize,
    /// Number of bytes between the text and the end of the frame.
    pub(super) trailer_bytes: usize,
}

impl TextPlace {
    /// Returns the place of texts of this size in chats between two clients, or to a room.
    pub(super) fn new(protocol: Protocol, text_bytes: usize, room: Option<&Room>) -> Self {
        let trailer_bytes = match (protocol, room) {
            // Key and length of the last field, and the name of the room.
            (Protocol::Crc(wire), Some(room)) if wire == Wire::DIRECT => 2 + room.name.len(),
            (Protocol::LongBytes, Some(room)) => wires::direct_room_overhead(room),
            (Protocol::Nats(_) | Protocol::Redis | Protocol::Irc, _) => b"\r\n".len(),
            _ => 0,
        };
        Self { text_bytes, trailer_bytes }
    }

    /// Returns the text at the end of a frame or of one of its fields; all of it if it is too short
    /// for a text of the load.
    fn text_in(self, bytes: &[u8]) -> &[u8] {
        let end = bytes.len().saturating_sub(self.trailer_bytes);
        &bytes[end.saturating_sub(self.text_bytes)..end]
    }
}

/// The identity of a client on any wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    /// The id on the CRC wire, and on the direct wire, where the server chooses it.
    pub(super) id: u32,
    /// The name on the classic wire.
    pub(super) name: Name,
}

/// The kind of host that a connection registers as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A user.
    User,
    /// A server, on the CRC wire only.
    Server,
}

/// A received frame, as far as a load distinguishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incoming<'a> {
    /// The client is registered.
    Welcome {
        /// Its id, if the server chooses it.
        id: Option<u32>,
        /// The id of the server, on the CRC wire.
        server: HostId,
    },
    /// A chat with this text.
    Chat(&'a [u8]),
    /// A registration of another host.
    HostUp(HostId),
    /// The destination of an earlier chat is unknown.
    UnknownDestination,
    /// The requested id or name is taken.
    IdentityTaken,
    /// Interval in which the client must send a keepalive.
    KeepaliveInterval(Duration),
    /// A question whether the client is there, which is answered with the same token.
    Ping(&'a [u8]),
    /// A status that no load expects.
    Status(&'a [u8]),
    /// A frame that a load does not use.
    Ignored,
}

/// A client that the server has accepted.
const WELCOME: Incoming<'static> = Incoming::Welcome { id: None, server: HostId::NONE };

/// Returns the length of the first frame in `bytes`, or `None` if more bytes are needed.
pub(super) fn frame_len(
    protocol: Protocol,
    bytes: &[u8],
    place: TextPlace,
) -> Result<Option<usize>, String> {
    match protocol {
        Protocol::Crc(wire) => wires::frame_len(wire, bytes),
        Protocol::Nats(_) => Ok(programs::nats_frame_len(bytes)),
        Protocol::Mqtt(_) => mqtt::frame_len(bytes),
        Protocol::Redis => Ok(programs::redis_frame_len(bytes)),
        Protocol::Irc => Ok(programs::line_len(bytes)),
        Protocol::Bytes | Protocol::LongBytes => {
            let len = place.text_bytes + place.trailer_bytes;
            Ok((!bytes.is_empty()).then_some(len))
        }
    }
}

/// Parses a complete frame.
pub(super) fn parse(
    protocol: Protocol,
    frame: &[u8],
    place: TextPlace,
) -> Result<Incoming<'_>, String> {
    Ok(match protocol {
        Protocol::Crc(wire) => wires::parse(wire, frame, place)?,
        Protocol::Nats(_) => programs::parse_nats(frame, place),
        Protocol::Mqtt(_) => mqtt::parse(frame, place),
        Protocol::Redis => programs::parse_redis(frame, place),
        Protocol::Irc => programs::parse_irc(frame, place),
        Protocol::Bytes | Protocol::LongBytes => Incoming::Chat(place.text_in(frame)),
    })
}

/// Appends the first frames of a client. On the CRC wire they enable cut frames, so that servers
/// send bursts at full speed.
pub(super) fn encode_join(protocol: Protocol, role: Role, identity: &Identity, out: &mut Vec<u8>) {
    match protocol {
        Protocol::Crc(wire) => wires::encode_join(wire, role, identity, out),
        Protocol::Nats(Transport::WebSocket) => websocket::encode_handshake("/", "", out),
        Protocol::Mqtt(Transport::WebSocket) => websocket::encode_handshake("/", "mqtt", out),
        Protocol::Nats(Transport::Tcp) | Protocol::Mqtt(Transport::Tcp) => {
            encode_first_frames(protocol, identity, out);
        }
        Protocol::Redis => out.extend_from_slice(b"PING\r\n"),
        Protocol::Irc => programs::encode_irc_connect(identity, out),
        Protocol::Bytes | Protocol::LongBytes => {}
    }
}

/// Appends what a client of another program sends first; over WebSocket, after the handshake.
pub(super) fn encode_first_frames(protocol: Protocol, identity: &Identity, out: &mut Vec<u8>) {
    match protocol {
        Protocol::Nats(transport) => {
            transport.encode(out, |out| programs::encode_nats_connect(identity, out));
        }
        Protocol::Mqtt(transport) => {
            transport.encode(out, |out| mqtt::encode_connect(identity, out));
        }
        Protocol::Crc(_)
        | Protocol::Redis
        | Protocol::Irc
        | Protocol::Bytes
        | Protocol::LongBytes => {}
    }
}

/// Appends the answer to [`Incoming::Ping`].
pub(super) fn encode_pong(protocol: Protocol, token: &[u8], out: &mut Vec<u8>) {
    match protocol {
        Protocol::Nats(transport) => {
            transport.encode(out, |out| out.extend_from_slice(b"PONG\r\n"));
        }
        Protocol::Irc => out.extend_from_slice(&[b"PONG ", token, b"\r\n"].concat()),
        Protocol::Crc(_)
        | Protocol::Mqtt(_)
        | Protocol::Redis
        | Protocol::Bytes
        | Protocol::LongBytes => {}
    }
}

/// Appends the request of a client to join a room. `server` is the id of its server on the CRC
/// wire. A speaker sends messages to the room.
pub(super) fn encode_room_join(
    protocol: Protocol,
    from: &Identity,
    (server, room): (HostId, &Room),
    is_speaker: bool,
    out: &mut Vec<u8>,
) {
    let name = room.name.as_bytes();
    match protocol {
        Protocol::Crc(wire) => wires::encode_room_join(wire, from, server, room, out),
        Protocol::Nats(transport) => {
            transport
                .encode(out, |out| out.extend_from_slice(&[b"SUB ", name, b" 1\r\n"].concat()));
        }
        Protocol::Mqtt(_) if is_speaker => {}
        Protocol::Mqtt(transport) => {
            transport.encode(out, |out| mqtt::encode_room_subscribe(room, out));
        }
        Protocol::Redis if is_speaker => out.extend_from_slice(b"CLIENT REPLY OFF\r\n"),
        Protocol::Redis => out.extend_from_slice(&[b"SUBSCRIBE ", name, b"\r\n"].concat()),
        Protocol::Irc => out.extend_from_slice(&[b"JOIN ", name, b"\r\n"].concat()),
        Protocol::Bytes | Protocol::LongBytes => {}
    }
}

/// Appends a message to a room. The text is made by the load: ASCII without NUL, and short enough
/// for the protocol.
pub(super) fn encode_room_chat(
    protocol: Protocol,
    from: &Identity,
    room: &Room,
    text: &[u8],
    out: &mut Vec<u8>,
) {
    match protocol {
        Protocol::Crc(wire) => wires::encode_room_chat(wire, from, room, text, out),
        Protocol::Nats(transport) => {
            let subject = room.name.as_bytes();
            transport.encode(out, |out| programs::encode_nats_publish(subject, text, out));
        }
        Protocol::Mqtt(transport) => {
            transport.encode(out, |out| mqtt::encode_room_publish(room, text, out));
        }
        Protocol::Redis => programs::encode_redis_publish(room, text, out),
        Protocol::Irc => programs::encode_irc_message(room.name.as_bytes(), text, out),
        Protocol::Bytes => out.extend_from_slice(text),
        Protocol::LongBytes => {
            out.extend_from_slice(text);
            out.resize(out.len() + wires::direct_room_overhead(room), b'.');
        }
    }
}

/// Appends a chat from one client to another. The text is as that of a message to a room.
///
/// # Panics
/// If the protocol has no addresses: such programs are loaded with rooms only.
pub(super) fn encode_chat(
    protocol: Protocol,
    from: &Identity,
    to: &Identity,
    text: &[u8],
    out: &mut Vec<u8>,
) {
    match protocol {
        Protocol::Crc(wire) => wires::encode_chat(wire, from, to, text, out),
        Protocol::Nats(transport) => {
            let subject = to.name.unpadded();
            transport.encode(out, |out| programs::encode_nats_publish(subject, text, out));
        }
        Protocol::Mqtt(transport) => {
            transport.encode(out, |out| mqtt::encode_publish(to.name.unpadded(), text, out));
        }
        Protocol::Irc => programs::encode_irc_message(to.name.unpadded(), text, out),
        protocol => unreachable!("pairs of {} clients", protocol.name()),
    }
}
