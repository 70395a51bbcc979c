//! A link's socket: what it is ready for, and one read or write at a time.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::limits::WRITE_BYTES_PER_TURN;
use crate::link::{CloseReason, LinkId, Machine};

/// A socket and its readiness.
pub(super) struct Connection {
    id: LinkId,
    stream: TcpStream,
    /// Boxed: only a dialled connection has it, and only while it is being made.
    pending_dial: Option<Box<PendingDial>>,
    is_readable: bool,
    is_writable: bool,
    /// The other end sends nothing more: reads go on until they say so.
    is_read_closed: bool,
    /// It is readable and not read, because the node does not listen to it now.
    is_paused: bool,
}

/// A connection to a neighbour that is being made.
pub(super) struct PendingDial {
    /// The neighbour's place in the list.
    pub(super) target: usize,
    /// The address that is tried now.
    pub(super) address: SocketAddr,
    /// Further addresses of the same neighbour.
    pub(super) candidates: VecDeque<SocketAddr>,
}

/// What a read came to.
pub(super) enum ReadOutcome {
    /// So many bytes are at the front of the buffer; whether there may be more.
    Bytes { count: usize, has_more: bool },
    /// Nothing now.
    WouldBlock,
    /// Nothing any more.
    Closed(CloseReason),
}

impl Connection {
    pub(super) fn new(id: LinkId, stream: TcpStream) -> Self {
        Self {
            id,
            stream,
            pending_dial: None,
            is_readable: false,
            is_writable: false,
            is_read_closed: false,
            is_paused: false,
        }
    }

    /// Begins to connect.
    pub(super) fn dial(
        id: LinkId,
        pending_dial: PendingDial,
    ) -> Result<Self, (PendingDial, io::Error)> {
        match TcpStream::connect(pending_dial.address) {
            Ok(stream) => {
                Ok(Self { pending_dial: Some(Box::new(pending_dial)), ..Self::new(id, stream) })
            }
            Err(error) => Err((pending_dial, error)),
        }
    }

    pub(super) fn id(&self) -> LinkId {
        self.id
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if self.pending_dial.is_none() {
            self.stream.set_nodelay(true)?;
        }
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// The dial, while it is under way; taken by the end of a connection that never was.
    pub(super) fn pending_dial(&mut self) -> &mut Option<Box<PendingDial>> {
        &mut self.pending_dial
    }

    /// Asks how the dial went; `None` if it goes on.
    pub(super) fn finish_connect(&mut self) -> io::Result<Option<Box<PendingDial>>> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                self.stream.set_nodelay(true)?;
                Ok(self.pending_dial.take())
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes note of an event. Answers true if the connection became readable by it.
    pub(super) fn on_event(&mut self, event: &Event) -> bool {
        self.is_writable |= event.is_writable();
        self.is_read_closed |= event.is_read_closed() || event.is_error();
        let is_read_event = event.is_readable() || event.is_read_closed() || event.is_error();
        let became_readable = is_read_event && !self.is_readable;
        self.is_readable |= is_read_event;
        became_readable
    }

    /// It is not read for now though it is readable.
    pub(super) fn pause(&mut self) {
        self.is_paused = true;
    }

    /// It may be read again. Answers true if it was parked.
    pub(super) fn resume(&mut self) -> bool {
        std::mem::take(&mut self.is_paused)
    }

    /// One read.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> ReadOutcome {
        match self.stream.read(buffer) {
            Ok(0) => {
                self.is_readable = false;
                ReadOutcome::Closed(CloseReason::PeerClosed)
            }
            Ok(count) => {
                // A short read has emptied the socket; what comes later is a new event. Only the
                // end may have been told of already.
                self.is_readable = count == buffer.len() || self.is_read_closed;
                ReadOutcome::Bytes { count, has_more: self.is_readable }
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    ReadOutcome::WouldBlock
                }
                ErrorKind::Interrupted => ReadOutcome::Bytes { count: 0, has_more: true },
                _ => {
                    self.is_readable = false;
                    ReadOutcome::Closed(CloseReason::Io(error.to_string()))
                }
            },
        }
    }

    /// Offers two pieces of bytes to the socket, before anything else that the node has for it. Answers
    /// how many it took. An error shows again when the rest is written.
    pub(super) fn try_write(&mut self, parts: [&[u8]; 2]) -> usize {
        if !self.is_writable || self.pending_dial.is_some() {
            return 0;
        }
        let bytes_offered = parts[0].len() + parts[1].len();
        let result = match parts {
            [[], only] => self.stream.write(only),
            both => self.stream.write_vectored(&both.map(IoSlice::new)),
        };
        match result {
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

    /// Writes what the node has for this link until the queue is empty, the socket is full or the
    /// turn's portion is spent. Answers true in the last case.
    pub(super) fn write(&mut self, node: &mut impl Machine) -> io::Result<bool> {
        let mut budget = WRITE_BYTES_PER_TURN;
        while self.is_writable && self.pending_dial.is_none() {
            let unsent = node.unsent(self.id);
            if unsent.is_empty() {
                return Ok(false);
            }
            if budget == 0 {
                return Ok(true);
            }
            let bytes_offered = unsent.len().min(budget);
            match self.stream.write(&unsent[..bytes_offered]) {
                Ok(count) => {
                    node.sent(self.id, count);
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

    /// The other end takes nothing more. Answers true if the connection became readable by it: its
    /// end is to be read.
    pub(super) fn stop_writing(&mut self) -> bool {
        self.is_writable = false;
        self.is_read_closed = true;
        !std::mem::replace(&mut self.is_readable, true)
    }

    /// Ends the connection in both directions.
    pub(super) fn close(mut self, registry: &Registry) {
        // Both may fail where the other end was faster; the socket goes in any case.
        let _ = registry.deregister(&mut self.stream);
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
