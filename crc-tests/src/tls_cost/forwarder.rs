//! A forwarder of bytes: every second connection is the other end of the one before it.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use crc::internal::tls::{TlsConfigs, TlsFiles};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::{ServerConfig, ServerConnection};

const LISTENER: Token = Token(usize::MAX);

/// Forwards bytes over TLS between pairs of connections, and does nothing else
#[derive(Args, Clone, Debug)]
pub struct ForwarderArguments {
    /// The directory with server.pem and server.key
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Runs until it is killed.
#[must_use]
pub fn run(arguments: &ForwarderArguments) -> ExitCode {
    match forward(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "crc-tests: {error}"));
            ExitCode::FAILURE
        }
    }
}

struct Connection {
    socket: TcpStream,
    tls: ServerConnection,
}

fn forward(arguments: &ForwarderArguments) -> io::Result<()> {
    let files = TlsFiles {
        certificate: Some(arguments.dir.join("server.pem")),
        key: Some(arguments.dir.join("server.key")),
        authorities: None,
    };
    let configs = TlsConfigs::load(&files).map_err(io::Error::other)?;
    let config: Arc<ServerConfig> = configs.accept.ok_or(ErrorKind::InvalidInput)?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    writeln!(io::stdout(), "listening forwarder {}", listener.local_addr()?)?;
    let mut connections: Vec<Connection> = Vec::new();
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut socket, Token(connections.len()), interest)?;
                    socket.set_nodelay(true)?;
                    let tls = ServerConnection::new(Arc::clone(&config));
                    let tls = tls.map_err(io::Error::other)?;
                    connections.push(Connection { socket, tls });
                }
            } else if event.is_readable() {
                // A connection that ends stays as it is: the measurement is over.
                let _ = forward_from(&mut connections, event.token().0, &mut buffer);
            }
        }
    }
}

/// Reads all that has come on one connection, and writes it to the other of its pair.
fn forward_from(connections: &mut [Connection], index: usize, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        let Connection { socket, tls } = &mut connections[index];
        let is_over = match tls.read_tls(socket) {
            Ok(0) => return Ok(()),
            Ok(_) => false,
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            Err(error) => return Err(error),
        };
        let state = tls.process_new_packets().map_err(io::Error::other)?;
        while tls.wants_write() {
            tls.write_tls(socket)?;
        }
        let mut count = 0;
        while count < state.plaintext_bytes_to_read().min(buffer.len()) {
            count += tls.reader().read(&mut buffer[count..])?;
        }
        if count > 0
            && let Some(Connection { socket, tls }) = connections.get_mut(index ^ 1)
        {
            tls.writer().write_all(&buffer[..count])?;
            while tls.wants_write() {
                tls.write_tls(socket)?;
            }
        }
        if is_over {
            return Ok(());
        }
    }
}
