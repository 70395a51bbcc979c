//! Finds the slot of an id: a hash table that grows a little at a time.
//!
//! One hash table of a million entries stalls the loop for tens of milliseconds when it grows. So it is
//! cut into [`SHARDS`], each growing alone: a growth moves a few thousand entries, in microseconds.
//! Ids are chosen by strangers, so the hash has a key that they do not know. Nothing iterates here,
//! so nobody sees that key in what the server does.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::message::HostId;

/// How many tables there are: with a million hosts each holds about 3,900 entries.
const SHARDS: usize = 256;

/// The slot of each id.
#[derive(Debug)]
pub(super) struct Index {
    /// Each entry has its id beside its slot, so that neither a search nor a growth looks at the hosts.
    shards: Box<[HashTable<(HostId, u32)>]>,
    key: RandomState,
}

impl Default for Index {
    fn default() -> Self {
        let shards = std::iter::repeat_with(HashTable::new).take(SHARDS).collect();
        Self { shards, key: RandomState::default() }
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
    }

    /// Forgets an id, and answers what its slot was.
    pub(super) fn remove(&mut self, id: HostId) -> Option<u32> {
        let hash = self.key.hash_one(id);
        let entry = self.shards[shard(hash)].find_entry(hash, |&(other, _)| other == id).ok()?;
        Some(entry.remove().0.1)
    }
}

/// The tables themselves use the lowest and the highest bits of a hash, this what lies between.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_growth_moves_more_than_a_few_thousand_entries() {
        let mut index = Index::default();
        let mut most_moved = 0;
        for id in 1..=1_000_000 {
            let shard = shard(index.key.hash_one(HostId(id)));
            let (len, capacity) = (index.shards[shard].len(), index.shards[shard].capacity());
            index.insert(HostId(id), id);
            if index.shards[shard].capacity() != capacity {
                most_moved = most_moved.max(len);
            }
        }
        assert!((1000..8000).contains(&most_moved), "{most_moved}");
        assert!((1..=1_000_000).all(|id| index.get(HostId(id)) == Some(id)));
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
