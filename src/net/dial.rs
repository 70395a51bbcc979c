//! Neighbours to dial: under which address next, and what the operator has been told of those who
//! cannot be reached.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mio::Waker;

use super::connection::{Connection, Dialling};
use super::resolve::{Resolved, Resolver};
use crate::address::Address;
use crate::relay::{CloseReason, LinkId};

/// What a dial has come to: a connection that is being made, or why there is none.
pub(super) type Dialled = Result<Connection, CloseReason>;

/// All neighbours to dial.
pub(super) struct Dialler {
    /// What they are to this program, for the log.
    neighbour: &'static str,
    targets: Vec<Target>,
    resolver: Resolver,
}

struct Target {
    address: Address,
    /// The operator knows that it cannot be reached.
    is_reported: bool,
    /// Dials that never became a connection: each begins with another of its addresses.
    failed_dials: usize,
}

impl Dialler {
    /// `waker` wakes the loop when a name has been looked up.
    pub(super) fn new(neighbour: &'static str, targets: Vec<Address>, waker: Arc<Waker>) -> Self {
        let target = |address| Target { address, is_reported: false, failed_dials: 0 };
        let targets = targets.into_iter().map(target).collect();
        Self { neighbour, targets, resolver: Resolver::new(waker) }
    }

    /// Begins to connect a link; `None` if the name of its neighbour is looked up first.
    pub(super) fn dial(&mut self, target: usize, link: LinkId) -> Option<Dialled> {
        let address = &self.targets[target].address;
        match address.host.parse::<IpAddr>() {
            Ok(ip) => {
                let candidates = VecDeque::from([SocketAddr::from((ip, address.port))]);
                Some(self.connect(link, target, candidates))
            }
            Err(_) => {
                self.resolver.resolve(link, target, address.clone());
                None
            }
        }
    }

    /// The next name that has been looked up, for [`Dialler::resolved`].
    pub(super) fn poll_resolved(&self) -> Option<Resolved> {
        self.resolver.poll()
    }

    /// The name of a link's neighbour has been looked up.
    pub(super) fn resolved(&mut self, answer: Resolved) -> Dialled {
        match answer.found {
            Ok(mut candidates) => {
                let failed = self.targets[answer.target].failed_dials;
                candidates.rotate_left(failed.checked_rem(candidates.len()).unwrap_or(0));
                self.connect(answer.link, answer.target, candidates)
            }
            Err(error) => Err(self.fail(answer.target, error)),
        }
    }

    /// A dial has become a connection.
    pub(super) fn connected(&mut self, link: LinkId, dialling: &Dialling) {
        self.targets[dialling.target].is_reported = false;
        log::info!("link {link}: connected to the {} {}", self.neighbour, dialling.address);
    }

    /// A dial has ended. Goes on with the neighbour's next address, if there is one that may do
    /// better; `None` if the link ends.
    pub(super) fn ended(
        &mut self,
        link: LinkId,
        dialling: Dialling,
        reason: &CloseReason,
    ) -> Option<Dialled> {
        let Dialling { target, address, candidates } = dialling;
        if let CloseReason::Failed(error) = reason
            && !candidates.is_empty()
        {
            log::debug!("link {link}: {address}: {error}");
            return Some(self.connect(link, target, candidates));
        }
        self.report(target, &reason.to_string());
        None
    }

    /// Dials the first address that the system takes; the rest is tried when that one fails.
    fn connect(
        &mut self,
        link: LinkId,
        target: usize,
        mut candidates: VecDeque<SocketAddr>,
    ) -> Dialled {
        let mut error = "its name stands for no address".to_owned();
        while let Some(address) = candidates.pop_front() {
            match Connection::dial(link, Dialling { target, address, candidates }) {
                Ok(connection) => return Ok(connection),
                Err((dialling, failure)) => {
                    candidates = dialling.candidates;
                    error = failure.to_string();
                }
            }
        }
        Err(self.fail(target, error))
    }

    fn fail(&mut self, target: usize, error: String) -> CloseReason {
        self.report(target, &error);
        CloseReason::Failed(error)
    }

    /// Says once that a neighbour cannot be reached; it is tried on in silence.
    fn report(&mut self, target: usize, error: &str) {
        let Target { address, is_reported, failed_dials } = &mut self.targets[target];
        let neighbour = self.neighbour;
        *failed_dials = failed_dials.wrapping_add(1);
        if std::mem::replace(is_reported, true) {
            log::debug!("cannot connect to the {neighbour} {address}: {error}");
        } else {
            log::warn!(
                "cannot connect to the {neighbour} {address}: {error}; trying until it answers"
            );
        }
    }
}
