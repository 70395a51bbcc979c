//! Messages without a receipt, and which have been met before.
//!
//! [`Appended`] holds every message that was learnt here until its receipt comes, in the order in which
//! they were learnt: that is the order in which a newcomer is told of them. [`Pairs`] remembers which
//! numbers of a sender to an addressee have been here, so that each is passed on once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::runs::Runs;
use super::wire::{Chat, MessageId};
use crate::limits::{
    PEER_MESSAGE_OVERHEAD_BYTES, PEER_RETAINED_AGE_MAX, PEER_RETAINED_BYTES_MAX,
    PEER_RETAINED_MESSAGES_MAX, PEER_SEEN_PAIRS_MAX,
};
use crate::link::Time;

#[derive(Debug)]
struct Entry {
    chat: Chat,
    came: Time,
    expires: Time,
    order: u64,
    /// This peer has said it.
    is_own: bool,
}

/// A message that is kept no more.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) chat: Chat,
    /// This peer has said it.
    pub(super) is_own: bool,
}

/// Messages that nobody has said to be delivered.
#[derive(Debug, Default)]
pub(super) struct Kept {
    entries: BTreeMap<MessageId, Entry>,
    order: BTreeMap<u64, MessageId>,
    expiry: BTreeSet<(Time, MessageId)>,
    next: u64,
    bytes: usize,
    own_messages: usize,
    own_bytes: usize,
}

pub(super) fn cost(chat: &Chat) -> usize {
    chat.text.len() + PEER_MESSAGE_OVERHEAD_BYTES
}

impl Kept {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn contains(&self, id: MessageId) -> bool {
        self.entries.contains_key(&id)
    }

    /// Whether one's own take half of the room: no more of them. What others have said takes none of
    /// that half.
    pub(super) fn is_own_half_full(&self) -> bool {
        self.own_bytes > PEER_RETAINED_BYTES_MAX / 2
            || self.own_messages > PEER_RETAINED_MESSAGES_MAX / 2
    }

    /// Takes a message in; the oldest that are not one's own make room, and are answered.
    pub(super) fn insert(&mut self, now: Time, chat: Chat, is_own: bool) -> Vec<MessageId> {
        let id = chat.id();
        let left = PEER_RETAINED_AGE_MAX.saturating_sub(Duration::from_millis(chat.age_ms));
        let (order, expires) = (self.next, now + left);
        self.next += 1;
        self.bytes += cost(&chat);
        if is_own {
            self.own_messages += 1;
            self.own_bytes += cost(&chat);
        }
        self.order.insert(order, id);
        self.expiry.insert((expires, id));
        self.entries.insert(id, Entry { chat, came: now, expires, order, is_own });
        let mut evicted = Vec::new();
        while self.bytes > PEER_RETAINED_BYTES_MAX || self.len() > PEER_RETAINED_MESSAGES_MAX {
            let oldest = self.order.values().copied().find(|id| !self.entries[id].is_own);
            let Some(oldest) = oldest else { break }; // one's own were let in while there was room
            self.remove(oldest);
            evicted.push(oldest);
        }
        evicted
    }

    /// Ends the keeping of a message.
    pub(super) fn remove(&mut self, id: MessageId) -> Option<Ended> {
        let entry = self.entries.remove(&id)?;
        self.order.remove(&entry.order);
        self.expiry.remove(&(entry.expires, id));
        self.bytes -= cost(&entry.chat);
        if entry.is_own {
            self.own_messages -= 1;
            self.own_bytes -= cost(&entry.chat);
        }
        Some(Ended { chat: entry.chat, is_own: entry.is_own })
    }

    /// The lowest number that is kept from one sender to one addressee.
    pub(super) fn first_number(&self, life: u64, to: i64) -> Option<u64> {
        let from = MessageId { life, to, number: 0 };
        let (id, _) = self.entries.range(from..).next()?;
        (id.life == life && id.to == to).then_some(id.number)
    }

    /// All of them as they are to be passed on now, in the order in which they came.
    pub(super) fn in_order(&self, now: Time) -> impl Iterator<Item = Chat> {
        self.order.values().map(move |id| {
            let entry = &self.entries[id];
            let kept_ms = u64::try_from(now.since(entry.came).as_millis()).unwrap_or(u64::MAX);
            let age_ms = entry.chat.age_ms.saturating_add(kept_ms);
            Chat { age_ms, ..entry.chat.clone() }
        })
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.expiry.first().map(|&(at, _)| at)
    }

