//! Sending, forwarding and acknowledging chats.
//!
//! A chat to one addressee is flooded over all links, and every peer retains it until its receipt
//! arrives or it expires.

use std::fmt;

use super::inbox::ReceiveOutcome;
use super::retained::Removed;
use super::wire::{Body, Chat, MessageId, Receipt};
use super::{Event, Peer};
use crate::limits::{PEER_RETAINED_AGE_MAX, PEER_TEXT_BYTES_MAX};
use crate::link::{LinkId, Time};

/// Why a chat cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// This peer has no id yet.
    NotReady,
    /// The addressee is not a positive number.
    InvalidId(i64),
    /// The text, of this many bytes, is longer than [`PEER_TEXT_BYTES_MAX`].
    TooLong(usize),
    /// This peer has not joined the room.
    NotInRoom,
    /// This peer's unacknowledged messages take their whole share of the retained messages.
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady => f.write_str("this peer has no id yet: try again when it is ready"),
            Self::InvalidId(id) => write!(f, "{id} is not an id: they are positive"),
            Self::TooLong(bytes) => {
                write!(f, "a text of {bytes} bytes is too long: the maximum is {PEER_TEXT_BYTES_MAX}")
            }
            Self::NotInRoom => f.write_str("you are not in this room; join it first"),
            Self::Full => f.write_str(
                "not sent: too many messages wait for absent peers; try again when some have receipts",
            ),
        }
    }
}

impl std::error::Error for SendError {}

impl Peer {
    /// Sends a chat to the peer with id `to`, which need not be reachable now.
    ///
    /// # Errors
    /// Returns a [`SendError`] if the chat cannot be sent; then the state is unchanged.
    pub fn send(&mut self, now: Time, to: i64, text: &str) -> Result<MessageId, SendError> {
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
        self.retain_and_flood(now, chat, None);
        self.run_pending(now);
        Ok(id)
    }

    /// Retains a chat that is seen for the first time and forwards it to all links but the one that
    /// it came from. Ignores a chat that was seen before.
    pub(super) fn retain_and_flood(&mut self, now: Time, chat: Chat, from_link: Option<LinkId>) {
        if !self.seen.insert(now, chat.id()) {
            return;
        }
        let is_own = chat.incarnation == self.topology.own().incarnation;
        let evicted = self.retained.insert(now, chat.clone(), is_own);
        for id in evicted {
            self.seen.mark_dropped(id);
            self.dropped += 1;
        }
        self.links.flood(Body::Chat(chat), from_link);
    }

    /// Handles a received chat: acknowledges, delivers or forwards it.
    pub(super) fn handle_chat(&mut self, now: Time, link: LinkId, chat: Chat) {
        let id = chat.id();
        if u128::from(chat.age_ms) >= PEER_RETAINED_AGE_MAX.as_millis() {
            return;
        }
        if !self.retained.contains(id) && self.seen.has_receipt(id) {
            return self.links.send(link, Body::Receipt(Receipt::for_message(id, false)));
        }
        if chat.incarnation == self.topology.own().incarnation {
            return; // a copy of an own message, or a forgery
        }
        if Some(chat.to) == self.id() {
            self.accept_chat(now, chat, link);
        } else {
            self.retain_and_flood(now, chat, Some(link));
        }
    }

    /// Passes a chat addressed to this peer through the inbox.
    fn accept_chat(&mut self, now: Time, chat: Chat, link: LinkId) {
        let id = chat.id();
        let is_known = |incarnation| self.topology.is_known(incarnation);
        let is_late = match self.inbox.receive(now, chat, is_known) {
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

    /// Shows chats to the user and floods their receipts.
    fn deliver(&mut self, chats: Vec<Chat>) {
        for chat in chats {
            self.links.flood(Body::Receipt(Receipt::for_message(chat.id(), false)), None);
            let Chat { from, to, text, .. } = chat;
            self.events.push_back(Event::Chat { from, to, text });
        }
    }

    /// Handles a receipt: releases its message and forwards it. Ignores a receipt for a message
    /// that is not retained.
    pub(super) fn handle_receipt(&mut self, link: LinkId, receipt: Receipt) {
        let id = receipt.id();
        let Some(Removed { chat, is_own }) = self.retained.remove(id) else { return };
        if receipt.late {
            self.seen.mark_dropped(id);
        }
        self.links.flood(Body::Receipt(receipt), Some(link));
        if is_own {
            self.events.push_back(if receipt.late {
                let text =
                    format!("a message to {} came too late to be shown: send it again", chat.to);
                Event::Error { text }
            } else {
                Event::Receipt { from: chat.to, message: id }
            });
        }
    }

    /// Drops expired messages and delivers buffered ones whose wait for a missing message has
    /// ended.
    pub(super) fn advance_messages(&mut self, now: Time) {
        while let Some(Removed { chat, is_own }) = self.retained.pop_expired(now) {
            self.seen.mark_dropped(chat.id());
            if is_own {
                let text =
                    format!("a message to {} expired after 24 hours without a receipt", chat.to);
                self.events.push_back(Event::Error { text });
            } else {
                self.dropped += 1;
            }
        }
        while let Some(chats) =
            self.inbox.pop_expired(now, |incarnation| self.topology.is_known(incarnation))
        {
            self.deliver(chats);
        }
    }
}
