//! The store of messages that have no receipt, and the filter for messages seen before.
//!
//! [`Retained`] holds every received message until its receipt arrives, in order of arrival, which
//! is the order in which a new link gets them. [`SeenFilter`] records which sequence numbers from
//! each sender to each addressee were seen, so that each message is forwarded once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::range_set::RangeSet;
use super::wire::{Chat, MessageId};
use crate::limits::{
    PEER_MESSAGE_OVERHEAD_BYTES, PEER_RETAINED_AGE_MAX, PEER_RETAINED_BYTES_MAX,
    PEER_RETAINED_MESSAGES_MAX, PEER_SEEN_PAIRS_MAX,
};
use crate::link::Time;

#[derive(Debug)]
struct Entry {
    chat: Chat,
    received_at: Time,
    expires_at: Time,
    /// Its key in `by_order`.
    order: u64,
    /// Whether this peer sent it.
    is_own: bool,
}

/// A message removed from the store.
#[derive(Debug)]
pub(super) struct Removed {
    pub(super) chat: Chat,
    /// Whether this peer sent it.
    pub(super) is_own: bool,
}

/// Messages without a receipt, bounded in number, bytes and age.
#[derive(Debug, Default)]
pub(super) struct Retained {
    entries: BTreeMap<MessageId, Entry>,
    by_order: BTreeMap<u64, MessageId>,
    by_expiry: BTreeSet<(Time, MessageId)>,
    next_order: u64,
    bytes: usize,
    own_messages: usize,
    own_bytes: usize,
}

/// Returns the bytes that a stored message counts as.
pub(super) fn chat_memory_bytes(chat: &Chat) -> usize {
    chat.text.len() + PEER_MESSAGE_OVERHEAD_BYTES
}

impl Retained {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn contains(&self, id: MessageId) -> bool {
        self.entries.contains_key(&id)
    }

    /// Returns whether this peer's own messages fill their half of the store. Messages of other
    /// peers never take space from that half.
    pub(super) fn is_own_share_full(&self) -> bool {
        self.own_bytes > PEER_RETAINED_BYTES_MAX / 2
            || self.own_messages > PEER_RETAINED_MESSAGES_MAX / 2
    }

    /// Inserts a message. Evicts the oldest messages of other peers to make space, and returns
    /// them.
    pub(super) fn insert(&mut self, now: Time, chat: Chat, is_own: bool) -> Vec<MessageId> {
        let id = chat.id();
        let remaining = PEER_RETAINED_AGE_MAX.saturating_sub(Duration::from_millis(chat.age_ms));
        let (order, expires_at) = (self.next_order, now + remaining);
        self.next_order += 1;
        self.bytes += chat_memory_bytes(&chat);
        if is_own {
            self.own_messages += 1;
            self.own_bytes += chat_memory_bytes(&chat);
        }
        self.by_order.insert(order, id);
        self.by_expiry.insert((expires_at, id));
        self.entries.insert(id, Entry { chat, received_at: now, expires_at, order, is_own });
        let mut evicted = Vec::new();
        while self.bytes > PEER_RETAINED_BYTES_MAX || self.len() > PEER_RETAINED_MESSAGES_MAX {
            let oldest = self.by_order.values().copied().find(|id| !self.entries[id].is_own);
            let Some(oldest) = oldest else { break }; // own messages stay below their share
            self.remove(oldest);
            evicted.push(oldest);
        }
        evicted
    }

    /// Removes a message.
    pub(super) fn remove(&mut self, id: MessageId) -> Option<Removed> {
        let entry = self.entries.remove(&id)?;
        self.by_order.remove(&entry.order);
        self.by_expiry.remove(&(entry.expires_at, id));
        self.bytes -= chat_memory_bytes(&entry.chat);
        if entry.is_own {
            self.own_messages -= 1;
            self.own_bytes -= chat_memory_bytes(&entry.chat);
        }
        Some(Removed { chat: entry.chat, is_own: entry.is_own })
    }

    /// Returns the lowest retained sequence number from one sender to one addressee.
    pub(super) fn first_sequence(&self, incarnation: u64, to: i64) -> Option<u64> {
        let start = MessageId { incarnation, to, sequence: 0 };
        let (id, _) = self.entries.range(start..).next()?;
        (id.incarnation == incarnation && id.to == to).then_some(id.sequence)
    }

    /// Returns all messages in order of arrival, with their age at `now`.
    pub(super) fn iter_in_order(&self, now: Time) -> impl Iterator<Item = Chat> {
        self.by_order.values().map(move |id| {
            let entry = &self.entries[id];
            let retained_ms =
                u64::try_from(now.since(entry.received_at).as_millis()).unwrap_or(u64::MAX);
            let age_ms = entry.chat.age_ms.saturating_add(retained_ms);
            Chat { age_ms, ..entry.chat.clone() }
        })
    }

    /// Returns when the next message expires.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.by_expiry.first().map(|&(at, _)| at)
    }

    /// Removes the next expired message.
    pub(super) fn pop_expired(&mut self, now: Time) -> Option<Removed> {
        let &(_, id) = self.by_expiry.first().filter(|&&(at, _)| at <= now)?;
        self.remove(id)
    }
}

