//! Deliveries: mail on its way to reachable users.
//!
//! A [`Delivery`] fetches the mail of one addressee in batches, puts one message after the other
//! into the send queue of the link towards it while there is room, and reports which were sent. It
//! ends with its user or its link. Mail that was not sent by then is fetched again by the next
//! delivery.
//!
//! The pieces of a message to a program that reads once wait in portions before they reach the send
//! queue. The message has no end offset until the last one has.
//!
//! A message that a delivery leaves unsent in a send queue is remembered until nothing of it is
//! left there: the mailbox still has it, so that the link must not send it again if it is lost.
//!
//! Invariants: there is at most one delivery per addressee. It is in `by_link` under the link of
//! its end offsets and nowhere else. `ready` may name deliveries that have ended.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::{Mail, MailId, StoreRequest};
use crate::id::{HostId, WideId};
use crate::link::LinkId;

/// The delivery of one addressee's mail.
#[derive(Clone, Debug)]
struct Delivery {
    user: HostId,
    /// Serial number of the fetch request without a reply.
    pending_fetch: Option<u64>,
    /// Id of the last message that was appended before that request. The reply covers no later one.
    fetch_covers_id: u64,
    /// Id of the last message that was fetched.
    last_fetched: MailId,
    /// Messages that were fetched and not queued.
    batch: VecDeque<Mail>,
    /// Whether the addressee is in [`Deliveries::ready`].
    is_ready: bool,
    /// The link that was used last.
    link: Option<LinkId>,
    /// Messages in its send queue, each with the offset in the link's stream of bytes where it
    /// ends, then those of which a part waits for a later portion.
    end_offsets: VecDeque<(Option<u64>, MailId)>,
}

impl Delivery {
    /// Returns whether every message was queued.
    fn is_fully_queued(&self) -> bool {
        self.pending_fetch.is_none() && self.batch.is_empty()
    }

    /// Records that no part of a message waits for a later portion: all were queued up to this
    /// offset.
    fn on_paced_queued(&mut self, end_offset: u64) {
        let waiting = self.end_offsets.iter_mut().rev().take_while(|it| it.0.is_none());
        waiting.for_each(|it| it.0 = Some(end_offset));
    }

    /// Returns the number of messages that end within the first `bytes` bytes of the link's stream.
    fn count_within(&self, bytes: u64) -> usize {
        self.end_offsets.partition_point(|it| it.0.is_some_and(|end| end <= bytes))
    }
}

/// All deliveries.
#[derive(Clone, Debug, Default)]
pub(super) struct Deliveries {
    by_addressee: BTreeMap<WideId, Delivery>,
    /// Addressees of the fetch requests without a reply, by serial number.
    pending_fetches: HashMap<u64, WideId, RandomState>,
    next_fetch_serial: u64,
    /// Addressees with messages to queue, whose link may have room.
    ready: VecDeque<WideId>,
    /// Addressees by the link that was used last.
    by_link: BTreeSet<(LinkId, WideId)>,
    /// End offsets of messages that deliveries which have ended left in the queue of a link. They
    /// are no more than fit into it.
    abandoned: BTreeSet<(LinkId, u64)>,
}

impl Deliveries {
    /// Starts a delivery to a reachable user. [`Deliveries::fetch`] must follow.
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

    /// Ends the delivery to an addressee, if there is one.
    pub(super) fn stop(&mut self, to: WideId) {
        if let Some(delivery) = self.by_addressee.remove(&to)
            && let Some(link) = delivery.link
        {
            self.by_link.remove(&(link, to));
            let ends = delivery.end_offsets.iter().filter_map(|&(end, _)| end);
            self.abandoned.extend(ends.map(|end| (link, end)));
        }
    }

    /// Returns the user to whom the mail of an addressee is being delivered.
    pub(super) fn user_of(&self, to: WideId) -> Option<HostId> {
        self.by_addressee.get(&to).map(|delivery| delivery.user)
    }

