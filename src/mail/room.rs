//! The mail room: what is kept for whom, what is on its way, and what may be forgotten.
//!
//! It asks the store ([`Request`]) and hears its answers ([`Reply`]); it reads nothing itself and
//! keeps no texts but those that are being handed over. Counts follow what the store has answered:
//! a message counts as kept when it is durable, and as gone when it is.
//!
//! Invariants:
//! - While mail waits for a user who can be reached, a hand-over for that user runs.
//! - Mail is forgotten only when its bytes have left the send queue of the link towards its addressee.
//! - What is said later does not overtake: [`Room::goes_first`] sends it by mail too.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use foldhash::fast::RandomState;

use super::hand_over::HandOvers;
use super::{Inventory, Mail, MailId, Reply, Request};
use crate::limits::{Limits, MAIL_BYTES, MAIL_CLOCK_STEP, MAIL_LOOK_PAUSE, MAIL_UNKEPT_BYTES_MAX};
use crate::relay::message::{HostId, WideId};
use crate::relay::{LinkId, Time};

/// Why a message is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// So many messages wait for the addressee already.
    AddresseeFull(u64),
    /// All that waits has come to so many bytes.
    RoomFull(u64),
    /// The mailbox has failed.
    Failed(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AddresseeFull(max) => write!(f, "{max} messages wait for that id already"),
            Self::RoomFull(max) => write!(f, "the mailbox is full: {max} bytes"),
            Self::Failed(error) => write!(f, "the mailbox has failed: {error}"),
        }
    }
}

/// What waits for an addressee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Messages that are durable.
    pub messages: u64,
    /// What they count, see [`Mail::bytes`].
    pub bytes: u64,
    /// Messages that the store was asked to keep and has not answered for.
    unkept: u64,
    /// The latest of those that it was ever asked to keep.
    last_asked: u64,
}

/// A message that the store was asked to keep.
#[derive(Debug)]
struct Unkept {
    id: MailId,
    link: LinkId,
    to: WideId,
    bytes: u64,
}

/// The state of a server's mail.
#[derive(Debug)]
pub struct Room {
    messages_max: u64,
    bytes_max: u64,
    age_max: Duration,
    /// What the mailbox's clock showed when this server began, and when that was.
    clock: Duration,
    began: Option<Time>,
    next_id: u64,
    waiting: HashMap<WideId, Waiting, RandomState>,
    /// Of all that waits.
    bytes: u64,
    unkept: VecDeque<Unkept>,
    unkept_bytes: u64,
    hand_overs: HandOvers,
    requests: VecDeque<Request>,
    /// When the store is to look for what is too old, on the mailbox's clock; `None` while nothing
    /// waits, or while it looks.
    looks_at: Option<Duration>,
    refused: u64,
    failed: Option<String>,
}

impl Room {
    /// A room over a store that holds this.
    #[must_use]
    pub fn new(limits: &Limits, inventory: &Inventory) -> Self {
        let waiting = inventory
            .waiting
            .iter()
            .map(|&(to, messages, bytes)| (to, Waiting { messages, bytes, ..Waiting::default() }));
        Self {
            messages_max: limits.mail_messages_max,
            bytes_max: limits.mail_bytes_max,
            age_max: limits.mail_age_max,
            clock: inventory.clock,
            began: None,
            next_id: inventory.next_id,
            waiting: waiting.collect(),
            bytes: inventory.waiting.iter().map(|&(.., bytes)| bytes).sum(),
            unkept: VecDeque::new(),
            unkept_bytes: 0,
            hand_overs: HandOvers::default(),
            requests: VecDeque::new(),
            looks_at: inventory.oldest.map(|_| inventory.clock),
            refused: 0,
            failed: None,
        }
    }

    /// What the store is to do next.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// What waits for each addressee, by number.
    #[must_use]
    pub fn waiting(&self) -> Vec<(WideId, Waiting)> {
        let kept = self.waiting.iter().filter(|(_, waiting)| waiting.messages > 0);
        let mut waiting: Vec<_> = kept.map(|(&to, &waiting)| (to, waiting)).collect();
        waiting.sort_unstable_by_key(|&(to, _)| to);
        waiting
    }

    /// Whether anything is kept for an addressee, or about to be.
    #[must_use]
    pub fn has_mail(&self, to: WideId) -> bool {
        self.waiting.contains_key(&to)
    }

