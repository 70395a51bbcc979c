//! The deadlines of frames that have begun.

use std::collections::{BTreeMap, BTreeSet};

use crate::link::{LinkId, Time};

/// When the incomplete frame of each link must be complete. A link without one takes no room.
#[derive(Clone, Debug, Default)]
pub(super) struct FrameDeadlines {
    by_link: BTreeMap<LinkId, Time>,
    by_time: BTreeSet<(Time, LinkId)>,
}

impl FrameDeadlines {
    /// Sets the deadline of a link's frame, unless the same frame has one already.
    pub(super) fn set(&mut self, link: LinkId, at: Time, is_same_frame: bool) {
        if is_same_frame && self.by_link.contains_key(&link) {
            return;
        }
        self.clear(link);
        self.by_link.insert(link, at);
        self.by_time.insert((at, link));
    }

    /// Removes the deadline of a link, if it has one.
    pub(super) fn clear(&mut self, link: LinkId) {
        if let Some(at) = self.by_link.remove(&link) {
            self.by_time.remove(&(at, link));
        }
    }

    /// Returns the earliest deadline.
    pub(super) fn first(&self) -> Option<Time> {
        self.by_time.first().map(|&(at, _)| at)
    }

    /// Removes and returns a link whose frame is not complete in time.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<LinkId> {
        let &(_, link) = self.by_time.first().filter(|&&(at, _)| at <= now)?;
        self.clear(link);
        Some(link)
    }

    /// Returns the links with a deadline, for checks.
    pub(super) fn links(&self) -> impl Iterator<Item = LinkId> {
        assert_eq!(self.by_link.len(), self.by_time.len(), "one time for each link");
        self.by_link.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn deadline_is_that_of_the_frame_that_is_incomplete_now() {
        let mut deadlines = FrameDeadlines::default();
        let at = |seconds| Time::from_start(Duration::from_secs(seconds));
        let [slow, other] = [1, 2].map(|index| LinkId { index, generation: 7 });
        deadlines.set(slow, at(30), false);
        deadlines.set(other, at(31), false);
        deadlines.set(slow, at(40), true);
        assert_eq!((deadlines.first(), deadlines.pop_due(at(29))), (Some(at(30)), None));
        deadlines.set(other, at(41), false);
        assert_eq!(deadlines.pop_due(at(40)), Some(slow));
        assert_eq!((deadlines.pop_due(at(40)), deadlines.first()), (None, Some(at(41))));
        deadlines.clear(other);
        assert_eq!(deadlines.links().count(), 0);
    }
}
