//! Slots of a table in the order of their keys.
//!
//! The slots are in chunks that are mostly full, so that a slot takes little more than its 4 bytes,
//! and short, so that an insertion moves few others.

/// Maximum number of slots in a chunk: 512 bytes.
const CHUNK_SLOTS_MAX: usize = 128;

/// Free slots that a chunk must have to take over slots of a full neighbour.
const SHARE_FREE_SLOTS_MIN: usize = CHUNK_SLOTS_MAX / 8;

/// Slots in the order of their keys. The caller passes the function from slot to key. Keys are
/// unique.
#[derive(Clone, Debug)]
pub(super) struct SortedSlots<K> {
    chunks: Vec<Chunk<K>>,
}

/// Consecutive slots. Never empty.
#[derive(Clone, Debug)]
struct Chunk<K> {
    /// Key of the first slot, so that the search for a chunk does not access the table.
    first_key: K,
    slots: Vec<u32>,
}

/// A position in the order: index of the chunk, index in the chunk.
type Position = (usize, usize);

impl<K> Default for SortedSlots<K> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<K: Copy + Ord> SortedSlots<K> {
    /// Returns the slot with a key.
    pub(super) fn find(&self, key: K, key_of: impl Fn(u32) -> K) -> Option<u32> {
        let (chunk, at) = self.search(key, &key_of).ok()?;
        Some(self.chunks[chunk].slots[at])
    }