    /// Messages that were refused at a bound, or because the store could not keep them.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Why nothing is kept any more.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Whether so much is on its way to the store that no more should come for now.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.unkept_bytes >= MAIL_UNKEPT_BYTES_MAX
    }

    /// Whether the store has not answered for something yet.
    #[must_use]
    pub fn is_keeping(&self) -> bool {
        !self.unkept.is_empty()
    }

    /// Whether what is said to an addressee now has to wait its turn behind mail.
    #[must_use]
    pub fn goes_first(&self, to: WideId) -> bool {
        self.failed.is_none() && self.hand_overs.has_more(to)
    }

    /// Asks the store to keep what came over `link`.
    ///
    /// # Errors
    /// [`Refusal`]: what waits already stays.
    pub fn keep(
        &mut self,
        now: Time,
        link: LinkId,
        from: WideId,
        to: WideId,
        text: &[u8],
    ) -> Result<(), Refusal> {
        let bytes = (text.len() + MAIL_BYTES) as u64;
        if let Err(refusal) = self.has_room(to, bytes) {
            self.refused += 1;
            return Err(refusal);
        }
        let id = MailId(self.next_id);
        self.next_id += 1;
        let waiting = self.waiting.entry(to).or_default();
        waiting.unkept += 1;
        waiting.last_asked = id.0;
        self.unkept.push_back(Unkept { id, link, to, bytes });
        self.unkept_bytes += bytes;
        let kept_at = self.clock(now);
        self.requests.push_back(Request::Keep(Mail { id, to, from, kept_at, text: text.into() }));
        Ok(())
    }

    fn has_room(&self, to: WideId, bytes: u64) -> Result<(), Refusal> {
        if let Some(error) = &self.failed {
            return Err(Refusal::Failed(error.clone()));
        }
        let waiting = self.waiting.get(&to).copied().unwrap_or_default();
        if waiting.messages + waiting.unkept >= self.messages_max {
            return Err(Refusal::AddresseeFull(self.messages_max));
        }
        if self.bytes + self.unkept_bytes + bytes > self.bytes_max {
            return Err(Refusal::RoomFull(self.bytes_max));
        }
        Ok(())
    }

    /// A user can be reached.
    pub fn came(&mut self, number: WideId, user: HostId) {
        self.hand_overs.stop(number);
        if self.failed.is_none() && self.waiting.contains_key(&number) {
            self.hand_overs.begin(number, user);
            self.read(number);
        }
    }

    /// Whether nothing waits and nothing is on its way: then nobody's coming or leaving matters.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.hand_overs.is_empty()
    }

    /// A user has left, or cannot be reached for now: what it was not sent yet waits on.
    pub fn stop(&mut self, number: WideId) {
        self.hand_overs.stop(number);
    }

    /// A link has ended: what was put into its queue and not sent waits on.
    pub fn closed(&mut self, link: LinkId) {
        self.hand_overs.closed(link);
    }

    /// Asks the store for more of an addressee's mail.
    fn read(&mut self, to: WideId) {
        let last_asked = self.waiting.get(&to).map_or(0, |waiting| waiting.last_asked);
        self.requests.extend(self.hand_overs.read(to, last_asked));
    }

    /// The user for whom there is mail to be put into a queue now. Say [`Room::take_ready`],
    /// [`Room::blocked`] or [`Room::unreachable`] before asking again.
    pub fn next_ready(&mut self) -> Option<HostId> {
        self.hand_overs.next_ready()
    }

    /// The next message for that user; [`Room::handed`] must follow.
    ///
    /// # Panics
    /// If there is none: [`Room::next_ready`] tells.
    pub fn take_ready(&mut self) -> Mail {
        self.hand_overs.take_ready().expect("a hand-over that is ready")
    }

    /// The message that was taken is in the queue of `link`, and ends at `mark` in its stream of
    /// bytes.
    pub fn handed(&mut self, link: LinkId, mark: u64, id: MailId) {
        if let Some(to) = self.hand_overs.handed(link, mark, id) {
            self.read(to);
        }
    }

    /// The queue of `link` has no room for the next message now; [`Room::sent`] tells when.
    pub fn blocked(&mut self, link: LinkId) {
        self.hand_overs.blocked(link);
    }

    /// The addressee of the next message cannot be reached after all.
    pub fn unreachable(&mut self) {
        self.hand_overs.unreachable();
    }

    /// Whether any mail is on its way over any link.
    #[must_use]
    pub fn is_handing_over(&self) -> bool {
        self.hand_overs.are_on_links()
    }

    /// So many bytes of a link's stream have been sent in all, and its queue has room again.
    pub fn sent(&mut self, link: LinkId, total: u64) {
        self.requests.extend(self.hand_overs.sent(link, total));
    }

    /// Forgets all that waits for an addressee; answers how many messages that is.
    pub fn drop_all(&mut self, to: WideId) -> u64 {
        let messages = self.waiting.get(&to).map_or(0, |waiting| waiting.messages);
        if messages > 0 {
            self.requests.push_back(Request::Drop { to });
            if self.hand_overs.dropped(to) {
                self.read(to);
            }
        }
        messages
    }

    /// The store has answered. Tells `settled` of each message that it has now kept or refused, by
    /// the link that it came over.
    pub fn handle(&mut self, now: Time, reply: Reply, mut settled: impl FnMut(LinkId)) {
        match reply {
            Reply::Kept(ids) => {
                for id in ids {
                    let Some(Unkept { link, to, bytes, .. }) = self.take_unkept(id) else {
                        continue;
                    };
                    let waiting = self.waiting.entry(to).or_default();
                    waiting.messages += 1;
                    waiting.bytes += bytes;
                    self.bytes += bytes;
                    settled(link);
                }
                if self.looks_at.is_none() {
                    let clock = self.clock(now);
                    self.look_again(now, Some(clock));
                }
            }
            Reply::NotKept { ids, error } => {
                log::error!("{} messages are not kept: {error}", ids.len());
                for id in ids {
                    if let Some(Unkept { link, to, .. }) = self.take_unkept(id) {
                        self.refused += 1;
                        self.forget_if_empty(to);
                        settled(link);
                    }
                }
            }
            Reply::Collected { serial, mails } => {
                let last_asked = |to| self.waiting.get(&to).map_or(0, |w| w.last_asked);
                if let Some(to) = self.hand_overs.collected(serial, mails, last_asked) {
                    self.read(to);
                }
            }
            Reply::Removed { to, messages, bytes } => {
                if let Some(waiting) = self.waiting.get_mut(&to) {
                    waiting.messages = waiting.messages.saturating_sub(messages);
                    waiting.bytes = waiting.bytes.saturating_sub(bytes);
                    self.bytes = self.bytes.saturating_sub(bytes);
                    self.forget_if_empty(to);
                }
            }
            Reply::Expired { oldest } => self.look_again(now, oldest),
            Reply::Failed(error) => {
                log::error!(
                    "the mailbox has failed: {error}. Nothing is kept any more; chat goes on. What \
                     was kept is still in the file: mend the disk and start the server again"
                );
                self.failed = Some(error);
                for Unkept { link, .. } in std::mem::take(&mut self.unkept) {
                    self.refused += 1;
                    settled(link);
                }
                self.unkept_bytes = 0;
                self.looks_at = None;
                for waiting in self.waiting.values_mut() {
                    waiting.unkept = 0;
                }
            }
        }
    }

    fn take_unkept(&mut self, id: MailId) -> Option<Unkept> {
        let unkept = self.unkept.pop_front_if(|unkept| unkept.id == id)?;
        self.unkept_bytes -= unkept.bytes;
        if let Some(waiting) = self.waiting.get_mut(&unkept.to) {
            waiting.unkept -= 1;
        }
        Some(unkept)
    }

    fn forget_if_empty(&mut self, to: WideId) {
        if self.waiting.get(&to).is_some_and(|w| w.messages == 0 && w.unkept == 0) {
            self.waiting.remove(&to);
        }
    }

    /// What the mailbox's clock shows.
    fn clock(&mut self, now: Time) -> Duration {
        let began = *self.began.get_or_insert(now);
        self.clock + now.since(began)
    }

    /// Asks the store to forget what is too old, and to remember what the clock shows.
    pub fn advance(&mut self, now: Time) {
        let clock = self.clock(now);
        if self.looks_at.is_some_and(|at| at <= clock) {
            self.looks_at = None;
            // What was kept exactly that long ago is too old as well.
            let before = (clock + Duration::from_nanos(1)).saturating_sub(self.age_max);
            self.requests.push_back(Request::Expire { before, clock });
        }
    }

    /// The store has looked for what is too old: when it is to look again. Not at once, even if it
    /// could not forget what is; and at least daily while mail waits, so that the clock is
    /// remembered.
    fn look_again(&mut self, now: Time, oldest: Option<Duration>) {
        let clock = self.clock(now);
        self.looks_at = oldest.map(|oldest| {
            (oldest + self.age_max).clamp(clock + MAIL_LOOK_PAUSE, clock + MAIL_CLOCK_STEP)
        });
    }

    /// When [`Room::advance`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let left = self.looks_at?.saturating_sub(self.clock);
        // Before the first advance: at once, so that the clock runs.
        Some(self.began.map_or(Time::default(), |began| began + left))
    }
}
