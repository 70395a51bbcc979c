//! Replies that may be long, in lines that are written as the client reads.
//!
//! A list of a million users then neither fills the queue nor holds up other clients. Users who
//! come or go meanwhile may be in the list or not.

use std::borrow::Cow;

use super::Session;
use super::topics::topic_text;
use crate::limits::IRC_HOSTS_PER_STEP_MAX;
use crate::link::SendQueue;
use crate::names::Names;
use crate::relay::message::HostKind;
use crate::relay::{Host, MemberCursor, Relay};
use crate::room::RoomName;
use crate::wires::irc::caps::Caps;
use crate::wires::irc::glob::{self, RoomFilter};
use crate::wires::irc::numerics as n;
use crate::wires::irc::whox::WhoFields;
use crate::wires::irc::write::{Mask, ascii, server_name};
use crate::wires::{NoticeCx, SessionCx};

/// Number of members in one line of `NAMES`: with the longest names of a room and a server, the
/// line has room for that many nicks, and for that many masks.
const NAMES_PER_LINE: (usize, usize) = (9, 5);

/// Number of lines in one step of a list.
const LINES_PER_STEP: usize = 16;

/// Number of hosts in one step of `WHO` with a mask, each of which may be a line.
const SLOTS_PER_STEP: usize = 64;

/// Maximum number of steps in one turn, for lists of which few lines are sent: the others wait for
/// the next turn. About a millisecond.
const STEPS_PER_TURN: usize = 32;

/// A list that a client has asked for, and how far it was written.
#[derive(Clone, Debug)]
pub(super) enum List {
    /// The topic of a room that the client has joined.
    Topic { room: Box<str> },
    /// `NAMES` of a room.
    Names { room: Box<str>, cursor: MemberCursor },
    /// `WHO` of a room.
    Who { room: Box<str>, cursor: MemberCursor, fields: WhoFields },
    /// `WHO` of the users whose nicks a mask stands for, from a place in the table of hosts on.
    WhoMask { mask: Box<str>, next_slot: usize, fields: WhoFields },
    /// `LIST`, behind the room with this key.
    Rooms { after: Option<Box<[u8]>>, filter: RoomFilter },
    /// `LINKS` or `MAP`, from a place in the table of hosts on; `None` at the beginning.
    Links { next_slot: Option<usize>, is_map: bool },
}

impl Session {
    /// Adds a list, and writes what there is room for.
    pub(super) fn push_list(&mut self, list: List, cx: &mut SessionCx<'_>) {
        self.lists.get_or_insert_default().push_back(list);
        self.write_lists(cx.relay, cx.names, cx.queue);
    }

    /// Writes the lists that are due, while the queue has room.
    pub(super) fn write_lists(&mut self, relay: &Relay, names: &Names, queue: &mut SendQueue) {
        let Some(mut lists) = self.lists.take() else { return };
        let mut steps_left = STEPS_PER_TURN;
        while let Some(list) = lists.front_mut() {
            if !Self::has_room(queue) || steps_left == 0 {
                self.can_resume |= steps_left == 0;
                self.lists = Some(lists);
                return;
            }
            steps_left -= 1;
            let unix_time = std::time::Duration::ZERO; // nothing in a list has a time
            let mut cx = NoticeCx { view: relay.view(), names, queue: &mut *queue, unix_time };
            if !self.write_step(list, relay, &mut cx) {
                lists.pop_front();
            }
        }
    }

    /// Writes some lines of a list. Returns whether more follow.
    fn write_step(&self, list: &mut List, relay: &Relay, cx: &mut NoticeCx<'_>) -> bool {
        match list {
            List::Topic { room } => {
                if let Ok(room) = RoomName::parse(room.as_bytes()) {
                    self.write_topic(room, relay, cx);
                }
                false
            }
            List::Names { room, cursor } => self.write_names(room, cursor, relay, cx),
            List::Who { room, cursor, fields } => {
                let members = next_members(room, cursor, relay, LINES_PER_STEP);
                let name = shown_name(room, relay);
                for host in members.0 {
                    self.write_who(&name, host, fields, relay, cx);
                }
                if !members.1 {
                    self.reply(cx, n::END_OF_WHO, &[room], "End of WHO list");
                }
                members.1
            }
            List::WhoMask { mask, next_slot, fields } => {
                self.write_who_mask(mask, next_slot, fields, relay, cx)
            }
            List::Rooms { after, filter } => {
                if after.is_none() {
                    self.reply(cx, n::LIST_START, &["Channel"], "Users  Name");
                }
                let rooms: Vec<_> =
                    relay.rooms_after(after.as_deref()).take(LINES_PER_STEP).collect();
                for room in rooms.iter().filter(|room| filter.accepts(room)) {
                    let users = (room.members_here + room.members_elsewhere).to_string();
                    let name = String::from_utf8_lossy(room.name.as_bytes());
                    self.reply(cx, n::LIST, &[&name, &users], &topic_text(relay, room.name));
                }
                match rooms.last().filter(|_| rooms.len() == LINES_PER_STEP) {
                    Some(last) => *after = Some(last.name.key().into()),
                    None => self.reply(cx, n::LIST_END, &[], "End of LIST"),
                }
                rooms.len() == LINES_PER_STEP
            }
            List::Links { next_slot, is_map } => self.write_links(next_slot, *is_map, relay, cx),
        }
    }

