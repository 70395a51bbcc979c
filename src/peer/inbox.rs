//! The inbox: delivers each message to this peer once, in the order in which its sender sent them.
//!
//! Each sender has a high-water mark, the highest sequence number delivered. A message at or below
//! the mark is a duplicate or too late to be shown in order. So no copy is shown twice, however
//! late it arrives and over whichever link. Links keep their order, so messages normally arrive in
//! order (see the parent module). Where a neighbour had to drop a message, `first_unacked` of a
//! later one says that an earlier one is missing, and the later one is buffered for up to
//! [`PEER_GAP_TIMEOUT`].
//!
//! The number of marks is bounded. An incarnation starts with its start time, so the marks of the
//! oldest incarnations are evicted first, and from then on messages of unknown incarnations that
//! old count as delivered. The marks of incarnations known in the network are evicted last, and
//! their messages are always delivered: forged senders cannot silence them.

use std::collections::BTreeMap;

use super::range_set::RangeSet;
use super::retained::chat_memory_bytes;
use super::wire::{Chat, MessageId};
use crate::limits::{
    PEER_GAP_TIMEOUT, PEER_INBOX_SENDERS_MAX, PEER_REORDER_BYTES_MAX, PEER_REORDER_MESSAGES_MAX,
    PEER_RETAINED_AGE_MAX,
};
use crate::link::Time;

/// The outcome of a received message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReceiveOutcome {
    /// These messages are to be shown, in this order.
    Deliver(Vec<Chat>),
    /// The message waits for an earlier one.
    Buffered,
    /// The message has been shown before.
    Duplicate,
    /// A later message has been shown, or the sender is forgotten: it is not shown.
    Late,
}

/// The delivered sequence numbers of one sender.
#[derive(Debug, Default)]
struct SenderState {
    delivered: RangeSet,
    last_used: Time,
}

/// The messages addressed to this peer.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Keyed by the sender's incarnation and the id by which this peer was addressed.
    senders: BTreeMap<(u64, i64), SenderState>,
    /// Incarnations up to this one are shown only if they have a mark or are known in the network.
    incarnation_floor: u64,
    /// Buffered messages, each with the end of its wait.
    reorder_buffer: BTreeMap<MessageId, (Chat, Time)>,
    reorder_bytes: usize,
}

impl Inbox {
    pub(super) fn sender_count(&self) -> usize {
        self.senders.len()
    }

    pub(super) fn reorder_len(&self) -> usize {
        self.reorder_buffer.len()
    }

    /// Receives a message. `is_known` returns whether an incarnation is known in the network.
    pub(super) fn receive(
        &mut self,
        now: Time,
        chat: Chat,
        is_known: impl Fn(u64) -> bool,
    ) -> ReceiveOutcome {
        let id = chat.id();
        let key = (id.incarnation, id.to);
        if self.reorder_buffer.contains_key(&id) {
            return ReceiveOutcome::Buffered;
        }
        let sender = self.senders.get(&key);
        if sender.is_none() && id.incarnation <= self.incarnation_floor && !is_known(id.incarnation)
        {
            return ReceiveOutcome::Late;
        }
        let highest_delivered = sender.map_or(0, |mark| mark.delivered.highest());
        if id.sequence <= highest_delivered {
            let was_delivered = sender.is_some_and(|mark| mark.delivered.contains(id.sequence));
            return if was_delivered { ReceiveOutcome::Duplicate } else { ReceiveOutcome::Late };
        }
        let is_next = id.sequence <= chat.first_unacked.max(highest_delivered + 1);
        self.reorder_bytes += chat_memory_bytes(&chat);
        self.reorder_buffer.insert(id, (chat, now + PEER_GAP_TIMEOUT));
        let is_full = self.reorder_buffer.len() > PEER_REORDER_MESSAGES_MAX
            || self.reorder_bytes > PEER_REORDER_BYTES_MAX;
        if is_next {
            ReceiveOutcome::Deliver(self.release(now, id, is_known))
        } else if is_full {
            ReceiveOutcome::Deliver(self.release(now, self.first_buffered(key), is_known))
        } else {
            ReceiveOutcome::Buffered
        }
    }

