//! Which lists a client is sent, and when: the first, those that it asks for, and one whenever the
//! list has changed.
//!
//! A list of any length goes out in portions, as the client reads. One is sent at a time; what
//! happens meanwhile makes one more, not many. A push waits until the list before it has paid for
//! itself, so that no number of comers and goers makes more than [`CLASSIC_PAGE_PACE`] allows.

use std::sync::Arc;
use std::time::Duration;

use super::answers::Answers;
use super::directory::Directory;
use super::pages::Pages;
use super::wire::Name;
use crate::doors::SendQueue;
use crate::limits::{BURST_PORTION_BYTES, CLASSIC_PAGE_PACE, CLASSIC_TURN_PAUSE};
use crate::relay::Time;

/// Where a client stands.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// The client is to be sent a list, whether it is new or not.
    is_asked: bool,
    /// The version that the next list is of, or a later one, once it is due.
    wanted: Option<u64>,
    /// The version of the list that was begun last.
    version: Option<u64>,
    /// The list on its way, and its next page.
    on_its_way: Option<(Arc<Pages>, usize)>,
    /// When the next push may begin.
    next_push: Time,
    /// When something can go on that nothing else will tell of: a push that waits, or a list that is
    /// being made.
    wakes_at: Option<Time>,
}

impl Lists {
    /// The client wants the list, and will be told of changes from then on. Asked for again before it
    /// was begun, it is sent once.
    pub(super) fn ask(&mut self) {
        if !std::mem::replace(&mut self.is_asked, true) {
            self.wanted = None; // one that is being made for a push may be too old
        }
    }

    /// When [`Lists::send`] is to be called again, if nothing else happens.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.wakes_at
    }

    /// Nothing can be sent now; who can tell when that changes calls [`Lists::send`].
    pub(super) fn pause(&mut self) {
        self.wakes_at = None;
    }

    /// Whether [`Lists::send`] has anything to do, now or when there is room or time for it.
    pub(super) fn are_due(&self, directory: &Directory) -> bool {
        self.is_asked || self.on_its_way.is_some() || self.is_old(directory)
    }

    fn is_old(&self, directory: &Directory) -> bool {
        self.version.is_some_and(|version| version != directory.version())
    }

    /// Puts into the queue what is due, as far as there is room.
    pub(super) fn send(
        &mut self,
        now: Time,
        directory: &mut Directory,
        answers: &mut Answers,
        queue: &mut SendQueue,
    ) {
        self.wakes_at = None;
        while queue.len() < BURST_PORTION_BYTES {
            if let Some((list, next)) = &mut self.on_its_way {
                match list.text(*next) {
                    Some(text) => {
                        answers.put(Name::SERVER, &text, queue);
                        *next += 1;
                    }
                    None => self.on_its_way = None,
                }
                continue;
            }
            let is_old = self.is_old(directory);
            if !self.is_asked && (!is_old || now < self.next_push) {
                self.wakes_at = is_old.then_some(self.next_push);
                return;
            }
            let wanted = *self.wanted.get_or_insert(directory.version());
            let Some(list) = directory.list(now, wanted) else {
                self.wakes_at = Some(now + CLASSIC_TURN_PAUSE);
                return;
            };
            self.begin(now, list);
        }
    }

    fn begin(&mut self, now: Time, list: Arc<Pages>) {
        let pages = u32::try_from(list.len()).unwrap_or(u32::MAX);
        self.next_push = on_the_beat(now + CLASSIC_PAGE_PACE.saturating_mul(pages));
        self.version = Some(list.version());
        (self.is_asked, self.wanted) = (false, None);
        self.on_its_way = Some((list, 0));
    }
}

/// The first beat at or after a time. Pushes begin on beats, so that many clients share one list.
fn on_the_beat(at: Time) -> Time {
    let beat = CLASSIC_PAGE_PACE.as_nanos();
    let late = at.since_start().as_nanos() % beat;
    let wait = if late == 0 { 0 } else { beat - late };
    at + Duration::from_nanos(u64::try_from(wait).unwrap_or(0))
}
