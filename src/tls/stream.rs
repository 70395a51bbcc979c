//! The encrypted byte stream of one connection.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use super::error_text;

/// The result of a read.
pub struct Read {
    /// Bytes read into the front of the buffer; 0 at the end of the stream.
    pub count: usize,
    /// Whether nothing was left to read.
    pub is_drained: bool,
}

/// A connection's TLS session and what it holds back. The socket is the caller's.
pub struct TlsStream {
    session: rustls::Connection,
    /// Bytes that were read from the socket while the session had no room for more plaintext.
    undecrypted: Vec<u8>,
    /// Bytes of the send queue that the session has encrypted and the kernel has not taken.
    encrypted: usize,
}

impl TlsStream {
    /// Starts the handshake of an accepted connection.
    ///
    /// # Errors
    /// The configuration does not allow it.
    pub fn accept(config: &Arc<ServerConfig>) -> io::Result<Self> {
        let session =
            ServerConnection::new(Arc::clone(config)).map_err(|error| to_io_error(&error))?;
        Ok(Self::new(session.into()))
    }

    /// Starts the handshake of a dialled connection to a server whose certificate must be for
    /// `name`.
    ///
    /// # Errors
    /// The configuration does not allow it.
    pub fn connect(config: &Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let session =
            ClientConnection::new(Arc::clone(config), name).map_err(|error| to_io_error(&error))?;
        Ok(Self::new(session.into()))
    }

    fn new(session: rustls::Connection) -> Self {
        Self { session, undecrypted: Vec::new(), encrypted: 0 }
    }

    /// Returns whether the handshake goes on.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Returns whether the other end has shown a certificate, which was then verified.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        self.session.peer_certificates().is_some_and(|chain| !chain.is_empty())
    }

    /// Reads from the socket once, and decrypts into the front of `buffer`.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if there is nothing to read now, [`ErrorKind::Interrupted`] if
    /// what was read has no plaintext, and [`ErrorKind::InvalidData`] if the other end broke the
    /// protocol or its certificate was refused.
    pub fn read(
        &mut self,
        stream: &mut (impl io::Read + io::Write),
        buffer: &mut [u8],
    ) -> io::Result<Read> {
        if let Some(count) = self.take_plaintext(buffer)? {
            return Ok(Read { count, is_drained: false });
        }
        let is_drained = if self.undecrypted.is_empty() {
            // Plaintext is no longer than its ciphertext, but for one record that had begun.
            let (_, input) = buffer.split_at_mut(buffer.len() / 2);
            let count = stream.read(input)?;
            if count == 0 {
                return Ok(Read { count: 0, is_drained: true });
            }
            let is_drained = count < input.len();
            self.decrypt(&input[..count])?;
            is_drained
        } else {
            let input = std::mem::take(&mut self.undecrypted);
            self.decrypt(&input)?;
            false
        };
        match self.take_plaintext(buffer)? {
            Some(count) => {
                // A buffer that is full may not have taken all.
                let is_drained = is_drained && self.undecrypted.is_empty() && count < buffer.len();
                Ok(Read { count, is_drained })
            }
            // A part of a record, or of the handshake. The socket may have the end of the stream.
            None => Err(ErrorKind::Interrupted.into()),
        }
    }

    /// Moves decrypted bytes into `buffer`. Returns 0 at the end of the stream, and `None` if there
    /// are none now.
    fn take_plaintext(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut count = 0;
        while count < buffer.len() {
            match self.session.reader().read(&mut buffer[count..]) {
                Ok(0) if count == 0 => return Ok(Some(0)),
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok((count > 0).then_some(count))
    }

    /// Gives `input` to the session, as far as it has room for the plaintext.
    fn decrypt(&mut self, mut input: &[u8]) -> io::Result<()> {
        while !input.is_empty() {
            match self.session.read_tls(&mut input) {
                // The other end has said that no more bytes follow.
                Ok(0) => break,
                Ok(_) => {}
                // There is no room for more plaintext.
                Err(error) if error.kind() == ErrorKind::Other => {
                    self.undecrypted.extend_from_slice(input);
                    break;
                }
                Err(error) => return Err(error),
            }
            self.session.process_new_packets().map_err(|error| to_io_error(&error))?;
        }
        Ok(())
    }

    /// Encrypts and writes the front of `unsent`, all unsent bytes of the link. Returns how many of
    /// them have reached the kernel; fewer than given means that the socket is full, or that the
    /// handshake goes on.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn write(
        &mut self,
        stream: &mut (impl io::Read + io::Write),
        unsent: &[u8],
    ) -> io::Result<usize> {
        let mut sent = 0;
        loop {
            if !self.flush(stream)? {
                return Ok(sent);
            }
            sent += std::mem::take(&mut self.encrypted);
            let rest = &unsent[sent..];
            if rest.is_empty() || self.session.is_handshaking() {
                return Ok(sent);
            }
            self.encrypted = self.session.writer().write(rest)?;
        }
    }

    /// Returns whether the session has bytes for the socket, such as those of the handshake.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    /// Writes the session's bytes. Returns whether the socket took all.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn flush(&mut self, stream: &mut (impl io::Read + io::Write)) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(stream) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says to the other end that no more bytes follow.
    pub fn close(&mut self, stream: &mut (impl io::Read + io::Write)) {
        self.session.send_close_notify();
        // The connection closes in any case.
        let _ = self.flush(stream);
    }
}

