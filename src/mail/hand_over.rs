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

use super::{Mail, MailId, Request};
use crate::relay::LinkId;
use crate::relay::message::{HostId, WideId};

/// One addressee's mail on its way.
#[derive(Debug)]
struct HandOver {
    user: HostId,
    /// Of the read that the store has not answered yet.
    reading: Option<u64>,
    /// What that read sees: nothing that the store was asked to keep later.
    reads_until: u64,
    /// The latest that was read.
    last_read: MailId,
    batch: VecDeque<Mail>,
    /// It stands in the list of those that are ready.
    is_ready: bool,
    /// Where the latest of it went, and the places in that link's stream of bytes where each
    /// message ends.
    link: Option<LinkId>,
    marks: VecDeque<(u64, MailId)>,
}

impl HandOver {
    /// Whether all that waited is in a queue or sent.
    fn is_handed(&self) -> bool {
        self.reading.is_none() && self.batch.is_empty()
    }
}

/// Every hand-over.
#[derive(Debug, Default)]
pub(super) struct HandOvers {
    overs: BTreeMap<WideId, HandOver>,
    /// Whose mail each read is for that the store has not answered yet.
    reads: HashMap<u64, WideId, RandomState>,
    next_serial: u64,
    /// Those with something to put into a queue that may have room.
    ready: VecDeque<WideId>,
    /// By the link that they last used.
    on_link: BTreeSet<(LinkId, WideId)>,
}

impl HandOvers {
    /// A user for whom mail waits can be reached. [`HandOvers::read`] follows.
    pub(super) fn begin(&mut self, to: WideId, user: HostId) {
        self.stop(to);
        let over = HandOver {
            user,
            reading: None,
            reads_until: 0,
            last_read: MailId(0),
            batch: VecDeque::new(),
            is_ready: false,
            link: None,
            marks: VecDeque::new(),
        };
        self.overs.insert(to, over);
    }

    /// Ends a hand-over, if there is one.
    pub(super) fn stop(&mut self, to: WideId) {
        if let Some(over) = self.overs.remove(&to)
            && let Some(link) = over.link
        {
            self.on_link.remove(&(link, to));
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.overs.is_empty()
    }

    /// Ends those that go over a link.
    pub(super) fn closed(&mut self, link: LinkId) {
        for to in self.on(link) {
            self.stop(to);
        }
    }

    /// Forgets what was read for an addressee and is not sent. Answers whether there is more to read.
    pub(super) fn dropped(&mut self, to: WideId) -> bool {
        let Some(over) = self.overs.get_mut(&to) else { return false };
        over.batch.clear();
        over.marks.clear();
        over.is_ready = false;
        true
    }

    /// Whether a hand-over has mail that is in no queue yet.
    pub(super) fn has_more(&self, to: WideId) -> bool {
        self.overs.get(&to).is_some_and(|over| !over.is_handed())
    }

    /// Whether any mail is in the queue of a link, or waits for room in it.
    pub(super) fn are_on_links(&self) -> bool {
        !self.on_link.is_empty()
    }

    /// The read of what comes next for an addressee, of whose mail `last_asked` is the latest that the
    /// store was asked to keep.
    pub(super) fn read(&mut self, to: WideId, last_asked: u64) -> Option<Request> {
        let over = self.overs.get_mut(&to)?;
        let serial = self.next_serial;
        self.next_serial += 1;
        (over.reading, over.reads_until) = (Some(serial), last_asked);
        self.reads.insert(serial, to);
        Some(Request::Collect { serial, to, after: over.last_read })
    }

    /// The store has read. Answers for whom it is to read on, given the latest that it was asked to
    /// keep for each.
    pub(super) fn collected(
        &mut self,
        serial: u64,
        mails: Vec<Mail>,
        last_asked: impl Fn(WideId) -> u64,
    ) -> Option<WideId> {
        let to = self.reads.remove(&serial)?;
        // The user may have left meanwhile, and be back.
        let over = self.overs.get_mut(&to).filter(|over| over.reading == Some(serial))?;
        over.reading = None;
        if let Some(last) = mails.last() {
            over.last_read = last.id;
            over.batch = mails.into();
            over.is_ready = true;
            self.ready.push_back(to);
            return None;
        }
        let has_more = last_asked(to) > over.reads_until;
        if !has_more {
            self.end_if_done(to);
        }
        has_more.then_some(to)
    }

    /// The user for whom there is mail to be put into a queue now.
    pub(super) fn next_ready(&mut self) -> Option<HostId> {
        while let Some(to) = self.ready.front() {
            match self.overs.get(to).filter(|over| !over.batch.is_empty()) {
                Some(over) => return Some(over.user),
                None => self.ready.pop_front(),
            };
        }
        None
    }

    /// The next message for that user, which is there.
    pub(super) fn take_ready(&mut self) -> Option<Mail> {
        let to = self.ready.front()?;
        self.overs.get_mut(to)?.batch.pop_front()
    }

    /// The message that was taken is in a queue, see [`super::Room::handed`]. Answers for whom the
    /// store is to read on.
    pub(super) fn handed(&mut self, link: LinkId, mark: u64, id: MailId) -> Option<WideId> {
        let to = *self.ready.front()?;
        self.goes_over(to, link);
        let over = self.overs.get_mut(&to)?;
        over.marks.push_back((mark, id));
        if !over.batch.is_empty() {
            return None;
        }
        over.is_ready = false;
        self.ready.pop_front();
        Some(to)
    }

    /// The queue of `link` has no room for the next message.
    pub(super) fn blocked(&mut self, link: LinkId) {
        let Some(to) = self.ready.pop_front() else { return };
        self.goes_over(to, link);
        if let Some(over) = self.overs.get_mut(&to) {
            over.is_ready = false;
        }
    }

    /// The addressee of the next message cannot be reached after all.
    pub(super) fn unreachable(&mut self) {
        if let Some(to) = self.ready.pop_front() {
            self.stop(to);
        }
    }

    /// Notes where a hand-over goes. What went over another link before counts no more.
    fn goes_over(&mut self, to: WideId, link: LinkId) {
        let Some(over) = self.overs.get_mut(&to) else { return };
        if let Some(before) = over.link.replace(link)
            && before != link
        {
            over.marks.clear();
            self.on_link.remove(&(before, to));
        }
        self.on_link.insert((link, to));
    }

    /// So many bytes of a link's stream have been sent in all. Answers what may be forgotten by that.
    pub(super) fn sent(&mut self, link: LinkId, total: u64) -> Vec<Request> {
        let mut requests = Vec::new();
        for to in self.on(link) {
            let Some(over) = self.overs.get_mut(&to) else { continue };
            let sent = over.marks.iter().take_while(|&&(mark, _)| mark <= total).count();
            if sent > 0 {
                let ids = over.marks.drain(..sent).map(|(_, id)| id).collect();
                requests.push(Request::Forget { to, ids });
            }
            if !over.batch.is_empty() && !std::mem::replace(&mut over.is_ready, true) {
                self.ready.push_back(to);
            }
            self.end_if_done(to);
        }
        requests
    }

    fn on(&self, link: LinkId) -> Vec<WideId> {
        let least = (link, WideId(i64::MIN));
        let on_link = self.on_link.range(least..).take_while(|&&(other, _)| other == link);
        on_link.map(|&(_, to)| to).collect()
    }

    fn end_if_done(&mut self, to: WideId) {
        if self.overs.get(&to).is_some_and(|over| over.is_handed() && over.marks.is_empty()) {
            self.stop(to);
        }
    }
}
