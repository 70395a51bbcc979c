//! A client that sends and one that receives, on blocking sockets.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::Duration;

use crc::internal::tls::{ClientTrust, TlsStream};

use crate::frames;

const SENDER: u32 = 101;
const RECEIVER: u32 = 102;

/// How long to wait for the server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A TLS connection.
pub(super) struct Client {
    socket: TcpStream,
    tls: TlsStream,
}

/// Connects a client, and ends its handshake. If the server speaks first, waits for that.
pub(super) fn connect(trust: &ClientTrust, port: u16, hears: bool) -> io::Result<Client> {
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    let tls = trust.connect("127.0.0.1").map_err(io::Error::other)?;
    let mut client = Client { socket, tls };
    while client.tls.is_handshaking() {
        client.tls.flush(&mut client.socket)?;
        let _ = client.read_once(&mut [0; 1024])?;
    }
    client.tls.flush(&mut client.socket)?;
    if hears {
        while client.read_once(&mut [0; 1024])? == 0 {}
    }
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

    /// Reads until a text has come.
    fn read_until(&mut self, text: &[u8]) -> io::Result<()> {
        let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
        while !received.windows(text.len()).any(|window| window == text) {
            let count = self.read_once(&mut buffer)?;
            received.extend_from_slice(&buffer[..count]);
        }
        Ok(())
    }
}

/// A sender and a receiver.
pub(super) struct Pair {
    sender: Client,
    receiver: Client,
}

impl Pair {
    /// Connects both. With `is_crc`, they register as users; otherwise the server forwards what the
    /// first one sends to the second as it is.
    pub(super) fn connect(trust: &ClientTrust, port: u16, is_crc: bool) -> io::Result<Self> {
        let sender = connect(trust, port, false)?;
        let receiver = connect(trust, port, false)?;
        let mut pair = Self { sender, receiver };
        if is_crc {
            pair.sender.write(&frames::user_that_reads_cut_frames(SENDER, "sender", ""))?;
            pair.sender.read_until(b"network")?;
            pair.receiver.write(&frames::user_that_reads_cut_frames(RECEIVER, "receiver", ""))?;
            pair.receiver.read_until(b"sender")?;
            pair.sender.read_until(b"receiver")?;
        }
        Ok(pair)
    }

    /// Sends messages with so many in flight, and waits until all have arrived.
    pub(super) fn exchange(
        &mut self,
        messages: usize,
        in_flight: usize,
        text_bytes: usize,
    ) -> io::Result<()> {
        let message = frames::chat(SENDER, RECEIVER, &"x".repeat(text_bytes));
        let batch = message.repeat(in_flight);
        let (mut sent, mut received_bytes) = (0, 0);
        let mut buffer = vec![0; 64 * 1024];
        while received_bytes < messages * message.len() {
            let received = received_bytes / message.len();
            let count = (received + in_flight - sent).min(messages - sent);
            if count > 0 {
                self.sender.write(&batch[..count * message.len()])?;
                sent += count;
            }
            received_bytes += self.receiver.read_once(&mut buffer)?;
        }
        Ok(())
    }
}
