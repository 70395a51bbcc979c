//! Accounting: what a server has accepted has been sent on, refused, dropped and counted, or is
//! kept.
//!
//! Each chat of a scenario has a text of its own, so it is seen on every link that it crosses. One
//! that did not arrive, and was seen last at a server that still runs, must be in that server's
//! mail store, or the server has answered it, or counts it among what it has dropped. A chat that
//! was seen last on its way over a connection that has ended was lost with that.

use std::collections::BTreeMap;

use crc::relay::message::{Message, StatusCode};
use crc::wires::crc::codec;

use super::chats::{Place, SentChat};
use super::player::Player;
use super::{Predicate, Violation};
use crate::sim::PipeEnd;
use crate::sim::observer::ObservedFrame;

/// Chats that a server has: its index in the world, their source and their destination.
pub(super) type ChatKey = (usize, u32, u32);

impl Player<'_> {
    /// Counts the answer of a server that an id is unknown, or does not get a chat.
    pub(super) fn observe_answer(&mut self, frame: &ObservedFrame) {
        let Message::Status { source, destination, code, text } = codec::parse_frame(&frame.bytes)
        else {
            return;
        };
        let Some(server) = frame.from.server() else { return };
        let id = match code {
            StatusCode::UNKNOWN_ID => text.strip_prefix(b"Unknown ID "),
            _ => text.strip_prefix(b"Not delivered to ID "),
        };
        let id = id.and_then(|rest| rest.split(|&byte| byte == b':').next());
        let unknown = id.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
        let sender = match frame.to {
            PipeEnd::Client(client) => {
                self.users.values().find(|user| user.client == client).map(|user| user.id)
            }
            _ => Some(destination.0),
        };
        if let (Some(sender), Some(unknown)) = (sender, unknown)
            && !self.is_of_another(source.0, server)
        {
            *self.answered.entry((server, sender, unknown)).or_default() += 1;
        }
    }

    /// Returns whether no answer is seen twice: one that was sent over a link which is lost is sent
    /// again over the next.
    fn is_answered_once(&self, (server, sender, _): ChatKey) -> bool {
        let mut users = self.users.values().filter(|user| user.id == sender);
        !self.scenario.has_faults() || users.any(|user| self.servers[user.home] == Some(server))
    }

    /// Returns whether an id is that of another server than the one with this index in the world,
    /// which may have taken another id since. Two servers that have the same id are in two parts of
    /// the network, and each answers for itself.
    fn is_of_another(&self, id: u32, server: usize) -> bool {
        // An answer of one that has ended may still arrive.
        let has_ended = |at: usize| self.servers[at].is_none();
        let others = (0..self.servers.len()).filter(|&at| self.is_plain(at) || has_ended(at));
        let others = others.map(|at| (self.scenario.servers[at].first_id(at), at));
        let ids = self.server_ids().chain(others);
        let mut holders =
            ids.filter(|&(it, _)| it == id).map(|(_, at)| self.servers[at]).peekable();
        holders.peek().is_some() && holders.all(|holder| holder != Some(server))
    }

    /// Checks that no server has swallowed a chat, while nothing is on its way.
    pub(super) fn check_accounting(&mut self) -> Result<(), Violation> {
        self.settle_received();
        self.check_begun_mail()?;
        let mut owed: BTreeMap<ChatKey, Vec<usize>> = BTreeMap::new();
        for (at, chat) in self.chats.iter().enumerate() {
            if let Some(server) = self.holder(chat) {
                owed.entry((server, chat.source, chat.to)).or_default().push(at);
            }
        }
        let mut unanswered: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (key, mut chats) in owed {
            let answered = self.answered.get(&key).copied().unwrap_or(0);
            chats.truncate(chats.len().saturating_sub(answered));
            unanswered.entry(key.0).or_default().extend(chats);
        }
        for (server, chats) in unanswered {
            let Some(node) = self.world.node(server) else { continue };
            let counters = node.relay().counters();
            // Users of the direct wire are sent no answer.
            let is_sent_once = |key: &ChatKey| key.0 == server && self.is_answered_once(*key);
            let answers = self.answered.iter().filter(|(key, _)| is_sent_once(key));
            let answers: usize = answers.map(|(_, &count)| count).sum();
            let dropped = counters.false_sources
                + counters.unroutable
                + counters.lost
                + node.spool().refused()
                + node.undelivered()
                + counters.unknown_ids.saturating_sub(answers as u64);
            if chats.len() as u64 > dropped {
                let label = &self.world.servers[server].label;
                let text = format!(
                    "{label} has neither sent on, answered nor counted as dropped ({dropped}) the \
                     chats {chats:?}"
                );
                return Err(self.violation(Predicate::Accounting, text));
            }
        }
        Ok(())
    }

    /// Returns the running server at which a chat was seen last, unless it was delivered or is
    /// kept.
    fn holder(&self, chat: &SentChat) -> Option<usize> {
        let Place::Sent(end @ PipeEnd::Server { server, .. }, position) = chat.place else {
            return None;
        };
        let observer = self.world.observer.as_ref().expect("an observer");
        let is_kept = || chat.mail.as_ref().is_some_and(|mail| self.is_stored(chat, &mail.label));
        let is_held = !chat.is_delivered
            && self.world.node(server).is_some()
            && observer.is_handled(end, position)
            && !is_kept();
        is_held.then_some(server)
    }

    /// Returns whether the mail store of a label has a chat.
    fn is_stored(&self, chat: &SentChat, label: &str) -> bool {
        self.world.mails(label).any(|mail| *mail.text == *chat.text)
    }

    /// Records that ends which read have handled all that they have received.
    fn settle_received(&mut self) {
        let ends: Vec<PipeEnd> = self.world.net.pipes.keys().copied().collect();
        let now = self.world.now();
        for end in ends {
            let PipeEnd::Server { server, link } = end else { continue };
            if self.world.node(server).is_some_and(|node| node.wants_read(link)) {
                self.world.observer.as_mut().expect("an observer").set_handled(now, end);
            }
        }
    }
}
