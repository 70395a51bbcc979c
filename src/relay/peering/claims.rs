//! [`Claims`]: registrations of ids that are in use, refused and remembered.
//!
//! The host that was registered first keeps an id. A claim is granted once the id has been free for
//! [`CLAIM_GRANT_DELAY`]: by then the quits of the last holder have reached the whole network, and
//! with them every claim that was only an echo of that holder has been withdrawn.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use crate::id::HostId;
use crate::limits::{CLAIM_GRANT_DELAY, CLAIMS_BYTES_MAX};
use crate::link::{LinkId, Time};
use crate::relay::message::{HostKind, Registration};
use crate::relay::timers::{Timer, Timers};
use crate::relay::topology::host_size_bytes;

/// The claims of all links to servers.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    by_id: HashMap<HostId, ClaimQueue, RandomState>,
    /// Ids claimed over each link, including claims that were too many to keep.
    by_link: HashMap<LinkId, HashSet<HostId, RandomState>, RandomState>,
    size_bytes: usize,
}

/// The claims on one id, in the order in which they arrived. Never empty.
#[derive(Clone, Debug, Default)]
struct ClaimQueue {
    pending: Vec<Claim>,
    /// Time at which the first claim is granted, if the id is still free.
    grant_at: Option<Time>,
}

/// A refused registration.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) link: LinkId,
    kind: HostKind,
    id: HostId,
    name: Box<[u8]>,
    info: Box<[u8]>,
}

impl Claim {
    /// Returns the registration that was refused.
    pub(super) fn registration(&self) -> Registration<'_> {
        let Self { kind, id: source, ref name, ref info, .. } = *self;
        Registration { kind, source, last_hop: HostId::NONE, name, info }
    }

    fn size_bytes(&self) -> usize {
        host_size_bytes(&self.name, &self.info)
    }
}

impl Claims {
    /// Records a registration that was refused on `link`. Returns whether the link had no claim on
    /// the id yet.
    ///
    /// The claim is kept for a grant unless `is_own_id` or [`CLAIMS_BYTES_MAX`] forbids it.
    pub(super) fn add(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        is_own_id: bool,
    ) -> bool {
        let Registration { kind, source: id, name, info, .. } = *registration;
        if !self.by_link.entry(link).or_default().insert(id) {
            return false;
        }
        let claim = Claim { link, kind, id, name: name.into(), info: info.into() };
        if !is_own_id && self.size_bytes + claim.size_bytes() <= CLAIMS_BYTES_MAX {
            self.size_bytes += claim.size_bytes();
            self.by_id.entry(id).or_default().pending.push(claim);
        }
        true
    }

    /// Withdraws the claim of `link` on `id`. Returns whether it had one.
    pub(super) fn withdraw(&mut self, link: LinkId, id: HostId, timers: &mut Timers) -> bool {
        // Usually there are no claims at all, so that nothing is hashed.
        let was_claimed = !self.by_link.is_empty() && self.forget_link_id(link, id);
        if was_claimed {
            self.remove(link, id, timers);
        }
        was_claimed
    }

    /// Withdraws all claims of a link.
    pub(super) fn withdraw_all(&mut self, link: LinkId, timers: &mut Timers) {
        for id in self.by_link.remove(&link).into_iter().flatten() {
            self.remove(link, id, timers);
        }
    }

    fn forget_link_id(&mut self, link: LinkId, id: HostId) -> bool {
        let Some(ids) = self.by_link.get_mut(&link) else { return false };
        let was_claimed = ids.remove(&id);
        if ids.is_empty() {
            self.by_link.remove(&link);
        }
        was_claimed
    }

    fn remove(&mut self, link: LinkId, id: HostId, timers: &mut Timers) {
        let Some(queue) = self.by_id.get_mut(&id) else { return };
        for claim in queue.pending.extract_if(.., |claim| claim.link == link) {
            self.size_bytes -= claim.size_bytes();
        }
        if queue.pending.is_empty() {
            if let Some(grant_at) = queue.grant_at {
                timers.remove(grant_at, Timer::Claim(id));
            }
            self.by_id.remove(&id);
        }
    }

    /// Schedules the grant of an id that has just become free.
    pub(super) fn schedule_grant(&mut self, id: HostId, now: Time, timers: &mut Timers) {
        if let Some(queue) = self.by_id.get_mut(&id)
            && queue.grant_at.is_none()
        {
            let grant_at = now + CLAIM_GRANT_DELAY;
            queue.grant_at = Some(grant_at);
            timers.insert(grant_at, Timer::Claim(id));
        }
    }

