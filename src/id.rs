//! Ids of hosts: 32 bits on the CRC wire, 64 bits on the direct wire.

use std::fmt;

use rand::Rng;

/// The number of a server or a user, unique in the network.
///
/// 0 means "nobody yet" and `0xFFFF_FFFF` "whoever understands": neither can be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct HostId(pub u32);

impl HostId {
    /// As a destination: whoever is at the other end. As a last hop: the sender itself.
    pub const NONE: Self = Self(0);
    /// A status to this destination is an extension; who does not know it ignores it.
    pub const EXTENSION: Self = Self(u32::MAX);

    /// An id that a host may have, and that hardly anybody else has.
    pub fn random(rng: &mut impl Rng) -> Self {
        loop {
            let id = Self(rng.next_u32());
            if id.is_registrable() {
                return id;
            }
        }
    }

    /// Whether a host may have this id.
    #[must_use]
    pub fn is_registrable(self) -> bool {
        self != Self::NONE && self != Self::EXTENSION
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A user's number on the wires that have numbers of 64 bits; people's are positive.
///
/// It is the user's [`HostId`] where that is what it fits into. Where it does not, it is in the
/// user's name, in decimal, and so known to every server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct WideId(pub i64);

impl From<HostId> for WideId {
    fn from(id: HostId) -> Self {
        Self(i64::from(id.0))
    }
}

impl fmt::Display for WideId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
