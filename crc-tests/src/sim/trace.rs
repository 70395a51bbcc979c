//! The frames sent over the links of a simulated network.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use crc::id::HostId;
use crc::internal::Printable;
use crc::link::Time;
use crc::link::frame_decoder::FrameDecoder;
use crc::relay::extension::{self, RoomChat};
use crc::relay::message::{HostKind, Message};
use crc::wires::Wire;
use crc::wires::classic::codec as classic;
use crc::wires::crc::codec as crc_codec;
use crc::wires::direct::codec::{self as direct, Control};

/// Number of latest frames that a bounded trace keeps.
const TRACE_FRAMES_MAX: usize = 400;

/// One frame of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedFrame<End> {
    /// The time at which its last byte was sent.
    pub sent_at: Time,
    /// The sending end.
    pub from: End,
    /// The receiving end.
    pub to: End,
    /// The type and the fields of the frame, on one line.
    pub description: String,
}

/// The frames that were sent, reassembled for each sending end.
pub(super) struct Trace<End> {
    frames: VecDeque<TracedFrame<End>>,
    frames_max: usize,
    decoders: HashMap<End, FrameDecoder>,
}

impl<End: Copy + Eq + Hash> Trace<End> {
    /// Returns a trace that keeps the latest [`TRACE_FRAMES_MAX`] frames.
    pub(super) fn bounded() -> Self {
        Self { frames: VecDeque::new(), frames_max: TRACE_FRAMES_MAX, decoders: HashMap::new() }
    }

    /// Returns a trace that keeps every frame.
    pub(super) fn unbounded() -> Self {
        Self { frames_max: usize::MAX, ..Self::bounded() }
    }

    /// Returns the frames, oldest first.
    pub(super) fn frames(&self) -> impl Iterator<Item = &TracedFrame<End>> {
        self.frames.iter()
    }

    /// Records the bytes that `from` sends to `to` on a connection of `wire`.
    pub(super) fn record(&mut self, now: Time, from: End, to: End, wire: Wire, bytes: &[u8]) {
        let mut descriptions = Vec::new();
        let decoder = self.decoders.entry(from).or_default();
        let mut push = |description| {
            descriptions.push(description);
            true
        };
        let is_valid = match wire.name() {
            "crc" => {
                let len_of = |bytes: &[u8]| crc_codec::frame_len(bytes, usize::MAX);
                decoder.decode(bytes, len_of, |frame| push(describe_frame(frame))).is_ok()
            }
            "direct" => {
                let len_of = |bytes: &[u8]| direct::frame_len(bytes, usize::MAX);
                decoder.decode(bytes, len_of, |frame| push(describe_direct_frame(frame))).is_ok()
            }
            _ => {
                let describe = |frame: &[u8]| push(describe_classic_frame(frame));
                decoder.decode(bytes, classic::frame_len, describe).is_ok()
            }
        };
        if !is_valid {
            descriptions.push(format!("invalid bytes {}", Printable(bytes)));
        }
        for description in descriptions {
            if self.frames.len() == self.frames_max {
                self.frames.pop_front();
            }
            self.frames.push_back(TracedFrame { sent_at: now, from, to, description });
        }
    }
}

/// Describes a CRC frame on one line: its type byte, its name, and its fields.
#[must_use]
pub fn describe_frame(frame: &[u8]) -> String {
    let kind = frame[0];
    match crc_codec::parse_frame(frame) {
        Message::Registration(registration) => {
            let host = match registration.kind {
                HostKind::Server => "server",
                HostKind::User => "client",
            };
            let (source, last_hop) = (registration.source, registration.last_hop);
            let (name, info) = (quote(registration.name), quote(registration.info));
            format!(
                "{kind:02x} {host} registration, source {source}, last hop {last_hop}, \
                 name {name}, info {info}"
            )
        }
        Message::Status { source, destination: HostId::EXTENSION, code, text }
            if let Some(Ok(frame)) = extension::Frame::parse(code, text) =>
        {
            format!("{kind:02x} extension, source {source}, {}", describe_extension(&frame))
        }
        Message::Status { source, destination, code, text } => {
            let (code, text) = (code.0, quote(text));
            format!(
                "{kind:02x} status, source {source}, destination {destination}, \
                 code 0x{code:04x}, text {text}"
            )
        }
        Message::ServerQuit { source, replacement, text } => {
            let text = quote(text);
            format!(
                "{kind:02x} server quit, source {source}, replacement {replacement}, text {text}"
            )
        }
        Message::Chat { source, destination, text } => {
            let text = quote(text);
            format!("{kind:02x} chat, source {source}, destination {destination}, text {text}")
        }
        Message::ClientQuit { source, text } => {
            format!("{kind:02x} client quit, source {source}, text {}", quote(text))
        }
    }
}

/// Describes a frame of the extension: the names of rooms and the texts as such.
fn describe_extension(frame: &extension::Frame<'_>) -> String {
    match *frame {
        extension::Frame::Rooms { user, is_complete, names } => {
            let names: Vec<String> = names.iter().map(|name| quote(name.as_bytes())).collect();
            let all = if is_complete { "all" } else { "new" };
            format!("Rooms, user {user}, {all}: {}", names.join(" "))
        }
        extension::Frame::RoomPart { user, name, text } => {
            let (name, text) = (quote(name.as_bytes()), quote(text));
            format!("RoomPart, user {user}, room {name}, text {text}")
        }
        extension::Frame::RoomChat(RoomChat { user, home, number, room, text }) => {
            let (room, text) = (quote(room.as_bytes()), quote(text));
            let number = format!("{:x}.{:x}", number >> 40, number & ((1 << 40) - 1));
            format!("RoomChat, user {user}, home {home}, number {number}, room {room}, text {text}")
        }
        _ => format!("{frame:?}"),
    }
}

/// Describes a direct frame. One with neither text nor control is taken for a bare handshake, whose
/// two fields have the numbers of a message's sender and recipient.
fn describe_direct_frame(frame: &[u8]) -> String {
    if let Ok(message) = direct::parse_frame(frame) {
        if message.msg.is_empty() && message.control.is_none() {
            return format!("direct handshake, id {}, error {}", message.from, message.to != 0);
        }
        let control = match message.control {
            None => String::new(),
            Some(Control::DesiredId(id)) => format!(", desired id {id}"),
            Some(Control::Handshake(answer)) => {
                format!(", handshake id {} error {}", answer.id, answer.error)
            }
            Some(Control::Join(room)) => format!(", join {}", quote(room.as_bytes())),
            Some(Control::Part(room)) => format!(", part {}", quote(room.as_bytes())),
        };
        let room = match message.room.as_str() {
            "" => String::new(),
            room => format!(", room {}", quote(room.as_bytes())),
        };
        let (from, to, text) = (message.from, message.to, quote(message.msg.as_bytes()));
        return format!("direct message, from {from}, to {to}{room}, msg {text}{control}");
    }
    format!("direct frame {}", Printable(frame))
}

fn describe_classic_frame(frame: &[u8]) -> String {
    match classic::parse_frame(frame) {
        Some(message) => format!(
            "classic message of {} bytes, destination {}, source {}, text {}",
            frame.len(),
            quote(message.destination.unpadded()),
            quote(message.source.unpadded()),
            quote(message.text)
        ),
        None => format!("classic frame {}", Printable(frame)),
    }
}

fn quote(text: &[u8]) -> String {
    format!("`{}`", Printable(text))
}
