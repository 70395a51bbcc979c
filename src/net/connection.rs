//! A link's socket: what it is ready for, and one read or write at a time.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::program::Machine;
use crate::limits::WRITE_BYTES_PER_TURN;
use crate::relay::{CloseReason, LinkId};

/// A socket and its readiness.
pub(super) struct Connection {
    id: LinkId,
    stream: TcpStream,
    /// Boxed: only a dialled connection has it, and only while it is being made.
    dialling: Option<Box<Dialling>>,
    is_readable: bool,
    is_writable: bool,
    /// The other end sends nothing more: reads go on until they say so.
    is_ending: bool,
    /// It is readable and not read, because the node does not listen to it now.
    is_parked: bool,
}

/// A connection to a neighbour that is being made.
pub(super) struct Dialling {
    /// The neighbour's place in the list.
    pub(super) target: usize,
    /// The address that is tried now.
    pub(super) address: SocketAddr,
    /// Further addresses of the same neighbour.
    pub(super) candidates: VecDeque<SocketAddr>,
}

/// What a read came to.
pub(super) enum Received {
    /// So many bytes are at the front of the buffer; whether there may be more.
    Bytes { count: usize, is_more: bool },
    /// Nothing now.
    Nothing,
    /// Nothing any more.
    End(CloseReason),
}

impl Connection {
    pub(super) fn accepted(id: LinkId, stream: TcpStream) -> Self {
        Self {
            id,
            stream,
            dialling: None,
            is_readable: false,
            is_writable: false,
            is_ending: false,
            is_parked: false,
        }
    }

    /// Begins to connect.
    pub(super) fn dial(id: LinkId, dialling: Dialling) -> Result<Self, (Dialling, io::Error)> {
        match TcpStream::connect(dialling.address) {
            Ok(stream) => {
                Ok(Self { dialling: Some(Box::new(dialling)), ..Self::accepted(id, stream) })
            }
            Err(error) => Err((dialling, error)),
        }
    }

    pub(super) fn id(&self) -> LinkId {
        self.id
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if self.dialling.is_none() {
            self.stream.set_nodelay(true)?;
        }
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// The dial, while it is under way; taken by the end of a connection that never was.
    pub(super) fn dialling(&mut self) -> &mut Option<Box<Dialling>> {
        &mut self.dialling
    }

    /// Asks how the dial went; `None` if it goes on.
    pub(super) fn finish_dialling(&mut self) -> io::Result<Option<Box<Dialling>>> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                self.stream.set_nodelay(true)?;
                Ok(self.dialling.take())
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes note of an event. Answers true if the connection became readable by it.
    pub(super) fn note_ready(&mut self, event: &Event) -> bool {
        self.is_writable |= event.is_writable();
        self.is_ending |= event.is_read_closed() || event.is_error();
        let has_news = event.is_readable() || event.is_read_closed() || event.is_error();
        let became_readable = has_news && !self.is_readable;
        self.is_readable |= has_news;
        became_readable
    }

    /// It is not read for now though it is readable.
    pub(super) fn park(&mut self) {
        self.is_parked = true;
    }

    /// It may be read again. Answers true if it was parked.
    pub(super) fn resume(&mut self) -> bool {
        std::mem::take(&mut self.is_parked)
    }

    /// One read.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Received {
        match self.stream.read(buffer) {
            Ok(0) => {
                self.is_readable = false;
                Received::End(CloseReason::PeerClosed)
            }
            Ok(count) => {
                // A short read has emptied the socket; what comes later is a new event. Only the
                // end may have been told of already.
                self.is_readable = count == buffer.len() || self.is_ending;
                Received::Bytes { count, is_more: self.is_readable }
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    Received::Nothing
                }
                ErrorKind::Interrupted => Received::Bytes { count: 0, is_more: true },
                _ => {
                    self.is_readable = false;
                    Received::End(CloseReason::Failed(error.to_string()))
                }
            },
        }
    }

    /// Offers two pieces of bytes to the socket, before anything else that the node has for it. Answers
    /// how many it took. An error shows again when the rest is written.
    pub(super) fn offer(&mut self, pieces: [&[u8]; 2]) -> usize {
        if !self.is_writable || self.dialling.is_some() {
            return 0;
        }
        let offered = pieces[0].len() + pieces[1].len();
        let result = match pieces {
            [[], only] => self.stream.write(only),
            both => self.stream.write_vectored(&both.map(IoSlice::new)),
        };
        match result {
            Ok(count) => {
                self.is_writable = count == offered;
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
        let mut portion = WRITE_BYTES_PER_TURN;
        while self.is_writable && self.dialling.is_none() {
            let unsent = node.unsent(self.id);
            if unsent.is_empty() {
                return Ok(false);
            }
            if portion == 0 {
                return Ok(true);
            }
            let offered = unsent.len().min(portion);
            match self.stream.write(&unsent[..offered]) {
                Ok(count) => {
                    node.sent(self.id, count);
                    portion -= count;
                    self.is_writable = count == offered;
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
    pub(super) fn give_up_writing(&mut self) -> bool {
        self.is_writable = false;
        self.is_ending = true;
        !std::mem::replace(&mut self.is_readable, true)
    }

    /// Ends the connection in both directions.
    pub(super) fn close(mut self, registry: &Registry) {
        // Both may fail where the other end was faster; the socket goes in any case.
        let _ = registry.deregister(&mut self.stream);
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
