//! The mail room: what is kept for whom, what is on its way, and what may be forgotten.
//!
//! It asks the store ([`StoreRequest`]) and hears its answers ([`Reply`]); it reads nothing itself and
//! keeps no texts but those that are being handed over. Counts follow what the store has answered:
//! a message counts as kept when it is durable, and as gone when it is.
//!
//! Invariants:
//! - While mail waits for a user who can be reached, a hand-over for that user runs.
//! - Mail is forgotten only when its bytes have left the send queue of the link towards its addressee.
//! - What is said later does not overtake: [`Spool::must_spool`] sends it by mail too.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use foldhash::fast::RandomState;

use super::delivery::Deliveries;
use super::{Inventory, Mail, MailId, StoreReply, StoreRequest};
use crate::id::{HostId, WideId};
use crate::limits::{
    Limits, MAIL_CLOCK_SAVE_INTERVAL, MAIL_EXPIRY_INTERVAL_MIN, MAIL_OVERHEAD_BYTES,
    MAIL_UNACKED_BYTES_MAX,
};
use crate::link::{LinkId, Time};

/// Why a message is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// So many messages wait for the addressee already.
    AddresseeFull(u64),
    /// All that waits has come to so many bytes.
    SpoolFull(u64),
    /// The mailbox has failed.
    StoreFailed(String),
}

impl std::fmt::Display for AppendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AddresseeFull(max) => write!(f, "{max} messages wait for that id already"),
            Self::SpoolFull(max) => write!(f, "the mailbox is full: {max} bytes"),
            Self::StoreFailed(error) => write!(f, "the mailbox has failed: {error}"),
        }
    }
}

/// What waits for an addressee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that are durable.
    pub messages: u64,
    /// What they count, see [`Mail::bytes`].
    pub bytes: u64,
    /// Messages that the store was asked to keep and has not answered for.
    unacked: u64,
    /// The latest of those that it was ever asked to keep.
    last_append_id: u64,
}

/// A message that the store was asked to keep.
#[derive(Debug)]
struct UnackedMail {
    id: MailId,
    link: LinkId,
    to: WideId,
    bytes: u64,
}

/// The state of a server's mail.
#[derive(Debug)]
pub struct Spool {
    messages_max: u64,
    bytes_max: u64,
    age_max: Duration,
    /// What the mailbox's clock showed when this server began, and when that was.
    clock_at_start: Duration,
    started_at: Option<Time>,
    next_id: u64,
    backlogs: HashMap<WideId, Backlog, RandomState>,
    /// Of all that waits.
    total_bytes: u64,
    unacked_mail: VecDeque<UnackedMail>,
    unacked_bytes: u64,
    deliveries: Deliveries,
    requests: VecDeque<StoreRequest>,
    /// When the store is to look for what is too old, on the mailbox's clock; `None` while nothing
    /// waits, or while it looks.
    expiry_check_at: Option<Duration>,
    refused: u64,
    failure: Option<String>,
}

impl Spool {
    /// A room over a store that holds this.
    #[must_use]
    pub fn new(limits: &Limits, inventory: &Inventory) -> Self {
        let backlogs = inventory
            .backlogs
            .iter()
            .map(|&(to, messages, bytes)| (to, Backlog { messages, bytes, ..Backlog::default() }));
        Self {
            messages_max: limits.mail_messages_max,
            bytes_max: limits.mail_bytes_max,
            age_max: limits.mail_age_max,
            clock_at_start: inventory.clock,
            started_at: None,
            next_id: inventory.next_id,
            backlogs: backlogs.collect(),
            total_bytes: inventory.backlogs.iter().map(|&(.., bytes)| bytes).sum(),
            unacked_mail: VecDeque::new(),
            unacked_bytes: 0,
            deliveries: Deliveries::default(),
            requests: VecDeque::new(),
            expiry_check_at: inventory.oldest.map(|_| inventory.clock),
            refused: 0,
            failure: None,
        }
    }

    /// What the store is to do next.
    pub fn poll_request(&mut self) -> Option<StoreRequest> {
        self.requests.pop_front()
    }

    /// What waits for each addressee, by number.
    #[must_use]
    pub fn backlogs(&self) -> Vec<(WideId, Backlog)> {
        let durable = self.backlogs.iter().filter(|(_, waiting)| waiting.messages > 0);
        let mut backlogs: Vec<_> = durable.map(|(&to, &waiting)| (to, waiting)).collect();
        backlogs.sort_unstable_by_key(|&(to, _)| to);
        backlogs
    }

    /// Whether anything is kept for an addressee, or about to be.
    #[must_use]
    pub fn has_mail(&self, to: WideId) -> bool {
        self.backlogs.contains_key(&to)
    }

