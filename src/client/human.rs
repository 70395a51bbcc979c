//! Events as lines of text. Control, escape and bidi characters in texts of others are escaped.

use crate::vocabulary::{Event, Text, User};

/// Colours of users, legible on dark and on light backgrounds. Red is reserved for errors.
const PALETTE: [u8; 9] = [32, 33, 34, 35, 36, 92, 94, 95, 96];
const RED: &str = "31";
const DIM: &str = "2";
/// Bold, and the colours exchanged.
const HIGHLIGHT: &str = "1;7";

/// The style of lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Whether lines are coloured.
    pub(super) colour: bool,
}

impl Style {
    /// Returns the line for an event, without a line end. Only the help has several lines. The name
    /// of the reader is highlighted in messages to rooms.
    pub(super) fn format_event(self, event: &Event, reader: Option<&Text>) -> String {
        match event {
            Event::Connected { id, name } => {
                format!("* connected as {}", self.format_user(*id, Some(name)))
            }
            Event::Status { text, .. } => format!("* {text}"),
            Event::Join { id, name, info } => {
                let person = self.format_user(*id, Some(name));
                self.append_text(&format!("+ {person} is here"), info.as_ref())
            }
            Event::Quit { id, name, text } => {
                let person = self.format_user(*id, name.as_ref());
                self.append_text(&format!("- {person} left"), text.as_ref())
            }
            Event::Chat { from, name, text } => {
                format!("{}: {text}", self.format_user(*from, name.as_ref()))
            }
            Event::Users { users, .. } if users.is_empty() => "* nobody else is online".to_owned(),
            Event::Users { users, .. } => {
                format!("* {} online: {}", users.len(), self.format_users(users))
            }
            Event::Room { room, from, name, text } => {
                let text = self.highlight(&text.to_string(), reader);
                format!("[{room}] {}: {text}", self.format_user(*from, name.as_ref()))
            }
            Event::Rooms { rooms, .. } if rooms.is_empty() => "* there are no rooms".to_owned(),
            Event::Rooms { rooms, .. } => {
                let sizes: Vec<String> =
                    rooms.iter().map(|size| format!("{} ({})", size.room, size.users)).collect();
                format!("* {} rooms: {}", sizes.len(), sizes.join(", "))
            }
            Event::RoomJoin { room, id, name } => {
                format!("+ {} is in {room}", self.format_user(*id, Some(name)))
            }
            Event::RoomPart { room, id, name, text } => {
                let person = self.format_user(*id, Some(name));
                self.append_text(&format!("- {person} left {room}"), text.as_ref())
            }
            Event::RoomUsers { room, users, .. } if users.is_empty() => {
                format!("* nobody is in {room}")
            }
            Event::RoomUsers { room, users, .. } => {
                format!("* {} in {room}: {}", users.len(), self.format_users(users))
            }
            Event::Help { text } => String::from_utf8_lossy(&text.0).into_owned(),
            Event::Error { text } => self.paint(RED, &format!("! {text}")),
            Event::Ready { id } => format!("* this peer is {}", self.format_user(Some(*id), None)),
            Event::PeerChat { from, text, .. } => {
                format!("{}: {text}", self.format_user(Some(*from), None))
            }
            Event::Receipt { from, excerpt: about } => {
                self.append_text(&format!("✓ {}", self.format_user(Some(*from), None)), Some(about))
            }
            Event::Peer { id } => format!("+ {} is here", self.format_user(Some(*id), None)),
            Event::Disconnected { text } => format!("* disconnected: {text}"),
        }
    }

    /// Returns `text` in a dim colour.
    pub(super) fn dim(self, text: &str) -> String {
        self.paint(DIM, text)
    }

    /// Returns a user such as `sam (102)`, in a colour derived from the id, or from the name if
    /// there is no id. A name that repeats the id is omitted.
    fn format_user(self, id: Option<i64>, name: Option<&Text>) -> String {
        let name = name.filter(|name| id.is_none_or(|id| name.0 != id.to_string().as_bytes()));
        let shown = match (id, name) {
            (Some(id), Some(name)) => format!("{name} ({id})"),
            (Some(id), None) => format!("({id})"),
            (None, Some(name)) => name.to_string(),
            (None, None) => "somebody".to_owned(),
        };
        let key = match (id, name) {
            (Some(id), _) => id.unsigned_abs(),
            (None, Some(name)) => name
                .0
                .iter()
                .fold(0_u64, |key, byte| key.wrapping_mul(31).wrapping_add(u64::from(*byte))),
            (None, None) => 0,
        };
        // Multiplying by 2^64 over the golden ratio keeps ids that differ by little apart.
        let hash = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let colour = PALETTE[hash as usize % PALETTE.len()];
        self.paint(&format!("1;{colour}"), &shown)
    }

    /// Highlights a name wherever it is a word of the text, in any case.
    fn highlight(self, text: &str, name: Option<&Text>) -> String {
        let name = name.map(Text::to_string).unwrap_or_default();
        if name.is_empty() || !self.colour {
            return text.to_owned();
        }
        let is_part_of_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut highlighted = String::new();
        let mut rest = text;
        let mut is_word_start = true;
        while let Some(next) = rest.chars().next() {
            let matched = rest.get(..name.len()).filter(|head| head.eq_ignore_ascii_case(&name));
            let is_word_end = |head: &&str| !rest[head.len()..].starts_with(is_part_of_word);
            let len = match matched.filter(|_| is_word_start).filter(is_word_end) {
                Some(word) => {
                    highlighted.push_str(&self.paint(HIGHLIGHT, word));
                    word.len()
                }
                None => {
                    highlighted.push(next);
                    next.len_utf8()
                }
            };
            is_word_start = !rest[..len].ends_with(is_part_of_word);
            rest = &rest[len..];
        }
        highlighted
    }

