//! Listening sockets: readiness, and accepting with a budget a turn.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use super::reserve::{AcceptReserve, is_out_of_descriptors};
use super::transport::set_keepalive;
use crate::limits::{ACCEPTS_PER_TURN, LISTEN_BACKLOG};
use crate::link::{Keepalive, Time};
use crate::uri::Address;

/// Pause after a failed accept. No event reports the end of a shortage.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Whether a listening socket may have a connection to accept.
#[derive(Default)]
pub(super) struct Readiness {
    is_ready: bool,
    retry_at: Option<Time>,
}

/// The result of an attempt to accept.
pub(super) enum Accept<T> {
    /// A new connection.
    Connection(T),
    /// A connection is waiting, and there is no file descriptor for it.
    OutOfDescriptors(io::Error),
    /// Nothing can be accepted now.
    WouldBlock,
}

impl Readiness {
    pub(super) fn set_ready(&mut self) {
        self.is_ready = true;
    }

    /// Whether there may be a connection to accept now.
    pub(super) fn is_ready(&self, now: Time) -> bool {
        self.is_ready && self.retry_at.is_none_or(|at| at <= now)
    }

    /// When accepting is tried again after a failure.
    pub(super) fn retry_at(&self) -> Option<Time> {
        self.retry_at
    }

    /// Ends the pause after a failure: a file descriptor was closed.
    pub(super) fn retry_now(&mut self) {
        self.retry_at = None;
    }

    /// Accepts one connection by `accept`. `label` names the listener in the log.
    pub(super) fn accept<T>(
        &mut self,
        now: Time,
        label: impl Display,
        mut accept: impl FnMut() -> io::Result<T>,
    ) -> Accept<T> {
        if !self.is_ready(now) {
            return Accept::WouldBlock;
        }
        self.retry_at = None;
        loop {
            match accept() {
                Ok(connection) => return Accept::Connection(connection),
                Err(error) if is_out_of_descriptors(&error) => {
                    return Accept::OutOfDescriptors(error);
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => {
                    self.on_accept_error(now, label, &error);
                    return Accept::WouldBlock;
                }
            }
        }
    }

    /// Handles an error that ends accepting for now.
    pub(super) fn on_accept_error(&mut self, now: Time, label: impl Display, error: &io::Error) {
        if error.kind() == ErrorKind::WouldBlock {
            self.is_ready = false;
        } else if !is_transient(error) {
            log::error!("cannot accept on {label}: {error}; trying again in {ACCEPT_PAUSE:?}");
            self.retry_at = Some(now + ACCEPT_PAUSE);
        }
    }
}

/// Whether the next attempt to accept may succeed.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
}

/// What a listener has accepted in one turn.
pub(super) struct Accepted {
    pub(super) connections: Vec<(TcpStream, SocketAddr)>,
    /// A connection waits that there is no file descriptor for.
    pub(super) is_out_of_descriptors: bool,
}

/// Where to listen, and for what.
pub(super) struct ListenSpec {
    /// The scheme, for the log and the line on standard output.
    pub(super) scheme: String,
    /// Whether connections begin with a TLS handshake.
    pub(super) is_tls: bool,
    /// The address.
    pub(super) address: Address,
}

/// A listening TCP socket.
pub(super) struct Listener {
    scheme: String,
    is_tls: bool,
    listener: TcpListener,
    address: SocketAddr,
    pub(super) readiness: Readiness,
}

impl Listener {
    pub(super) fn open(
        spec: &ListenSpec,
        registry: &Registry,
        token: Token,
    ) -> Result<Self, String> {
        let ListenSpec { scheme, is_tls, address } = spec;
        let fail = |error: io::Error| {
            let hint = match error.kind() {
                ErrorKind::AddrInUse => {
                    ": another program listens there; choose another port, or 0 for any free one"
                }
                ErrorKind::AddrNotAvailable => {
                    ": this machine does not have that address; choose one of its own"
                }
                ErrorKind::PermissionDenied => {
                    ": ports below 1024 need privileges; choose another port"
                }
                _ => "",
            };
            format!("cannot listen on {address} ({scheme}): {error}{hint}")
        };
        let candidates = (address.host.as_str(), address.port).to_socket_addrs().map_err(fail)?;
        let candidate = candidates
            .min_by_key(SocketAddr::is_ipv6) // clients try IPv4 first
            .ok_or_else(|| fail(io::Error::other("the name has no address")))?;
        let mut listener = TcpListener::bind(candidate).map_err(fail)?;
        // mio listens with a backlog of 128; listening again changes it.
        rustix::net::listen(&listener, LISTEN_BACKLOG).map_err(|error| fail(error.into()))?;
        if let Err(error) = set_keepalive(&listener, Keepalive::CLIENT) {
            log::debug!("{address} ({scheme}): no TCP keepalive: {error}");
        }
        registry.register(&mut listener, token, Interest::READABLE).map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let (scheme, is_tls) = (scheme.clone(), *is_tls);
        Ok(Self { scheme, is_tls, listener, address, readiness: Readiness::default() })
    }

    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Returns whether its connections begin with a TLS handshake.
    pub(super) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Returns the bound address, with the port that the kernel chose for port 0.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts at most [`ACCEPTS_PER_TURN`] connections.
    pub(super) fn accept(&mut self, now: Time) -> Accepted {
        let Self { scheme, listener, address, readiness, .. } = self;
        let label = format_args!("{address} ({scheme})");
        let mut accepted = Accepted { connections: Vec::new(), is_out_of_descriptors: false };
        while accepted.connections.len() < ACCEPTS_PER_TURN {
            match readiness.accept(now, label, || listener.accept()) {
                Accept::Connection(connection) => accepted.connections.push(connection),
                Accept::OutOfDescriptors(_) => {
                    accepted.is_out_of_descriptors = true;
                    break;
                }
                Accept::WouldBlock => break,
            }
        }
        accepted
    }

    /// Closes connections that wait to be accepted, with the help of `reserve`.
    pub(super) fn refuse(&mut self, now: Time, reserve: &mut AcceptReserve) {
        let Self { scheme, listener, address, readiness, .. } = self;
        if let Some(error) = reserve.refuse(now, ACCEPTS_PER_TURN, || listener.accept()) {
            readiness.on_accept_error(now, format_args!("{address} ({scheme})"), &error);
        }
    }
}
