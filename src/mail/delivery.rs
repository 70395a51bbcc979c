//! Mail on its way to those who can be reached.
//!
//! A hand-over reads an addressee's mail in portions, puts one message after the other into the queue
//! of the link towards it as that has room, and tells which have left the queue. It ends when its
//! user or its link does; what was not sent by then is read again by the next one.
//!
//! Invariants: one hand-over an addressee; it stands in `on_link` under the link that its marks are
//! of, and nowhere else; a list of those that are ready may name some that have ended.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::{Mail, MailId, StoreRequest};
use crate::id::{HostId, WideId};
use crate::link::LinkId;

/// One addressee's mail on its way.
#[derive(Debug)]
struct Delivery {
    user: HostId,
    /// Of the read that the store has not answered yet.
    pending_fetch: Option<u64>,
    /// What that read sees: nothing that the store was asked to keep later.
    fetch_covers_id: u64,
    /// The latest that was read.
    last_fetched: MailId,
    batch: VecDeque<Mail>,
    /// It stands in the list of those that are ready.
    is_ready: bool,
    /// Where the latest of it went, and the places in that link's stream of bytes where each
    /// message ends.
    link: Option<LinkId>,
    end_offsets: VecDeque<(u64, MailId)>,
}

impl Delivery {
    /// Whether all that waited is in a queue or sent.
    fn is_fully_queued(&self) -> bool {
        self.pending_fetch.is_none() && self.batch.is_empty()
    }
}

/// Every hand-over.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    by_addressee: BTreeMap<WideId, Delivery>,
    /// Whose mail each read is for that the store has not answered yet.
    pending_fetches: HashMap<u64, WideId, RandomState>,
    next_fetch_serial: u64,
    /// Those with something to put into a queue that may have room.
    ready: VecDeque<WideId>,
    /// By the link that they last used.
    by_link: BTreeSet<(LinkId, WideId)>,
}

impl Deliveries {
    /// A user for whom mail waits can be reached. [`Deliveries::read`] follows.
    pub(super) fn start(&mut self, to: WideId, user: HostId) {
        self.stop(to);
        let delivery = Delivery {
            user,
            pending_fetch: None,
            fetch_covers_id: 0,
            last_fetched: MailId(0),
            batch: VecDeque::new(),
            is_ready: false,
            link: None,
            end_offsets: VecDeque::new(),
        };
        self.by_addressee.insert(to, delivery);
    }

