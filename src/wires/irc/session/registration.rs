//! The registration of a client: capabilities, nick, user, and the welcome. Changes of the nick.

use std::borrow::Cow;

use super::Session;
use super::rooms::{BOT_MODE, ROOM_MODES, USER_MODES};
use crate::id::HostId;
use crate::limits::{
    IRC_AWAY_BYTES_MAX, IRC_MONITORED_NICKS_MAX, IRC_REAL_NAME_BYTES_MAX, IRC_TARGETS_MAX,
    IRC_USER_BYTES_MAX, IRC_WORK_INTERVAL, MOTD_LINE_BYTES_MAX, ROOMS_PER_USER_MAX,
    TOPIC_BYTES_MAX,
};
use crate::link::CloseReason;
use crate::names::nick::{NICK_BYTES_MAX, is_nick, nick_ids};
use crate::relay::{Displaced, Host};
use crate::room::ROOM_NAME_BYTES_MAX;
use crate::wires::irc::caps::Caps;
use crate::wires::irc::line::{LINE_BYTES_MAX, Line};
use crate::wires::irc::numerics as n;
use crate::wires::irc::text::{for_each_piece, format_time};
use crate::wires::irc::write::{HOST, ascii, clean_user, encode_info, server_name};
use crate::wires::{Effect, Effects, NoticeCx, RoomAction, RoomRequest, SessionCx};

/// The version that clients are shown.
pub(super) const VERSION: &str = concat!("crc-", env!("CARGO_PKG_VERSION"));

/// What is known of a client before its registration.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    nick: Option<Box<str>>,
    /// User name and real name.
    user: Option<(String, String)>,
    /// Whether the client negotiates capabilities, and has not ended that.
    is_negotiating: bool,
}

/// Returns the first free id of a nick, or a random one to which nobody has sent anything.
pub(super) fn free_id(nick: &[u8], cx: &mut SessionCx<'_>) -> HostId {
    if let Some(id) = nick_ids(nick).into_iter().find(|&id| !cx.is_taken(id)) {
        return id;
    }
    let mut id = cx.unused_id();
    while cx.spool.has_mail(id.into()) {
        id = cx.unused_id();
    }
    id
}

impl Session {
    pub(super) fn handle_cap(
        &mut self,
        line: &Line<'_>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) {
        let subcommand = line.param(0).to_ascii_uppercase();
        let mut negotiates = false;
        match &*subcommand {
            "LS" => {
                negotiates = true;
                if line.param(1).parse::<u32>().is_ok_and(|version| version >= 302) {
                    self.caps.insert(Caps::CAP_NOTIFY);
                }
                self.send_cap("LS", &Caps::all_names(), cx);
            }
            "LIST" => self.send_cap("LIST", &self.caps.names(), cx),
            "REQ" => {
                negotiates = true;
                let request = line.param(1);
                let caps = self.caps.with_request(request);
                self.caps = caps.unwrap_or(self.caps);
                self.send_cap(if caps.is_some() { "ACK" } else { "NAK" }, request, cx);
            }
            "END" => {
                if let Some(pending) = &mut self.pending {
                    pending.is_negotiating = false;
                }
                self.try_register(cx, effects);
            }
            "" => self.need_more_params("CAP", cx),
            _ => {
                let words = &[line.param(0)];
                let text = "Invalid CAP command";
                self.reply(&mut cx.notice_cx(), n::INVALID_CAP_COMMAND, words, text);
            }
        }
        if let Some(pending) = self.pending.as_mut().filter(|_| negotiates) {
            pending.is_negotiating = true;
        }
    }

    fn send_cap(&self, subcommand: &str, names: &str, cx: &mut SessionCx<'_>) {
        let cx = &mut cx.notice_cx();
        let nick = self.own_nick(cx.view);
        self.begin_line(cx, "CAP").words(&[ascii(&nick), subcommand]).text(&[names]);
    }

    pub(super) fn handle_user(
        &mut self,
        line: &Line<'_>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) {
        let Some(pending) = &mut self.pending else {
            let text = "You may not reregister";
            return self.reply(&mut cx.notice_cx(), n::ALREADY_REGISTERED, &[], text);
        };
        if line.params.len() < 4 || line.param(0).is_empty() || line.param(3).is_empty() {
            return self.need_more_params("USER", cx);
        }
        pending.user = Some((clean_user(line.param(0)), line.param(3).to_owned()));
        self.try_register(cx, effects);
    }

