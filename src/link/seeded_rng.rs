//! [`SeededRng`]: a generator of random choices that belongs to a machine that can be cloned.

use std::ops::{Deref, DerefMut};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// A [`StdRng`] with its seed. A clone starts again from the seed, because a [`StdRng`] cannot be
/// cloned: what a clone draws depends on its own events alone.
#[derive(Debug)]
pub struct SeededRng {
    seed: u64,
    rng: StdRng,
}

impl SeededRng {
    /// Creates the generator of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, rng: StdRng::seed_from_u64(seed) }
    }
}

impl Clone for SeededRng {
    fn clone(&self) -> Self {
        Self::new(self.seed)
    }
}

impl Deref for SeededRng {
    type Target = StdRng;

    fn deref(&self) -> &StdRng {
        &self.rng
    }
}

impl DerefMut for SeededRng {
    fn deref_mut(&mut self) -> &mut StdRng {
        &mut self.rng
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;

    #[test]
    fn clone_draws_what_the_seed_gives_whatever_was_drawn_before() {
        let mut rng = SeededRng::new(7);
        let first: u64 = rng.random();
        let second: u64 = rng.random();
        let mut clone = rng.clone();
        assert_ne!(first, second);
        assert_eq!((clone.random::<u64>(), clone.random::<u64>()), (first, second));
        assert_eq!(first, StdRng::seed_from_u64(7).random::<u64>());
    }
}
