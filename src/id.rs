//! Ids of hosts: 32 bits on the CRC wire, 64 bits on the direct wire.

use std::fmt;

use rand::Rng;
use smallvec::SmallVec;

/// The id of a server or user, unique in the network.
///
/// [`HostId::NONE`] and [`HostId::EXTENSION`] cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct HostId(pub u32);

impl HostId {
    /// 0. As a destination: the host at the other end of the link. As a last hop: the sender
    ///    itself.
    pub const NONE: Self = Self(0);
    /// `0xFFFF_FFFF`. A status to this destination is an extension, ignored by hosts that do not
    /// know it.
    pub const EXTENSION: Self = Self(u32::MAX);

    /// Returns a random id that can be registered.
    pub fn random(rng: &mut impl Rng) -> Self {
        loop {
            let id = Self(rng.next_u32());
            if id.is_registrable() {
                return id;
            }
        }
    }

    /// Returns whether a host may register with this id.
    #[must_use]
    pub fn is_registrable(self) -> bool {
        self != Self::NONE && self != Self::EXTENSION
    }

    /// Returns the id in decimal digits, without an allocation.
    pub(crate) fn digits(self) -> SmallVec<[u8; 10]> {
        let mut digits = [0; 10];
        let (mut start, mut rest) = (digits.len(), self.0);
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return SmallVec::from_slice(&digits[start..]);
            }
        }
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a user on wires with ids of 64 bits. Ids of users are positive.
///
/// An id that fits into 32 bits is the user's [`HostId`]. A larger one is the user's name, in
/// decimal, and so known to every server.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_decimal_id() {
        for id in [0, 7, 10, 4_294_967_295] {
            assert_eq!(&*HostId(id).digits(), id.to_string().as_bytes());
        }
    }
}
