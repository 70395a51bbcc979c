//! Where the client connects: `crc://host:port`, and what people write instead of it; other schemes
//! are other wires.
//!
//! Parses and shows; looks no name up. A URL that parsed has a host and a port that is not 0.

use std::fmt;
use std::str::FromStr;

use crate::uri::{Address, Uri, UriError};

/// The port of `crc://`: 3600, registered as text-relay.
const CRC_PORT: u16 = 3600;
/// The port of `direct://`.
const DIRECT_PORT: u16 = 3601;
/// The port of `classic://`.
const CLASSIC_PORT: u16 = 3602;

/// A wire that the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The CRC wire (contract section 2).
    Crc,
    /// The direct wire (contract section 3).
    Direct,
    /// The classic wire (contract section 4).
    Classic,
}

/// Every scheme by its name, with its default port.
const SCHEMES: [(&str, Scheme, u16); 3] = [
    ("crc", Scheme::Crc, CRC_PORT),
    ("direct", Scheme::Direct, DIRECT_PORT),
    ("classic", Scheme::Classic, CLASSIC_PORT),
];

/// The server to connect to, and the wire to speak with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Which wire.
    pub scheme: Scheme,
    /// A name or an address, an IPv6 one without its brackets.
    pub host: String,
    /// Not 0.
    pub port: u16,
}

impl Url {
    /// `host:port`, as programs take it that know of no schemes.
    #[must_use]
    pub fn authority(&self) -> String {
        Address { host: self.host.clone(), port: self.port }.to_string()
    }

    /// The command that starts a server there.
    pub(super) fn server_command(&self) -> String {
        match self.scheme {
            Scheme::Crc if self.port == CRC_PORT => "crc server".to_owned(),
            Scheme::Crc => format!("crc server --listen {}", self.authority()),
            Scheme::Direct => format!("crc server --direct {}", self.authority()),
            Scheme::Classic => format!("crc server --classic {}", self.authority()),
        }
    }
}

impl Default for Url {
    fn default() -> Self {
        Self { scheme: Scheme::Crc, host: "127.0.0.1".to_owned(), port: CRC_PORT }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = SCHEMES.iter().find(|(_, scheme, _)| *scheme == self.scheme);
        let name = scheme.map_or("", |(name, ..)| *name);
        write!(f, "{name}://{}", self.authority())
    }
}

impl FromStr for Url {
    type Err = UriError;

    /// Takes `scheme://host:port`; without a scheme it is `crc`, without a port the scheme's own.
    fn from_str(text: &str) -> Result<Self, UriError> {
        let uri: Uri = text.parse()?;
        let name = uri.scheme.as_deref().unwrap_or("crc");
        let row = SCHEMES.iter().find(|(known, ..)| *known == name);
        let &(_, scheme, default_port) =
            row.ok_or_else(|| UriError::unknown_scheme(name, &SCHEMES.map(|(known, ..)| known)))?;
        match uri.port.unwrap_or(default_port) {
            0 => {
                Err(UriError::new(text, "has the port `0`, which is not a number from 1 to 65535"))
            }
            port => Ok(Self { scheme, host: uri.host, port }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match text.parse::<Url>() {
            Ok(url) => url.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn takes_what_people_write() {
        check("crc://example.org:4000", "crc://example.org:4000");
        check("CRC://example.org:4000/", "crc://example.org:4000");
        check("example.org:4000", "crc://example.org:4000");
        check("example.org", "crc://example.org:3600");
        check("direct://example.org", "direct://example.org:3601");
        check("classic://example.org/", "classic://example.org:3602");
        check("Classic://[::1]:4000", "classic://[::1]:4000");
        check("direct", "crc://direct:3600");
        check("[::1]", "crc://[::1]:3600");
        check("crc://[::1]:4000", "crc://[::1]:4000");
        check("crc://[fe80::1%eth0]", "crc://[fe80::1%eth0]:3600");
        assert_eq!(Url::default().to_string(), "crc://127.0.0.1:3600");
    }

    #[test]
    fn says_what_is_wrong_and_what_to_write() {
        let schemes = "crc://host:port, direct://host:port, classic://host:port";
        check("http://a:1", &format!("unknown scheme `http://`; write {schemes}"));
        let write = "write host:port, such as 127.0.0.1:3600";
        check(
            "a:0",
            &format!("`a:0` has the port `0`, which is not a number from 1 to 65535; {write}"),
        );
        check("crc://", &format!("`crc://` has no host; {write}"));
    }

    #[test]
    fn says_how_to_start_a_server() {
        for (url, command) in [
            ("localhost", "crc server"),
            ("localhost:4000", "crc server --listen localhost:4000"),
            ("direct://localhost", "crc server --direct localhost:3601"),
            ("classic://[::1]:3600", "crc server --classic [::1]:3600"),
        ] {
            let url: Url = url.parse().expect("valid");
            assert_eq!(url.server_command(), command);
        }
    }
}
