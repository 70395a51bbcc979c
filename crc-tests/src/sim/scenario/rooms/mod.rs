//! Rooms in a scenario: users of all wires join, leave and speak in them, whatever else happens.
//!
//! A message has a text with a number of its own, so it is seen on every link that it crosses.

mod arrivals;
mod draw;
mod observe;
mod received;
mod requests;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crc::id::HostId;
use crc::link::Time;
use crc::room::RoomName;

pub(super) use self::draw::draw_rooms;
pub(super) use self::received::ReceivedInRoom;
use super::{Event, Scenario};
use crate::sim::PipeEnd;

/// The names by which users ask for rooms. The first and the last are of one room.
const ROOM_NAMES: [&str; 4] = ["#lab", "#dev", "#ops", "#LAB"];

/// The room about which liars lie.
pub(super) const LIE_ROOM: &str = "#lie";

/// The name by which a user asks for a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomLabel(usize);

impl RoomLabel {
    fn all() -> impl Iterator<Item = Self> {
        (0..ROOM_NAMES.len()).map(Self)
    }

    fn name(self) -> &'static str {
        ROOM_NAMES[self.0]
    }

    /// Returns what all names of the room have in common.
    fn room(self) -> Room {
        Room(ROOM_NAMES.iter().position(|it| it.eq_ignore_ascii_case(self.name())).expect("itself"))
    }
}

impl fmt::Display for RoomLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RoomLabel {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::all().find(|label| label.name() == name).ok_or(())
    }
}

/// A room, whatever the case of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sim::scenario) struct Room(usize);

impl Room {
    fn all() -> BTreeSet<Self> {
        RoomLabel::all().map(RoomLabel::room).collect()
    }

    /// Returns the room with a name.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        let label = RoomLabel::all().find(|it| it.name().as_bytes().eq_ignore_ascii_case(name));
        label.map(RoomLabel::room)
    }

    fn name(self) -> RoomName<'static> {
        RoomName::parse(ROOM_NAMES[self.0].as_bytes()).expect("the name of a room")
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ROOM_NAMES[self.0])
    }
}

/// A request of a user to join a room or to leave it.
#[derive(Clone, Copy, Debug)]
struct Request {
    is_join: bool,
    at: Time,
    /// The end that receives it, and the position in the stream at which it ends.
    place: Option<(PipeEnd, u64)>,
    /// When the user's server has handled it, and what the user had sent before.
    handled_at: Option<Time>,
    /// Whether the user's home handles it, whatever happens to others.
    is_certain: bool,
    /// The id of the user's server to which a CRC user has sent it. Another one has that id, or
    /// nobody, if the server has joined under a new one meanwhile.
    sent_to: Option<u32>,
}

/// A message that was sent to a room.
#[derive(Debug)]
struct RoomMessage {
    /// The number of the sender.
    user: u32,
    room: Room,
    sent_at: Time,
    /// The users, by number, whom it can reach, and who have long been in the room.
    expected: BTreeSet<u32>,
    /// The users, by number, who have received it.
    received: BTreeSet<u32>,
    /// The ends to which it has gone over an extended link, and for which server.
    crossings: BTreeMap<(PipeEnd, HostId), usize>,
    /// The servers between which it has gone, by their indices in the world.
    hops: BTreeSet<(usize, usize)>,
}

/// What has happened in rooms.
#[derive(Debug, Default)]
pub(super) struct RoomLog {
    /// By number.
    messages: Vec<RoomMessage>,
    /// The requests of each user about each room, in order.
    requests: BTreeMap<(u32, Room), Vec<Request>>,
    /// Number of topics that users have asked for. Each is the number of those before it.
    topics: u32,
    /// Number of times that users have said that they are away. Each text is the number of those
    /// before it.
    away_texts: u32,
    /// The latest message received of each user by each other in each room.
    latest: BTreeMap<(u32, u32, Room), usize>,
}

impl RoomLog {
    fn last_request(&self, user: u32, room: Room) -> Option<&Request> {
        self.requests.get(&(user, room))?.last()
    }

    /// Records when a server has handled the request that ends at a place.
    pub(super) fn on_handled(&mut self, place: (PipeEnd, u64), at: Time) {
        let mut requests = self.requests.values_mut().flatten();
        if let Some(request) = requests.find(|it| it.place == Some(place)) {
            request.handled_at = Some(at);
        }
    }

    fn has_asked(&self, user: u32, room: Room) -> bool {
        self.requests.get(&(user, room)).is_some_and(|it| it.iter().any(|it| it.is_join))
    }
}

impl Scenario {
    /// Returns whether users join rooms.
    pub(super) fn has_rooms(&self) -> bool {
        self.events
            .iter()
            .any(|event| matches!(event, Event::JoinRoom { .. } | Event::Names { .. }))
    }
}

/// Returns whether a room may be shown under an id.
pub(super) fn is_shown_id(id: u32) -> bool {
    let is_of = |room: Room| room.name().shown_ids().any(|shown| shown.0 == id);
    id >> 31 == 1 && Room::all().into_iter().any(is_of)
}

/// Returns the text of a message.
fn text_of(number: usize, room: Room) -> String {
    format!("r{number} {room}")
}

/// Returns the number of the message with a text.
fn number_of(text: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(text).ok()?;
    text.strip_prefix('r')?.split(' ').next()?.parse().ok()
}

/// Returns the name of the sender and the number in the text of a room message on the CRC wire.
fn split_crc_text(text: &[u8]) -> Option<(&[u8], usize)> {
    let end = text.iter().position(|&byte| byte == b'>')?;
    let name = text[..end].strip_prefix(b"<")?;
    Some((name, number_of(text[end..].strip_prefix(b"> ")?)?))
}
