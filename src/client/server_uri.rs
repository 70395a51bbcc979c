//! The URI of a server, such as `crc://host:port`. The scheme names the wire; `crc` is the default.
//!
//! A parsed URI has a host and a port other than 0. Names are resolved elsewhere.

use std::fmt;
use std::str::FromStr;

use crate::uri::{Address, UriError};
use crate::wires::{Endpoint, Wire};

/// The address of a server and the wire to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUri {
    /// The wire.
    pub wire: Wire,
    /// Whether its bytes are encrypted.
    pub is_tls: bool,
    /// A name or an IP address, without brackets.
    pub host: String,
    /// The port, not 0.
    pub port: u16,
}

impl ServerUri {
    /// Returns `host:port`.
    #[must_use]
    pub fn authority(&self) -> String {
        Address { host: self.host.clone(), port: self.port }.to_string()
    }

    /// Returns the command that starts a server at this address.
    pub(super) fn server_command(&self) -> String {
        let authority = self.authority();
        match self.wire {
            wire if self.is_tls => format!("crc server --listen {wire}s://{authority}"),
            wire if wire != Wire::CRC => format!("crc server --{wire} {authority}"),
            wire if wire.default_port() == self.port => "crc server".to_owned(),
            _ => format!("crc server --listen {authority}"),
        }
    }
}

impl Default for ServerUri {
    fn default() -> Self {
        Self {
            wire: Wire::CRC,
            is_tls: false,
            host: "127.0.0.1".to_owned(),
            port: Wire::CRC.default_port(),
        }
    }
}

impl fmt::Display for ServerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.is_tls { "s" } else { "" };
        write!(f, "{}{s}://{}", self.wire, self.authority())
    }
}

impl FromStr for ServerUri {
    type Err = UriError;

    /// Parses `scheme://host:port`. The default scheme is `crc`, the default port that of the
    /// scheme.
    fn from_str(text: &str) -> Result<Self, UriError> {
        let Endpoint { wire, is_tls, address: Address { host, port } } = text.parse()?;
        if port == 0 {
            let problem = "has the port `0`, which is not a number from 1 to 65535";
            return Err(UriError::new(text, problem));
        }
        Ok(Self { wire, is_tls, host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match text.parse::<ServerUri>() {
            Ok(url) => url.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn common_spellings_parse_to_the_full_uri() {
        check("crc://example.org:4000", "crc://example.org:4000");
        check("CRC://example.org:4000/", "crc://example.org:4000");
        check("example.org:4000", "crc://example.org:4000");
        check("example.org", "crc://example.org:3600");
        check("direct://example.org", "direct://example.org:3601");
        check("classic://example.org/", "classic://example.org:3602");
        check("Classic://[::1]:4000", "classic://[::1]:4000");
        check("direct", "crc://direct:3600");
        check("crcs://example.org", "crcs://example.org:3600");
        check("[::1]", "crc://[::1]:3600");
        check("crc://[::1]:4000", "crc://[::1]:4000");
        check("crc://[fe80::1%eth0]", "crc://[fe80::1%eth0]:3600");
        assert_eq!(ServerUri::default().to_string(), "crc://127.0.0.1:3600");
    }

    #[test]
    fn says_what_is_wrong_and_what_to_write() {
        let schemes = "crc[s]://host:port, direct[s]://host:port, classic[s]://host:port, irc[s]://host:port, http[s]://host:port";
        check("gopher://a:1", &format!("unknown scheme `gopher://`; write {schemes}"));
        let write = "write host:port, such as 127.0.0.1:3600";
        check(
            "a:0",
            &format!("`a:0` has the port `0`, which is not a number from 1 to 65535; {write}"),
        );
        check("crc://", &format!("`crc://` has no host; {write}"));
    }

    #[test]
    fn server_command_matches_wire_and_port() {
        for (url, command) in [
            ("localhost", "crc server"),
            ("localhost:4000", "crc server --listen localhost:4000"),
            ("direct://localhost", "crc server --direct localhost:3601"),
            ("directs://localhost", "crc server --listen directs://localhost:3601"),
            ("classic://[::1]:3600", "crc server --classic [::1]:3600"),
        ] {
            let url: ServerUri = url.parse().expect("valid");
            assert_eq!(url.server_command(), command);
        }
    }
}