    /// The next that is too old.
    pub(super) fn expire(&mut self, now: Time) -> Option<Ended> {
        let &(_, id) = self.expiry.first().filter(|&&(at, _)| at <= now)?;
        self.remove(id)
    }
}

/// What has been met of one sender to one addressee.
#[derive(Debug, Default)]
struct Pair {
    met: Runs,
    /// Up to here some were given up without a receipt.
    lost: u64,
    used: Time,
}

/// The pairs, by sender's life and addressee.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    pairs: BTreeMap<(u64, i64), Pair>,
    by_use: BTreeSet<(Time, (u64, i64))>,
}

impl Pairs {
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether a message is met for the first time. It counts as met from now on.
    pub(super) fn meet(&mut self, now: Time, id: MessageId) -> bool {
        let key = (id.life, id.to);
        let pair = self.pairs.entry(key).or_default();
        self.by_use.remove(&(pair.used, key));
        pair.used = now;
        let is_new = pair.met.insert(id.number);
        self.by_use.insert((now, key));
        while self.pairs.len() > PEER_SEEN_PAIRS_MAX
            || self.by_use.first().is_some_and(|&(at, _)| now.since(at) > PEER_RETAINED_AGE_MAX)
        {
            let (_, oldest) = self.by_use.pop_first().expect("as many as pairs");
            self.pairs.remove(&oldest);
        }
        is_new
    }

    /// A message was given up without a receipt.
    pub(super) fn give_up(&mut self, id: MessageId) {
        if let Some(pair) = self.pairs.get_mut(&(id.life, id.to)) {
            pair.lost = pair.lost.max(id.number);
        }
    }

    /// Whether a message that was met, and is kept no more, has had its receipt.
    pub(super) fn is_receipted(&self, id: MessageId) -> bool {
        self.pairs
            .get(&(id.life, id.to))
            .is_some_and(|pair| pair.met.contains(id.number) && pair.lost < id.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(life: u64, number: u64, text: &str) -> Chat {
        Chat { life, number, from: 1, to: 2, base: 1, age_ms: 0, text: text.to_owned() }
    }

    #[test]
    fn the_oldest_of_others_make_room() {
        let mut kept = Kept::default();
        let text = "x".repeat(100_000);
        kept.insert(Time::default(), chat(1, 1, &text), true);
        for number in 1..200 {
            let evicted = kept.insert(Time::default(), chat(9, number, &text), false);
            assert!(kept.bytes() <= PEER_RETAINED_BYTES_MAX);
            assert!(evicted.iter().all(|id| id.life == 9 && id.number < number));
        }
        assert!(kept.contains(MessageId { life: 1, to: 2, number: 1 }), "one's own stays");
        assert!(kept.contains(MessageId { life: 9, to: 2, number: 199 }));
        for number in 0..2 * PEER_RETAINED_MESSAGES_MAX as u64 {
            kept.insert(Time::default(), chat(8, number + 1, ""), false);
            assert!(kept.len() <= PEER_RETAINED_MESSAGES_MAX);
        }
        assert_eq!(kept.order.len(), kept.len());
        assert_eq!(kept.expiry.len(), kept.len());
    }

    #[test]
    fn age_goes_on_from_one_keeper_to_the_next() {
        let mut kept = Kept::default();
        let hour = Duration::from_secs(3600);
        let at = |hours| Time::from_start(hour * hours);
        kept.insert(at(1), chat(9, 1, ""), false);
        let passed_on = kept.in_order(at(21)).next().expect("kept");
        assert_eq!(passed_on.age_ms, 20 * 3_600_000);
        let mut next = Kept::default();
        next.insert(at(500), passed_on, false);
        assert_eq!(next.deadline(), Some(at(504)));
        assert!(next.expire(at(503)).is_none());
        assert!(next.expire(at(504)).is_some());
        assert_eq!((next.len(), next.bytes()), (0, 0));
    }

    #[test]
    fn pairs_are_bounded_and_tell_once() {
        let mut pairs = Pairs::default();
        for life in 1..=PEER_SEEN_PAIRS_MAX as u64 + 500 {
            let id = MessageId { life, to: 2, number: 1 };
            assert!(pairs.meet(Time::from_start(Duration::from_millis(life)), id));
            assert!(!pairs.meet(Time::from_start(Duration::from_millis(life)), id));
            assert!(pairs.len() <= PEER_SEEN_PAIRS_MAX && pairs.by_use.len() == pairs.len());
        }
        let later = Time::from_start(PEER_RETAINED_AGE_MAX * 2);
        pairs.meet(later, MessageId { life: 1, to: 2, number: 1 });
        assert_eq!(pairs.len(), 1, "the old go");
    }
}
