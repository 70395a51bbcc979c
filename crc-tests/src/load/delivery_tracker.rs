//! Tracks which messages have arrived. Counts every lost, duplicate, reordered and misdelivered
//! message.

use std::collections::VecDeque;

use super::stamp::{Stamp, next_sequence, sequence_distance};

/// Maximum number of streams of one tracker, whose two tables have four bytes per stream: 128 MiB.
pub(super) const STREAMS_MAX: usize = 16 * 1024 * 1024;

/// The streams of a load, each from one sender to one receiver. Within a stream, messages must
/// arrive in the order of their sequence numbers.
pub(super) struct DeliveryTracker {
    addressing: Addressing,
    /// The next sequence number of each stream.
    next_sent: Vec<u32>,
    next_expected: Vec<u32>,
    /// The messages to the room that some members have not received, for each speaker.
    in_flight: Vec<RoomMessages>,
    /// Number of messages sent; in a room, of their copies.
    pub(super) sent_count: u64,
    /// Number of messages that arrived once and in order. The rest of `sent_count` is lost or in
    /// flight.
    pub(super) arrived_count: u64,
    /// Number of duplicates, and of messages that arrived after a later one.
    pub(super) out_of_order_count: u64,
    /// Number of messages that arrived at the wrong receiver, or with an unknown sender.
    pub(super) misdelivered_count: u64,
}

/// Which receivers a sender sends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addressing {
    /// Each sender sends to the receiver of the same number.
    Paired {
        /// Number of pairs.
        pairs: usize,
    },
    /// Each client sends to all others in turn.
    AllToAll {
        /// Number of clients.
        clients: usize,
    },
    /// Some clients send to a room in which all are: each message to all others.
    Room {
        /// Number of clients.
        members: usize,
        /// Number of those that send, which are the first.
        speakers: usize,
    },
}

/// The messages of one speaker that some members have not received.
#[derive(Default)]
struct RoomMessages {
    /// Sequence number of the oldest.
    oldest: u32,
    /// For each of them, the number of members that have not received it.
    missing_copies: VecDeque<u32>,
}

impl RoomMessages {
    /// Counts the arrival of one copy of `count` messages, the last of which is `sequence`. Returns
    /// how many messages all members have from now on.
    fn record_copies(&mut self, sequence: u32, count: u32) -> u32 {
        let ahead = sequence_distance(sequence, self.oldest);
        for number in ahead - i64::from(count) + 1..=ahead {
            let missing =
                usize::try_from(number).ok().and_then(|at| self.missing_copies.get_mut(at));
            if let Some(missing) = missing {
                *missing -= 1;
            }
        }
        let mut complete = 0;
        while self.missing_copies.front() == Some(&0) {
            self.missing_copies.pop_front();
            self.oldest = next_sequence(self.oldest);
            complete += 1;
        }
        complete
    }
}

impl Addressing {
    pub(super) fn sender_count(self) -> usize {
        match self {
            Self::Paired { pairs } => pairs,
            Self::AllToAll { clients } => clients,
            Self::Room { speakers, .. } => speakers,
        }
    }

    /// Returns the number of receivers.
    pub(super) fn receiver_count(self) -> usize {
        match self {
            Self::Room { members, .. } => members,
            Self::Paired { .. } | Self::AllToAll { .. } => self.sender_count(),
        }
    }

    /// Returns the number of clients.
    pub(super) fn client_count(self) -> usize {
        match self {
            Self::Paired { pairs } => 2 * pairs,
            Self::AllToAll { .. } | Self::Room { .. } => self.receiver_count(),
        }
    }

    /// Returns the number of copies of a message.
    pub(super) fn copy_count(self) -> usize {
        match self {
            Self::Room { members, .. } => members - 1,
            Self::Paired { .. } | Self::AllToAll { .. } => 1,
        }
    }

    /// Returns the number of streams.
    pub(super) fn stream_count(self) -> usize {
        match self {
            Self::Paired { pairs } => pairs,
            Self::AllToAll { clients } => clients.saturating_mul(clients),
            Self::Room { members, speakers } => members.saturating_mul(speakers),
        }
    }

