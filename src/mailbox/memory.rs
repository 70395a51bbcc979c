//! A mailbox in memory, for servers that were given no file, and for the simulator.
//!
//! Answers are there at once. No thread, file or clock; what it is asked is all that it depends on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use super::{FIRST_ID, misplaced, take};
use crate::mail::{Inventory, Mail, MailId, Reply, Request};
use crate::relay::message::WideId;

/// See the head of this file. A copy is what a restart would find in a file.
#[derive(Clone, Debug)]
pub struct Memory {
    mails: BTreeMap<MailId, Mail>,
    /// The ids in `mails` by addressee; nobody's set is empty.
    waiting: BTreeMap<WideId, BTreeSet<MailId>>,
    next_id: u64,
    clock: Duration,
    replies: VecDeque<Reply>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// Nothing is kept yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            mails: BTreeMap::new(),
            waiting: BTreeMap::new(),
            next_id: FIRST_ID,
            clock: Duration::ZERO,
            replies: VecDeque::new(),
        }
    }

    /// What a file with the same content would tell when it is opened.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        let count = |(to, ids): (&WideId, &BTreeSet<MailId>)| {
            (*to, ids.len() as u64, ids.iter().map(|id| self.mails[id].bytes()).sum())
        };
        Inventory {
            next_id: self.next_id,
            clock: self.clock,
            oldest: self.oldest(),
            waiting: self.waiting.iter().map(count).collect(),
        }
    }

    /// Carries a request out.
    pub fn request(&mut self, request: Request) {
        let reply = match request {
            Request::Keep(mail) => self.keep(mail),
            Request::Collect { serial, to, after } => {
                Reply::Collected { serial, mails: self.collect(to, after) }
            }
            Request::Forget { to, ids } => self.forget(to, ids),
            Request::Drop { to } => {
                let ids = self.waiting.get(&to).into_iter().flatten().copied().collect();
                self.forget(to, ids)
            }
            Request::Expire { before, clock } => {
                self.clock = self.clock.max(clock);
                self.expire(before)
            }
        };
        self.replies.push_back(reply);
    }

    /// The next answer.
    pub fn poll(&mut self) -> Option<Reply> {
        self.replies.pop_front()
    }

    fn keep(&mut self, mail: Mail) -> Reply {
        let id = mail.id;
        if let Some(error) = misplaced(id, self.next_id) {
            return Reply::NotKept { ids: vec![id], error };
        }
        self.next_id = id.0 + 1;
        self.clock = self.clock.max(mail.kept_at);
        self.waiting.entry(mail.to).or_default().insert(id);
        self.mails.insert(id, mail);
        Reply::Kept(vec![id])
    }

    fn collect(&self, to: WideId, after: MailId) -> Vec<Mail> {
        let (mut portion, mut bytes) = (Vec::new(), 0);
        let ids = self.waiting.get(&to).into_iter();
        for id in ids.flat_map(|ids| ids.range((Bound::Excluded(after), Bound::Unbounded))) {
            if !take(&mut portion, &mut bytes, self.mails[id].clone()) {
                break;
            }
        }
        portion
    }

    fn forget(&mut self, to: WideId, ids: Vec<MailId>) -> Reply {
        let (mut messages, mut bytes) = (0, 0);
        if let Some(waiting) = self.waiting.get_mut(&to) {
            for id in ids {
                if waiting.remove(&id) {
                    let mail = self.mails.remove(&id).expect("what waits is kept");
                    messages += 1;
                    bytes += mail.bytes();
                }
            }
            if waiting.is_empty() {
                self.waiting.remove(&to);
            }
        }
        Reply::Removed { to, messages, bytes }
    }

    fn expire(&mut self, before: Duration) -> Reply {
        let mut old: BTreeMap<WideId, Vec<MailId>> = BTreeMap::new();
        for mail in self.mails.values().take_while(|mail| mail.kept_at < before) {
            old.entry(mail.to).or_default().push(mail.id);
        }
        for (to, ids) in old {
            let removed = self.forget(to, ids);
            self.replies.push_back(removed);
        }
        Reply::Expired { oldest: self.oldest() }
    }

    fn oldest(&self) -> Option<Duration> {
        self.mails.first_key_value().map(|(_, mail)| mail.kept_at)
    }
}
