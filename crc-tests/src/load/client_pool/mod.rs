//! Many client connections on one thread. A turn reads once from each readable connection and
//! writes once to each with unsent bytes. Frames are parsed in the read buffer.
//!
//! [`ClientPool`] handles registration and keepalives. Its caller sends chats, and receives every
//! frame through a [`Sink`].

mod registration;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crc::id::HostId;
use crc::limits::{INFO_BYTES_MAX, NAME_BYTES_MAX};
use mio::net::TcpStream;
use mio::{Events, Poll};

use self::registration::IdentityGenerator;
use super::client_codec::{self, Identity, Incoming, Protocol, Role, TextPlace, WebSocketInput};
use super::error::LoadError;

/// Maximum number of bytes read at once, besides a partial frame.
const READ_BYTES_MAX: usize = 256 * 1024;

/// Maximum length of a frame other than the load's own chats: a registration with a long name and
/// info.
const CONTROL_FRAME_BYTES_MAX: usize = NAME_BYTES_MAX + INFO_BYTES_MAX + 64;

/// Time to wait for a reply from a server.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);

/// Time without a frame after which the servers have sent everything.
const QUIET_TIME: Duration = Duration::from_millis(100);

/// Capacity above which an empty buffer is shrunk.
const BUFFER_RETAINED_BYTES_MAX: usize = 64 * 1024;

/// Receives the frames of all connections.
pub(super) trait Sink {
    /// Handles a frame received on the connection `client` at `now`, in nanoseconds of the pool's
    /// clock.
    fn receive(&mut self, client: usize, incoming: Incoming<'_>, now: u64);
}

/// Ignores all frames.
pub(super) struct NullSink;

impl Sink for NullSink {
    fn receive(&mut self, _: usize, _: Incoming<'_>, _: u64) {}
}

struct Client {
    protocol: Protocol,
    role: Role,
    identity: Identity,
    /// Id of the server, once it is known; on the CRC wire only.
    server: HostId,
    address: SocketAddr,
    stream: TcpStream,
    is_connected: bool,
    is_registered: bool,
    /// Whether the other end has closed its sending side.
    is_read_closed: bool,
    /// Whether the connection is in the list of those to read, and of those to write.
    in_read_list: bool,
    in_write_list: bool,
    /// What takes the bytes out of the messages of a WebSocket, if they come in such.
    web_socket_input: Option<WebSocketInput>,
    /// A partial frame.
    partial_frame: Vec<u8>,
    /// Unsent bytes, and how many of them were written.
    send_buffer: Vec<u8>,
    written_bytes: usize,
    is_write_blocked: bool,
}

/// The connections of a load.
pub(super) struct ClientPool {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    registered_count: usize,
    read_list: Vec<usize>,
    write_list: Vec<usize>,
    buffer: Vec<u8>,
    /// Where the load's own texts are in their frames.
    text_place: TextPlace,
    identities: IdentityGenerator,
    keepalive: Option<(Duration, Instant)>,
    started_at: Instant,
    last_turn_at: Instant,
    idle_time: Duration,
    interrupted: Arc<AtomicBool>,
    /// Whether turns never sleep, which lowers latency at the cost of a core.
    pub(super) busy_polls: bool,
    /// The last unexpected status from a server.
    pub(super) unexpected_status: Option<String>,
}

impl ClientPool {
    /// Returns a pool without connections. `text_place` is where the texts are that will be sent.
    pub(super) fn new(
        text_place: TextPlace,
        interrupted: Arc<AtomicBool>,
    ) -> Result<Self, LoadError> {
        let fault = |error| LoadError::failed(format!("cannot create a poll: {error}"));
        let now = Instant::now();
        Ok(Self {
            poll: Poll::new().map_err(fault)?,
            events: Events::with_capacity(1024),
            clients: Vec::new(),
            registered_count: 0,
            read_list: Vec::new(),
            write_list: Vec::new(),
            buffer: vec![0; READ_BYTES_MAX + text_place.text_bytes + CONTROL_FRAME_BYTES_MAX],
            text_place,
            identities: IdentityGenerator::new(),
            keepalive: None,
            started_at: now,
            last_turn_at: now,
            idle_time: Duration::ZERO,
            interrupted,
            busy_polls: false,
            unexpected_status: None,
        })
    }

    /// Returns the nanoseconds since the pool was created.
    pub(super) fn now(&self) -> u64 {
        self.started_at.elapsed().as_nanos() as u64
    }

