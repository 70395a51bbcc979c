//! Rooms as channels: what the client asks for.

use std::borrow::Cow;

use super::Session;
use super::lists::List;
use super::topics::topic_text;
use crate::limits::{IRC_TARGETS_MAX, ROOMS_PER_USER_MAX};
use crate::relay::MemberCursor;
use crate::room::RoomName;
use crate::wires::irc::glob::{self, RoomFilter};
use crate::wires::irc::line::Line;
use crate::wires::irc::numerics as n;
use crate::wires::irc::write::ascii;
use crate::wires::{Effect, Effects, RoomAction, RoomRequest, SessionCx};

/// The mode of a user that is a program.
pub(super) const BOT_MODE: char = 'B';

/// The modes of users. Those but [`BOT_MODE`] are set by clients when they connect, and mean
/// nothing.
pub(super) const USER_MODES: &str = "Biswx";

/// The modes of rooms that can be asked for: the list of bans, which is empty.
pub(super) const ROOM_MODES: &str = "b";

/// Returns the effect of a request about a room.
fn request<'a>(room: &'a str, action: RoomAction<'a>) -> Effect<'a> {
    Effect::Room(RoomRequest { room: Cow::Borrowed(room.as_bytes()), action })
}

impl Session {
    pub(super) fn no_such_room(&self, room: &str, cx: &mut SessionCx<'_>) {
        self.reply(&mut cx.notice_cx(), n::NO_SUCH_CHANNEL, &[room], "No such channel");
    }

