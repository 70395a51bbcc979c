//! Who is here: what each peer says of itself, and to whom a way leads.
//!
//! Every peer says who its neighbours are, with a version that it alone raises; all of it is flooded,
//! and each peer finds for itself whom it can reach. A link counts if both of its ends say so. So
//! when a link is lost, two peers say something, and everyone on either side knows who is gone; and
//! nobody who is gone stays, since only those who live can vouch for a way to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::wire::{Advertisement, VERSION_MAX};
use crate::limits::{PEER_UNREACHABLE_RETENTION, PEERS_MAX};
use crate::link::Time;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReachabilityChange {
    Up(i64),
    Down(i64),
}

#[derive(Debug)]
struct KnownPeer {
    advertisement: Advertisement,
    /// Since when no way leads there.
    unreachable_since: Option<Time>,
    /// The one before it on a way from this peer, while a way leads there.
    predecessor: u64,
}

/// The network as one peer knows it.
#[derive(Debug)]
pub(super) struct Topology {
    own: Advertisement,
    /// What others were told of this peer does not hold any more.
    is_own_dirty: bool,
    peers: BTreeMap<u64, KnownPeer>,
    /// Those to whom no way leads, by the time since when.
    unreachable: BTreeSet<(Time, u64)>,
    /// Ids of those whom a way leads to, without this peer's claim on its own, each with the life that
    /// has had it longest.
    claims: BTreeMap<i64, (u64, u64)>,
    /// The ids that the user was told of: those present but for this peer's own.
    announced: BTreeSet<i64>,
    /// A link that a way led over is lost, or somebody goes by another id: all ways are to be found
    /// anew.
    needs_full_search: bool,
    /// Links from somebody whom a way leads to, to somebody whom none did: the ways go on there.
    new_links: Vec<(u64, u64)>,
}

impl Topology {
    /// Of a peer without an id.
    pub(super) fn new(incarnation: u64) -> Self {
        Self {
            own: Advertisement { incarnation, ..Advertisement::default() },
            is_own_dirty: false,
            peers: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            claims: BTreeMap::new(),
            announced: BTreeSet::new(),
            needs_full_search: false,
            new_links: Vec::new(),
        }
    }

