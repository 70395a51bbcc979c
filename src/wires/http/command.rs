//! The requests of a client: one JSON object each, see "JSON over WebSocket" in `docs/PROTOCOL.md`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::chat_event::is_plain;

/// Most digits of an id that is parsed without the general code; more may not fit.
const PLAIN_ID_DIGITS_MAX: usize = 10;

/// A string that is borrowed from the message if it has no escapes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Str<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To<'a> {
    /// A user, by id.
    Id(i64),
    /// A user, by name, or a room.
    Name(Str<'a>),
}

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Registers the client as a user.
    Hello {
        /// The name.
        name: Str<'a>,
        /// The id that the client asks for.
        id: Option<i64>,
        /// Whether the client is sent who comes and goes.
        presence: bool,
    },
    /// Sends a message.
    Say {
        /// The recipient.
        to: To<'a>,
        /// The text.
        text: Str<'a>,
    },
    /// Joins a room.
    Join {
        /// The room.
        room: Str<'a>,
    },
    /// Leaves a room.
    Part {
        /// The room.
        room: Str<'a>,
        /// A text for the others.
        text: Option<Str<'a>>,
    },
    /// Asks for all other users.
    List,
    /// Asks for all rooms.
    Rooms,
    /// Asks for the members of a room.
    Names {
        /// The room.
        room: Str<'a>,
    },
    /// Leaves the network.
    Quit {
        /// A text for the others.
        text: Option<Str<'a>>,
    },
}

/// The keys of all requests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys<'a> {
    #[serde(borrow, rename = "do")]
    action: Str<'a>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    id: Option<i64>,
    presence: Option<bool>,
    #[serde(borrow)]
    to: Option<To<'a>>,
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    room: Option<Str<'a>>,
}

/// The actions with the keys that they may have.
const ACTIONS: [(&str, &[&str]); 8] = [
    ("hello", &["name", "id", "presence"]),
    ("say", &["to", "text"]),
    ("join", &["room"]),
    ("part", &["room", "text"]),
    ("list", &[]),
    ("rooms", &[]),
    ("names", &["room"]),
    ("quit", &["text"]),
];

impl<'de: 'a, 'a> Deserialize<'de> for To<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ToVisitor;

        impl<'de> Visitor<'de> for ToVisitor {
            type Value = To<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id, a name or a room")
            }

            fn visit_i64<E>(self, id: i64) -> Result<To<'de>, E> {
                Ok(To::Id(id))
            }

            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<To<'de>, E> {
                i64::try_from(id).map(To::Id).map_err(|_| E::custom("the id is too large"))
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<To<'de>, E> {
                Ok(To::Name(Str(Cow::Borrowed(name))))
            }

            fn visit_str<E>(self, name: &str) -> Result<To<'de>, E> {
                Ok(To::Name(Str(Cow::Owned(name.to_owned()))))
            }
        }

        deserializer.deserialize_any(ToVisitor)
    }
}

