//! A set of numbers that come nearly in order: a few runs instead of a number each.

use crate::limits::PEER_SEEN_RANGES_MAX;

/// Numbers, as runs from one to another, both within, ascending and apart.
///
/// It takes no more than [`PEER_SEEN_RANGES_MAX`] runs: past that the two lowest become one, and the
/// numbers between them count as if they had come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs(Vec<(u64, u64)>);

impl Runs {
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
        let place = self.0.partition_point(|&(first, _)| first < number);
        self.0.insert(place, (number, number));
        if place + 1 < self.0.len() && self.0[place + 1].0 == number + 1 {
            self.0[place].1 = self.0.remove(place + 1).1;
        }
        if place > 0 && self.0[place - 1].1 + 1 == number {
            self.0[place - 1].1 = self.0.remove(place).1;
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
    fn numbers_in_any_order_become_runs() {
        let mut runs = Runs::default();
        for number in [5, 1, 3, 4, 2, 9] {
            assert!(!runs.contains(number));
            assert!(runs.insert(number));
            assert!(!runs.insert(number));
        }
        assert_eq!(runs.0, [(1, 5), (9, 9)]);
        assert_eq!(runs.highest(), 9);
        assert!(!runs.contains(6) && !runs.contains(8) && !runs.contains(0));
    }

    #[test]
    fn too_many_runs_close_the_lowest_gap() {
        let mut runs = Runs::default();
        for number in 1..=100 {
            runs.insert(number * 2);
            assert!(runs.0.len() <= PEER_SEEN_RANGES_MAX);
        }
        assert!(runs.contains(3), "a gap that was closed");
        assert!(!runs.contains(199), "a gap that is remembered");
    }
}
