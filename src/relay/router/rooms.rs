//! Rooms: requests of users, and messages to all members of a room.
//!
//! A room message crosses each link at most once, and only towards members. What is for the members
//! at a lost server waits for that server, as chats wait for lost hosts. See "Rooms" in
//! `docs/PROTOCOL.md`.

use std::fmt;

use smallvec::SmallVec;

use crate::id::HostId;
use crate::limits::{
    ROOM_LIST_BYTES_MAX, ROOM_MEMBERSHIPS_MAX, ROOMS_LISTED_MAX, ROOMS_PER_USER_MAX,
};
use crate::link::LinkId;
use crate::printable::{Excerpt, Printable};
use crate::relay::cx::RelayCx;
use crate::relay::extension::{Frame, RoomChat, RoomNames};
use crate::relay::message::StatusCode;
use crate::relay::notice::Notice;
use crate::relay::outbox::Outbox;
use crate::relay::peering::{DeferredMessage, Peering};
use crate::relay::plain;
use crate::relay::send;
use crate::relay::topology::{FirstLink, MemberHome, ServerKey};
use crate::room::{RoomName, RoomNameError};

/// The commands that a user sends to the id of a server, for the answer to an unknown one.
const COMMANDS: &str = "/join #room, /part #room, /rooms, /names #room";

/// The reason for which a request about a room is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomRefusal {
    /// The text is not the name of a room.
    Name(RoomNameError),
    /// The user is not in the room.
    NotMember,
    /// The user is in [`ROOMS_PER_USER_MAX`] rooms.
    UserFull,
    /// The network has [`ROOM_MEMBERSHIPS_MAX`] memberships.
    NetworkFull,
}

impl fmt::Display for RoomRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::NotMember => f.write_str("you are not in this room; join it first"),
            Self::UserFull => {
                write!(f, "you are in {ROOMS_PER_USER_MAX} rooms, the most there may be; leave one")
            }
            Self::NetworkFull => f.write_str("the rooms of this network are full; try again later"),
        }
    }
}

impl From<RoomNameError> for RoomRefusal {
    fn from(error: RoomNameError) -> Self {
        Self::Name(error)
    }
}

/// Adds a user of this server to a room.
///
/// # Errors
/// Why the user may not join.
pub(in crate::relay) fn join<O: Outbox>(
    user: HostId,
    name: &[u8],
    cx: &mut RelayCx<'_, O>,
) -> Result<(), RoomRefusal> {
    let name = RoomName::parse(name)?;
    let rooms = cx.topology.rooms();
    if !rooms.is_member(user, name) {
        if rooms.of(user).len() >= ROOMS_PER_USER_MAX {
            return Err(RoomRefusal::UserFull);
        }
        if rooms.memberships() >= ROOM_MEMBERSHIPS_MAX {
            return Err(RoomRefusal::NetworkFull);
        }
        cx.topology.join_room(user, name);
        log::debug!("user {user} joins room {name}");
        let mut names = Vec::new();
        RoomNames::push(name, &mut names);
        let names = RoomNames::parse(&names).expect("one name");
        cx.announce_membership(user, None, &Frame::Rooms { user, is_complete: false, names });
    }
    if is_shown_rooms(user, cx) {
        cx.show_room(name);
    }
    cx.announce_room_changes();
    Ok(())
}

/// Returns whether a user is shown rooms as users: it is a CRC client, or behind a plain neighbour.
fn is_shown_rooms<O: Outbox>(user: HostId, cx: &RelayCx<'_, O>) -> bool {
    let host = cx.topology.hosts().get(user);
    let link = host.and_then(|host| cx.topology.next_hop(host));
    link.is_some_and(|link| cx.announcements.shows_rooms(cx.topology, link))
}

/// Removes a user of this server from a room.
///
/// # Errors
/// The user is not in the room.
pub(in crate::relay) fn part<O: Outbox>(
    user: HostId,
    name: &[u8],
    text: &[u8],
    cx: &mut RelayCx<'_, O>,
) -> Result<(), RoomRefusal> {
    let name = RoomName::parse(name)?;
    if !cx.topology.leave_room(user, name, text) {
        return Err(RoomRefusal::NotMember);
    }
    log::debug!("user {user} leaves room {name}: {}", Excerpt(text));
    cx.announce_membership(user, None, &Frame::RoomPart { user, name, text });
    cx.announce_room_changes();
    Ok(())
}

