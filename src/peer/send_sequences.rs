//! Sequence numbers of the messages that this peer sends, counted for each addressee.

use std::collections::BTreeMap;

use crate::limits::PEER_SEEN_PAIRS_MAX;

/// The last sequence number for each of at most [`PEER_SEEN_PAIRS_MAX`] addressees.
///
/// Invariant: no number is used twice for one addressee.
#[derive(Debug, Default)]
pub(super) struct SendSequences {
    last_by_recipient: BTreeMap<i64, u64>,
    /// The highest number used for any forgotten addressee.
    floor: u64,
}

impl SendSequences {
    pub(super) fn len(&self) -> usize {
        self.last_by_recipient.len()
    }

    /// Returns the next number for an addressee.
    ///
    /// When the table is full, addressees without retained messages are forgotten. Later messages
    /// to them continue above `floor`, and their `first_unacked` says that they wait for no earlier
    /// one.
    pub(super) fn next(&mut self, to: i64, is_retained: impl Fn(i64) -> bool) -> u64 {
        if !self.last_by_recipient.contains_key(&to)
            && self.last_by_recipient.len() >= PEER_SEEN_PAIRS_MAX
        {
            let floor = &mut self.floor;
            self.last_by_recipient.retain(|&to, last| {
                let is_retained = is_retained(to);
                if !is_retained {
                    *floor = (*floor).max(*last);
                }
                is_retained
            });
        }
        let last = self.last_by_recipient.entry(to).or_insert(self.floor);
        *last += 1;
        *last
    }
}
