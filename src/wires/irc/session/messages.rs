//! Texts of the client to users and rooms.

use std::borrow::Cow;

use super::Session;
use super::mail::is_for_people;
use super::own_text::OwnText;
use crate::limits::{FRAME_HEADROOM_BYTES, IRC_TARGETS_MAX};
use crate::relay::Host;
use crate::relay::notice::{NOTICE_MARK, Notice};
use crate::room::RoomName;
use crate::wires::irc::caps::Caps;
use crate::wires::irc::line::{Line, parse_text_to};
use crate::wires::irc::numerics as n;
use crate::wires::irc::write::{LineWriter, ascii, client_tags, parse_info};
use crate::wires::{
    Effect, Effects, NoticeCx, RoomAction, RoomRequest, RunKey, RunMatcher, SessionCx,
};

/// The [`crate::wires::MatchChat`] of this wire. The key is the length of a nick, and the nick.
fn match_text<'a>(key: &RunKey, bytes: &'a [u8], _: usize) -> Option<(&'a [u8], usize)> {
    parse_text_to(key.get(1..=key[0].into())?, bytes)
}

/// Returns whether a user is on this wire.
fn is_irc(host: &Host) -> bool {
    parse_info(host.info()).is_some()
}

impl Session {
    /// Handles `PRIVMSG` and `NOTICE`. The latter is never answered with an error.
    pub(super) fn handle_text<'a>(
        &mut self,
        line: &Line<'a>,
        is_notice: bool,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'a>,
    ) {
        let (targets, text) = (line.param(0), line.param(1));
        let command = if is_notice { "NOTICE" } else { "PRIVMSG" };
        if targets.is_empty() {
            return self.refuse_text(command, n::NO_RECIPIENT, &[], "No recipient given", cx);
        }
        if text.is_empty() {
            return self.refuse_text(command, n::NO_TEXT_TO_SEND, &[], "No text to send", cx);
        }
        if !is_notice && cx.spool.is_congested() && self.is_mail(targets, cx) {
            return effects.push(Effect::Defer);
        }
        self.send_to_all(targets, &self.own_text(command, line, text), cx, effects);
    }

    /// Handles `TAGMSG`, which users of other wires are not sent.
    pub(super) fn handle_tagmsg<'a>(
        &mut self,
        line: &Line<'a>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'a>,
    ) {
        let targets = line.param(0);
        if targets.is_empty() {
            return self.need_more_params("TAGMSG", cx);
        }
        self.send_to_all(targets, &self.own_text("TAGMSG", line, ""), cx, effects);
    }

    fn own_text<'a>(&self, command: &'static str, line: &Line<'a>, text: &'a str) -> OwnText<'a> {
        let tags = match self.caps.has(Caps::MESSAGE_TAGS) && !line.tags.is_empty() {
            true => client_tags(line.tags.as_bytes()),
            false => String::new(),
        };
        OwnText { command, tags, text }
    }

    fn refuse_text(
        &self,
        command: &str,
        code: u16,
        words: &[&str],
        text: &str,
        cx: &mut SessionCx<'_>,
    ) {
        if command != "NOTICE" {
            self.reply(&mut cx.notice_cx(), code, words, text);
        }
    }

    /// Sends a text to targets with commas between them.
    fn send_to_all<'a>(
        &mut self,
        targets: &'a str,
        text: &OwnText<'a>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'a>,
    ) {
        let text_bytes = text.tags.len() + text.text.len();
        let is_too_long = text_bytes + FRAME_HEADROOM_BYTES > cx.limits.frame_bytes_max;
        for (index, target) in targets.split(',').enumerate() {
            if index == IRC_TARGETS_MAX {
                let (code, why) = (n::TOO_MANY_TARGETS, "Too many targets");
                return self.refuse_text(text.command, code, &[target], why, cx);
            }
            if is_too_long {
                let (code, why) = (n::CANNOT_SEND, "The text is too long");
                self.refuse_text(text.command, code, &[target], why, cx);
                continue;
            }
            let result = match target.starts_with('#') {
                true => self.send_to_room(target, text, cx, effects),
                false => self.send_to_user(target, text, cx, effects),
            };
            if let Err((code, why)) = result {
                self.refuse_text(text.command, code, &[target], why, cx);
            }
        }
    }

    /// Shows the client its own text, if it wants that.
    pub(super) fn echo(&self, target: &str, text: &OwnText<'_>, cx: &mut NoticeCx<'_>) {
        let OwnText { command, tags, text } = text;
        let is_known = !text.is_empty() || self.caps.has(Caps::MESSAGE_TAGS);
        if self.caps.has(Caps::ECHO_MESSAGE) && is_known {
            let mask = self.own_mask(cx);
            let tags = self.in_batch(self.tags_of(self.id, tags.as_bytes(), cx));
            let line = LineWriter::begin(cx.queue.tail(), &tags, &mask.source()).word(command);
            let line = line.word(target);
            match *text {
                "" => line.end(),
                text => line.text(&[text]),
            }
        }
    }

    /// # Errors
    /// The numeric and the text with which it is refused.
    fn send_to_room<'a>(
        &self,
        target: &'a str,
        text: &OwnText<'a>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'a>,
    ) -> Result<(), (u16, &'static str)> {
        let name = RoomName::parse(target.as_bytes()).ok();
        let name = name.filter(|&name| cx.relay.find_room(name).is_some());
        let Some(name) = name else { return Err((n::NO_SUCH_CHANNEL, "No such channel")) };
        if !cx.relay.is_member(self.id, name) {
            return Err((n::CANNOT_SEND, "You are not in this channel"));
        }
        let (room, bytes) = (Cow::Borrowed(target.as_bytes()), text.encode());
        if !bytes.is_empty() {
            effects.push(Effect::Room(RoomRequest { room, action: RoomAction::Chat(bytes) }));
        }
        self.echo(target, text, &mut cx.notice_cx());
        Ok(())
    }

    /// # Errors
    /// The numeric and the text with which it is refused.
    fn send_to_user<'a>(
        &mut self,
        target: &'a str,
        text: &OwnText<'a>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'a>,
    ) -> Result<(), (u16, &'static str)> {
        // Notices and requests of programs are for now or never.
        let may_wait = text.command == "PRIVMSG" && is_for_people(text.text);
        let Some(host) = self.find_recipient(target, cx) else {
            let Some(to) = self.mailbox_of(target, cx).filter(|_| may_wait) else {
                return Err((n::NO_SUCH_NICK, "No such nick/channel"));
            };
            self.send_mail((target, to), (text.text, false), cx, effects);
            return Ok(());
        };
        if let Some(to) = Self::delivery_to(host, cx).filter(|_| may_wait) {
            self.send_mail((target, to), (text.text, true), cx, effects);
            return Ok(());
        }
        let (from, to) = (self.id, host.id);
        let nick = cx.names.nicks.nick(to, host.name());
        let bytes = match is_irc(host) {
            true => text.encode(),
            false => Cow::Borrowed(text.text.as_bytes()),
        };
        self.echo(target, text, &mut cx.notice_cx());
        if text.command == "PRIVMSG" {
            self.send_away_of(to, ascii(&nick), cx);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        if to == from {
            let begin = cx.queue.len();
            let notice = Notice::Chat { source: to, destination: to, text: &bytes };
            self.handle_notice(&notice, &mut cx.notice_cx());
            self.hold_behind_label(begin, cx.queue);
        } else {
            // What has tags, is answered or is shown to the client is handled for each text.
            let is_plain = text.command == "PRIVMSG" && text.tags.is_empty();
            let is_here = cx.relay.hosts().profile(to).away.is_empty();
            let is_silent = is_here && !self.caps.has(Caps::ECHO_MESSAGE);
            self.continues_run = is_plain && is_silent && self.unstored.is_none();
            self.recent_recipients.get_or_insert_default().push(to, nick);
            effects.push(Effect::Chat { from, to, text: bytes });
        }
        Ok(())
    }

    /// Returns what recognizes further lines with a text to the recipient of the last one.
    pub(super) fn text_matcher(&self) -> Option<RunMatcher> {
        let recent = self.recent_recipients.as_ref().filter(|_| self.continues_run)?;
        let nick = recent.latest_name()?;
        let mut key = RunKey::default();
        key[0] = u8::try_from(nick.len()).ok()?;
        key.get_mut(1..=nick.len())?.copy_from_slice(nick);
        Some(RunMatcher { key, match_chat: match_text })
    }

    /// Handles an invitation. It reaches users of other wires as a text.
    pub(super) fn handle_invite<'a>(
        &mut self,
        line: &Line<'a>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'a>,
    ) {
        let (nick, room) = (line.param(0), line.param(1));
        if room.is_empty() {
            return self.need_more_params("INVITE", cx);
        }
        let Some(host) = self.find_user(nick, cx) else { return self.no_such_nick(nick, cx) };
        let Some(name) = self.joined_room(room, cx) else { return };
        if cx.relay.is_member(host.id, name) {
            let text = "is already on channel";
            return self.reply(&mut cx.notice_cx(), n::USER_ON_CHANNEL, &[nick, room], text);
        }
        let text = match is_irc(host) {
            true => [&[NOTICE_MARK, NOTICE_MARK], room.as_bytes()].concat(),
            false => format!("You are invited to {room}").into_bytes(),
        };
        effects.push(Effect::Chat { from: self.id, to: host.id, text: Cow::Owned(text) });
        self.reply_words(&mut cx.notice_cx(), n::INVITING, &[nick, room]);
        self.send_away_of(host.id, nick, cx);
    }
}
