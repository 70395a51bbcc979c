//! A client that sends and one that receives, on blocking sockets.

use std::io::{self, ErrorKind, Read as _};
use std::net::TcpStream;
use std::time::Duration;

use crc::internal::tls::{ClientTrust, TlsStream};

use super::programs::{Program, User};

/// How long to wait for the server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A TLS connection.
pub(super) struct Client {
    socket: TcpStream,
    tls: TlsStream,
}

/// Connects a client, and ends its handshake. A greeting in plain text is read before it.
pub(super) fn connect(trust: &ClientTrust, port: u16, has_greeting: bool) -> io::Result<Client> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    if has_greeting {
        let mut byte = [0];
        while byte != *b"\n" {
            socket.read_exact(&mut byte)?;
        }
    }
    let tls = trust.connect("127.0.0.1").map_err(io::Error::other)?;
    let mut client = Client { socket, tls };
    while client.tls.is_handshaking() {
        client.tls.flush(&mut client.socket)?;
        let _ = client.read_once(&mut [0; 1024])?;
    }
    client.tls.flush(&mut client.socket)?;
    Ok(client)
}

impl Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        while sent < bytes.len() {
            sent += self.tls.write(&mut self.socket, &bytes[sent..])?;
        }
        Ok(())
    }

    /// Returns the number of bytes read; 0 if only a part of a record has come.
    fn read_once(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.tls.read(&mut self.socket, buffer) {
            Ok(read) if read.count == 0 => Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => Ok(read.count),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Reads until all that has come fulfils a condition. Returns how many bytes have come.
    fn read_until(&mut self, is_all: impl Fn(&[u8]) -> bool) -> io::Result<usize> {
        let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
        while !is_all(&received) {
            let count = self.read_once(&mut buffer)?;
            received.extend_from_slice(&buffer[..count]);
        }
        Ok(received.len())
    }

    /// Signs in, and reads the answer.
    pub(super) fn sign_in(&mut self, program: &Program, user: &User) -> io::Result<()> {
        let Some(sign_in) = program.sign_in(user) else { return Ok(()) };
        self.write(&sign_in.request)?;
        let is_answer = |window: &[u8]| window == sign_in.answer;
        let len = sign_in.answer.len();
        self.read_until(|received| received.windows(len).any(is_answer)).map(drop)
    }
}

/// A sender and a receiver.
pub(super) struct Pair {
    sender: Client,
    receiver: Client,
    message: Vec<u8>,
    /// Length of a message as it is received.
    received_len: usize,
    write_bytes_max: usize,
}

impl Pair {
    /// Connects both, signs them in, and sends a first message.
    pub(super) fn connect(
        trust: &ClientTrust,
        program: &Program,
        port: u16,
        text_bytes: usize,
    ) -> io::Result<Self> {
        let users = [0, 1].map(User::new);
        let has_greeting = program.greets_in_plain_text();
        let mut sender = connect(trust, port, has_greeting)?;
        sender.sign_in(program, &users[0])?;
        let mut receiver = connect(trust, port, has_greeting)?;
        receiver.sign_in(program, &users[1])?;
        let text = "x".repeat(text_bytes);
        let message = program.message(&users[0], &users[1], &text);
        let end = program.message_end(&text);
        let mut received_len = 0;
        // What a server sends between its answer and the first message comes with that.
        for _ in 0..2 {
            sender.write(&message)?;
            received_len = receiver.read_until(|received| received.ends_with(&end))?;
        }
        let write_bytes_max = program.write_bytes_max();
        Ok(Self { sender, receiver, message, received_len, write_bytes_max })
    }

    /// Sends messages with so many in flight, and waits until all have arrived.
    pub(super) fn exchange(&mut self, messages: usize, in_flight: usize) -> io::Result<()> {
        let (message_len, received_len) = (self.message.len(), self.received_len);
        let batch = self.message.repeat(in_flight);
        let (mut sent, mut received_bytes) = (0, 0);
        let mut buffer = vec![0; 64 * 1024];
        while received_bytes < messages * received_len {
            let received = received_bytes / received_len;
            let count = (received + in_flight - sent).min(messages - sent);
            if count > 0 {
                for bytes in batch[..count * message_len].chunks(self.write_bytes_max) {
                    self.sender.write(bytes)?;
                }
                sent += count;
            }
            received_bytes += self.receiver.read_once(&mut buffer)?;
        }
        Ok(())
    }
}
