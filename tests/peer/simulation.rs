//! Random networks of up to 200 peers that join, are killed, restart and lose links while all of
//! them send messages. `CRC_SEED` replays one seed; `CRC_SEEDS` sets the number of seeds, by
//! default 40.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use crc::limits::{PEER_LINKS_MAX, PEERS_MAX};
use crc::link::Time;
use crc::peer::Event;
use crc_tests::sim::{NetConditions, PeerWorld};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Ids that several peers desire.
const CONTESTED_IDS: Range<i64> = 1..4;

/// Maximum time until every peer knows that a peer died. A peer that restarts sooner may find its
/// id taken by its own previous incarnation, and gets another one.
const DEATH_PROPAGATION_MAX: Duration = Duration::from_secs(2);

/// The messages that one incarnation has received and sent.
#[derive(Default)]
struct Incarnation {
    /// The peer that it is an incarnation of.
    peer_index: usize,
    /// The last count shown from each sender's incarnation.
    last_shown: BTreeMap<usize, u64>,
    /// Receipts by addressee.
    receipts: BTreeMap<i64, u64>,
    /// Messages sent by addressee.
    sent: BTreeMap<usize, u64>,
}

struct Simulation {
    world: PeerWorld,
    rng: StdRng,
    /// The targets of each peer.
    targets: Vec<Vec<String>>,
    desired_ids: Vec<Option<i64>>,
    /// The index of each peer's incarnation in the world; `None` while it is not running.
    running: Vec<Option<usize>>,
    incarnations: BTreeMap<usize, Incarnation>,
    /// How often each message was shown, by sender's incarnation, addressee and count.
    shown_counts: BTreeMap<(usize, usize, u64), u64>,
    /// The incarnations that were killed.
    killed: BTreeSet<usize>,
    /// When each peer was last killed.
    killed_at: BTreeMap<usize, Time>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let delay_max = Duration::from_millis(rng.random_range(1..30));
        let conditions = NetConditions { delay_max, splits_writes: rng.random_ratio(1, 4) };
        Self {
            world: PeerWorld::new(seed, conditions),
            rng,
            targets: Vec::new(),
            desired_ids: Vec::new(),
            running: Vec::new(),
            incarnations: BTreeMap::new(),
            shown_counts: BTreeMap::new(),
            killed: BTreeSet::new(),
            killed_at: BTreeMap::new(),
        }
    }

    /// Returns the id that only this peer desires.
    fn id_of(peer_index: usize) -> i64 {
        1000 + peer_index as i64
    }

    fn is_recipient(&self, peer_index: usize) -> bool {
        self.desired_ids[peer_index] == Some(Self::id_of(peer_index))
    }

    /// Adds a peer whose targets include an earlier one, so that all peers form one network.
    fn add_peer(&mut self) {
        let peer_index = self.targets.len();
        let mut targets = Vec::new();
        if peer_index > 0 {
            targets.push(format!("p{}", self.rng.random_range(0..peer_index)));
        }
        for _ in 0..self.rng.random_range(0..3) {
            targets.push(format!("p{}", self.rng.random_range(0..=peer_index + 2)));
        }
        self.desired_ids.push(match self.rng.random_range(0..10) {
            0 => None,
            1 => Some(self.rng.random_range(CONTESTED_IDS)),
            _ => Some(Self::id_of(peer_index)),
        });
        self.targets.push(targets);
        self.running.push(None);
        self.start(peer_index);
    }

    fn start(&mut self, peer_index: usize) {
        let targets: Vec<&str> = self.targets[peer_index].iter().map(String::as_str).collect();
        let incarnation_index =
            self.world.start(&format!("p{peer_index}"), self.desired_ids[peer_index], &targets);
        self.running[peer_index] = Some(incarnation_index);
        self.incarnations
            .insert(incarnation_index, Incarnation { peer_index, ..Incarnation::default() });
    }

    fn kill(&mut self, peer_index: usize) {
        if let Some(incarnation_index) = self.running[peer_index].take() {
            self.check_events(incarnation_index);
            self.world.kill(incarnation_index);
            self.killed.insert(incarnation_index);
            self.killed_at.insert(peer_index, self.world.now());
        }
    }

    fn random_peer(&mut self) -> usize {
        self.rng.random_range(0..self.targets.len())
    }

    fn send_random(&mut self) {
        let (from, to) = (self.random_peer(), self.random_peer());
        let Some(incarnation_index) = self.running[from] else { return };
        let is_ready = self.world.peer(incarnation_index).is_some_and(|peer| peer.id().is_some());
        if from == to || !is_ready || !self.is_recipient(to) {
            return;
        }
        for _ in 0..self.rng.random_range(1..5) {
            let sent = self
                .incarnations
                .get_mut(&incarnation_index)
                .expect("a known incarnation")
                .sent
                .entry(to)
                .or_insert(0);
            *sent += 1;
            let text = format!("{incarnation_index} {sent}");
            self.world.send(incarnation_index, Self::id_of(to), &text).expect("room");
        }
    }

    fn run_random_step(&mut self) {
        match self.rng.random_range(0..20) {
            0 => {
                let peer_index = self.random_peer();
                self.kill(peer_index);
            }
            1..=2 => {
                let peer_index = self.random_peer();
                let now = self.world.now();
                let is_death_propagating = self
                    .killed_at
                    .get(&peer_index)
                    .is_some_and(|&at| now.since(at) < DEATH_PROPAGATION_MAX);
                if self.running[peer_index].is_none() && !is_death_propagating {
                    self.start(peer_index);
                }
            }
            3..=6 => {
                let pairs = self.world.connected_pairs();
                if !pairs.is_empty() {
                    let (one, other) = pairs[self.rng.random_range(0..pairs.len())];
                    self.world.reset_links(one, other);
                }
            }
            _ => self.send_random(),
        }
        let pause = self.rng.random_range(0..100) * self.rng.random_range(0..10);
        self.world.run_for(Duration::from_millis(pause));
    }

    /// Checks that the new events of a peer show each sender's messages once and in order.
    fn check_events(&mut self, incarnation_index: usize) {
        let incarnation =
            self.incarnations.get_mut(&incarnation_index).expect("a known incarnation");
        for event in self.world.take_events(incarnation_index) {
            match event {
                Event::Chat { text, to, .. } => {
                    assert_eq!(
                        to,
                        Self::id_of(incarnation.peer_index),
                        "addressed to another peer"
                    );
                    let (sender, count) = text.split_once(' ').expect("a text of this test");
                    let sender: usize = sender.parse().expect("a number");
                    let count: u64 = count.parse().expect("a number");
                    let last = incarnation.last_shown.insert(sender, count);
                    assert!(last < Some(count), "{sender} to {to}: {count} after {last:?}");
                    *self
                        .shown_counts
                        .entry((sender, incarnation.peer_index, count))
                        .or_insert(0) += 1;
                }
                Event::Receipt { from, .. } => *incarnation.receipts.entry(from).or_insert(0) += 1,
                _ => {}
            }
        }
        if let Some(peer) = self.world.peer(incarnation_index) {
            let gauges = peer.gauges();
            assert!(gauges.links <= PEER_LINKS_MAX && gauges.peers <= PEERS_MAX, "{gauges:?}");
            assert_eq!(gauges.dropped, 0, "no bound is reached");
            let peer_index = self.incarnations[&incarnation_index].peer_index;
            if !self.killed.iter().any(|dead| self.incarnations[dead].peer_index == peer_index) {
                // A restarted peer does not know what it was shown before, and may wait for that.
                assert_eq!((gauges.out_of_order, gauges.late), (0, 0), "messages arrive in order");
            }
        }
    }

    fn check_all_events(&mut self) {
        for incarnation_index in self.running.clone().into_iter().flatten() {
            self.check_events(incarnation_index);
        }
    }

    fn check_final_state(&mut self) {
        let running: Vec<usize> =
            self.running.iter().map(|index| index.expect("all are running")).collect();
        let ids: BTreeSet<i64> = running.iter().map(|&index| self.world.id(index)).collect();
        assert_eq!(ids.len(), running.len(), "a duplicate id");
        for (peer_index, &incarnation_index) in running.iter().enumerate() {
            let peer = self.world.peer(incarnation_index).expect("alive");
            let known_ids: BTreeSet<i64> = peer.other_ids().chain(peer.id()).collect();
            assert_eq!(known_ids, ids, "what p{peer_index} knows");
            let gauges = peer.gauges();
            assert_eq!(
                gauges.retained_messages, 0,
                "p{peer_index} retains acknowledged messages: {gauges:?}"
            );
            assert_eq!((gauges.retained_bytes, gauges.reorder_messages), (0, 0));
            if self.is_recipient(peer_index) {
                assert_eq!(peer.id(), Some(Self::id_of(peer_index)));
            }
        }
        for (incarnation_index, incarnation) in &self.incarnations {
            for (&to, &sent_count) in &incarnation.sent {
                let deaths = self
                    .killed
                    .iter()
                    .filter(|dead| self.incarnations[dead].peer_index == to)
                    .count();
                for count in 1..=sent_count {
                    let shown = self
                        .shown_counts
                        .get(&(*incarnation_index, to, count))
                        .copied()
                        .unwrap_or(0);
                    assert!(shown <= 1 + deaths as u64);
                    // A sender killed without a link loses its last messages.
                    let is_lost = shown == 0 && self.killed.contains(incarnation_index);
                    assert!(
                        shown > 0 || is_lost,
                        "{incarnation_index} to p{to}: {count} was never shown"
                    );
                }
                if !self.killed.contains(incarnation_index) {
                    assert_eq!(
                        incarnation.receipts.get(&Self::id_of(to)),
                        Some(&sent_count),
                        "{incarnation_index} to p{to}"
                    );
                }
            }
        }
    }
}

