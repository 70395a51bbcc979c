//! Questions about users and this server.

use super::Session;
use super::profile::real_name_of;
use super::registration::VERSION;
use super::who::home_name;
use crate::relay::Host;
use crate::wires::SessionCx;
use crate::wires::irc::line::Line;
use crate::wires::irc::numerics as n;
use crate::wires::irc::text::format_time;
use crate::wires::irc::write::{HOST, Mask, ascii, registered_name, server_name, user_name};

/// Maximum number of nicks of one `USERHOST`.
const USERHOST_NICKS_MAX: usize = 5;

/// Maximum length of the names of rooms in one line of `WHOIS`, in bytes.
const WHOIS_ROOMS_BYTES_MAX: usize = 300;

/// What `INFO` replies.
const INFO: [&str; 3] = [
    "A chat relay: its users are on this wire and on others, and its servers form a tree.",
    "Rooms are channels. They exist while somebody is in them, and nobody owns them.",
    "The manual is docs/IRC.md of the program.",
];

impl Session {
    /// Returns the user that is shown under a nick.
    pub(super) fn find_user<'r>(&self, nick: &str, cx: &SessionCx<'r>) -> Option<&'r Host> {
        cx.names.nicks.find_user(nick.as_bytes(), cx.relay.hosts())
    }

    pub(super) fn no_such_nick(&self, nick: &str, cx: &mut SessionCx<'_>) {
        self.reply(&mut cx.notice_cx(), n::NO_SUCH_NICK, &[nick], "No such nick/channel");
    }

    pub(super) fn handle_whois(&self, line: &Line<'_>, cx: &mut SessionCx<'_>) {
        // With two parameters, the first is the server that is asked: each knows the same.
        let asked = line.params.get(1).or(line.params.first()).copied().unwrap_or_default();
        let asked = asked.split(',').next().unwrap_or_default();
        if asked.is_empty() {
            return self.reply(&mut cx.notice_cx(), n::NO_NICK_GIVEN, &[], "No nickname given");
        }
        let Some(host) = self.find_user(asked, cx) else {
            self.no_such_nick(asked, cx);
            let text = "End of WHOIS list";
            return self.reply(&mut cx.notice_cx(), n::END_OF_WHOIS, &[asked], text);
        };
        let relay = cx.relay;
        let out = &mut cx.notice_cx();
        let nick = &Self::nick_text(host, out);
        let user = user_name(host.id, host.info());
        let real_name = real_name_of(host, relay.hosts());
        self.reply(out, n::WHOIS_USER, &[nick, &user, HOST, "*"], &real_name);
        let mut rooms = String::new();
        for room in relay.rooms_of(host.id) {
            let name = String::from_utf8_lossy(room.as_bytes());
            if !rooms.is_empty() && rooms.len() + name.len() >= WHOIS_ROOMS_BYTES_MAX {
                self.reply(out, n::WHOIS_CHANNELS, &[nick], &rooms);
                rooms.clear();
            }
            if !rooms.is_empty() {
                rooms.push(' ');
            }
            rooms.push_str(&name);
        }
        if !rooms.is_empty() {
            self.reply(out, n::WHOIS_CHANNELS, &[nick], &rooms);
        }
        let home = home_name(host, relay);
        let text = format!("id {} in the network", host.id);
        self.reply(out, n::WHOIS_SERVER, &[nick, &home], &text);
        if relay.hosts().profile(host.id).is_program {
            self.reply(out, n::WHOIS_BOT, &[nick], "is a program");
        }
        self.send_away_of(host.id, nick, cx);
        let text = "End of WHOIS list";
        self.reply(&mut cx.notice_cx(), n::END_OF_WHOIS, &[nick], text);
    }

    pub(super) fn handle_whowas(&self, line: &Line<'_>, cx: &mut SessionCx<'_>) {
        let nick = line.param(0);
        if nick.is_empty() {
            return self.reply(&mut cx.notice_cx(), n::NO_NICK_GIVEN, &[], "No nickname given");
        }
        let count_max = line.param(1).parse().ok().filter(|&count| count > 0);
        let home = server_name(&cx.relay.identity().name).into_owned();
        let past: Vec<_> = cx
            .names
            .nicks
            .past_users(nick.as_bytes())
            .take(count_max.unwrap_or(usize::MAX))
            .cloned()
            .collect();
        if past.is_empty() {
            let text = "There was no such nickname";
            self.reply(&mut cx.notice_cx(), n::WAS_NO_SUCH_NICK, &[nick], text);
        }
        for past in past {
            let user = user_name(past.id, &past.info);
            let (nick, real_name) = (ascii(&past.nick), registered_name(&past.info));
            let out = &mut cx.notice_cx();
            self.reply(out, n::WHOWAS_USER, &[nick, &user, HOST, "*"], &real_name);
            let text = format_time(past.left_at);
            self.reply(out, n::WHOIS_SERVER, &[nick, &home], &text);
        }
        self.reply(&mut cx.notice_cx(), n::END_OF_WHOWAS, &[nick], "End of WHOWAS");
    }

    pub(super) fn handle_ison(&self, line: &Line<'_>, cx: &mut SessionCx<'_>) {
        if line.params.is_empty() {
            return self.need_more_params("ISON", cx);
        }
        let nicks = line.params.iter().flat_map(|param| param.split_ascii_whitespace());
        let found: Vec<&str> = nicks.filter(|nick| self.find_user(nick, cx).is_some()).collect();
        self.reply(&mut cx.notice_cx(), n::IS_ON, &[], &found.join(" "));
    }

    pub(super) fn handle_userhost(&self, line: &Line<'_>, cx: &mut SessionCx<'_>) {
        if line.params.is_empty() {
            return self.need_more_params("USERHOST", cx);
        }
        let mut found = Vec::new();
        for nick in line.params.iter().take(USERHOST_NICKS_MAX) {
            if let Some(host) = self.find_user(nick, cx) {
                let mask = Mask::of_host(host, &cx.notice_cx());
                let is_here = cx.relay.hosts().profile(host.id).away.is_empty();
                let sign = if is_here { '+' } else { '-' };
                found.push(format!("{}={sign}{}@{HOST}", mask.nick(), &*mask.user));
            }
        }
        self.reply(&mut cx.notice_cx(), n::USER_HOST, &[], &found.join(" "));
    }

    pub(super) fn handle_version(&self, cx: &mut SessionCx<'_>) {
        let cx = &mut cx.notice_cx();
        let name = server_name(cx.view.name).into_owned();
        self.reply(cx, n::VERSION, &[VERSION, &name], "");
        self.send_isupport(cx);
    }

    pub(super) fn handle_time(&self, cx: &mut SessionCx<'_>) {
        let cx = &mut cx.notice_cx();
        let (name, time) = (server_name(cx.view.name).into_owned(), format_time(cx.unix_time));
        self.reply(cx, n::TIME, &[&name], &time);
    }

    pub(super) fn handle_info(&self, cx: &mut SessionCx<'_>) {
        let cx = &mut cx.notice_cx();
        self.reply(cx, n::INFO, &[], VERSION);
        for text in INFO {
            self.reply(cx, n::INFO, &[], text);
        }
        self.reply(cx, n::END_OF_INFO, &[], "End of INFO list");
    }
}
