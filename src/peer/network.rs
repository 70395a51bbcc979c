//! Who is here: what each peer says of itself, and to whom a way leads.
//!
//! Every peer says who its neighbours are, with a version that it alone raises; all of it is flooded,
//! and each peer finds for itself whom it can reach. A link counts if both of its ends say so. So
//! when a link is lost, two peers say something, and everyone on either side knows who is gone; and
//! nobody who is gone stays, since only those who live can vouch for a way to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::wire::{Here, VERSION_MAX};
use crate::limits::{PEER_UNREACHABLE_RETENTION, PEERS_MAX};
use crate::link::Time;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Came(i64),
    Left(i64),
}

#[derive(Debug)]
struct Known {
    here: Here,
    /// Since when no way leads there.
    gone: Option<Time>,
    /// The one before it on a way from this peer, while a way leads there.
    before: u64,
}

/// The network as one peer knows it.
#[derive(Debug)]
pub(super) struct Network {
    own: Here,
    /// What others were told of this peer does not hold any more.
    is_own_stale: bool,
    known: BTreeMap<u64, Known>,
    /// Those to whom no way leads, by the time since when.
    gone: BTreeSet<(Time, u64)>,
    /// Ids of those whom a way leads to, without this peer's claim on its own, each with the life that
    /// has had it longest.
    present: BTreeMap<i64, (u64, u64)>,
    /// The ids that the user was told of: those present but for this peer's own.
    told: BTreeSet<i64>,
    /// A link that a way led over is lost, or somebody goes by another id: all ways are to be found
    /// anew.
    is_stale: bool,
    /// Links from somebody whom a way leads to, to somebody whom none did: the ways go on there.
    fresh: Vec<(u64, u64)>,
}

impl Network {
    /// Of a peer without an id.
    pub(super) fn new(life: u64) -> Self {
        Self {
            own: Here { life, ..Here::default() },
            is_own_stale: false,
            known: BTreeMap::new(),
            gone: BTreeSet::new(),
            present: BTreeMap::new(),
            told: BTreeSet::new(),
            is_stale: false,
            fresh: Vec::new(),
        }
    }