impl<'a> Command<'a> {
    /// Parses a message.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(message: &'a str) -> Result<Self, String> {
        match Self::parse_plain_say(message) {
            Some(say) => Ok(say),
            None => Self::parse_any(message),
        }
    }

    /// Parses a `say` to an id as programs write it: the keys in this order, no spaces and no
    /// escapes. This is nearly every message of a conversation. Returns `None` for all others.
    fn parse_plain_say(message: &'a str) -> Option<Self> {
        let rest = message.strip_prefix(r#"{"do":"say","to":"#)?;
        let (id, rest) = rest.split_once(',')?;
        let text = rest.strip_prefix(r#""text":""#)?.strip_suffix(r#""}"#)?;
        let is_number = !id.is_empty()
            && id.len() <= PLAIN_ID_DIGITS_MAX
            && !id.starts_with('0')
            && id.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || !is_plain(text.as_bytes()) {
            return None;
        }
        Some(Self::Say { to: To::Id(id.parse().ok()?), text: Str(Cow::Borrowed(text)) })
    }

    fn parse_any(message: &'a str) -> Result<Self, String> {
        let keys: Keys<'a> =
            serde_json::from_str(message).map_err(|error| format!("not a request: {error}"))?;
        keys.check()?;
        let Keys { action, name, id, presence, to, text, room } = keys;
        let missing = |key: &str| format!("{:?} needs the key {key:?}", action.0);
        let room = || room.ok_or_else(|| missing("room"));
        Ok(match &*action.0 {
            "hello" => Self::Hello {
                name: name.ok_or_else(|| missing("name"))?,
                id,
                presence: presence.unwrap_or(true),
            },
            "say" => Self::Say {
                to: to.ok_or_else(|| missing("to"))?,
                text: text.ok_or_else(|| missing("text"))?,
            },
            "join" => Self::Join { room: room()? },
            "part" => Self::Part { room: room()?, text },
            "list" => Self::List,
            "rooms" => Self::Rooms,
            "names" => Self::Names { room: room()? },
            _ => Self::Quit { text },
        })
    }
}

impl Keys<'_> {
    /// Checks that the action is known and has no key of another.
    fn check(&self) -> Result<(), String> {
        let action = &*self.action.0;
        let Some((_, allowed)) = ACTIONS.iter().find(|(name, _)| *name == action) else {
            let known: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
            return Err(format!("unknown \"do\" {action:?}; known are {}", known.join(", ")));
        };
        let present = [
            ("name", self.name.is_some()),
            ("id", self.id.is_some()),
            ("presence", self.presence.is_some()),
            ("to", self.to.is_some()),
            ("text", self.text.is_some()),
            ("room", self.room.is_some()),
        ];
        let is_extra = |(key, is_present): &&(&str, bool)| *is_present && !allowed.contains(key);
        match present.iter().find(is_extra) {
            Some((key, _)) => Err(format!("{action:?} has no key {key:?}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn borrowed(text: &str) -> Str<'_> {
        Str(Cow::Borrowed(text))
    }

    #[track_caller]
    fn check(message: &str, expected: Result<Command<'_>, &str>) {
        assert_eq!(Command::parse(message), expected.map_err(str::to_owned));
    }

    #[test]
    fn each_request_is_parsed() {
        let (room, text) = (borrowed("#lab"), borrowed("Hi"));
        let name = borrowed("frodo");
        check(
            r#"{"do":"hello","name":"frodo"}"#,
            Ok(Command::Hello { name: name.clone(), id: None, presence: true }),
        );
        check(
            r#"{"id":101,"presence":false,"name":"frodo","do":"hello"}"#,
            Ok(Command::Hello { name, id: Some(101), presence: false }),
        );
        check(
            r#"{"do":"say","to":102,"text":"Hi"}"#,
            Ok(Command::Say { to: To::Id(102), text: text.clone() }),
        );
        check(
            r##"{"do":"say","to":"#lab","text":"Hi"}"##,
            Ok(Command::Say { to: To::Name(room.clone()), text: text.clone() }),
        );
        check(r##"{"do":"join","room":"#lab"}"##, Ok(Command::Join { room: room.clone() }));
        check(
            r##"{"do":"part","room":"#lab","text":"Hi"}"##,
            Ok(Command::Part { room: room.clone(), text: Some(text) }),
        );
        check(r##"{"do":"names","room":"#lab"}"##, Ok(Command::Names { room }));
        check(r#"{"do":"list"}"#, Ok(Command::List));
        check(r#"{"do":"rooms"}"#, Ok(Command::Rooms));
        check(r#"{"do":"quit"}"#, Ok(Command::Quit { text: None }));
    }

    #[test]
    fn text_is_borrowed_unless_it_has_escapes() {
        let is_borrowed = |message| match Command::parse(message) {
            Ok(Command::Say { text: Str(text), .. }) => matches!(text, Cow::Borrowed(_)),
            other => panic!("{other:?}"),
        };
        assert!(is_borrowed(r#"{"do":"say","to":1,"text":"Grüße"}"#));
        assert!(!is_borrowed(r#"{"do":"say","to":1,"text":"a\nb"}"#));
    }

    #[test]
    fn plain_say_is_what_the_general_code_parses() {
        for (to, is_fast) in [
            ("1", true),
            ("4294967294", true),
            ("42949672940", false),
            ("0", false),
            ("01", false),
            ("-1", false),
            ("+1", false),
            ("1.5", false),
            ("\"sam\"", false),
            (" 1", false),
            ("", false),
        ] {
            for text in
                ["Hi", "", "Grüße, \u{7f}", r"a\nb", "a\nb", "a\"b", r#"a","room":"x"#, "\\"]
            {
                for end in ["\"}", "\"} ", "\", \"x\":1}", "\"", "}"] {
                    let message = format!(r#"{{"do":"say","to":{to},"text":"{text}{end}"#);
                    let general = Command::parse_any(&message);
                    let plain = Command::parse_plain_say(&message);
                    assert!(plain.is_none() || plain == general.clone().ok(), "{message}");
                    let must_be_fast = is_fast && end == "\"}" && is_plain(text.as_bytes());
                    assert_eq!(plain.is_some(), must_be_fast, "{message}");
                    assert_eq!(Command::parse(&message), general);
                }
            }
        }
    }

    #[test]
    fn wrong_request_is_answered_with_what_is_wrong() {
        check(
            r#"{"do":"frobnicate"}"#,
            Err("unknown \"do\" \"frobnicate\"; known are hello, say, join, part, list, rooms, \
                 names, quit"),
        );
        check(r#"{"do":"say","text":"x"}"#, Err("\"say\" needs the key \"to\""));
        check(r#"{"do":"list","room":"x"}"#, Err("\"list\" has no key \"room\""));
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"do":1}"#,
            r#"{"do":"list","x":1}"#,
            r#"{"do":"list","do":"list"}"#,
            r#"{"do":"list"} x"#,
            r#"{"do":"say","to":1.5,"text":"x"}"#,
            r#"{"do":"say","to":18446744073709551615,"text":"x"}"#,
        ] {
            let error = Command::parse(wrong).expect_err(wrong);
            assert!(error.starts_with("not a request: "), "{error}");
        }
    }
}
