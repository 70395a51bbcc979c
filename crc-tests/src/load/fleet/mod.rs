//! Many client connections served by one thread: one read for each that is ready, one write a turn
//! for each that has something to say, frames parsed where they lie.
//!
//! It knows who has joined; what is said to whom is for its caller, whose [`Ear`] hears every frame.

mod joining;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crc::limits::{INFO_BYTES_MAX, NAME_BYTES_MAX};
use mio::net::TcpStream;
use mio::{Events, Poll};

use self::joining::Names;
use super::Stop;
use super::wire::{self, Heard, Identity, Role};
use crate::command::Wire;

/// What is read at once, beside a frame whose beginning has come already.
const READ_BYTES: usize = 256 * 1024;

/// The longest frame beside the load's own: a registration with a long name and info.
const OTHER_FRAME_BYTES: usize = NAME_BYTES_MAX + INFO_BYTES_MAX + 64;

/// How long a load waits for a server that owes an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// When nothing has come for so long, the servers have said all that they had to say.
const QUIET: Duration = Duration::from_millis(100);

/// Buffers that have grown past this are given back when they are empty.
const KEPT_BYTES: usize = 64 * 1024;

/// Hears what the connections receive.
pub(super) trait Ear {
    /// A frame came on the connection `client` at `now`, in nanoseconds of the fleet's clock.
    fn hear(&mut self, client: usize, heard: Heard<'_>, now: u64);
}

/// Hears nothing.
pub(super) struct Deaf;

impl Ear for Deaf {
    fn hear(&mut self, _: usize, _: Heard<'_>, _: u64) {}
}

struct Client {
    wire: Wire,
    role: Role,
    own: Identity,
    address: SocketAddr,
    stream: TcpStream,
    is_connected: bool,
    is_registered: bool,
    /// The other end has said that it says no more.
    is_ending: bool,
    /// It is in the list of those to read, and in that of those to write.
    to_read: bool,
    to_write: bool,
    /// The beginning of a frame.
    begun: Vec<u8>,
    /// What is to be written, and how much of it was.
    out: Vec<u8>,
    written: usize,
    is_full: bool,
}

/// The connections of a load.
pub(super) struct Fleet {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    registered: usize,
    to_read: Vec<usize>,
    to_write: Vec<usize>,
    buffer: Vec<u8>,
    /// The length of the load's own texts.
    size: usize,
    names: Names,
    alive: Option<(Duration, Instant)>,
    begin: Instant,
    turned: Instant,
    waited: Duration,
    interrupted: Arc<AtomicBool>,
    /// Never sleep: what comes is heard at once, for the price of a core.
    pub(super) spins: bool,
    /// The last thing that a server said which no load expects.
    pub(super) status: Option<String>,
}

impl Fleet {
    /// No connection yet. `size` is the length of the texts that will be sent.
    pub(super) fn new(size: usize, interrupted: Arc<AtomicBool>) -> Result<Self, Stop> {
        let fault = |error| Stop::fault(format!("the system gives no way to wait: {error}"));
        let now = Instant::now();
        Ok(Self {
            poll: Poll::new().map_err(fault)?,
            events: Events::with_capacity(1024),
            clients: Vec::new(),
            registered: 0,
            to_read: Vec::new(),
            to_write: Vec::new(),
            buffer: vec![0; READ_BYTES + size + OTHER_FRAME_BYTES],
            size,
            names: Names::new(),
            alive: None,
            begin: now,
            turned: now,
            waited: Duration::ZERO,
            interrupted,
            spins: false,
            status: None,
        })
    }

    /// Nanoseconds since the fleet was made.
    pub(super) fn now(&self) -> u64 {
        self.begin.elapsed().as_nanos() as u64
    }

    /// How long nothing was there to be done, of the time since the fleet was made.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    /// Connections.
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    pub(super) fn own(&self, client: usize) -> Identity {
        self.clients[client].own
    }

    /// An id and a name for somebody else.
    pub(super) fn choose(&mut self) -> Identity {
        self.names.choose()
    }

    /// What waits to be written for one connection, in bytes.
    pub(super) fn unsent(&self, client: usize) -> usize {
        let client = &self.clients[client];
        client.out.len() - client.written
    }

    /// Where to append what this connection says; it is written in the next turn.
    pub(super) fn out(&mut self, at: usize) -> &mut Vec<u8> {
        let client = &mut self.clients[at];
        if !client.to_write {
            client.to_write = true;
            self.to_write.push(at);
        }
        &mut client.out
    }

    /// Turns until `is_done`, or there is a reason to stop: after so long, `what` has not happened.
    pub(super) fn turn_until<E: Ear>(
        &mut self,
        what: &str,
        ear: &mut E,
        mut is_done: impl FnMut(&mut Self, &mut E) -> bool,
    ) -> Result<(), Stop> {
        let deadline = Instant::now() + PATIENCE;
        while !is_done(self, ear) {
            if Instant::now() > deadline {
                let seconds = PATIENCE.as_secs();
                return Err(Stop::fault(format!("{what} has not happened within {seconds} s")));
            }
            self.turn(Duration::from_millis(20), ear)?;
        }
        Ok(())
    }

    /// Turns until nothing has happened for [`QUIET`]: what a newcomer sets off is over.
    pub(super) fn quieten(&mut self) -> Result<(), Stop> {
        let mut since = Instant::now();
        while since.elapsed() < QUIET {
            self.turn(QUIET, &mut Deaf)?;
            if !self.events.is_empty() || !self.to_read.is_empty() {
                since = Instant::now();
            }
        }
        Ok(())
    }

