//! What is said to this peer: each message once, in the order in which its sender said it.
//!
//! For each sender there is a high-water mark: the highest number shown. What is not above it has been
//! shown, or came too late to be shown in order; so no copy is ever shown twice, however late it comes
//! and by whatever way. Over links that keep their order nothing comes out of order (see `mod`); but
//! where a neighbour had to drop something, a message says by its `base` that others come first, and
//! waits a little.
//!
//! Marks are bounded. Senders' lives begin with the time when they began, so the mark of the oldest
//! goes first, and from then on nothing of a life that old is shown: what is forgotten counts
//! as shown. The marks of those who are in the network go last, and they are always heard: names that
//! somebody made up silence none of them.

use std::collections::BTreeMap;

use super::kept::cost;
use super::runs::Runs;
use super::wire::{Chat, MessageId};
use crate::limits::{
    PEER_GAP_TIMEOUT, PEER_INBOX_SENDERS_MAX, PEER_REORDER_BYTES_MAX, PEER_REORDER_MESSAGES_MAX,
    PEER_RETAINED_AGE_MAX,
};
use crate::link::Time;

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// These are to be shown, in this order.
    Show(Vec<Chat>),
    /// It waits for one that comes before it.
    Waits,
    /// It has been shown.
    Again,
    /// It is not shown any more.
    Late,
}

#[derive(Debug, Default)]
struct Mark {
    shown: Runs,
    used: Time,
}

/// The addressee's side.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// By the sender's life and the id under which this peer was addressed.
    marks: BTreeMap<(u64, i64), Mark>,
    /// Lives up to this one are not shown unless there is a mark for them, or they are in the network.
    floor: u64,
    waiting: BTreeMap<MessageId, (Chat, Time)>,
    waiting_bytes: usize,
}

