//! A link's connection: its readiness, and one read or write at a time.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use mio::event::Event;
use mio::{Registry, Token};

use super::proxy::SIGNATURE;
use super::transport::Transport;
use crate::chunked_vec::ChunkedVec;
use crate::limits::WRITE_BYTES_PER_TURN;
use crate::link::{CloseReason, Keepalive, LinkId, Machine, Origin, Security};

/// A connection and its readiness, which events set and short reads and writes clear.
pub(super) struct Connection {
    id: LinkId,
    transport: Transport,
    /// The dial, until the connection is established. Boxed, since most connections have none.
    pending_dial: Option<Box<PendingDial>>,
    is_readable: bool,
    is_writable: bool,
    /// The other end sends no more bytes, or the socket has an error: reads continue until they
    /// return the end or the error.
    is_read_closed: bool,
    /// Readable, and not read while the machine's read budget is 0.
    is_paused: bool,
    /// A TLS handshake goes on, or the header of a proxy has not arrived.
    is_handshaking: bool,
    /// Bytes have been read.
    has_read: bool,
}

/// All connections, by [`LinkId::index`].
#[derive(Default)]
pub(super) struct ConnectionTable(ChunkedVec<Option<Connection>>);

impl ConnectionTable {
    /// Returns the connection at an index, whichever link's it is.
    pub(super) fn at(&mut self, index: usize) -> Option<&mut Connection> {
        self.0.occupied_mut(index)
    }

    /// Returns the connection of a link; `None` if its index belongs to a newer link.
    pub(super) fn get_mut(&mut self, link: LinkId) -> Option<&mut Connection> {
        self.at(link.index as usize).filter(|connection| connection.id() == link)
    }

    /// Adds the connection of a link that has none.
    pub(super) fn insert(&mut self, connection: Connection) {
        let index = connection.id().index as usize;
        assert!(self.0.occupied(index).is_none(), "a link has one connection");
        self.0.set(index, connection);
    }

    /// Removes the connection of a link.
    pub(super) fn take(&mut self, link: LinkId) -> Option<Connection> {
        let entry = self.0.get_mut(link.index as usize)?;
        entry.take_if(|connection| connection.id() == link)
    }
}

/// A connection to a target that is being established.
pub(super) struct PendingDial {
    /// Index in the list of targets.
    pub(super) target: usize,
    /// The address that is tried now.
    pub(super) address: SocketAddr,
    /// Further addresses of the same target.
    pub(super) candidates: VecDeque<SocketAddr>,
}

/// The first bytes of a TLS handshake: its content type, and the major version.
const TLS_HELLO: [u8; 2] = [0x16, 3];

/// The result of a read.
pub(super) enum ReadOutcome {
    /// `count` bytes are at the front of the buffer.
    Bytes { count: usize, has_more: bool },
    /// There is nothing to read now.
    WouldBlock,
    /// The connection has ended.
    Closed(CloseReason),
}

impl Connection {
    pub(super) fn new(
        id: LinkId,
        transport: Transport,
        pending_dial: Option<Box<PendingDial>>,
    ) -> Self {
        let is_handshaking = transport.is_handshaking();
        Self {
            id,
            transport,
            pending_dial,
            is_readable: false,
            is_writable: false,
            is_read_closed: false,
            is_paused: false,
            is_handshaking,
            has_read: false,
        }
    }

    pub(super) fn id(&self) -> LinkId {
        self.id
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if self.pending_dial.is_none() {
            self.transport.set_nodelay()?;
        }
        self.transport.register(registry, token)
    }

    /// The dial, while the connection is not established.
    pub(super) fn pending_dial(&mut self) -> &mut Option<Box<PendingDial>> {
        &mut self.pending_dial
    }

    /// Returns whether a dial has reached the other end, and starts the handshake if there is one.
    pub(super) fn finish_connect(&mut self) -> io::Result<bool> {
        if !self.transport.finish_connect()? {
            return Ok(false);
        }
        self.transport.set_nodelay()?;
        self.transport.flush()?;
        Ok(true)
    }

    /// Returns whether the header of a proxy has not arrived.
    pub(super) fn awaits_proxy_header(&self) -> bool {
        self.transport.awaits_proxy_header()
    }

    /// Returns whether a TLS handshake goes on, or the header of a proxy has not arrived.
    pub(super) fn is_handshaking(&self) -> bool {
        self.is_handshaking
    }

    /// Returns whether the bytes are encrypted.
    pub(super) fn is_tls(&self) -> bool {
        self.origin().security != Security::Plain
    }

    /// Returns the other end, as far as the transport has verified it.
    pub(super) fn origin(&self) -> Origin {
        self.transport.origin()
    }

    /// Returns whether the transport has bytes of its own for the socket.
    pub(super) fn wants_write(&self) -> bool {
        self.transport.wants_write()
    }

