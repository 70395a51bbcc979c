//! A compact set of numbers that are inserted nearly in order.

use crate::limits::PEER_SEEN_RANGES_MAX;

/// Numbers as inclusive ranges `(first, last)`, ascending, neither overlapping nor adjacent.
///
/// Holds at most [`PEER_SEEN_RANGES_MAX`] ranges. Beyond that the two lowest are merged, and the
/// numbers between them count as inserted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RangeSet(Vec<(u64, u64)>);

impl RangeSet {
    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&number))
    }

    /// Returns the highest number, or 0 if the set is empty.
    pub(super) fn highest(&self) -> u64 {
        self.0.last().map_or(0, |&(_, last)| last)
    }

    /// Inserts a number below `u64::MAX`. Returns whether it is new.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        if self.contains(number) {
            return false;
        }
        let index = self.0.partition_point(|&(first, _)| first < number);
        self.0.insert(index, (number, number));
        if index + 1 < self.0.len() && self.0[index + 1].0 == number + 1 {
            self.0[index].1 = self.0.remove(index + 1).1;
        }
        if index > 0 && self.0[index - 1].1 + 1 == number {
            self.0[index - 1].1 = self.0.remove(index).1;
        }
        if self.0.len() > PEER_SEEN_RANGES_MAX {
            self.0[0].1 = self.0.remove(1).1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_any_order_merge_into_ranges() {
        let mut ranges = RangeSet::default();
        for number in [5, 1, 3, 4, 2, 9] {
            assert!(!ranges.contains(number));
            assert!(ranges.insert(number));
            assert!(!ranges.insert(number));
        }
        assert_eq!(ranges.0, [(1, 5), (9, 9)]);
        assert_eq!(ranges.highest(), 9);
        assert!(!ranges.contains(6) && !ranges.contains(8) && !ranges.contains(0));
    }

    #[test]
    fn exceeding_the_range_limit_merges_the_two_lowest_ranges() {
        let mut ranges = RangeSet::default();
        for number in 1..=100 {
            ranges.insert(number * 2);
            assert!(ranges.0.len() <= PEER_SEEN_RANGES_MAX);
        }
        assert!(ranges.contains(3), "within two merged ranges");
        assert!(!ranges.contains(199), "between two separate ranges");
    }
}
