//! A door's listening socket.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::limits::ACCEPTS_PER_TURN;
use crate::link::Time;
use crate::uri::Address;

/// How long accepting rests when the system has no descriptor or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Whether a listening socket may have somebody waiting.
#[derive(Default)]
pub(super) struct Readiness {
    is_ready: bool,
    retry_at: Option<Time>,
}

impl Readiness {
    pub(super) fn set_ready(&mut self) {
        self.is_ready = true;
    }

    /// Whether there may be a connection to accept now.
    pub(super) fn is_ready(&self, now: Time) -> bool {
        self.is_ready && self.retry_at.is_none_or(|at| at <= now)
    }

    /// When accepting goes on after a pause.
    pub(super) fn retry_at(&self) -> Option<Time> {
        self.retry_at
    }

    /// The next who waits; `None` when nobody does, or the system cannot take them in now. Then
    /// they are asked for again after a pause, since no event will tell of them.
    pub(super) fn accept<T>(
        &mut self,
        now: Time,
        label: impl Display,
        mut accept: impl FnMut() -> io::Result<T>,
    ) -> Option<T> {
        if !self.is_ready(now) {
            return None;
        }
        self.retry_at = None;
        loop {
            match accept() {
                Ok(connection) => return Some(connection),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => {
                        self.is_ready = false;
                        return None;
                    }
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    _ => {
                        log::error!("cannot accept on {label}: {error}; again in {ACCEPT_PAUSE:?}");
                        self.retry_at = Some(now + ACCEPT_PAUSE);
                        return None;
                    }
                },
            }
        }
    }
}

/// A socket that accepts connections for one door.
pub(super) struct Listener<W> {
    wire: W,
    listener: TcpListener,
    address: SocketAddr,
    pub(super) readiness: Readiness,
}

impl<W: Copy + Display> Listener<W> {
    pub(super) fn open(
        wire: W,
        address: &Address,
        registry: &Registry,
        token: Token,
    ) -> Result<Self, String> {
        let fail = |error: io::Error| {
            let hint = match error.kind() {
                ErrorKind::AddrInUse => {
                    ": another program listens there; choose another port, or 0 for any free one"
                }
                ErrorKind::AddrNotAvailable => ": this machine does not have that address",
                _ => "",
            };
            format!("cannot listen on {address} ({wire}): {error}{hint}")
        };
        let candidates = (address.host.as_str(), address.port).to_socket_addrs().map_err(fail)?;
        let candidate = candidates
            .min_by_key(SocketAddr::is_ipv6) // the first of the kind that clients try first
            .ok_or_else(|| fail(io::Error::other("the name stands for no address")))?;
        let mut listener = TcpListener::bind(candidate).map_err(fail)?;
        registry.register(&mut listener, token, Interest::READABLE).map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        Ok(Self { wire, listener, address, readiness: Readiness::default() })
    }

    pub(super) fn wire(&self) -> W {
        self.wire
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes in a turn's portion of what waits.
    pub(super) fn accept(&mut self, now: Time) -> Vec<(TcpStream, SocketAddr)> {
        let Self { wire, listener, address, readiness } = self;
        let label = format_args!("{address} ({wire})");
        let next = || readiness.accept(now, label, || listener.accept());
        std::iter::from_fn(next).take(ACCEPTS_PER_TURN).collect()
    }
}
