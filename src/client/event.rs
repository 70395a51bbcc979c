//! What the client tells its user: one JSON object an event with `--json`, a line for people else.
//!
//! The keys and their order are the contract's (section 1); a key that a wire knows nothing of is
//! left out. Texts keep their bytes until they are shown.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::printable::Printable;

/// A name or a text as it came over the wire.
///
/// In JSON, what is not UTF-8 becomes U+FFFD. Shown to people, it and all that would act on a
/// terminal is escaped.
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
        serializer.serialize_str(&String::from_utf8_lossy(&self.0))
    }
}

/// A user who is online.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// Their id; 64 bits, as on the widest wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// Their name.
    pub name: Text,
}

/// Something that the user should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The server took the registration.
    Connected {
        /// The id that one goes by.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<i64>,
        /// The name that one goes by.
        name: Text,
    },
    /// The server says something.
    Status {
        /// About what, where the wire has a number for it.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
        /// For people.
        text: Text,
    },
    /// Another user came, or was there before.
    Join {
        /// Their id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<i64>,
        /// Their name.
        name: Text,
        /// What they say of themselves.
        #[serde(skip_serializing_if = "Option::is_none")]
        info: Option<Text>,
    },
    /// Another user left.
    Quit {
        /// Their id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<i64>,
        /// Their name, if it was known.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<Text>,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<Text>,
    },
    /// Another user speaks.
    Chat {
        /// Their id.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<i64>,
        /// Their name, if it is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<Text>,
        /// What.
        text: Text,
    },
    /// The answer to `/list`: everyone else who is online, by id.
    Users {
        /// In the order of their ids.
        users: Vec<User>,
    },
    /// The answer to `/help`.
    Help {
        /// The table.
        text: Text,
    },
    /// A line was refused, or the connection is in trouble.
    Error {
        /// What is wrong, and what to do.
        text: Text,
    },
    /// A peer: it goes by this id from now on.
    Ready {
        /// The id.
        id: i64,
    },
    /// A peer: another one speaks.
    #[serde(rename = "chat")]
    PeerChat {
        /// Its id.
        from: i64,
        /// One's own.
        to: i64,
        /// What.
        text: Text,
    },
    /// A peer: the addressee has a message.
    Receipt {
        /// The addressee.
        from: i64,
        /// How the message begins; for people alone.
        #[serde(skip)]
        excerpt: Text,
    },
    /// A peer: another one can be reached.
    Peer {
        /// Its id.
        id: i64,
    },
    /// The connection is over; nothing follows.
    Disconnected {
        /// Why.
        text: Text,
    },
}

impl Event {
    /// An [`Event::Error`].
    #[must_use]
    pub fn error(text: impl Into<Text>) -> Self {
        Self::Error { text: text.into() }
    }

    /// The object of `--json`, without a line end.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("only strings, integers and lists")
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
            &Event::Users { users: vec![User { id, name }] },
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
    fn unknown_fields_are_omitted_from_json() {
        check(
            &Event::Chat { from: Some(i64::MAX), name: None, text: b"\xff!"[..].into() },
            r#"{"event":"chat","from":9223372036854775807,"text":"�!"}"#,
        );
        check(
            &Event::Quit { id: None, name: Some("bob".into()), text: None },
            r#"{"event":"quit","name":"bob"}"#,
        );
        check(&Event::Users { users: vec![] }, r#"{"event":"users","users":[]}"#);
        check(&Event::Status { code: None, text: "".into() }, r#"{"event":"status","text":""}"#);
    }
}
