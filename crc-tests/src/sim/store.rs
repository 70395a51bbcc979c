//! The mail stores: one for each server label, which outlives its server as a file does.
//!
//! Requests are handled after a delay, all pending ones together, as by a group commit. When a
//! server is killed, a random prefix of its unanswered requests is applied.

use std::collections::{HashMap, VecDeque};

use crc::mail::store::MemoryMailbox;
use crc::mail::{Inventory, Mail, StoreReply, StoreRequest};
use rand::RngExt as _;
use rand::rngs::StdRng;

#[derive(Default)]
struct MailStore {
    memory: MemoryMailbox,
    pending: VecDeque<StoreRequest>,
    /// The texts that were kept since they were last taken.
    kept_texts: Vec<Box<[u8]>>,
    fails_next: bool,
    has_failed: bool,
}

impl MailStore {
    fn apply_pending(&mut self, count: usize) -> Vec<StoreReply> {
        for request in self.pending.drain(..count) {
            if let StoreRequest::Append(mail) = &request {
                self.kept_texts.push(mail.text.clone());
            }
            self.memory.request(request);
        }
        std::iter::from_fn(|| self.memory.poll()).collect()
    }
}

/// The stores of all servers.
#[derive(Default)]
pub(super) struct MailStores(HashMap<String, MailStore>);

impl MailStores {
    /// Opens the store of a label, and returns its contents.
    pub(super) fn open(&mut self, label: &str) -> Inventory {
        let store = self.0.entry(label.to_owned()).or_default();
        (store.has_failed, store.fails_next) = (false, false);
        store.memory.inventory()
    }

    /// Queues a request. Returns whether a call of `run_pending` must be scheduled; otherwise one
    /// is scheduled already.
    pub(super) fn submit(&mut self, label: &str, request: StoreRequest) -> bool {
        let store = self.0.entry(label.to_owned()).or_default();
        store.pending.push_back(request);
        store.pending.len() == 1
    }

    /// Handles all pending requests.
    pub(super) fn run_pending(&mut self, label: &str) -> Vec<StoreReply> {
        let Some(store) = self.0.get_mut(label) else {
            return Vec::new();
        };
        if std::mem::take(&mut store.fails_next) {
            store.has_failed = true;
            store.pending.clear();
            return vec![StoreReply::Failed("a simulated fault".to_owned())];
        }
        if store.has_failed {
            let error = "a simulated fault";
            let rejections = store.pending.drain(..).filter_map(|request| match request {
                StoreRequest::Append(mail) => {
                    Some(StoreReply::AppendFailed { ids: vec![mail.id], error: error.to_owned() })
                }
                _ => None,
            });
            return rejections.collect();
        }
        store.apply_pending(store.pending.len())
    }

    /// Discards the store of a label.
    pub(super) fn discard(&mut self, label: &str) {
        self.0.remove(label);
    }

    /// Takes the texts of the messages that the store of a label has kept since the last call.
    pub(super) fn take_kept_texts(&mut self, label: &str) -> Vec<Box<[u8]>> {
        self.0.get_mut(label).map_or_else(Vec::new, |store| std::mem::take(&mut store.kept_texts))
    }

    /// Returns the messages that the store of a label holds.
    pub(super) fn mails(&self, label: &str) -> impl Iterator<Item = &Mail> {
        self.0.get(label).into_iter().flat_map(|store| store.memory.mails())
    }

    /// Makes the next request to the store fail.
    pub(super) fn fail_next(&mut self, label: &str) {
        self.0.entry(label.to_owned()).or_default().fails_next = true;
    }

    /// Applies a random prefix of the pending requests and drops the rest, as a crash does.
    pub(super) fn crash(&mut self, label: &str, rng: &mut StdRng) {
        if let Some(store) = self.0.get_mut(label) {
            let count = match store.has_failed || store.fails_next {
                true => 0,
                false => rng.random_range(0..=store.pending.len()),
            };
            store.apply_pending(count);
            store.pending.clear();
        }
    }
}
