//! The session of an IRC client: its state, and the dispatch of its commands.

mod help;
mod labels;
mod lists;
mod mail;
mod messages;
mod monitor;
mod notices;
mod own_text;
mod profile;
mod queries;
mod registration;
mod renames;
mod reply;
mod rooms;
mod splits;
mod topics;
mod who;

use std::borrow::Cow;
use std::collections::VecDeque;

use self::labels::Label;
use self::lists::List;
use self::mail::UnstoredQueue;
use self::registration::Pending;
use self::renames::Rename;
use super::caps::Caps;
use super::line::{self, Line, LineError};
use super::numerics as n;
use super::write::server_name;
use crate::id::HostId;
use crate::limits::{IRC_PING_INTERVAL, IRC_PING_TIMEOUT, Limits, QUEUE_LOW_WATER_BYTES};
use crate::link::{CloseReason, LinkId, SendQueue, Time};
use crate::names::Names;
use crate::names::nick::Nick;
use crate::relay::notice::{Notice, RoomChats};
use crate::relay::{Displaced, Interests, Relay};
use crate::wires::{
    Effect, Effects, NoticeCx, RecentRecipients, RoomFrames, RunMatcher, SessionCx, Wire,
};

/// The session of one IRC client.
#[derive(Clone, Debug)]
pub struct Session {
    /// The client's id in the network; [`HostId::NONE`] before its registration.
    id: HostId,
    caps: Caps,
    /// Whether the client is a user.
    is_registered: bool,
    /// Whether the session is registered as a reader of the nicks.
    is_reader: bool,
    /// Whether the rest of a line that is too long is skipped.
    is_skipping: bool,
    /// Whether the client is registered again under another nick.
    is_renaming: bool,
    /// Whether further texts to the latest recipient may be forwarded like the last one.
    continues_run: bool,
    /// Whether the client was sent `PING` and no line of it has arrived since.
    is_pinged: bool,
    /// Whether deferred input can be handled.
    can_resume: bool,
    /// Number of [`Effect::Continue`] that belong to the command that is being handled.
    continues: u16,
    /// When a line of the client was handled last.
    received_at: Time,
    /// When a deferred line is handled again.
    retry_at: Option<Time>,
    /// When the client may change its nick or its profile next.
    next_change_at: Option<Time>,
    /// The users who are expected to come back under another nick.
    #[expect(
        clippy::box_collection,
        reason = "every idle client has this, and hardly any uses it"
    )]
    renames: Option<Box<Vec<Rename>>>,
    /// The user whose quit was shown last, and who has not joined since.
    last_quit: HostId,
    /// The link, once nicks are watched.
    link: Option<LinkId>,
    /// What is known before the registration.
    pending: Option<Box<Pending>>,
    label: Option<Box<Label>>,
    /// The lists that are being sent. Further lines wait for their end.
    #[expect(
        clippy::box_collection,
        reason = "every idle client has this, and hardly any uses it"
    )]
    lists: Option<Box<VecDeque<List>>>,
    recent_recipients: Option<Box<RecentRecipients<Nick>>>,
    /// The messages that the mailbox has not stored yet. Further lines wait until it has.
    unstored: Option<Box<UnstoredQueue>>,
    /// The nicks that the client watches.
    #[expect(
        clippy::box_collection,
        reason = "every idle client has this, and hardly any uses it"
    )]
    monitored: Option<Box<Vec<Box<str>>>>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            id: HostId::NONE,
            caps: Caps::default(),
            is_registered: false,
            is_reader: false,
            is_skipping: false,
            is_renaming: false,
            continues_run: false,
            is_pinged: false,
            can_resume: false,
            continues: 0,
            received_at: Time::default(),
            retry_at: None,
            next_change_at: None,
            renames: None,
            last_quit: HostId::NONE,
            link: None,
            pending: Some(Box::default()),
            label: None,
            lists: None,
            recent_recipients: None,
            unstored: None,
            monitored: None,
        }
    }
}

impl crate::wires::Session for Session {
    #[inline]
    fn wire(&self) -> Wire {
        Wire::IRC
    }

