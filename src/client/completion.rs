//! The words that Tab completes: commands, rooms, and the names of users who are online.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ui::Complete;
use crate::vocabulary::{Event, Text};

const COMMANDS: [&str; 10] =
    ["/help", "/join ", "/list", "/msg ", "/names ", "/part ", "/quit", "/rooms", "@List", "@Quit"];

/// Commands whose next word is a user or a room.
const MSG: &str = "/msg ";

/// Commands whose next word is a room.
const ROOM_COMMANDS: [&str; 3] = ["/join ", "/part ", "/names "];

/// The key of a user: the id, or the name on a wire without ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NameKey {
    Id(i64),
    Name(Text),
}

/// The names of the other users, of rooms and of their members, shared between the client's loop
/// and the editor's thread. Names that cannot be typed are left out.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownNames(Arc<Mutex<Names>>);

#[derive(Debug, Default)]
struct Names {
    users: BTreeMap<NameKey, String>,
    /// The known members of each known room.
    rooms: BTreeMap<String, BTreeSet<String>>,
    current_room: Option<String>,
}

impl KnownNames {
    /// Adds users who join and removes those who quit, and adds rooms and their members.
    pub(super) fn update(&self, event: &Event) {
        let mut names = self.lock();
        match event {
            Event::Join { id, name, .. } => {
                let key = id.map_or_else(|| NameKey::Name(name.clone()), NameKey::Id);
                match typed_name(name) {
                    Some(text) => drop(names.users.insert(key, text)),
                    None => drop(names.users.remove(&key)),
                }
            }
            Event::Peer { id } => drop(names.users.insert(NameKey::Id(*id), id.to_string())),
            Event::Quit { id, name, .. } => {
                let key = id.map(NameKey::Id).or(name.clone().map(NameKey::Name));
                if let Some(user) = key.and_then(|key| names.users.remove(&key)) {
                    for members in names.rooms.values_mut() {
                        members.remove(&user);
                    }
                }
            }
            Event::Rooms { rooms, .. } => {
                for size in rooms {
                    names.room(&size.room);
                }
            }
            Event::RoomJoin { room, .. } => {
                names.room(room);
            }
            Event::Room { room, name: Some(name), .. } => {
                if let (Some(members), Some(name)) = (names.room(room), typed_name(name)) {
                    members.insert(name);
                }
            }
            Event::RoomUsers { room, users, .. } => {
                if let Some(members) = names.room(room) {
                    *members = users.iter().filter_map(|user| typed_name(&user.name)).collect();
                }
            }
            _ => {}
        }
    }

    /// Sets the room whose members are completed in a line without a recipient.
    pub(super) fn set_current_room(&self, room: Option<&str>) {
        self.lock().current_room = room.map(str::to_owned);
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    /// Returns the members of a room, which becomes known. `None` if it cannot be typed.
    fn room(&mut self, room: &Text) -> Option<&mut BTreeSet<String>> {
        Some(self.rooms.entry(typed_name(room)?).or_default())
    }

    /// Returns what a line can begin with.
    fn first_words(&self) -> Vec<String> {
        let users = self.users.values().map(|name| format_recipient(name));
        users.chain(self.room_words()).collect()
    }

    fn room_words(&self) -> impl Iterator<Item = String> {
        self.rooms.keys().map(|room| format!("{room} "))
    }

    /// Returns the names of the members of the room to which a line goes, of all users if none is
    /// known.
    fn member_words(&self, line: &str) -> Vec<String> {
        let room = match line.split_once(' ') {
            Some((word, _)) if word.starts_with('#') => Some(word),
            _ if line.starts_with(['/', '@', '(']) => None,
            _ => self.current_room.as_deref(),
        };
        let Some(room) = room else { return Vec::new() };
        let mut rooms = self.rooms.iter();
        let members = rooms.find(|(name, _)| name.eq_ignore_ascii_case(room));
        match members {
            Some((_, members)) if !members.is_empty() => {
                members.iter().map(|name| format!("{name} ")).collect()
            }
            _ => self.users.values().map(|name| format!("{name} ")).collect(),
        }
    }
}

impl Complete for KnownNames {
    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
        let names = self.lock();
        let starts_with = |command: &&str| starts_with_ignoring_case(line, command);
        if starts_with(&MSG) {
            return (MSG.len(), matching(names.first_words(), &line[MSG.len()..]));
        }
        if let Some(command) = ROOM_COMMANDS.into_iter().find(starts_with) {
            return (command.len(), matching(names.room_words(), &line[command.len()..]));
        }
        let commands = COMMANDS.map(str::to_owned);
        let words = matching(names.first_words().into_iter().chain(commands), line);
        let start = line.rfind(' ').map_or(0, |space| space + 1);
        if start == 0 || !words.is_empty() {
            return (0, words);
        }
        match matching(names.member_words(line), &line[start..]) {
            words if words.is_empty() => (0, words),
            words => (start, words),
        }
    }
}