    pub(super) fn handle_nick(
        &mut self,
        line: &Line<'_>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) {
        if !self.prepare_nicks(cx) {
            return effects.push(Effect::Defer);
        }
        let nick = line.param(0);
        if nick.is_empty() {
            return self.reply(&mut cx.notice_cx(), n::NO_NICK_GIVEN, &[], "No nickname given");
        }
        if !is_nick(nick.as_bytes()) {
            let text = "Erroneous nickname";
            return self.reply(&mut cx.notice_cx(), n::ERRONEOUS_NICK, &[nick], text);
        }
        let is_own = self.is_registered
            && cx.relay.hosts().get(self.id).map(Host::name) == Some(nick.as_bytes());
        if is_own {
            return;
        }
        let own_server = &cx.relay.identity().name;
        if cx.names.nicks.is_taken(nick.as_bytes(), self.id)
            || own_server.eq_ignore_ascii_case(nick.as_bytes())
        {
            let text = "Nickname is already in use";
            return self.reply(&mut cx.notice_cx(), n::NICK_IN_USE, &[nick], text);
        }
        match &mut self.pending {
            Some(pending) => {
                pending.nick = Some(nick.into());
                self.try_register(cx, effects);
            }
            None => self.change_nick(nick, cx, effects),
        }
    }

    /// Fills the table of nicks, a portion in each turn. Returns whether it is complete.
    fn prepare_nicks(&mut self, cx: &mut SessionCx<'_>) -> bool {
        if !std::mem::replace(&mut self.is_reader, true) {
            cx.names.nicks.add_reader();
        }
        let is_ready = cx.names.nicks.fill(cx.now, cx.relay);
        self.retry_at = (!is_ready).then(|| cx.now + IRC_WORK_INTERVAL);
        is_ready
    }

    /// Registers the client once its nick and user are known and it has its capabilities.
    fn try_register(&mut self, cx: &mut SessionCx<'_>, effects: &mut Effects<'_>) {
        let Some(pending) = &mut self.pending else { return };
        if pending.is_negotiating {
            return;
        }
        let (Some(nick), Some((user, real_name))) = (&pending.nick, &pending.user) else { return };
        if cx.names.nicks.is_taken(nick.as_bytes(), self.id) {
            let nick = pending.nick.take().unwrap_or_default(); // since it was given
            let text = "Nickname is already in use";
            return self.reply(&mut cx.notice_cx(), n::NICK_IN_USE, &[&nick], text);
        }
        if !cx.relay.has_room_for_user() {
            return effects.push(Effect::Close(CloseReason::TableFull));
        }
        let name = nick.as_bytes().to_vec();
        let info = encode_info(user, real_name).into_bytes();
        self.id = free_id(nick.as_bytes(), cx);
        let info = Some(Cow::Owned(info));
        effects.push(Effect::Register { id: self.id, name: Cow::Owned(name), info });
        self.push_continue(effects);
    }

    /// Registers the client again under another nick, and lets it join its rooms again.
    fn change_nick(&mut self, nick: &str, cx: &mut SessionCx<'_>, effects: &mut Effects<'_>) {
        if !self.may_change(cx, effects) {
            return;
        }
        let Some(host) = cx.relay.hosts().get(self.id) else { return };
        let info = Some(Cow::Owned(host.info().to_vec()));
        let mask = self.own_mask(&cx.notice_cx());
        self.begin_event(&mut cx.notice_cx(), &mask, "NICK").text(&[nick]);
        self.is_renaming = true;
        let name = Cow::Owned(nick.as_bytes().to_vec());
        effects.push(Effect::Register { id: self.id, name, info });
        for change in cx.relay.hosts().profile(self.id).changes() {
            effects.push(Effect::Profile(change));
        }
        for room in cx.relay.rooms_of(self.id) {
            let room = Cow::Owned(room.as_bytes().to_vec());
            effects.push(Effect::Room(RoomRequest { room, action: RoomAction::Join }));
        }
        self.push_continue(effects);
    }

    /// Registers a client that has lost its id under the next one of its nick, and lets it join its
    /// rooms again. The client itself is shown nothing of that.
    pub(super) fn register_again(
        &mut self,
        user: &Displaced,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) {
        self.id = free_id(&user.name, cx);
        self.is_renaming = true;
        let (name, info) = (Cow::Owned(user.name.to_vec()), Cow::Owned(user.info.to_vec()));
        effects.push(Effect::Register { id: self.id, name, info: Some(info) });
        effects.extend(user.profile.iter().cloned().map(Effect::Profile));
        for room in &user.rooms {
            let room = Cow::Owned(room.to_vec());
            effects.push(Effect::Room(RoomRequest { room, action: RoomAction::Join }));
        }
        self.push_continue(effects);
    }

