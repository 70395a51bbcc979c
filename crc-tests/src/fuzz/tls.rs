//! The fuzz target of TLS streams.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::OnceLock;

use crc::internal::tls::{ClientTrust, TlsConfigs, TlsFiles, TlsStream, make_certificates};

use super::take_bytes;

/// Maximum number of bytes on their way in one direction, as of socket buffers.
const IN_FLIGHT_BYTES_MAX: usize = 64 * 1024;

/// Connects a client to a server over a way on which the script cuts, changes, inserts, removes and
/// repeats bytes, in the handshake and after it. Keys are random, so that a script decides where
/// bytes change, and not what they are.
///
/// # Panics
/// If a stream panics, or gives other plaintext than the beginning of what the other end wrote.
pub fn tls(mut script: &[u8]) {
    let (trust, configs) = certificates();
    let server = TlsStream::accept(configs.accept.as_ref().expect("a certificate"));
    let mut ends = [
        End::new(trust.connect("localhost").expect("a name")),
        End::new(server.expect("accepted")),
    ];
    let mut ways = [VecDeque::new(), VecDeque::new()];
    while let Some((&opcode, rest)) = script.split_first() {
        script = rest;
        step(opcode, &mut script, &mut ends, &mut ways);
        for (from, end) in ends.iter_mut().enumerate() {
            end.write(&mut ways[1 - from]);
        }
    }
    let [client, server] = &ends;
    client.assert_read_from(server);
    server.assert_read_from(client);
}

/// Returns what the client verifies by, and what the server shows.
fn certificates() -> &'static (ClientTrust, TlsConfigs) {
    static MADE: OnceLock<(ClientTrust, TlsConfigs)> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        make_certificates(dir.path(), &["localhost".to_owned()], (2026, 2, 28)).expect("made");
        let files = TlsFiles {
            certificate: Some(dir.path().join("server.pem")),
            key: Some(dir.path().join("server.key")),
            authorities: None,
        };
        let trust = ClientTrust::authorities(&dir.path().join("ca.pem")).expect("valid");
        (trust, TlsConfigs::load(&files).expect("valid"))
    })
}

/// Runs one opcode: a bit that says to which end, and the operation.
fn step(opcode: u8, script: &mut &[u8], ends: &mut [End; 2], ways: &mut [VecDeque<u8>; 2]) {
    let to = usize::from(opcode & 1);
    let [client_way, server_way] = ways;
    let (way, back) = if to == 0 { (client_way, server_way) } else { (server_way, client_way) };
    let mut argument = || usize::from(take_bytes(script, 1)[0]);
    match opcode >> 1 & 7 {
        0 => ends[to].read(way, usize::MAX),
        1 => ends[to].read(way, argument()),
        2 => {
            let (at, mask) = (argument() << 8 | argument(), argument() as u8);
            if let Some(byte) = way.get_mut(at) {
                *byte ^= mask;
            }
        }
        3 => {
            let count = argument();
            for (at, byte) in take_bytes(script, count).iter().enumerate() {
                way.insert(at.min(way.len()), *byte);
            }
        }
        4 => {
            let start = argument().min(way.len());
            way.drain(start..start.saturating_add(argument()).min(way.len()));
        }
        5 => {
            let repeated: Vec<u8> = way.iter().copied().take(argument() * 16).collect();
            way.extend(repeated);
        }
        6 => ends[to].written += argument() * 64,
        _ => ends[to].close(back),
    }
    way.truncate(IN_FLIGHT_BYTES_MAX);
}

/// One end of the connection. It writes the bytes of [`text`].
struct End {
    stream: TlsStream,
    /// Bytes that this end has written.
    written: usize,
    /// Bytes of them that count as sent.
    sent: usize,
    received: Vec<u8>,
    /// The stream was closed, or has failed, and is not used again.
    is_over: bool,
}

/// Returns the bytes from `start` to `end` of what either end writes.
fn text(start: usize, end: usize) -> Vec<u8> {
    (start..end).map(|index| (index % 251) as u8).collect()
}

impl End {
    fn new(stream: TlsStream) -> Self {
        Self { stream, written: 0, sent: 0, received: Vec::new(), is_over: false }
    }

    /// Writes what waits, as far as there is room on the way.
    fn write(&mut self, output: &mut VecDeque<u8>) {
        if self.is_over {
            return;
        }
        let mut socket = Socket { input: &mut VecDeque::new(), output, read_max: 0 };
        match self.stream.write(&mut socket, &text(self.sent, self.written)) {
            Ok(count) => self.sent += count,
            Err(_) => self.is_over = true,
        }
        assert!(self.sent <= self.written);
    }

    /// Reads once from the way to this end, at most `read_max` bytes.
    fn read(&mut self, input: &mut VecDeque<u8>, read_max: usize) {
        if self.is_over {
            return;
        }
        let mut buffer = [0; 4096];
        let mut socket = Socket { input, output: &mut VecDeque::new(), read_max };
        match self.stream.read(&mut socket, &mut buffer) {
            Ok(read) => self.received.extend_from_slice(&buffer[..read.count]),
            Err(error) => {
                let kind = error.kind();
                self.is_over |= !matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted);
            }
        }
    }

    fn close(&mut self, output: &mut VecDeque<u8>) {
        self.stream.close(&mut Socket { input: &mut VecDeque::new(), output, read_max: 0 });
        self.is_over = true;
    }

    fn assert_read_from(&self, other: &Self) {
        assert!(self.received.len() <= other.written, "more than was written");
        assert!(self.received == text(0, self.received.len()), "other plaintext");
    }
}

/// The socket of one end.
struct Socket<'a> {
    input: &'a mut VecDeque<u8>,
    output: &'a mut VecDeque<u8>,
    read_max: usize,
}

impl io::Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.read_max);
        if self.input.is_empty() || len == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.input.read(&mut buffer[..len])
    }
}

impl io::Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(IN_FLIGHT_BYTES_MAX.saturating_sub(self.output.len()));
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.output.write(&bytes[..count])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