fn run_simulation(seed: u64, size: usize, steps: usize) {
    println!("seed {seed}, up to {size} peers: CRC_SEED={seed} replays it");
    let mut simulation = Simulation::new(seed);
    for _ in 0..size / 2 {
        simulation.add_peer();
        if simulation.rng.random_ratio(1, 3) {
            simulation.world.run_for(Duration::from_millis(50));
        }
    }
    simulation.world.run_for(Duration::from_secs(3));
    for step in 0..steps {
        if simulation.targets.len() < size && step % (steps / size + 1) == 0 {
            simulation.add_peer();
        }
        simulation.run_random_step();
        if step % 10 == 0 {
            simulation.check_all_events();
        }
    }
    simulation.world.run_for(DEATH_PROPAGATION_MAX);
    for peer_index in 0..simulation.targets.len() {
        if simulation.running[peer_index].is_none() {
            simulation.start(peer_index);
        }
    }
    simulation.world.run_for(Duration::from_secs(120));
    simulation.check_all_events();
    simulation.check_final_state();
}

fn env_number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_message_is_shown_once_and_released_after_its_receipt() {
    if let Some(seed) = env_number("CRC_SEED") {
        return run_simulation(seed, random_size(seed), 300);
    }
    for seed in 0..env_number("CRC_SEEDS").unwrap_or(40) {
        run_simulation(seed, random_size(seed), 300);
    }
}

/// Returns a network size between 3 and 39.
fn random_size(seed: u64) -> usize {
    StdRng::seed_from_u64(seed ^ 0x70).random_range(3..40)
}

#[test]
fn two_hundred_peers_converge_and_deliver_every_message() {
    run_simulation(env_number("CRC_SEED").unwrap_or(1), 200, 120);
}