impl Inbox {
    pub(super) fn senders(&self) -> usize {
        self.marks.len()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a message in; `is_here` says whether a life is known in the network.
    pub(super) fn offer(&mut self, now: Time, chat: Chat, is_here: impl Fn(u64) -> bool) -> Offer {
        let id = chat.id();
        let key = (id.life, id.to);
        if self.waiting.contains_key(&id) {
            return Offer::Waits;
        }
        let mark = self.marks.get(&key);
        if mark.is_none() && id.life <= self.floor && !is_here(id.life) {
            return Offer::Late;
        }
        let shown = mark.map_or(0, |mark| mark.shown.highest());
        if id.number <= shown {
            let has_shown = mark.is_some_and(|mark| mark.shown.contains(id.number));
            return if has_shown { Offer::Again } else { Offer::Late };
        }
        let is_next = id.number <= chat.base.max(shown + 1);
        self.waiting_bytes += cost(&chat);
        self.waiting.insert(id, (chat, now + PEER_GAP_TIMEOUT));
        let is_full = self.waiting.len() > PEER_REORDER_MESSAGES_MAX
            || self.waiting_bytes > PEER_REORDER_BYTES_MAX;
        if is_next {
            Offer::Show(self.release(now, id, is_here))
        } else if is_full {
            Offer::Show(self.release(now, self.first_waiting(key), is_here))
        } else {
            Offer::Waits
        }
    }

    /// The first of a sender that waits.
    fn first_waiting(&self, (life, to): (u64, i64)) -> MessageId {
        let from = MessageId { life, to, number: 0 };
        *self.waiting.range(from..).next().expect("one waits").0
    }

    /// Shows what waits up to `last`, and what has only waited for that.
    fn release(&mut self, now: Time, last: MessageId, is_here: impl Fn(u64) -> bool) -> Vec<Chat> {
        let key = (last.life, last.to);
        let mut mark = self.marks.remove(&key).unwrap_or_default();
        mark.used = now;
        let mut released = Vec::new();
        let from = MessageId { number: 0, ..last };
        let to = MessageId { number: u64::MAX, ..last };
        while let Some((&id, (chat, _))) = self.waiting.range(from..=to).next() {
            let is_next = id.number <= chat.base.max(mark.shown.highest() + 1);
            if id > last && !is_next {
                break;
            }
            let (chat, _) = self.waiting.remove(&id).expect("it was seen");
            self.waiting_bytes -= cost(&chat);
            mark.shown.insert(id.number);
            released.push(chat);
        }
        if self.marks.len() >= PEER_INBOX_SENDERS_MAX {
            self.forget(now, is_here);
        }
        self.marks.insert(key, mark);
        released
    }

    /// Makes room for many at once: those go of whom no copy can be about any more, else the oldest
    /// lives, first of those who are not here.
    fn forget(&mut self, now: Time, is_here: impl Fn(u64) -> bool) {
        self.marks.retain(|_, mark| now.since(mark.used) <= PEER_RETAINED_AGE_MAX);
        let surplus =
            self.marks.len().saturating_sub(PEER_INBOX_SENDERS_MAX - PEER_INBOX_SENDERS_MAX / 8);
        let mut keys: Vec<(u64, i64)> = self.marks.keys().copied().collect();
        keys.sort_by_key(|&(life, _)| is_here(life)); // stable: ascending among each kind
        for key in keys.into_iter().take(surplus) {
            self.marks.remove(&key);
            self.floor = self.floor.max(key.0);
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.waiting.values().map(|&(_, until)| until).min()
    }

    /// The next whose wait for another is over, with those before it.
    pub(super) fn expire(&mut self, now: Time, is_here: impl Fn(u64) -> bool) -> Option<Vec<Chat>> {
        let (&id, _) = self.waiting.iter().find(|(_, (_, until))| *until <= now)?;
        Some(self.release(now, id, is_here))
    }

    /// This peer goes by another id: what waits is not for it.
    pub(super) fn renumbered(&mut self) -> Vec<Chat> {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting).into_values().map(|(chat, _)| chat).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn chat(life: u64, number: u64, base: u64) -> Chat {
        Chat { life, number, from: 1, to: 2, base, age_ms: 0, text: number.to_string() }
    }

    /// Whose senders have all gone.
    fn nobody(_: u64) -> bool {
        false
    }

    fn at(millis: u64) -> Time {
        Time::from_start(Duration::from_millis(millis))
    }

    #[track_caller]
    fn shows(inbox: &mut Inbox, now: Time, chat: Chat, numbers: &[u64]) {
        match inbox.offer(now, chat, nobody) {
            Offer::Show(chats) => {
                assert_eq!(chats.iter().map(|chat| chat.number).collect::<Vec<_>>(), numbers);
            }
            other => panic!("{other:?}, not {numbers:?}"),
        }
    }

    #[test]
    fn each_is_shown_once_and_in_order() {
        let mut inbox = Inbox::default();
        shows(&mut inbox, at(0), chat(9, 1, 1), &[1]);
        assert_eq!(inbox.offer(at(0), chat(9, 1, 1), nobody), Offer::Again);
        assert_eq!(inbox.offer(at(0), chat(9, 4, 2), nobody), Offer::Waits);
        assert_eq!(inbox.offer(at(0), chat(9, 3, 2), nobody), Offer::Waits);
        assert_eq!(inbox.offer(at(0), chat(9, 3, 2), nobody), Offer::Waits);
        shows(&mut inbox, at(0), chat(9, 2, 1), &[2, 3, 4]);
        assert_eq!(inbox.offer(at(0), chat(9, 3, 2), nobody), Offer::Again);
        assert_eq!((inbox.waiting(), inbox.waiting_bytes), (0, 0));
    }

    #[test]
    fn what_has_a_receipt_is_not_waited_for() {
        let mut inbox = Inbox::default();
        shows(&mut inbox, at(0), chat(9, 6, 6), &[6]);
        assert_eq!(inbox.offer(at(0), chat(9, 5, 5), nobody), Offer::Late);
    }

    #[test]
    fn a_gap_is_waited_for_so_long_and_no_longer() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.offer(at(0), chat(9, 2, 1), nobody), Offer::Waits);
        assert_eq!(inbox.offer(at(500), chat(9, 5, 1), nobody), Offer::Waits);
        assert_eq!(inbox.deadline(), Some(at(2000)));
        assert_eq!(inbox.expire(at(1999), nobody), None);
        assert_eq!(inbox.expire(at(2000), nobody).map(|chats| chats.len()), Some(1));
        assert_eq!(inbox.offer(at(2000), chat(9, 1, 1), nobody), Offer::Late);
        shows(&mut inbox, at(2001), chat(9, 3, 1), &[3]);
        assert_eq!(inbox.expire(at(2500), nobody).map(|chats| chats.len()), Some(1));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut inbox = Inbox::default();
        for number in 0..3 * PEER_REORDER_MESSAGES_MAX as u64 {
            inbox.offer(at(0), chat(9, number * 2 + 2, 1), nobody);
            assert!(inbox.waiting() <= PEER_REORDER_MESSAGES_MAX);
        }
    }

    #[test]
    fn what_is_forgotten_counts_as_shown() {
        let mut inbox = Inbox::default();
        let first = 10;
        let lives = first..first + PEER_INBOX_SENDERS_MAX as u64 + 10;
        for life in lives {
            shows(&mut inbox, at(life), chat(life, 1, 1), &[1]);
            assert!(inbox.senders() <= PEER_INBOX_SENDERS_MAX);
        }
        assert_eq!(inbox.offer(at(0), chat(first, 1, 1), nobody), Offer::Late);
        assert_eq!(inbox.offer(at(0), chat(first, 2, 2), nobody), Offer::Late);
        // A day later nobody has a copy: there is room for others without a loss.
        let later = Time::from_start(PEER_RETAINED_AGE_MAX * 2);
        let floor = inbox.floor;
        let others = floor + 1_000_000..floor + 1_000_000 + PEER_INBOX_SENDERS_MAX as u64 / 8 + 20;
        for life in others.clone() {
            shows(&mut inbox, later, chat(life, 1, 1), &[1]);
        }
        assert!(inbox.senders() <= others.count(), "those of yesterday are gone");
        assert_eq!(inbox.floor, floor);
    }
}
