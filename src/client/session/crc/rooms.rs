//! Rooms on the CRC wire: the users that stand for them, and the lists of the server. See "Rooms"
//! in `docs/PROTOCOL.md`.

use std::collections::BTreeMap;

use crate::id::HostId;
use crate::room::RoomName;
use crate::vocabulary::{Event, RoomSize, Text, User};

/// Title of the pages of a list of rooms.
const ROOMS_TITLE: &[u8] = b"rooms";

/// Start of the title of the pages of a list of members, before the name of the room.
const NAMES_TITLE: &[u8] = b"names ";

/// The rooms that the server has shown as users, and its incomplete list.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    /// The name of each room, by the id of the user that stands for it.
    names: BTreeMap<HostId, Text>,
    partial_list: Option<PartialList>,
}

/// A list whose last page has not arrived.
#[derive(Debug)]
struct PartialList {
    title: Vec<u8>,
    page_count: u32,
    pages_received: u32,
    lines: Vec<Vec<u8>>,
}

/// A page of a list: its title, its number, the number of pages, and its lines.
#[derive(Debug, PartialEq, Eq)]
struct Page<'a> {
    title: &'a [u8],
    number: u32,
    count: u32,
    lines: Vec<&'a [u8]>,
}

impl Rooms {
    /// Returns whether a user stands for a room: the id is one of those that follow from the name.
    #[must_use]
    pub(super) fn is_room(id: HostId, name: &[u8]) -> bool {
        RoomName::parse(name).is_ok_and(|name| name.shown_ids().any(|shown_id| shown_id == id))
    }

    /// Adds a room.
    pub(super) fn insert(&mut self, id: HostId, name: Text) {
        self.names.insert(id, name);
    }

    /// Removes a room. Returns whether it was known.
    pub(super) fn remove(&mut self, id: HostId) -> bool {
        self.names.remove(&id).is_some()
    }

    /// Returns the name of the room that is shown under an id.
    #[must_use]
    pub(super) fn name(&self, id: HostId) -> Option<&Text> {
        self.names.get(&id)
    }

    /// Returns the id under which a room is shown.
    #[must_use]
    pub(super) fn id(&self, room: &str) -> Option<HostId> {
        let room = RoomName::parse(room.as_bytes()).ok()?;
        let mut ids = room.shown_ids();
        ids.find(|id| {
            self.name(*id).is_some_and(|name| name.0.eq_ignore_ascii_case(room.as_bytes()))
        })
    }

    /// Handles a text of the server if it is a page of a list. Appends the event of a complete list
    /// to `events`; the name of a member is that of `name_of`, if that knows the id. A page out of
    /// order discards the list.
    pub(super) fn handle_page(
        &mut self,
        text: &[u8],
        name_of: impl Fn(HostId) -> Option<Text>,
        events: &mut Vec<Event>,
    ) -> bool {
        let Some(Page { title, number, count, lines }) = parse_page(text) else { return false };
        let list = match self.partial_list.take() {
            _ if number == 1 => Some(PartialList {
                title: title.to_vec(),
                page_count: count,
                pages_received: 0,
                lines: Vec::new(),
            }),
            Some(list) if (&*list.title, list.page_count) == (title, count) => Some(list),
            _ => None,
        };
        let Some(mut list) = list.filter(|list| list.pages_received + 1 == number) else {
            return true;
        };
        list.lines.extend(lines.into_iter().map(<[u8]>::to_vec));
        list.pages_received = number;
        if number < count {
            self.partial_list = Some(list);
            return true;
        }
        let lines = list.lines.iter().map(Vec::as_slice);
        events.push(match title.strip_prefix(NAMES_TITLE) {
            Some(room) => Event::RoomUsers {
                room: room.into(),
                users: lines.filter_map(|line| parse_member(line, &name_of)).collect(),
                more: false,
            },
            None => {
                Event::Rooms { rooms: lines.filter_map(parse_room_size).collect(), more: false }
            }
        });
        true
    }
}

/// Parses `<NAME> TEXT`, the text of a chat from a room, into name and text.
pub(super) fn parse_room_text(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = text.strip_prefix(b"<")?;
    let end = rest.windows(2).position(|window| window == b"> ")?;
    Some((&rest[..end], &rest[end + 2..]))
}

