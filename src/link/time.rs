//! [`Time`]: the time since the program started, passed in by the caller of each event.

use std::num::NonZeroU64;
use std::ops::Add;
use std::time::Duration;

/// A point in time, in nanoseconds since the start of the program; saturates after 584 years. The
/// core never reads a clock.
///
/// `Time` and `Option<Time>` take eight bytes, because every link stores several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Nanoseconds since the start, plus one.
    nanos_plus_one: NonZeroU64,
}

const _: () = assert!(size_of::<Option<Time>>() == 8);

impl Time {
    /// Returns the time that is `elapsed` after the start.
    #[must_use]
    pub fn from_start(elapsed: Duration) -> Self {
        Self::default() + elapsed
    }

    /// Returns the duration since the start.
    #[must_use]
    pub fn since_start(self) -> Duration {
        self.since(Self::default())
    }

    /// Returns the duration from `earlier` to this time; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let (until, from) = (self.nanos_plus_one.get(), earlier.nanos_plus_one.get());
        Duration::from_nanos(until.saturating_sub(from))
    }
}

impl Default for Time {
    /// Returns the start of the program.
    fn default() -> Self {
        Self { nanos_plus_one: NonZeroU64::MIN }
    }
}

impl std::fmt::Debug for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Time").field(&self.since_start()).finish()
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self { nanos_plus_one: self.nanos_plus_one.saturating_add(nanos) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_from_start_and_saturates_at_its_maximum() {
        let (start, second) = (Time::default(), Duration::from_secs(1));
        assert_eq!(start.since_start(), Duration::ZERO);
        let later = start + second;
        assert_eq!((later, later.since_start()), (Time::from_start(second), second));
        assert_eq!((later + second).since(later), second);
        assert_eq!(start.since(later), Duration::ZERO);
        assert!(start < later);
        let end = later + Duration::MAX;
        assert_eq!(end, start + Duration::MAX);
        assert!(end.since(later).as_secs() > 500 * 365 * 86_400);
    }
}
