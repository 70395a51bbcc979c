//! When a client is sent a list: after its `Connect`, when it asks for one, and when the list
//! changes.
//!
//! A list is sent page by page, as the client reads. One list is sent at a time. Changes meanwhile
//! lead to one more list. A pushed list starts [`CLASSIC_PAGE_INTERVAL`] per page of the previous
//! one after that, which bounds the traffic however often users join and leave.

use std::sync::Arc;
use std::time::Duration;

use super::codec::TEXT_BYTES_MAX;
use super::responder::Responder;
use crate::limits::{CLASSIC_PAGE_INTERVAL, CLASSIC_WORK_INTERVAL, QUEUE_LOW_WATER_BYTES};
use crate::link::SendQueue;
use crate::link::Time;
use crate::names::{Directory, Name, Names, Pages};

/// The state of the lists to one client.
#[derive(Clone, Debug, Default)]
pub(super) struct ListSender {
    /// Whether the client must be sent a list, changed or not.
    is_requested: bool,
    /// Minimum version of the next list, once it is due.
    wanted_version: Option<u64>,
    /// Version of the list that was started last.
    sent_version: Option<u64>,
    /// The list being sent, and the index of its next page.
    in_progress: Option<(Arc<Pages>, usize)>,
    /// Earliest start of the next push.
    next_push_at: Time,
    /// When to continue a delayed push or the construction of a list.
    wake_at: Option<Time>,
}

impl ListSender {
    /// Requests the list, and subscribes to its changes. Requests before the list is started are
    /// merged.
    pub(super) fn request(&mut self) {
        if !std::mem::replace(&mut self.is_requested, true) {
            self.wanted_version = None; // a list under construction may be too old
        }
    }

    /// Returns when [`ListSender::send`] must be called again.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.wake_at
    }

    /// Clears the deadline while nothing can be sent.
    pub(super) fn pause(&mut self) {
        self.wake_at = None;
    }

    /// Returns whether a list is due or being sent, now or when there is room or time for it.
    pub(super) fn is_pending(&self, directory: &Directory) -> bool {
        self.is_requested || self.in_progress.is_some() || self.is_outdated(directory)
    }

    fn is_outdated(&self, directory: &Directory) -> bool {
        self.sent_version.is_some_and(|version| version != directory.version())
    }

    /// Queues the pages that are due, while there is room.
    pub(super) fn send(
        &mut self,
        now: Time,
        names: &mut Names,
        responder: &mut Responder,
        queue: &mut SendQueue,
    ) {
        self.wake_at = None;
        while queue.len() < QUEUE_LOW_WATER_BYTES {
            if let Some((list, next_page)) = &mut self.in_progress {
                match page_text(list, *next_page) {
                    Some(text) => {
                        responder.send_message(Name::SERVER, &text, queue);
                        *next_page += 1;
                    }
                    None => self.in_progress = None,
                }
                continue;
            }
            let is_outdated = self.is_outdated(&names.directory);
            if !self.is_requested && (!is_outdated || now < self.next_push_at) {
                self.wake_at = is_outdated.then_some(self.next_push_at);
                return;
            }
            let wanted_version = *self.wanted_version.get_or_insert(names.directory.version());
            let Some(list) =
                names.lists.list(now, wanted_version, &mut names.directory, names_bytes_max)
            else {
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

/// Returns the bytes for names in a message `List I/N NAME NAME …`, if I and N have this many
/// digits together.
fn names_bytes_max(digits: usize) -> usize {
    TEXT_BYTES_MAX - ("List /".len() + digits)
}

/// Returns the text of a page, counted from 0.
fn page_text(list: &Pages, page: usize) -> Option<Vec<u8>> {
    let heading = format!("List {}/{}", page + 1, list.len());
    Some([heading.as_bytes(), list.page(page)?].concat())
}

/// Rounds a time up to a multiple of [`CLASSIC_PAGE_INTERVAL`], so that clients share lists.
fn align_to_page_interval(at: Time) -> Time {
    let interval_nanos = CLASSIC_PAGE_INTERVAL.as_nanos();
    let elapsed_nanos = at.since_start().as_nanos() % interval_nanos;
    let wait_nanos = if elapsed_nanos == 0 { 0 } else { interval_nanos - elapsed_nanos };
    at + Duration::from_nanos(u64::try_from(wait_nanos).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::HostId;
    use crate::names::NAME_BYTES;

    /// Returns the texts of the list of `count` users whose names have eight bytes.
    fn texts(count: u32) -> Vec<String> {
        let mut names = Names::default();
        names.directory.add_reader();
        for id in 0..count {
            names.directory.add(HostId(id), format!("u{id:07}").as_bytes());
        }
        let list = names.lists.list(Time::default(), 0, &mut names.directory, names_bytes_max);
        let list = list.expect("a list that fits into one turn");
        let page = |page| String::from_utf8(page_text(&list, page)?).ok();
        (0..).map_while(page).collect()
    }

    #[test]
    fn page_has_its_heading_and_fits_into_one_message() {
        assert_eq!(texts(0), ["List 1/1"]);
        assert_eq!(texts(2), ["List 1/1 u0000000 u0000001"]);
        for count in [250, 2_500] {
            let texts = texts(count);
            for (i, text) in texts.iter().enumerate() {
                assert!(text.starts_with(&format!("List {}/{} u", i + 1, texts.len())));
                assert!(text.len() <= TEXT_BYTES_MAX, "{text}");
                let is_full = text.len() + 1 + NAME_BYTES > TEXT_BYTES_MAX;
                assert!(is_full || i + 1 == texts.len(), "{text}");
            }
        }
    }
}
