//! Where a wire is spoken: `scheme://host:port`, in which a final `s` of the scheme means TLS.

use std::fmt;
use std::str::FromStr;

use super::{WIRES, Wire};
use crate::uri::{Address, Uri, UriError};

/// A wire, with or without TLS, at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The wire.
    pub wire: Wire,
    /// Whether its bytes are encrypted.
    pub is_tls: bool,
    /// The host and the port.
    pub address: Address,
}

impl Endpoint {
    /// Returns the endpoint of a wire without TLS.
    #[must_use]
    pub fn plain(wire: Wire, address: Address) -> Self {
        Self { wire, is_tls: false, address }
    }

    /// Returns the scheme: the name of the wire, with an `s` if it is encrypted.
    #[must_use]
    pub fn scheme(&self) -> String {
        scheme(self.wire, self.is_tls)
    }
}

/// Returns the scheme of a wire with or without TLS.
fn scheme(wire: Wire, is_tls: bool) -> String {
    format!("{wire}{}", if is_tls { "s" } else { "" })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.address)
    }
}

impl FromStr for Endpoint {
    type Err = UriError;

    /// Parses `scheme://host[:port]`, or `host[:port]` for the CRC wire. The default port is that
    /// of the wire, with or without TLS.
    fn from_str(text: &str) -> Result<Self, UriError> {
        let uri: Uri = text.parse()?;
        let (wire, is_tls) = match uri.scheme.as_deref() {
            None => (Wire::CRC, false),
            Some(scheme) => parse_scheme(scheme)?,
        };
        let default_port = if is_tls { wire.default_tls_port() } else { wire.default_port() };
        let port = uri.port.unwrap_or(default_port);
        Ok(Self { wire, is_tls, address: Address { host: uri.host, port } })
    }
}

fn parse_scheme(text: &str) -> Result<(Wire, bool), UriError> {
    let mut candidates = WIRES.into_iter().flat_map(|wire| [(wire, false), (wire, true)]);
    candidates.find(|(wire, is_tls)| scheme(*wire, *is_tls) == text).ok_or_else(|| {
        let known = WIRES.map(|wire| format!("{wire}[s]"));
        UriError::unknown_scheme(text, &known.each_ref().map(String::as_str))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match text.parse::<Endpoint>() {
            Ok(endpoint) => endpoint.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn scheme_names_the_wire_and_whether_it_is_encrypted() {
        check("example.org", "crc://example.org:3600");
        check("example.org:0", "crc://example.org:0");
        check("crcs://example.org", "crcs://example.org:3600");
        check("DIRECTS://[::1]:1", "directs://[::1]:1");
        check("classics://a/", "classics://a:3602");
        check("irc://a", "irc://a:6667");
        check("ircs://a", "ircs://a:6697");
        check("direct", "crc://direct:3600");
        let known = "crc[s]://host:port, direct[s]://host:port, classic[s]://host:port, irc[s]://host:port, http[s]://host:port";
        check("gophers://a:1", &format!("unknown scheme `gophers://`; write {known}"));
        check("s://a:1", &format!("unknown scheme `s://`; write {known}"));
    }
}