    /// Returns whether there are no deliveries.
    pub(super) fn is_empty(&self) -> bool {
        self.by_addressee.is_empty()
    }

    /// Ends the deliveries over a link, and returns their addressees with the user of each.
    pub(super) fn on_link_closed(&mut self, link: LinkId) -> Vec<(WideId, HostId)> {
        let addressees = self.addressees_on(link);
        let users = addressees.iter().map(|to| (*to, self.by_addressee[to].user)).collect();
        for to in addressees {
            self.stop(to);
        }
        self.on_released(link, u64::MAX);
        users
    }

    /// Discards the fetched and unsent mail of an addressee. Returns whether it has a delivery,
    /// which must fetch again.
    pub(super) fn discard_unsent(&mut self, to: WideId) -> bool {
        let Some(delivery) = self.by_addressee.get_mut(&to) else { return false };
        delivery.batch.clear();
        delivery.end_offsets.clear();
        delivery.is_ready = false;
        true
    }

    /// Returns whether an addressee has a delivery, so that mail for it was not sent yet.
    pub(super) fn has_delivery(&self, to: WideId) -> bool {
        self.by_addressee.contains_key(&to)
    }

    /// Returns whether an addressee has a delivery all of whose mail was queued.
    pub(super) fn is_fully_queued(&self, to: WideId) -> bool {
        self.by_addressee.get(&to).is_some_and(Delivery::is_fully_queued)
    }

    /// Returns whether any delivery uses a link, or has left messages in its queue.
    pub(super) fn has_in_flight(&self) -> bool {
        !self.by_link.is_empty() || !self.abandoned.is_empty()
    }

    /// Forgets the messages that ended deliveries left in the first `bytes` bytes of a link's
    /// stream, of which the link does not send any again.
    pub(super) fn on_released(&mut self, link: LinkId, bytes: u64) {
        let released = self.abandoned.range((link, 0)..=(link, bytes));
        for key in released.copied().collect::<Vec<_>>() {
            self.abandoned.remove(&key);
        }
    }

    /// Returns whether a message ends at this offset of a link's stream and is still in the
    /// mailbox.
    pub(super) fn is_in_flight(&self, link: LinkId, end_offset: u64) -> bool {
        self.abandoned.contains(&(link, end_offset))
            || self.addressees_on(link).into_iter().any(|to| {
                let delivery = &self.by_addressee[&to];
                delivery.count_within(end_offset)
                    > delivery.count_within(end_offset.saturating_sub(1))
            })
    }

    /// Returns the request for the next mail of an addressee. `last_append_id` is the id of the
    /// last message for it that the store was asked to append.
    pub(super) fn fetch(&mut self, to: WideId, last_append_id: u64) -> Option<StoreRequest> {
        let delivery = self.by_addressee.get_mut(&to)?;
        let serial = self.next_fetch_serial;
        self.next_fetch_serial += 1;
        (delivery.pending_fetch, delivery.fetch_covers_id) = (Some(serial), last_append_id);
        self.pending_fetches.insert(serial, to);
        Some(StoreRequest::Fetch { serial, to, after: delivery.last_fetched })
    }