    /// Returns the first buffered message of a sender that has one.
    fn first_buffered(&self, (incarnation, to): (u64, i64)) -> MessageId {
        let start = MessageId { incarnation, to, sequence: 0 };
        *self.reorder_buffer.range(start..).next().expect("the caller has just buffered one").0
    }

    /// Delivers the buffered messages of a sender up to `last`, and those that waited only for
    /// them.
    fn release(&mut self, now: Time, last: MessageId, is_known: impl Fn(u64) -> bool) -> Vec<Chat> {
        let key = (last.incarnation, last.to);
        let mut sender = self.senders.remove(&key).unwrap_or_default();
        sender.last_used = now;
        let mut released = Vec::new();
        let start = MessageId { sequence: 0, ..last };
        let end = MessageId { sequence: u64::MAX, ..last };
        while let Some((&id, (chat, _))) = self.reorder_buffer.range(start..=end).next() {
            let is_next = id.sequence <= chat.first_unacked.max(sender.delivered.highest() + 1);
            if id > last && !is_next {
                break;
            }
            let (chat, _) = self.reorder_buffer.remove(&id).expect("the range returned it");
            self.reorder_bytes -= chat_memory_bytes(&chat);
            sender.delivered.insert(id.sequence);
            released.push(chat);
        }
        if self.senders.len() >= PEER_INBOX_SENDERS_MAX {
            self.evict_senders(now, is_known);
        }
        self.senders.insert(key, sender);
        released
    }

    /// Evicts about an eighth of the marks: those unused for longer than a message lives, and if
    /// those are too few the oldest incarnations, unknown ones first.
    fn evict_senders(&mut self, now: Time, is_known: impl Fn(u64) -> bool) {
        self.senders.retain(|_, sender| now.since(sender.last_used) <= PEER_RETAINED_AGE_MAX);
        let surplus =
            self.senders.len().saturating_sub(PEER_INBOX_SENDERS_MAX - PEER_INBOX_SENDERS_MAX / 8);
        let mut keys: Vec<(u64, i64)> = self.senders.keys().copied().collect();
        // The sort is stable: unknown and known incarnations each stay ascending.
        keys.sort_by_key(|&(incarnation, _)| is_known(incarnation));
        for key in keys.into_iter().take(surplus) {
            self.senders.remove(&key);
            self.incarnation_floor = self.incarnation_floor.max(key.0);
        }
    }