    /// Returns the time without work since the pool was created.
    pub(super) fn idle_time(&self) -> Duration {
        self.idle_time
    }

    /// Returns the number of connections.
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    pub(super) fn identity(&self, client: usize) -> Identity {
        self.clients[client].identity
    }

    /// Returns the id of a client's server, on the CRC wire.
    pub(super) fn server(&self, client: usize) -> HostId {
        self.clients[client].server
    }

    /// Returns an unused id and name.
    pub(super) fn next_identity(&mut self) -> Identity {
        self.identities.next_identity()
    }

    /// Returns the number of unsent bytes of a connection.
    pub(super) fn unsent_bytes(&self, client: usize) -> usize {
        let client = &self.clients[client];
        client.send_buffer.len() - client.written_bytes
    }

    /// Returns the buffer to append frames of a connection to. They are written in the next turn.
    pub(super) fn send_buffer(&mut self, index: usize) -> &mut Vec<u8> {
        let client = &mut self.clients[index];
        if !client.in_write_list {
            client.in_write_list = true;
            self.write_list.push(index);
        }
        &mut client.send_buffer
    }

    /// Runs turns until `is_done` returns true. Fails after [`RESPONSE_TIMEOUT`], naming
    /// `condition`.
    pub(super) fn run_until<E: Sink>(
        &mut self,
        condition: &str,
        sink: &mut E,
        mut is_done: impl FnMut(&mut Self, &mut E) -> bool,
    ) -> Result<(), LoadError> {
        let deadline = Instant::now() + RESPONSE_TIMEOUT;
        while !is_done(self, sink) {
            if Instant::now() > deadline {
                let seconds = RESPONSE_TIMEOUT.as_secs();
                return Err(LoadError::failed(format!(
                    "{condition} has not happened within {seconds} s"
                )));
            }
            self.run_turn(Duration::from_millis(20), sink)?;
        }
        Ok(())
    }

    /// Runs turns until nothing has happened for [`QUIET_TIME`], so that all effects of a new
    /// connection are over.
    pub(super) fn run_until_quiet(&mut self) -> Result<(), LoadError> {
        let mut since = Instant::now();
        while since.elapsed() < QUIET_TIME {
            self.run_turn(QUIET_TIME, &mut NullSink)?;
            if !self.events.is_empty() || !self.read_list.is_empty() {
                since = Instant::now();
            }
        }
        Ok(())
    }