    /// Returns a room that somebody is in, or refuses the command.
    pub(super) fn existing_room<'a>(
        &self,
        room: &'a str,
        cx: &mut SessionCx<'_>,
    ) -> Option<RoomName<'a>> {
        let name = RoomName::parse(room.as_bytes()).ok();
        let name = name.filter(|&name| cx.relay.find_room(name).is_some());
        if name.is_none() {
            self.no_such_room(room, cx);
        }
        name
    }

    /// Returns a room that the client is in, or refuses the command.
    pub(super) fn joined_room<'a>(
        &self,
        room: &'a str,
        cx: &mut SessionCx<'_>,
    ) -> Option<RoomName<'a>> {
        let name = self.existing_room(room, cx)?;
        let is_member = cx.relay.is_member(self.id, name);
        if !is_member {
            let text = "You're not on that channel";
            self.reply(&mut cx.notice_cx(), n::NOT_ON_CHANNEL, &[room], text);
        }
        is_member.then_some(name)
    }

    pub(super) fn handle_join<'a>(
        &mut self,
        line: &Line<'a>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'a>,
    ) {
        let rooms = line.param(0);
        if rooms.is_empty() {
            return self.need_more_params("JOIN", cx);
        }
        if rooms == "0" {
            for room in cx.relay.rooms_of(self.id) {
                let (room, text) = (Cow::Owned(room.as_bytes().to_vec()), Cow::Borrowed(&b""[..]));
                effects.push(Effect::Room(RoomRequest { room, action: RoomAction::Part(text) }));
            }
            return;
        }
        let mut count = cx.relay.rooms_of(self.id).len();
        for room in rooms.split(',').filter(|room| !room.is_empty()) {
            let Ok(name) = RoomName::parse(room.as_bytes()) else {
                match room.starts_with('#') {
                    true => {
                        let text = "Bad channel name";
                        self.reply(&mut cx.notice_cx(), n::BAD_CHANNEL_MASK, &[room], text);
                    }
                    false => self.no_such_room(room, cx),
                }
                continue;
            };
            if cx.relay.is_member(self.id, name) {
                continue;
            }
            if count >= ROOMS_PER_USER_MAX {
                let text = "You have joined too many channels";
                self.reply(&mut cx.notice_cx(), n::TOO_MANY_CHANNELS, &[room], text);
                continue;
            }
            count += 1;
            effects.push(request(room, RoomAction::Join));
            self.push_continue(effects);
        }
    }

    pub(super) fn handle_part<'a>(
        &mut self,
        line: &Line<'a>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'a>,
    ) {
        let (rooms, text) = (line.param(0), line.param(1));
        if rooms.is_empty() {
            return self.need_more_params("PART", cx);
        }
        for room in rooms.split(',').filter(|room| !room.is_empty()) {
            if self.joined_room(room, cx).is_some() {
                effects.push(request(room, RoomAction::Part(Cow::Borrowed(text.as_bytes()))));
            }
        }
    }

    pub(super) fn handle_names(&mut self, line: &Line<'_>, cx: &mut SessionCx<'_>) {
        let rooms = line.param(0);
        if rooms.is_empty() {
            return self.reply(&mut cx.notice_cx(), n::END_OF_NAMES, &["*"], "End of NAMES list");
        }
        for room in rooms.split(',').take(IRC_TARGETS_MAX) {
            let cursor = MemberCursor::default();
            self.push_list(List::Names { room: room.into(), cursor }, cx);
        }
    }

    fn not_operator(&self, room: &str, text: &str, cx: &mut SessionCx<'_>) {
        self.reply(&mut cx.notice_cx(), n::NOT_OPERATOR, &[room], text);
    }

    pub(super) fn handle_list(&mut self, line: &Line<'_>, cx: &mut SessionCx<'_>) {
        let rooms = line.param(0);
        let is_name = |room: &str| room.starts_with('#') && !glob::is_mask(room);
        if !rooms.split(',').all(is_name) {
            let filter = RoomFilter::parse(rooms);
            return self.push_list(List::Rooms { after: None, filter }, cx);
        }
        self.reply(&mut cx.notice_cx(), n::LIST_START, &["Channel"], "Users  Name");
        for room in rooms.split(',') {
            let name = RoomName::parse(room.as_bytes()).ok();
            if let Some(report) = name.and_then(|name| cx.relay.find_room(name)) {
                let users = (report.members_here + report.members_elsewhere).to_string();
                let topic = topic_text(cx.relay, report.name);
                self.reply(&mut cx.notice_cx(), n::LIST, &[room, &users], &topic);
            }
        }
        self.reply(&mut cx.notice_cx(), n::LIST_END, &[], "End of LIST");
    }

    pub(super) fn handle_kick(&self, line: &Line<'_>, cx: &mut SessionCx<'_>) {
        if line.params.len() < 2 {
            return self.need_more_params("KICK", cx);
        }
        if self.joined_room(line.param(0), cx).is_some() {
            self.not_operator(line.param(0), "Nobody owns this channel", cx);
        }
    }

    pub(super) fn handle_mode(
        &mut self,
        line: &Line<'_>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) {
        let (target, modes) = (line.param(0), line.param(1));
        if target.is_empty() {
            return self.need_more_params("MODE", cx);
        }
        if !target.starts_with('#') {
            return self.handle_user_mode((target, modes), cx, effects);
        }
        if self.existing_room(target, cx).is_none() {
            return;
        }
        let is_list = matches!(modes, "b" | "+b") && line.params.len() == 2;
        match modes {
            "" => self.reply_words(&mut cx.notice_cx(), n::CHANNEL_MODE_IS, &[target, "+"]),
            _ if is_list => {
                let text = "End of channel ban list";
                self.reply(&mut cx.notice_cx(), n::END_OF_BAN_LIST, &[target], text);
            }
            _ => self.not_operator(target, "Nobody owns this channel", cx),
        }
    }

    fn handle_user_mode(
        &mut self,
        (target, modes): (&str, &str),
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) {
        let own_nick = self.own_nick(cx.relay.view());
        if ascii(&own_nick).eq_ignore_ascii_case(target) {
            self.set_modes(modes, cx, effects);
        } else if self.find_user(target, cx).is_some() {
            let text = "Can't change mode for other users";
            self.reply(&mut cx.notice_cx(), n::USERS_DONT_MATCH, &[], text);
        } else {
            self.no_such_nick(target, cx);
        }
    }
}