    fn write_who_mask(
        &self,
        mask: &str,
        next_slot: &mut usize,
        fields: &WhoFields,
        relay: &Relay,
        cx: &mut NoticeCx<'_>,
    ) -> bool {
        let hosts = relay.hosts();
        let end = hosts.slot_count().min(*next_slot + SLOTS_PER_STEP);
        for host in (*next_slot..end).filter_map(|slot| hosts.at_slot(slot)) {
            let nick = cx.names.nicks.nick(host.id, host.name());
            if host.kind == HostKind::User && glob::matches(mask.as_bytes(), &nick) {
                self.write_who("*", host, fields, relay, cx);
            }
        }
        *next_slot = end;
        let has_more = end < hosts.slot_count();
        if !has_more {
            self.reply(cx, n::END_OF_WHO, &[mask], "End of WHO list");
        }
        has_more
    }

    fn write_names(
        &self,
        room: &str,
        cursor: &mut MemberCursor,
        relay: &Relay,
        cx: &mut NoticeCx<'_>,
    ) -> bool {
        let has_masks = self.caps.has(Caps::USERHOST_IN_NAMES);
        let count = if has_masks { NAMES_PER_LINE.1 } else { NAMES_PER_LINE.0 };
        let (members, has_more) = next_members(room, cursor, relay, count);
        let shown: Vec<String> = members
            .iter()
            .map(|host| {
                let mask = Mask::of_host(host, cx);
                if has_masks { mask.to_text() } else { mask.nick().to_owned() }
            })
            .collect();
        if !shown.is_empty() {
            let name = shown_name(room, relay);
            self.reply(cx, n::NAMES_REPLY, &["=", &name], &shown.join(" "));
        }
        if !has_more {
            self.reply(cx, n::END_OF_NAMES, &[room], "End of NAMES list");
        }
        has_more
    }

    fn write_links(
        &self,
        next_slot: &mut Option<usize>,
        is_map: bool,
        relay: &Relay,
        cx: &mut NoticeCx<'_>,
    ) -> bool {
        let own = server_name(cx.view.name).into_owned();
        let hosts = relay.hosts();
        let first = next_slot.unwrap_or_else(|| {
            let info = String::from_utf8_lossy(&relay.identity().info);
            self.write_link(cx, is_map, [&own, &own], (0, &info));
            0
        });
        let end = hosts.slot_count().min(first + IRC_HOSTS_PER_STEP_MAX);
        let servers = (first..end).filter_map(|slot| hosts.at_slot(slot));
        for host in servers.filter(|host| host.kind == HostKind::Server) {
            let report = relay.server_report(host);
            let next = report.as_ref().and_then(|report| report.next);
            let next = next.and_then(|id| hosts.get(id)).map_or(cx.view.name, Host::name);
            let next = server_name(next).into_owned();
            let hops = report.and_then(|report| report.hops).unwrap_or(0);
            let info = String::from_utf8_lossy(host.info());
            self.write_link(cx, is_map, [&server_name(host.name()), &next], (hops, &info));
        }
        *next_slot = Some(end);
        let has_more = end < hosts.slot_count();
        match (has_more, is_map) {
            (true, _) => {}
            (false, true) => self.reply(cx, n::END_OF_MAP, &[], "End of MAP"),
            (false, false) => self.reply(cx, n::END_OF_LINKS, &["*"], "End of LINKS list"),
        }
        has_more
    }

    /// Writes a server, the next one on the way from there to this server, and its distance.
    fn write_link(
        &self,
        cx: &mut NoticeCx<'_>,
        is_map: bool,
        [server, next]: [&str; 2],
        (hops, info): (usize, &str),
    ) {
        match is_map {
            true => self.reply(cx, n::MAP, &[], &format!("{}{server}", "  ".repeat(hops.min(16)))),
            false => self.reply(cx, n::LINKS, &[server, next], &format!("{hops} {info}")),
        }
    }

    /// Returns the nick of a host as text.
    pub(super) fn nick_text(host: &Host, cx: &NoticeCx<'_>) -> String {
        ascii(&cx.names.nicks.nick(host.id, host.name())).to_owned()
    }
}

/// Returns the name of a room as its first member wrote it.
fn shown_name<'a>(room: &'a str, relay: &'a Relay) -> Cow<'a, str> {
    let name = RoomName::parse(room.as_bytes()).ok();
    let report = name.and_then(|name| relay.find_room(name));
    report.map_or(Cow::Borrowed(room), |report| String::from_utf8_lossy(report.name.as_bytes()))
}

/// Returns up to `count_max` further members of a room, and whether there are more.
fn next_members<'r>(
    room: &str,
    cursor: &mut MemberCursor,
    relay: &'r Relay,
    count_max: usize,
) -> (Vec<&'r Host>, bool) {
    match RoomName::parse(room.as_bytes()) {
        Ok(name) => relay.next_members(name, cursor, count_max),
        Err(_) => (Vec::new(), false),
    }
}