    /// Returns when the first buffered message stops waiting.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.reorder_buffer.values().map(|&(_, until)| until).min()
    }

    /// Delivers the next message whose wait has ended, with the earlier ones of its sender.
    pub(super) fn pop_expired(
        &mut self,
        now: Time,
        is_known: impl Fn(u64) -> bool,
    ) -> Option<Vec<Chat>> {
        let (&id, _) = self.reorder_buffer.iter().find(|(_, (_, until))| *until <= now)?;
        Some(self.release(now, id, is_known))
    }

    /// Empties the buffer: its messages are for an id that this peer no longer has.
    pub(super) fn take_buffered(&mut self) -> Vec<Chat> {
        self.reorder_bytes = 0;
        std::mem::take(&mut self.reorder_buffer).into_values().map(|(chat, _)| chat).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn chat(incarnation: u64, sequence: u64, first_unacked: u64) -> Chat {
        Chat {
            incarnation,
            sequence,
            from: 1,
            to: 2,
            first_unacked,
            age_ms: 0,
            text: sequence.to_string(),
        }
    }

    /// Whose senders have all gone.
    fn nobody_known(_: u64) -> bool {
        false
    }

    fn at(millis: u64) -> Time {
        Time::from_start(Duration::from_millis(millis))
    }

    #[track_caller]
    fn check_delivered(inbox: &mut Inbox, now: Time, chat: Chat, sequences: &[u64]) {
        match inbox.receive(now, chat, nobody_known) {
            ReceiveOutcome::Deliver(chats) => {
                assert_eq!(chats.iter().map(|chat| chat.sequence).collect::<Vec<_>>(), sequences);
            }
            other => panic!("{other:?}, not {sequences:?}"),
        }
    }

    #[test]
    fn chats_are_delivered_once_and_in_order() {
        let mut inbox = Inbox::default();
        check_delivered(&mut inbox, at(0), chat(9, 1, 1), &[1]);
        assert_eq!(inbox.receive(at(0), chat(9, 1, 1), nobody_known), ReceiveOutcome::Duplicate);
        assert_eq!(inbox.receive(at(0), chat(9, 4, 2), nobody_known), ReceiveOutcome::Buffered);
        assert_eq!(inbox.receive(at(0), chat(9, 3, 2), nobody_known), ReceiveOutcome::Buffered);
        assert_eq!(inbox.receive(at(0), chat(9, 3, 2), nobody_known), ReceiveOutcome::Buffered);
        check_delivered(&mut inbox, at(0), chat(9, 2, 1), &[2, 3, 4]);
        assert_eq!(inbox.receive(at(0), chat(9, 3, 2), nobody_known), ReceiveOutcome::Duplicate);
        assert_eq!((inbox.reorder_len(), inbox.reorder_bytes), (0, 0));
    }

    #[test]
    fn acknowledged_gap_is_not_waited_for() {
        let mut inbox = Inbox::default();
        check_delivered(&mut inbox, at(0), chat(9, 6, 6), &[6]);
        assert_eq!(inbox.receive(at(0), chat(9, 5, 5), nobody_known), ReceiveOutcome::Late);
    }

    #[test]
    fn gap_is_waited_for_until_its_timeout() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.receive(at(0), chat(9, 2, 1), nobody_known), ReceiveOutcome::Buffered);
        assert_eq!(inbox.receive(at(500), chat(9, 5, 1), nobody_known), ReceiveOutcome::Buffered);
        assert_eq!(inbox.deadline(), Some(at(2000)));
        assert_eq!(inbox.pop_expired(at(1999), nobody_known), None);
        assert_eq!(inbox.pop_expired(at(2000), nobody_known).map(|chats| chats.len()), Some(1));
        assert_eq!(inbox.receive(at(2000), chat(9, 1, 1), nobody_known), ReceiveOutcome::Late);
        check_delivered(&mut inbox, at(2001), chat(9, 3, 1), &[3]);
        assert_eq!(inbox.pop_expired(at(2500), nobody_known).map(|chats| chats.len()), Some(1));
    }

    #[test]
    fn reorder_buffer_is_bounded() {
        let mut inbox = Inbox::default();
        for i in 0..3 * PEER_REORDER_MESSAGES_MAX as u64 {
            inbox.receive(at(0), chat(9, i * 2 + 2, 1), nobody_known);
            assert!(inbox.reorder_len() <= PEER_REORDER_MESSAGES_MAX);
        }
    }

    #[test]
    fn chat_of_evicted_sender_is_reported_late() {
        let mut inbox = Inbox::default();
        let first = 10;
        let incarnations = first..first + PEER_INBOX_SENDERS_MAX as u64 + 10;
        for incarnation in incarnations {
            check_delivered(&mut inbox, at(incarnation), chat(incarnation, 1, 1), &[1]);
            assert!(inbox.sender_count() <= PEER_INBOX_SENDERS_MAX);
        }
        assert_eq!(inbox.receive(at(0), chat(first, 1, 1), nobody_known), ReceiveOutcome::Late);
        assert_eq!(inbox.receive(at(0), chat(first, 2, 2), nobody_known), ReceiveOutcome::Late);
        // After the maximum age no copies exist: marks are evicted without loss.
        let later = Time::from_start(PEER_RETAINED_AGE_MAX * 2);
        let floor = inbox.incarnation_floor;
        let others = floor + 1_000_000..floor + 1_000_000 + PEER_INBOX_SENDERS_MAX as u64 / 8 + 20;
        for incarnation in others.clone() {
            check_delivered(&mut inbox, later, chat(incarnation, 1, 1), &[1]);
        }
        assert!(inbox.sender_count() <= others.count(), "expired marks are evicted");
        assert_eq!(inbox.incarnation_floor, floor);
    }
}