    pub(super) fn own(&self) -> &Advertisement {
        &self.own
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// The ids of all other peers that can be reached.
    pub(super) fn reachable_ids(&self) -> impl Iterator<Item = i64> {
        self.announced.iter().copied()
    }

    /// Whether a peer has said anything of itself.
    pub(super) fn is_known(&self, incarnation: u64) -> bool {
        self.peers.contains_key(&incarnation)
    }

    /// Whether another than `life` that can be reached has an id.
    pub(super) fn is_taken(&self, id: i64, incarnation: u64) -> bool {
        (self.own.id == id && self.own.incarnation != incarnation)
            || self.claims.get(&id).is_some_and(|&(_, holder)| holder != incarnation)
    }

    /// This peer goes by an id.
    pub(super) fn set_own_id(&mut self, id: i64, id_since: u64) {
        self.own.id = id;
        self.own.id_since = id_since;
        self.is_own_dirty = true;
        self.needs_full_search = true;
    }

    /// This peer has these neighbours.
    pub(super) fn set_neighbours(&mut self, neighbours: BTreeSet<u64>) {
        let neighbours: Vec<u64> = neighbours.into_iter().collect();
        if neighbours != self.own.neighbours {
            let advertisement = Advertisement { neighbours, ..self.own.clone() };
            let previous = std::mem::replace(&mut self.own, advertisement);
            self.is_own_dirty = true;
            self.update_links(&previous.neighbours, self.own.incarnation);
        }
    }

    /// Whether no version is left for what others are to be told.
    pub(super) fn is_version_exhausted(&self) -> bool {
        self.is_own_dirty && self.own.version >= VERSION_MAX
    }

    /// This peer is another from now on, without neighbours, under the same id.
    pub(super) fn reincarnate(&mut self, incarnation: u64) {
        let Advertisement { id, id_since, .. } = self.own;
        self.own = Advertisement { incarnation, id, id_since, ..Advertisement::default() };
        self.is_own_dirty = true;
        self.needs_full_search = true;
    }

    /// What others are to be told of this peer, if that has changed.
    pub(super) fn take_advertisement(&mut self) -> Option<Advertisement> {
        if self.is_version_exhausted()
            || !std::mem::take(&mut self.is_own_dirty)
            || self.own.id == 0
        {
            return None;
        }
        self.own.version += 1;
        Some(self.own.clone())
    }

    /// Takes in what a peer says of itself. Answers whether that is news, to be passed on.
    pub(super) fn receive(&mut self, now: Time, advertisement: Advertisement) -> bool {
        let incarnation = advertisement.incarnation;
        if incarnation == self.own.incarnation {
            // Nobody else says such things of this peer; what has been said is to be outdone.
            if advertisement.version >= self.own.version && advertisement != self.own {
                self.own.version = advertisement.version;
                self.is_own_dirty = true;
            }
            return false;
        }
        let mut old_neighbours = Vec::new();
        if let Some(peer) = self.peers.get_mut(&incarnation) {
            if peer.advertisement.version >= advertisement.version {
                return false;
            }
            let has_new_id = (peer.advertisement.id, peer.advertisement.id_since)
                != (advertisement.id, advertisement.id_since);
            self.needs_full_search |= has_new_id && peer.unreachable_since.is_none();
            old_neighbours = std::mem::replace(&mut peer.advertisement, advertisement).neighbours;
        } else {
            if self.peers.len() >= PEERS_MAX {
                let Some((_, evicted)) = self.unreachable.pop_first() else { return false };
                self.peers.remove(&evicted);
            }
            self.peers.insert(
                incarnation,
                KnownPeer { advertisement, unreachable_since: Some(now), predecessor: 0 },
            );
            self.unreachable.insert((now, incarnation));
        }
        self.update_links(&old_neighbours, incarnation);
        true
    }

    /// Somebody, who had other neighbours before, says which it has: notes what that changes.
    fn update_links(&mut self, old_neighbours: &[u64], incarnation: u64) {
        let Some(advertisement) = self.advertisement(incarnation) else { return };
        let reachable_peer = |incarnation: u64| {
            self.peers.get(&incarnation).filter(|known| known.unreachable_since.is_none())
        };
        let is_tree_edge =
            |from: u64, to: u64| reachable_peer(to).is_some_and(|known| known.predecessor == from);
        let mut removed = old_neighbours
            .iter()
            .filter(|next| advertisement.neighbours.binary_search(next).is_err());
        let needs_full_search =
            removed.any(|&next| is_tree_edge(incarnation, next) || is_tree_edge(next, incarnation));
        let is_reachable = self.is_reachable(incarnation);
        let candidates = advertisement
            .neighbours
            .iter()
            .filter(|next| self.is_reachable(**next) != is_reachable);
        let new_links: Vec<(u64, u64)> = candidates
            .map(|&next| if is_reachable { (incarnation, next) } else { (next, incarnation) })
            .filter(|&(from, to)| self.is_linked(from, to))
            .collect();
        self.new_links.extend(new_links);
        self.needs_full_search |= needs_full_search;
    }

    /// What a peer, this one included, has said of itself.
    fn advertisement(&self, incarnation: u64) -> Option<&Advertisement> {
        if incarnation == self.own.incarnation {
            return Some(&self.own);
        }
        self.peers.get(&incarnation).map(|known| &known.advertisement)
    }

    fn is_reachable(&self, incarnation: u64) -> bool {
        incarnation == self.own.incarnation
            || self.peers.get(&incarnation).is_some_and(|known| known.unreachable_since.is_none())
    }

    /// Whether both ends name each other.
    fn is_linked(&self, one: u64, other: u64) -> bool {
        let advertises = |one: u64, other: u64| {
            self.advertisement(one)
                .is_some_and(|here| here.neighbours.binary_search(&other).is_ok())
        };
        advertises(one, other) && advertises(other, one)
    }

    /// All that a newcomer is to be told, this peer's own last: whoever has not heard of them yet
    /// has heard of the ways to them then.
    pub(super) fn advertisements(&self) -> impl Iterator<Item = &Advertisement> {
        let others = self.peers.values().map(|known| &known.advertisement);
        others.chain((self.own.id != 0).then_some(&self.own))
    }

    /// Finds whom a way leads to, as far as that may have changed.
    pub(super) fn update_reachability(&mut self, now: Time) -> Vec<ReachabilityChange> {
        if std::mem::take(&mut self.needs_full_search) {
            return self.recompute_reachability(now);
        }
        let mut changes = Vec::new();
        let new_links = std::mem::take(&mut self.new_links);
        for incarnation in self.extend_reachability(new_links.into()) {
            let id = self.peers[&incarnation].advertisement.id;
            if id != self.own.id && self.announced.insert(id) {
                changes.push(ReachabilityChange::Up(id));
            }
        }
        changes
    }

    /// Goes on from links to those whom no way led to, and answers whom it leads to now.
    fn extend_reachability(&mut self, mut links: VecDeque<(u64, u64)>) -> Vec<u64> {
        let mut reached = Vec::new();
        while let Some((from, incarnation)) = links.pop_front() {
            if !self.is_reachable(from) || !self.is_linked(from, incarnation) {
                continue; // it was lost again
            }
            let Some(peer) = self.peers.get_mut(&incarnation) else { continue };
            let Some(unreachable_since) = peer.unreachable_since.take() else { continue };
            self.unreachable.remove(&(unreachable_since, incarnation));
            peer.predecessor = from;
            let claim = (peer.advertisement.id_since, incarnation);
            let oldest = self.claims.entry(peer.advertisement.id).or_insert(claim);
            *oldest = claim.min(*oldest);
            links.extend(peer.advertisement.neighbours.iter().map(|&next| (incarnation, next)));
            reached.push(incarnation);
        }
        reached
    }

    /// Finds all ways anew.
    fn recompute_reachability(&mut self, now: Time) -> Vec<ReachabilityChange> {
        self.new_links.clear();
        self.claims.clear();
        for (incarnation, peer) in &mut self.peers {
            if peer.unreachable_since.is_none() {
                peer.unreachable_since = Some(now);
                self.unreachable.insert((now, *incarnation));
            }
        }
        let own_incarnation = self.own.incarnation;
        self.extend_reachability(
            self.own.neighbours.iter().map(|&next| (own_incarnation, next)).collect(),
        );
        let own_id = self.own.id;
        let announced = self.claims.keys().copied().filter(|&id| id != own_id).collect();
        let previous = std::mem::replace(&mut self.announced, announced);
        let down = previous.difference(&self.announced).map(|&id| ReachabilityChange::Down(id));
        let up = self.announced.difference(&previous).map(|&id| ReachabilityChange::Up(id));
        down.chain(up).collect()
    }

    /// Whether somebody who can be reached has had this peer's id for longer.
    pub(super) fn must_yield_id(&self) -> bool {
        let own = (self.own.id_since, self.own.incarnation);
        self.claims.get(&self.own.id).is_some_and(|&claim| claim < own)
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.unreachable.first().map(|&(gone, _)| gone + PEER_UNREACHABLE_RETENTION)
    }

    /// Forgets those to whom no way has led for long.
    pub(super) fn advance(&mut self, now: Time) {
        while let Some(&(unreachable_since, incarnation)) = self.unreachable.first()
            && now.since(unreachable_since) >= PEER_UNREACHABLE_RETENTION
        {
            self.unreachable.pop_first();
            self.peers.remove(&incarnation);
        }
    }
}

#[cfg(test)]
mod tests;
