//! Ids that two hosts want: who was heard of first has it, the other's claim is refused and kept.
//!
//! A claim counts once the id has been free for [`CLAIM_PAUSE`]: by then the quits of its last holder
//! have gone round, and with them every claim that was only an echo of it. A server that hears its
//! own neighbour announced over another link is part of a cycle, and gives up its uplink.

use super::link::{IdSet, Role};
use super::message::{HostId, Kind, Registration};
use super::uplink::State;
use super::{CloseReason, FirstLink, LinkId, Outbox, Relay, Time, Timer};
use crate::limits::{CLAIM_PAUSE, CLAIMS_BYTES_MAX, HOST_BYTES};

/// What was refused for one id, in the order it came.
#[derive(Debug, Default)]
pub(super) struct Claims {
    claims: Vec<Claim>,
    /// When the first of them is granted, if the id is still free then.
    due: Option<Time>,
}

#[derive(Debug)]
struct Claim {
    link: LinkId,
    kind: Kind,
    name: Box<[u8]>,
    info: Box<[u8]>,
}

impl Claim {
    fn bytes(&self) -> usize {
        self.name.len() + self.info.len() + HOST_BYTES
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
        self.refuse(link, registration, out);
        if self.is_first_link(id, link) || !self.claimed(link).insert(id) || id == self.own.id {
            return;
        }
        log::warn!("link {link}: {id} is registered at two ends of the network");
        let claim = Claim { link, kind, name: name.into(), info: info.into() };
        // One that is not kept is no worse than a claim in the plain protocol.
        if self.claims_bytes + claim.bytes() <= CLAIMS_BYTES_MAX {
            self.claims_bytes += claim.bytes();
            self.claims.entry(id).or_default().claims.push(claim);
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
        let Some(host) = self.hosts.get(id).filter(|host| host.is_told_by(registration)) else {
            return;
        };
        let FirstLink::Link(direct) = host.first_link else { return };
        let is_neighbour =
            matches!(self.attachment(direct).role, Role::Server { host, .. } if host == id);
        if let State::Attached { link: uplink, .. } = self.uplink.state
            && is_neighbour
            && (uplink == link || uplink == direct)
        {
            log::warn!("server {id} is reached in two ways: leaving the parent for a minute");
            self.uplink.refused(self.now, &mut self.rng);
            out.close(uplink, CloseReason::Loop(id));
        }
    }

    /// The id of a host that has left is free: a claim on it may count soon.
    pub(super) fn consider_claims(&mut self, id: HostId) {
        if let Some(claims) = self.claims.get_mut(&id)
            && claims.due.is_none()
        {
            let due = self.now + CLAIM_PAUSE;
            claims.due = Some(due);
            self.timers.insert((due, Timer::Claim(id)));
        }
    }

    /// The pause is over: if the id is still free, the first who claimed it has it.
    pub(super) fn grant_claim(&mut self, id: HostId, out: &mut impl Outbox) {
        let Some(claims) = self.claims.get_mut(&id) else { return };
        claims.due = None;
        if self.is_stopping || self.hosts.get(id).is_some() {
            return;
        }
        let claim = claims.claims.remove(0);
        self.claims_bytes -= claim.bytes();
        let Claim { link, kind, name, info } = claim;
        if claims.claims.is_empty() {
            self.claims.remove(&id);
        }
        let last_hop = HostId::NONE; // not looked at: the link is given
        let registration = Registration { kind, source: id, last_hop, name: &name, info: &info };
        self.claimed(link).remove(&id);
        let slot = self.add(&registration, link, out);
        self.announce(slot, out);
    }

    /// The ids that a server's link claims in vain.
    fn claimed(&mut self, link: LinkId) -> &mut IdSet {
        match &mut self.attachment_mut(link).role {
            Role::Server { behind, .. } => &mut behind.claimed,
            role => unreachable!("only servers tell of others, not {role:?}"),
        }
    }

    /// A link no longer vouches for an id that is somebody else's, or somebody else's no more. Answers
    /// whether it did.
    pub(super) fn withdraw(&mut self, link: LinkId, id: HostId) -> bool {
        let is_claimed = match &mut self.attachment_mut(link).role {
            // Hardly ever is there a claim, and an empty set is asked without hashing.
            Role::Server { behind, .. } => !behind.claimed.is_empty() && behind.claimed.remove(&id),
            _ => false,
        };
        if is_claimed {
            self.withdraw_claim(id, link);
        }
        is_claimed
    }

    /// A link no longer claims an id that somebody else has.
    pub(super) fn withdraw_claim(&mut self, id: HostId, link: LinkId) {
        let Some(claims) = self.claims.get_mut(&id) else { return };
        for claim in claims.claims.extract_if(.., |claim| claim.link == link) {
            self.claims_bytes -= claim.bytes();
        }
        if claims.claims.is_empty() {
            if let Some(due) = claims.due {
                self.timers.remove(&(due, Timer::Claim(id)));
            }
            self.claims.remove(&id);
        }
    }
}