    pub(super) fn own(&self) -> &Here {
        &self.own
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The ids of all other peers that can be reached.
    pub(super) fn present(&self) -> impl Iterator<Item = i64> {
        self.told.iter().copied()
    }

    /// Whether a peer has said anything of itself.
    pub(super) fn knows(&self, life: u64) -> bool {
        self.known.contains_key(&life)
    }

    /// Whether another than `life` that can be reached has an id.
    pub(super) fn is_taken(&self, id: i64, life: u64) -> bool {
        (self.own.id == id && self.own.life != life)
            || self.present.get(&id).is_some_and(|&(_, has)| has != life)
    }

    /// This peer goes by an id.
    pub(super) fn take_id(&mut self, id: i64, since: u64) {
        self.own.id = id;
        self.own.since = since;
        self.is_own_stale = true;
        self.is_stale = true;
    }

    /// This peer has these neighbours.
    pub(super) fn set_neighbours(&mut self, neighbours: BTreeSet<u64>) {
        let neighbours: Vec<u64> = neighbours.into_iter().collect();
        if neighbours != self.own.neighbours {
            let here = Here { neighbours, ..self.own.clone() };
            let before = std::mem::replace(&mut self.own, here);
            self.is_own_stale = true;
            self.follow(&before.neighbours, self.own.life);
        }
    }

    /// Whether no version is left for what others are to be told.
    pub(super) fn is_worn_out(&self) -> bool {
        self.is_own_stale && self.own.version >= VERSION_MAX
    }

    /// This peer is another from now on, without neighbours, under the same id.
    pub(super) fn begin_anew(&mut self, life: u64) {
        let Here { id, since, .. } = self.own;
        self.own = Here { life, id, since, ..Here::default() };
        self.is_own_stale = true;
        self.is_stale = true;
    }

    /// What others are to be told of this peer, if that has changed.
    pub(super) fn take_news(&mut self) -> Option<Here> {
        if self.is_worn_out() || !std::mem::take(&mut self.is_own_stale) || self.own.id == 0 {
            return None;
        }
        self.own.version += 1;
        Some(self.own.clone())
    }

    /// Takes in what a peer says of itself. Answers whether that is news, to be passed on.
    pub(super) fn hear(&mut self, now: Time, here: Here) -> bool {
        let life = here.life;
        if life == self.own.life {
            // Nobody else says such things of this peer; what has been said is to be outdone.
            if here.version >= self.own.version && here != self.own {
                self.own.version = here.version;
                self.is_own_stale = true;
            }
            return false;
        }
        let mut before = Vec::new();
        if let Some(known) = self.known.get_mut(&life) {
            if known.here.version >= here.version {
                return false;
            }
            let is_renamed = (known.here.id, known.here.since) != (here.id, here.since);
            self.is_stale |= is_renamed && known.gone.is_none();
            before = std::mem::replace(&mut known.here, here).neighbours;
        } else {
            if self.known.len() >= PEERS_MAX {
                let Some((_, gone)) = self.gone.pop_first() else { return false };
                self.known.remove(&gone);
            }
            self.known.insert(life, Known { here, gone: Some(now), before: 0 });
            self.gone.insert((now, life));
        }
        self.follow(&before, life);
        true
    }

    /// Somebody, who had other neighbours before, says which it has: notes what that changes.
    fn follow(&mut self, before: &[u64], life: u64) {
        let Some(here) = self.here(life) else { return };
        let way_to = |life: u64| self.known.get(&life).filter(|known| known.gone.is_none());
        let is_way = |from: u64, to: u64| way_to(to).is_some_and(|known| known.before == from);
        let mut lost = before.iter().filter(|next| here.neighbours.binary_search(next).is_err());
        let is_stale = lost.any(|&next| is_way(life, next) || is_way(next, life));
        let is_reached = self.is_reached(life);
        let changed = here.neighbours.iter().filter(|next| self.is_reached(**next) != is_reached);
        let fresh: Vec<(u64, u64)> = changed
            .map(|&next| if is_reached { (life, next) } else { (next, life) })
            .filter(|&(from, to)| self.is_link(from, to))
            .collect();
        self.fresh.extend(fresh);
        self.is_stale |= is_stale;
    }

    /// What a peer, this one included, has said of itself.
    fn here(&self, life: u64) -> Option<&Here> {
        if life == self.own.life {
            return Some(&self.own);
        }
        self.known.get(&life).map(|known| &known.here)
    }

    fn is_reached(&self, life: u64) -> bool {
        life == self.own.life || self.known.get(&life).is_some_and(|known| known.gone.is_none())
    }

    /// Whether both ends name each other.
    fn is_link(&self, one: u64, other: u64) -> bool {
        let names = |one: u64, other: u64| {
            self.here(one).is_some_and(|here| here.neighbours.binary_search(&other).is_ok())
        };
        names(one, other) && names(other, one)
    }

    /// All that a newcomer is to be told, this peer's own last: whoever has not heard of them yet
    /// has heard of the ways to them then.
    pub(super) fn all(&self) -> impl Iterator<Item = &Here> {
        let known = self.known.values().map(|known| &known.here);
        known.chain((self.own.id != 0).then_some(&self.own))
    }

    /// Finds whom a way leads to, as far as that may have changed.
    pub(super) fn settle(&mut self, now: Time) -> Vec<Change> {
        if std::mem::take(&mut self.is_stale) {
            return self.search(now);
        }
        let mut changes = Vec::new();
        let fresh = std::mem::take(&mut self.fresh);
        for life in self.go_on(fresh.into()) {
            let id = self.known[&life].here.id;
            if id != self.own.id && self.told.insert(id) {
                changes.push(Change::Came(id));
            }
        }
        changes
    }

    /// Goes on from links to those whom no way led to, and answers whom it leads to now.
    fn go_on(&mut self, mut links: VecDeque<(u64, u64)>) -> Vec<u64> {
        let mut reached = Vec::new();
        while let Some((from, life)) = links.pop_front() {
            if !self.is_reached(from) || !self.is_link(from, life) {
                continue; // it was lost again
            }
            let Some(known) = self.known.get_mut(&life) else { continue };
            let Some(gone) = known.gone.take() else { continue };
            self.gone.remove(&(gone, life));
            known.before = from;
            let claim = (known.here.since, life);
            let oldest = self.present.entry(known.here.id).or_insert(claim);
            *oldest = claim.min(*oldest);
            links.extend(known.here.neighbours.iter().map(|&next| (life, next)));
            reached.push(life);
        }
        reached
    }

    /// Finds all ways anew.
    fn search(&mut self, now: Time) -> Vec<Change> {
        self.fresh.clear();
        self.present.clear();
        for (life, known) in &mut self.known {
            if known.gone.is_none() {
                known.gone = Some(now);
                self.gone.insert((now, *life));
            }
        }
        let own = self.own.life;
        self.go_on(self.own.neighbours.iter().map(|&next| (own, next)).collect());
        let own = self.own.id;
        let told = self.present.keys().copied().filter(|&id| id != own).collect();
        let before = std::mem::replace(&mut self.told, told);
        let left = before.difference(&self.told).map(|&id| Change::Left(id));
        let came = self.told.difference(&before).map(|&id| Change::Came(id));
        left.chain(came).collect()
    }

    /// Whether somebody who can be reached has had this peer's id for longer.
    pub(super) fn is_usurper(&self) -> bool {
        let own = (self.own.since, self.own.life);
        self.present.get(&self.own.id).is_some_and(|&claim| claim < own)
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.gone.first().map(|&(gone, _)| gone + PEER_UNREACHABLE_RETENTION)
    }

    /// Forgets those to whom no way has led for long.
    pub(super) fn advance(&mut self, now: Time) {
        while let Some(&(gone, life)) = self.gone.first()
            && now.since(gone) >= PEER_UNREACHABLE_RETENTION
        {
            self.gone.pop_first();
            self.known.remove(&life);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn here(life: u64, version: u64, id: i64, neighbours: &[u64]) -> Here {
        Here { life, version, id, since: life, neighbours: neighbours.to_vec() }
    }

    fn network() -> Network {
        let mut network = Network::new(1);
        network.take_id(100, 1);
        network.set_neighbours([2].into());
        network
    }

    #[test]
    fn a_way_leads_over_links_that_both_ends_name() {
        let mut network = network();
        let now = Time::default();
        assert!(network.hear(now, here(3, 1, 300, &[2])));
        assert!(network.hear(now, here(2, 1, 200, &[1])));
        assert_eq!(network.settle(now), [Change::Came(200)]);
        assert!(network.hear(now, here(2, 2, 200, &[1, 3])));
        assert!(!network.hear(now, here(2, 1, 200, &[1])), "older news");
        assert_eq!(network.settle(now), [Change::Came(300)]);
        assert!(network.is_taken(300, 9) && !network.is_taken(300, 3));
        // The link between 2 and 3 is lost: one end says so.
        network.hear(now, here(2, 3, 200, &[1]));
        assert_eq!(network.settle(now), [Change::Left(300)]);
        assert!(!network.is_taken(300, 9));
        assert_eq!(network.len(), 2);
        network.advance(now + PEER_UNREACHABLE_RETENTION);
        assert_eq!(network.len(), 1, "who is gone is forgotten");
    }

    /// Ways that are followed step by step are those that a search from the beginning finds.
    #[test]
    fn ways_are_followed_as_if_they_were_sought_anew() {
        use rand::rngs::StdRng;
        use rand::{RngExt as _, SeedableRng as _};
        let (mut followed, mut sought) = (0, 0);
        for seed in 0..60 {
            let mut rng = StdRng::seed_from_u64(seed);
            let size = rng.random_range(3..14);
            let mut network = network();
            let mut versions: BTreeMap<u64, u64> = BTreeMap::new();
            for step in 0..120 {
                let now = Time::from_start(Duration::from_millis(step * 400));
                for _ in 0..rng.random_range(1..4) {
                    let life = rng.random_range(1..size);
                    let others = (1..size).filter(|&other| other != life);
                    let neighbours: BTreeSet<u64> =
                        others.filter(|_| rng.random_ratio(1, 3)).collect();
                    if life == 1 {
                        network.set_neighbours(neighbours);
                        continue;
                    }
                    let version = versions.entry(life).or_default();
                    *version += 1;
                    let id = 100 + rng.random_range(0..20) / 19 + life % 8;
                    let neighbours = neighbours.into_iter().collect::<Vec<_>>();
                    network.hear(now, here(life, *version, id.cast_signed(), &neighbours));
                }
                *(if network.is_stale { &mut sought } else { &mut followed }) += 1;
                network.settle(now);
                let ways = |network: &Network| {
                    let known = network.known.iter();
                    let reached = known.filter(|(_, known)| known.gone.is_none());
                    let reached: Vec<u64> = reached.map(|(&life, _)| life).collect();
                    (reached, network.present.clone(), network.told.clone())
                };
                let found = ways(&network);
                let gone = network.known.values().filter(|known| known.gone.is_some());
                assert_eq!(gone.count(), network.gone.len());
                network.is_stale = true;
                assert_eq!(network.settle(now), [], "seed {seed}, step {step}");
                assert_eq!(ways(&network), found, "seed {seed}, step {step}");
                network.advance(now);
            }
        }
        assert!(followed > 500 && sought > 500, "{followed} {sought}");
    }

    #[test]
    fn the_older_claim_on_an_id_holds() {
        let mut network = network();
        let now = Time::default();
        network.hear(now, here(2, 1, 100, &[1]));
        network.settle(now);
        assert!(!network.is_usurper(), "the other is younger");
        network.hear(now, Here { since: 0, ..here(2, 2, 100, &[1]) });
        network.settle(now);
        assert!(network.is_usurper());
    }

    #[test]
    fn a_lie_about_oneself_is_outdone() {
        let mut network = network();
        network.take_news();
        network.hear(Time::default(), here(1, 77, 5, &[]));
        let news = network.take_news().expect("an answer");
        assert_eq!((news.version, news.id), (78, 100));
    }

    #[test]
    fn peers_are_bounded() {
        let mut network = network();
        for life in 2..2 * PEERS_MAX as u64 {
            network.hear(Time::default(), here(life, 1, 7, &[1]));
            network.settle(Time::default());
            assert!(network.len() <= PEERS_MAX);
        }
    }
}
