//! Delays before dialling again.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::limits::{REDIAL_BACKOFF_MAX, REDIAL_BACKOFF_MIN};

/// Returns a random delay whose upper bound doubles with each failed round, so that hosts which
/// lost the same neighbour do not dial in step.
pub fn backoff(failed_rounds: u32, rng: &mut StdRng) -> Duration {
    let bound = REDIAL_BACKOFF_MIN.saturating_mul(2u32.saturating_pow(failed_rounds + 1));
    rng.random_range(REDIAL_BACKOFF_MIN..=bound.min(REDIAL_BACKOFF_MAX))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn backoff_stays_between_its_bounds_and_grows() {
        let mut rng = StdRng::seed_from_u64(7);
        for rounds in 0..40 {
            let bound =
                Duration::from_millis(400 * 2u64.pow(rounds.min(4))).min(REDIAL_BACKOFF_MAX);
            for _ in 0..50 {
                let wait = backoff(rounds, &mut rng);
                assert!((REDIAL_BACKOFF_MIN..=bound).contains(&wait), "{rounds}: {wait:?}");
            }
        }
    }
}
