//! How long to measure what takes nanoseconds.

use std::time::Duration;

use criterion::Criterion;

/// Short spans, as each is of very many rounds.
pub(crate) fn short_criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}
