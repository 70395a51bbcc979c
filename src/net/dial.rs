//! Neighbours to dial: under which address next, and what the operator has been told of those who
//! cannot be reached.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mio::Waker;

use super::connection::{Connection, PendingDial};
use super::resolve::{Resolution, Resolver};
use crate::link::{CloseReason, LinkId};
use crate::uri::Address;

/// What a dial has come to: a connection that is being made, or why there is none.
pub(super) type DialResult = Result<Connection, CloseReason>;

/// All neighbours to dial.
pub(super) struct Dialler {
    /// What they are to this program, for the log.
    target_kind: &'static str,
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
    pub(super) fn new(target_kind: &'static str, targets: Vec<Address>, waker: Arc<Waker>) -> Self {
        let target = |address| Target { address, is_reported: false, failed_dials: 0 };
        let targets = targets.into_iter().map(target).collect();
        Self { target_kind, targets, resolver: Resolver::new(waker) }
    }

    /// Begins to connect a link; `None` if the name of its neighbour is looked up first.
    pub(super) fn dial(&mut self, target: usize, link: LinkId) -> Option<DialResult> {
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
    pub(super) fn poll_resolved(&self) -> Option<Resolution> {
        self.resolver.poll_resolved()
    }

    /// The name of a link's neighbour has been looked up.
    pub(super) fn dial_resolved(&mut self, resolution: Resolution) -> DialResult {
        match resolution.addresses {
            Ok(mut candidates) => {
                let failed = self.targets[resolution.target].failed_dials;
                candidates.rotate_left(failed.checked_rem(candidates.len()).unwrap_or(0));
                self.connect(resolution.link, resolution.target, candidates)
            }
            Err(error) => Err(self.fail(resolution.target, error)),
        }
    }

    /// A dial has become a connection.
    pub(super) fn on_connected(&mut self, link: LinkId, pending_dial: &PendingDial) {
        self.targets[pending_dial.target].is_reported = false;
        log::info!("link {link}: connected to the {} {}", self.target_kind, pending_dial.address);
    }

    /// A dial has ended. Goes on with the neighbour's next address, if there is one that may do
    /// better; `None` if the link ends.
    pub(super) fn dial_next_address(
        &mut self,
        link: LinkId,
        pending_dial: PendingDial,
        reason: &CloseReason,
    ) -> Option<DialResult> {
        let PendingDial { target, address, candidates } = pending_dial;
        if let CloseReason::Io(error) = reason
            && !candidates.is_empty()
        {
            log::debug!("link {link}: {address}: {error}");
            return Some(self.connect(link, target, candidates));
        }
        self.report_failure(target, &reason.to_string());
        None
    }

    /// Dials the first address that the system takes; the rest is tried when that one fails.
    fn connect(
        &mut self,
        link: LinkId,
        target: usize,
        mut candidates: VecDeque<SocketAddr>,
    ) -> DialResult {
        let mut error = "its name stands for no address".to_owned();
        while let Some(address) = candidates.pop_front() {
            match Connection::dial(link, PendingDial { target, address, candidates }) {
                Ok(connection) => return Ok(connection),
                Err((pending_dial, cause)) => {
                    candidates = pending_dial.candidates;
                    error = cause.to_string();
                }
            }
        }
        Err(self.fail(target, error))
    }

    fn fail(&mut self, target: usize, error: String) -> CloseReason {
        self.report_failure(target, &error);
        CloseReason::Io(error)
    }

    /// Says once that a neighbour cannot be reached; it is tried on in silence.
    fn report_failure(&mut self, target: usize, error: &str) {
        let Target { address, is_reported, failed_dials } = &mut self.targets[target];
        let target_kind = self.target_kind;
        *failed_dials = failed_dials.wrapping_add(1);
        if std::mem::replace(is_reported, true) {
            log::debug!("cannot connect to the {target_kind} {address}: {error}");
        } else {
            log::warn!(
                "cannot connect to the {target_kind} {address}: {error}; trying until it answers"
            );
        }
    }
}