    /// Handles the timer of an id. Returns the claim that is granted, if the id is free.
    pub(super) fn on_grant_due(&mut self, id: HostId, is_free: bool) -> Option<Claim> {
        let queue = self.by_id.get_mut(&id)?;
        queue.grant_at = None;
        if !is_free {
            return None;
        }
        let claim = queue.pending.remove(0);
        if queue.pending.is_empty() {
            self.by_id.remove(&id);
        }
        self.size_bytes -= claim.size_bytes();
        self.forget_link_id(claim.link, id);
        Some(claim)
    }

    /// Checks that sizes, links and timers agree with the claims. Returns the number of timers.
    ///
    /// # Panics
    /// If they do not.
    pub(super) fn check(&self, is_server: impl Fn(LinkId) -> bool, timers: &Timers) -> usize {
        let mut size_bytes = 0;
        for (&id, queue) in &self.by_id {
            assert!(!queue.pending.is_empty(), "id {id} has claims");
            let due: Vec<Time> = queue.grant_at.into_iter().collect();
            assert_eq!(timers.times_of(Timer::Claim(id)), due, "the timer of claimed id {id}");
            for claim in &queue.pending {
                let ids = self.by_link.get(&claim.link);
                assert!(ids.is_some_and(|ids| ids.contains(&id)), "link of a claim on {id}");
                size_bytes += claim.size_bytes();
            }
        }
        assert_eq!(self.size_bytes, size_bytes, "the size of all claims");
        assert!(self.size_bytes <= CLAIMS_BYTES_MAX, "the size of all claims");
        assert!(self.by_link.keys().all(|&link| is_server(link)), "only servers claim ids");
        assert!(self.by_link.values().all(|ids| !ids.is_empty()), "a listed link has claims");
        self.by_id.values().filter(|queue| queue.grant_at.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32) -> LinkId {
        LinkId { index, generation: 1 }
    }

    fn user(id: u32, name: &[u8]) -> Registration<'_> {
        let (kind, last_hop, info) = (HostKind::User, HostId::NONE, &b""[..]);
        Registration { kind, source: HostId(id), last_hop, name, info }
    }

    #[test]
    fn first_claim_is_granted_when_the_id_is_free() {
        let (mut claims, mut timers) = (Claims::default(), Timers::default());
        assert!(claims.add(link(1), &user(7, b"first"), false));
        assert!(!claims.add(link(1), &user(7, b"again"), false));
        assert!(claims.add(link(2), &user(7, b"second"), false));
        claims.schedule_grant(HostId(7), Time::default(), &mut timers);
        let due = Time::default() + CLAIM_GRANT_DELAY;
        assert_eq!(timers.times_of(Timer::Claim(HostId(7))), [due]);
        assert_eq!(timers.pop_due(due), Some(Timer::Claim(HostId(7))));
        assert!(claims.on_grant_due(HostId(7), false).is_none());
        let claim = claims.on_grant_due(HostId(7), true).expect("a claim");
        assert_eq!((claim.link, claim.registration().name), (link(1), &b"first"[..]));
        assert_eq!(claims.check(|_| true, &timers), 0);
        assert!(!claims.withdraw(link(1), HostId(7), &mut timers));
    }

    #[test]
    fn withdrawing_the_last_claim_cancels_its_timer() {
        let (mut claims, mut timers) = (Claims::default(), Timers::default());
        claims.add(link(1), &user(7, b""), false);
        claims.add(link(2), &user(7, b""), false);
        claims.schedule_grant(HostId(7), Time::default(), &mut timers);
        assert!(claims.withdraw(link(1), HostId(7), &mut timers));
        assert_eq!(claims.check(|_| true, &timers), 1);
        claims.withdraw_all(link(2), &mut timers);
        assert_eq!(timers.len(), 0);
        assert_eq!((claims.size_bytes, claims.by_id.len(), claims.by_link.len()), (0, 0, 0));
    }

    #[test]
    fn claims_beyond_the_limit_are_recorded_but_not_kept() {
        let mut claims = Claims::default();
        let info = vec![b'x'; 60_000];
        let registration = |id| Registration { info: &info, ..user(id, b"") };
        for id in 1..1000 {
            assert!(claims.add(link(1), &registration(id), false));
        }
        assert!(claims.size_bytes <= CLAIMS_BYTES_MAX);
        assert!(claims.on_grant_due(HostId(1), true).is_some());
        assert!(claims.on_grant_due(HostId(999), true).is_none());
        assert!(claims.withdraw(link(1), HostId(999), &mut Timers::default()));
    }
}
