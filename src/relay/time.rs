//! Time as the core knows it: what has passed since the program began, told by the caller.

use std::num::NonZeroU64;
use std::ops::Add;
use std::time::Duration;

/// A moment, counted from the start of the program in nanoseconds, for 584 years. Nothing in the core knows
/// the wall clock.
///
/// Every link keeps some: it takes eight bytes, and so does one that may be none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// One more than the nanoseconds.
    nanos_from_one: NonZeroU64,
}

const _: () = assert!(size_of::<Option<Time>>() == 8);

impl Time {
    /// The moment when so much time has passed since the start.
    #[must_use]
    pub fn after(span: Duration) -> Self {
        Self::default() + span
    }

    /// What has passed since the start.
    #[must_use]
    pub fn since_start(self) -> Duration {
        self.since(Self::default())
    }

    /// From `earlier` until this moment; zero if that lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let (until, from) = (self.nanos_from_one.get(), earlier.nanos_from_one.get());
        Duration::from_nanos(until.saturating_sub(from))
    }
}

impl Default for Time {
    /// The start.
    fn default() -> Self {
        Self { nanos_from_one: NonZeroU64::MIN }
    }
}

impl std::fmt::Debug for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.since_start())
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self { nanos_from_one: self.nanos_from_one.saturating_add(nanos) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_counted_from_the_start_to_the_end_of_time() {
        let (start, second) = (Time::default(), Duration::from_secs(1));
        assert_eq!(start.since_start(), Duration::ZERO);
        let later = start + second;
        assert_eq!((later, later.since_start()), (Time::after(second), second));
        assert_eq!((later + second).since(later), second);
        assert_eq!(start.since(later), Duration::ZERO);
        assert!(start < later);
        let end = later + Duration::MAX;
        assert_eq!(end, start + Duration::MAX);
        assert!(end.since(later).as_secs() > 500 * 365 * 86_400);
    }
}
