//! The byte stream of a connection, below every wire.

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::net::sockopt;

use super::proxy::{ProxyHeader, ProxySource};
use crate::limits::KEEPALIVE_PROBES;
use crate::link::{Keepalive, Origin, Security};
use crate::tls::{Read, TlsStream};

/// A connection's socket and what lies between it and the session's bytes.
pub(super) struct Transport {
    stream: TcpStream,
    /// `None` if the session's bytes are those of the socket.
    tls: Option<Box<TlsStream>>,
    /// Set if the other end is a trusted proxy.
    proxied: Option<Box<Proxied>>,
}

/// What a trusted proxy sends before everything else.
enum Proxied {
    /// Its header, which has not arrived.
    Header(ProxyHeader),
    /// The connection that it passes on.
    Source(ProxySource),
}

impl Transport {
    /// Combines a socket and the TLS session on it.
    pub(super) fn new(stream: TcpStream, tls: Option<TlsStream>) -> Self {
        Self { stream, tls: tls.map(Box::new), proxied: None }
    }

    /// Like [`Transport::new`], for a connection that begins with the header of a proxy if
    /// `is_proxied`.
    pub(super) fn accepted(stream: TcpStream, tls: Option<TlsStream>, is_proxied: bool) -> Self {
        let header = || Box::new(Proxied::Header(ProxyHeader::default()));
        Self { proxied: is_proxied.then(header), ..Self::new(stream, tls) }
    }

    /// Returns whether the header of a proxy has not arrived.
    pub(super) fn awaits_proxy_header(&self) -> bool {
        matches!(self.proxied.as_deref(), Some(Proxied::Header(_)))
    }

    /// Returns whether a started connection is established, or why it failed.
    pub(super) fn finish_connect(&mut self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Disables Nagle's algorithm on an established connection.
    pub(super) fn set_nodelay(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)
    }

    /// Sets when the connection ends because nothing is heard from the other end.
    pub(super) fn set_keepalive(&mut self, keepalive: Keepalive) -> io::Result<()> {
        set_keepalive(&self.stream, keepalive)
    }

    /// Registers the socket for both directions.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Returns whether a TLS handshake goes on, or the header of a proxy has not arrived.
    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) || self.awaits_proxy_header()
    }

    /// Returns what protects the bytes, and the address at the other end.
    pub(super) fn origin(&self) -> Origin {
        let security = match &self.tls {
            None => Security::Plain,
            Some(tls) if tls.has_certificate() => Security::Certified,
            Some(_) => Security::Encrypted,
        };
        let address = match self.proxied.as_deref() {
            Some(Proxied::Source(ProxySource::Client(address))) => Some(*address),
            _ => self.stream.peer_addr().ok(),
        };
        Origin { address, security }
    }

    /// Reads once. When nothing is left to read, an event reports further bytes.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        if let Some(proxied) = self.proxied.as_deref_mut()
            && let Proxied::Header(header) = proxied
        {
            *proxied = Proxied::Source(header.read(&mut self.stream)?);
            return Err(ErrorKind::Interrupted.into()); // what follows is read next
        }
        if let Some(tls) = &mut self.tls {
            return tls.read(&mut self.stream, buffer);
        }
        let count = self.stream.read(buffer)?;
        Ok(Read { count, is_drained: count < buffer.len() })
    }

    /// Writes from the front of `unsent`, all unsent bytes of the link. Returns how many of them
    /// have reached the kernel; fewer than given means that the socket is full, or that a handshake
    /// goes on.
    pub(super) fn write(&mut self, unsent: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.write(&mut self.stream, unsent),
            None => self.stream.write(unsent),
        }
    }

    /// Writes two pieces as one, the first of them all unsent bytes of the link. Returns how many
    /// bytes have reached the kernel: none if they have to be encrypted first.
    pub(super) fn write_ahead(&mut self, pieces: [&[u8]; 2]) -> io::Result<usize> {
        if self.tls.is_some() {
            return Ok(0);
        }
        match pieces {
            [only, []] | [[], only] => self.stream.write(only),
            both => self.stream.write_vectored(&both.map(IoSlice::new)),
        }
    }

    /// Returns whether there are bytes for the socket besides those of the link.
    pub(super) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Writes the bytes that TLS has for the socket. Returns whether it took all.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match &mut self.tls {
            Some(tls) => tls.flush(&mut self.stream),
            None => Ok(true),
        }
    }

    /// Closes both directions.
    pub(super) fn close(mut self, registry: &Registry) {
        if let Some(tls) = &mut self.tls {
            tls.close(&mut self.stream);
        }
        // Either fails if the other end was faster; dropping the socket closes it in any case.
        let _ = registry.deregister(&mut self.stream);
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Sets TCP keepalive, and the same timeout for bytes that are not acknowledged. The connections
/// that a listener accepts inherit these options from it, so an accepted client takes no system
/// call for them. The kernel counts whole seconds.
pub(super) fn set_keepalive(socket: impl AsFd, keepalive: Keepalive) -> io::Result<()> {
    let Keepalive { idle, timeout } = keepalive;
    let in_seconds =
        |span: Duration| Duration::from_secs(span.as_secs_f64().ceil().max(1.0) as u64);
    let interval = timeout.saturating_sub(idle) / KEEPALIVE_PROBES;
    let user_timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_keepidle(&socket, in_seconds(idle))?;
    sockopt::set_tcp_keepintvl(&socket, in_seconds(interval))?;
    sockopt::set_tcp_keepcnt(&socket, KEEPALIVE_PROBES)?;
    sockopt::set_tcp_user_timeout(&socket, user_timeout_ms)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    Ok(())
}
