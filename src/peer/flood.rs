//! What is said: to one addressee by way of everyone, kept by all until its receipt has come.

use std::fmt;

use super::inbox::Offer;
use super::kept::Ended;
use super::wire::{Body, Chat, MessageId, Receipt};
use super::{Event, Peer};
use crate::limits::{PEER_RETAINED_AGE_MAX, PEER_TEXT_BYTES_MAX};
use crate::link::{LinkId, Time};

/// Why something cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SayError {
    /// This peer has no id yet.
    NotReady,
    /// Ids are positive.
    NoSuchId(i64),
    /// The text has so many bytes.
    TooLong(usize),
    /// So many messages of this peer's wait for their receipts that no more are taken.
    Full,
}

impl fmt::Display for SayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady => f.write_str("this peer has no id yet"),
            Self::NoSuchId(id) => write!(f, "{id} is not an id: they are positive"),
            Self::TooLong(bytes) => {
                write!(f, "a text of {bytes} bytes, the longest allowed is {PEER_TEXT_BYTES_MAX}")
            }
            Self::Full => f.write_str("too much is kept for those who are not there: not sent"),
        }
    }
}

impl std::error::Error for SayError {}

impl Peer {
    /// Says something to a peer, wherever and whenever it is there.
    ///
    /// # Errors
    /// See [`SayError`]; then nothing is sent.
    pub fn say(&mut self, now: Time, to: i64, text: &str) -> Result<MessageId, SayError> {
        self.now = now;
        let from = self.id().ok_or(SayError::NotReady)?;
        let life = self.network.own().life;
        if to <= 0 {
            return Err(SayError::NoSuchId(to));
        }
        if text.len() > PEER_TEXT_BYTES_MAX {
            return Err(SayError::TooLong(text.len()));
        }
        if self.kept.is_own_half_full() {
            return Err(SayError::Full);
        }
        let first_kept = |to| self.kept.first_number(life, to);
        let number = self.said.next(to, |to| first_kept(to).is_some());
        let base = first_kept(to).unwrap_or(number);
        let chat = Chat { life, number, from, to, base, age_ms: 0, text: text.to_owned() };
        let id = chat.id();
        if to == from {
            self.events.push_back(Event::Chat { from, to, text: chat.text });
            self.events.push_back(Event::Receipt { from, message: id });
            return Ok(id);
        }
        self.pass_on(chat, None);
        self.settle();
        Ok(id)
    }

    /// Keeps a message that is met for the first time, and tells all but the link it came from.
    pub(super) fn pass_on(&mut self, chat: Chat, from: Option<LinkId>) {
        if !self.pairs.meet(self.now, chat.id()) {
            return;
        }
        let is_own = chat.life == self.network.own().life;
        let evicted = self.kept.insert(self.now, chat.clone(), is_own);
        for id in evicted {
            self.pairs.give_up(id);
            self.given_up += 1;
        }
        self.links.flood(Body::Chat(chat), from);
    }

    pub(super) fn handle_chat(&mut self, link: LinkId, chat: Chat) {
        let id = chat.id();
        if u128::from(chat.age_ms) >= PEER_RETAINED_AGE_MAX.as_millis() {
            return;
        }
        if !self.kept.contains(id) && self.pairs.is_receipted(id) {
            return self.links.say(link, Body::Receipt(Receipt::of(id, false)));
        }
        if chat.life == self.network.own().life {
            return; // a copy of its own; or a forgery, which nobody here has said
        }
        if Some(chat.to) == self.id() {
            self.offer(chat, link);
        } else {
            self.pass_on(chat, Some(link));
        }
    }

    fn offer(&mut self, chat: Chat, link: LinkId) {
        let id = chat.id();
        let network = &self.network;
        let late = match self.inbox.offer(self.now, chat, |life| network.knows(life)) {
            Offer::Show(chats) => return self.show(chats),
            Offer::Waits => {
                self.early += 1;
                return;
            }
            Offer::Again => false,
            Offer::Late => true,
        };
        self.late += u64::from(late);
        self.links.say(link, Body::Receipt(Receipt::of(id, late)));
    }

    fn show(&mut self, chats: Vec<Chat>) {
        for chat in chats {
            self.links.flood(Body::Receipt(Receipt::of(chat.id(), false)), None);
            let Chat { from, to, text, .. } = chat;
            self.events.push_back(Event::Chat { from, to, text });
        }
    }

    /// Takes a receipt for a message that is kept, and for that alone.
    pub(super) fn handle_receipt(&mut self, link: LinkId, receipt: Receipt) {
        let id = receipt.id();
        let Some(Ended { chat, is_own }) = self.kept.remove(id) else { return };
        if receipt.late {
            self.pairs.give_up(id);
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
        while let Some(Ended { chat, is_own }) = self.kept.expire(self.now) {
            self.pairs.give_up(chat.id());
            if is_own {
                let text = format!("{} has not been there: a message is given up", chat.to);
                self.events.push_back(Event::Error { text });
            } else {
                self.given_up += 1;
            }
        }
        while let Some(chats) = self.inbox.expire(self.now, |life| self.network.knows(life)) {
            self.show(chats);
        }
    }
}