    /// Ends a hand-over, if there is one.
    pub(super) fn stop(&mut self, to: WideId) {
        if let Some(delivery) = self.by_addressee.remove(&to)
            && let Some(link) = delivery.link
        {
            self.by_link.remove(&(link, to));
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.by_addressee.is_empty()
    }

    /// Ends those that go over a link.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        for to in self.addressees_on(link) {
            self.stop(to);
        }
    }

    /// Forgets what was read for an addressee and is not sent. Answers whether there is more to read.
    pub(super) fn discard_unsent(&mut self, to: WideId) -> bool {
        let Some(delivery) = self.by_addressee.get_mut(&to) else { return false };
        delivery.batch.clear();
        delivery.end_offsets.clear();
        delivery.is_ready = false;
        true
    }

    /// Whether a hand-over has mail that is in no queue yet.
    pub(super) fn has_unqueued(&self, to: WideId) -> bool {
        self.by_addressee.get(&to).is_some_and(|over| !over.is_fully_queued())
    }

    /// Whether any mail is in the queue of a link, or waits for room in it.
    pub(super) fn has_in_flight(&self) -> bool {
        !self.by_link.is_empty()
    }

    /// The read of what comes next for an addressee, of whose mail `last_append_id` is the latest that the
    /// store was asked to keep.
    pub(super) fn fetch(&mut self, to: WideId, last_append_id: u64) -> Option<StoreRequest> {
        let delivery = self.by_addressee.get_mut(&to)?;
        let serial = self.next_fetch_serial;
        self.next_fetch_serial += 1;
        (delivery.pending_fetch, delivery.fetch_covers_id) = (Some(serial), last_append_id);
        self.pending_fetches.insert(serial, to);
        Some(StoreRequest::Fetch { serial, to, after: delivery.last_fetched })
    }

    /// The store has read. Answers for whom it is to read on, given the latest that it was asked to
    /// keep for each.
    pub(super) fn on_fetched(
        &mut self,
        serial: u64,
        mails: Vec<Mail>,
        last_append_id: impl Fn(WideId) -> u64,
    ) -> Option<WideId> {
        let to = self.pending_fetches.remove(&serial)?;
        // The user may have left meanwhile, and be back.
        let delivery =
            self.by_addressee.get_mut(&to).filter(|over| over.pending_fetch == Some(serial))?;
        delivery.pending_fetch = None;
        if let Some(last) = mails.last() {
            delivery.last_fetched = last.id;
            delivery.batch = mails.into();
            delivery.is_ready = true;
            self.ready.push_back(to);
            return None;
        }
        let has_more = last_append_id(to) > delivery.fetch_covers_id;
        if !has_more {
            self.stop_if_done(to);
        }
        has_more.then_some(to)
    }

    /// The user for whom there is mail to be put into a queue now.
    pub(super) fn next_ready(&mut self) -> Option<HostId> {
        while let Some(to) = self.ready.front() {
            match self.by_addressee.get(to).filter(|over| !over.batch.is_empty()) {
                Some(delivery) => return Some(delivery.user),
                None => self.ready.pop_front(),
            };
        }
        None
    }

    /// The next message for that user, which is there.
    pub(super) fn take_ready(&mut self) -> Option<Mail> {
        let to = self.ready.front()?;
        self.by_addressee.get_mut(to)?.batch.pop_front()
    }

    /// The message that was taken is in a queue, see [`super::Spool::handed`]. Answers for whom the
    /// store is to read on.
    pub(super) fn on_queued(
        &mut self,
        link: LinkId,
        end_offset: u64,
        id: MailId,
    ) -> Option<WideId> {
        let to = *self.ready.front()?;
        self.set_link(to, link);
        let delivery = self.by_addressee.get_mut(&to)?;
        delivery.end_offsets.push_back((end_offset, id));
        if !delivery.batch.is_empty() {
            return None;
        }
        delivery.is_ready = false;
        self.ready.pop_front();
        Some(to)
    }

    /// The queue of `link` has no room for the next message.
    pub(super) fn on_queue_full(&mut self, link: LinkId) {
        let Some(to) = self.ready.pop_front() else { return };
        self.set_link(to, link);
        if let Some(delivery) = self.by_addressee.get_mut(&to) {
            delivery.is_ready = false;
        }
    }

    /// The addressee of the next message cannot be reached after all.
    pub(super) fn on_unreachable(&mut self) {
        if let Some(to) = self.ready.pop_front() {
            self.stop(to);
        }
    }

    /// Notes where a hand-over goes. What went over another link before counts no more.
    fn set_link(&mut self, to: WideId, link: LinkId) {
        let Some(delivery) = self.by_addressee.get_mut(&to) else { return };
        if let Some(previous) = delivery.link.replace(link)
            && previous != link
        {
            delivery.end_offsets.clear();
            self.by_link.remove(&(previous, to));
        }
        self.by_link.insert((link, to));
    }

    /// So many bytes of a link's stream have been sent in all. Answers what may be forgotten by that.
    pub(super) fn on_sent(&mut self, link: LinkId, bytes_sent: u64) -> Vec<StoreRequest> {
        let mut requests = Vec::new();
        for to in self.addressees_on(link) {
            let Some(delivery) = self.by_addressee.get_mut(&to) else { continue };
            let count =
                delivery.end_offsets.iter().take_while(|&&(mark, _)| mark <= bytes_sent).count();
            if count > 0 {
                let ids = delivery.end_offsets.drain(..count).map(|(_, id)| id).collect();
                requests.push(StoreRequest::Delete { to, ids });
            }
            if !delivery.batch.is_empty() && !std::mem::replace(&mut delivery.is_ready, true) {
                self.ready.push_back(to);
            }
            self.stop_if_done(to);
        }
        requests
    }

    fn addressees_on(&self, link: LinkId) -> Vec<WideId> {
        let first = (link, WideId(i64::MIN));
        let from_link = self.by_link.range(first..).take_while(|&&(other, _)| other == link);
        from_link.map(|&(_, to)| to).collect()
    }

    fn stop_if_done(&mut self, to: WideId) {
        if self
            .by_addressee
            .get(&to)
            .is_some_and(|over| over.is_fully_queued() && over.end_offsets.is_empty())
        {
            self.stop(to);
        }
    }
}
