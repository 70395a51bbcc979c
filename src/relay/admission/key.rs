//! [`LinkKey`]: a secret that two servers share, and the [`Transcript`] by which each proves to the
//! other that it has it. See "Proofs" in `docs/PROTOCOL.md`.

use std::fmt;

use ring::hmac;

use crate::id::HostId;
use crate::limits::{LINK_KEY_BYTES_MAX, LINK_KEY_BYTES_MIN};

/// A secret that two servers share. Neither it nor anything that helps to guess it is shown.
#[derive(Clone)]
pub struct LinkKey(hmac::Key);

impl LinkKey {
    /// Returns the key with these bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Parses the text of a key file: the key is all of it, without white space at either end.
    ///
    /// # Errors
    /// The key is too short or too long. The text says how long it may be, and nothing of the key.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let secret = text.trim_ascii();
        match secret.len() {
            LINK_KEY_BYTES_MIN..=LINK_KEY_BYTES_MAX => Ok(Self::new(secret)),
            len => Err(format!(
                "the key has {len} bytes, and must have {LINK_KEY_BYTES_MIN} to \
                 {LINK_KEY_BYTES_MAX}; `openssl rand -hex 32` makes a good one"
            )),
        }
    }

    /// Returns another secret that is derived from this one and a label.
    #[must_use]
    pub fn derive(&self, label: &[u8]) -> [u8; 32] {
        bytes_of(&hmac::sign(&self.0, label))
    }
}

fn bytes_of(tag: &hmac::Tag) -> [u8; 32] {
    tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey")
    }
}

/// Which end of a link proves that it has the key. A proof of one end is none of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum Prover {
    /// The server that dialled.
    Dialler = 1,
    /// The server that accepted.
    Acceptor = 2,
}

/// What a proof is bound to: the two servers, and two random numbers of which each has chosen one
/// for this link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) struct Transcript {
    pub(in crate::relay) dialler: HostId,
    pub(in crate::relay) acceptor: HostId,
    /// Chosen by the server that accepted.
    pub(in crate::relay) challenge: [u8; 32],
    /// Chosen by the server that dialled.
    pub(in crate::relay) nonce: [u8; 32],
    /// The invitation whose key it is; 0 for the link key.
    pub(in crate::relay) invitation: u64,
    /// Stands for the server that was invited; zeros with the link key.
    pub(in crate::relay) holder: [u8; 32],
}

/// Begins every message that is signed, so that a key serves for nothing else.
const PURPOSE: &[u8; 16] = b"crc link proof 1";

impl Transcript {
    /// Returns the proof that one end has the key.
    pub(in crate::relay) fn sign(&self, key: &LinkKey, prover: Prover) -> [u8; 32] {
        bytes_of(&hmac::sign(&key.0, &self.message(prover)))
    }

    /// Returns whether a proof of one end is right. Takes the same time wherever it differs.
    pub(in crate::relay) fn verify(&self, key: &LinkKey, prover: Prover, mac: &[u8; 32]) -> bool {
        hmac::verify(&key.0, &self.message(prover), mac).is_ok()
    }

    fn message(&self, prover: Prover) -> Vec<u8> {
        [
            &PURPOSE[..],
            &[prover as u8],
            &self.dialler.0.to_be_bytes(),
            &self.acceptor.0.to_be_bytes(),
            &self.challenge,
            &self.nonce,
            &self.invitation.to_be_bytes(),
            &self.holder,
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript() -> Transcript {
        Transcript {
            dialler: HostId(2),
            acceptor: HostId(1),
            challenge: [0xA0; 32],
            nonce: [0xB0; 32],
            invitation: 0,
            holder: [0; 32],
        }
    }

    #[test]
    fn proof_is_bound_to_key_role_ids_and_nonces() {
        let key = LinkKey::new(b"a key that both servers have");
        let proof = transcript().sign(&key, Prover::Dialler);
        assert!(transcript().verify(&key, Prover::Dialler, &proof));
        assert!(!transcript().verify(&key, Prover::Acceptor, &proof));
        let other_key = LinkKey::new(b"a key that both servers hav");
        assert!(!transcript().verify(&other_key, Prover::Dialler, &proof));
        for other in [
            Transcript { dialler: HostId(3), ..transcript() },
            Transcript { acceptor: HostId(3), ..transcript() },
            Transcript { challenge: [0xA1; 32], ..transcript() },
            Transcript { nonce: [0xB1; 32], ..transcript() },
            Transcript { invitation: 1, ..transcript() },
            Transcript { holder: [1; 32], ..transcript() },
        ] {
            assert!(!other.verify(&key, Prover::Dialler, &proof), "{other:?}");
        }
    }

    #[test]
    fn proofs_have_golden_values() {
        let key = LinkKey::new(b"0123456789abcdef");
        // Computed by another program.
        for (prover, expected) in [
            (Prover::Dialler, "ec1a78463c69c0c210c399ce620c8e6629336a0805883082019be3902d6d5c64"),
            (Prover::Acceptor, "9b2b1c56cba093a7cecde58a8ce9c4d339d0626aee2d9f549d1b1d4b2b85485a"),
        ] {
            let proof = transcript().sign(&key, prover);
            let hex: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected);
        }
    }

    #[test]
    fn key_is_the_trimmed_text_and_is_not_shown() {
        let key = LinkKey::parse(b" \n0123456789abcdef\r\n").expect("a key");
        let same = LinkKey::new(b"0123456789abcdef");
        let proof = transcript().sign(&key, Prover::Dialler);
        assert!(transcript().verify(&same, Prover::Dialler, &proof));
        assert_eq!(format!("{key:?}"), "LinkKey");
        for text in [&b""[..], b"  0123456789abcde\n", &[b'x'; 1025]] {
            let error = LinkKey::parse(text).expect_err("an error");
            assert!(error.contains("must have 16 to 1024"), "{error}");
        }
    }
}
