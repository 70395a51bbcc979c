//! [`Token`]: the text of an invitation. See "Invitations" in `docs/PROTOCOL.md`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::uri::Address;

/// The text of an invitation: all that a server needs to join the one that made it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Where the server that made it accepts servers.
    pub address: Address,
    /// Whether the connection is encrypted. Then its certificate has this SHA-256 fingerprint.
    pub pin: Option<[u8; 32]>,
    /// Number of the invitation.
    pub invitation: u64,
    /// Its key.
    pub key: [u8; 32],
}

/// Begins the text, and names its version.
const PREFIX: &str = "crcinvite1-";

/// Bit of the flags of a token that has a pin.
const HAS_PIN: u8 = 1;

/// Number of bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 4;

fn checksum(fields: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = Sha256::new().chain_update(PREFIX).chain_update(fields).finalize();
    digest[..CHECKSUM_BYTES].try_into().expect("a part of 32 bytes")
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![if self.pin.is_some() { HAS_PIN } else { 0 }];
        bytes.extend(self.invitation.to_be_bytes());
        bytes.extend(self.key);
        bytes.extend(self.pin.iter().flatten());
        bytes.extend(self.address.port.to_be_bytes());
        bytes.extend(self.address.host.as_bytes());
        bytes.extend(checksum(&bytes));
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some(digits) = text.strip_prefix(PREFIX) else {
            return Err(match text.starts_with("crcinvite") {
                true => "this invitation is of another version of crc; use the same at both ends",
                false => {
                    "not an invitation: `crc ctl invite` prints one, which begins with \
                          crcinvite1-"
                }
            }
            .to_owned());
        };
        // The text is a secret, and no part of it is shown.
        let damaged = || {
            "the invitation is not complete or was changed: copy the whole line that \
             `crc ctl invite` has printed"
                .to_owned()
        };
        let bytes = URL_SAFE_NO_PAD.decode(digits).map_err(|_| damaged())?;
        let fields = bytes.split_last_chunk().filter(|(fields, sum)| checksum(fields) == **sum);
        let (fields, _) = fields.ok_or_else(damaged)?;
        parse_fields(fields).ok_or_else(damaged)
    }
}

fn parse_fields(fields: &[u8]) -> Option<Token> {
    let (flags, rest) = fields.split_first()?;
    let (invitation, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_first_chunk()?;
    let (pin, rest) = match flags & HAS_PIN {
        0 => (None, rest),
        _ => rest.split_first_chunk().map(|(pin, rest)| (Some(*pin), rest))?,
    };
    let (port, host) = rest.split_first_chunk()?;
    let host = str::from_utf8(host).ok().filter(|host| !host.is_empty())?.to_owned();
    let address = Address { host, port: u16::from_be_bytes(*port) };
    Some(Token { address, pin, invitation: u64::from_be_bytes(*invitation), key: *key })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(pin: Option<[u8; 32]>) -> Token {
        let address = Address { host: "bree.example".to_owned(), port: 3600 };
        Token { address, pin, invitation: 0x0102_0304_0506_0708, key: [0xA5; 32] }
    }

    #[test]
    fn token_is_read_as_it_was_written() {
        for pin in [None, Some([7; 32])] {
            let text = token(pin).to_string();
            assert!(text.starts_with("crcinvite1-"), "{text}");
            assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{text}");
            assert_eq!(format!(" {text}\n").parse(), Ok(token(pin)));
        }
        // Computed by another program.
        let text = "crcinvite1-AAECAwQFBgcIpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaUOEGJyZWUuZXhhbXBsZZJ7oaM";
        assert_eq!(token(None).to_string(), text);
    }

    #[test]
    fn truncated_or_changed_token_is_recognised_and_not_shown() {
        let text = token(Some([7; 32])).to_string();
        for end in PREFIX.len()..text.len() {
            let error = text[..end].parse::<Token>().expect_err("cut");
            assert!(error.contains("copy the whole line"), "{error}");
        }
        let changed = text.replacen('A', "B", 1);
        assert!(changed.parse::<Token>().is_err() && format!("{text}A").parse::<Token>().is_err());
        for (text, expected) in [
            ("", "not an invitation"),
            ("127.0.0.1:3600", "not an invitation"),
            ("crcinvite2-AAAA", "another version"),
        ] {
            let error = text.parse::<Token>().expect_err("an error");
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(format!("{:?}", token(None)), "Token");
    }
}
