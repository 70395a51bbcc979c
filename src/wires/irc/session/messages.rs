//! Texts of the client to users and rooms.

use std::borrow::Cow;

use super::Session;
use crate::limits::{FRAME_HEADROOM_BYTES, IRC_TARGETS_MAX};
use crate::relay::Host;
use crate::relay::notice::{NOTICE_MARK, Notice};
use crate::room::RoomName;
use crate::wires::irc::caps::Caps;
use crate::wires::irc::line::{Line, parse_text_to};
use crate::wires::irc::numerics as n;
use crate::wires::irc::write::{LineWriter, ascii, parse_info};
use crate::wires::{Effect, Effects, RoomAction, RoomRequest, RunKey, RunMatcher, SessionCx};

/// Returns a text as the network carries it: notices to users and rooms of this wire have a mark.
fn marked(text: &str, is_notice: bool) -> Cow<'_, [u8]> {
    match is_notice {
        true => Cow::Owned([&[NOTICE_MARK], text.as_bytes()].concat()),
        false => Cow::Borrowed(text.as_bytes()),
    }
}

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
        let refuse = |session: &Self, code, words: &[&str], text: &str, cx: &mut SessionCx<'_>| {
            if !is_notice {
                session.reply(&mut cx.notice_cx(), code, words, text);
            }
        };
        if targets.is_empty() {
            return refuse(self, n::NO_RECIPIENT, &[], "No recipient given", cx);
        }
        if text.is_empty() {
            return refuse(self, n::NO_TEXT_TO_SEND, &[], "No text to send", cx);
        }
        let is_too_long = text.len() + FRAME_HEADROOM_BYTES > cx.limits.frame_bytes_max;
        for (index, target) in targets.split(',').enumerate() {
            if index == IRC_TARGETS_MAX {
                return refuse(self, n::TOO_MANY_TARGETS, &[target], "Too many targets", cx);
            }
            if is_too_long {
                refuse(self, n::CANNOT_SEND, &[target], "The text is too long", cx);
                continue;
            }
            let result = match target.starts_with('#') {
                true => self.send_to_room(target, (text, is_notice), cx, effects),
                false => self.send_to_user(target, (text, is_notice), cx, effects),
            };
            if let Err((code, text)) = result {
                refuse(self, code, &[target], text, cx);
            }
        }
    }

    /// Shows the client its own text, if it wants that.
    fn echo(&self, target: &str, (text, is_notice): (&str, bool), cx: &mut SessionCx<'_>) {
        if self.caps.has(Caps::ECHO_MESSAGE) {
            let cx = &mut cx.notice_cx();
            let mask = self.own_mask(cx);
            let command = if is_notice { "NOTICE" } else { "PRIVMSG" };
            let tags = self.tags_of(self.id, cx);
            let line = LineWriter::begin(cx.queue.tail(), &tags, &mask.source()).word(command);
            line.word(target).text(&[text]);
        }
    }

    /// # Errors
    /// The numeric and the text with which it is refused.
    fn send_to_room<'a>(
        &self,
        target: &'a str,
        (text, is_notice): (&'a str, bool),
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'a>,
    ) -> Result<(), (u16, &'static str)> {
        let name = RoomName::parse(target.as_bytes()).ok();
        let name = name.filter(|&name| cx.relay.find_room(name).is_some());
        let Some(name) = name else { return Err((n::NO_SUCH_CHANNEL, "No such channel")) };
        if !cx.relay.is_member(self.id, name) {
            return Err((n::CANNOT_SEND, "You are not in this channel"));
        }
        let (room, text_bytes) = (Cow::Borrowed(target.as_bytes()), marked(text, is_notice));
        effects.push(Effect::Room(RoomRequest { room, action: RoomAction::Chat(text_bytes) }));
        self.echo(target, (text, is_notice), cx);
        Ok(())
    }

    /// # Errors
    /// The numeric and the text with which it is refused.
    fn send_to_user<'a>(
        &mut self,
        target: &'a str,
        (text, is_notice): (&'a str, bool),
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'a>,
    ) -> Result<(), (u16, &'static str)> {
        let Some(host) = self.find_user(target, cx) else {
            return Err((n::NO_SUCH_NICK, "No such nick/channel"));
        };
        let (from, to) = (self.id, host.id);
        let nick = cx.names.nicks.nick(to, host.name());
        let bytes = marked(text, is_notice && is_irc(host));
        self.echo(target, (text, is_notice), cx);
        if !is_notice {
            self.send_away_of(to, ascii(&nick), cx);
        }
        if to == from {
            let begin = cx.queue.len();
            let notice = Notice::Chat { source: to, destination: to, text: &bytes };
            self.handle_notice(&notice, &mut cx.notice_cx());
            self.hold_behind_label(begin, cx.queue);
        } else {
            // What is answered or shown to the client is handled for each text.
            let is_silent =
                !self.caps.has(Caps::ECHO_MESSAGE) && cx.relay.hosts().profile(to).away.is_empty();
            self.continues_run = !is_notice && is_silent;
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

    /// Handles tags without a text. The network carries no tags, so nobody is sent any.
    pub(super) fn handle_tagmsg(&self, line: &Line<'_>, cx: &mut SessionCx<'_>) {
        let targets = line.param(0);
        if targets.is_empty() {
            return self.need_more_params("TAGMSG", cx);
        }
        for target in targets.split(',').take(IRC_TARGETS_MAX) {
            match RoomName::parse(target.as_bytes()) {
                Ok(name) if cx.relay.find_room(name).is_none() => self.no_such_room(target, cx),
                Err(_) if self.find_user(target, cx).is_none() => self.no_such_nick(target, cx),
                _ => {}
            }
        }
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
