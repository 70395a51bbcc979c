//! Places that are counted from 0, in blocks that never move.
//!
//! A table of a million grows without a pause, as nothing is ever copied to a larger place; and one of
//! thousands leaves no holes behind where it was when it was smaller.

use std::ops::{Index, IndexMut};

/// Places in a block.
const BLOCK: usize = 1024;

/// Things in their places.
#[derive(Debug)]
pub struct Blocks<T> {
    /// All full but the last. Each has memory for [`BLOCK`], of which the system gives what is used.
    blocks: Vec<Vec<T>>,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self { blocks: Vec::new() }
    }
}

impl<T> Blocks<T> {
    /// How many places there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let last = self.blocks.last().map_or(0, Vec::len);
        self.blocks.len().saturating_sub(1) * BLOCK + last
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Adds a place behind all others, and answers which it is.
    pub fn push(&mut self, thing: T) -> usize {
        let place = self.len();
        if place.is_multiple_of(BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        self.blocks.last_mut().expect("a block with room").push(thing);
        place
    }

    /// What is in a place, if there is one.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&T> {
        self.blocks.get(place / BLOCK)?.get(place % BLOCK)
    }

    /// What is in a place, if there is one.
    pub fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.blocks.get_mut(place / BLOCK)?.get_mut(place % BLOCK)
    }

    /// All, by their places.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().flatten()
    }

    /// All, by their places.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.blocks.iter_mut().flatten()
    }
}

impl<T> Blocks<Option<T>> {
    /// Puts something into a place; those before it that there were not are empty.
    pub fn put(&mut self, place: usize, thing: T) {
        while self.len() <= place {
            self.push(None);
        }
        self[place] = Some(thing);
    }

    /// What is in a place; `None` if that is empty, or there is no such place.
    #[must_use]
    pub fn taken(&self, place: usize) -> Option<&T> {
        self.get(place)?.as_ref()
    }

    /// What is in a place; `None` if that is empty, or there is no such place.
    pub fn taken_mut(&mut self, place: usize) -> Option<&mut T> {
        self.get_mut(place)?.as_mut()
    }
}

impl<T> Index<usize> for Blocks<T> {
    type Output = T;

    fn index(&self, place: usize) -> &T {
        &self.blocks[place / BLOCK][place % BLOCK]
    }
}

impl<T> IndexMut<usize> for Blocks<T> {
    fn index_mut(&mut self, place: usize) -> &mut T {
        &mut self.blocks[place / BLOCK][place % BLOCK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_found_in_their_places_and_never_move() {
        let mut blocks = Blocks::default();
        assert!(blocks.is_empty() && blocks.get(0).is_none());
        let count = 3 * BLOCK + 5;
        for number in 0..count {
            assert_eq!((blocks.len(), blocks.push(number)), (number, number));
        }
        let first: *const usize = &blocks[0];
        blocks.push(count);
        assert!(std::ptr::eq(first, &blocks[0]));
        assert!(blocks.iter().copied().eq(0..=count));
        blocks.iter_mut().for_each(|number| *number *= 2);
        for place in [0, BLOCK - 1, BLOCK, count] {
            assert_eq!((blocks[place], blocks.get(place).copied()), (2 * place, Some(2 * place)));
        }
        assert!(blocks.get(count + 1).is_none() && blocks.get_mut(count + 1).is_none());
    }

    #[test]
    fn places_before_one_that_is_taken_are_empty() {
        let mut blocks = Blocks::default();
        blocks.put(BLOCK + 1, "b");
        blocks.put(3, "a");
        blocks.put(BLOCK + 1, "c");
        assert_eq!(blocks.len(), BLOCK + 2);
        assert!(blocks.iter().flatten().eq(&["a", "c"]));
        for (place, thing) in [(3, Some("a")), (4, None), (BLOCK + 1, Some("c")), (BLOCK + 2, None)]
        {
            assert_eq!(blocks.taken(place).copied(), thing);
            assert_eq!(blocks.taken_mut(place).copied(), thing);
        }
    }
}