    /// Sets when the connection ends because nothing is heard from the other end.
    pub(super) fn set_keepalive(&mut self, keepalive: Keepalive) {
        if let Err(error) = self.transport.set_keepalive(keepalive) {
            log::debug!("link {}: no TCP keepalive: {error}", self.id);
        }
    }

    /// Records an event. Returns whether it made the connection readable.
    pub(super) fn on_event(&mut self, event: &Event) -> bool {
        self.is_writable |= event.is_writable();
        self.is_read_closed |= event.is_read_closed() || event.is_error();
        let is_read_event = event.is_readable() || event.is_read_closed() || event.is_error();
        let became_readable = is_read_event && !self.is_readable;
        self.is_readable |= is_read_event;
        became_readable
    }

    /// Stops reading though there may be bytes.
    pub(super) fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Ends a pause. Returns whether there was one.
    pub(super) fn resume(&mut self) -> bool {
        std::mem::take(&mut self.is_paused)
    }

    /// Reads once, and answers what the transport has to answer.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> ReadOutcome {
        let result = self.transport.read(buffer);
        if self.transport.wants_write() {
            // An error comes back with the next read.
            self.is_writable = self.transport.flush().unwrap_or(false);
        }
        self.is_handshaking = self.is_handshaking && self.transport.is_handshaking();
        match result {
            Ok(read) if read.count == 0 => {
                self.is_readable = false;
                ReadOutcome::Closed(CloseReason::PeerClosed)
            }
            Ok(read) if !self.has_read && buffer[..read.count].starts_with(&TLS_HELLO) => {
                self.is_readable = false;
                let problem = "TLS on a connection without it; use the same scheme, with a final \
                               s or without, at both ends";
                ReadOutcome::Closed(CloseReason::ProtocolError(problem.to_owned()))
            }
            Ok(read) if !self.has_read && buffer[..read.count].starts_with(&SIGNATURE) => {
                self.is_readable = false;
                let problem = "a PROXY header from an address that is not in --trusted-proxies";
                ReadOutcome::Closed(CloseReason::ProtocolError(problem.to_owned()))
            }
            Ok(read) => {
                self.has_read = true;
                // The end of the stream may have been reported by the same event as these bytes,
                // and then no further event comes for it.
                self.is_readable = !read.is_drained || self.is_read_closed;
                ReadOutcome::Bytes { count: read.count, has_more: self.is_readable }
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    ReadOutcome::WouldBlock
                }
                ErrorKind::Interrupted => ReadOutcome::Bytes { count: 0, has_more: true },
                // The system names the last error on the way, if it knows one.
                ErrorKind::TimedOut
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable => {
                    self.is_readable = false;
                    ReadOutcome::Closed(CloseReason::TimedOut)
                }
                _ => {
                    self.is_readable = false;
                    ReadOutcome::Closed(CloseReason::Io(error.to_string()))
                }
            },
        }
    }

    /// Writes two pieces at once, ahead of the send queue. Returns how many bytes were sent. An
    /// error counts as 0 bytes and comes back when the rest is written.
    pub(super) fn try_write(&mut self, pieces: [&[u8]; 2]) -> usize {
        if !self.is_writable || self.pending_dial.is_some() || self.is_handshaking {
            return 0;
        }
        let bytes_offered = pieces[0].len() + pieces[1].len();
        match self.transport.write_ahead(pieces) {
            // Encrypted bytes go through the send queue.
            Ok(0) => 0,
            Ok(count) => {
                self.is_writable = count == bytes_offered;
                count
            }
            Err(error) => {
                self.is_writable = error.kind() != ErrorKind::WouldBlock;
                0
            }
        }
    }

    /// Writes the link's send queue until it is empty, the socket is full, or the budget of the
    /// turn is spent. Returns whether the budget was spent.
    pub(super) fn write(&mut self, machine: &mut impl Machine) -> io::Result<bool> {
        if self.transport.wants_write() {
            self.is_writable = self.transport.flush()?;
        }
        let mut budget = WRITE_BYTES_PER_TURN;
        while self.is_writable && self.pending_dial.is_none() && !self.is_handshaking {
            let unsent = machine.unsent(self.id);
            if unsent.is_empty() {
                return Ok(false);
            }
            if budget == 0 {
                return Ok(true);
            }
            let bytes_offered = unsent.len().min(budget);
            match self.transport.write(&unsent[..bytes_offered]) {
                Ok(count) => {
                    machine.sent(self.id, count);
                    budget -= count;
                    self.is_writable = count == bytes_offered;
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => self.is_writable = false,
                    ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(false)
    }

    /// Stops writing after an error. Input that arrived before it is still read, up to the end of
    /// the stream. Returns whether this made the connection readable.
    pub(super) fn stop_writing(&mut self) -> bool {
        self.is_writable = false;
        self.is_read_closed = true;
        !std::mem::replace(&mut self.is_readable, true)
    }

    /// Closes the connection in both directions.
    pub(super) fn close(self, registry: &Registry) {
        self.transport.close(registry);
    }
}
