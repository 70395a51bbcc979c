//! [`WebAccess`]: which hosts and origins the HTTP wire answers, and the operator's token.
//!
//! See "Who may open what" in `docs/PROTOCOL.md`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ring::hmac;

use crate::uri::{Uri, UriError};

/// Which requests the HTTP wire answers.
#[derive(Clone, Debug, Default)]
pub struct WebAccess {
    /// Origins whose pages may open a WebSocket, beside the one of the server itself. Their hosts
    /// are names of this server.
    pub origins: Vec<WebOrigin>,
    /// The token of the operator; without it, there is nothing for operators.
    pub operator_token: Option<OperatorToken>,
}

/// The origin of a page: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    is_secure: bool,
    host: String,
    port: u16,
}

/// The token of the operator, as an authentication code: a comparison takes the same time for every
/// token.
#[derive(Clone)]
pub struct OperatorToken {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl OperatorToken {
    /// Returns the token with these bytes.
    #[must_use]
    pub fn new(token: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"crc operator token");
        let tag = hmac::sign(&key, token);
        Self { key, tag }
    }

    /// Returns whether a token is this one.
    #[must_use]
    pub fn matches(&self, token: &[u8]) -> bool {
        hmac::verify(&self.key, token, self.tag.as_ref()).is_ok()
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorToken")
    }
}

/// Returns the port of a scheme, if it is one of the web.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

impl FromStr for WebOrigin {
    type Err = UriError;

    /// Parses `https://host[:port]` or `http://host[:port]`.
    fn from_str(text: &str) -> Result<Self, UriError> {
        let uri: Uri = text.parse()?;
        let scheme = uri.scheme.as_deref().unwrap_or_default();
        let Some(port) = default_port(scheme) else {
            return Err(UriError::unknown_scheme(scheme, &["https", "http"]));
        };
        let port = uri.port.unwrap_or(port);
        Ok(Self { is_secure: scheme == "https", host: uri.host.to_ascii_lowercase(), port })
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        let (host, port) = (&self.host, self.port);
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]")?,
            false => write!(f, "{scheme}://{host}")?,
        }
        match default_port(scheme) == Some(port) {
            true => Ok(()),
            false => write!(f, ":{port}"),
        }
    }
}

impl WebAccess {
    /// Returns whether a `Host` header names this server: it is an address, `localhost`, or the
    /// host of a configured origin. A page whose name was made to lead here names its own host.
    /// Over TLS every name will do, since the browser has verified it.
    #[must_use]
    pub fn is_own_host(&self, host: &str, is_encrypted: bool) -> bool {
        let Ok(uri) = host.parse::<Uri>() else { return false };
        let host = uri.host.to_ascii_lowercase();
        let name = host.strip_suffix('.').unwrap_or(&host);
        let is_local = name == "localhost" || name.ends_with(".localhost");
        uri.scheme.is_none()
            && (is_encrypted
                || is_local
                || name.parse::<IpAddr>().is_ok()
                || self.origins.iter().any(|origin| origin.host == name))
    }

    /// Returns whether a page of `origin` may open a WebSocket on the server that it calls `host`.
    #[must_use]
    pub fn is_allowed_origin(&self, origin: &str, host: &str, is_encrypted: bool) -> bool {
        let scheme = if is_encrypted { "https" } else { "http" };
        let Ok(origin) = origin.parse::<WebOrigin>() else { return false };
        format!("{scheme}://{host}").parse::<WebOrigin>().is_ok_and(|own| own == origin)
            || self.origins.contains(&origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> WebAccess {
        let origins = vec!["https://Chat.example.org".parse().expect("an origin")];
        WebAccess { origins, operator_token: None }
    }

    #[test]
    fn host_is_an_address_or_a_name_of_this_server() {
        for (host, expected) in [
            ("127.0.0.1:3680", true),
            ("[::1]:3680", true),
            ("10.0.0.7", true),
            ("localhost:3680", true),
            ("LOCALHOST", true),
            ("shire.localhost", true),
            ("chat.example.org", true),
            ("chat.example.org:8443", true),
            ("evil.example.org", false),
            ("localhost.example.org", false),
            ("127.0.0.1.example.org", false),
            ("", false),
            ("http://127.0.0.1", false),
            ("a@127.0.0.1", false),
        ] {
            assert_eq!(access().is_own_host(host, false), expected, "{host}");
        }
        assert!(
            access().is_own_host("evil.example.org", true),
            "its certificate would not be ours"
        );
        assert!(!access().is_own_host("", true));
    }

    #[test]
    fn page_of_another_origin_is_refused() {
        for (origin, host, is_encrypted, expected) in [
            ("http://127.0.0.1:3680", "127.0.0.1:3680", false, true),
            ("http://localhost", "localhost:80", false, true),
            ("https://127.0.0.1:3680", "127.0.0.1:3680", false, false),
            ("https://127.0.0.1:3680", "127.0.0.1:3680", true, true),
            ("http://127.0.0.1:3681", "127.0.0.1:3680", false, false),
            ("https://chat.example.org", "127.0.0.1:3680", false, true),
            ("http://chat.example.org", "127.0.0.1:3680", false, false),
            ("https://evil.example.org", "127.0.0.1:3680", false, false),
            ("null", "127.0.0.1:3680", false, false),
        ] {
            let found = access().is_allowed_origin(origin, host, is_encrypted);
            assert_eq!(found, expected, "{origin} {host} {is_encrypted}");
        }
    }

    #[test]
    fn origin_is_shown_without_the_port_of_its_scheme() {
        for (text, expected) in [
            ("https://a:443", "https://a"),
            ("http://A:443/", "http://a:443"),
            ("https://[::1]", "https://[::1]"),
        ] {
            assert_eq!(text.parse::<WebOrigin>().expect("an origin").to_string(), expected);
        }
        assert!("a.example.org".parse::<WebOrigin>().is_err());
        assert!("crc://a".parse::<WebOrigin>().is_err());
    }

    #[test]
    fn token_matches_itself_alone() {
        let token = OperatorToken::new(b"0123456789abcdef");
        assert!(token.matches(b"0123456789abcdef"));
        assert!(!token.matches(b"0123456789abcdeg") && !token.matches(b""));
    }
}
