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
    pub kept_messages: usize,
    /// Their bytes, at most [`crate::limits::PEER_RETAINED_BYTES_MAX`].
    pub kept_bytes: usize,
    /// Pairs of sender and addressee remembered, at most [`crate::limits::PEER_SEEN_PAIRS_MAX`].
    pub pairs: usize,
    /// Addressees to whom the numbers of this peer's messages are remembered, at most
    /// [`crate::limits::PEER_SEEN_PAIRS_MAX`].
    pub addressees: usize,
    /// Senders remembered, at most [`crate::limits::PEER_INBOX_SENDERS_MAX`].
    pub senders: usize,
    /// Messages that wait for those before them, at most
    /// [`crate::limits::PEER_REORDER_MESSAGES_MAX`].
    pub waiting: usize,
    /// Messages of others given up before their receipts, for age or room, so far.
    pub given_up: u64,
    /// Messages that came too late to be shown, so far.
    pub late: u64,
    /// Messages that came before others that were to be shown first, so far.
    pub early: u64,
}

/// Each with its bound, on one line.
impl fmt::Display for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {PEER_LINKS_MAX} links, {} of {PEERS_MAX} peers, ",
            self.links, self.peers
        )?;
        write!(f, "{} of {PEER_RETAINED_MESSAGES_MAX} messages kept in ", self.kept_messages)?;
        write!(f, "{} of {PEER_RETAINED_BYTES_MAX} bytes, ", self.kept_bytes)?;
        write!(f, "{} of {PEER_REORDER_MESSAGES_MAX} held for others before them, ", self.waiting)?;
        write!(f, "remembered: {} of {PEER_SEEN_PAIRS_MAX} pairs, ", self.pairs)?;
        write!(f, "{} of {PEER_INBOX_SENDERS_MAX} senders, ", self.senders)?;
        write!(f, "{} of {PEER_SEEN_PAIRS_MAX} addressees; so far ", self.addressees)?;
        write!(f, "{} given up, {} late, {} early", self.given_up, self.late, self.early)
    }
}

impl Peer {
    /// How full everything is.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            links: self.links.attached().count(),
            peers: self.network.len(),
            kept_messages: self.kept.len(),
            kept_bytes: self.kept.bytes(),
            pairs: self.pairs.len(),
            addressees: self.said.len(),
            senders: self.inbox.senders(),
            waiting: self.inbox.waiting(),
            given_up: self.given_up,
            late: self.late,
            early: self.early,
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
            kept_messages: 3,
            kept_bytes: 4,
            pairs: 5,
            addressees: 6,
            senders: 7,
            waiting: 8,
            given_up: 9,
            late: 10,
            early: 11,
        };
        let expected = "1 of 256 links, 2 of 4096 peers, 3 of 10000 messages kept in 4 of 4194304 \
                        bytes, 8 of 1000 held for others before them, remembered: 5 of 65536 pairs, \
                        7 of 65536 senders, 6 of 65536 addressees; so far 9 given up, 10 late, 11 \
                        early";
        assert_eq!(gauges.to_string(), expected);
    }
}
