//! Name resolution of dial targets.
//!
//! The system's resolver blocks, so that each resolution runs on a thread of its own. A target with
//! an IP address needs none.

use std::collections::VecDeque;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use mio::Waker;

use crate::link::LinkId;
use crate::uri::Address;

/// The result of a resolution.
pub(super) struct Resolution {
    /// The link to connect.
    pub(super) link: LinkId,
    /// Index in the list of targets.
    pub(super) target: usize,
    /// The addresses in the order to try them, or the error.
    pub(super) addresses: Result<VecDeque<SocketAddr>, String>,
}

/// Resolves names beside the loop.
pub(super) struct Resolver {
    waker: Arc<Waker>,
    sender: Sender<Resolution>,
    receiver: Receiver<Resolution>,
}

impl Resolver {
    /// Creates a resolver that wakes the loop by `waker` after each resolution.
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        let (sender, receiver) = channel();
        Self { waker, sender, receiver }
    }

    /// Starts to resolve the address that `link` connects to.
    pub(super) fn resolve(&self, link: LinkId, target: usize, address: Address) {
        let (sender, waker) = (self.sender.clone(), Arc::clone(&self.waker));
        let send_result = move |addresses| {
            // Fails if the loop has ended, which needs no result.
            let _ = sender.send(Resolution { link, target, addresses });
            let _ = waker.wake();
        };
        let send_failure = send_result.clone();
        let resolve = move || {
            let addresses = (address.host.as_str(), address.port).to_socket_addrs();
            send_result(addresses.map(Iterator::collect).map_err(|error| error.to_string()));
        };
        if let Err(error) = std::thread::Builder::new().name("resolve".to_owned()).spawn(resolve) {
            send_failure(Err(format!("cannot start a thread to resolve the name: {error}")));
        }
    }

    /// Returns the next result.
    pub(super) fn poll_resolved(&self) -> Option<Resolution> {
        self.receiver.try_recv().ok()
    }
}