    /// Returns the stream from `sender` to `receiver`, or `None` if they are not paired.
    pub(super) fn stream_index(self, sender: usize, receiver: usize) -> Option<usize> {
        let receiver_count = self.receiver_count();
        if sender >= self.sender_count() || receiver >= receiver_count {
            return None;
        }
        match self {
            Self::Paired { .. } => (sender == receiver).then_some(sender),
            Self::AllToAll { .. } | Self::Room { .. } => {
                (sender != receiver).then_some(sender * receiver_count + receiver)
            }
        }
    }

    /// Returns the receiver after `receiver` in the rotation of a sender.
    pub(super) fn next_receiver(self, sender: usize, receiver: usize) -> usize {
        match self {
            Self::Paired { .. } | Self::Room { .. } => receiver,
            Self::AllToAll { clients } => {
                let next = (receiver + 1) % clients;
                if next == sender { (next + 1) % clients } else { next }
            }
        }
    }
}

impl DeliveryTracker {
    pub(super) fn new(addressing: Addressing) -> Self {
        let stream_count = addressing.stream_count();
        Self {
            addressing,
            next_sent: vec![0; stream_count],
            next_expected: vec![0; stream_count],
            in_flight: match addressing {
                Addressing::Room { speakers, .. } => {
                    (0..speakers).map(|_| RoomMessages::default()).collect()
                }
                Addressing::Paired { .. } | Addressing::AllToAll { .. } => Vec::new(),
            },
            sent_count: 0,
            arrived_count: 0,
            out_of_order_count: 0,
            misdelivered_count: 0,
        }
    }

    /// Counts a message as sent, and returns its sequence number.
    ///
    /// # Panics
    /// If `sender` does not send to `receiver`.
    pub(super) fn record_sent(&mut self, sender: usize, receiver: usize) -> u32 {
        let stream = self.addressing.stream_index(sender, receiver).expect("a stream of this load");
        let sequence = self.next_sent[stream];
        self.next_sent[stream] = next_sequence(sequence);
        self.sent_count += 1;
        sequence
    }

    /// Counts a message to the room as sent to all members but its sender, and returns its sequence
    /// number.
    pub(super) fn record_sent_to_room(&mut self, sender: usize) -> u32 {
        let mut sequence = 0;
        for receiver in 0..self.addressing.receiver_count() {
            if receiver != sender {
                sequence = self.record_sent(sender, receiver);
            }
        }
        let copies = self.addressing.copy_count();
        let copies = u32::try_from(copies).expect("fewer members than streams");
        self.in_flight[sender].missing_copies.push_back(copies);
        sequence
    }

    /// Counts an arrival. Returns how many messages are no longer in flight: this one and the lost
    /// ones before it, as soon as all members of a room have them. Returns `None` if the message
    /// was not expected.
    pub(super) fn record_arrival(&mut self, stamp: Stamp, receiver: usize) -> Option<u32> {
        let Some(stream) = self.addressing.stream_index(stamp.sender, receiver) else {
            self.misdelivered_count += 1;
            return None;
        };
        let ahead = sequence_distance(stamp.sequence, self.next_expected[stream]);
        let in_flight = sequence_distance(self.next_sent[stream], self.next_expected[stream]);
        if ahead < 0 || ahead >= in_flight {
            self.out_of_order_count += 1;
            return None;
        }
        self.next_expected[stream] = next_sequence(stamp.sequence);
        self.arrived_count += 1;
        let count = ahead as u32 + 1;
        Some(match self.in_flight.get_mut(stamp.sender) {
            Some(messages) => messages.record_copies(stamp.sequence, count),
            None => count,
        })
    }

    /// Returns the number of messages that have not arrived: lost or in flight.
    pub(super) fn missing_count(&self) -> u64 {
        self.sent_count - self.arrived_count
    }

