//! A forwarder of bytes: what is read from one connection is written to all others. It parses
//! nothing, and is what a room can cost at least.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

/// Number of connections that wait to be accepted: thousands connect at once.
const BACKLOG: i32 = 4096;

/// Number of bytes read at a time, as by crc.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Forwards bytes from each connection to all others, and does nothing else
#[derive(Args, Clone, Debug)]
pub struct FanOutForwarderArguments {
    /// Another forwarder, to which this one connects
    #[arg(long, value_name = "HOST:PORT")]
    next: Option<SocketAddr>,
}

struct Connection {
    socket: TcpStream,
    /// Bytes that the socket has not taken.
    unsent: VecDeque<u8>,
}

struct Forwarder {
    poll: Poll,
    connections: Vec<Option<Connection>>,
}

/// Runs until it is killed.
#[must_use]
pub fn run_forwarder(arguments: &FanOutForwarderArguments) -> ExitCode {
    match forward(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "crc-tests: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn forward(arguments: &FanOutForwarderArguments) -> io::Result<()> {
    let mut forwarder = Forwarder { poll: Poll::new()?, connections: Vec::new() };
    if let Some(next) = arguments.next {
        let socket = std::net::TcpStream::connect(next)?;
        socket.set_nonblocking(true)?;
        forwarder.add(TcpStream::from_std(socket))?;
    }
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    rustix::net::listen(&listener, BACKLOG)?;
    forwarder.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    writeln!(io::stdout(), "listening forwarder {}", listener.local_addr()?)?;
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; READ_BYTES_MAX];
    loop {
        forwarder.poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    forwarder.add(socket)?;
                }
                continue;
            }
            if event.is_writable() {
                forwarder.flush(event.token().0);
            }
            if event.is_readable() {
                forwarder.forward_from(event.token().0, &mut buffer);
            }
        }
    }
}

impl Forwarder {
    fn add(&mut self, mut socket: TcpStream) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(self.connections.len()), interest)?;
        socket.set_nodelay(true)?;
        self.connections.push(Some(Connection { socket, unsent: VecDeque::new() }));
        Ok(())
    }

    /// Reads all that has come on one connection, and sends it to the others.
    fn forward_from(&mut self, index: usize, buffer: &mut [u8]) {
        loop {
            let Some(connection) = &mut self.connections[index] else { return };
            let count = match connection.socket.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(0) | Err(_) => {
                    self.connections[index] = None;
                    return;
                }
                Ok(count) => count,
            };
            for (other, connection) in self.connections.iter_mut().enumerate() {
                if other != index
                    && let Some(connection) = connection
                {
                    connection.send(&buffer[..count]);
                }
            }
            if count < buffer.len() {
                return; // an event follows if there is more
            }
        }
    }

    fn flush(&mut self, index: usize) {
        if let Some(connection) = &mut self.connections[index] {
            connection.flush();
        }
    }
}

impl Connection {
    fn send(&mut self, bytes: &[u8]) {
        let sent = match self.unsent.is_empty() {
            true => self.socket.write(bytes).unwrap_or(0),
            false => 0,
        };
        self.unsent.extend(&bytes[sent..]);
    }

    fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match self.socket.write(self.unsent.as_slices().0) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(_) => return,
            }
        }
    }
}
