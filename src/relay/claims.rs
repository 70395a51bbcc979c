//! Ids that two hosts want: who was heard of first has it, the other's claim is refused and kept.
//!
//! A claim counts once the id has been free for [`CLAIM_GRANT_DELAY`]: by then the quits of its last holder
//! have gone round, and with them every claim that was only an echo of it. A server that hears its
//! own neighbour announced over another link is part of a cycle, and gives up its uplink.

use super::message::{HostKind, Registration};
use super::uplink::UplinkState;
use super::{FirstLink, Outbox, Relay, Timer};
use crate::id::HostId;
use crate::limits::{CLAIM_GRANT_DELAY, CLAIMS_BYTES_MAX, HOST_OVERHEAD_BYTES};
use crate::link::{CloseReason, LinkId, Time};
use crate::relay::link_state::{IdSet, Role};

/// What was refused for one id, in the order it came.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pending: Vec<Claim>,
    /// When the first of them is granted, if the id is still free then.
    grant_at: Option<Time>,
}

#[derive(Debug)]
struct Claim {
    link: LinkId,
    kind: HostKind,
    name: Box<[u8]>,
    info: Box<[u8]>,
}

impl Claim {
    fn size_bytes(&self) -> usize {
        self.name.len() + self.info.len() + HOST_OVERHEAD_BYTES
    }
}

impl Relay {
    /// Refuses a server's word of a host whose id is taken, and keeps it in case the id gets free.
    pub(super) fn refuse_claim(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        out: &mut impl Outbox,
    ) {
        let Registration { kind, source: id, name, info, .. } = *registration;
        self.refuse_registration(link, registration, out);
        if self.is_first_link(id, link)
            || !self.claimed_ids(link).insert(id)
            || id == self.identity.id
        {
            return;
        }
        log::warn!("link {link}: {id} is registered at two ends of the network");
        let claim = Claim { link, kind, name: name.into(), info: info.into() };
        // One that is not kept is no worse than a claim in the plain protocol.
        if self.claims_bytes + claim.size_bytes() <= CLAIMS_BYTES_MAX {
            self.claims_bytes += claim.size_bytes();
            self.claims.entry(id).or_default().pending.push(claim);
        }
        self.break_cycle(link, registration, out);
    }

    /// One neighbour announced by another: both links lead round to the same place. In a cycle every
    /// server has exactly one uplink that is part of it, and lets go of that one.
    fn break_cycle(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        out: &mut impl Outbox,
    ) {
        let id = registration.source;
        let Some(host) = self.hosts.get(id).filter(|host| host.matches(registration)) else {
            return;
        };
        let FirstLink::Link(direct_link) = host.first_link else { return };
        let is_neighbour =
            matches!(self.link_state(direct_link).role, Role::Server { host, .. } if host == id);
        if let UplinkState::Registered { link: uplink, .. } = self.uplink.state
            && is_neighbour
            && (uplink == link || uplink == direct_link)
        {
            log::warn!("server {id} is reached in two ways: leaving the parent for a minute");
            self.uplink.on_refused(self.now, &mut self.rng);
            out.close(uplink, CloseReason::RoutingLoop(id));
        }
    }

    /// The id of a host that has left is free: a claim on it may count soon.
    pub(super) fn schedule_claim_grant(&mut self, id: HostId) {
        if let Some(claims) = self.claims.get_mut(&id)
            && claims.grant_at.is_none()
        {
            let grant_at = self.now + CLAIM_GRANT_DELAY;
            claims.grant_at = Some(grant_at);
            self.timers.insert((grant_at, Timer::Claim(id)));
        }
    }

    /// The pause is over: if the id is still free, the first who claimed it has it.
    pub(super) fn grant_claim(&mut self, id: HostId, out: &mut impl Outbox) {
        let Some(claims) = self.claims.get_mut(&id) else { return };
        claims.grant_at = None;
        if self.is_stopping || self.hosts.get(id).is_some() {
            return;
        }
        let claim = claims.pending.remove(0);
        self.claims_bytes -= claim.size_bytes();
        let Claim { link, kind, name, info } = claim;
        if claims.pending.is_empty() {
            self.claims.remove(&id);
        }
        let last_hop = HostId::NONE; // not looked at: the link is given
        let registration = Registration { kind, source: id, last_hop, name: &name, info: &info };
        self.claimed_ids(link).remove(&id);
        let slot = self.add_host(&registration, link, out);
        self.announce(slot, out);
    }

    /// The ids that a server's link claims in vain.
    fn claimed_ids(&mut self, link: LinkId) -> &mut IdSet {
        match &mut self.link_state_mut(link).role {
            Role::Server { subtree, .. } => &mut subtree.claimed_ids,
            role => unreachable!("only servers tell of others, not {role:?}"),
        }
    }

    /// A link no longer vouches for an id that is somebody else's, or somebody else's no more. Answers
    /// whether it did.
    pub(super) fn withdraw_if_claimed(&mut self, link: LinkId, id: HostId) -> bool {
        let was_claimed = match &mut self.link_state_mut(link).role {
            // Hardly ever is there a claim, and an empty set is asked without hashing.
            Role::Server { subtree, .. } => {
                !subtree.claimed_ids.is_empty() && subtree.claimed_ids.remove(&id)
            }
            _ => false,
        };
        if was_claimed {
            self.withdraw_claim(id, link);
        }
        was_claimed
    }

    /// A link no longer claims an id that somebody else has.
    pub(super) fn withdraw_claim(&mut self, id: HostId, link: LinkId) {
        let Some(claims) = self.claims.get_mut(&id) else { return };
        for claim in claims.pending.extract_if(.., |claim| claim.link == link) {
            self.claims_bytes -= claim.size_bytes();
        }
        if claims.pending.is_empty() {
            if let Some(grant_at) = claims.grant_at {
                self.timers.remove(&(grant_at, Timer::Claim(id)));
            }
            self.claims.remove(&id);
        }
    }
}
