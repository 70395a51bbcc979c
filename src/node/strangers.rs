//! Bounds for connections from strangers: the pool of those that have not registered, and how many
//! of each kind an address may have.
//!
//! An IPv6 address counts as its network of 64 bits, since one machine has all of them. Connections
//! from this machine, and those without an address, are in the pool and are not counted by address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::join_rates::JoinRates;
use super::link::LinkRole;
use crate::limits::ConnectionLimits;
use crate::link::{LinkId, Origin, Time};
use crate::relay::message::HostKind;

/// An address, or a network of addresses, that is counted as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum CountedAddress {
    V4(u32),
    /// The first half of the address.
    V6(u64),
}

/// Numbers of connections of one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    unregistered: usize,
    users: usize,
    servers: usize,
}

/// The connections that have not registered, and those of each address.
#[derive(Clone, Debug, Default)]
pub(super) struct Strangers {
    /// Accepted links that have not registered, by age.
    pub(super) unregistered: BTreeSet<(Time, LinkId)>,
    /// Those of them whose TLS handshake goes on.
    pub(super) handshaking: BTreeSet<(Time, LinkId)>,
    by_address: BTreeMap<CountedAddress, Counts>,
    joins: JoinRates<CountedAddress>,
    /// Numbers of connections that were closed for a bound.
    pub(super) closed: ClosedForBound,
}

/// Numbers of connections that were closed for a bound of this server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClosedForBound {
    /// For a newcomer, while there were too many that had not registered.
    pub crowded: u64,
    /// Because their address had too many.
    pub address: u64,
    /// Because all buffers together were too large.
    pub buffers: u64,
}

impl CountedAddress {
    /// Returns what an origin is counted as; `None` for this machine and pipes.
    fn new(origin: &Origin) -> Option<Self> {
        match origin.address.as_ref().map(SocketAddr::ip)?.to_canonical() {
            ip if ip.is_loopback() => None,
            IpAddr::V4(ip) => Some(Self::V4(ip.into())),
            IpAddr::V6(ip) => Some(Self::V6((u128::from(ip) >> 64) as u64)),
        }
    }
}

impl Counts {
    fn of_mut(&mut self, role: LinkRole) -> &mut usize {
        match role {
            LinkRole::User => &mut self.users,
            LinkRole::Server => &mut self.servers,
            LinkRole::Dialled | LinkRole::Handshaking | LinkRole::Unregistered => {
                &mut self.unregistered
            }
        }
    }
}

impl Strangers {
    /// Counts a link of an address in or out. Returns the number of links of its role there; 0 if
    /// the address is not counted.
    pub(super) fn count(&mut self, origin: &Origin, role: LinkRole, is_added: bool) -> usize {
        let address = CountedAddress::new(origin).filter(|_| role != LinkRole::Dialled);
        let Some(address) = address else { return 0 };
        let counts = self.by_address.entry(address).or_default();
        let count = counts.of_mut(role);
        *count = if is_added { *count + 1 } else { count.saturating_sub(1) };
        let count = *count;
        if *counts == Counts::default() {
            self.by_address.remove(&address);
        }
        count
    }

    /// Counts a user who registers from an address. Returns false if too many have.
    pub(super) fn count_join(&mut self, origin: &Origin, now: Time) -> bool {
        CountedAddress::new(origin).is_none_or(|address| self.joins.count(address, now))
    }

    /// Returns whether an address may have another host of this kind.
    pub(super) fn may_have_another(
        &self,
        origin: &Origin,
        kind: HostKind,
        limits: &ConnectionLimits,
    ) -> bool {
        let counts = CountedAddress::new(origin).and_then(|it| self.by_address.get(&it));
        counts.is_none_or(|counts| match kind {
            HostKind::User => counts.users < limits.users_per_address_max,
            HostKind::Server => counts.servers < limits.servers_per_address_max,
        })
    }
}
