//! `WHO` and WHOX.

use super::Session;
use super::lists::List;
use super::profile::real_name_of;
use crate::relay::{Host, MemberCursor, Relay};
use crate::room::RoomName;
use crate::wires::irc::glob;
use crate::wires::irc::line::Line;
use crate::wires::irc::numerics as n;
use crate::wires::irc::whox::{FIELDS, WhoFields};
use crate::wires::irc::write::{HOST, server_name, user_name};
use crate::wires::{NoticeCx, SessionCx};

impl Session {
    pub(super) fn handle_who(&mut self, line: &Line<'_>, cx: &mut SessionCx<'_>) {
        let (target, fields) = (line.param(0), WhoFields::parse(line.param(1)));
        if let Ok(room) = RoomName::parse(target.as_bytes()) {
            if cx.relay.find_room(room).is_some() {
                let (room, cursor) = (target.into(), MemberCursor::default());
                return self.push_list(List::Who { room, cursor, fields }, cx);
            }
        } else if glob::is_mask(target) {
            let mask = target.into();
            return self.push_list(List::WhoMask { mask, next_slot: 0, fields }, cx);
        } else if let Some(host) = cx.names.nicks.find_user(target.as_bytes(), cx.relay.hosts()) {
            let relay = cx.relay;
            self.write_who("*", host, &fields, relay, &mut cx.notice_cx());
        }
        self.reply(&mut cx.notice_cx(), n::END_OF_WHO, &[target], "End of WHO list");
    }

    /// Writes the reply about one user.
    pub(super) fn write_who(
        &self,
        room: &str,
        host: &Host,
        fields: &WhoFields,
        relay: &Relay,
        cx: &mut NoticeCx<'_>,
    ) {
        let nick = Self::nick_text(host, cx);
        let user = user_name(host.id, host.info());
        let home = home_name(host, relay);
        let hops = hops_to(host, relay).to_string();
        let real_name = real_name_of(host, relay.hosts());
        let profile = relay.hosts().profile(host.id);
        let flags = match (profile.away.is_empty(), profile.is_program) {
            (true, true) => "HB",
            (true, false) => "H",
            (false, true) => "GB",
            (false, false) => "G",
        };
        let Some(wanted) = &fields.fields else {
            let words = [room, &user, HOST, &home, &nick, flags];
            return self.reply(cx, n::WHO_REPLY, &words, &format!("{hops} {real_name}"));
        };
        let mut reply = self.begin_reply(cx, n::WHOX_REPLY);
        let has_real_name = wanted.contains('r');
        for field in FIELDS.chars().filter(|&field| field != 'r' && wanted.contains(field)) {
            reply = reply.word(match field {
                't' => &fields.token,
                'c' => room,
                'u' => &user,
                'i' => "255.255.255.255",
                'h' => HOST,
                's' => &home,
                'n' => &nick,
                'f' => flags,
                'd' => &hops,
                'o' => "n/a",
                _ => "0", // idle time and account: not known, and none
            });
        }
        match has_real_name {
            true => reply.text(&[&real_name]),
            false => reply.end(),
        }
    }
}

/// Returns the name of the server that a user is connected to, or that stands for it here.
pub(super) fn home_name(host: &Host, relay: &Relay) -> String {
    let home = relay.hosts().get(relay.home_id(host)).map(Host::name);
    server_name(home.unwrap_or(&relay.identity().name)).into_owned()
}

/// Returns the number of servers between a user and this server.
fn hops_to(host: &Host, relay: &Relay) -> usize {
    let home = relay.hosts().get(relay.home_id(host));
    home.and_then(|home| relay.server_report(home)).and_then(|report| report.hops).unwrap_or(0)
}
