//! The byte stream of a connection, below every wire.
//!
//! Bytes that are written count as sent once [`Transport::flush`] has returned them: a transport
//! that encrypts may take bytes that the kernel does not have yet.

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::net::sockopt;

use crate::limits::KEEPALIVE_PROBES;
use crate::link::Keepalive;

/// A connection's socket and what lies between it and the session's bytes.
pub(super) enum Transport {
    /// TCP alone.
    Plain {
        stream: TcpStream,
        /// Bytes that the kernel has taken and [`Transport::flush`] has not returned.
        flushed: usize,
    },
}

/// The result of a read.
pub(super) struct Read {
    /// Bytes read into the front of the buffer; 0 at the end of the stream.
    pub(super) count: usize,
    /// Whether nothing was left to read. Then an event reports further bytes.
    pub(super) is_drained: bool,
}

impl Transport {
    /// Wraps an accepted connection.
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::Plain { stream, flushed: 0 }
    }

    /// Starts to connect.
    pub(super) fn connect(address: SocketAddr) -> io::Result<Self> {
        TcpStream::connect(address).map(Self::plain)
    }

    /// Returns whether a started connection is established, or why it failed.
    pub(super) fn finish_connect(&mut self) -> io::Result<bool> {
        let Self::Plain { stream, .. } = self;
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Disables Nagle's algorithm on an established connection.
    pub(super) fn set_nodelay(&mut self) -> io::Result<()> {
        let Self::Plain { stream, .. } = self;
        stream.set_nodelay(true)
    }

    /// Sets when the connection ends because nothing is heard from the other end.
    pub(super) fn set_keepalive(&mut self, keepalive: Keepalive) -> io::Result<()> {
        let Self::Plain { stream, .. } = self;
        set_keepalive(stream, keepalive)
    }

    /// Registers the socket for both directions.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let Self::Plain { stream, .. } = self;
        registry.register(stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Reads once.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        let Self::Plain { stream, .. } = self;
        let count = stream.read(buffer)?;
        Ok(Read { count, is_drained: count < buffer.len() })
    }

    /// Writes two pieces as one. Returns how many bytes were taken; fewer than given means that the
    /// socket is full.
    pub(super) fn write(&mut self, pieces: [&[u8]; 2]) -> io::Result<usize> {
        let Self::Plain { stream, flushed } = self;
        let count = match pieces {
            [only, []] | [[], only] => stream.write(only)?,
            both => stream.write_vectored(&both.map(IoSlice::new))?,
        };
        *flushed += count;
        Ok(count)
    }

    /// Flushes what was written. Returns how many of the written bytes have reached the kernel
    /// since the last call.
    pub(super) fn flush(&mut self) -> io::Result<usize> {
        let Self::Plain { flushed, .. } = self;
        Ok(std::mem::take(flushed))
    }

    /// Closes both directions.
    pub(super) fn close(mut self, registry: &Registry) {
        let Self::Plain { stream, .. } = &mut self;
        // Either fails if the other end was faster; dropping the socket closes it in any case.
        let _ = registry.deregister(stream);
        let _ = stream.shutdown(Shutdown::Both);
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
