//! A mailbox in memory, for servers without `--mailbox`, and for the simulator.
//!
//! Replies are available at once. It is pure: no thread, file or clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use super::{FIRST_ID, id_order_error, push_within_limit};
use crate::id::WideId;
use crate::mail::{Inventory, Mail, MailId, StoreReply, StoreRequest};

/// A mailbox in memory. The simulator clones it to restart a server with the mail that a file would
/// hold.
#[derive(Clone, Debug)]
pub struct MemoryMailbox {
    mails: BTreeMap<MailId, Mail>,
    /// The ids in `mails` by addressee. No set is empty.
    ids_by_addressee: BTreeMap<WideId, BTreeSet<MailId>>,
    next_id: u64,
    clock: Duration,
    replies: VecDeque<StoreReply>,
}

impl Default for MemoryMailbox {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryMailbox {
    /// Creates an empty mailbox.
    #[must_use]
    pub fn new() -> Self {
        Self {
            mails: BTreeMap::new(),
            ids_by_addressee: BTreeMap::new(),
            next_id: FIRST_ID,
            clock: Duration::ZERO,
            replies: VecDeque::new(),
        }
    }

    /// Returns the content, as a file would report it when it is opened.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        let backlog = |(to, ids): (&WideId, &BTreeSet<MailId>)| {
            (*to, ids.len() as u64, ids.iter().map(|id| self.mails[id].bytes()).sum())
        };
        Inventory {
            next_id: self.next_id,
            clock: self.clock,
            oldest: self.oldest(),
            backlogs: self.ids_by_addressee.iter().map(backlog).collect(),
        }
    }

    /// Returns the messages, in the order in which they were appended.
    pub fn mails(&self) -> impl Iterator<Item = &Mail> {
        self.mails.values()
    }

    /// Carries out a request.
    pub fn request(&mut self, request: StoreRequest) {
        let reply = match request {
            StoreRequest::Append(mail) => self.append(mail),
            StoreRequest::Fetch { serial, to, after } => {
                StoreReply::Fetched { serial, mails: self.fetch(to, after) }
            }
            StoreRequest::Delete { to, ids } => self.delete(to, ids),
            StoreRequest::DeleteAll { to } => {
                let ids = self.ids_by_addressee.get(&to).into_iter().flatten().copied().collect();
                self.delete(to, ids)
            }
            StoreRequest::Expire { before, clock } => {
                self.clock = self.clock.max(clock);
                self.expire(before)
            }
        };
        self.replies.push_back(reply);
    }

    /// Returns the next reply.
    pub fn poll(&mut self) -> Option<StoreReply> {
        self.replies.pop_front()
    }

    fn append(&mut self, mail: Mail) -> StoreReply {
        let id = mail.id;
        if let Some(error) = id_order_error(id, self.next_id) {
            return StoreReply::AppendFailed { ids: vec![id], error };
        }
        self.next_id = id.0 + 1;
        self.clock = self.clock.max(mail.appended_at);
        self.ids_by_addressee.entry(mail.to).or_default().insert(id);
        self.mails.insert(id, mail);
        StoreReply::Appended(vec![id])
    }

    fn fetch(&self, to: WideId, after: MailId) -> Vec<Mail> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let ids = self.ids_by_addressee.get(&to).into_iter();
        for id in ids.flat_map(|ids| ids.range((Bound::Excluded(after), Bound::Unbounded))) {
            if !push_within_limit(&mut batch, &mut bytes, self.mails[id].clone()) {
                break;
            }
        }
        batch
    }

    fn delete(&mut self, to: WideId, ids: Vec<MailId>) -> StoreReply {
        let (mut messages, mut bytes) = (0, 0);
        if let Some(pending) = self.ids_by_addressee.get_mut(&to) {
            for id in ids {
                if pending.remove(&id) {
                    let mail = self.mails.remove(&id).expect("every id has a message");
                    messages += 1;
                    bytes += mail.bytes();
                }
            }
            if pending.is_empty() {
                self.ids_by_addressee.remove(&to);
            }
        }
        StoreReply::Deleted { to, messages, bytes }
    }

    fn expire(&mut self, before: Duration) -> StoreReply {
        let mut expired: BTreeMap<WideId, Vec<MailId>> = BTreeMap::new();
        for mail in self.mails.values().take_while(|mail| mail.appended_at < before) {
            expired.entry(mail.to).or_default().push(mail.id);
        }
        for (to, ids) in expired {
            let deleted = self.delete(to, ids);
            self.replies.push_back(deleted);
        }
        StoreReply::Expired { oldest: self.oldest() }
    }

    fn oldest(&self) -> Option<Duration> {
        self.mails.first_key_value().map(|(_, mail)| mail.appended_at)
    }
}
