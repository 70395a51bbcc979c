//! Gauges of everything in a peer that has a bound.

use std::fmt;

use super::Peer;
use crate::limits::{
    PEER_INBOX_SENDERS_MAX, PEER_LINKS_MAX, PEER_REORDER_MESSAGES_MAX, PEER_RETAINED_BYTES_MAX,
    PEER_RETAINED_MESSAGES_MAX, PEER_SEEN_PAIRS_MAX, PEERS_MAX,
};

/// A snapshot of the gauges of a peer, and three counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Attached links, at most [`PEER_LINKS_MAX`].
    pub links: usize,
    /// Known peers, at most [`PEERS_MAX`].
    pub peers: usize,
    /// Retained messages, at most [`PEER_RETAINED_MESSAGES_MAX`].
    pub retained_messages: usize,
    /// Bytes of the retained messages, at most [`PEER_RETAINED_BYTES_MAX`].
    pub retained_bytes: usize,
    /// Pairs of sender and addressee in the duplicate filter, at most [`PEER_SEEN_PAIRS_MAX`].
    pub seen_pairs: usize,
    /// Addressees with a send sequence, at most [`PEER_SEEN_PAIRS_MAX`].
    pub recipients: usize,
    /// Senders with a high-water mark, at most [`PEER_INBOX_SENDERS_MAX`].
    pub senders: usize,
    /// Messages buffered until an earlier one arrives, at most [`PEER_REORDER_MESSAGES_MAX`].
    pub reorder_messages: usize,
    /// Messages of other peers dropped without a receipt so far, for their age or for space.
    pub dropped: u64,
    /// Messages so far that arrived after a later one was shown.
    pub late: u64,
    /// Messages so far that arrived before an earlier one.
    pub out_of_order: u64,
}

/// Formats every gauge with its bound, on one line.
impl fmt::Display for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {PEER_LINKS_MAX} links, {} of {PEERS_MAX} peers, ",
            self.links, self.peers
        )?;
        write!(
            f,
            "{} of {PEER_RETAINED_MESSAGES_MAX} messages retained in ",
            self.retained_messages
        )?;
        write!(f, "{} of {PEER_RETAINED_BYTES_MAX} bytes, ", self.retained_bytes)?;
        write!(
            f,
            "{} of {PEER_REORDER_MESSAGES_MAX} messages waiting for earlier ones, ",
            self.reorder_messages
        )?;
        write!(f, "tracked: {} of {PEER_SEEN_PAIRS_MAX} pairs, ", self.seen_pairs)?;
        write!(f, "{} of {PEER_INBOX_SENDERS_MAX} senders, ", self.senders)?;
        write!(f, "{} of {PEER_SEEN_PAIRS_MAX} addressees; total: ", self.recipients)?;
        write!(f, "{} dropped, {} late, {} early", self.dropped, self.late, self.out_of_order)
    }
}

impl Peer {
    /// Returns the current gauges.
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
        let expected = "1 of 256 links, 2 of 4096 peers, 3 of 10000 messages retained in 4 of \
                        4194304 bytes, 8 of 1000 messages waiting for earlier ones, tracked: 5 of \
                        65536 pairs, 7 of 65536 senders, 6 of 65536 addressees; total: 9 dropped, \
                        10 late, 11 early";
        assert_eq!(gauges.to_string(), expected);
    }
}
