//! The stores of mail: one for each server label, which outlives the server as a file does.
//!
//! What a server asks is done some time later, all that waits at once, as a group commit does it. A
//! server that is killed leaves behind any beginning of what it had asked and was not answered.

use std::collections::{HashMap, VecDeque};

use crc::mail::{Inventory, Reply, Request};
use crc::mailbox::Memory;
use rand::RngExt as _;
use rand::rngs::StdRng;

#[derive(Default)]
struct Store {
    mail: Memory,
    asked: VecDeque<Request>,
    is_about_to_fail: bool,
    has_failed: bool,
}

impl Store {
    fn carry_out(&mut self, count: usize) -> Vec<Reply> {
        for request in self.asked.drain(..count) {
            self.mail.request(request);
        }
        std::iter::from_fn(|| self.mail.poll()).collect()
    }
}

/// Every store of the network.
#[derive(Default)]
pub(super) struct Stores(HashMap<String, Store>);

impl Stores {
    /// What a server with this label finds when it starts.
    pub(super) fn open(&mut self, label: &str) -> Inventory {
        let store = self.0.entry(label.to_owned()).or_default();
        store.has_failed = false;
        store.mail.inventory()
    }

    /// A server asks for something. Answers whether the store has to be visited for it: if not, a
    /// visit is due already.
    pub(super) fn ask(&mut self, label: &str, request: Request) -> bool {
        let store = self.0.entry(label.to_owned()).or_default();
        store.asked.push_back(request);
        store.asked.len() == 1
    }

    /// Does all that was asked.
    pub(super) fn visit(&mut self, label: &str) -> Vec<Reply> {
        let Some(store) = self.0.get_mut(label) else {
            return Vec::new();
        };
        if std::mem::take(&mut store.is_about_to_fail) {
            store.has_failed = true;
            store.asked.clear();
            return vec![Reply::Failed("a simulated fault".to_owned())];
        }
        if store.has_failed {
            let error = "a simulated fault";
            let refused = store.asked.drain(..).filter_map(|request| match request {
                Request::Keep(mail) => {
                    Some(Reply::NotKept { ids: vec![mail.id], error: error.to_owned() })
                }
                _ => None,
            });
            return refused.collect();
        }
        store.carry_out(store.asked.len())
    }

    /// What a server without a mailbox leaves behind.
    pub(super) fn lose(&mut self, label: &str) {
        self.0.remove(label);
    }

    /// The next that the store does is to fail.
    pub(super) fn break_one(&mut self, label: &str) {
        self.0.entry(label.to_owned()).or_default().is_about_to_fail = true;
    }

    /// The server is gone at any instant of what the store was doing.
    pub(super) fn crash(&mut self, label: &str, rng: &mut StdRng) {
        if let Some(store) = self.0.get_mut(label) {
            let count = rng.random_range(0..=store.asked.len());
            store.carry_out(count);
            store.asked.clear();
        }
    }
}
