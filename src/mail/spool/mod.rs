//! The spool: which mail is kept, delivered and deleted.
//!
//! [`Spool`] sends [`StoreRequest`]s to the store and handles its [`StoreReply`]s. Only the texts
//! of mail that is being delivered are in memory. Counts follow the replies: a message counts once
//! it is durable, until it is deleted.
//!
//! Invariants:
//! - While mail waits for a reachable user, a delivery for that user runs.
//! - Mail is deleted only after its bytes have left the send queue of the link towards its
//!   addressee.
//! - Later messages do not overtake mail: while [`Spool::must_spool`], they are appended too.

mod replies;

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use crate::id::{HostId, WideId};
use crate::limits::{Limits, MAIL_OVERHEAD_BYTES, MAIL_UNACKED_BYTES_MAX};
use crate::link::{LinkId, Time};
use crate::mail::delivery::Deliveries;
use crate::mail::expiry::Expiry;
use crate::mail::{AppendError, Inventory, Mail, MailId, Sender, StoreRequest};

/// The mail of one addressee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Number of durable messages.
    pub messages: u64,
    /// Sum of their [`Mail::bytes`].
    pub bytes: u64,
    /// Number of messages in append requests without a reply.
    unacked: u64,
    /// Id of the latest message that the store was asked to append.
    last_append_id: u64,
}

/// A message in an append request without a reply.
#[derive(Clone, Debug)]
struct UnackedMail {
    id: MailId,
    link: LinkId,
    to: WideId,
    bytes: u64,
}

/// The mail of a server.
#[derive(Clone, Debug)]
pub struct Spool {
    messages_max: u64,
    bytes_max: u64,
    expiry: Expiry,
    next_id: u64,
    backlogs: HashMap<WideId, Backlog, RandomState>,
    /// Sum of the [`Mail::bytes`] of all durable messages.
    total_bytes: u64,
    unacked_mail: VecDeque<UnackedMail>,
    unacked_bytes: u64,
    deliveries: Deliveries,
    requests: VecDeque<StoreRequest>,
    refused: u64,
    failure: Option<String>,
}

impl Spool {
    /// Creates the spool of a store with this content.
    #[must_use]
    pub fn new(limits: &Limits, inventory: &Inventory) -> Self {
        let backlogs = inventory
            .backlogs
            .iter()
            .map(|&(to, messages, bytes)| (to, Backlog { messages, bytes, ..Backlog::default() }));
        Self {
            messages_max: limits.mail_messages_max,
            bytes_max: limits.mail_bytes_max,
            expiry: Expiry::new(limits.mail_age_max, inventory),
            next_id: inventory.next_id,
            backlogs: backlogs.collect(),
            total_bytes: inventory.backlogs.iter().map(|&(.., bytes)| bytes).sum(),
            unacked_mail: VecDeque::new(),
            unacked_bytes: 0,
            deliveries: Deliveries::default(),
            requests: VecDeque::new(),
            refused: 0,
            failure: None,
        }
    }

    /// Returns the next request for the store.
    pub fn poll_request(&mut self) -> Option<StoreRequest> {
        self.requests.pop_front()
    }

    /// Returns the backlog of every addressee with durable mail, sorted by addressee.
    #[must_use]
    pub fn backlogs(&self) -> Vec<(WideId, Backlog)> {
        let durable = self.backlogs.iter().filter(|(_, backlog)| backlog.messages > 0);
        let mut backlogs: Vec<_> = durable.map(|(&to, &backlog)| (to, backlog)).collect();
        backlogs.sort_unstable_by_key(|&(to, _)| to);
        backlogs
    }

    /// Returns whether an addressee has mail, durable or not.
    #[must_use]
    pub fn has_mail(&self, to: WideId) -> bool {
        self.backlogs.contains_key(&to)
    }

