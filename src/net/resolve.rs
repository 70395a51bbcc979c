//! Looks up the addresses of neighbours that are given by name.
//!
//! The system's look-up blocks, so it runs on a thread that lives no longer than it takes; a
//! neighbour given by number needs none.

use std::collections::VecDeque;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use mio::Waker;

use crate::link::LinkId;
use crate::uri::Address;

/// The end of a look-up.
pub(super) struct Resolution {
    /// The link that is to be connected.
    pub(super) link: LinkId,
    /// The neighbour's place in the list.
    pub(super) target: usize,
    /// Addresses in the order to try them, or what went wrong.
    pub(super) addresses: Result<VecDeque<SocketAddr>, String>,
}

/// Runs look-ups beside the loop.
pub(super) struct Resolver {
    waker: Arc<Waker>,
    sender: Sender<Resolution>,
    receiver: Receiver<Resolution>,
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
        let send_result = move |addresses| {
            // The loop may be gone by now; then nobody needs the answer.
            let _ = sender.send(Resolution { link, target, addresses });
            let _ = waker.wake();
        };
        let send_failure = send_result.clone();
        let look_up = move || {
            let addresses = (address.host.as_str(), address.port).to_socket_addrs();
            send_result(addresses.map(Iterator::collect).map_err(|error| error.to_string()));
        };
        if let Err(error) = std::thread::Builder::new().name("resolve".to_owned()).spawn(look_up) {
            send_failure(Err(format!("no thread for a look-up: {error}")));
        }
    }

    /// The next answer.
    pub(super) fn poll_resolved(&self) -> Option<Resolution> {
        self.receiver.try_recv().ok()
    }
}
