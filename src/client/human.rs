//! Events as lines of text. Control, escape and bidi characters in texts of others are escaped.

use super::event::{Event, Text};

/// Colours of users, legible on dark and on light backgrounds. Red is reserved for errors.
const PALETTE: [u8; 9] = [32, 33, 34, 35, 36, 92, 94, 95, 96];
const RED: &str = "31";
const DIM: &str = "2";

/// The style of lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Whether lines are coloured.
    pub(super) colour: bool,
}

impl Style {
    /// Returns the line for an event, without a line end. Only the help has several lines.
    pub(super) fn format_event(self, event: &Event) -> String {
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
            Event::Users { users } if users.is_empty() => "* nobody else is online".to_owned(),
            Event::Users { users } => {
                let people: Vec<String> =
                    users.iter().map(|user| self.format_user(user.id, Some(&user.name))).collect();
                format!("* {} online: {}", people.len(), people.join(", "))
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
    use crate::client::event::User;

    const PLAIN: Style = Style { colour: false };

    #[track_caller]
    fn check(event: &Event, line: &str) {
        assert_eq!(PLAIN.format_event(event), line);
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
        check(&Event::Users { users: vec![] }, "* nobody else is online");
        let user = User { id, name };
        let users = vec![user.clone(), user];
        check(&Event::Users { users }, "* 2 online: sam (102), sam (102)");
        check(&Event::error("no"), "! no");
        check(&Event::Connected { id: Some(3), name: "3".into() }, "* connected as (3)");
        let name = Text::from("3");
        check(&Event::Join { id: None, name: name.clone(), info: None }, "+ 3 is here");
        check(&Event::Chat { from: None, name: Some(name), text: "Hi".into() }, "3: Hi");
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
