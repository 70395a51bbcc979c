//! What the relay has for the client, as lines.

use super::Session;
use super::lists::List;
use super::splits::{NETJOIN, NETSPLIT, shown_names};
use crate::id::HostId;
use crate::link::SendQueue;
use crate::names::nick::make_nick_alias;
use crate::relay::MemberCursor;
use crate::relay::marks::MarkedText;
use crate::relay::message::StatusCode;
use crate::relay::notice::{
    Departure, NOTICE_MARK, Notice, RoomChats, ServerPair, parse_unknown_id,
};
use crate::room::RoomName;
use crate::wires::irc::caps::Caps;
use crate::wires::irc::numerics as n;
use crate::wires::irc::write::{
    LineWriter, Mask, TextWriter, ascii, client_tags, text_tags, user_name,
};
use crate::wires::{NoticeCx, RoomFrames, Wire};

impl Session {
    pub(super) fn handle_notice(&mut self, notice: &Notice<'_>, cx: &mut NoticeCx<'_>) {
        match *notice {
            Notice::Chat { source, text, .. } => self.write_chat(source, text, cx),
            Notice::RoomChat { room, source, name, text, is_notice, tags, .. } => {
                let mask = Mask::of(source, name, cx.view, cx.names);
                let tags = self.tags_of(source, tags, cx);
                let room = String::from_utf8_lossy(room.as_bytes());
                let words = [text_command(is_notice), &room];
                TextWriter::new(&tags, &mask, words).write(text, cx.queue.tail());
            }
            Notice::Mail { mail, .. } => self.write_mail(&mail, cx),
            Notice::RoomJoined { room, user, name, joined_over } => {
                self.write_join(room, (user, name), joined_over, cx);
            }
            Notice::RoomParted { room, user, name, text, quit } => match quit {
                Some(quit) if self.hold_rename(room, (user, name), quit, cx) => {}
                Some(quit) => self.write_quit((user, name), quit, cx),
                None => self.write_part(room, (user, name), text, cx),
            },
            Notice::RoomTags { room, source, tags } => {
                let mask = Mask::of(source, b"", cx.view, cx.names);
                let room = String::from_utf8_lossy(room.as_bytes());
                self.write_tags((source, &mask), &room, tags, cx);
            }
            Notice::NickChanged(user) => self.write_shown_nick(user, cx),
            Notice::RoomTopic { room, user, name, text } => {
                let mask = Mask::of(user, name, cx.view, cx.names);
                let room = String::from_utf8_lossy(room.as_bytes());
                let line = self.begin_event(cx, &mask, "TOPIC").word(&room);
                line.text(&[&String::from_utf8_lossy(text)]);
            }
            Notice::Away { user, text } => self.write_away(user, text, cx),
            Notice::RealName { user, .. } => self.write_real_name(user, cx),
            Notice::RoomRefused { room, reason } => {
                let room = String::from_utf8_lossy(room);
                self.reply(cx, n::CANNOT_SEND, &[&room], reason);
            }
            Notice::UnknownId(id) => self.write_unknown(id, cx),
            Notice::Status { code, text, .. } => {
                match parse_unknown_id(text).filter(|_| code == StatusCode::UNKNOWN_ID) {
                    Some(id) => self.write_unknown(id, cx),
                    None => self.write_server_notice(text, cx),
                }
            }
            Notice::IdTaken { .. } | Notice::Kicked { .. } => {
                if let Some((_, text)) = notice.status() {
                    self.write_server_notice(&text, cx);
                }
            }
            Notice::MailKept => self.on_mail_kept(cx),
            Notice::MailRefused { reason, .. } => self.on_mail_refused(reason, cx),
            // The welcome follows once the registration is complete.
            Notice::Welcome { .. } | Notice::Joined(_) | Notice::Quit { .. } => {}
        }
    }

