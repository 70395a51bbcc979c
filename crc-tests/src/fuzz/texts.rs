//! The fuzz targets of what strangers write outside of the wires: headers of proxies, and texts of
//! options and of the operator.

use std::io::{self, ErrorKind};

use crc::internal::net::{ProxyHeader, ProxySource};
use crc::internal::operator::{Answer, Format, execute};
use crc::limits::Limits;
use crc::link::Time;
use crc::node::Node;
use crc::relay::{Identity, LinkKey, Token};
use crc::uri::{Address, Uri};

/// A stream whose bytes come in pieces, and which counts what was read of it.
struct Pieces<'a> {
    bytes: &'a [u8],
    piece_bytes: usize,
    read_bytes: usize,
    /// Whether the next read finds nothing.
    is_empty: bool,
}

impl io::Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.is_empty = !self.is_empty;
        if self.is_empty {
            return Err(ErrorKind::WouldBlock.into());
        }
        let rest = &self.bytes[self.read_bytes..];
        let count = rest.len().min(buffer.len()).min(self.piece_bytes);
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read_bytes += count;
        Ok(count)
    }
}

/// Checks the header of the PROXY protocol: any cut of the stream gives the same source or an
/// error, and the same number of bytes was read.
///
/// # Panics
/// If a check fails.
pub fn proxy(bytes: &[u8]) {
    let [whole, cut] = [usize::MAX, 1].map(|piece_bytes| {
        let mut stream = Pieces { bytes, piece_bytes, read_bytes: 0, is_empty: false };
        (read_header(&mut stream), stream.read_bytes)
    });
    assert_eq!(whole.0, cut.0);
    if let Ok(source) = whole.0 {
        assert_eq!(whole.1, cut.1, "{source:?}");
    }
}

fn read_header(stream: &mut Pieces<'_>) -> Result<ProxySource, ErrorKind> {
    let mut header = ProxyHeader::default();
    loop {
        match header.read(stream) {
            Ok(source) => return Ok(source),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.kind()),
        }
    }
}

/// Parses a text as everything that a person may paste: a token, a link key, an address, a URI, and
/// a command of the operator. What was parsed parses again after it was written.
///
/// # Panics
/// If a check fails.
pub fn texts(bytes: &[u8]) {
    drop(LinkKey::parse(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    drop(text.parse::<Token>());
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
    drop(text.parse::<Uri>());
    let identity = Identity {
        id: crc::id::HostId(1),
        is_id_configured: false,
        name: b"n".to_vec(),
        info: vec![],
    };
    let mut node = Node::new(identity, 0, Limits::default(), 1);
    for format in [Format::Text, Format::Json] {
        if let Answer::Ready(Ok(text) | Err(text)) =
            execute(&mut node, Time::default(), text, format)
        {
            assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
        }
    }
}
