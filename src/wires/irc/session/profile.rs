//! What users say of themselves: `AWAY`, `SETNAME`, and the mode of programs.

use std::borrow::Cow;

use super::Session;
use super::rooms::{BOT_MODE, USER_MODES};
use crate::id::HostId;
use crate::limits::{IRC_AWAY_BYTES_MAX, IRC_CHANGE_INTERVAL, IRC_REAL_NAME_BYTES_MAX};
use crate::relay::profile::{Profile, ProfileChange};
use crate::relay::{Host, HostTable};
use crate::wires::irc::caps::Caps;
use crate::wires::irc::line::Line;
use crate::wires::irc::numerics as n;
use crate::wires::irc::text::truncated;
use crate::wires::irc::write::{Mask, parse_info, registered_name};
use crate::wires::{Effect, Effects, NoticeCx, SessionCx};

impl Session {
    /// Returns what the client says of itself.
    fn own_profile<'r>(&self, cx: &SessionCx<'r>) -> Profile<'r> {
        cx.relay.hosts().profile(self.id)
    }

    /// Returns whether the client may change its nick or its profile now, each of which all servers
    /// are sent. If not, the line is handled again later.
    pub(super) fn may_change(&mut self, cx: &SessionCx<'_>, effects: &mut Effects<'_>) -> bool {
        if self.next_change_at.is_some_and(|at| at > cx.now) {
            self.retry_at = self.next_change_at;
            effects.push(Effect::Defer);
            return false;
        }
        self.next_change_at = Some(cx.now + IRC_CHANGE_INTERVAL);
        true
    }

    pub(super) fn handle_away<'a>(
        &mut self,
        line: &Line<'a>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'a>,
    ) {
        let text = truncated(line.param(0), IRC_AWAY_BYTES_MAX);
        if self.own_profile(cx).away != text.as_bytes() {
            if !self.may_change(cx, effects) {
                return;
            }
            let text = Cow::Owned(text.as_bytes().to_vec());
            effects.push(Effect::Profile(ProfileChange::Away(text)));
        }
        let (code, reply) = match text {
            "" => (n::UN_AWAY, "You are no longer marked as being away"),
            _ => (n::NOW_AWAY, "You have been marked as being away"),
        };
        self.reply(&mut cx.notice_cx(), code, &[], reply);
    }

    /// Sends the text of a user who is away, if it is.
    pub(super) fn send_away_of(&self, id: HostId, nick: &str, cx: &mut SessionCx<'_>) {
        let text = cx.relay.hosts().profile(id).away;
        if !text.is_empty() {
            let text = String::from_utf8_lossy(text);
            self.reply(&mut cx.notice_cx(), n::AWAY, &[nick], &text);
        }
    }

    pub(super) fn handle_setname<'a>(
        &mut self,
        line: &Line<'a>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'a>,
    ) {
        let name = line.param(0);
        if line.params.is_empty() {
            return self.need_more_params("SETNAME", cx);
        }
        if name.is_empty() || name.len() > IRC_REAL_NAME_BYTES_MAX {
            let (cx, text) = (&mut cx.notice_cx(), "Realname is not valid");
            return self
                .begin_line(cx, "FAIL")
                .words(&["SETNAME", "INVALID_REALNAME"])
                .text(&[text]);
        }
        let host = cx.relay.hosts().get(self.id);
        let registered = host.and_then(|host| parse_info(host.info())).map(|(_, name)| name);
        // With the name of the registration, there is nothing to say beside that.
        let changed = if registered == Some(name) { "" } else { name };
        if self.own_profile(cx).real_name != changed.as_bytes() {
            if !self.may_change(cx, effects) {
                return;
            }
            let changed = Cow::Owned(changed.as_bytes().to_vec());
            effects.push(Effect::Profile(ProfileChange::RealName(changed)));
        }
        if self.caps.has(Caps::SETNAME) {
            let cx = &mut cx.notice_cx();
            let mask = self.own_mask(cx);
            self.begin_event(cx, &mask, "SETNAME").text(&[name]);
        }
    }

    /// Sets the modes of the client, and sends it what has changed, or its modes.
    pub(super) fn set_modes(
        &mut self,
        modes: &str,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) {
        let was_bot = self.own_profile(cx).is_program;
        let (mut sign, mut is_bot) = ('+', was_bot);
        for mode in modes.chars() {
            match mode {
                '+' | '-' => sign = mode,
                BOT_MODE => is_bot = sign == '+',
                mode if USER_MODES.contains(mode) => {}
                _ => {
                    let text = "Unknown MODE flag";
                    return self.reply(&mut cx.notice_cx(), n::UNKNOWN_MODE_FLAG, &[], text);
                }
            }
        }
        if is_bot == was_bot {
            let modes = if is_bot { format!("+{BOT_MODE}") } else { "+".to_owned() };
            return self.reply_words(&mut cx.notice_cx(), n::USER_MODE_IS, &[&modes]);
        }
        if !self.may_change(cx, effects) {
            return;
        }
        effects.push(Effect::Profile(ProfileChange::Program(is_bot)));
        let cx = &mut cx.notice_cx();
        let mask = self.own_mask(cx);
        let sign = if is_bot { '+' } else { '-' };
        let change = format!("{sign}{BOT_MODE}");
        self.begin_event(cx, &mask, "MODE").word(mask.nick()).text(&[&change]);
    }

    /// Writes that a user is away or back, if the client wants to know.
    pub(super) fn write_away(&self, user: HostId, text: &[u8], cx: &mut NoticeCx<'_>) {
        if !self.caps.has(Caps::AWAY_NOTIFY) {
            return;
        }
        let mask = Mask::of(user, b"", cx.view, cx.names);
        let line = self.begin_event(cx, &mask, "AWAY");
        match text {
            b"" => line.end(),
            text => line.text(&[&String::from_utf8_lossy(text)]),
        }
    }

    /// Writes that a user is away who has joined a room of the client.
    pub(super) fn write_away_of_joined(&self, user: HostId, cx: &mut NoticeCx<'_>) {
        let text = cx.view.hosts.profile(user).away;
        if !text.is_empty() && user != self.id {
            self.write_away(user, text, cx);
        }
    }

    /// Writes the new real name of a user, if the client wants to know.
    pub(super) fn write_real_name(&self, user: HostId, cx: &mut NoticeCx<'_>) {
        let Some(host) = cx.view.hosts.get(user).filter(|_| self.caps.has(Caps::SETNAME)) else {
            return;
        };
        let name = real_name_of(host, cx.view.hosts);
        let mask = Mask::of_host(host, cx);
        self.begin_event(cx, &mask, "SETNAME").text(&[&name]);
    }
}

/// Returns the real name of a user: the one that it has given last on this wire, and its info on
/// others.
pub(super) fn real_name_of<'r>(host: &'r Host, hosts: &'r HostTable) -> Cow<'r, str> {
    match hosts.profile(host.id).real_name {
        b"" => registered_name(host.info()),
        name => String::from_utf8_lossy(name),
    }
}
