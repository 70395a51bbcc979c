//! How often users register from one address.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{JOIN_INTERVAL_PER_ADDRESS, JOINS_PER_ADDRESS_MAX};
use crate::link::Time;

/// The addresses from which users have registered of late. One that has been quiet for long enough
/// takes no room.
#[derive(Clone, Debug)]
pub(super) struct JoinRates<A> {
    /// When all registrations of an address are made up for.
    idle_at: BTreeMap<A, Time>,
    by_time: BTreeSet<(Time, A)>,
}

impl<A> Default for JoinRates<A> {
    fn default() -> Self {
        Self { idle_at: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<A: Copy + Ord> JoinRates<A> {
    /// Counts a registration. Returns false if there were too many.
    pub(super) fn count(&mut self, address: A, now: Time) -> bool {
        while let Some(&(at, idle)) = self.by_time.first().filter(|&&(at, _)| at <= now) {
            self.by_time.remove(&(at, idle));
            self.idle_at.remove(&idle);
        }
        let idle_at = self.idle_at.get(&address).copied().unwrap_or(now);
        if idle_at.since(now) >= JOIN_INTERVAL_PER_ADDRESS * JOINS_PER_ADDRESS_MAX {
            return false;
        }
        self.by_time.remove(&(idle_at, address));
        let idle_at = idle_at + JOIN_INTERVAL_PER_ADDRESS;
        self.idle_at.insert(address, idle_at);
        self.by_time.insert((idle_at, address));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_registers_many_at_once_and_then_one_an_interval() {
        let mut rates = JoinRates::default();
        let start = Time::default();
        let count = |rates: &mut JoinRates<u8>, address, at| {
            (0..5000).take_while(|_| rates.count(address, at)).count()
        };
        assert_eq!(count(&mut rates, 1, start), JOINS_PER_ADDRESS_MAX as usize);
        assert!(rates.count(2, start), "another address");
        assert_eq!(count(&mut rates, 1, start + JOIN_INTERVAL_PER_ADDRESS * 3), 3);
        let later = start + JOIN_INTERVAL_PER_ADDRESS * (2 * JOINS_PER_ADDRESS_MAX);
        assert!(rates.count(3, later));
        assert_eq!((rates.idle_at.len(), rates.by_time.len()), (1, 1), "others take no room");
    }
}
