//! The vocabulary of events: what the client shows, with `--json` as JSON objects, and what servers
//! send to browsers.
//!
//! The names and the order of the keys are part of the interface for scripts. A key that a wire has
//! no value for is omitted. Texts keep their bytes until they are shown.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::printable::Printable;

/// A name or a text as received.
///
/// In JSON, invalid UTF-8 becomes U+FFFD. As a line of text, invalid UTF-8 and characters that act
/// on a terminal are escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(pub Vec<u8>);

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&self.0).fmt(f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Borrowed(&self.0).serialize(serializer)
    }
}

/// A name or a text that is written at once. In JSON, invalid UTF-8 becomes U+FFFD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Borrowed<'a>(pub &'a [u8]);

impl Serialize for Borrowed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.serialize_str(&String::from_utf8_lossy(self.0)),
        }
    }
}

/// Returns whether a flag is not set: its key is omitted.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_unset(flag: &bool) -> bool {
    !flag
}

/// A user who is online.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User<T = Text> {
    /// The id; direct ids have 64 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// The name.
    pub name: T,
}

/// A room, and the number of its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoomSize<T = Text> {
    /// The name of the room.
    pub room: T,
    /// The number of members.
    pub users: u64,
}

/// An event for the user, with texts of its own.
pub type Event = EventOf<Text>;

/// An event for the user. `T` is the type of its texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum EventOf<T> {
    /// The server accepted the registration.
    Connected {
        /// The user's own id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<i64>,
        /// The user's own name.
        name: T,
    },
    /// The server sent a status.
    Status {
        /// The status code, on wires that have one.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
        /// The text of the server.
        text: T,
    },
    /// Another user is online.
    Join {
        /// The id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<i64>,
        /// The name.
        name: T,
        /// The user's info text.
        #[serde(skip_serializing_if = "Option::is_none")]
        info: Option<T>,
    },
    /// Another user quit.
    Quit {
        /// The id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<i64>,
        /// The name, if known.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<T>,
        /// The quit text.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<T>,
    },
    /// A chat from another user.
    Chat {
        /// The id.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<i64>,
        /// The name, if known.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<T>,
        /// The text.
        text: T,
    },
    /// The answer to `/list`.
    Users {
        /// All other users, ordered by id.
        users: Vec<User<T>>,
        /// Whether a further event continues the list.
        #[serde(skip_serializing_if = "is_unset")]
        more: bool,
    },
    /// A message to a room that the user is in.
    Room {
        /// The room.
        room: T,
        /// The id of the sender, if known.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<i64>,
        /// The name of the sender.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<T>,
        /// The text.
        text: T,
    },
    /// The answer to `/rooms`.
    Rooms {
        /// All rooms, ordered by name.
        rooms: Vec<RoomSize<T>>,
        /// Whether a further event continues the list.
        #[serde(skip_serializing_if = "is_unset")]
        more: bool,
    },
    /// A user has joined a room. The binary wires report only one's own requests.
    #[serde(rename = "room_join")]
    RoomJoin {
        /// The room.
        room: T,
        /// The id of the user.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<i64>,
        /// The name of the user.
        name: T,
    },
    /// A user has left a room. The binary wires report only one's own requests.
    #[serde(rename = "room_part")]
    RoomPart {
        /// The room.
        room: T,
        /// The id of the user.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<i64>,
        /// The name of the user.
        name: T,
        /// The text for the others, on wires that carry one.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<T>,
    },
    /// The answer to `/names`.
    #[serde(rename = "room_users")]
    RoomUsers {
        /// The room.
        room: T,
        /// Its members.
        users: Vec<User<T>>,
        /// Whether a further event continues the list.
        #[serde(skip_serializing_if = "is_unset")]
        more: bool,
    },
    /// The answer to `/help`.
    Help {
        /// The help text.
        text: T,
    },
    /// A line was refused, or the connection failed.
    Error {
        /// The error and the remedy.
        text: T,
    },
    /// Peer mode: this peer has an id.
    Ready {
        /// The id.
        id: i64,
    },
    /// Peer mode: a chat from another peer.
    #[serde(rename = "chat")]
    PeerChat {
        /// The id of the other peer.
        from: i64,
        /// This peer's id.
        to: i64,
        /// The text.
        text: T,
    },
    /// Peer mode: a message was delivered.
    Receipt {
        /// The id of the recipient.
        from: i64,
        /// The start of the message; not in JSON.
        #[serde(skip)]
        excerpt: T,
    },
    /// Peer mode: another peer is reachable.
    Peer {
        /// The id of the other peer.
        id: i64,
    },
    /// The connection has ended. This is the last event.
    Disconnected {
        /// The reason.
        text: T,
    },
}