    /// Handles the reply to a fetch request. Returns the addressee for whom another one must
    /// follow. `last_append_id` is as for [`Deliveries::fetch`].
    pub(super) fn on_fetched(
        &mut self,
        serial: u64,
        mails: Vec<Mail>,
        last_append_id: impl Fn(WideId) -> u64,
    ) -> Option<WideId> {
        let to = self.pending_fetches.remove(&serial)?;
        // The user may have left and returned meanwhile: the reply is for an earlier delivery then.
        let delivery =
            self.by_addressee.get_mut(&to).filter(|it| it.pending_fetch == Some(serial))?;
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

    /// Returns the next user with a message that can be queued.
    pub(super) fn next_ready(&mut self) -> Option<HostId> {
        while let Some(to) = self.ready.front() {
            match self.by_addressee.get(to).filter(|delivery| !delivery.batch.is_empty()) {
                Some(delivery) => return Some(delivery.user),
                None => self.ready.pop_front(),
            };
        }
        None
    }

    /// Returns the next message for the user of [`Deliveries::next_ready`].
    pub(super) fn take_ready(&mut self) -> Option<Mail> {
        let to = self.ready.front()?;
        self.by_addressee.get_mut(to)?.batch.pop_front()
    }

    /// Records that the message was queued, see [`super::Spool::on_queued`]. Returns the addressee
    /// whose next mail must be fetched.
    pub(super) fn on_queued(
        &mut self,
        link: LinkId,
        end_offset: Option<u64>,
        id: MailId,
    ) -> Option<WideId> {
        let to = *self.ready.front()?;
        self.set_link(to, link);
        let delivery = self.by_addressee.get_mut(&to)?;
        if let Some(end_offset) = end_offset {
            delivery.on_paced_queued(end_offset);
        }
        delivery.end_offsets.push_back((end_offset, id));
        if !delivery.batch.is_empty() {
            return None;
        }
        delivery.is_ready = false;
        self.ready.pop_front();
        Some(to)
    }

    /// Pauses the delivery of the next message because the queue of `link` is full, or frames wait
    /// there.
    pub(super) fn on_queue_full(&mut self, link: LinkId) {
        let Some(to) = self.ready.pop_front() else { return };
        self.set_link(to, link);
        if let Some(delivery) = self.by_addressee.get_mut(&to) {
            delivery.is_ready = false;
        }
    }

    /// Ends the delivery of the next message because its user is not reachable.
    pub(super) fn on_unreachable(&mut self) {
        if let Some(to) = self.ready.pop_front() {
            self.stop(to);
        }
    }

    /// Returns whether earlier messages for the user of [`Deliveries::next_ready`] are in the send
    /// queue of another link.
    pub(super) fn is_queued_elsewhere(&self, link: LinkId) -> bool {
        let delivery = self.ready.front().and_then(|to| self.by_addressee.get(to));
        delivery.is_some_and(|it| it.link != Some(link) && !it.end_offsets.is_empty())
    }

    /// Pauses the delivery of the next message until the earlier ones have been sent, or their link
    /// has ended.
    pub(super) fn on_queued_elsewhere(&mut self) {
        let to = self.ready.pop_front();
        if let Some(delivery) = to.and_then(|to| self.by_addressee.get_mut(&to)) {
            delivery.is_ready = false;
        }
    }

    /// Sets the link of a delivery, which has no unsent messages on another one.
    fn set_link(&mut self, to: WideId, link: LinkId) {
        let Some(delivery) = self.by_addressee.get_mut(&to) else { return };
        if let Some(previous) = delivery.link.replace(link)
            && previous != link
        {
            self.by_link.remove(&(previous, to));
        }
        self.by_link.insert((link, to));
    }

    /// Returns the requests that delete the mail within the first `bytes_sent` bytes of a link's
    /// stream, and resumes the deliveries that wait for room in its queue. `paced_end` is as for
    /// [`super::Spool::on_sent`].
    pub(super) fn on_sent(
        &mut self,
        link: LinkId,
        bytes_sent: u64,
        paced_end: Option<u64>,
    ) -> Vec<StoreRequest> {
        let mut requests = Vec::new();
        for to in self.addressees_on(link) {
            let Some(delivery) = self.by_addressee.get_mut(&to) else { continue };
            if let Some(end_offset) = paced_end {
                delivery.on_paced_queued(end_offset);
            }
            let count = delivery.count_within(bytes_sent);
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
            .is_some_and(|delivery| delivery.is_fully_queued() && delivery.end_offsets.is_empty())
        {
            self.stop(to);
        }
    }
}
