//! `--join`: an invitation of another server.

use super::dial::DialTarget;
use crate::id::HostId;
use crate::relay::{Identity, Join, LinkKey, Token};
use crate::tls::Fingerprint;

/// The file with the random number that an operating system gives its machine at installation.
const MACHINE_ID: &str = "/etc/machine-id";

/// Returns where the server is that made an invitation.
pub(super) fn join_target(token: &Token) -> DialTarget {
    let pin = token.pin.map(Fingerprint::new);
    DialTarget { address: token.address.clone(), is_tls: pin.is_some(), pin }
}

/// Returns how this server proves an invitation. It is the same server after a restart if it runs
/// on the same machine under the same configured id.
pub(super) fn join(token: &Token, identity: &Identity) -> Join {
    let id = if identity.is_id_configured { identity.id } else { HostId::NONE };
    let machine = match std::fs::read(MACHINE_ID) {
        Ok(text) if !text.trim_ascii().is_empty() => text.trim_ascii().to_vec(),
        _ => {
            log::warn!(
                "there is no {MACHINE_ID}, by which the server that made the invitation knows this \
                 one again: after a restart, this server needs another invitation"
            );
            rand::random::<[u8; 32]>().to_vec()
        }
    };
    let label = [&b"holder"[..], &id.0.to_be_bytes(), &machine].concat();
    let (invitation, key) = (token.invitation, LinkKey::new(&token.key));
    let holder = key.derive(&label);
    Join { invitation, key, holder }
}