    /// Writes unsent bytes, waits at most `timeout` for readable connections, and reads once from
    /// each.
    pub(super) fn run_turn(
        &mut self,
        timeout: Duration,
        sink: &mut impl Sink,
    ) -> Result<(), LoadError> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(LoadError::Interrupted);
        }
        self.send_keepalives();
        let has_written = self.write_all()?;
        let polls_without_waiting = self.busy_polls || !self.read_list.is_empty();
        let patience = if polls_without_waiting { Duration::ZERO } else { timeout };
        let wait_started_at = if patience.is_zero() { self.last_turn_at } else { Instant::now() };
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => self.events.clear(),
            Err(error) => return Err(LoadError::failed(format!("waiting for sockets: {error}"))),
            Ok(()) => {}
        }
        self.last_turn_at = Instant::now();
        let was_idle = !has_written && self.events.is_empty() && self.read_list.is_empty();
        if was_idle || !patience.is_zero() {
            self.idle_time += self.last_turn_at - wait_started_at;
        }
        self.handle_events()?;
        self.read_all(sink)
    }

    fn handle_events(&mut self) -> Result<(), LoadError> {
        for event in &self.events {
            let index = event.token().0;
            let client = &mut self.clients[index];
            if !client.is_connected {
                if let Ok(Some(error)) = client.stream.take_error() {
                    return Err(connect_failed(client.address, &error));
                }
                if !event.is_writable() {
                    continue;
                }
                client.is_connected = true;
                if !client.protocol.has_welcome() {
                    client.is_registered = true;
                    self.registered_count += 1;
                }
            }
            if event.is_writable() {
                client.is_write_blocked = false;
                if client.written_bytes < client.send_buffer.len() && !client.in_write_list {
                    client.in_write_list = true;
                    self.write_list.push(index);
                }
            }
            client.is_read_closed |= event.is_read_closed() || event.is_error();
            if (event.is_readable() || client.is_read_closed) && !client.in_read_list {
                client.in_read_list = true;
                self.read_list.push(index);
            }
        }
        Ok(())
    }

    /// Writes once to each connection with unsent bytes. Returns whether there was one.
    fn write_all(&mut self) -> Result<bool, LoadError> {
        let had_work = !self.write_list.is_empty();
        let mut write_list = std::mem::take(&mut self.write_list);
        for index in write_list.drain(..) {
            let client = &mut self.clients[index];
            client.in_write_list = false;
            if client.is_write_blocked || client.written_bytes == client.send_buffer.len() {
                continue;
            }
            match client.stream.write(&client.send_buffer[client.written_bytes..]) {
                Ok(count) => client.written_bytes += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {
                    // Bytes that the server sent before it closed are read first, and then the
                    // reason.
                    (client.is_read_closed, client.is_write_blocked) = (true, true);
                    if !std::mem::replace(&mut client.in_read_list, true) {
                        self.read_list.push(index);
                    }
                    continue;
                }
            }
            if client.written_bytes == client.send_buffer.len() {
                client.send_buffer.clear();
                client.send_buffer.shrink_to(BUFFER_RETAINED_BYTES_MAX);
                client.written_bytes = 0;
            } else {
                client.is_write_blocked = true; // until the socket is writable
            }
        }
        self.write_list = write_list;
        Ok(had_work)
    }

    fn read_all(&mut self, sink: &mut impl Sink) -> Result<(), LoadError> {
        let mut read_list = std::mem::take(&mut self.read_list);
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut result = Ok(());
        read_list.retain(|&at| {
            if result.is_err() {
                return true;
            }
            match self.read(at, &mut buffer, sink) {
                Ok(may_have_more) => {
                    self.clients[at].in_read_list = may_have_more;
                    may_have_more
                }
                Err(stop) => {
                    result = Err(stop);
                    true
                }
            }
        });
        (self.read_list, self.buffer) = (read_list, buffer);
        result
    }

    /// Reads once from a connection. Returns whether there may be more.
    fn read(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        sink: &mut impl Sink,
    ) -> Result<bool, LoadError> {
        let client = &mut self.clients[index];
        let partial_len = client.partial_frame.len();
        let count = match client.stream.read(&mut buffer[partial_len..]) {
            Ok(0) => return Err(connection_lost(client, &"it has closed the connection")),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(connection_lost(client, &error)),
        };
        let may_have_more = partial_len + count == buffer.len() || client.is_read_closed;
        let protocol = client.protocol;
        let protocol_error =
            |error| LoadError::failed(format!("not a {} server: {error}", protocol.name()));
        let received = &mut buffer[partial_len..partial_len + count];
        let end = partial_len + self.unwrap_payloads(index, received).map_err(protocol_error)?;
        let client = &mut self.clients[index];
        buffer[..partial_len].copy_from_slice(&client.partial_frame);
        let (place, now) = (self.text_place, self.now());
        let mut rest = &buffer[..end];
        loop {
            let len = client_codec::frame_len(protocol, rest, place).map_err(protocol_error)?;
            let frame = match len {
                Some(len) if len <= rest.len() => &rest[..len],
                _ => break,
            };
            rest = &rest[frame.len()..];
            let incoming = client_codec::parse(protocol, frame, place).map_err(protocol_error)?;
            if !matches!(incoming, Incoming::Chat(_)) {
                self.handle_control(index, &incoming)?;
            }
            sink.receive(index, incoming, now);
        }
        if rest.len() + READ_BYTES_MAX > buffer.len() {
            return Err(LoadError::failed("a server sent a frame that this load does not expect"));
        }
        let client = &mut self.clients[index];
        client.partial_frame.clear();
        client.partial_frame.extend_from_slice(rest);
        Ok(may_have_more)
    }
}

fn connect_failed(address: SocketAddr, error: &io::Error) -> LoadError {
    let hint = match error.kind() {
        ErrorKind::ConnectionRefused => ": does the server run, and listen there?",
        ErrorKind::AddrNotAvailable => ": no local port is free; use fewer clients a server",
        _ => "",
    };
    LoadError::failed(format!("cannot reach {address}: {error}{hint}"))
}

fn connection_lost(client: &Client, why: &dyn std::fmt::Display) -> LoadError {
    let who = match client.role {
        Role::User => "a client",
        Role::Server => "the server that announces hosts",
    };
    LoadError::failed(format!("the server at {} is lost to {who}: {why}", client.address))
}
