//! Tests of reachability and id claims.

use std::time::Duration;

use super::*;

fn advertisement(incarnation: u64, version: u64, id: i64, neighbours: &[u64]) -> Advertisement {
    Advertisement {
        incarnation,
        version,
        id,
        id_since: incarnation,
        neighbours: neighbours.to_vec(),
    }
}

fn topology() -> Topology {
    let mut topology = Topology::new(1);
    topology.set_own_id(100, 1);
    topology.set_neighbours([2].into());
    topology
}

#[test]
fn peer_is_reachable_over_links_that_both_ends_advertise() {
    let mut topology = topology();
    let now = Time::default();
    assert!(topology.receive(now, advertisement(3, 1, 300, &[2])));
    assert!(topology.receive(now, advertisement(2, 1, 200, &[1])));
    assert_eq!(topology.update_reachability(now), [ReachabilityChange::Up(200)]);
    assert!(topology.receive(now, advertisement(2, 2, 200, &[1, 3])));
    assert!(!topology.receive(now, advertisement(2, 1, 200, &[1])), "an older version");
    assert_eq!(topology.update_reachability(now), [ReachabilityChange::Up(300)]);
    assert!(topology.is_taken(300, 9) && !topology.is_taken(300, 3));
    // The link between 2 and 3 is lost, which one end advertises.
    topology.receive(now, advertisement(2, 3, 200, &[1]));
    assert_eq!(topology.update_reachability(now), [ReachabilityChange::Down(300)]);
    assert!(!topology.is_taken(300, 9));
    assert_eq!(topology.len(), 2);
    topology.advance(now + PEER_UNREACHABLE_RETENTION);
    assert_eq!(topology.len(), 1, "unreachable peers are forgotten");
}

/// Checks each incremental update against a full search, with random networks.
#[test]
fn incremental_updates_match_a_full_search() {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};
    let (mut incremental_count, mut full_search_count) = (0, 0);
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(seed);
        let size = rng.random_range(3..14);
        let mut topology = topology();
        let mut versions: BTreeMap<u64, u64> = BTreeMap::new();
        for step in 0..120 {
            let now = Time::from_start(Duration::from_millis(step * 400));
            for _ in 0..rng.random_range(1..4) {
                let incarnation = rng.random_range(1..size);
                let others = (1..size).filter(|&other| other != incarnation);
                let neighbours: BTreeSet<u64> = others.filter(|_| rng.random_ratio(1, 3)).collect();
                if incarnation == 1 {
                    topology.set_neighbours(neighbours);
                    continue;
                }
                let version = versions.entry(incarnation).or_default();
                *version += 1;
                let id = 100 + rng.random_range(0..20) / 19 + incarnation % 8;
                let neighbours = neighbours.into_iter().collect::<Vec<_>>();
                topology.receive(
                    now,
                    advertisement(incarnation, *version, id.cast_signed(), &neighbours),
                );
            }
            *(if topology.needs_full_search {
                &mut full_search_count
            } else {
                &mut incremental_count
            }) += 1;
            topology.update_reachability(now);
            let reachability = |topology: &Topology| {
                let peers = topology.peers.iter();
                let reached = peers.filter(|(_, peer)| peer.unreachable_since.is_none());
                let reached: Vec<u64> = reached.map(|(&incarnation, _)| incarnation).collect();
                (reached, topology.claims.clone(), topology.announced.clone())
            };
            let incremental = reachability(&topology);
            let unreachable_peers =
                topology.peers.values().filter(|peer| peer.unreachable_since.is_some());
            assert_eq!(unreachable_peers.count(), topology.unreachable.len());
            topology.needs_full_search = true;
            assert_eq!(topology.update_reachability(now), [], "seed {seed}, step {step}");
            assert_eq!(reachability(&topology), incremental, "seed {seed}, step {step}");
            topology.advance(now);
        }
    }
    assert!(
        incremental_count > 500 && full_search_count > 500,
        "{incremental_count} {full_search_count}"
    );
}

#[test]
fn older_claim_on_an_id_wins() {
    let mut topology = topology();
    let now = Time::default();
    topology.receive(now, advertisement(2, 1, 100, &[1]));
    topology.update_reachability(now);
    assert!(!topology.must_yield_id(), "the other is younger");
    topology.receive(now, Advertisement { id_since: 0, ..advertisement(2, 2, 100, &[1]) });
    topology.update_reachability(now);
    assert!(topology.must_yield_id());
}

#[test]
fn forged_own_advertisement_is_overridden_with_a_higher_version() {
    let mut topology = topology();
    topology.take_advertisement();
    topology.receive(Time::default(), advertisement(1, 77, 5, &[]));
    let answer = topology.take_advertisement().expect("an answer");
    assert_eq!((answer.version, answer.id), (78, 100));
}

#[test]
fn known_peers_stay_within_peers_max() {
    let mut topology = topology();
    for incarnation in 2..2 * PEERS_MAX as u64 {
        topology.receive(Time::default(), advertisement(incarnation, 1, 7, &[1]));
        topology.update_reachability(Time::default());
        assert!(topology.len() <= PEERS_MAX);
    }
}
