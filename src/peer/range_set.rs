//! A set of numbers that come nearly in order: a few runs instead of a number each.

use crate::limits::PEER_SEEN_RANGES_MAX;

/// Numbers, as runs from one to another, both within, ascending and apart.
///
/// It takes no more than [`PEER_SEEN_RANGES_MAX`] runs: past that the two lowest become one, and the
/// numbers between them count as if they had come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RangeSet(Vec<(u64, u64)>);

impl RangeSet {
    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&number))
    }

    /// The highest number; 0 if there is none.
    pub(super) fn highest(&self) -> u64 {
        self.0.last().map_or(0, |&(_, last)| last)
    }

    /// Answers false if the number was there. It is below `u64::MAX`.
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
        assert!(ranges.contains(3), "a gap that was closed");
        assert!(!ranges.contains(199), "a gap that is remembered");
    }
}
