//! Which lists a client is sent, and when: the first, those that it asks for, and one whenever the
//! list has changed.
//!
//! A list of any length goes out in portions, as the client reads. One is sent at a time; what
//! happens meanwhile makes one more, not many. A push waits until the list before it has paid for
//! itself, so that no number of comers and goers makes more than [`CLASSIC_PAGE_INTERVAL`] allows.

use std::sync::Arc;
use std::time::Duration;

use super::list_cache::ListCache;
use super::pages::Pages;
use super::responder::Responder;
use crate::limits::{CLASSIC_PAGE_INTERVAL, CLASSIC_WORK_INTERVAL, QUEUE_LOW_WATER_BYTES};
use crate::link::SendQueue;
use crate::link::Time;
use crate::names::{Directory, Name};

/// Where a client stands.
#[derive(Debug, Default)]
pub(super) struct ListSender {
    /// The client is to be sent a list, whether it is new or not.
    is_requested: bool,
    /// The version that the next list is of, or a later one, once it is due.
    wanted_version: Option<u64>,
    /// The version of the list that was begun last.
    sent_version: Option<u64>,
    /// The list on its way, and its next page.
    in_progress: Option<(Arc<Pages>, usize)>,
    /// When the next push may begin.
    next_push_at: Time,
    /// When something can go on that nothing else will tell of: a push that waits, or a list that is
    /// being made.
    wake_at: Option<Time>,
}

impl ListSender {
    /// The client wants the list, and will be told of changes from then on. Asked for again before it
    /// was begun, it is sent once.
    pub(super) fn request(&mut self) {
        if !std::mem::replace(&mut self.is_requested, true) {
            self.wanted_version = None; // one that is being made for a push may be too old
        }
    }

    /// When [`ListSender::send`] is to be called again, if nothing else happens.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.wake_at
    }

    /// Nothing can be sent now; who can tell when that changes calls [`ListSender::send`].
    pub(super) fn pause(&mut self) {
        self.wake_at = None;
    }

    /// Whether [`ListSender::send`] has anything to do, now or when there is room or time for it.
    pub(super) fn is_pending(&self, directory: &Directory) -> bool {
        self.is_requested || self.in_progress.is_some() || self.is_outdated(directory)
    }

    fn is_outdated(&self, directory: &Directory) -> bool {
        self.sent_version.is_some_and(|version| version != directory.version())
    }

    /// Puts into the queue what is due, as far as there is room.
    pub(super) fn send(
        &mut self,
        now: Time,
        directory: &mut Directory,
        lists: &mut ListCache,
        responder: &mut Responder,
        queue: &mut SendQueue,
    ) {
        self.wake_at = None;
        while queue.len() < QUEUE_LOW_WATER_BYTES {
            if let Some((list, next_page)) = &mut self.in_progress {
                match list.page_text(*next_page) {
                    Some(text) => {
                        responder.send_message(Name::SERVER, &text, queue);
                        *next_page += 1;
                    }
                    None => self.in_progress = None,
                }
                continue;
            }
            let is_outdated = self.is_outdated(directory);
            if !self.is_requested && (!is_outdated || now < self.next_push_at) {
                self.wake_at = is_outdated.then_some(self.next_push_at);
                return;
            }
            let wanted_version = *self.wanted_version.get_or_insert(directory.version());
            let Some(list) = lists.list(now, wanted_version, directory) else {
                self.wake_at = Some(now + CLASSIC_WORK_INTERVAL);
                return;
            };
            self.start_list(now, list);
        }
    }

    fn start_list(&mut self, now: Time, list: Arc<Pages>) {
        let page_count = u32::try_from(list.len()).unwrap_or(u32::MAX);
        self.next_push_at =
            align_to_page_interval(now + CLASSIC_PAGE_INTERVAL.saturating_mul(page_count));
        self.sent_version = Some(list.version());
        (self.is_requested, self.wanted_version) = (false, None);
        self.in_progress = Some((list, 0));
    }
}

/// The first beat at or after a time. Pushes begin on beats, so that many clients share one list.
fn align_to_page_interval(at: Time) -> Time {
    let interval_nanos = CLASSIC_PAGE_INTERVAL.as_nanos();
    let elapsed_nanos = at.since_start().as_nanos() % interval_nanos;
    let wait_nanos = if elapsed_nanos == 0 { 0 } else { interval_nanos - elapsed_nanos };
    at + Duration::from_nanos(u64::try_from(wait_nanos).unwrap_or(0))
}
