//! `MONITOR`: which users come and go.

use super::Session;
use crate::limits::IRC_MONITORED_NICKS_MAX;
use crate::link::SendQueue;
use crate::names::Names;
use crate::relay::Relay;
use crate::wires::irc::line::{LINE_BYTES_MAX, Line};
use crate::wires::irc::numerics as n;
use crate::wires::irc::write::{Mask, ascii};
use crate::wires::{NoticeCx, SessionCx};

/// Maximum length of the nicks or masks in one line, in bytes: a nick of this server, and its own
/// name, are before them.
const TARGETS_BYTES_MAX: usize = LINE_BYTES_MAX - 120;

impl Session {
    pub(super) fn handle_monitor(&mut self, line: &Line<'_>, cx: &mut SessionCx<'_>) {
        let nicks = line.param(1).split(',').filter(|nick| !nick.is_empty());
        match line.param(0) {
            "+" => self.monitor(nicks, cx),
            "-" => {
                let monitored = self.monitored.get_or_insert_default();
                for nick in nicks {
                    if let Some(at) = position(monitored, nick) {
                        monitored.swap_remove(at);
                        cx.names.nicks.unwatch(cx.link, nick.as_bytes());
                    }
                }
            }
            "C" | "c" => self.forget_monitored(cx.names),
            "L" | "l" => {
                let nicks = self.monitored.iter().flat_map(|nicks| nicks.iter());
                let nicks: Vec<String> = nicks.map(|nick| nick.to_string()).collect();
                let cx = &mut cx.notice_cx();
                self.reply_targets(cx, n::MONITOR_LIST, &nicks);
                self.reply(cx, n::END_OF_MONITOR_LIST, &[], "End of MONITOR list");
            }
            "S" | "s" => {
                let nicks = self.monitored.iter().flat_map(|nicks| nicks.iter());
                let nicks: Vec<String> = nicks.map(|nick| nick.to_string()).collect();
                self.send_monitored(&nicks, cx);
            }
            _ => self.need_more_params("MONITOR", cx),
        }
    }

    /// Adds nicks, and sends which of them are online.
    fn monitor<'a>(&mut self, nicks: impl Iterator<Item = &'a str>, cx: &mut SessionCx<'_>) {
        self.link = Some(cx.link);
        let (mut added, mut refused) = (Vec::new(), Vec::new());
        let monitored = self.monitored.get_or_insert_default();
        for nick in nicks {
            if position(monitored, nick).is_none() {
                if monitored.len() == IRC_MONITORED_NICKS_MAX {
                    refused.push(nick.to_owned());
                    continue;
                }
                monitored.push(nick.into());
                cx.names.nicks.watch(cx.link, nick.as_bytes());
            }
            added.push(nick.to_owned());
        }
        self.send_monitored(&added, cx);
        if !refused.is_empty() {
            let (max, text) = (IRC_MONITORED_NICKS_MAX.to_string(), "Monitor list is full");
            let words = [&*max, &refused.join(",")];
            self.reply(&mut cx.notice_cx(), n::MONITOR_LIST_FULL, &words, text);
        }
    }

    /// Sends which of some nicks are online, and which are not.
    fn send_monitored(&self, nicks: &[String], cx: &mut SessionCx<'_>) {
        let (mut online, mut offline) = (Vec::new(), Vec::new());
        for nick in nicks {
            match self.find_user(nick, cx) {
                Some(host) => online.push(Mask::of_host(host, &cx.notice_cx()).to_text()),
                None => offline.push(nick.clone()),
            }
        }
        let cx = &mut cx.notice_cx();
        self.reply_targets(cx, n::MONITOR_ONLINE, &online);
        self.reply_targets(cx, n::MONITOR_OFFLINE, &offline);
    }

    /// Sends replies with nicks or masks, as many as fit into each.
    fn reply_targets(&self, cx: &mut NoticeCx<'_>, code: u16, targets: &[String]) {
        let mut text = String::new();
        for target in targets {
            if !text.is_empty() && text.len() + target.len() >= TARGETS_BYTES_MAX {
                self.reply(cx, code, &[], &text);
                text.clear();
            }
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(target);
        }
        if !text.is_empty() {
            self.reply(cx, code, &[], &text);
        }
    }

    /// Sends which of the nicks that the client watches have come and gone.
    pub(super) fn write_monitor_events(
        &self,
        relay: &Relay,
        names: &mut Names,
        queue: &mut SendQueue,
    ) {
        let Some(link) = self.link else { return };
        let events = names.nicks.take_events(link);
        let unix_time = std::time::Duration::ZERO; // these replies have no time
        let cx = &mut NoticeCx { view: relay.view(), names, queue, unix_time };
        for event in events {
            let host = names.nicks.find_user(&event.nick, relay.hosts());
            match host.filter(|_| event.is_online) {
                Some(host) => {
                    let mask = Mask::of_host(host, cx).to_text();
                    self.reply(cx, n::MONITOR_ONLINE, &[], &mask);
                }
                None if event.is_online => {} // and has left since
                None => self.reply(cx, n::MONITOR_OFFLINE, &[], ascii(&event.nick)),
            }
        }
    }

    /// Lets the client watch no nicks.
    pub(super) fn forget_monitored(&mut self, names: &mut Names) {
        let Some(link) = self.link else { return };
        for nick in self.monitored.take().into_iter().flat_map(|nicks| *nicks) {
            names.nicks.unwatch(link, nick.as_bytes());
        }
        names.nicks.take_events(link);
    }
}

fn position(nicks: &[Box<str>], nick: &str) -> Option<usize> {
    nicks.iter().position(|known| known.eq_ignore_ascii_case(nick))
}
