//! What is said: to one addressee by way of everyone, kept by all until its receipt has come.

use std::fmt;

use super::inbox::ReceiveOutcome;
use super::retained::Removed;
use super::wire::{Body, Chat, MessageId, Receipt};
use super::{Event, Peer};
use crate::limits::{PEER_RETAINED_AGE_MAX, PEER_TEXT_BYTES_MAX};
use crate::link::{LinkId, Time};

/// Why something cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// This peer has no id yet.
    NotReady,
    /// Ids are positive.
    InvalidId(i64),
    /// The text has so many bytes.
    TooLong(usize),
    /// So many messages of this peer's wait for their receipts that no more are taken.
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady => f.write_str("this peer has no id yet"),
            Self::InvalidId(id) => write!(f, "{id} is not an id: they are positive"),
            Self::TooLong(bytes) => {
                write!(f, "a text of {bytes} bytes, the longest allowed is {PEER_TEXT_BYTES_MAX}")
            }
            Self::Full => f.write_str("too much is kept for those who are not there: not sent"),
        }
    }
}

impl std::error::Error for SendError {}

impl Peer {
    /// Says something to a peer, wherever and whenever it is there.
    ///
    /// # Errors
    /// See [`SendError`]; then nothing is sent.
    pub fn send(&mut self, now: Time, to: i64, text: &str) -> Result<MessageId, SendError> {
        self.now = now;
        let from = self.id().ok_or(SendError::NotReady)?;
        let incarnation = self.topology.own().incarnation;
        if to <= 0 {
            return Err(SendError::InvalidId(to));
        }
        if text.len() > PEER_TEXT_BYTES_MAX {
            return Err(SendError::TooLong(text.len()));
        }
        if self.retained.is_own_share_full() {
            return Err(SendError::Full);
        }
        let first_retained = |to| self.retained.first_sequence(incarnation, to);
        let sequence = self.sequences.next(to, |to| first_retained(to).is_some());
        let first_unacked = first_retained(to).unwrap_or(sequence);
        let chat = Chat {
            incarnation,
            sequence,
            from,
            to,
            first_unacked,
            age_ms: 0,
            text: text.to_owned(),
        };
        let id = chat.id();
        if to == from {
            self.events.push_back(Event::Chat { from, to, text: chat.text });
            self.events.push_back(Event::Receipt { from, message: id });
            return Ok(id);
        }
        self.retain_and_flood(chat, None);
        self.run_pending();
        Ok(id)
    }

    /// Keeps a message that is met for the first time, and tells all but the link it came from.
    pub(super) fn retain_and_flood(&mut self, chat: Chat, from_link: Option<LinkId>) {
        if !self.seen.insert(self.now, chat.id()) {
            return;
        }
        let is_own = chat.incarnation == self.topology.own().incarnation;
        let evicted = self.retained.insert(self.now, chat.clone(), is_own);
        for id in evicted {
            self.seen.mark_dropped(id);
            self.dropped += 1;
        }
        self.links.flood(Body::Chat(chat), from_link);
    }

    pub(super) fn handle_chat(&mut self, link: LinkId, chat: Chat) {
        let id = chat.id();
        if u128::from(chat.age_ms) >= PEER_RETAINED_AGE_MAX.as_millis() {
            return;
        }
        if !self.retained.contains(id) && self.seen.has_receipt(id) {
            return self.links.send(link, Body::Receipt(Receipt::for_message(id, false)));
        }
        if chat.incarnation == self.topology.own().incarnation {
            return; // a copy of its own; or a forgery, which nobody here has said
        }
        if Some(chat.to) == self.id() {
            self.accept_chat(chat, link);
        } else {
            self.retain_and_flood(chat, Some(link));
        }
    }

    fn accept_chat(&mut self, chat: Chat, link: LinkId) {
        let id = chat.id();
        let topology = &self.topology;
        let is_late = match self
            .inbox
            .receive(self.now, chat, |incarnation| topology.is_known(incarnation))
        {
            ReceiveOutcome::Deliver(chats) => return self.deliver(chats),
            ReceiveOutcome::Buffered => {
                self.out_of_order += 1;
                return;
            }
            ReceiveOutcome::Duplicate => false,
            ReceiveOutcome::Late => true,
        };
        self.late += u64::from(is_late);
        self.links.send(link, Body::Receipt(Receipt::for_message(id, is_late)));
    }

    fn deliver(&mut self, chats: Vec<Chat>) {
        for chat in chats {
            self.links.flood(Body::Receipt(Receipt::for_message(chat.id(), false)), None);
            let Chat { from, to, text, .. } = chat;
            self.events.push_back(Event::Chat { from, to, text });
        }
    }

    /// Takes a receipt for a message that is kept, and for that alone.
    pub(super) fn handle_receipt(&mut self, link: LinkId, receipt: Receipt) {
        let id = receipt.id();
        let Some(Removed { chat, is_own }) = self.retained.remove(id) else { return };
        if receipt.late {
            self.seen.mark_dropped(id);
        }
        self.links.flood(Body::Receipt(receipt), Some(link));
        if is_own {
            self.events.push_back(if receipt.late {
                let text = format!("a message to {} came too late to be shown", chat.to);
                Event::Error { text }
            } else {
                Event::Receipt { from: chat.to, message: id }
            });
        }
    }

    /// Lets go of what is too old, and shows what has waited long enough.
    pub(super) fn advance_messages(&mut self) {
        while let Some(Removed { chat, is_own }) = self.retained.pop_expired(self.now) {
            self.seen.mark_dropped(chat.id());
            if is_own {
                let text = format!("{} has not been there: a message is given up", chat.to);
                self.events.push_back(Event::Error { text });
            } else {
                self.dropped += 1;
            }
        }
        while let Some(chats) =
            self.inbox.pop_expired(self.now, |incarnation| self.topology.is_known(incarnation))
        {
            self.deliver(chats);
        }
    }
}
