//! How full everything is that has a bound.

use std::fmt;

use super::Peer;
use crate::limits::{
    PEER_INBOX_SENDERS_MAX, PEER_LINKS_MAX, PEER_REORDER_MESSAGES_MAX, PEER_RETAINED_BYTES_MAX,
    PEER_RETAINED_MESSAGES_MAX, PEER_SEEN_PAIRS_MAX, PEERS_MAX,
};

/// How full everything is that has a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Links on which all is told, at most [`crate::limits::PEER_LINKS_MAX`].
    pub links: usize,
    /// Peers known, at most [`crate::limits::PEERS_MAX`].
    pub peers: usize,
    /// Messages kept, at most [`crate::limits::PEER_RETAINED_MESSAGES_MAX`].
    pub retained_messages: usize,
    /// Their bytes, at most [`crate::limits::PEER_RETAINED_BYTES_MAX`].
    pub retained_bytes: usize,
    /// Pairs of sender and addressee remembered, at most [`crate::limits::PEER_SEEN_PAIRS_MAX`].
    pub seen_pairs: usize,
    /// Addressees to whom the numbers of this peer's messages are remembered, at most
    /// [`crate::limits::PEER_SEEN_PAIRS_MAX`].
    pub recipients: usize,
    /// Senders remembered, at most [`crate::limits::PEER_INBOX_SENDERS_MAX`].
    pub senders: usize,
    /// Messages that wait for those before them, at most
    /// [`crate::limits::PEER_REORDER_MESSAGES_MAX`].
    pub reorder_messages: usize,
    /// Messages of others given up before their receipts, for age or room, so far.
    pub dropped: u64,
    /// Messages that came too late to be shown, so far.
    pub late: u64,
    /// Messages that came before others that were to be shown first, so far.
    pub out_of_order: u64,
}

/// Each with its bound, on one line.
impl fmt::Display for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {PEER_LINKS_MAX} links, {} of {PEERS_MAX} peers, ",
            self.links, self.peers
        )?;
        write!(f, "{} of {PEER_RETAINED_MESSAGES_MAX} messages kept in ", self.retained_messages)?;
        write!(f, "{} of {PEER_RETAINED_BYTES_MAX} bytes, ", self.retained_bytes)?;
        write!(
            f,
            "{} of {PEER_REORDER_MESSAGES_MAX} held for others before them, ",
            self.reorder_messages
        )?;
        write!(f, "remembered: {} of {PEER_SEEN_PAIRS_MAX} pairs, ", self.seen_pairs)?;
        write!(f, "{} of {PEER_INBOX_SENDERS_MAX} senders, ", self.senders)?;
        write!(f, "{} of {PEER_SEEN_PAIRS_MAX} addressees; so far ", self.recipients)?;
        write!(f, "{} given up, {} late, {} early", self.dropped, self.late, self.out_of_order)
    }
}

impl Peer {
    /// How full everything is.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            links: self.links.attached().count(),
            peers: self.topology.len(),
            retained_messages: self.retained.len(),
            retained_bytes: self.retained.bytes(),
            seen_pairs: self.seen.len(),
            recipients: self.sequences.len(),
            senders: self.inbox.sender_count(),
            reorder_messages: self.inbox.reorder_len(),
            dropped: self.dropped,
            late: self.late,
            out_of_order: self.out_of_order,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gauge_is_shown_with_its_bound() {
        let gauges = Gauges {
            links: 1,
            peers: 2,
            retained_messages: 3,
            retained_bytes: 4,
            seen_pairs: 5,
            recipients: 6,
            senders: 7,
            reorder_messages: 8,
            dropped: 9,
            late: 10,
            out_of_order: 11,
        };
        let expected = "1 of 256 links, 2 of 4096 peers, 3 of 10000 messages kept in 4 of 4194304 \
                        bytes, 8 of 1000 held for others before them, remembered: 5 of 65536 pairs, \
                        7 of 65536 senders, 6 of 65536 addressees; so far 9 given up, 10 late, 11 \
                        early";
        assert_eq!(gauges.to_string(), expected);
    }
}
