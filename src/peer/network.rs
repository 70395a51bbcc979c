//! Who is here: what each peer says of itself, and to whom a way leads.
//!
//! Every peer says who its neighbours are, with a version that it alone raises; all of it is flooded,
//! and each peer finds for itself whom it can reach. A link counts if both of its ends say so. So
//! when a link is lost, two peers say something, and everyone on either side knows who is gone; and
//! nobody who is gone stays, since only those who live can vouch for a way to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::wire::Here;
use crate::limits::{PEER_GONE_KEPT, PEERS_MAX};
use crate::relay::Time;

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
}

/// The network as one peer knows it.
#[derive(Debug)]
pub(super) struct Network {
    own: Here,
    /// What others were told of this peer does not hold any more.
    is_own_stale: bool,
    known: BTreeMap<u64, Known>,
    /// Ids of those whom a way leads to, without this peer's, each with the life that has had it
    /// longest.
    present: BTreeMap<i64, (u64, u64)>,
    is_stale: bool,
}

impl Network {
    /// Of a peer without an id.
    pub(super) fn new(life: u64) -> Self {
        Self {
            own: Here { life, ..Here::default() },
            is_own_stale: false,
            known: BTreeMap::new(),
            present: BTreeMap::new(),
            is_stale: false,
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
        self.present.keys().copied()
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
            self.own.neighbours = neighbours;
            self.is_own_stale = true;
            self.is_stale = true;
        }
    }

    /// What others are to be told of this peer, if that has changed.
    pub(super) fn take_news(&mut self) -> Option<Here> {
        if !std::mem::take(&mut self.is_own_stale) || self.own.id == 0 {
            return None;
        }
        self.own.version += 1;
        Some(self.own.clone())
    }

    /// Takes in what a peer says of itself. Answers whether that is news, to be passed on.
    pub(super) fn hear(&mut self, now: Time, here: Here) -> bool {
        if here.life == self.own.life {
            // Nobody else says such things of this peer; what has been said is to be outdone.
            if here.version >= self.own.version && here != self.own {
                self.own.version = here.version;
                self.is_own_stale = true;
            }
            return false;
        }
        match self.known.get(&here.life) {
            Some(known) if known.here.version >= here.version => return false,
            None if self.known.len() >= PEERS_MAX => {
                let gone = self.known.iter().find(|(_, known)| known.gone.is_some());
                let Some((&gone, _)) = gone else { return false };
                self.known.remove(&gone);
            }
            _ => {}
        }
        let gone = self.known.get(&here.life).map_or(Some(now), |known| known.gone);
        self.known.insert(here.life, Known { here, gone });
        self.is_stale = true;
        true
    }

    /// All that a newcomer is to be told, this peer's own last: whoever has not heard of them yet
    /// has heard of the ways to them then.
    pub(super) fn all(&self) -> impl Iterator<Item = &Here> {
        let known = self.known.values().map(|known| &known.here);
        known.chain((self.own.id != 0).then_some(&self.own))
    }

    /// Finds whom a way leads to, if that may have changed.
    pub(super) fn settle(&mut self, now: Time) -> Vec<Change> {
        if !std::mem::take(&mut self.is_stale) {
            return Vec::new();
        }
        let mut reached = BTreeSet::from([self.own.life]);
        let mut waiting = VecDeque::from([&self.own]);
        while let Some(here) = waiting.pop_front() {
            for next in &here.neighbours {
                if let Some(known) = self.known.get(next)
                    && known.here.neighbours.binary_search(&here.life).is_ok()
                    && reached.insert(*next)
                {
                    waiting.push_back(&known.here);
                }
            }
        }
        let mut present: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        for (life, known) in &mut self.known {
            known.gone = match (reached.contains(life), known.gone) {
                (true, _) => None,
                (false, gone) => gone.or(Some(now)),
            };
            if known.gone.is_none() {
                let claim = (known.here.since, *life);
                let oldest = present.entry(known.here.id).or_insert(claim);
                *oldest = claim.min(*oldest);
            }
        }
        let before = std::mem::replace(&mut self.present, present);
        let left = before.keys().filter(|id| !self.present.contains_key(id));
        let came = self.present.keys().filter(|id| !before.contains_key(id));
        left.map(|&id| Change::Left(id)).chain(came.map(|&id| Change::Came(id))).collect()
    }

    /// Whether somebody who can be reached has had this peer's id for longer.
    pub(super) fn is_usurper(&self) -> bool {
        let own = (self.own.since, self.own.life);
        self.present.get(&self.own.id).is_some_and(|&claim| claim < own)
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let gone = self.known.values().filter_map(|known| known.gone);
        gone.min().map(|gone| gone + PEER_GONE_KEPT)
    }

    /// Forgets those to whom no way has led for long.
    pub(super) fn advance(&mut self, now: Time) {
        self.known
            .retain(|_, known| known.gone.is_none_or(|gone| now.since(gone) < PEER_GONE_KEPT));
    }
}

#[cfg(test)]
mod tests {
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
        network.advance(now + PEER_GONE_KEPT);
        assert_eq!(network.len(), 1, "who is gone is forgotten");
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
