//! The stores of mail: one for each server label, which outlives the server as a file does.
//!
//! What a server asks is done some time later, all that waits at once, as a group commit does it. A
//! server that is killed leaves behind any beginning of what it had asked and was not answered.

use std::collections::{HashMap, VecDeque};

use crc::mail::store::MemoryMailbox;
use crc::mail::{Inventory, StoreReply, StoreRequest};
use rand::RngExt as _;
use rand::rngs::StdRng;

#[derive(Default)]
struct MailStore {
    memory: MemoryMailbox,
    pending: VecDeque<StoreRequest>,
    fails_next: bool,
    has_failed: bool,
}

impl MailStore {
    fn apply_pending(&mut self, count: usize) -> Vec<StoreReply> {
        for request in self.pending.drain(..count) {
            self.memory.request(request);
        }
        std::iter::from_fn(|| self.memory.poll()).collect()
    }
}

/// Every store of the network.
#[derive(Default)]
pub(super) struct MailStores(HashMap<String, MailStore>);

impl MailStores {
    /// What a server with this label finds when it starts.
    pub(super) fn open(&mut self, label: &str) -> Inventory {
        let store = self.0.entry(label.to_owned()).or_default();
        store.has_failed = false;
        store.memory.inventory()
    }

    /// A server asks for something. Answers whether the store has to be visited for it: if not, a
    /// visit is due already.
    pub(super) fn submit(&mut self, label: &str, request: StoreRequest) -> bool {
        let store = self.0.entry(label.to_owned()).or_default();
        store.pending.push_back(request);
        store.pending.len() == 1
    }

    /// Does all that was asked.
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

    /// What a server without a mailbox leaves behind.
    pub(super) fn discard(&mut self, label: &str) {
        self.0.remove(label);
    }

    /// The next that the store does is to fail.
    pub(super) fn fail_next(&mut self, label: &str) {
        self.0.entry(label.to_owned()).or_default().fails_next = true;
    }

    /// The server is gone at any instant of what the store was doing.
    pub(super) fn crash(&mut self, label: &str, rng: &mut StdRng) {
        if let Some(store) = self.0.get_mut(label) {
            let count = rng.random_range(0..=store.pending.len());
            store.apply_pending(count);
            store.pending.clear();
        }
    }
}