    fn clone_box(&self) -> Box<dyn crate::wires::Session> {
        Box::new(self.clone())
    }

    fn frame_len(&self, bytes: &[u8], _: &Limits) -> Result<Option<usize>, String> {
        Ok(line::frame_len(bytes))
    }

    fn on_frame<'a>(&mut self, frame: &'a [u8], cx: &mut SessionCx<'_>, effects: &mut Effects<'a>) {
        if self.lists.is_some() || cx.has_unacked_mail {
            return effects.push(Effect::Defer);
        }
        (self.received_at, self.is_pinged, self.continues_run) = (cx.now, false, false);
        let is_end = line::is_line_end(frame);
        if std::mem::replace(&mut self.is_skipping, !is_end) {
            return;
        }
        let parsed = if is_end { Line::parse(frame) } else { Err(LineError::TooLong) };
        match parsed {
            Ok(None) => {}
            Ok(Some(line)) => self.on_line(&line, cx, effects),
            Err(LineError::TooLong) => {
                self.reply(&mut cx.notice_cx(), n::INPUT_TOO_LONG, &[], "Input line was too long");
            }
            Err(LineError::NotUtf8(tags, command)) => {
                self.begin_label(tags, cx.queue);
                let text = "Message rejected, your client must use UTF-8";
                let cx = &mut cx.notice_cx();
                self.begin_line(cx, "FAIL").words(&[command, "INVALID_UTF8"]).text(&[text]);
                self.end_label(false, cx);
            }
        }
    }

    fn on_continue(&mut self, cx: &mut SessionCx<'_>, _: &mut Effects<'_>) {
        self.continues = self.continues.saturating_sub(1);
        let is_last = self.continues == 0;
        if is_last && self.is_renaming {
            self.is_renaming = false;
        }
        self.continue_registration(cx);
        self.write_lists(cx.relay, cx.names, cx.queue);
        if is_last {
            let has_more = self.lists.is_some() || self.unstored.is_some();
            self.end_label(has_more, &mut cx.notice_cx());
        }
    }

    fn on_notice(&mut self, notice: &Notice<'_>, cx: &mut NoticeCx<'_>) {
        self.handle_notice(notice, cx);
    }

    fn on_room_chats(
        &mut self,
        chats: &RoomChats<'_>,
        _: HostId,
        encoded: &mut RoomFrames,
        cx: &mut NoticeCx<'_>,
    ) {
        self.write_room_chats(chats, encoded, cx);
    }

    fn parse_room_text<'a>(
        &self,
        room: &[u8],
        bytes: &'a [u8],
        _: &Limits,
    ) -> Option<(&'a [u8], usize)> {
        // Each message that is shown to its sender is handled by itself.
        let waits = self.lists.is_some() || self.unstored.is_some();
        let is_silent = !self.caps.has(Caps::ECHO_MESSAGE) && !waits;
        line::parse_text_to(room, bytes).filter(|_| is_silent)
    }

    fn run_matcher(&self) -> Option<RunMatcher> {
        self.text_matcher()
    }

    fn on_chats<'a>(
        &mut self,
        (source, _): (HostId, HostId),
        cx: &mut NoticeCx<'_>,
        next_text: &mut dyn FnMut(&SendQueue) -> Option<&'a [u8]>,
    ) {
        self.write_chats(source, cx, next_text);
    }

    fn on_timer(&mut self, cx: &mut SessionCx<'_>, effects: &mut Effects<'_>) {
        self.can_resume = false;
        self.retry_at = self.retry_at.filter(|&at| at > cx.now);
        if !self.is_registered {
            return;
        }
        self.end_renames(cx);
        self.continue_lists(cx.relay, cx.names, cx.queue);
        let silence = cx.now.since(self.received_at);
        if self.is_pinged && silence >= IRC_PING_INTERVAL + IRC_PING_TIMEOUT {
            if cx.has_deferred_input {
                self.received_at = cx.now; // what waits may be the answer
                return;
            }
            let reason = CloseReason::Session("Ping timeout".to_owned());
            effects.push(Effect::Close(reason));
        } else if !self.is_pinged && silence >= IRC_PING_INTERVAL {
            self.is_pinged = true;
            let name = server_name(cx.relay.view().name).into_owned();
            self.begin_line(&mut cx.notice_cx(), "PING").text(&[&name]);
        }
    }

    fn deadline(&self) -> Option<Time> {
        let silent_at = self.received_at + IRC_PING_INTERVAL;
        let silent_at = if self.is_pinged { silent_at + IRC_PING_TIMEOUT } else { silent_at };
        let silent_at = self.is_registered.then_some(silent_at);
        let resume_at = self.can_resume.then(Time::default);
        let renames_end_at = self.renames_end_at();
        [silent_at, resume_at, self.retry_at, renames_end_at].into_iter().flatten().min()
    }

    fn interests(&self) -> Interests {
        Interests { users: false, room_events: true, reads_cut_frames: true }
    }

    fn on_registration_refused(&mut self, queue: &mut SendQueue) {
        queue.tail().extend_from_slice(b"ERROR :You cannot be registered now\r\n");
    }

    fn takes_other_id(&self) -> bool {
        self.is_registered
    }

    fn on_displaced(
        &mut self,
        user: &Displaced,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) {
        self.register_again(user, cx, effects);
    }

    fn is_behind(&self, _: &Names) -> bool {
        self.lists.is_some()
    }

    fn send_pending(&mut self, _: Time, relay: &Relay, names: &mut Names, queue: &mut SendQueue) {
        self.write_monitor_events(relay, names, queue);
        self.continue_lists(relay, names, queue);
    }

    fn on_closing(&mut self, reason: &CloseReason, _: bool, queue: &mut SendQueue) {
        match reason {
            CloseReason::PeerClosed | CloseReason::Io(_) | CloseReason::QueueFull { .. } => {}
            reason => {
                let text = reason.to_string().replace(['\r', '\n', '\0'], " ");
                let text = super::text::truncated(&text, line::LINE_BYTES_MAX - 40);
                let line = format!("ERROR :Closing link: {text}\r\n");
                queue.tail().extend_from_slice(line.as_bytes());
            }
        }
    }

    fn closed(&mut self, names: &mut Names) {
        self.forget_monitored(names);
        if std::mem::take(&mut self.is_reader) {
            names.nicks.remove_reader();
        }
    }
}

