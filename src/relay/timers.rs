//! [`Timers`]: the times at which the parts of the relay have something to do.

use std::collections::BTreeSet;

use super::topology::SplitId;
use crate::id::HostId;
use crate::link::{LinkId, Time};

/// What a timer is for. Timers due at the same time fire in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A link must have registered.
    RegisterDeadline(LinkId),
    /// The grace of a split is over, or the next hosts of an ended split leave.
    Split(SplitId),
    /// An id has been free for long enough to be granted to its first claimant.
    Claim(HostId),
    /// The next users leave rooms in which their home has not confirmed them.
    RoomsSync,
    /// Topics are looked at whose rooms may have ended long ago.
    Topics,
    /// A batch of announcements to users is due.
    AnnounceBatch,
    /// The link to a server may be silent.
    Liveness(LinkId),
    /// The link to a plain neighbour may be silent.
    PlainLiveness(LinkId),
    /// A parent has sent nothing behind its registration.
    Offer(LinkId),
    /// The server whose id a neighbour wants has not answered.
    Probe(LinkId),
    /// A server moves to another parent, and the old one has not answered.
    Move,
    /// The neighbour on a link has sent END, and has not closed the link.
    End(LinkId),
    /// The next portion of announcements to a program that may read once is due.
    Pace(LinkId),
}

/// A set of timers, ordered by time.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers(BTreeSet<(Time, Timer)>);

impl Timers {
    /// Sets a timer.
    pub(super) fn insert(&mut self, at: Time, timer: Timer) {
        self.0.insert((at, timer));
    }

    /// Cancels a timer.
    pub(super) fn remove(&mut self, at: Time, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    /// Removes and returns the earliest timer that is due at `now`.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<Timer> {
        self.0.first().filter(|&&(at, _)| at <= now)?;
        self.0.pop_first().map(|(_, timer)| timer)
    }

    /// Returns the time of the earliest timer.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.0.first().map(|&(at, _)| at)
    }

    /// Returns the times for which a timer is set, for checks.
    pub(super) fn times_of(&self, timer: Timer) -> Vec<Time> {
        self.0.iter().filter(|&&(_, other)| other == timer).map(|&(at, _)| at).collect()
    }

    /// Returns the number of timers, for checks.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