    /// Returns the slots in order, those after `key` if it is given.
    pub(super) fn iter_after(
        &self,
        key: Option<K>,
        key_of: impl Fn(u32) -> K,
    ) -> impl Iterator<Item = u32> + '_ {
        let (chunk, at) = match key.map(|key| self.search(key, &key_of)) {
            None => (0, 0),
            Some(Ok((chunk, at))) => (chunk, at + 1),
            Some(Err(place)) => place,
        };
        let chunks = self.chunks.get(chunk..).unwrap_or(&[]);
        chunks.iter().flat_map(|chunk| &chunk.slots).skip(at).copied()
    }

    /// Inserts a slot under a key.
    ///
    /// # Errors
    /// Returns the slot that has the key already.
    pub(super) fn insert(
        &mut self,
        slot: u32,
        key: K,
        key_of: impl Fn(u32) -> K,
    ) -> Result<(), u32> {
        loop {
            let (chunk, at) = match self.search(key, &key_of) {
                Ok((chunk, at)) => return Err(self.chunks[chunk].slots[at]),
                Err(position) => position,
            };
            let len =
                |chunk: usize| self.chunks.get(chunk).map_or(CHUNK_SLOTS_MAX, |it| it.slots.len());
            if len(chunk) < CHUNK_SLOTS_MAX {
                self.insert_at(slot, key, (chunk, at));
            } else if at == CHUNK_SLOTS_MAX && len(chunk + 1) < CHUNK_SLOTS_MAX {
                self.insert_at(slot, key, (chunk + 1, 0));
            } else if at == CHUNK_SLOTS_MAX || self.chunks.is_empty() {
                // Insertion in order fills one chunk after the other.
                let next = self.chunks.len().min(chunk + 1);
                self.chunks.insert(next, Chunk { first_key: key, slots: vec![slot] });
            } else {
                self.split_or_rebalance(chunk, &key_of);
                continue;
            }
            return Ok(());
        }
    }

    fn insert_at(&mut self, slot: u32, key: K, (chunk, at): Position) {
        let chunk = &mut self.chunks[chunk];
        chunk.slots.insert(at, slot);
        if at == 0 {
            chunk.first_key = key;
        }
    }

    /// Removes the slot with a key.
    pub(super) fn remove(&mut self, key: K, key_of: impl Fn(u32) -> K) -> Option<u32> {
        let (chunk_index, slot_index) = self.search(key, &key_of).ok()?;
        let chunk = &mut self.chunks[chunk_index];
        let slot = chunk.slots.remove(slot_index);
        let remaining = chunk.slots.len();
        match chunk.slots.first() {
            None => {
                self.chunks.remove(chunk_index);
            }
            Some(&first) => {
                chunk.first_key = key_of(first);
                let next = self.chunks.get(chunk_index + 1);
                if next.is_some_and(|next| remaining + next.slots.len() <= CHUNK_SLOTS_MAX / 2) {
                    let next = self.chunks.remove(chunk_index + 1);
                    self.chunks[chunk_index].slots.extend(next.slots);
                }
            }
        }
        Some(slot)
    }

    /// Returns the position of a key, or as an error the position where it belongs. A key before
    /// all others belongs into the first chunk.
    fn search(&self, key: K, key_of: &impl Fn(u32) -> K) -> Result<Position, Position> {
        let chunk = self.chunks.partition_point(|chunk| chunk.first_key <= key).saturating_sub(1);
        let slots = self.chunks.get(chunk).map_or(&[][..], |chunk| &chunk.slots);
        let position = slots.binary_search_by_key(&key, |&slot| key_of(slot));
        position.map(|at| (chunk, at)).map_err(|at| (chunk, at))
    }

    /// Shortens a full chunk: moves slots to a neighbour with space, or else splits it in halves.
    fn split_or_rebalance(&mut self, chunk_index: usize, key_of: &impl Fn(u32) -> K) {
        let free_slots = |at: Option<usize>| {
            let chunk = at.and_then(|at| self.chunks.get(at))?;
            Some(CHUNK_SLOTS_MAX - chunk.slots.len()).filter(|&free| free >= SHARE_FREE_SLOTS_MIN)
        };
        let (prev_free, next_free) =
            (free_slots(chunk_index.checked_sub(1)), free_slots(Some(chunk_index + 1)));
        let slots = &mut self.chunks[chunk_index].slots;
        if let Some(free) = prev_free {
            let moved: Vec<u32> = slots.drain(..free / 2).collect();
            self.chunks[chunk_index].first_key = key_of(self.chunks[chunk_index].slots[0]);
            self.chunks[chunk_index - 1].slots.extend(moved);
        } else {
            let moved = slots.split_off(
                next_free.map_or(CHUNK_SLOTS_MAX / 2, |free| CHUNK_SLOTS_MAX - free / 2),
            );
            let first = key_of(moved[0]);
            if next_free.is_none() {
                return self
                    .chunks
                    .insert(chunk_index + 1, Chunk { first_key: first, slots: moved });
            }
            let next = &mut self.chunks[chunk_index + 1];
            next.first_key = first;
            next.slots.splice(..0, moved);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn key_of(slot: u32) -> u32 {
        slot
    }

    #[track_caller]
    fn check(sorted: &SortedSlots<u32>, expected: &BTreeSet<u32>) {
        assert!(sorted.iter_after(None, key_of).eq(expected.iter().copied()));
        for chunk in &sorted.chunks {
            assert!((1..=CHUNK_SLOTS_MAX).contains(&chunk.slots.len()));
            assert_eq!(chunk.first_key, key_of(chunk.slots[0]));
        }
    }

    proptest! {
        #[test]
        fn sorted_slots_agree_with_a_btree_set(
            steps in proptest::collection::vec((0_u32..6000, any::<bool>(), 1_u32..900), 1..40),
        ) {
            let (mut sorted, mut expected) = (SortedSlots::default(), BTreeSet::new());
            for (start, is_added, count) in steps {
                // Upwards, downwards, or scattered.
                for i in 0..count {
                    let number = match start % 3 {
                        0 => start + i,
                        1 => start.saturating_sub(i),
                        _ => (start + i * 2_741) % 6000,
                    };
                    if is_added {
                        let added = sorted.insert(number, number, key_of);
                        let is_new = expected.insert(number);
                        prop_assert_eq!(added, if is_new { Ok(()) } else { Err(number) });
                    } else {
                        let removed = sorted.remove(number, key_of);
                        prop_assert_eq!(removed.is_some(), expected.remove(&number));
                    }
                }
                check(&sorted, &expected);
                prop_assert_eq!(sorted.find(start, key_of), expected.get(&start).copied());
                let rest = sorted.iter_after(Some(start), key_of);
                prop_assert!(rest.eq(expected.range(start + 1..).copied()));
            }
        }
    }

    #[test]
    fn chunks_stay_nearly_full_for_any_insertion_order() {
        type Order = fn(u32) -> u32;
        const COUNT: u32 = 200_000;
        let orders: [(&str, Order, f64); 3] = [
            ("upwards", |i| i, 0.99),
            ("downwards", |i| COUNT - i, 0.75),
            ("scattered", |i| i.wrapping_mul(2_654_435_761), 0.75),
        ];
        for (name, order, at_least) in orders {
            let mut sorted = SortedSlots::default();
            for number in (0..COUNT).map(order) {
                sorted.insert(number, number, key_of).expect("unique");
            }
            let places: usize = sorted.chunks.iter().map(|chunk| chunk.slots.capacity()).sum();
            let filled = f64::from(COUNT) / places as f64;
            assert!(filled >= at_least, "{name}: {filled}");
        }
    }
}