/// Returns the words that begin with `prefix`, sorted, each once.
fn matching(words: impl IntoIterator<Item = String>, prefix: &str) -> Vec<String> {
    let bare_prefix = prefix.strip_prefix('(').unwrap_or(prefix);
    let is_match = |word: &String| {
        starts_with_ignoring_case(word, prefix)
            || (!bare_prefix.is_empty()
                && starts_with_ignoring_case(word.trim_start_matches('('), bare_prefix))
    };
    words.into_iter().filter(is_match).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns a name as text if it can be typed.
fn typed_name(name: &Text) -> Option<String> {
    let text = String::from_utf8(name.0.clone()).ok()?;
    (!text.is_empty() && text == name.to_string()).then_some(text)
}

/// Returns a name as the grammar expects it at the start of a line, followed by a space.
fn format_recipient(name: &str) -> String {
    let is_plain = !name.contains([' ', '(', ')'])
        && !name.starts_with(['/', '@', '#'])
        && !name.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { format!("{name} ") } else { format!("({name}) ") }
}

fn starts_with_ignoring_case(word: &str, prefix: &str) -> bool {
    word.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::{RoomSize, User};

    #[track_caller]
    fn check(line: &str, start: usize, expected: &[&str]) {
        let names = KnownNames::default();
        for (id, name) in
            ["sam", "Sally", "bob smith", "e\x1bvil", "gone", "sam"].into_iter().enumerate()
        {
            names.update(&Event::Join { id: Some(id as i64), name: name.into(), info: None });
        }
        names.update(&Event::Quit { id: Some(4), name: None, text: None });
        let (at, candidates) = names.candidates(line);
        assert_eq!((at, candidates), (start, expected.iter().map(|w| (*w).to_owned()).collect()));
    }

    #[test]
    fn completes_commands_and_names_at_the_line_start() {
        check("sa", 0, &["Sally ", "sam "]);
        check("bo", 0, &["(bob smith) "]);
        check("(bob s", 0, &["(bob smith) "]);
        check("/r", 0, &["/rooms"]);
        check("/q", 0, &["/quit"]);
        check("@l", 0, &["@List"]);
        check("/msg sa", 5, &["Sally ", "sam "]);
        check("/MSG ", 5, &["(bob smith) ", "Sally ", "sam "]);
        check("go", 0, &[]);
        check("e", 0, &[]);
        check("sam hi sa", 0, &[]);
    }

    #[test]
    fn completes_rooms_and_their_members() {
        let names = KnownNames::default();
        for (id, name) in [(1, "sam"), (2, "sally"), (3, "bob"), (4, "#lad")] {
            names.update(&Event::Join { id: Some(id), name: name.into(), info: None });
        }
        let room = || Text::from("#lab");
        names.update(&Event::RoomJoin { room: room(), id: Some(9), name: "frodo".into() });
        let size = RoomSize { room: "#Lunch".into(), users: 1 };
        names.update(&Event::Rooms { rooms: vec![size], more: false });
        let check = |line: &str, start: usize, expected: &[&str]| {
            let expected: Vec<String> = expected.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(names.candidates(line), (start, expected), "{line}");
        };
        check("#l", 0, &["#Lunch ", "#lab ", "(#lad) "]);
        check("/join #l", 6, &["#Lunch ", "#lab "]);
        check("/PART ", 6, &["#Lunch ", "#lab "]);
        check("/msg #la", 5, &["#lab ", "(#lad) "]);
        check("Hi sa", 0, &[]);
        check("#lab sa", 5, &["sally ", "sam "]);
        names.set_current_room(Some("#LAB"));
        check("Hi sa", 3, &["sally ", "sam "]);
        let (id, name) = (Some(1), Text::from("sam"));
        names.update(&Event::RoomUsers {
            room: room(),
            users: vec![User { id, name }],
            more: false,
        });
        let (name, text) = (Some("bob".into()), "Hi".into());
        names.update(&Event::Room { room: room(), from: Some(3), name, text });
        check("Hi sa", 3, &["sam "]);
        check("Hi b", 3, &["bob "]);
        check("/list b", 0, &[]);
        names.update(&Event::Quit { id: Some(3), name: None, text: None });
        check("Hi b", 0, &[]);
    }

    #[test]
    fn completes_names_of_users_without_ids() {
        let names = KnownNames::default();
        for name in ["sam", "sal", "3"] {
            names.update(&Event::Join { id: None, name: name.into(), info: None });
        }
        names.update(&Event::Quit { id: None, name: Some("sal".into()), text: None });
        assert_eq!(names.candidates("s"), (0, vec!["sam ".to_owned()]));
        assert_eq!(names.candidates("3"), (0, vec!["(3) ".to_owned()]));
    }
}