impl Event {
    /// Creates an [`EventOf::Error`].
    #[must_use]
    pub fn error(text: impl Into<Text>) -> Self {
        Self::Error { text: text.into() }
    }
}

impl<T: Serialize> EventOf<T> {
    /// Returns the JSON object, without a line end.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("only strings, integers and lists")
    }

    /// Appends the JSON object to `out`, without a line end.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("only strings, integers and lists");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(event: &Event, json: &str) {
        assert_eq!(event.to_json(), json);
    }

    #[test]
    fn event_json_matches_the_contract() {
        let (id, name) = (Some(102), Text::from("sam"));
        check(
            &Event::Connected { id: Some(101), name: "frodo".into() },
            r#"{"event":"connected","id":101,"name":"frodo"}"#,
        );
        check(
            &Event::Status { code: Some(1), text: "Unknown ID 7".into() },
            r#"{"event":"status","code":1,"text":"Unknown ID 7"}"#,
        );
        check(
            &Event::Join { id, name: name.clone(), info: Some("gärtner".into()) },
            r#"{"event":"join","id":102,"name":"sam","info":"gärtner"}"#,
        );
        check(
            &Event::Quit { id, name: Some(name.clone()), text: Some("bye".into()) },
            r#"{"event":"quit","id":102,"name":"sam","text":"bye"}"#,
        );
        check(
            &Event::Chat { from: id, name: Some(name.clone()), text: "Hi \"you\"\n".into() },
            r#"{"event":"chat","from":102,"name":"sam","text":"Hi \"you\"\n"}"#,
        );
        check(
            &Event::Users { users: vec![User { id, name }], more: false },
            r#"{"event":"users","users":[{"id":102,"name":"sam"}]}"#,
        );
        check(&Event::Ready { id: 7 }, r#"{"event":"ready","id":7}"#);
        check(
            &Event::PeerChat { from: 7, to: 8, text: "Hi".into() },
            r#"{"event":"chat","from":7,"to":8,"text":"Hi"}"#,
        );
        check(&Event::Receipt { from: 8, excerpt: "Hi".into() }, r#"{"event":"receipt","from":8}"#);
        check(&Event::Peer { id: 9 }, r#"{"event":"peer","id":9}"#);
        check(&Event::error("no"), r#"{"event":"error","text":"no"}"#);
        check(
            &Event::Disconnected { text: "why".into() },
            r#"{"event":"disconnected","text":"why"}"#,
        );
        check(&Event::Help { text: "a\nb".into() }, r#"{"event":"help","text":"a\nb"}"#);
    }

    #[test]
    fn room_event_json_matches_the_contract() {
        let id = Some(102);
        let (room, name) = (Text::from("#lab"), Text::from("sam"));
        check(
            &Event::Room {
                room: room.clone(),
                from: id,
                name: Some(name.clone()),
                text: "Hi all!".into(),
            },
            r##"{"event":"room","room":"#lab","from":102,"name":"sam","text":"Hi all!"}"##,
        );
        check(
            &Event::Rooms { rooms: vec![RoomSize { room: room.clone(), users: 3 }], more: false },
            r##"{"event":"rooms","rooms":[{"room":"#lab","users":3}]}"##,
        );
        check(
            &Event::RoomJoin { room: room.clone(), id, name: name.clone() },
            r##"{"event":"room_join","room":"#lab","id":102,"name":"sam"}"##,
        );
        let text = Some("bye".into());
        check(
            &Event::RoomPart { room: room.clone(), id, name: name.clone(), text },
            r##"{"event":"room_part","room":"#lab","id":102,"name":"sam","text":"bye"}"##,
        );
        check(
            &Event::RoomUsers { room, users: vec![User { id, name }], more: true },
            r##"{"event":"room_users","room":"#lab","users":[{"id":102,"name":"sam"}],"more":true}"##,
        );
    }

    #[test]
    fn unknown_fields_are_omitted_from_json() {
        check(
            &Event::Chat { from: Some(i64::MAX), name: None, text: b"\xff!"[..].into() },
            r#"{"event":"chat","from":9223372036854775807,"text":"�!"}"#,
        );
        check(
            &Event::Quit { id: None, name: Some("bob".into()), text: None },
            r#"{"event":"quit","name":"bob"}"#,
        );
        check(
            &Event::Room { room: "#lab".into(), from: Some(7), name: None, text: "Hi".into() },
            r##"{"event":"room","room":"#lab","from":7,"text":"Hi"}"##,
        );
        check(
            &Event::RoomPart { room: "#lab".into(), id: None, name: "bob".into(), text: None },
            r##"{"event":"room_part","room":"#lab","name":"bob"}"##,
        );
        check(&Event::Users { users: vec![], more: false }, r#"{"event":"users","users":[]}"#);
        check(&Event::Status { code: None, text: "".into() }, r#"{"event":"status","text":""}"#);
    }
}
