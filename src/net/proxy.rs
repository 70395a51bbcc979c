//! The header of the PROXY protocol, version 2, with which a proxy says whose connection it passes
//! on.
//!
//! <https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt>, section 2.2. Only proxies in
//! `--trusted-proxies` are believed.

use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::limits::PROXY_HEADER_BYTES_MAX;

/// The first bytes of every header.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Length of a header without addresses: the signature, version and command, family, and the length
/// of the rest.
const FIXED_BYTES: usize = 16;

/// A header that is being read.
#[derive(Debug, Default)]
pub struct ProxyHeader {
    bytes: Vec<u8>,
}

/// Whose connection a proxy passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxySource {
    /// That of a client with this address.
    Client(SocketAddr),
    /// One of the proxy itself, such as a health check, or one whose origin it does not know.
    Proxy,
}

impl ProxyHeader {
    /// Reads as much of the header as there is, and nothing behind it.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if more is to follow, [`ErrorKind::InvalidData`] if the bytes are
    /// no header.
    pub fn read(&mut self, stream: &mut impl Read) -> io::Result<ProxySource> {
        loop {
            let missing_bytes = header_len(&self.bytes)? - self.bytes.len();
            if missing_bytes == 0 {
                return parse(&self.bytes);
            }
            let mut buffer = [0; PROXY_HEADER_BYTES_MAX];
            match stream.read(&mut buffer[..missing_bytes])? {
                0 => {
                    let problem = "the connection ended within its PROXY header";
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, problem));
                }
                count => self.bytes.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

/// Returns the length of the header that `bytes` begin with, as far as they tell.
fn header_len(bytes: &[u8]) -> io::Result<usize> {
    let signature_bytes = bytes.len().min(SIGNATURE.len());
    if bytes[..signature_bytes] != SIGNATURE[..signature_bytes] {
        return Err(invalid(
            "not a PROXY header; the proxy must send version 2 of the PROXY protocol (haproxy: \
             send-proxy-v2), or leave --trusted-proxies"
                .to_owned(),
        ));
    }
    if bytes.len() < FIXED_BYTES {
        return Ok(FIXED_BYTES);
    }
    let rest = u16::from_be_bytes([bytes[14], bytes[15]]);
    match FIXED_BYTES + usize::from(rest) {
        len if len > PROXY_HEADER_BYTES_MAX => Err(invalid(format!(
            "a PROXY header of {len} bytes, the largest allowed is {PROXY_HEADER_BYTES_MAX}"
        ))),
        len => Ok(len),
    }
}

/// Parses a whole header. What follows the addresses is skipped.
fn parse(header: &[u8]) -> io::Result<ProxySource> {
    let [version_and_command, family] = [header[12], header[13]];
    let addresses = &header[FIXED_BYTES..];
    match (version_and_command, family) {
        (0x20, _) | (0x21, 0x00) => Ok(ProxySource::Proxy),
        (0x21, 0x11) => {
            let [a, b, c, d, _, _, _, _, high, low, _, _, ..] = *addresses else {
                return Err(invalid("a PROXY header without its addresses".to_owned()));
            };
            let port = u16::from_be_bytes([high, low]);
            Ok(ProxySource::Client((IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port).into()))
        }
        (0x21, 0x21) => {
            let (source, rest) = addresses
                .split_first_chunk::<16>()
                .filter(|(_, rest)| rest.len() >= 20)
                .ok_or_else(|| invalid("a PROXY header without its addresses".to_owned()))?;
            let port = u16::from_be_bytes([rest[16], rest[17]]);
            Ok(ProxySource::Client((IpAddr::V6(Ipv6Addr::from(*source)), port).into()))
        }
        (0x21, family) => Err(invalid(format!(
            "a PROXY header of family 0x{family:02x}; only TCP over IPv4 and IPv6 is read"
        ))),
        (other, _) => Err(invalid(format!(
            "a PROXY header of version and command 0x{other:02x}; only version 2 is read"
        ))),
    }
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection whose bytes arrive in pieces.
    struct Pieces<'a>(Vec<&'a [u8]>);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(piece) = self.0.first_mut() else { return Ok(0) };
            if piece.is_empty() {
                self.0.remove(0);
                return Err(ErrorKind::WouldBlock.into());
            }
            piece.read(buffer)
        }
    }

    /// Returns a header with so many bytes behind the addresses, and application bytes after it.
    fn header(command: u8, family: u8, addresses: &[u8], extra_bytes: usize) -> Vec<u8> {
        let len = u16::try_from(addresses.len() + extra_bytes).expect("a short header");
        let fixed = [&SIGNATURE[..], &[command, family], &len.to_be_bytes()].concat();
        [&fixed[..], addresses, &vec![7; extra_bytes], b"application"].concat()
    }

    /// Reads a header that arrives in two pieces, and returns it with what is left to read.
    fn read(bytes: &[u8], cut: usize) -> Result<(ProxySource, Vec<u8>), String> {
        let mut stream = Pieces(vec![&bytes[..cut], &bytes[cut..]]);
        let mut reader = ProxyHeader::default();
        loop {
            match reader.read(&mut stream) {
                Ok(source) => return Ok((source, stream.0.concat())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<ProxySource, &str>) {
        for cut in 0..=bytes.len().min(80) {
            match (read(bytes, cut), expected) {
                (Ok((source, rest)), Ok(expected)) => {
                    assert_eq!(source, expected);
                    assert!(b"application".ends_with(&rest[..]), "cut at {cut}: {rest:?}");
                }
                (Err(error), Err(part)) => assert!(error.contains(part), "{part:?}: {error}"),
                (found, _) => panic!("cut at {cut}: {found:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn source_is_read_from_any_cut_of_the_header_and_nothing_behind_it() {
        let client = |text: &str| Ok(ProxySource::Client(text.parse().expect("an address")));
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0x0e, 0x10];
        check(&header(0x21, 0x11, &v4, 0), client("192.0.2.7:12345"));
        check(&header(0x21, 0x11, &v4, 40), client("192.0.2.7:12345"));
        let mut v6 = [0; 36];
        (v6[0], v6[1], v6[2], v6[3], v6[15], v6[33]) = (0x20, 1, 0x0d, 0xb8, 9, 80);
        check(&header(0x21, 0x21, &v6, 3), client("[2001:db8::9]:80"));
        check(&header(0x20, 0x00, &[], 0), Ok(ProxySource::Proxy));
        check(&header(0x20, 0x11, &v4, 0), Ok(ProxySource::Proxy));
        check(&header(0x21, 0x00, &[], 9), Ok(ProxySource::Proxy));
    }

    #[test]
    fn other_bytes_are_an_error_that_says_what_is_wrong() {
        check(b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n", Err("send-proxy-v2"));
        check(&[0x80, 0, 0, 0], Err("not a PROXY header"));
        check(&header(0x31, 0x11, &[0; 12], 0), Err("version and command 0x31"));
        check(&header(0x21, 0x31, &[0; 216], 0), Err("family 0x31"));
        check(&header(0x21, 0x11, &[0; 11], 0), Err("without its addresses"));
        check(&header(0x21, 0x21, &[0; 35], 0), Err("without its addresses"));
        check(&header(0x20, 0x00, &[], PROXY_HEADER_BYTES_MAX), Err("the largest allowed"));
        check(&SIGNATURE[..5], Err("ended within"));
    }
}
