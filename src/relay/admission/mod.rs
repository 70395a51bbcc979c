//! [`Admission`]: which connections may register a server, and the secrets that admit others.
//!
//! A connection that this server has accepted may always be that of a client. Whether it may be
//! that of a server depends on where it comes from and on what the other end has shown of itself.
//! See "Admission of servers" in `docs/PROTOCOL.md`.

mod invitation;
mod key;
mod token;

use std::fmt;

pub(super) use self::invitation::{InvitationError, Invitations, Use};
pub use self::invitation::{InviteError, Join, UsedInvitation};
pub use self::key::LinkKey;
pub(super) use self::key::{Prover, Transcript};
pub use self::token::Token;
use crate::cidr::Cidr;
use crate::link::{Origin, Security};

/// What decides who may join as a server. It has all that the operator can change while the server
/// runs: [`Node::set_admission`](crate::node::Node::set_admission) replaces it as a whole. Servers
/// that have joined already stay.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The addresses from which servers are accepted without further proof.
    pub allowed: Vec<Cidr>,
    /// The secret that servers from other addresses must have, and that parents must have.
    pub link_key: Option<LinkKey>,
}

impl Default for Admission {
    /// Admits servers on this machine.
    fn default() -> Self {
        Self { allowed: vec![Cidr::LOOPBACK_V4, Cidr::LOOPBACK_V6], link_key: None }
    }
}

/// Why the server at the other end of a link was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmittedBy {
    /// The link is an in-memory pipe within this process.
    Process,
    /// Its address is in the list of those from which servers are accepted.
    Address,
    /// The transport has verified its certificate.
    Certificate,
    /// It has proven the link key.
    LinkKey,
    /// It has proven an invitation of this server, or this server one of its invitations.
    Invitation,
    /// This server has dialled it.
    Dial,
}

impl fmt::Display for AdmittedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "process",
            Self::Address => "address",
            Self::Certificate => "certificate",
            Self::LinkKey => "key",
            Self::Invitation => "invitation",
            Self::Dial => "dial",
        })
    }
}

impl Admission {
    /// Returns why a connection may be one to a server, as far as its origin shows it.
    pub(super) fn admits(&self, origin: &Origin) -> Option<AdmittedBy> {
        let Some(address) = origin.address else { return Some(AdmittedBy::Process) };
        if origin.security == Security::Certified {
            return Some(AdmittedBy::Certificate);
        }
        let is_allowed = self.allowed.iter().any(|range| range.contains(address.ip()));
        is_allowed.then_some(AdmittedBy::Address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_is_admitted_by_its_address_or_its_certificate() {
        let allowed = vec!["192.168.0.0/16".parse().expect("a range")];
        let lan = Admission { allowed, link_key: None };
        let check = |admission: &Admission, address: &str, security, expected| {
            let address = (!address.is_empty()).then(|| address.parse().expect("an address"));
            let admitted = admission.admits(&Origin { address, security });
            assert_eq!(admitted, expected, "{address:?} {security:?}");
        };
        let default = Admission::default();
        check(&default, "", Security::Plain, Some(AdmittedBy::Process));
        check(&default, "127.0.0.1:5", Security::Plain, Some(AdmittedBy::Address));
        check(&default, "[::1]:5", Security::Plain, Some(AdmittedBy::Address));
        check(&default, "[::ffff:127.0.0.1]:5", Security::Plain, Some(AdmittedBy::Address));
        check(&default, "192.168.7.12:5", Security::Plain, None);
        check(&default, "192.168.7.12:5", Security::Encrypted, None);
        check(&default, "192.168.7.12:5", Security::Certified, Some(AdmittedBy::Certificate));
        check(&lan, "192.168.7.12:5", Security::Plain, Some(AdmittedBy::Address));
        check(&lan, "[::ffff:192.168.7.12]:5", Security::Plain, Some(AdmittedBy::Address));
        check(&lan, "127.0.0.1:5", Security::Plain, None);
    }
}
