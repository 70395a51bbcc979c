//! `host:port`, as the command line and the configuration file say where to listen and connect.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;

/// A host, by name or number, and a port. Nothing is looked up until it is used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address {
    /// A name or an IP address, an IPv6 one without its brackets.
    pub host: String,
    /// The port; 0 for any free one.
    pub port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let syntax_error =
            || format!("{text:?} is not host:port, such as 127.0.0.1:3600 or [::1]:3600");
        let (host, port) = text.rsplit_once(':').ok_or_else(syntax_error)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => inner,
            None if !host.contains([':', '[', ']']) && !host.contains(char::is_whitespace) => host,
            _ => return Err(syntax_error()),
        };
        if host.is_empty() {
            return Err(syntax_error());
        }
        let port = port
            .parse()
            .map_err(|_| format!("the port of {text:?} is not a number from 0 to 65535"))?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        match (text.parse::<Address>(), expected) {
            (Ok(address), Ok(shown)) => assert_eq!(address.to_string(), shown),
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn address_parses_host_and_port_or_explains_the_error() {
        check("127.0.0.1:3600", Ok("127.0.0.1:3600"));
        check("localhost:0", Ok("localhost:0"));
        check("[::1]:3600", Ok("[::1]:3600"));
        check("127.0.0.1", Err("is not host:port"));
        check(":3600", Err("is not host:port"));
        check("::1:3600", Err("is not host:port"));
        check("[host]:1", Err("is not host:port"));
        check("a b:1", Err("is not host:port"));
        check("host:65536", Err("0 to 65535"));
        check("host:", Err("0 to 65535"));
    }
}