    /// Returns the number of messages that were refused, at a limit or because the store failed.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Returns the error with which the store has failed.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Returns whether append requests of [`MAIL_UNACKED_BYTES_MAX`] bytes or more have no reply
    /// yet. No more mail should be appended until they have.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.unacked_bytes >= MAIL_UNACKED_BYTES_MAX
    }

    /// Returns whether any append request has no reply yet.
    #[must_use]
    pub fn has_unacked(&self) -> bool {
        !self.unacked_mail.is_empty()
    }

    /// Returns whether a message to this addressee must be appended behind mail that is being
    /// delivered. Mail that was queued and not sent counts: if its link is lost, it is queued
    /// again.
    #[must_use]
    pub fn must_spool(&self, to: WideId) -> bool {
        self.failure.is_none() && self.deliveries.has_delivery(to)
    }

    /// Appends a message. The result follows with the store's reply.
    ///
    /// # Errors
    /// Returns [`AppendError`] if a limit is reached or the store has failed.
    pub fn append(
        &mut self,
        now: Time,
        sender: &Sender<'_>,
        to: WideId,
        text: &[u8],
    ) -> Result<(), AppendError> {
        let Sender { link, id: from, nick, sent_at_ms } = *sender;
        let text_bytes = text.len() + nick.len();
        if let Err(error) = self.check_append(to, text_bytes) {
            self.refused += 1;
            return Err(error);
        }
        let bytes = (text_bytes + MAIL_OVERHEAD_BYTES) as u64;
        let id = MailId(self.next_id);
        self.next_id += 1;
        let backlog = self.backlogs.entry(to).or_default();
        backlog.unacked += 1;
        backlog.last_append_id = id.0;
        self.unacked_mail.push_back(UnackedMail { id, link, to, bytes });
        self.unacked_bytes += bytes;
        let appended_at = self.expiry.clock(now);
        self.requests.push_back(StoreRequest::Append(Mail {
            id,
            to,
            from,
            from_nick: nick.into(),
            sent_at_ms,
            appended_at,
            text: text.into(),
        }));
        if self.deliveries.is_fully_queued(to) {
            self.fetch(to);
        }
        Ok(())
    }

    /// Checks whether a message of this length in bytes can be appended now.
    ///
    /// # Errors
    /// As for [`Spool::append`], except that the message does not count as refused.
    pub fn check_append(&self, to: WideId, text_bytes: usize) -> Result<(), AppendError> {
        let bytes = (text_bytes + MAIL_OVERHEAD_BYTES) as u64;
        if let Some(error) = &self.failure {
            return Err(AppendError::StoreFailed(error.clone()));
        }
        let backlog = self.backlogs.get(&to).copied().unwrap_or_default();
        if backlog.messages + backlog.unacked >= self.messages_max {
            return Err(AppendError::AddresseeFull(self.messages_max));
        }
        if self.total_bytes + self.unacked_bytes + bytes > self.bytes_max {
            return Err(AppendError::SpoolFull(self.bytes_max));
        }
        Ok(())
    }

    /// Starts delivering to a user who has become reachable.
    pub fn user_up(&mut self, id: WideId, user: HostId) {
        self.deliveries.stop(id);
        if self.failure.is_none() && self.backlogs.contains_key(&id) {
            self.deliveries.start(id, user);
            self.fetch(id);
        }
    }

    /// Returns whether there is no mail at all. Users who join or leave need no handling then.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.backlogs.is_empty() && self.deliveries.is_empty()
    }

    /// Stops delivering to a user who has left or become unreachable. Unsent mail stays in the
    /// store.
    pub fn user_down(&mut self, id: WideId, user: HostId) {
        if self.deliveries.user_of(id) == Some(user) {
            self.deliveries.stop(id);
        }
    }

    /// Returns whether mail of anybody is being delivered.
    #[must_use]
    pub fn has_deliveries(&self) -> bool {
        !self.deliveries.is_empty()
    }

    /// Starts the deliveries over a link that was closed again, since another link may lead to the
    /// user already. Unsent mail stays in the store.
    pub fn on_link_closed(&mut self, link: LinkId) {
        for (id, user) in self.deliveries.on_link_closed(link) {
            self.user_up(id, user);
        }
    }

    /// Requests the next mail of an addressee from the store.
    fn fetch(&mut self, to: WideId) {
        let last_append_id = self.backlogs.get(&to).map_or(0, |backlog| backlog.last_append_id);
        self.requests.extend(self.deliveries.fetch(to, last_append_id));
    }

    /// Returns the next user with mail that can be queued. One of [`Spool::take_ready`],
    /// [`Spool::waits_for_other_link`] that returns true, [`Spool::on_queue_full`] and
    /// [`Spool::on_unreachable`] must be called before the next call.
    pub fn next_ready(&mut self) -> Option<HostId> {
        self.deliveries.next_ready()
    }

    /// Returns the next message for the user of [`Spool::next_ready`]. [`Spool::on_queued`] must
    /// follow.
    ///
    /// # Panics
    /// Panics if [`Spool::next_ready`] has not returned a user.
    pub fn take_ready(&mut self) -> Mail {
        self.deliveries.take_ready().expect("a delivery that is ready")
    }

    /// Records that the message was put into the send queue of `link`. It ends at `end_offset` in
    /// that link's stream of bytes, or a part of it waits for a later portion.
    pub fn on_queued(&mut self, link: LinkId, end_offset: Option<u64>, id: MailId) {
        if let Some(to) = self.deliveries.on_queued(link, end_offset, id) {
            self.fetch(to);
        }
    }

    /// Pauses a delivery because the queue of `link` is full, or frames wait there for a later
    /// portion. [`Spool::on_sent`] continues it.
    pub fn on_queue_full(&mut self, link: LinkId) {
        self.deliveries.on_queue_full(link);
    }

    /// Pauses the delivery to the user of [`Spool::next_ready`] if earlier messages for it are in
    /// the send queue of another link. Returns whether it did. The delivery continues when they
    /// have been sent, and begins again if that link ends.
    pub fn waits_for_other_link(&mut self, link: LinkId) -> bool {
        let must_wait = self.deliveries.is_queued_elsewhere(link);
        if must_wait {
            self.deliveries.on_queued_elsewhere();
        }
        must_wait
    }

    /// Stops a delivery because its user is not reachable.
    pub fn on_unreachable(&mut self) {
        self.deliveries.on_unreachable();
    }

    /// Returns whether a message that ends at this offset of a link's stream was queued there, and
    /// is kept and delivered again if the link ends.
    #[must_use]
    pub fn is_in_flight(&self, link: LinkId, end_offset: u64) -> bool {
        self.deliveries.is_in_flight(link, end_offset)
    }

    /// Returns whether any delivery uses a link, or has left messages in its queue.
    #[must_use]
    pub fn is_delivering(&self) -> bool {
        self.deliveries.has_in_flight()
    }

    /// Deletes the mail within the first `bytes_sent` bytes of a link's stream, which were sent,
    /// and continues the deliveries that wait for room in its queue. `paced_end` is the end of that
    /// stream, unless frames wait for a later portion.
    pub fn on_sent(&mut self, link: LinkId, bytes_sent: u64, paced_end: Option<u64>) {
        self.requests.extend(self.deliveries.on_sent(link, bytes_sent, paced_end));
    }

    /// Records that a link does not send the first `bytes` bytes of its stream again if it is lost.
    pub fn on_released(&mut self, link: LinkId, bytes: u64) {
        self.deliveries.on_released(link, bytes);
    }

    /// Deletes all durable mail of an addressee. Returns the number of messages.
    pub fn delete_all(&mut self, to: WideId) -> u64 {
        let messages = self.backlogs.get(&to).map_or(0, |backlog| backlog.messages);
        if messages > 0 {
            self.requests.push_back(StoreRequest::DeleteAll { to });
            if self.deliveries.discard_unsent(to) {
                self.fetch(to);
            }
        }
        messages
    }

    fn remove_if_empty(&mut self, to: WideId) {
        if self.backlogs.get(&to).is_some_and(|it| it.messages == 0 && it.unacked == 0) {
            self.backlogs.remove(&to);
        }
    }

    /// Requests the deletion of expired mail if a check is due.
    pub fn advance(&mut self, now: Time) {
        if let Some((before, clock)) = self.expiry.start_check(now) {
            self.requests.push_back(StoreRequest::Expire { before, clock });
        }
    }

    /// Checks that the sizes are right, and that nothing is kept for an addressee without mail.
    ///
    /// # Panics
    /// If they are not.
    pub(crate) fn check(&self) {
        let unacked_bytes: u64 = self.unacked_mail.iter().map(|mail| mail.bytes).sum();
        assert_eq!(self.unacked_bytes, unacked_bytes, "the size of the append requests");
        let unacked: u64 = self.backlogs.values().map(|backlog| backlog.unacked).sum();
        assert_eq!(self.unacked_mail.len() as u64, unacked, "append requests by addressee");
        let total_bytes: u64 = self.backlogs.values().map(|backlog| backlog.bytes).sum();
        assert_eq!(self.total_bytes, total_bytes, "the size of all mail");
        assert!(self.total_bytes + self.unacked_bytes <= self.bytes_max, "the size of the spool");
        let is_empty = |backlog: &Backlog| backlog.messages == 0 && backlog.unacked == 0;
        let has_empty = self.backlogs.values().any(is_empty);
        assert!(!has_empty || self.failure.is_some(), "an addressee has mail");
    }

    /// Returns when [`Spool::advance`] must be called at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.expiry.deadline()
    }
}
