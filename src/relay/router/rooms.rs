//! Requests about rooms: to join and leave them, and the commands that CRC clients send to a
//! server. See "Rooms" in `docs/PROTOCOL.md`.

use super::profiles::change_profile;
use super::refusal::RoomRefusal;
use super::topics::set_topic;
use crate::id::HostId;
use crate::limits::{
    ROOM_LIST_BYTES_MAX, ROOM_MEMBERSHIPS_MAX, ROOMS_LISTED_MAX, ROOMS_PER_USER_MAX,
};
use crate::link::LinkId;
use crate::printable::{Excerpt, Printable};
use crate::relay::cx::RelayCx;
use crate::relay::extension::{Frame, RoomNames};
use crate::relay::outbox::Outbox;
use crate::relay::profile::ProfileChange;
use crate::room::RoomName;

/// The commands that a user sends to the id of a server, for the answer to an unknown one.
const COMMANDS: &str =
    "/join #room, /part #room, /topic #room [TEXT], /rooms, /names #room, /away [TEXT]";

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
        b"/topic" => {
            let (name, text) = split_word(argument);
            match text {
                b"" => send_topic(link, (server, source), name, cx),
                text => set_topic(source, name, text, cx),
            }
        }
        b"/away" => change_profile(source, &ProfileChange::Away(argument.into()), cx),
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
        let has_room = command != b"/away" && !name.is_empty();
        let subject = if has_room { name } else { command };
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

/// Sends the answer to `/topic` without a text.
fn send_topic<O: Outbox>(
    link: LinkId,
    (server, user): (HostId, HostId),
    name: &[u8],
    cx: &mut RelayCx<'_, O>,
) -> Result<(), RoomRefusal> {
    let name = RoomName::parse(name)?;
    let topic = cx.topology.rooms().topics().get(name).and_then(|topic| topic.report());
    let line = topic.map(|topic| format!("\n{}", Printable(topic.text)));
    let text = format!("topic {name}{}", line.unwrap_or_default());
    cx.send_chat(link, server, user, text.as_bytes());
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
