//! The handshake of WebSocket, see RFC 6455, section 4.2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::request::Request;

/// The text that a server appends to the key of the client.
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Length of the key of a client in bytes, once decoded.
const KEY_BYTES: usize = 16;

/// The version of the protocol.
pub(super) const VERSION: &str = "13";

/// Why a WebSocket is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpgradeError {
    /// The request asks for none, or for another version.
    NotAsked,
    /// The key is missing or is none.
    Key,
    /// The client offers subprotocols, and not this one.
    Protocol,
}

/// Returns the key of the response, and whether it names `protocol`.
pub(super) fn accept(
    request: &Request<'_>,
    protocol: &str,
) -> Result<(String, bool), UpgradeError> {
    if !request.wants_websocket || request.websocket_version != Some(VERSION) {
        return Err(UpgradeError::NotAsked);
    }
    let key = request.websocket_key.ok_or(UpgradeError::Key)?;
    if STANDARD.decode(key).map_or(0, |key| key.len()) != KEY_BYTES {
        return Err(UpgradeError::Key);
    }
    let offered = request.websocket_protocols;
    let is_offered =
        offered.is_some_and(|offered| offered.split(',').any(|it| it.trim() == protocol));
    if offered.is_some() && !is_offered {
        return Err(UpgradeError::Protocol);
    }
    Ok((accept_key(key), is_offered))
}

fn accept_key(key: &str) -> String {
    let text = [key, KEY_SUFFIX].concat();
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn key_is_answered_as_in_the_example_of_the_rfc() {
        assert_eq!(accept_key(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn websocket_needs_version_key_and_protocol() {
        let request = Request {
            wants_websocket: true,
            websocket_key: Some(KEY),
            websocket_version: Some("13"),
            websocket_protocols: Some("other, crc.json.v1"),
            ..Request::default()
        };
        let found = |request: &Request<'_>| accept(request, "crc.json.v1").map(|(_, named)| named);
        assert_eq!(found(&request), Ok(true));
        let none = Request { websocket_protocols: None, ..request.clone() };
        assert_eq!(found(&none), Ok(false));
        let other = Request { websocket_protocols: Some("other"), ..request.clone() };
        assert_eq!(found(&other), Err(UpgradeError::Protocol));
        let old = Request { websocket_version: Some("8"), ..request.clone() };
        assert_eq!(found(&old), Err(UpgradeError::NotAsked));
        for key in [None, Some("short"), Some("!")] {
            let bad = Request { websocket_key: key, ..request.clone() };
            assert_eq!(found(&bad), Err(UpgradeError::Key));
        }
    }
}
