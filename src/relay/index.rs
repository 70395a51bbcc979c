//! Finds the slot of an id: a hash table that grows a little at a time.
//!
//! One hash table of a million entries stalls the loop for tens of milliseconds when it grows. So it is
//! cut into [`SHARDS`], each growing alone: a growth moves a few thousand entries, in microseconds. As they
//! fill alike, they would still grow at nearly the same time; so one after the other grows before it must.
//! Ids are chosen by strangers, so the hash has a key that they do not know. Nothing iterates here,
//! so nobody sees that key in what the server does.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::message::HostId;

/// How many tables there are: with a million hosts each holds about 3,900 entries.
const SHARDS: usize = 256;

/// While the number of entries grows by a quarter, each table is looked at once: e^(256/1152) = 1.25. What
/// is three quarters full then grows, so that hardly any is full before its turn.
const LOOKS_PER_ENTRY: usize = 1152;

/// The slot of each id.
#[derive(Debug)]
pub(super) struct Index {
    /// Each entry has its id beside its slot, so that neither a search nor a growth looks at the hosts.
    shards: Box<[HashTable<(HostId, u32)>]>,
    key: RandomState,
    len: usize,
    /// The shard that is looked at next, and how many entries came since one was.
    next_look: usize,
    since_look: usize,
}

impl Default for Index {
    fn default() -> Self {
        let shards = std::iter::repeat_with(HashTable::new).take(SHARDS).collect();
        Self { shards, key: RandomState::default(), len: 0, next_look: 0, since_look: 0 }
    }
}

impl Index {
    /// The slot of an id.
    pub(super) fn get(&self, id: HostId) -> Option<u32> {
        let hash = self.key.hash_one(id);
        self.shards[shard(hash)].find(hash, |&(other, _)| other == id).map(|&(_, slot)| slot)
    }

    /// Adds an id that is not there.
    pub(super) fn insert(&mut self, id: HostId, slot: u32) {
        let hash = self.key.hash_one(id);
        let key = &self.key;
        self.shards[shard(hash)].insert_unique(hash, (id, slot), |&(id, _)| key.hash_one(id));
        self.len += 1;
        self.since_look += 1;
        if self.since_look * LOOKS_PER_ENTRY >= self.len {
            self.since_look = 0;
            self.look();
        }
    }

    /// Lets the next table grow, if it would have to soon.
    fn look(&mut self) {
        let (table, key) = (&mut self.shards[self.next_look], &self.key);
        self.next_look = (self.next_look + 1) % SHARDS;
        if table.len() > table.capacity() / 4 * 3 {
            table.reserve(table.capacity(), |&(id, _)| key.hash_one(id));
        }
    }

    /// Forgets an id, and answers what its slot was.
    pub(super) fn remove(&mut self, id: HostId) -> Option<u32> {
        let hash = self.key.hash_one(id);
        let entry = self.shards[shard(hash)].find_entry(hash, |&(other, _)| other == id).ok()?;
        let ((_, slot), _) = entry.remove();
        self.len -= 1;
        Some(slot)
    }
}

/// The tables themselves use the lowest and the highest bits of a hash, this what lies between.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many hosts are learnt in a turn.
    const TURN: u32 = 500;

    #[test]
    fn no_turn_moves_more_than_a_few_thousand_entries() {
        let mut index = Index::default();
        let (mut most_moved, mut grown) = (0, 0);
        for first in (1..=1_000_000).step_by(TURN as usize) {
            let capacities: Vec<usize> = index.shards.iter().map(HashTable::capacity).collect();
            (first..first + TURN).for_each(|id| index.insert(HostId(id), id));
            let moved: usize = std::iter::zip(&index.shards, capacities)
                .filter(|(table, capacity)| table.capacity() != *capacity)
                .map(|(table, _)| table.len())
                .sum();
            most_moved = most_moved.max(moved);
            grown += usize::from(moved > 0);
        }
        assert!(grown > SHARDS, "{grown}");
        assert!((2000..14_000).contains(&most_moved), "{most_moved}");
        assert!((1..=1_000_000).all(|id| index.get(HostId(id)) == Some(id)));
        assert_eq!(index.len, 1_000_000);
    }

    #[test]
    fn what_is_removed_is_gone_and_nothing_else() {
        let mut index = Index::default();
        for id in 0..10_000 {
            index.insert(HostId(id), id + 7);
        }
        for id in (0..10_000).step_by(2) {
            assert_eq!(index.remove(HostId(id)), Some(id + 7));
            assert_eq!(index.remove(HostId(id)), None);
        }
        for id in 0..10_000 {
            assert_eq!(index.get(HostId(id)), (id % 2 == 1).then_some(id + 7));
        }
    }
}
