//! [`Fingerprint`]: which certificate it is.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// The SHA-256 fingerprint of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Returns the fingerprint with these bytes.
    #[must_use]
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns its bytes.
    pub(crate) fn bytes(self) -> [u8; 32] {
        self.0
    }

    /// Returns the fingerprint of a certificate.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// Parses 64 hexadecimal digits, with or without colons between bytes.
    fn from_str(text: &str) -> Result<Self, String> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let error = || {
            format!(
                "{text:?} is not a SHA-256 fingerprint: write its 64 hexadecimal digits, as \
                 `openssl x509 -fingerprint -sha256 -noout -in server.pem` shows them"
            )
        };
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(error());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let pair = &digits[2 * index..2 * index + 2];
            *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_is_read_with_and_without_colons() {
        let fingerprint = Fingerprint::of(b"certificate");
        let digits = fingerprint.to_string();
        assert_eq!(digits.parse(), Ok(fingerprint));
        let pairs: Vec<_> = (0..32).map(|i| digits[2 * i..2 * i + 2].to_uppercase()).collect();
        assert_eq!(pairs.join(":").parse(), Ok(fingerprint));
        for text in ["", "ab", &digits[1..], &format!("{digits}00"), &"é".repeat(32)] {
            let error = text.parse::<Fingerprint>().expect_err("an error");
            assert!(error.contains("64 hexadecimal digits"), "{error}");
        }
    }
}
