//! [`Uplink`]: the link to the parent.
//!
//! The first parent that answers is used; the others are fallbacks. Dialling continues until a
//! parent answers, in the order and with the delays of [`Redial`].

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::id::HostId;
use crate::limits::{
    RENUMBER_INTERVAL, SILENT_PARENT_DELAY, UPLINK_LOOP_RETRY_DELAY, UPLINK_REFUSED_RETRY_DELAY,
};
use crate::link::{LinkId, Redial, Time};

/// The link of an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is no link: the next dial has to wait, or nothing is dialled.
    Down,
    /// A parent is being dialled, or has not answered the registration yet.
    Dialling { link: LinkId },
    /// The parent answered the registration.
    Registered { link: LinkId },
}

/// The link to the parent.
#[derive(Clone, Debug)]
pub(super) struct Uplink {
    /// The parents are the targets.
    redial: Redial,
    state: State,
    /// Index of the parent that is dialled or attached; `None` for one that the list does not have.
    parent: Option<usize>,
    fallback: Fallback,
    /// Time at which this server last took another id, because a parent refused the previous one.
    renumbered_at: Option<Time>,
}

/// What is needed to go back to an earlier parent.
#[derive(Clone, Debug)]
struct Fallback {
    /// The id of each parent, as it was last known.
    ids: Vec<Option<HostId>>,
    /// Whether each parent was in another part of the network when it was asked last.
    were_elsewhere: Vec<bool>,
    /// When an earlier parent is asked.
    return_at: Option<Time>,
    /// Index of the parent to ask next.
    next: usize,
}

impl Uplink {
    /// Creates an uplink whose first dial is due at once.
    pub(super) fn new(parent_count: usize) -> Self {
        let (ids, were_elsewhere) = (vec![None; parent_count], vec![false; parent_count]);
        let fallback = Fallback { ids, were_elsewhere, return_at: None, next: 0 };
        let redial = Redial::new(parent_count);
        Self { redial, state: State::Down, parent: None, fallback, renumbered_at: None }
    }

    /// Returns the index of the parent to dial, if a dial is due.
    pub(super) fn due_parent(&self, now: Time) -> Option<usize> {
        self.redial.due_target(now)
    }

    /// Returns the time of the next dial.
    pub(super) fn deadline(&self) -> Option<Time> {
        [self.redial.deadline(), self.fallback.return_at].into_iter().flatten().min()
    }

    /// Returns the index of the earlier parent to ask whether this server can go back to it, if one
    /// is due. `may_ask` is called with the last known id of a parent. The next one is due after
    /// `interval`.
    pub(super) fn due_return(
        &mut self,
        now: Time,
        interval: Duration,
        may_ask: impl Fn(Option<HostId>) -> bool,
        rng: &mut StdRng,
    ) -> Option<usize> {
        self.fallback.return_at.filter(|&at| at <= now)?;
        self.schedule_return(now, interval, rng);
        let earlier_count = self.parent.unwrap_or(self.fallback.ids.len());
        let order = (0..earlier_count).map(|i| (self.fallback.next + i) % earlier_count);
        let parent = order.into_iter().find(|&it| may_ask(self.fallback.ids[it]))?;
        self.fallback.next = parent + 1;
        Some(parent)
    }

    /// Schedules the question to an earlier parent, if there is one.
    pub(super) fn schedule_return(&mut self, now: Time, interval: Duration, rng: &mut StdRng) {
        let has_earlier = self.parent.unwrap_or(self.fallback.ids.len()) > 0;
        let jitter = rng.random_range(Duration::ZERO..=interval / 10);
        self.fallback.return_at = has_earlier.then(|| now + (interval + jitter));
    }

    /// Records the id of a parent.
    pub(super) fn set_id(&mut self, parent: usize, id: HostId) {
        self.fallback.ids[parent] = Some(id);
    }

    /// Returns the index of the parent that is dialled or attached, if the list has it.
    pub(super) fn parent(&self) -> Option<usize> {
        self.parent
    }

    /// Returns whether the list has the present parent.
    pub(super) fn is_listed(&self) -> bool {
        self.parent.is_some()
    }

    /// Returns whether an earlier parent was in another part of the network when it was asked last,
    /// and the present one is none of the list.
    pub(super) fn joins_elsewhere(&self, parent: usize) -> bool {
        !self.is_listed() && self.fallback.were_elsewhere[parent]
    }

    /// Records whether an earlier parent that was asked is in another part of the network.
    pub(super) fn set_elsewhere(&mut self, parent: usize, is_elsewhere: bool) {
        self.fallback.were_elsewhere[parent] = is_elsewhere;
    }

    /// Returns whether a link leads to the parent, or dials it.
    pub(super) fn has_link(&self, link: LinkId) -> bool {
        matches!(self.state, State::Dialling { link: l } | State::Registered { link: l } if l == link)
    }

    /// Returns the link to the parent, once that has answered.
    pub(super) fn registered_link(&self) -> Option<LinkId> {
        match self.state {
            State::Registered { link } => Some(link),
            State::Down | State::Dialling { .. } => None,
        }
    }

    /// Returns whether there are parents, and none has answered.
    pub(super) fn lacks_parent(&self) -> bool {
        !self.fallback.ids.is_empty() && self.registered_link().is_none()
    }

