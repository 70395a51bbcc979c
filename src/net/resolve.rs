//! Looks up the addresses of neighbours that are given by name.
//!
//! The system's look-up blocks, so it runs on a thread that lives no longer than it takes; a
//! neighbour given by number needs none.

use std::collections::VecDeque;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use mio::Waker;

use crate::address::Address;
use crate::relay::LinkId;

/// The end of a look-up.
pub(super) struct Resolved {
    /// The link that is to be connected.
    pub(super) link: LinkId,
    /// The neighbour's place in the list.
    pub(super) target: usize,
    /// Addresses in the order to try them, or what went wrong.
    pub(super) found: Result<VecDeque<SocketAddr>, String>,
}

/// Runs look-ups beside the loop.
pub(super) struct Resolver {
    waker: Arc<Waker>,
    sender: Sender<Resolved>,
    receiver: Receiver<Resolved>,
}

impl Resolver {
    /// `waker` wakes the loop when an answer is there.
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        let (sender, receiver) = channel();
        Self { waker, sender, receiver }
    }

    /// Begins to look up where `link` is to connect.
    pub(super) fn resolve(&self, link: LinkId, target: usize, address: Address) {
        let (sender, waker) = (self.sender.clone(), Arc::clone(&self.waker));
        let answer = move |found| {
            // The loop may be gone by now; then nobody needs the answer.
            let _ = sender.send(Resolved { link, target, found });
            let _ = waker.wake();
        };
        let fail = answer.clone();
        let look_up = move || {
            let found = (address.host.as_str(), address.port).to_socket_addrs();
            answer(found.map(Iterator::collect).map_err(|error| error.to_string()));
        };
        if let Err(error) = std::thread::Builder::new().name("resolve".to_owned()).spawn(look_up) {
            fail(Err(format!("no thread for a look-up: {error}")));
        }
    }

    /// The next answer.
    pub(super) fn poll(&self) -> Option<Resolved> {
        self.receiver.try_recv().ok()
    }
}
