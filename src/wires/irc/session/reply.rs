//! Replies to the client, and lines about what users do.

use super::Session;
use crate::names::nick::Nick;
use crate::relay::{Host, View};
use crate::wires::NoticeCx;
use crate::wires::irc::write::{LineWriter, Mask, ascii, server_name, time_tag, user_of};

impl Session {
    /// Returns the nick of the client, or `*` before its registration.
    pub(super) fn own_nick(&self, view: View<'_>) -> Nick {
        let name = view.hosts.get(self.id).map(Host::name).filter(|_| self.is_registered);
        Nick::from_slice(name.unwrap_or(b"*"))
    }

    /// Returns the mask of the client.
    pub(super) fn own_mask(&self, cx: &NoticeCx<'_>) -> Mask {
        let host = cx.view.hosts.get(self.id);
        Mask { nick: self.own_nick(cx.view), user: user_of(self.id, host) }
    }

    /// Begins a line of this server.
    pub(super) fn begin_line<'q>(&self, cx: &'q mut NoticeCx<'_>, command: &str) -> LineWriter<'q> {
        let name = server_name(cx.view.name);
        LineWriter::begin(cx.queue.tail(), &self.batch_tag(), &[&name]).word(command)
    }

    /// Begins a line about what a user does now.
    pub(super) fn begin_event<'q>(
        &self,
        cx: &'q mut NoticeCx<'_>,
        mask: &Mask,
        command: &str,
    ) -> LineWriter<'q> {
        let tags = time_tag(self.caps, cx.unix_time);
        LineWriter::begin(cx.queue.tail(), &tags, &mask.source()).word(command)
    }

    /// Begins a numeric reply.
    pub(super) fn begin_reply<'q>(&self, cx: &'q mut NoticeCx<'_>, code: u16) -> LineWriter<'q> {
        let nick = self.own_nick(cx.view);
        self.begin_line(cx, &format!("{code:03}")).word(ascii(&nick))
    }

    /// Sends a numeric reply.
    pub(super) fn reply(&self, cx: &mut NoticeCx<'_>, code: u16, words: &[&str], text: &str) {
        self.begin_reply(cx, code).words(words).text(&[text]);
    }

    /// Sends a numeric reply whose last parameter is a word.
    pub(super) fn reply_words(&self, cx: &mut NoticeCx<'_>, code: u16, words: &[&str]) {
        self.begin_reply(cx, code).words(words).end();
    }
}
