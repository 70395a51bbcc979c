//! Finds the slot of an id: a hash table that grows a little at a time.
//!
//! One hash table of a million entries stalls the loop for tens of milliseconds when it grows. So it is
//! cut into [`SHARD_COUNT`], each growing alone: a growth moves a few thousand entries, in microseconds. As they
//! fill alike, they would still grow at nearly the same time; so one after the other grows before it must.
//! Ids are chosen by strangers, so the hash has a key that they do not know. Nothing iterates here,
//! so nobody sees that key in what the server does.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::id::HostId;

/// How many tables there are: with a million hosts each holds about 3,900 entries.
const SHARD_COUNT: usize = 256;

/// While the number of entries grows by a quarter, each table is looked at once: e^(256/1152) = 1.25. What
/// is three quarters full then grows, so that hardly any is full before its turn.
const GROWTH_CHECK_DIVISOR: usize = 1152;

/// The slot of each id.
#[derive(Debug)]
pub(super) struct IdIndex {
    /// Each entry has its id beside its slot, so that neither a search nor a growth looks at the hosts.
    shards: Box<[HashTable<(HostId, u32)>]>,
    hasher: RandomState,
    len: usize,
    /// The shard that is looked at next, and how many entries came since one was.
    next_shard: usize,
    inserts_since_check: usize,
}

impl Default for IdIndex {
    fn default() -> Self {
        let shards = std::iter::repeat_with(HashTable::new).take(SHARD_COUNT).collect();
        Self {
            shards,
            hasher: RandomState::default(),
            len: 0,
            next_shard: 0,
            inserts_since_check: 0,
        }
    }
}

impl IdIndex {
    /// The slot of an id.
    pub(super) fn get(&self, id: HostId) -> Option<u32> {
        let hash = self.hasher.hash_one(id);
        self.shards[shard_of(hash)].find(hash, |&(other, _)| other == id).map(|&(_, slot)| slot)
    }

    /// Adds an id that is not there.
    pub(super) fn insert(&mut self, id: HostId, slot: u32) {
        let hash = self.hasher.hash_one(id);
        let hasher = &self.hasher;
        self.shards[shard_of(hash)].insert_unique(hash, (id, slot), |&(id, _)| hasher.hash_one(id));
        self.len += 1;
        self.inserts_since_check += 1;
        if self.inserts_since_check * GROWTH_CHECK_DIVISOR >= self.len {
            self.inserts_since_check = 0;
            self.grow_next_shard();
        }
    }

    /// Lets the next table grow, if it would have to soon.
    fn grow_next_shard(&mut self) {
        let (table, hasher) = (&mut self.shards[self.next_shard], &self.hasher);
        self.next_shard = (self.next_shard + 1) % SHARD_COUNT;
        if table.len() > table.capacity() / 4 * 3 {
            table.reserve(table.capacity(), |&(id, _)| hasher.hash_one(id));
        }
    }

    /// Forgets an id, and answers what its slot was.
    pub(super) fn remove(&mut self, id: HostId) -> Option<u32> {
        let hash = self.hasher.hash_one(id);
        let entry = self.shards[shard_of(hash)].find_entry(hash, |&(other, _)| other == id).ok()?;
        let ((_, slot), _) = entry.remove();
        self.len -= 1;
        Some(slot)
    }
}

/// The tables themselves use the lowest and the highest bits of a hash, this what lies between.
fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARD_COUNT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many hosts are learnt in a turn.
    const HOSTS_PER_TURN: u32 = 500;

    #[test]
    fn index_growth_moves_at_most_a_few_thousand_entries_per_turn() {
        let mut index = IdIndex::default();
        let (mut most_moved, mut growth_count) = (0, 0);
        for first in (1..=1_000_000).step_by(HOSTS_PER_TURN as usize) {
            let capacities: Vec<usize> = index.shards.iter().map(HashTable::capacity).collect();
            (first..first + HOSTS_PER_TURN).for_each(|id| index.insert(HostId(id), id));
            let moved: usize = std::iter::zip(&index.shards, capacities)
                .filter(|(table, capacity)| table.capacity() != *capacity)
                .map(|(table, _)| table.len())
                .sum();
            most_moved = most_moved.max(moved);
            growth_count += usize::from(moved > 0);
        }
        assert!(growth_count > SHARD_COUNT, "{growth_count}");
        assert!((2000..14_000).contains(&most_moved), "{most_moved}");
        assert!((1..=1_000_000).all(|id| index.get(HostId(id)) == Some(id)));
        assert_eq!(index.len, 1_000_000);
    }

    #[test]
    fn removed_ids_are_gone_and_the_others_stay() {
        let mut index = IdIndex::default();
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
