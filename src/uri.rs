//! `host:port` and `scheme://host:port`: the one parser of addresses to listen on and to connect
//! to.
//!
//! [`Uri`] is the syntax alone: it has the scheme and the port as far as they were written, and its
//! users decide which schemes there are and which port a scheme has. [`Address`] is a host with a
//! port. Names are not resolved here. A host that parsed is not empty and has no white space.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::Deserialize;

/// A host, by name or IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address {
    /// A name or an IP address; an IPv6 address has no brackets, and may have a zone:
    /// `fe80::1%eth0`.
    pub host: String,
    /// The port; 0 stands for any free port.
    pub port: u16,
}

/// `[scheme://]host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// The scheme in lower case, if one was written.
    pub scheme: Option<String>,
    /// As in [`Address::host`].
    pub host: String,
    /// The port, if one was written.
    pub port: Option<u16>,
}

/// Why a text is not an address or a URI: what is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriError(String);

impl UriError {
    /// An error about `text`: what is wrong with it, followed by an example of what is right.
    #[must_use]
    pub fn new(text: &str, problem: &str) -> Self {
        Self(format!("`{text}` {problem}; write host:port, such as 127.0.0.1:3600"))
    }

    /// An error for a scheme that is not one of `known`.
    #[must_use]
    pub fn unknown_scheme(scheme: &str, known: &[&str]) -> Self {
        let known: Vec<String> = known.iter().map(|name| format!("{name}://host:port")).collect();
        Self(format!("unknown scheme `{scheme}://`; write {}", known.join(", ")))
    }
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UriError {}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = match text.split_once("://") {
            None => (None, text),
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('/') {
            return Err(UriError::new(text, "has a path; only a host and a port can be named"));
        }
        if let Some((_, server)) = authority.rsplit_once('@') {
            return Err(UriError(format!(
                "`{text}` has a user name; write `{server}`, and the name with --name"
            )));
        }
        let (host, port) = split_authority(text, authority)?;
        if host.is_empty() {
            return Err(UriError::new(text, "has no host"));
        }
        if host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(UriError::new(text, "has a space in its host"));
        }
        let port = port.map(|digits| {
            digits.parse().map_err(|_| {
                let problem =
                    format!("has the port `{digits}`, which is not a number from 0 to 65535");
                UriError::new(text, &problem)
            })
        });
        Ok(Self { scheme, host: host.to_owned(), port: port.transpose()? })
    }
}

/// Splits `host:port`, `[v6]:port`, `host` or `[v6]`. The host is returned without its brackets.
fn split_authority<'a>(
    text: &str,
    authority: &'a str,
) -> Result<(&'a str, Option<&'a str>), UriError> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, rest) = bracketed
            .split_once(']')
            .ok_or_else(|| UriError::new(text, "has a `[` without its `]`"))?;
        if !is_ipv6(host) {
            return Err(UriError::new(text, "has something other than an IPv6 address in `[]`"));
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(UriError::new(text, "has something other than a port after `]`")),
        };
    }
    match authority.split_once(':') {
        None => Ok((authority, None)),
        Some((_, port)) if port.contains(':') => Err(UriError(format!(
            "`{text}` has more than one colon; write an IPv6 address in brackets, such as \
             [::1]:3600"
        ))),
        Some((host, port)) => Ok((host, Some(port))),
    }
}

/// Whether `host` is an IPv6 address, with or without a zone such as `%eth0`.
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').unwrap_or((host, "zone"));
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty()
}

impl FromStr for Address {
    type Err = UriError;

    /// Parses `host:port`. The port is required, and a scheme is an error.
    fn from_str(text: &str) -> Result<Self, UriError> {
        let uri: Uri = text.parse()?;
        if uri.scheme.is_some() {
            return Err(UriError::new(text, "has a scheme"));
        }
        let port = uri.port.ok_or_else(|| UriError::new(text, "has no port"))?;
        Ok(Self { host: uri.host, port })
    }
}

impl TryFrom<String> for Address {
    type Error = UriError;

    fn try_from(text: String) -> Result<Self, UriError> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_address(text: &str, expected: &str) {
        let shown = match text.parse::<Address>() {
            Ok(address) => address.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[track_caller]
    fn check_uri(text: &str, scheme: Option<&str>, host: &str, port: Option<u16>) {
        let uri: Uri = text.parse().expect("a valid URI");
        assert_eq!((uri.scheme.as_deref(), uri.host.as_str(), uri.port), (scheme, host, port));
    }

    #[test]
    fn address_is_shown_as_it_was_written() {
        for text in ["127.0.0.1:3600", "localhost:0", "[::1]:3600", "[fe80::1%eth0]:3600"] {
            check_address(text, text);
        }
    }

    #[test]
    fn uri_keeps_the_scheme_and_the_port_that_were_written() {
        check_uri("crc://example.org:4000", Some("crc"), "example.org", Some(4000));
        check_uri("CRC://example.org:4000/", Some("crc"), "example.org", Some(4000));
        check_uri("direct://example.org", Some("direct"), "example.org", None);
        check_uri("example.org:4000", None, "example.org", Some(4000));
        check_uri("direct", None, "direct", None);
        check_uri("[::1]", None, "::1", None);
        check_uri("crc://[fe80::1%eth0]:0", Some("crc"), "fe80::1%eth0", Some(0));
    }

    #[test]
    fn syntax_error_names_the_problem_and_the_remedy() {
        let write = "write host:port, such as 127.0.0.1:3600";
        for (text, problem) in [
            ("", "has no host"),
            (":1", "has no host"),
            ("a b:1", "has a space in its host"),
            ("here", "has no port"),
            ("crc://a:1", "has a scheme"),
            ("a:1/b", "has a path; only a host and a port can be named"),
            ("[::1", "has a `[` without its `]`"),
            ("[::1]4", "has something other than a port after `]`"),
            ("[host]:1", "has something other than an IPv6 address in `[]`"),
            ("[::1%]:1", "has something other than an IPv6 address in `[]`"),
            ("[127.0.0.1]:1", "has something other than an IPv6 address in `[]`"),
        ] {
            check_address(text, &format!("`{text}` {problem}; {write}"));
        }
        for (text, port) in [("a:65536", "65536"), ("a:x", "x"), ("a:", "")] {
            let problem = format!("has the port `{port}`, which is not a number from 0 to 65535");
            check_address(text, &format!("`{text}` {problem}; {write}"));
        }
        check_address(
            "bob@a:1",
            "`bob@a:1` has a user name; write `a:1`, and the name with --name",
        );
        let brackets = "write an IPv6 address in brackets, such as [::1]:3600";
        check_address("::1", &format!("`::1` has more than one colon; {brackets}"));
    }
}