    /// Returns the link to a parent that has not answered yet.
    pub(super) fn dialled_link(&self) -> Option<LinkId> {
        match self.state {
            State::Dialling { link } => Some(link),
            State::Down | State::Registered { .. } => None,
        }
    }

    /// Records that a parent is being dialled, by its index in the list.
    pub(super) fn on_dial(&mut self, link: LinkId, parent: Option<usize>) {
        self.state = State::Dialling { link };
        self.redial.started();
        self.set_parent(parent);
    }

    /// Records which parent the link leads to.
    pub(super) fn set_parent(&mut self, parent: Option<usize>) {
        self.parent = parent;
        (self.fallback.return_at, self.fallback.next) = (None, 0);
        self.fallback.were_elsewhere.fill(false);
        if let Some(parent) = parent {
            self.redial.set_current(parent);
        }
    }

    /// Records that the parent with an id answered.
    pub(super) fn on_registered(&mut self, now: Time, link: LinkId, id: HostId) {
        self.state = State::Registered { link };
        self.redial.succeeded(now);
        if let Some(parent) = self.parent {
            self.set_id(parent, id);
        }
    }

    /// Forgets the parent: it may have another id when it is back.
    fn go_down(&mut self) {
        self.state = State::Down;
        self.fallback.return_at = None;
        if let Some(parent) = self.parent.take() {
            self.fallback.ids[parent] = None;
        }
    }

    /// Handles the end of the link.
    pub(super) fn on_closed(&mut self, now: Time, rng: &mut StdRng) {
        self.go_down();
        self.redial.failed(now, rng);
    }

    /// Handles the end of a link on which the parent gave no sign: the next parent is dialled
    /// first, since this one would most likely not answer either.
    pub(super) fn on_silent(&mut self, now: Time, rng: &mut StdRng) {
        self.go_down();
        self.redial.refused(now, SILENT_PARENT_DELAY, rng);
    }

    /// Stops dialling for good.
    pub(super) fn stop(&mut self) {
        self.go_down();
        self.redial.stop();
    }

    /// Handles a refusal by the parent: the next parent is dialled at once, and this one again
    /// after [`UPLINK_REFUSED_RETRY_DELAY`].
    pub(super) fn on_refused(&mut self, now: Time, rng: &mut StdRng) {
        self.leave_out(now, UPLINK_REFUSED_RETRY_DELAY, rng);
    }

    /// Handles that the link to the parent would close a loop: the next parent is dialled at once,
    /// and this one again after [`UPLINK_LOOP_RETRY_DELAY`].
    pub(super) fn on_loop(&mut self, now: Time, rng: &mut StdRng) {
        self.leave_out(now, UPLINK_LOOP_RETRY_DELAY, rng);
    }

    /// Leaves the parent out for `delay`, with jitter so that servers do not dial in step.
    fn leave_out(&mut self, now: Time, delay: Duration, rng: &mut StdRng) {
        let jitter = rng.random_range(Duration::ZERO..=delay / 10);
        self.go_down();
        self.redial.refused(now, delay + jitter, rng);
    }

    /// Returns whether this server may take another id, and records that it does. Granted once in
    /// [`RENUMBER_INTERVAL`], because a random id that is refused again is no accident.
    pub(super) fn take_renumber_permit(&mut self, now: Time) -> bool {
        if self.renumbered_at.is_some_and(|at| now.since(at) < RENUMBER_INTERVAL) {
            return false;
        }
        self.renumbered_at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;
    use crate::limits::REDIAL_BACKOFF_MAX;

    #[test]
    fn parent_that_gave_no_sign_is_dialled_after_the_next_one() {
        let mut rng = StdRng::seed_from_u64(1);
        let now = Time::from_start(Duration::from_secs(100));
        for (parent_count, at_once, later) in [(2, Some(1), Some(1)), (1, None, Some(0))] {
            let mut uplink = Uplink::new(parent_count);
            uplink.on_registered(Time::default(), LinkId { index: 1, generation: 1 }, HostId(2));
            uplink.on_silent(now, &mut rng);
            assert_eq!(uplink.due_parent(now), at_once);
            assert_eq!(uplink.due_parent(now + SILENT_PARENT_DELAY), later);
        }
    }

    #[test]
    fn fallback_parents_are_dialled_at_once_and_the_first_again_after_a_wait() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut uplink = Uplink::new(2);
        let now = Time::from_start(Duration::from_secs(5));
        assert_eq!(uplink.due_parent(now), Some(0));
        uplink.on_closed(now, &mut rng);
        assert_eq!(uplink.due_parent(now), Some(1));
        uplink.on_closed(now, &mut rng);
        assert_eq!(uplink.due_parent(now), None);
        assert_eq!(uplink.due_parent(now + REDIAL_BACKOFF_MAX), Some(0));
        uplink.on_refused(now, &mut rng);
        assert_eq!(uplink.due_parent(now), Some(1), "a refusal leads to the next parent");
        uplink.on_refused(now, &mut rng);
        assert_eq!(
            uplink.due_parent(now + (UPLINK_REFUSED_RETRY_DELAY - Duration::from_millis(1))),
            None
        );
        let again = now + UPLINK_REFUSED_RETRY_DELAY + UPLINK_REFUSED_RETRY_DELAY / 10;
        assert!(uplink.due_parent(again).is_some());
    }
}