    /// Messages that were refused at a bound, or because the store could not keep them.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Why nothing is kept any more.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Whether so much is on its way to the store that no more should come for now.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.unacked_bytes >= MAIL_UNACKED_BYTES_MAX
    }

    /// Whether the store has not answered for something yet.
    #[must_use]
    pub fn has_unacked(&self) -> bool {
        !self.unacked_mail.is_empty()
    }

    /// Whether what is said to an addressee now has to wait its turn behind mail.
    #[must_use]
    pub fn must_spool(&self, to: WideId) -> bool {
        self.failure.is_none() && self.deliveries.has_unqueued(to)
    }

    /// Asks the store to keep what came over `link`.
    ///
    /// # Errors
    /// [`AppendError`]: what waits already stays.
    pub fn append(
        &mut self,
        now: Time,
        link: LinkId,
        from: WideId,
        to: WideId,
        text: &[u8],
    ) -> Result<(), AppendError> {
        let bytes = (text.len() + MAIL_OVERHEAD_BYTES) as u64;
        if let Err(error) = self.check_capacity(to, bytes) {
            self.refused += 1;
            return Err(error);
        }
        let id = MailId(self.next_id);
        self.next_id += 1;
        let backlog = self.backlogs.entry(to).or_default();
        backlog.unacked += 1;
        backlog.last_append_id = id.0;
        self.unacked_mail.push_back(UnackedMail { id, link, to, bytes });
        self.unacked_bytes += bytes;
        let appended_at = self.mailbox_clock(now);
        self.requests.push_back(StoreRequest::Append(Mail {
            id,
            to,
            from,
            appended_at,
            text: text.into(),
        }));
        Ok(())
    }

    fn check_capacity(&self, to: WideId, bytes: u64) -> Result<(), AppendError> {
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

    /// A user can be reached.
    pub fn user_up(&mut self, id: WideId, user: HostId) {
        self.deliveries.stop(id);
        if self.failure.is_none() && self.backlogs.contains_key(&id) {
            self.deliveries.start(id, user);
            self.fetch(id);
        }
    }

    /// Whether nothing waits and nothing is on its way: then nobody's coming or leaving matters.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.backlogs.is_empty() && self.deliveries.is_empty()
    }

    /// A user has left, or cannot be reached for now: what it was not sent yet waits on.
    pub fn user_down(&mut self, id: WideId) {
        self.deliveries.stop(id);
    }

    /// A link has ended: what was put into its queue and not sent waits on.
    pub fn on_link_closed(&mut self, link: LinkId) {
        self.deliveries.on_link_closed(link);
    }

    /// Asks the store for more of an addressee's mail.
    fn fetch(&mut self, to: WideId) {
        let last_append_id = self.backlogs.get(&to).map_or(0, |waiting| waiting.last_append_id);
        self.requests.extend(self.deliveries.fetch(to, last_append_id));
    }

    /// The user for whom there is mail to be put into a queue now. Say [`Spool::take_ready`],
    /// [`Spool::blocked`] or [`Spool::unreachable`] before asking again.
    pub fn next_ready(&mut self) -> Option<HostId> {
        self.deliveries.next_ready()
    }

    /// The next message for that user; [`Spool::handed`] must follow.
    ///
    /// # Panics
    /// If there is none: [`Spool::next_ready`] tells.
    pub fn take_ready(&mut self) -> Mail {
        self.deliveries.take_ready().expect("a hand-over that is ready")
    }

    /// The message that was taken is in the queue of `link`, and ends at `mark` in its stream of
    /// bytes.
    pub fn on_queued(&mut self, link: LinkId, end_offset: u64, id: MailId) {
        if let Some(to) = self.deliveries.on_queued(link, end_offset, id) {
            self.fetch(to);
        }
    }

    /// The queue of `link` has no room for the next message now; [`Spool::sent`] tells when.
    pub fn on_queue_full(&mut self, link: LinkId) {
        self.deliveries.on_queue_full(link);
    }

    /// The addressee of the next message cannot be reached after all.
    pub fn on_unreachable(&mut self) {
        self.deliveries.on_unreachable();
    }

    /// Whether any mail is on its way over any link.
    #[must_use]
    pub fn is_delivering(&self) -> bool {
        self.deliveries.has_in_flight()
    }

    /// So many bytes of a link's stream have been sent in all, and its queue has room again.
    pub fn on_sent(&mut self, link: LinkId, bytes_sent: u64) {
        self.requests.extend(self.deliveries.on_sent(link, bytes_sent));
    }

    /// Forgets all that waits for an addressee; answers how many messages that is.
    pub fn delete_all(&mut self, to: WideId) -> u64 {
        let messages = self.backlogs.get(&to).map_or(0, |waiting| waiting.messages);
        if messages > 0 {
            self.requests.push_back(StoreRequest::DeleteAll { to });
            if self.deliveries.discard_unsent(to) {
                self.fetch(to);
            }
        }
        messages
    }

    /// The store has answered. Tells `settled` of each message that it has now kept or refused, by
    /// the link that it came over.
    pub fn handle_reply(&mut self, now: Time, reply: StoreReply, mut on_acked: impl FnMut(LinkId)) {
        match reply {
            StoreReply::Appended(ids) => {
                for id in ids {
                    let Some(UnackedMail { link, to, bytes, .. }) = self.take_unacked(id) else {
                        continue;
                    };
                    let backlog = self.backlogs.entry(to).or_default();
                    backlog.messages += 1;
                    backlog.bytes += bytes;
                    self.total_bytes += bytes;
                    on_acked(link);
                }
                if self.expiry_check_at.is_none() {
                    let clock = self.mailbox_clock(now);
                    self.schedule_expiry_check(now, Some(clock));
                }
            }
            StoreReply::AppendFailed { ids, error } => {
                log::error!("{} messages are not kept: {error}", ids.len());
                for id in ids {
                    if let Some(UnackedMail { link, to, .. }) = self.take_unacked(id) {
                        self.refused += 1;
                        self.remove_if_empty(to);
                        on_acked(link);
                    }
                }
            }
            StoreReply::Fetched { serial, mails } => {
                let last_append_id = |to| self.backlogs.get(&to).map_or(0, |w| w.last_append_id);
                if let Some(to) = self.deliveries.on_fetched(serial, mails, last_append_id) {
                    self.fetch(to);
                }
            }
            StoreReply::Deleted { to, messages, bytes } => {
                if let Some(backlog) = self.backlogs.get_mut(&to) {
                    backlog.messages = backlog.messages.saturating_sub(messages);
                    backlog.bytes = backlog.bytes.saturating_sub(bytes);
                    self.total_bytes = self.total_bytes.saturating_sub(bytes);
                    self.remove_if_empty(to);
                }
            }
            StoreReply::Expired { oldest } => self.schedule_expiry_check(now, oldest),
            StoreReply::Failed(error) => {
                log::error!(
                    "the mailbox has failed: {error}. Nothing is kept any more; chat goes on. What \
                     was kept is still in the file: mend the disk and start the server again"
                );
                self.failure = Some(error);
                for UnackedMail { link, .. } in std::mem::take(&mut self.unacked_mail) {
                    self.refused += 1;
                    on_acked(link);
                }
                self.unacked_bytes = 0;
                self.expiry_check_at = None;
                for backlog in self.backlogs.values_mut() {
                    backlog.unacked = 0;
                }
            }
        }
    }

    fn take_unacked(&mut self, id: MailId) -> Option<UnackedMail> {
        let unacked = self.unacked_mail.pop_front_if(|unkept| unkept.id == id)?;
        self.unacked_bytes -= unacked.bytes;
        if let Some(backlog) = self.backlogs.get_mut(&unacked.to) {
            backlog.unacked -= 1;
        }
        Some(unacked)
    }

    fn remove_if_empty(&mut self, to: WideId) {
        if self.backlogs.get(&to).is_some_and(|w| w.messages == 0 && w.unacked == 0) {
            self.backlogs.remove(&to);
        }
    }

    /// What the mailbox's clock shows.
    fn mailbox_clock(&mut self, now: Time) -> Duration {
        let started_at = *self.started_at.get_or_insert(now);
        self.clock_at_start + now.since(started_at)
    }

    /// Asks the store to forget what is too old, and to remember what the clock shows.
    pub fn advance(&mut self, now: Time) {
        let clock = self.mailbox_clock(now);
        if self.expiry_check_at.is_some_and(|at| at <= clock) {
            self.expiry_check_at = None;
            // What was kept exactly that long ago is too old as well.
            let cutoff = (clock + Duration::from_nanos(1)).saturating_sub(self.age_max);
            self.requests.push_back(StoreRequest::Expire { before: cutoff, clock });
        }
    }

    /// The store has looked for what is too old: when it is to look again. Not at once, even if it
    /// could not forget what is; and at least daily while mail waits, so that the clock is
    /// remembered.
    fn schedule_expiry_check(&mut self, now: Time, oldest: Option<Duration>) {
        let clock = self.mailbox_clock(now);
        self.expiry_check_at = oldest.map(|oldest| {
            (oldest + self.age_max)
                .clamp(clock + MAIL_EXPIRY_INTERVAL_MIN, clock + MAIL_CLOCK_SAVE_INTERVAL)
        });
    }

    /// When [`Spool::advance`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let remaining = self.expiry_check_at?.saturating_sub(self.clock_at_start);
        // Before the first advance: at once, so that the clock runs.
        Some(self.started_at.map_or(Time::default(), |began| began + remaining))
    }
}
