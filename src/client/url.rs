//! Where the client connects: `crc://host:port`, and what people write instead of it; other schemes
//! are other wires.
//!
//! Parses and shows; looks no name up. A URL that parsed has a host and a port that is not 0.

use std::fmt;
use std::str::FromStr;

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
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
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

/// Why a text is no URL of a server: what is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlError(String);

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UrlError {}

impl FromStr for Url {
    type Err = UrlError;

    /// Takes `scheme://host:port`; without a scheme it is `crc`, without a port the scheme's own.
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, default_port, rest) = match text.split_once("://") {
            None => (Scheme::Crc, CRC_PORT, text),
            Some((name, rest)) => SCHEMES
                .iter()
                .find(|(known, ..)| known.eq_ignore_ascii_case(name))
                .map(|&(_, scheme, port)| (scheme, port, rest))
                .ok_or_else(|| unknown_scheme(name))?,
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('/') {
            return Err(wrong(text, "has a path; only a host and a port can be named"));
        }
        if let Some((_, server)) = authority.rsplit_once('@') {
            return Err(UrlError(format!(
                "`{text}` has a user name; write `{server}`, and the name with --name"
            )));
        }
        let (host, port) = split_port(text, authority)?;
        if host.is_empty() {
            return Err(wrong(text, "has no host"));
        }
        if host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(wrong(text, "has a space in its host"));
        }
        let port = match port {
            None => default_port,
            Some(digits) => digits.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
                wrong(
                    text,
                    &format!("has the port `{digits}`, which is not a number from 1 to 65535"),
                )
            })?,
        };
        Ok(Self { scheme, host: host.to_owned(), port })
    }
}

/// `host:port`, `[v6]:port`, `host` or `[v6]` in two.
fn split_port<'a>(text: &str, authority: &'a str) -> Result<(&'a str, Option<&'a str>), UrlError> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, rest) =
            bracketed.split_once(']').ok_or_else(|| wrong(text, "has a `[` without its `]`"))?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(wrong(text, "has something other than a port after `]`")),
        };
    }
    match authority.split_once(':') {
        None => Ok((authority, None)),
        Some((_, port)) if port.contains(':') => Err(UrlError(format!(
            "`{text}` has more than one colon; write an IPv6 address as `[{authority}]:{CRC_PORT}`"
        ))),
        Some((host, port)) => Ok((host, Some(port))),
    }
}

fn unknown_scheme(name: &str) -> UrlError {
    let known: Vec<String> = SCHEMES.iter().map(|(s, ..)| format!("{s}://")).collect();
    UrlError(format!("unknown scheme `{name}://`; write {}HOST:PORT", known.join("HOST:PORT, ")))
}

fn wrong(text: &str, what: &str) -> UrlError {
    UrlError(format!("`{text}` {what}; write HOST:PORT, such as 127.0.0.1:{CRC_PORT}"))
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
        assert_eq!(Url::default().to_string(), "crc://127.0.0.1:3600");
    }

    #[test]
    fn says_what_is_wrong_and_what_to_write() {
        let schemes = "crc://HOST:PORT, direct://HOST:PORT, classic://HOST:PORT";
        check("http://a:1", &format!("unknown scheme `http://`; write {schemes}"));
        let write = "write HOST:PORT, such as 127.0.0.1:3600";
        check("", &format!("`` has no host; {write}"));
        check(":1", &format!("`:1` has no host; {write}"));
        check("a b:1", &format!("`a b:1` has a space in its host; {write}"));
        for (text, port) in [("a:0", "0"), ("a:65536", "65536"), ("a:x", "x"), ("a:", "")] {
            check(
                text,
                &format!(
                    "`{text}` has the port `{port}`, which is not a number from 1 to 65535; {write}"
                ),
            );
        }
        check(
            "crc://a:1/b",
            &format!("`crc://a:1/b` has a path; only a host and a port can be named; {write}"),
        );
        check("bob@a:1", "`bob@a:1` has a user name; write `a:1`, and the name with --name");
        check("::1", "`::1` has more than one colon; write an IPv6 address as `[::1]:3600`");
        check("[::1", &format!("`[::1` has a `[` without its `]`; {write}"));
        check("[::1]4", &format!("`[::1]4` has something other than a port after `]`; {write}"));
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
