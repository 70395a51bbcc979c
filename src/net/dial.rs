//! Dial targets: the next address to try for each, and whether its failure has been logged.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mio::Waker;
use mio::net::TcpStream;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::connection::{Connection, PendingDial};
use super::resolve::{Resolution, Resolver};
use super::transport::Transport;
use crate::link::{CloseReason, LinkId};
use crate::tls::{ClientTrust, Fingerprint, TlsStream};
use crate::uri::Address;

/// The result of a dial: a connection that is being established, or the reason why there is none.
pub(super) type DialResult = Result<Connection, CloseReason>;

/// All dial targets.
pub(super) struct Dialler {
    /// The term for a target in log lines, such as "parent".
    target_kind: &'static str,
    targets: Vec<Target>,
    /// The target that stands for the address that was dialled last without being a target.
    extra_target: Option<usize>,
    /// For encrypted connections.
    tls: Option<Arc<ClientConfig>>,
    resolver: Resolver,
}

/// Where to dial.
pub(super) struct DialTarget {
    pub(super) address: Address,
    /// Whether the connection is encrypted. Then the certificate must be for the host.
    pub(super) is_tls: bool,
    /// The certificate must be this one instead, whatever its host and authority.
    pub(super) pin: Option<Fingerprint>,
}

struct Target {
    address: Address,
    is_tls: bool,
    pin: Option<Fingerprint>,
    /// Its failure was logged, and it was not reached since.
    is_reported: bool,
    /// Dials that failed; each dial starts with another of the target's addresses.
    failed_dials: usize,
}

impl Target {
    fn new(DialTarget { address, is_tls, pin }: DialTarget) -> Self {
        Self { address, is_tls, pin, is_reported: false, failed_dials: 0 }
    }
}

impl Dialler {
    /// Creates a dialler that wakes the loop by `waker` when a name is resolved.
    pub(super) fn new(
        target_kind: &'static str,
        targets: Vec<DialTarget>,
        tls: Option<Arc<ClientConfig>>,
        waker: Arc<Waker>,
    ) -> Self {
        let targets = targets.into_iter().map(Target::new).collect();
        Self { target_kind, targets, extra_target: None, tls, resolver: Resolver::new(waker) }
    }

    /// Replaces what encrypted connections are verified by, from the next dial on.
    pub(super) fn set_tls(&mut self, tls: Option<Arc<ClientConfig>>) {
        self.tls = tls;
    }

    /// Starts to connect a link. Returns `None` if the name is resolved first.
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

    /// Starts to connect a link to an address that is no configured target. If one of the targets
    /// is encrypted, this connection is, too.
    pub(super) fn dial_address(&mut self, address: SocketAddr, link: LinkId) -> DialResult {
        let target = *self.extra_target.get_or_insert_with(|| {
            let address = Address { host: String::new(), port: 0 };
            let is_tls = self.targets.iter().any(|target| target.is_tls);
            self.targets.push(Target::new(DialTarget { address, is_tls, pin: None }));
            self.targets.len() - 1
        });
        let host = address.ip().to_string();
        self.targets[target].address = Address { host, port: address.port() };
        self.connect(link, target, VecDeque::from([address]))
    }

    /// Returns the next resolved name, for [`Dialler::dial_resolved`].
    pub(super) fn poll_resolved(&self) -> Option<Resolution> {
        self.resolver.poll_resolved()
    }

    /// Continues a dial with a resolved name.
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

    /// Records that a dial is established.
    pub(super) fn on_connected(&mut self, link: LinkId, pending_dial: &PendingDial) {
        self.targets[pending_dial.target].is_reported = false;
        log::info!("link {link}: connected to the {} {}", self.target_kind, pending_dial.address);
    }

    /// Continues a failed dial with the target's next address. Returns `None` if the dial ends: no
    /// address is left, or the failure was not one of the network.
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

    /// Dials the first address that the system accepts; the others are tried when that one fails.
    fn connect(
        &mut self,
        link: LinkId,
        target: usize,
        mut candidates: VecDeque<SocketAddr>,
    ) -> DialResult {
        let mut error = "its name has no address".to_owned();
        while let Some(address) = candidates.pop_front() {
            match self.open(target, address) {
                Ok(transport) => {
                    let pending_dial = Box::new(PendingDial { target, address, candidates });
                    return Ok(Connection::new(link, transport, Some(pending_dial)));
                }
                Err(cause) => error = cause.to_string(),
            }
        }
        Err(self.fail(target, error))
    }

    /// Starts to connect to one of a target's addresses.
    fn open(&self, target: usize, address: SocketAddr) -> io::Result<Transport> {
        let Target { address: Address { host, .. }, is_tls, pin, .. } = &self.targets[target];
        let pinned = pin.map(|pin| ClientTrust::pin(pin).map_err(io::Error::other)).transpose()?;
        let pinned = pinned.map(ClientTrust::into_config);
        let stream = TcpStream::connect(address)?;
        let tls = match pinned.as_ref().or(self.tls.as_ref()) {
            Some(config) if *is_tls => {
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                Some(TlsStream::connect(config, name)?)
            }
            None if *is_tls => {
                return Err(io::Error::other("there is no --tls-ca to verify it by"));
            }
            _ => None,
        };
        Ok(Transport::new(stream, tls))
    }

    fn fail(&mut self, target: usize, error: String) -> CloseReason {
        self.report_failure(target, &error);
        CloseReason::Io(error)
    }

    /// Logs the first failure of a target as a warning, further ones at debug level.
    fn report_failure(&mut self, target: usize, error: &str) {
        let Target { address, is_reported, failed_dials, .. } = &mut self.targets[target];
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
