//! Which messages have arrived: nothing that is lost, comes twice or goes astray stays unseen.

use super::stamp::{Stamp, sequence_after, sequence_distance};

/// Streams that one ledger follows at most: four bytes each, so 64 MiB.
pub(super) const STREAMS_MAX: usize = 16 * 1024 * 1024;

/// The streams of a load, each from one sender to one receiver, in which messages must arrive in
/// the order of their sequence numbers.
pub(super) struct Ledger {
    receivers: Receivers,
    /// By stream, the sequence number that comes next.
    sent: Vec<u32>,
    expected: Vec<u32>,
    /// All that were sent.
    pub(super) sent_count: u64,
    /// All that arrived, each once and in order. What was sent beside them is lost.
    pub(super) arrived_count: u64,
    /// Arrived a second time, or after one that was sent later.
    pub(super) disordered_count: u64,
    /// Arrived at somebody else, or from nobody.
    pub(super) astray_count: u64,
}

/// To whom a sender speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receivers {
    /// The receiver with its own number.
    Own {
        /// How many there are.
        pairs: usize,
    },
    /// All clients but itself, in turn.
    Others {
        /// How many there are, itself included.
        clients: usize,
    },
}

impl Receivers {
    pub(super) fn senders(self) -> usize {
        match self {
            Self::Own { pairs } => pairs,
            Self::Others { clients } => clients,
        }
    }

    /// How many ways there are from a sender to a receiver.
    pub(super) fn streams(self) -> usize {
        match self {
            Self::Own { pairs } => pairs,
            Self::Others { clients } => clients.saturating_mul(clients),
        }
    }

    /// The stream between these two, if there is one.
    pub(super) fn stream(self, sender: usize, receiver: usize) -> Option<usize> {
        let count = self.senders();
        if sender >= count || receiver >= count {
            return None;
        }
        match self {
            Self::Own { .. } => (sender == receiver).then_some(sender),
            Self::Others { .. } => (sender != receiver).then_some(sender * count + receiver),
        }
    }

    /// To whom a sender speaks after this one.
    pub(super) fn after(self, sender: usize, receiver: usize) -> usize {
        match self {
            Self::Own { .. } => receiver,
            Self::Others { clients } => {
                let next = (receiver + 1) % clients;
                if next == sender { (next + 1) % clients } else { next }
            }
        }
    }
}

impl Ledger {
    pub(super) fn new(receivers: Receivers) -> Self {
        let streams = receivers.streams();
        Self {
            receivers,
            sent: vec![0; streams],
            expected: vec![0; streams],
            sent_count: 0,
            arrived_count: 0,
            disordered_count: 0,
            astray_count: 0,
        }
    }

    /// The sequence number of a message that is sent now.
    ///
    /// # Panics
    /// If there is no such stream.
    pub(super) fn send(&mut self, sender: usize, receiver: usize) -> u32 {
        let stream = self.receivers.stream(sender, receiver).expect("a stream of this load");
        let sequence = self.sent[stream];
        self.sent[stream] = sequence_after(sequence);
        self.sent_count += 1;
        sequence
    }

    /// Notes what arrived. Answers how many messages are no longer on their way: this one and those
    /// before it that are lost; none if it was not expected.
    pub(super) fn arrived(&mut self, stamp: Stamp, receiver: usize) -> u32 {
        let Some(stream) = self.receivers.stream(stamp.sender, receiver) else {
            self.astray_count += 1;
            return 0;
        };
        let ahead = sequence_distance(stamp.sequence, self.expected[stream]);
        let on_the_way = sequence_distance(self.sent[stream], self.expected[stream]);
        if ahead < 0 || ahead >= on_the_way {
            self.disordered_count += 1;
            return 0;
        }
        self.expected[stream] = sequence_after(stamp.sequence);
        self.arrived_count += 1;
        ahead as u32 + 1
    }

    /// Sent and not arrived: on the way, or lost.
    pub(super) fn missing_count(&self) -> u64 {
        self.sent_count - self.arrived_count
    }

    /// Whether nothing is on its way any more: the last message of every stream has arrived.
    pub(super) fn is_settled(&self) -> bool {
        self.missing_count() == 0 || self.sent == self.expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(sender: usize, sequence: u32) -> Stamp {
        Stamp { sender, sequence, due: Some(0) }
    }

    fn counts(ledger: &Ledger) -> [u64; 5] {
        let Ledger { sent_count, arrived_count, disordered_count, astray_count, .. } = *ledger;
        [sent_count, arrived_count, ledger.missing_count(), disordered_count, astray_count]
    }

    #[test]
    fn what_does_not_arrive_is_missing_and_what_comes_after_it_frees_its_place() {
        let mut ledger = Ledger::new(Receivers::Own { pairs: 2 });
        assert_eq!([(); 5].map(|()| ledger.send(1, 1)), [0, 1, 2, 3, 4]);
        assert_eq!(ledger.arrived(stamp(1, 0), 1), 1);
        assert_eq!(ledger.arrived(stamp(1, 3), 1), 3); // 1 and 2 are lost
        assert_eq!(counts(&ledger), [5, 2, 3, 0, 0]);
        assert!(!ledger.is_settled());
        assert_eq!(ledger.arrived(stamp(1, 4), 1), 1);
        assert!(ledger.is_settled());
        assert_eq!(counts(&ledger), [5, 3, 2, 0, 0]);
    }

    #[test]
    fn what_comes_twice_late_or_astray_hides_no_loss() {
        let mut ledger = Ledger::new(Receivers::Own { pairs: 2 });
        for _ in 0..3 {
            ledger.send(0, 0);
        }
        ledger.arrived(stamp(0, 0), 0);
        assert_eq!(ledger.arrived(stamp(0, 0), 0), 0); // twice
        ledger.arrived(stamp(0, 2), 0);
        assert_eq!(ledger.arrived(stamp(0, 1), 0), 0); // late
        assert_eq!(ledger.arrived(stamp(0, 3), 0), 0); // never sent
        assert_eq!(ledger.arrived(stamp(0, 3), 1), 0); // another's
        assert_eq!(ledger.arrived(stamp(9, 0), 0), 0); // nobody's
        assert_eq!(counts(&ledger), [3, 2, 1, 3, 2]);
    }

    #[test]
    fn everybody_speaks_to_everybody_else_in_turn() {
        let receivers = Receivers::Others { clients: 3 };
        let mut ledger = Ledger::new(receivers);
        for sender in 0..3 {
            let mut receiver = sender;
            let mut met = Vec::new();
            for _ in 0..4 {
                receiver = receivers.after(sender, receiver);
                met.push(receiver);
                let sequence = ledger.send(sender, receiver);
                assert_eq!(ledger.arrived(stamp(sender, sequence), receiver), 1);
            }
            assert!(!met.contains(&sender));
            assert_eq!((met[0], met[1]), (met[2], met[3]));
            assert_ne!(met[0], met[1]);
        }
        assert_eq!(counts(&ledger), [12, 12, 0, 0, 0]);
        assert!(ledger.is_settled());
        assert_eq!(receivers.stream(1, 1), None);
    }
}