    /// Writes messages to a room once for all members that are sent the same.
    pub(super) fn write_room_chats(
        &self,
        chats: &RoomChats<'_>,
        encoded: &mut RoomFrames,
        cx: &mut NoticeCx<'_>,
    ) {
        let NoticeCx { view, names, queue, unix_time } = cx;
        let (has_time, has_tags) =
            (self.caps.has(Caps::SERVER_TIME), self.caps.has(Caps::MESSAGE_TAGS));
        let form = u8::from(has_time) | u8::from(has_tags) << 1;
        encoded.append((Wire::IRC, form), b"", queue.tail(), |out, _| {
            let mut tags = (false, text_tags(self.caps, *unix_time, false, b""));
            let room = String::from_utf8_lossy(chats.room.as_bytes());
            for chat in chats.texts {
                let mask = Mask::of(chat.source, chat.name, *view, names);
                let is_bot = view.hosts.profile(chat.source).is_program;
                if is_bot != tags.0 {
                    tags = (is_bot, text_tags(self.caps, *unix_time, is_bot, b""));
                }
                let words = [text_command(chat.is_notice), &room];
                if chat.tags.is_empty() {
                    TextWriter::new(&tags.1, &mask, words).write(chat.text, out);
                } else {
                    let tags = text_tags(self.caps, *unix_time, is_bot, chat.tags);
                    TextWriter::new(&tags, &mask, words).write(chat.text, out);
                }
            }
        });
    }

    /// Returns the tags of a text of a user, who has given some of them.
    pub(super) fn tags_of(&self, source: HostId, tags: &[u8], cx: &NoticeCx<'_>) -> String {
        let is_bot = cx.view.hosts.profile(source).is_program;
        text_tags(self.caps, cx.unix_time, is_bot, tags)
    }

    /// Writes tags without a text, if the client knows tags.
    pub(super) fn write_tags(
        &self,
        (source, mask): (HostId, &Mask),
        target: &str,
        tags: &[u8],
        cx: &mut NoticeCx<'_>,
    ) {
        if self.caps.has(Caps::MESSAGE_TAGS) && !client_tags(tags).is_empty() {
            let tags = self.tags_of(source, tags, cx);
            let line = LineWriter::begin(cx.queue.tail(), &tags, &mask.source());
            line.words(&["TAGMSG", target]).end();
        }
    }

    fn write_chat(&self, source: HostId, text: &[u8], cx: &mut NoticeCx<'_>) {
        let mask = Mask::of(source, b"", cx.view, cx.names);
        let info = cx.view.hosts.get(source).map_or(&[][..], |host| host.info());
        let MarkedText { tags, text, is_notice } = MarkedText::parse(text, info);
        let room = text.strip_prefix(&[NOTICE_MARK]).filter(|_| is_notice);
        let room = room.and_then(|room| RoomName::parse(room).ok());
        match room.and_then(|room| std::str::from_utf8(room.as_bytes()).ok()) {
            Some(room) => {
                let nick = self.own_nick(cx.view);
                self.begin_event(cx, &mask, "INVITE").words(&[ascii(&nick), room]).end();
            }
            None if text.is_empty() && !tags.is_empty() => {
                let nick = self.own_nick(cx.view);
                self.write_tags((source, &mask), ascii(&nick), tags, cx);
            }
            None => self.write_text_from((source, &mask), MarkedText { tags, text, is_notice }, cx),
        }
    }