/// The sequence numbers seen from one sender to one addressee.
#[derive(Debug, Default)]
struct SeenPair {
    seen: RangeSet,
    /// The highest number that was dropped without a receipt.
    dropped_up_to: u64,
    last_used: Time,
}

/// A duplicate filter, keyed by the sender's incarnation and the addressee.
#[derive(Debug, Default)]
pub(super) struct SeenFilter {
    pairs: BTreeMap<(u64, i64), SeenPair>,
    by_last_used: BTreeSet<(Time, (u64, i64))>,
}

impl SeenFilter {
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Records a message as seen. Returns whether it is new.
    pub(super) fn insert(&mut self, now: Time, id: MessageId) -> bool {
        let key = (id.incarnation, id.to);
        let pair = self.pairs.entry(key).or_default();
        self.by_last_used.remove(&(pair.last_used, key));
        pair.last_used = now;
        let is_new = pair.seen.insert(id.sequence);
        self.by_last_used.insert((now, key));
        while self.pairs.len() > PEER_SEEN_PAIRS_MAX
            || self
                .by_last_used
                .first()
                .is_some_and(|&(at, _)| now.since(at) > PEER_RETAINED_AGE_MAX)
        {
            let (_, oldest) =
                self.by_last_used.pop_first().expect("every pair is listed by its last use");
            self.pairs.remove(&oldest);
        }
        is_new
    }

    /// Records that a message was dropped without a receipt.
    pub(super) fn mark_dropped(&mut self, id: MessageId) {
        if let Some(pair) = self.pairs.get_mut(&(id.incarnation, id.to)) {
            pair.dropped_up_to = pair.dropped_up_to.max(id.sequence);
        }
    }

    /// Returns whether a message that was seen, and is no longer retained, was acknowledged.
    pub(super) fn has_receipt(&self, id: MessageId) -> bool {
        self.pairs
            .get(&(id.incarnation, id.to))
            .is_some_and(|pair| pair.seen.contains(id.sequence) && pair.dropped_up_to < id.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(incarnation: u64, sequence: u64, text: &str) -> Chat {
        Chat {
            incarnation,
            sequence,
            from: 1,
            to: 2,
            first_unacked: 1,
            age_ms: 0,
            text: text.to_owned(),
        }
    }

    #[test]
    fn oldest_chats_of_others_are_evicted_first() {
        let mut retained = Retained::default();
        let text = "x".repeat(100_000);
        retained.insert(Time::default(), chat(1, 1, &text), true);
        for sequence in 1..200 {
            let evicted = retained.insert(Time::default(), chat(9, sequence, &text), false);
            assert!(retained.bytes() <= PEER_RETAINED_BYTES_MAX);
            assert!(evicted.iter().all(|id| id.incarnation == 9 && id.sequence < sequence));
        }
        assert!(
            retained.contains(MessageId { incarnation: 1, to: 2, sequence: 1 }),
            "own messages are not evicted"
        );
        assert!(retained.contains(MessageId { incarnation: 9, to: 2, sequence: 199 }));
        for i in 0..2 * PEER_RETAINED_MESSAGES_MAX as u64 {
            retained.insert(Time::default(), chat(8, i + 1, ""), false);
            assert!(retained.len() <= PEER_RETAINED_MESSAGES_MAX);
        }
        assert_eq!(retained.by_order.len(), retained.len());
        assert_eq!(retained.by_expiry.len(), retained.len());
    }

    #[test]
    fn age_accumulates_when_a_chat_is_forwarded() {
        let mut retained = Retained::default();
        let hour = Duration::from_secs(3600);
        let at = |hours| Time::from_start(hour * hours);
        retained.insert(at(1), chat(9, 1, ""), false);
        let forwarded = retained.iter_in_order(at(21)).next().expect("kept");
        assert_eq!(forwarded.age_ms, 20 * 3_600_000);
        let mut receiver = Retained::default();
        receiver.insert(at(500), forwarded, false);
        assert_eq!(receiver.deadline(), Some(at(504)));
        assert!(receiver.pop_expired(at(503)).is_none());
        assert!(receiver.pop_expired(at(504)).is_some());
        assert_eq!((receiver.len(), receiver.bytes()), (0, 0));
    }

    #[test]
    fn seen_filter_is_bounded_and_reports_each_id_new_once() {
        let mut filter = SeenFilter::default();
        for incarnation in 1..=PEER_SEEN_PAIRS_MAX as u64 + 500 {
            let id = MessageId { incarnation, to: 2, sequence: 1 };
            assert!(filter.insert(Time::from_start(Duration::from_millis(incarnation)), id));
            assert!(!filter.insert(Time::from_start(Duration::from_millis(incarnation)), id));
            assert!(
                filter.len() <= PEER_SEEN_PAIRS_MAX && filter.by_last_used.len() == filter.len()
            );
        }
        let later = Time::from_start(PEER_RETAINED_AGE_MAX * 2);
        filter.insert(later, MessageId { incarnation: 1, to: 2, sequence: 1 });
        assert_eq!(filter.len(), 1, "expired pairs are removed");
    }
}