    /// Welcomes the client once it is a user.
    pub(super) fn continue_registration(&mut self, cx: &mut SessionCx<'_>) {
        let is_user = cx.relay.hosts().get(self.id).is_some();
        if self.is_registered || !is_user || self.pending.take().is_none() {
            return;
        }
        self.is_registered = true;
        let out = &mut cx.notice_cx();
        let (nick, mask) = (self.own_nick(out.view), self.own_mask(out).to_text());
        let (nick, name) = (ascii(&nick), server_name(out.view.name).into_owned());
        let text = format!("Welcome to the Clemson Relay Chat network {nick}, {mask}");
        self.reply(out, n::WELCOME, &[], &text);
        let text = format!("Your host is {name}, running version {VERSION}");
        self.reply(out, n::YOUR_HOST, &[], &text);
        let started_at = cx.unix_time.saturating_sub(cx.now.since_start());
        let text = format!("This server was started at {}", format_time(started_at));
        let out = &mut cx.notice_cx();
        self.reply(out, n::CREATED, &[], &text);
        self.reply_words(out, n::MY_INFO, &[&name, VERSION, USER_MODES, ROOM_MODES]);
        self.send_isupport(out);
        self.send_lusers(cx);
        self.send_motd(cx);
    }

    /// Sends what this server supports.
    pub(super) fn send_isupport(&self, cx: &mut NoticeCx<'_>) {
        let first = [
            format!("AWAYLEN={IRC_AWAY_BYTES_MAX}"),
            format!("BOT={BOT_MODE}"),
            "CASEMAPPING=ascii".to_owned(),
            format!("CHANLIMIT=#:{ROOMS_PER_USER_MAX}"),
            "CHANMODES=b,,,".to_owned(),
            format!("CHANNELLEN={ROOM_NAME_BYTES_MAX}"),
            "CHANTYPES=#".to_owned(),
            "ELIST=MNU".to_owned(),
            format!("HOSTLEN={}", HOST.len()),
            format!("LINELEN={LINE_BYTES_MAX}"),
            format!("MAXTARGETS={IRC_TARGETS_MAX}"),
            "MODES=1".to_owned(),
        ];
        let second = [
            format!("MONITOR={IRC_MONITORED_NICKS_MAX}"),
            format!("NAMELEN={IRC_REAL_NAME_BYTES_MAX}"),
            "NETWORK=CRC".to_owned(),
            format!("NICKLEN={NICK_BYTES_MAX}"),
            "PREFIX=".to_owned(),
            "SAFELIST".to_owned(),
            format!(
                "TARGMAX=JOIN:,NAMES:{IRC_TARGETS_MAX},NOTICE:{IRC_TARGETS_MAX},PART:,\
                 PRIVMSG:{IRC_TARGETS_MAX},WHOIS:1"
            ),
            format!("TOPICLEN={TOPIC_BYTES_MAX}"),
            format!("USERLEN={IRC_USER_BYTES_MAX}"),
            "UTF8ONLY".to_owned(),
            "WHOX".to_owned(),
        ];
        for tokens in [&first[..], &second[..]] {
            let words: Vec<&str> = tokens.iter().map(String::as_str).collect();
            self.reply(cx, n::I_SUPPORT, &words, "are supported by this server");
        }
    }

    pub(super) fn send_lusers(&self, cx: &mut SessionCx<'_>) {
        let hosts = cx.relay.hosts();
        let (servers, own) = (hosts.server_count() + 1, cx.relay.own_host_count() as usize);
        let users = hosts.len() - hosts.server_count();
        let own = own.min(users);
        let (rooms, neighbours) = (cx.relay.room_count(), cx.relay.adjacent_server_count());
        let users_max = hosts.user_count_max();
        let own_max = (cx.relay.own_host_count_max() as usize).min(users_max);
        let cx = &mut cx.notice_cx();
        let text = format!("There are {users} users and 0 invisible on {servers} servers");
        self.reply(cx, n::LUSER_CLIENT, &[], &text);
        self.reply(cx, n::LUSER_OP, &["0"], "operator(s) online");
        self.reply(cx, n::LUSER_CHANNELS, &[&rooms.to_string()], "channels formed");
        let text = format!("I have {own} clients and {neighbours} servers");
        self.reply(cx, n::LUSER_ME, &[], &text);
        for (code, scope, now, max) in
            [(n::LOCAL_USERS, "local", own, own_max), (n::GLOBAL_USERS, "global", users, users_max)]
        {
            let text = format!("Current {scope} users {now}, max {max}");
            self.reply(cx, code, &[&now.to_string(), &max.to_string()], &text);
        }
    }

    pub(super) fn send_motd(&self, cx: &mut SessionCx<'_>) {
        let motd = cx.motd;
        let cx = &mut cx.notice_cx();
        if motd.is_empty() {
            return self.reply(cx, n::NO_MOTD, &[], "There is no message of the day");
        }
        let title = format!("- {} Message of the day - ", server_name(cx.view.name));
        self.reply(cx, n::MOTD_START, &[], &title);
        for_each_piece(motd.trim_end().as_bytes(), MOTD_LINE_BYTES_MAX, |parts| {
            self.reply(cx, n::MOTD, &[], &format!("- {}", parts.concat()));
        });
        self.reply(cx, n::END_OF_MOTD, &[], "End of MOTD");
    }
}