    /// Writes chats of a user, who is looked up once.
    pub(super) fn write_chats<'a>(
        &self,
        source: HostId,
        cx: &mut NoticeCx<'_>,
        next_text: &mut dyn FnMut(&SendQueue) -> Option<&'a [u8]>,
    ) {
        let mask = Mask::of(source, b"", cx.view, cx.names);
        let writer = self.text_writer(source, &mask, MarkedText::default(), cx);
        while let Some(text) = next_text(cx.queue) {
            match text.first() {
                Some(&NOTICE_MARK) => self.write_chat(source, text, cx),
                _ => writer.write(text, cx.queue.tail()),
            }
        }
    }

    /// Writes a text to the client.
    pub(super) fn write_text_from(
        &self,
        (source, mask): (HostId, &Mask),
        text: MarkedText<'_>,
        cx: &mut NoticeCx<'_>,
    ) {
        self.text_writer(source, mask, text, cx).write(text.text, cx.queue.tail());
    }

    /// Returns what writes texts of a user to the client.
    fn text_writer(
        &self,
        source: HostId,
        mask: &Mask,
        like: MarkedText<'_>,
        cx: &NoticeCx<'_>,
    ) -> TextWriter {
        let (nick, tags) = (self.own_nick(cx.view), self.tags_of(source, like.tags, cx));
        TextWriter::new(&tags, mask, [text_command(like.is_notice), ascii(&nick)])
    }

    fn write_join(
        &mut self,
        room: RoomName<'_>,
        (user, name): (HostId, &[u8]),
        joined_over: Option<&ServerPair>,
        cx: &mut NoticeCx<'_>,
    ) {
        if self.last_quit == user {
            self.last_quit = HostId::NONE;
        }
        let is_own = user == self.id;
        if is_own && self.is_renaming {
            return; // the client has not left the room
        }
        if self.handle_join_of_renamed(room, (user, name), cx) {
            return;
        }
        let mask = Mask::of(user, name, cx.view, cx.names);
        let room = String::from_utf8_lossy(room.as_bytes());
        match joined_over {
            Some(pair) => {
                self.write_batched((NETJOIN, pair), &mask, cx, |line| {
                    line.word("JOIN").word(&room).end();
                });
            }
            None => self.begin_event(cx, &mask, "JOIN").word(&room).end(),
        }
        self.write_away_of_joined(user, cx);
        if is_own {
            let cursor = MemberCursor::default();
            let room: Box<str> = (*room).into();
            let lists = self.lists.get_or_insert_default();
            lists.push_back(List::Topic { room: room.clone() });
            lists.push_back(List::Names { room, cursor });
        }
    }

    fn write_part(
        &mut self,
        room: RoomName<'_>,
        (user, name): (HostId, &[u8]),
        text: &[u8],
        cx: &mut NoticeCx<'_>,
    ) {
        if user == self.id {
            self.forget_renames_in(room);
        }
        let mask = Mask::of(user, name, cx.view, cx.names);
        let room = String::from_utf8_lossy(room.as_bytes());
        let line = self.begin_event(cx, &mask, "PART").word(&room);
        match text {
            b"" => line.end(),
            text => line.text(&[&String::from_utf8_lossy(text)]),
        }
    }

    /// Writes that a user has left the network, once for all rooms.
    fn write_quit(
        &mut self,
        (user, name): (HostId, &[u8]),
        quit: Departure<'_>,
        cx: &mut NoticeCx<'_>,
    ) {
        if user == self.id || self.last_quit == user {
            return;
        }
        self.last_quit = user;
        let nick = cx.names.nicks.nick(user, name);
        let mask = Mask { nick, user: user_name(user, quit.info) };
        match quit.split {
            Some(pair) => {
                let names = shown_names(pair);
                self.write_batched((NETSPLIT, pair), &mask, cx, |line| {
                    line.word("QUIT").text(&[&names[0], " ", &names[1]]);
                });
            }
            None => {
                self.begin_event(cx, &mask, "QUIT").text(&[&String::from_utf8_lossy(quit.text)]);
            }
        }
    }

    /// Writes that a recipient of the client has left.
    fn write_unknown(&self, id: HostId, cx: &mut NoticeCx<'_>) {
        let recent = self.recent_recipients.as_ref().and_then(|recent| recent.name_of(id));
        let nick = recent.cloned().unwrap_or_else(|| make_nick_alias(b"", id));
        self.reply(cx, n::NO_SUCH_NICK, &[ascii(&nick)], "No such nick/channel");
    }

    fn write_server_notice(&self, text: &[u8], cx: &mut NoticeCx<'_>) {
        let nick = self.own_nick(cx.view);
        let text = String::from_utf8_lossy(text);
        self.begin_line(cx, "NOTICE").word(ascii(&nick)).text(&[&text]);
    }
}

/// Returns the command of a text.
fn text_command(is_notice: bool) -> &'static str {
    if is_notice { "NOTICE" } else { "PRIVMSG" }
}