    /// Returns whether nothing is in flight: the last message of every stream has arrived.
    pub(super) fn is_complete(&self) -> bool {
        self.missing_count() == 0 || self.next_sent == self.next_expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(sender: usize, sequence: u32) -> Stamp {
        Stamp { sender, sequence, due_nanos: Some(0) }
    }

    fn counts(tracker: &DeliveryTracker) -> [u64; 5] {
        let DeliveryTracker {
            sent_count,
            arrived_count,
            out_of_order_count: out_of_order,
            misdelivered_count: misdelivered,
            ..
        } = *tracker;
        [sent_count, arrived_count, tracker.missing_count(), out_of_order, misdelivered]
    }

    #[test]
    fn lost_message_is_counted_missing_and_its_credit_returns_with_the_next_arrival() {
        let mut tracker = DeliveryTracker::new(Addressing::Paired { pairs: 2 });
        assert_eq!([(); 5].map(|()| tracker.record_sent(1, 1)), [0, 1, 2, 3, 4]);
        assert_eq!(tracker.record_arrival(stamp(1, 0), 1), Some(1));
        assert_eq!(tracker.record_arrival(stamp(1, 3), 1), Some(3)); // 1 and 2 are lost
        assert_eq!(counts(&tracker), [5, 2, 3, 0, 0]);
        assert!(!tracker.is_complete());
        assert_eq!(tracker.record_arrival(stamp(1, 4), 1), Some(1));
        assert!(tracker.is_complete());
        assert_eq!(counts(&tracker), [5, 3, 2, 0, 0]);
    }

    #[test]
    fn duplicate_late_and_misdelivered_messages_do_not_offset_losses() {
        let mut tracker = DeliveryTracker::new(Addressing::Paired { pairs: 2 });
        for _ in 0..3 {
            tracker.record_sent(0, 0);
        }
        tracker.record_arrival(stamp(0, 0), 0);
        assert_eq!(tracker.record_arrival(stamp(0, 0), 0), None); // twice
        tracker.record_arrival(stamp(0, 2), 0);
        assert_eq!(tracker.record_arrival(stamp(0, 1), 0), None); // late
        assert_eq!(tracker.record_arrival(stamp(0, 3), 0), None); // never sent
        assert_eq!(tracker.record_arrival(stamp(0, 3), 1), None); // another receiver's
        assert_eq!(tracker.record_arrival(stamp(9, 0), 0), None); // unknown sender
        assert_eq!(counts(&tracker), [3, 2, 1, 3, 2]);
    }

    #[test]
    fn all_to_all_sender_rotates_through_every_other_client() {
        let receivers = Addressing::AllToAll { clients: 3 };
        let mut tracker = DeliveryTracker::new(receivers);
        for sender in 0..3 {
            let mut receiver = sender;
            let mut visited = Vec::new();
            for _ in 0..4 {
                receiver = receivers.next_receiver(sender, receiver);
                visited.push(receiver);
                let sequence = tracker.record_sent(sender, receiver);
                assert_eq!(tracker.record_arrival(stamp(sender, sequence), receiver), Some(1));
            }
            assert!(!visited.contains(&sender));
            assert_eq!((visited[0], visited[1]), (visited[2], visited[3]));
            assert_ne!(visited[0], visited[1]);
        }
        assert_eq!(counts(&tracker), [12, 12, 0, 0, 0]);
        assert!(tracker.is_complete());
        assert_eq!(receivers.stream_index(1, 1), None);
    }

    #[test]
    fn room_message_is_in_flight_until_all_other_members_have_it() {
        let mut tracker = DeliveryTracker::new(Addressing::Room { members: 3, speakers: 2 });
        assert_eq!([(); 3].map(|()| tracker.record_sent_to_room(1)), [0, 1, 2]);
        assert_eq!(tracker.record_arrival(stamp(1, 0), 0), Some(0));
        assert_eq!(tracker.record_arrival(stamp(1, 0), 1), None); // its own
        assert_eq!(tracker.record_arrival(stamp(1, 1), 0), Some(0));
        assert_eq!(tracker.record_arrival(stamp(1, 0), 2), Some(1));
        assert_eq!(tracker.record_arrival(stamp(1, 0), 2), None); // twice
        assert_eq!(tracker.record_arrival(stamp(1, 2), 0), Some(0));
        assert_eq!(tracker.record_arrival(stamp(1, 2), 2), Some(2)); // 1 is lost
        assert_eq!(counts(&tracker), [6, 5, 1, 1, 1]);
        assert!(tracker.is_complete());
    }
}