fn to_io_error(error: &rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error_text(error))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::super::{ClientTrust, TlsConfigs, TlsFiles, make_certificates};
    use super::*;

    /// One direction of a connection, with room for `room` bytes.
    #[derive(Default)]
    struct Pipe {
        bytes: VecDeque<u8>,
        room: usize,
    }

    /// One end of a connection: reads from one pipe at most `read_max` bytes at a time, writes to
    /// the other.
    struct End<'a> {
        input: &'a mut Pipe,
        output: &'a mut Pipe,
        read_max: usize,
    }

    impl io::Read for End<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.input.bytes.is_empty() {
                return Err(ErrorKind::WouldBlock.into());
            }
            let len = buffer.len().min(self.read_max);
            self.input.bytes.read(&mut buffer[..len])
        }
    }

    impl io::Write for End<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.output.room - self.output.bytes.len());
            if count == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.output.bytes.write(&bytes[..count])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the two ends of a connection before their handshake.
    fn streams() -> (TlsStream, TlsStream) {
        let dir = tempfile::tempdir().expect("a directory");
        make_certificates(dir.path(), &["localhost".to_owned()], (2026, 2, 28)).expect("made");
        let files = TlsFiles {
            certificate: Some(dir.path().join("server.pem")),
            key: Some(dir.path().join("server.key")),
            authorities: None,
        };
        let configs = TlsConfigs::load(&files).expect("valid");
        let server = TlsStream::accept(&configs.accept.expect("a certificate")).expect("accepted");
        let trust = ClientTrust::authorities(&dir.path().join("ca.pem")).expect("valid");
        (trust.connect("localhost").expect("a name"), server)
    }

    /// Returns the number of bytes that a read has brought: none if there were none yet.
    fn bytes_read(read: io::Result<Read>) -> usize {
        match read {
            Ok(read) => read.count,
            Err(error) => {
                let kind = error.kind();
                assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted), "{error}");
                0
            }
        }
    }

    /// Sends `text` from `from` to `to`, with pieces of the given sizes in the way. Returns what
    /// arrives, and how many bytes counted as sent.
    fn transfer(
        (from, to): (&mut TlsStream, &mut TlsStream),
        text: &[u8],
        (room, read_max, buffer_bytes): (usize, usize, usize),
    ) -> (Vec<u8>, usize) {
        let mut pipes = [Pipe { room, ..Pipe::default() }, Pipe { room, ..Pipe::default() }];
        let (mut received, mut sent) = (Vec::new(), 0);
        let mut buffer = vec![0; buffer_bytes];
        for _ in 0..100_000 {
            let [there, back] = &mut pipes;
            let mut end = End { input: &mut *back, output: &mut *there, read_max };
            sent += from.write(&mut end, &text[sent..]).expect("written");
            assert_eq!(bytes_read(from.read(&mut end, &mut buffer)), 0, "nothing is sent back");
            let mut end = End { input: there, output: back, read_max };
            let count = bytes_read(to.read(&mut end, &mut buffer));
            received.extend_from_slice(&buffer[..count]);
            let _ = to.flush(&mut end).expect("flushed");
            let is_empty = pipes.iter().all(|pipe| pipe.bytes.is_empty());
            if sent == text.len() && is_empty && received.len() >= text.len() {
                break;
            }
        }
        (received, sent)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_cut_of_the_stream_gives_the_same_bytes(
            len in 0_usize..100_000,
            room in 1_usize..40_000,
            read_max in 1_usize..40_000,
            buffer_bytes in 64_usize..70_000,
        ) {
            // A very narrow way makes the run long, not different.
            let (room, read_max) = (room.max(len / 100 + 1), read_max.max(len / 100 + 1));
            let text: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
            let (mut client, mut server) = streams();
            let sizes = (room, read_max, buffer_bytes);
            let (received, sent) = transfer((&mut client, &mut server), &text, sizes);
            prop_assert_eq!(sent, len);
            prop_assert!(received == text, "{} of {} bytes", received.len(), len);
        }
    }

    #[test]
    fn bytes_count_as_sent_when_the_socket_has_taken_all_of_their_records() {
        let (mut client, mut server) = streams();
        let text = vec![7; 10];
        let (received, _) = transfer((&mut client, &mut server), &text, (5000, 5000, 9000));
        assert_eq!(received, text);
        let mut pipes = [Pipe { room: 20, ..Pipe::default() }, Pipe::default()];
        let [there, back] = &mut pipes;
        let mut end = End { input: back, output: there, read_max: 1 };
        assert_eq!(client.write(&mut end, &text).expect("written"), 0);
        end.output.room = 1000;
        let more = [&text[..], b"more"].concat();
        assert_eq!(client.write(&mut end, &more).expect("written"), more.len());
    }

    #[test]
    fn plain_bytes_are_an_error_that_says_so() {
        let (_, mut server) = streams();
        let mut pipes =
            [Pipe { room: 100, ..Pipe::default() }, Pipe { room: 100, ..Pipe::default() }];
        let [input, output] = &mut pipes;
        input.bytes.extend(b"\x80 plain bytes, and enough of them");
        let mut end = End { input, output, read_max: 100 };
        let error = server.read(&mut end, &mut [0; 1000]).err().expect("an error");
        assert!(error.to_string().contains("plain bytes"), "{error}");
    }
}
