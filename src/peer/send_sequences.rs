//! The numbers of what this peer has said: to each addressee they go up by one, and none is used twice.

use std::collections::BTreeMap;

use crate::limits::PEER_SEEN_PAIRS_MAX;

/// The last number to each addressee, of so many as [`PEER_SEEN_PAIRS_MAX`].
#[derive(Debug, Default)]
pub(super) struct SendSequences {
    last_by_recipient: BTreeMap<i64, u64>,
    /// No number to an addressee who was forgotten is above this one.
    floor: u64,
}

impl SendSequences {
    pub(super) fn len(&self) -> usize {
        self.last_by_recipient.len()
    }

    /// The next number to an addressee. If there are too many of them, those go to whom nothing
    /// `is_retained`: what is said to them later has higher numbers, and waits for none before it.
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
