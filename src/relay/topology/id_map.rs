//! [`IdMap`]: a map of ids that grows in small steps.
//!
//! A hash table of a million entries stalls the loop for tens of milliseconds when it grows. The
//! map therefore consists of [`SHARD_COUNT`] tables: one growth moves a few thousand entries and
//! takes microseconds. The shards fill evenly and would all reach their capacity at nearly the same
//! time, so they are checked in turn and grown before they are full.
//!
//! Clients choose ids, so the hash is keyed with a random key. The map is never iterated, so the
//! key has no influence on the output of the server.

use std::fmt;
use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::id::HostId;

/// Number of tables. With a million hosts, each holds about 3,900 entries.
const SHARD_COUNT: usize = 256;

/// One shard is checked for every `len / GROWTH_CHECK_DIVISOR` insertions. All 256 shards are
/// checked while the map grows by the factor e^(256 / 1152) = 1.25. A shard that is three quarters
/// full grows when it is checked, so few shards are full before their turn.
const GROWTH_CHECK_DIVISOR: usize = 1152;

/// A map of ids.
#[derive(Clone)]
pub(super) struct IdMap<V> {
    /// Entries hold the id beside the value, so that neither a look-up nor a growth reads what the
    /// value names.
    /// There are none before the first insertion.
    shards: Box<[HashTable<(HostId, V)>]>,
    hasher: RandomState,
    len: usize,
    /// The shard that is checked next.
    next_shard: usize,
    /// Insertions since the last check.
    inserts_since_check: usize,
}

impl<V> fmt::Debug for IdMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdMap").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<V> Default for IdMap<V> {
    fn default() -> Self {
        Self {
            shards: Box::default(),
            hasher: RandomState::default(),
            len: 0,
            next_shard: 0,
            inserts_since_check: 0,
        }
    }
}

impl<V> IdMap<V> {
    /// Returns the value of an id.
    pub(super) fn get(&self, id: HostId) -> Option<&V> {
        let hash = self.hasher.hash_one(id);
        let shard = self.shards.get(shard_of(hash))?;
        shard.find(hash, |(other, _)| *other == id).map(|(_, value)| value)
    }

    /// Returns the value of an id, to change it.
    pub(super) fn get_mut(&mut self, id: HostId) -> Option<&mut V> {
        let hash = self.hasher.hash_one(id);
        let shard = self.shards.get_mut(shard_of(hash))?;
        shard.find_mut(hash, |(other, _)| *other == id).map(|(_, value)| value)
    }

    /// Adds an id that is not in the map.
    pub(super) fn insert(&mut self, id: HostId, value: V) {
        let hash = self.hasher.hash_one(id);
        let hasher = &self.hasher;
        if self.shards.is_empty() {
            self.shards = std::iter::repeat_with(HashTable::new).take(SHARD_COUNT).collect();
        }
        self.shards[shard_of(hash)].insert_unique(hash, (id, value), |(id, _)| hasher.hash_one(id));
        self.len += 1;
        self.inserts_since_check += 1;
        if self.inserts_since_check * GROWTH_CHECK_DIVISOR >= self.len {
            self.inserts_since_check = 0;
            self.grow_next_shard();
        }
    }

    /// Grows the next shard if it is three quarters full.
    fn grow_next_shard(&mut self) {
        let (table, hasher) = (&mut self.shards[self.next_shard], &self.hasher);
        self.next_shard = (self.next_shard + 1) % SHARD_COUNT;
        if table.len() > table.capacity() / 4 * 3 {
            table.reserve(table.capacity(), |(id, _)| hasher.hash_one(id));
        }
    }

    /// Removes an id and returns its value.
    pub(super) fn remove(&mut self, id: HostId) -> Option<V> {
        let hash = self.hasher.hash_one(id);
        let shard = self.shards.get_mut(shard_of(hash))?;
        let entry = shard.find_entry(hash, |(other, _)| *other == id).ok()?;
        let ((_, value), _) = entry.remove();
        self.len -= 1;
        Some(value)
    }

    /// Returns the number of ids.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// Returns the shard of a hash. The tables use the lowest and the highest bits, this those between.
fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARD_COUNT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hosts learnt in one turn.
    const HOSTS_PER_TURN: u32 = 500;

    #[test]
    fn map_growth_moves_at_most_a_few_thousand_entries_per_turn() {
        let mut index = IdMap::default();
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
        assert!((1..=1_000_000).all(|id| index.get(HostId(id)) == Some(&id)));
        assert_eq!(index.len, 1_000_000);
    }

    #[test]
    fn removed_ids_are_gone_and_the_others_stay() {
        let mut index = IdMap::default();
        for id in 0..10_000 {
            index.insert(HostId(id), id + 7);
        }
        for id in (0..10_000).step_by(2) {
            assert_eq!(index.remove(HostId(id)), Some(id + 7));
            assert_eq!(index.remove(HostId(id)), None);
        }
        for id in 0..10_000 {
            assert_eq!(index.get(HostId(id)).copied(), (id % 2 == 1).then_some(id + 7));
        }
    }
}