    fn format_users(self, users: &[User]) -> String {
        let people = users.iter().map(|user| self.format_user(user.id, Some(&user.name)));
        people.collect::<Vec<_>>().join(", ")
    }

    fn append_text(self, line: &str, text: Option<&Text>) -> String {
        match text {
            Some(text) if !text.0.is_empty() => format!("{line}: {text}"),
            _ => line.to_owned(),
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::RoomSize;

    const PLAIN: Style = Style { colour: false };

    #[track_caller]
    fn check(event: &Event, line: &str) {
        assert_eq!(PLAIN.format_event(event, None), line);
    }

    #[test]
    fn each_event_becomes_one_line() {
        let (id, name) = (Some(102), Text::from("sam"));
        check(&Event::Connected { id, name: name.clone() }, "* connected as sam (102)");
        check(
            &Event::Join { id, name: name.clone(), info: Some("".into()) },
            "+ sam (102) is here",
        );
        check(&Event::Quit { id, name: None, text: Some("bye".into()) }, "- (102) left: bye");
        check(
            &Event::Chat { from: id, name: Some(name.clone()), text: "Hi".into() },
            "sam (102): Hi",
        );
        check(&Event::Users { users: vec![], more: false }, "* nobody else is online");
        let user = User { id, name };
        let users = vec![user.clone(), user];
        check(&Event::Users { users, more: false }, "* 2 online: sam (102), sam (102)");
        check(&Event::error("no"), "! no");
        let room = Text::from("#lab");
        let text = Text::from("Hi all!");
        let name = Text::from("sam");
        let said = Event::Room { room: room.clone(), from: id, name: Some(name.clone()), text };
        check(&said, "[#lab] sam (102): Hi all!");
        let sizes = vec![
            RoomSize { room: room.clone(), users: 3 },
            RoomSize { room: "#ops".into(), users: 1 },
        ];
        check(&Event::Rooms { rooms: sizes, more: false }, "* 2 rooms: #lab (3), #ops (1)");
        check(&Event::Rooms { rooms: vec![], more: false }, "* there are no rooms");
        let joined = Event::RoomJoin { room: room.clone(), id, name: name.clone() };
        check(&joined, "+ sam (102) is in #lab");
        let text = Some("bye".into());
        let parted = Event::RoomPart { room: room.clone(), id, name: name.clone(), text };
        check(&parted, "- sam (102) left #lab: bye");
        let members =
            Event::RoomUsers { room: room.clone(), users: vec![User { id, name }], more: false };
        check(&members, "* 1 in #lab: sam (102)");
        check(&Event::RoomUsers { room, users: vec![], more: false }, "* nobody is in #lab");
        check(&Event::Connected { id: Some(3), name: "3".into() }, "* connected as (3)");
        let name = Text::from("3");
        check(&Event::Join { id: None, name: name.clone(), info: None }, "+ 3 is here");
        check(&Event::Chat { from: None, name: Some(name), text: "Hi".into() }, "3: Hi");
    }

    #[test]
    fn name_of_the_reader_is_highlighted_in_rooms() {
        let style = Style { colour: true };
        let check = |text: &str, name: &str, expected: &str| {
            assert_eq!(style.highlight(text, Some(&name.into())), expected, "{text}");
        };
        check("sam: Hi, Sam!", "sam", "\x1b[1;7msam\x1b[m: Hi, \x1b[1;7mSam\x1b[m!");
        check("samwise _sam sam1 ésam", "sam", "samwise _sam sam1 ésam");
        check("(bob smith)", "bob smith", "(\x1b[1;7mbob smith\x1b[m)");
        check("ä José", "josé", "ä \x1b[1;7mJosé\x1b[m");
        check("x", "", "x");
        let (room, name) = (Text::from("#lab"), Some(Text::from("bob")));
        let event = Event::Room { room, from: None, name, text: "sam?".into() };
        let line = style.format_event(&event, Some(&"sam".into()));
        assert!(line.ends_with(": \x1b[1;7msam\x1b[m?"), "{line}");
        assert_eq!(PLAIN.highlight("sam", Some(&"sam".into())), "sam");
    }

    #[test]
    fn control_characters_from_others_are_escaped() {
        check(
            &Event::Chat {
                from: Some(1),
                name: Some("e\x1b[2Jvil".into()),
                text: "a\n17:24 sam (102): \u{202e}lie".into(),
            },
            "e\\u{1b}[2Jvil (1): a\\n17:24 sam (102): \\u{202e}lie",
        );
    }

    #[test]
    fn user_keeps_the_same_colour() {
        let style = Style { colour: true };
        let colour = |id| {
            let shown = style.format_user(Some(id), None);
            shown.split('m').next().map(str::to_owned)
        };
        assert_eq!(colour(102), colour(102));
        let used: std::collections::BTreeSet<_> = (1..100).map(colour).collect();
        assert_eq!(used.len(), PALETTE.len());
        assert_eq!(style.dim("x"), "\x1b[2mx\x1b[m");
        assert_eq!(PLAIN.dim("x"), "x");
    }
}
