//! Link-state routing: the advertisements of all peers, and which peers are reachable.
//!
//! Each peer floods an advertisement of its neighbours, with a version that only it increases, and
//! computes reachability from all advertisements by itself. A link counts if both of its ends
//! advertise it. So when a link is lost, the two advertisements of its ends tell every peer on
//! either side which peers became unreachable; and a dead peer cannot stay reachable, because each
//! path to it ends with a neighbour that no longer advertises it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::wire::{Advertisement, VERSION_MAX};
use crate::limits::{PEER_UNREACHABLE_RETENTION, PEERS_MAX};
use crate::link::Time;

/// A change of reachability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReachabilityChange {
    /// The peer with this id became reachable.
    Up(i64),
    /// The peer with this id became unreachable.
    Down(i64),
}

/// Another peer, reachable or not.
#[derive(Debug)]
struct KnownPeer {
    advertisement: Advertisement,
    /// When the peer became unreachable; `None` while it is reachable.
    unreachable_since: Option<Time>,
    /// The previous hop on a path from this peer, while the peer is reachable.
    predecessor: u64,
}

/// The network as this peer knows it.
#[derive(Debug)]
pub(super) struct Topology {
    own: Advertisement,
    /// Whether `own` has changed since it was last advertised.
    is_own_dirty: bool,
    /// All other known peers, by incarnation.
    peers: BTreeMap<u64, KnownPeer>,
    /// The unreachable peers, by the time at which they became unreachable.
    unreachable: BTreeSet<(Time, u64)>,
    /// The ids of all reachable peers, each with the oldest claim on it: `(id_since, incarnation)`.
    /// Without this peer's own claim.
    claims: BTreeMap<i64, (u64, u64)>,
    /// The ids reported as reachable: all keys of `claims` but this peer's own id.
    announced: BTreeSet<i64>,
    /// Whether reachability must be recomputed from scratch, because a link on a used path was lost
    /// or an id has changed.
    needs_full_search: bool,
    /// New links from a reachable peer to an unreachable one, where the search continues.
    new_links: Vec<(u64, u64)>,
}

impl Topology {
    /// Returns the topology of a peer without an id and without neighbours.
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

    /// Returns this peer's own advertisement.
    pub(super) fn own(&self) -> &Advertisement {
        &self.own
    }

    /// Returns the number of other known peers.
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Returns the ids of all other reachable peers, ascending.
    pub(super) fn reachable_ids(&self) -> impl Iterator<Item = i64> {
        self.announced.iter().copied()
    }

    /// Returns whether an advertisement of a peer is stored.
    pub(super) fn is_known(&self, incarnation: u64) -> bool {
        self.peers.contains_key(&incarnation)
    }

    /// Returns whether this peer or a reachable one, other than `incarnation`, has `id`.
    pub(super) fn is_taken(&self, id: i64, incarnation: u64) -> bool {
        (self.own.id == id && self.own.incarnation != incarnation)
            || self.claims.get(&id).is_some_and(|&(_, holder)| holder != incarnation)
    }

    /// Sets this peer's id and the time at which it was taken.
    pub(super) fn set_own_id(&mut self, id: i64, id_since: u64) {
        self.own.id = id;
        self.own.id_since = id_since;
        self.is_own_dirty = true;
        self.needs_full_search = true;
    }

    /// Sets this peer's neighbours.
    pub(super) fn set_neighbours(&mut self, neighbours: BTreeSet<u64>) {
        let neighbours: Vec<u64> = neighbours.into_iter().collect();
        if neighbours != self.own.neighbours {
            let advertisement = Advertisement { neighbours, ..self.own.clone() };
            let previous = std::mem::replace(&mut self.own, advertisement);
            self.is_own_dirty = true;
            self.update_links(&previous.neighbours, self.own.incarnation);
        }
    }

    /// Returns whether a changed advertisement cannot be sent because all versions are used up.
    pub(super) fn is_version_exhausted(&self) -> bool {
        self.is_own_dirty && self.own.version >= VERSION_MAX
    }

    /// Starts a new incarnation with the same id and without neighbours.
    pub(super) fn reincarnate(&mut self, incarnation: u64) {
        let Advertisement { id, id_since, .. } = self.own;
        self.own = Advertisement { incarnation, id, id_since, ..Advertisement::default() };
        self.is_own_dirty = true;
        self.needs_full_search = true;
    }

    /// Returns this peer's advertisement, with the next version, if it has changed since the last
    /// call.
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

    /// Handles a received advertisement. Returns whether it is new and must be forwarded.
    pub(super) fn receive(&mut self, now: Time, advertisement: Advertisement) -> bool {
        let incarnation = advertisement.incarnation;
        if incarnation == self.own.incarnation {
            // Forged, or from before `reincarnate`: overridden with a higher version.
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

    /// Records which part of the reachability a peer's new neighbours affect.
    fn update_links(&mut self, old_neighbours: &[u64], incarnation: u64) {
        let Some(advertisement) = self.advertisement(incarnation) else { return };
        let reachable_peer = |incarnation: u64| {
            self.peers.get(&incarnation).filter(|peer| peer.unreachable_since.is_none())
        };
        let is_tree_edge =
            |from: u64, to: u64| reachable_peer(to).is_some_and(|peer| peer.predecessor == from);
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

    /// Returns the stored advertisement of a peer or this peer's own.
    fn advertisement(&self, incarnation: u64) -> Option<&Advertisement> {
        if incarnation == self.own.incarnation {
            return Some(&self.own);
        }
        self.peers.get(&incarnation).map(|peer| &peer.advertisement)
    }

    fn is_reachable(&self, incarnation: u64) -> bool {
        incarnation == self.own.incarnation
            || self.peers.get(&incarnation).is_some_and(|peer| peer.unreachable_since.is_none())
    }

    /// Returns whether two peers advertise each other.
    fn is_linked(&self, one: u64, other: u64) -> bool {
        let advertises = |one: u64, other: u64| {
            self.advertisement(one).is_some_and(|it| it.neighbours.binary_search(&other).is_ok())
        };
        advertises(one, other) && advertises(other, one)
    }

    /// Returns all advertisements for a new link. This peer's own comes last, so that its receiver
    /// knows the whole network before it becomes reachable.
    pub(super) fn advertisements(&self) -> impl Iterator<Item = &Advertisement> {
        let others = self.peers.values().map(|peer| &peer.advertisement);
        others.chain((self.own.id != 0).then_some(&self.own))
    }

    /// Updates reachability and returns what has changed.
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

    /// Continues the search over new links. Returns the peers that became reachable.
    fn extend_reachability(&mut self, mut links: VecDeque<(u64, u64)>) -> Vec<u64> {
        let mut reached = Vec::new();
        while let Some((from, incarnation)) = links.pop_front() {
            if !self.is_reachable(from) || !self.is_linked(from, incarnation) {
                continue; // lost again since
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

    /// Recomputes reachability from scratch and returns what has changed.
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

    /// Returns whether a reachable peer has an older claim on this peer's id.
    pub(super) fn must_yield_id(&self) -> bool {
        let own = (self.own.id_since, self.own.incarnation);
        self.claims.get(&self.own.id).is_some_and(|&claim| claim < own)
    }

    /// Returns when the next unreachable peer is forgotten.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.unreachable.first().map(|&(gone, _)| gone + PEER_UNREACHABLE_RETENTION)
    }

    /// Forgets peers that have been unreachable for [`PEER_UNREACHABLE_RETENTION`].
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