/// Parses a page: `TITLE I/N`, and then each line after a line feed.
fn parse_page(text: &[u8]) -> Option<Page<'_>> {
    let mut lines = text.split(|&byte| byte == b'\n');
    let (title, position) = split_at_last_space(lines.next()?)?;
    let (number, count) = str::from_utf8(position).ok()?.split_once('/')?;
    let (number, count) = (number.parse().ok()?, count.parse().ok()?);
    let is_list = title == ROOMS_TITLE || title.starts_with(NAMES_TITLE);
    let is_page = is_list && (1..=count).contains(&number);
    is_page.then(|| Page { title, number, count, lines: lines.collect() })
}

/// Parses `ID NAME`.
fn parse_member(line: &[u8], name_of: impl Fn(HostId) -> Option<Text>) -> Option<User> {
    let space = line.iter().position(|&byte| byte == b' ')?;
    let id = HostId(str::from_utf8(&line[..space]).ok()?.parse().ok()?);
    let name = name_of(id).unwrap_or_else(|| line[space + 1..].into());
    Some(User { id: Some(id.0.into()), name })
}

/// Parses `#ROOM MEMBERS`.
fn parse_room_size(line: &[u8]) -> Option<RoomSize> {
    let (room, users) = split_at_last_space(line)?;
    Some(RoomSize { room: room.into(), users: str::from_utf8(users).ok()?.parse().ok()? })
}

fn split_at_last_space(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = text.iter().rposition(|&byte| byte == b' ')?;
    Some((&text[..space], &text[space + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ids_of_its_name_stand_for_a_room() {
        assert!(Rooms::is_room(HostId(0xe64b_7641), b"#lab"));
        assert!(Rooms::is_room(HostId(0xd880_beb7), b"#LAB"));
        assert!(!Rooms::is_room(HostId(102), b"#lab"));
        assert!(!Rooms::is_room(HostId(0xe64b_7641), b"#lob"));
        assert!(!Rooms::is_room(HostId(0xe64b_7641), b"lab"));
    }

    #[test]
    fn room_text_begins_with_the_sender() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(name, text)| (name.as_bytes(), text.as_bytes()));
            assert_eq!(parse_room_text(text.as_bytes()), expected, "{text}");
        };
        check("<frodo> Hi all!", Some(("frodo", "Hi all!")));
        check("<bob smith> <i> x", Some(("bob smith", "<i> x")));
        check("<> ", Some(("", "")));
        for text in ["Hi", "<frodo>", "<frodo>Hi", ""] {
            check(text, None);
        }
    }

    #[test]
    fn page_parses_into_title_number_and_lines() {
        let check = |text: &'static str, title: &str, position, lines: &[&str]| {
            let page = parse_page(text.as_bytes()).expect("a page");
            assert_eq!((page.title, (page.number, page.count)), (title.as_bytes(), position));
            let expected: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
            assert_eq!(page.lines, expected, "{text}");
        };
        check("rooms 1/1", "rooms", (1, 1), &[]);
        check("rooms 2/3\n#lab 3\n#ops 1", "rooms", (2, 3), &["#lab 3", "#ops 1"]);
        check("names #lab 1/1\n101 bob smith", "names #lab", (1, 1), &["101 bob smith"]);
        for text in ["rooms", "rooms 0/1", "rooms 2/1", "rooms x/1", "users 1/1", "", "1/1"] {
            assert_eq!(parse_page(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn pages_out_of_order_discard_the_list() {
        let mut rooms = Rooms::default();
        let mut shown = |text: &str| {
            let mut events = Vec::new();
            assert!(rooms.handle_page(text.as_bytes(), |_| None, &mut events), "{text}");
            events
        };
        let list = |names: &[&str]| {
            let room = |name: &&str| RoomSize { room: (*name).into(), users: 1 };
            vec![Event::Rooms { rooms: names.iter().map(room).collect(), more: false }]
        };
        assert_eq!(shown("rooms 1/2\n#a 1"), []);
        assert_eq!(shown("rooms 2/2\n#b 1"), list(&["#a", "#b"]));
        assert_eq!(shown("rooms 2/2\n#b 1"), []);
        assert_eq!(shown("rooms 1/3\n#a 1"), []);
        assert_eq!(shown("rooms 3/3\n#c 1"), []);
        assert_eq!(shown("rooms 1/2\n#a 1"), []);
        assert_eq!(shown("names #x 2/2\n1 b"), [], "another list");
        assert_eq!(shown("rooms 1/2\n#a 1"), []);
        assert_eq!(shown("rooms 1/1\n#d 1"), list(&["#d"]));
    }
}