/// Returns a context for replies that have no time.
fn notice_cx<'a>(relay: &'a Relay, names: &'a Names, queue: &'a mut SendQueue) -> NoticeCx<'a> {
    NoticeCx { view: relay.view(), names, queue, unix_time: std::time::Duration::ZERO }
}

impl Session {
    /// Writes more of the lists that are due.
    fn continue_lists(&mut self, relay: &Relay, names: &Names, queue: &mut SendQueue) {
        if self.lists.is_some() && self.continues == 0 {
            self.resume_label(queue);
            self.write_lists(relay, names, queue);
            self.end_label(self.lists.is_some(), &mut notice_cx(relay, names, queue));
            self.can_resume |= self.lists.is_none();
        }
    }

    /// Handles a line, and ends its label once its effects have been applied.
    fn on_line<'a>(&mut self, line: &Line<'a>, cx: &mut SessionCx<'_>, effects: &mut Effects<'a>) {
        self.begin_label(line.tags, cx.queue);
        self.handle(line, cx, effects);
        if matches!(effects.as_slice(), [Effect::Defer]) {
            self.label = None;
            return;
        }
        if self.label.is_some() && self.continues == 0 {
            self.push_continue(effects);
        }
    }

    /// Lets the session go on once the effects so far have been applied.
    fn push_continue(&mut self, effects: &mut Effects<'_>) {
        self.continues += 1;
        effects.push(Effect::Continue);
    }

    fn handle<'a>(&mut self, line: &Line<'a>, cx: &mut SessionCx<'_>, effects: &mut Effects<'a>) {
        if self.is_registered && line.command.eq_ignore_ascii_case("PRIVMSG") {
            return self.handle_text(line, false, cx, effects);
        }
        let command = &*line.command.to_ascii_uppercase();
        match command {
            "CAP" => return self.handle_cap(line, cx, effects),
            "NICK" => return self.handle_nick(line, cx, effects),
            "USER" => return self.handle_user(line, cx, effects),
            "PASS" if self.is_registered => {
                let text = "You may not reregister";
                return self.reply(&mut cx.notice_cx(), n::ALREADY_REGISTERED, &[], text);
            }
            "PASS" => {
                if line.params.is_empty() {
                    self.need_more_params(command, cx);
                }
                return;
            }
            "PING" => return self.handle_ping(line, cx),
            "PONG" => return,
            "QUIT" => return self.handle_quit(line, effects),
            _ if !self.is_registered => {
                let text = "You have not registered";
                return self.reply(&mut cx.notice_cx(), n::NOT_REGISTERED, &[], text);
            }
            _ => {}
        }
        match command {
            "NOTICE" => self.handle_text(line, true, cx, effects),
            "TAGMSG" if self.caps.has(Caps::MESSAGE_TAGS) => self.handle_tagmsg(line, cx, effects),
            "JOIN" => self.handle_join(line, cx, effects),
            "PART" => self.handle_part(line, cx, effects),
            "NAMES" => self.handle_names(line, cx),
            "TOPIC" => self.handle_topic(line, cx, effects),
            "LIST" => self.handle_list(line, cx),
            "KICK" => self.handle_kick(line, cx),
            "INVITE" => self.handle_invite(line, cx, effects),
            "MODE" => self.handle_mode(line, cx, effects),
            "WHO" => self.handle_who(line, cx),
            "WHOIS" => self.handle_whois(line, cx),
            "WHOWAS" => self.handle_whowas(line, cx),
            "ISON" => self.handle_ison(line, cx),
            "USERHOST" => self.handle_userhost(line, cx),
            "AWAY" => self.handle_away(line, cx, effects),
            "SETNAME" => self.handle_setname(line, cx, effects),
            "MONITOR" => self.handle_monitor(line, cx),
            "LUSERS" => self.send_lusers(cx),
            "MOTD" => self.send_motd(cx),
            "VERSION" => self.handle_version(cx),
            "TIME" => self.handle_time(cx),
            "INFO" => self.handle_info(cx),
            "LINKS" => self.push_list(List::Links { next_slot: None, is_map: false }, cx),
            "MAP" => self.push_list(List::Links { next_slot: None, is_map: true }, cx),
            "HELP" | "HELPOP" => self.handle_help(line, cx),
            _ => {
                let words = &[line.command];
                self.reply(&mut cx.notice_cx(), n::UNKNOWN_COMMAND, words, "Unknown command");
            }
        }
    }

    /// Refuses a command that lacks parameters.
    fn need_more_params(&self, command: &str, cx: &mut SessionCx<'_>) {
        let text = "Not enough parameters";
        self.reply(&mut cx.notice_cx(), n::NEED_MORE_PARAMS, &[command], text);
    }

    fn handle_ping(&self, line: &Line<'_>, cx: &mut SessionCx<'_>) {
        let Some(&token) = line.params.first() else {
            return match self.is_registered {
                true => self.need_more_params("PING", cx),
                false => self.reply(&mut cx.notice_cx(), n::NO_ORIGIN, &[], "No origin specified"),
            };
        };
        let name = server_name(cx.relay.view().name).into_owned();
        self.begin_line(&mut cx.notice_cx(), "PONG").word(&name).text(&[token]);
    }

    fn handle_quit<'a>(&mut self, line: &Line<'a>, effects: &mut Effects<'a>) {
        self.label = None;
        effects.push(match self.is_registered {
            true => Effect::Quit { from: self.id, text: Cow::Borrowed(line.param(0).as_bytes()) },
            false => Effect::Close(CloseReason::Quit),
        });
    }

    /// Returns whether the queue has room for more of a list.
    fn has_room(queue: &SendQueue) -> bool {
        queue.len() < QUEUE_LOW_WATER_BYTES
    }
}
