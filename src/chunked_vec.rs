//! [`ChunkedVec`]: a vector whose items never move.
//!
//! Items are stored in chunks of fixed size. Growth copies nothing, so that a table of a million
//! items grows without a pause and without fragmenting memory.

use std::ops::{Index, IndexMut};

/// Items in a chunk.
const CHUNK_LEN: usize = 1024;

/// A vector that grows by chunks.
#[derive(Clone, Debug)]
pub(crate) struct ChunkedVec<T> {
    /// All full except the last. Each has the capacity for [`CHUNK_LEN`] items from the start,
    /// except the last of a clone.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for ChunkedVec<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> ChunkedVec<T> {
    /// Returns the number of items.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        let last = self.chunks.last().map_or(0, Vec::len);
        self.chunks.len().saturating_sub(1) * CHUNK_LEN + last
    }

    /// Appends an item and returns its index.
    pub(crate) fn push(&mut self, value: T) -> usize {
        let index = self.len();
        if index.is_multiple_of(CHUNK_LEN) {
            self.chunks.push(Vec::with_capacity(CHUNK_LEN));
        }
        self.chunks.last_mut().expect("a chunk with room").push(value);
        index
    }

    /// Returns the item at an index, if there is one.
    #[must_use]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK_LEN)?.get(index % CHUNK_LEN)
    }

    /// Returns the item at an index, if there is one.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.chunks.get_mut(index / CHUNK_LEN)?.get_mut(index % CHUNK_LEN)
    }

    /// Iterates over the items, by index.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }
}

impl<T> ChunkedVec<Option<T>> {
    /// Sets the item at an index. Indices that are skipped become `None`.
    pub(crate) fn set(&mut self, index: usize, value: T) {
        while self.len() <= index {
            self.push(None);
        }
        self[index] = Some(value);
    }

    /// Returns the item at an index, or `None` if the index is empty or past the end.
    #[must_use]
    pub(crate) fn occupied(&self, index: usize) -> Option<&T> {
        self.get(index)?.as_ref()
    }

    /// Returns the item at an index, or `None` if the index is empty or past the end.
    pub(crate) fn occupied_mut(&mut self, index: usize) -> Option<&mut T> {
        self.get_mut(index)?.as_mut()
    }
}

impl<T> Index<usize> for ChunkedVec<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.chunks[index / CHUNK_LEN][index % CHUNK_LEN]
    }
}

impl<T> IndexMut<usize> for ChunkedVec<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.chunks[index / CHUNK_LEN][index % CHUNK_LEN]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_by_index_and_never_move() {
        let mut items = ChunkedVec::default();
        assert!(items.len() == 0 && items.get(0).is_none());
        let count = 3 * CHUNK_LEN + 5;
        for number in 0..count {
            assert_eq!((items.len(), items.push(number)), (number, number));
        }
        let first: *const usize = &items[0];
        items.push(count);
        assert!(std::ptr::eq(first, &items[0]));
        assert!(items.iter().copied().eq(0..=count));
        for index in [0, CHUNK_LEN - 1, CHUNK_LEN, count] {
            assert_eq!((items[index], items.get(index).copied()), (index, Some(index)));
        }
        assert!(items.get(count + 1).is_none() && items.get_mut(count + 1).is_none());
    }

    #[test]
    fn set_past_the_end_fills_the_gap_with_none() {
        let mut items = ChunkedVec::default();
        items.set(CHUNK_LEN + 1, "b");
        items.set(3, "a");
        items.set(CHUNK_LEN + 1, "c");
        assert_eq!(items.len(), CHUNK_LEN + 2);
        assert!(items.iter().flatten().eq(&["a", "c"]));
        for (index, value) in
            [(3, Some("a")), (4, None), (CHUNK_LEN + 1, Some("c")), (CHUNK_LEN + 2, None)]
        {
            assert_eq!(items.occupied(index).copied(), value);
            assert_eq!(items.occupied_mut(index).copied(), value);
        }
    }
}