    /// Writes what there is to write, waits for something to read, no longer than `patience`, and
    /// reads once from each that has something.
    pub(super) fn turn(&mut self, patience: Duration, ear: &mut impl Ear) -> Result<(), Stop> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Stop::Interrupted);
        }
        self.live_on();
        let has_written = self.write_all()?;
        let is_looking = self.spins || !self.to_read.is_empty();
        let patience = if is_looking { Duration::ZERO } else { patience };
        let before = if patience.is_zero() { self.turned } else { Instant::now() };
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => self.events.clear(),
            Err(error) => return Err(Stop::fault(format!("waiting for sockets: {error}"))),
            Ok(()) => {}
        }
        self.turned = Instant::now();
        let is_fruitless = !has_written && self.events.is_empty() && self.to_read.is_empty();
        if is_fruitless || !patience.is_zero() {
            self.waited += self.turned - before;
        }
        self.note_events()?;
        self.read_all(ear)
    }

    fn note_events(&mut self) -> Result<(), Stop> {
        for event in &self.events {
            let at = event.token().0;
            let client = &mut self.clients[at];
            if !client.is_connected {
                if let Ok(Some(error)) = client.stream.take_error() {
                    return Err(unreachable_at(client.address, &error));
                }
                if !event.is_writable() {
                    continue;
                }
                client.is_connected = true;
            }
            if event.is_writable() {
                client.is_full = false;
                if client.written < client.out.len() && !client.to_write {
                    client.to_write = true;
                    self.to_write.push(at);
                }
            }
            client.is_ending |= event.is_read_closed() || event.is_error();
            if (event.is_readable() || client.is_ending) && !client.to_read {
                client.to_read = true;
                self.to_read.push(at);
            }
        }
        Ok(())
    }

    /// Whether there was anything.
    fn write_all(&mut self) -> Result<bool, Stop> {
        let any = !self.to_write.is_empty();
        let mut to_write = std::mem::take(&mut self.to_write);
        for at in to_write.drain(..) {
            let client = &mut self.clients[at];
            client.to_write = false;
            if client.is_full || client.written == client.out.len() {
                continue;
            }
            match client.stream.write(&client.out[client.written..]) {
                Ok(count) => client.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {
                    // What the server said before it closed is read first, and then why it did.
                    (client.is_ending, client.is_full) = (true, true);
                    if !std::mem::replace(&mut client.to_read, true) {
                        self.to_read.push(at);
                    }
                    continue;
                }
            }
            if client.written == client.out.len() {
                client.out.clear();
                client.out.shrink_to(KEPT_BYTES);
                client.written = 0;
            } else {
                client.is_full = true; // the system tells when there is room
            }
        }
        self.to_write = to_write;
        Ok(any)
    }

    fn read_all(&mut self, ear: &mut impl Ear) -> Result<(), Stop> {
        let mut to_read = std::mem::take(&mut self.to_read);
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut result = Ok(());
        to_read.retain(|&at| {
            if result.is_err() {
                return true;
            }
            match self.read(at, &mut buffer, ear) {
                Ok(is_more) => {
                    self.clients[at].to_read = is_more;
                    is_more
                }
                Err(stop) => {
                    result = Err(stop);
                    true
                }
            }
        });
        (self.to_read, self.buffer) = (to_read, buffer);
        result
    }

    /// Reads once. Answers whether there may be more.
    fn read(&mut self, at: usize, buffer: &mut [u8], ear: &mut impl Ear) -> Result<bool, Stop> {
        let client = &mut self.clients[at];
        let begun = client.begun.len();
        let count = match client.stream.read(&mut buffer[begun..]) {
            Ok(0) => return Err(lost(client, &"it has closed the connection")),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(lost(client, &error)),
        };
        let end = begun + count;
        buffer[..begun].copy_from_slice(&client.begun);
        let is_more = end == buffer.len() || client.is_ending;
        let (wire, now) = (client.wire, self.now());
        let mut rest = &buffer[..end];
        loop {
            let broken =
                |error| Stop::fault(format!("a {} server that is none: {error}", wire.name()));
            let frame = match wire::frame_len(wire, rest).map_err(broken)? {
                Some(len) if len <= rest.len() => &rest[..len],
                _ => break,
            };
            rest = &rest[frame.len()..];
            let heard = wire::hear(wire, frame, self.size).map_err(broken)?;
            if !matches!(heard, Heard::Chat(_)) {
                self.attend(at, &heard)?;
            }
            ear.hear(at, heard, now);
        }
        if rest.len() + READ_BYTES > buffer.len() {
            return Err(Stop::fault("a server sends a frame that is no part of this load"));
        }
        let client = &mut self.clients[at];
        client.begun.clear();
        client.begun.extend_from_slice(rest);
        Ok(is_more)
    }
}

fn unreachable_at(address: SocketAddr, error: &io::Error) -> Stop {
    let what_to_do = match error.kind() {
        ErrorKind::ConnectionRefused => ": does the server run, and listen there?",
        ErrorKind::AddrNotAvailable => ": no local port is free; use fewer clients a server",
        _ => "",
    };
    Stop::fault(format!("cannot reach {address}: {error}{what_to_do}"))
}

fn lost(client: &Client, why: &dyn std::fmt::Display) -> Stop {
    let who = match client.role {
        Role::User => "a client",
        Role::Server => "the server that announces hosts",
    };
    Stop::fault(format!("the server at {} is lost to {who}: {why}", client.address))
}
