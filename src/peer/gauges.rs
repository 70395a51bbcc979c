//! How full everything is that has a bound.

use super::Peer;

/// How full everything is that has a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Links on which all is told, at most [`crate::limits::PEER_LINKS_MAX`].
    pub links: usize,
    /// Peers known, at most [`crate::limits::PEERS_MAX`].
    pub peers: usize,
    /// Messages kept, at most [`crate::limits::PEER_KEPT_MESSAGES_MAX`].
    pub kept_messages: usize,
    /// Their bytes, at most [`crate::limits::PEER_KEPT_BYTES_MAX`].
    pub kept_bytes: usize,
    /// Pairs of sender and addressee remembered, at most [`crate::limits::PEER_PAIRS_MAX`].
    pub pairs: usize,
    /// Senders remembered, at most [`crate::limits::PEER_SENDERS_MAX`].
    pub senders: usize,
    /// Messages that wait for those before them, at most
    /// [`crate::limits::PEER_WAITING_MESSAGES_MAX`].
    pub waiting: usize,
    /// Messages of others given up before their receipts, for age or room, so far.
    pub given_up: u64,
    /// Messages that came too late to be shown, so far.
    pub late: u64,
    /// Messages that came before others that were to be shown first, so far.
    pub early: u64,
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
            senders: self.inbox.senders(),
            waiting: self.inbox.waiting(),
            given_up: self.given_up,
            late: self.late,
            early: self.early,
        }
    }
}
