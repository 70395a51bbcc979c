//! The check of the header of the PROXY protocol: a stream is one header, read once, and the bytes
//! of an application behind it.

use std::io::{self, ErrorKind, Read};

use crc::internal::net::{ProxyHeader, ProxySource};
use crc::limits::PROXY_HEADER_BYTES_MAX;

use super::check::{Check, Counts};

/// The check of the header.
pub(super) struct Proxy;

/// A stream that arrives in the pieces that end at `cuts`, with nothing to read between them.
struct Pieces<'a> {
    stream: &'a [u8],
    cuts: &'a [usize],
    read_bytes: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((&end, rest)) = self.cuts.split_first() else { return Ok(0) };
        if self.read_bytes == end {
            self.cuts = rest;
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = buffer.len().min(end - self.read_bytes);
        buffer[..count].copy_from_slice(&self.stream[self.read_bytes..][..count]);
        self.read_bytes += count;
        Ok(count)
    }
}

impl Pieces<'_> {
    /// Reads a header. Returns its source, or what is wrong with it.
    fn read_header(&mut self, bytes_max: &mut usize) -> Result<ProxySource, (ErrorKind, String)> {
        let mut header = ProxyHeader::default();
        loop {
            let result = header.read(self);
            *bytes_max = (*bytes_max).max(self.read_bytes);
            match result {
                Ok(source) => return Ok(source),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err((error.kind(), error.to_string())),
            }
        }
    }
}

impl Check for Proxy {
    /// The largest header, and as many bytes behind it.
    const STREAM_BYTES_MAX: usize = 2 * PROXY_HEADER_BYTES_MAX;

    fn seeds(&self) -> Vec<Vec<u8>> {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0x0e, 0x10];
        let v6 = [[0x20, 1, 0x0d, 0xb8, 0, 0].repeat(5), vec![0; 6]].concat();
        vec![
            header(0x21, 0x11, &v4, b"\x01\0\0\0"),
            header(0x21, 0x11, &[&v4[..], &[0x04, 0, 3, 1, 2, 3]].concat(), b"GET / HTTP/1.1\r\n"),
            header(0x21, 0x21, &v6, b"Connect frodo"),
            header(0x21, 0x21, &[&v6[..], &[0; PROXY_HEADER_BYTES_MAX - 52]].concat(), b"end"),
            header(0x20, 0x00, &[], b"Hi Sam!"),
            header(0x21, 0x00, &[7; 9], b""),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 3600\r\n".to_vec(),
        ]
    }

    fn check(&mut self, stream: &[u8], cuts: &[usize], number: u64, counts: &mut Counts) {
        let bytes_max = &mut counts.partial_bytes_max;
        let mut whole = Pieces { stream, cuts: &[stream.len()], read_bytes: 0 };
        let found = whole.read_header(bytes_max);
        let mut in_pieces = Pieces { stream, cuts, read_bytes: 0 };
        assert_eq!(in_pieces.read_header(bytes_max), found, "stream {number}: the result");
        assert!(*bytes_max <= PROXY_HEADER_BYTES_MAX, "stream {number}: more is kept than allowed");
        if found.is_ok() {
            let rests = [whole.read_bytes, in_pieces.read_bytes];
            assert_eq!(rests[0], rests[1], "stream {number}: what is left for the application");
        }
        counts.frames += u64::from(found.is_ok());
        counts.errors += u64::from(found.is_err());
    }
}

/// Returns a header, and the bytes of an application behind it.
fn header(command: u8, family: u8, addresses: &[u8], application: &[u8]) -> Vec<u8> {
    let len = u16::try_from(addresses.len()).expect("a short header");
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    [&signature[..], &[command, family], &len.to_be_bytes(), addresses, application].concat()
}