/// Sends a message of a user of this server to a room.
///
/// # Errors
/// The user is not in the room.
pub(in crate::relay) fn chat<O: Outbox>(
    user: HostId,
    name: &[u8],
    text: &[u8],
    peering: &mut Peering,
    cx: &mut RelayCx<'_, O>,
) -> Result<(), RoomRefusal> {
    let room = RoomName::parse(name)?;
    if !cx.topology.rooms().is_member(user, room) {
        return Err(RoomRefusal::NotMember);
    }
    let number = cx.topology.next_room_number();
    let chat = RoomChat { user, home: HostId::NONE, number, room, text };
    deliver(&chat, peering, cx);
    forward(None, &chat, peering, cx);
    Ok(())
}

/// Handles a room message that arrived over an extended link.
pub(super) fn handle_room_chat<O: Outbox>(
    link: LinkId,
    chat: &RoomChat<'_>,
    peering: &mut Peering,
    cx: &mut RelayCx<'_, O>,
) {
    let home = cx.topology.hosts().get(chat.user).and_then(|host| host.home().server());
    let (Some(home), true) = (home, cx.topology.is_home_over(chat.user, link)) else {
        return cx.drop_false_source(link, chat.user);
    };
    if !cx.topology.may_have_room_number(home, chat.number) {
        return cx.drop_false_source(link, chat.user);
    }
    let is_for_us = chat.home == HostId::NONE || chat.home == cx.topology.own_id();
    if is_for_us && cx.topology.record_room_number(home, chat.number) {
        deliver(chat, peering, cx);
    }
    if chat.home != cx.topology.own_id() {
        forward(Some(link), chat, peering, cx);
    }
}

/// Delivers a room message to the members at this server and behind its plain neighbours.
fn deliver<O: Outbox>(chat: &RoomChat<'_>, peering: &mut Peering, cx: &mut RelayCx<'_, O>) {
    let &RoomChat { user: source, room: name, text, .. } = chat;
    let Some(room) = cx.topology.rooms().find(name) else { return };
    let shown_as = room.shown_as().unwrap_or(HostId::NONE);
    let sender = cx.topology.hosts().get(source);
    let sender = sender.map_or(Vec::new(), |sender| sender.name().to_vec());
    let mut behind_plain = Vec::new();
    for &destination in room.members_at(MemberHome::Own) {
        let host = cx.topology.hosts().get(destination);
        match host.and_then(|host| cx.topology.next_hop(host)) {
            _ if destination == source => {}
            Some(link) if cx.topology.link(link).is_user() => {
                let (room, name) = (room.name(), &sender[..]);
                let notice = Notice::RoomChat { room, shown_as, source, name, destination, text };
                cx.out.notify(link, cx.topology.view(), &notice);
            }
            Some(link) => behind_plain.push((link, destination)),
            None => peering.count_dropped(), // lost behind a plain neighbour
        }
    }
    for (link, destination) in behind_plain {
        for piece in plain::room_texts(&sender, text, cx.announcements.is_guarded(link)) {
            cx.send_chat(link, shown_as, destination, &piece);
        }
    }
}

/// Sends a room message on to the other servers that have members, or to the one that it names.
/// Nothing goes back over the link on which it came.
///
/// For a lost server, the message waits at the first server on its way to which that counts as
/// lost: only there do the messages before it wait, too.
fn forward<O: Outbox>(
    from: Option<LinkId>,
    chat: &RoomChat<'_>,
    peering: &mut Peering,
    cx: &mut RelayCx<'_, O>,
) {
    let servers: SmallVec<[ServerKey; 8]> = if chat.home == HostId::NONE {
        let room = cx.topology.rooms().find(chat.room);
        room.into_iter().flat_map(|room| room.servers()).collect()
    } else {
        cx.topology.server_key(chat.home).into_iter().collect()
    };
    let mut links: SmallVec<[LinkId; 8]> = SmallVec::new();
    for server in servers {
        match cx.topology.servers().route(server) {
            FirstLink::Link(link) if Some(link) != from && !links.contains(&link) => {
                links.push(link);
            }
            FirstLink::Link(_) => {}
            FirstLink::Split(split) => {
                let id = cx.topology.servers().id(server);
                let is_for_all = chat.home == HostId::NONE;
                let is_lost_before =
                    |link| is_for_all && !cx.topology.routes().is_announced(link, id);
                if from.is_some_and(is_lost_before) {
                    continue;
                }
                let message = DeferredMessage::room_chat(chat, id, cx.topology);
                if !peering.defer(split, message, cx.limits) {
                    peering.count_dropped();
                }
            }
        }
    }
    for link in links {
        cx.introduce(chat.user, link);
        send::send_extension(cx.topology, link, &Frame::RoomChat(*chat), cx.out);
    }
}

