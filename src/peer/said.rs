//! The numbers of what this peer has said: to each addressee they go up by one, and none is used twice.

use std::collections::BTreeMap;

use crate::limits::PEER_SEEN_PAIRS_MAX;

/// The last number to each addressee, of so many as [`PEER_SEEN_PAIRS_MAX`].
#[derive(Debug, Default)]
pub(super) struct Said {
    last: BTreeMap<i64, u64>,
    /// No number to an addressee who was forgotten is above this one.
    floor: u64,
}

impl Said {
    pub(super) fn len(&self) -> usize {
        self.last.len()
    }

    /// The next number to an addressee. If there are too many of them, those go to whom nothing
    /// `is_kept`: what is said to them later has higher numbers, and waits for none before it.
    pub(super) fn next(&mut self, to: i64, is_kept: impl Fn(i64) -> bool) -> u64 {
        if !self.last.contains_key(&to) && self.last.len() >= PEER_SEEN_PAIRS_MAX {
            let floor = &mut self.floor;
            self.last.retain(|&to, last| {
                let is_kept = is_kept(to);
                if !is_kept {
                    *floor = (*floor).max(*last);
                }
                is_kept
            });
        }
        let last = self.last.entry(to).or_insert(self.floor);
        *last += 1;
        *last
    }
}