/// Handles a chat of a user of this server to the id under which a room is shown. Returns whether
/// there is such a room.
pub(super) fn handle_chat_to_room<O: Outbox>(
    link: LinkId,
    (source, destination): (HostId, HostId),
    text: &[u8],
    peering: &mut Peering,
    cx: &mut RelayCx<'_, O>,
) -> bool {
    let Some(room) = cx.topology.rooms().shown_under(destination) else { return false };
    if cx.topology.link(link).is_extended() {
        return false;
    }
    let name = room.name().as_bytes().to_vec();
    if let Err(refusal) = chat(source, &name, text, peering, cx) {
        let text = format!("Not delivered to {}: {refusal}", Printable(&name));
        let (own, code) = (cx.topology.own_id(), StatusCode::NOT_DELIVERED);
        cx.send_answer(link, source, &Notice::Status { source: own, code, text: text.as_bytes() });
    }
    true
}

/// Handles a chat of a user of this server to the id of a server, if it is a command. Returns
/// whether it is one: the text begins with `/`, and the server speaks the extension.
pub(super) fn handle_command<O: Outbox>(
    link: LinkId,
    (source, server): (HostId, HostId),
    text: &[u8],
    cx: &mut RelayCx<'_, O>,
) -> bool {
    let is_command = text.first() == Some(&b'/')
        && !cx.topology.link(link).is_extended()
        && cx.topology.is_valid_source(source, link)
        && (server == cx.topology.own_id() || cx.topology.server_key(server).is_some());
    if !is_command {
        return false;
    }
    let (command, argument) = split_word(text);
    let result = match command {
        b"/join" => join(source, split_word(argument).0, cx),
        b"/part" => {
            let (name, text) = split_word(argument);
            part(source, name, text, cx)
        }
        b"/rooms" => {
            list_rooms(link, (server, source), cx);
            Ok(())
        }
        b"/names" => list_members(link, (server, source), split_word(argument).0, cx),
        _ => {
            let text = format!("{} is not a command; {COMMANDS}", Excerpt(command));
            cx.send_chat(link, server, source, text.as_bytes());
            Ok(())
        }
    };
    if let Err(refusal) = result {
        let (name, _) = split_word(argument);
        let subject = if name.is_empty() { command } else { name };
        let text = format!("{}: {refusal}", Excerpt(subject));
        cx.send_chat(link, server, source, text.as_bytes());
    }
    true
}

/// Splits the first word from the rest of a text.
fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii();
    match text.iter().position(|&byte| byte == b' ') {
        Some(end) => (&text[..end], text[end..].trim_ascii_start()),
        None => (text, b""),
    }
}

/// Sends the answer to `/rooms`.
fn list_rooms<O: Outbox>(link: LinkId, (server, user): (HostId, HostId), cx: &mut RelayCx<'_, O>) {
    let rooms = cx.topology.rooms().iter().take(ROOMS_LISTED_MAX);
    let listed: Vec<(Vec<u8>, usize)> =
        rooms.map(|room| (room.name().as_bytes().to_vec(), room.len())).collect();
    for name in listed.iter().filter_map(|(name, _)| RoomName::parse(name).ok()) {
        cx.show_room(name);
    }
    let lines = listed.iter().map(|(name, users)| format!("{} {users}", Printable(name)));
    send_list(link, (server, user), "rooms", lines, cx);
}

/// Sends the answer to `/names`.
fn list_members<O: Outbox>(
    link: LinkId,
    (server, user): (HostId, HostId),
    name: &[u8],
    cx: &mut RelayCx<'_, O>,
) -> Result<(), RoomRefusal> {
    let name = RoomName::parse(name)?;
    cx.show_room(name);
    let room = cx.topology.rooms().find(name);
    let hosts = room.into_iter().flat_map(|room| room.members());
    let hosts = hosts.filter_map(|id| cx.topology.hosts().get(id));
    let lines: Vec<String> =
        hosts.map(|host| format!("{} {}", host.id, Printable(host.name()))).collect();
    send_list(link, (server, user), &format!("names {name}"), lines.into_iter(), cx);
    Ok(())
}

/// Sends lines to a user as chats from a server, each with a title `TITLE I/N` before its lines.
fn send_list<O: Outbox>(
    link: LinkId,
    (server, user): (HostId, HostId),
    title: &str,
    lines: impl Iterator<Item = String>,
    cx: &mut RelayCx<'_, O>,
) {
    let mut pages = vec![String::new()];
    for line in lines {
        let page = pages.last_mut().expect("a page");
        if !page.is_empty() && page.len() + line.len() >= ROOM_LIST_BYTES_MAX {
            pages.push(String::new());
        }
        let page = pages.last_mut().expect("a page");
        page.push('\n');
        page.push_str(&line);
    }
    let count = pages.len();
    for (index, page) in pages.iter().enumerate() {
        let text = format!("{title} {}/{count}{page}", index + 1);
        cx.send_chat(link, server, user, text.as_bytes());
    }
}
