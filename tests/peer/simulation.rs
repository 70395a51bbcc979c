//! Networks by chance: graphs of up to 200 peers whose links are cut, and who come late, die and come
//! back, while all of them talk. `CRC_SEED` replays one run, `CRC_SEEDS` runs so many.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use crc::limits::{PEER_LINKS_MAX, PEERS_MAX};
use crc::link::Time;
use crc::peer::Event;
use crc_tests::sim::{NetConditions, PeerWorld};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Ids that several peers wish.
const CONTESTED: Range<i64> = 1..4;

/// How long news of a death takes to be everywhere, at most: who comes back sooner may find its id
/// taken by its own last life, and goes by another from then on.
const MOURNING: Duration = Duration::from_secs(2);

/// What one program has been told and has said.
#[derive(Default)]
struct Life {
    /// Which peer it is or was.
    who: usize,
    /// The last number shown of each sender's life.
    shown: BTreeMap<usize, u64>,
    receipts: BTreeMap<i64, u64>,
    /// The number of messages to each addressee.
    said: BTreeMap<usize, u64>,
}

struct Run {
    world: PeerWorld,
    rng: StdRng,
    /// Where each peer dials.
    targets: Vec<Vec<String>>,
    wishes: Vec<Option<i64>>,
    /// The number of each peer's latest life in the world; `None` while it is dead.
    alive: Vec<Option<usize>>,
    lives: BTreeMap<usize, Life>,
    /// Every showing: the sender's life, the addressee, the number.
    shown: BTreeMap<(usize, usize, u64), u64>,
    has_died: BTreeSet<usize>,
    /// When each peer died last.
    died: BTreeMap<usize, Time>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let delay_max = Duration::from_millis(rng.random_range(1..30));
        let weather = NetConditions { delay_max, splits_writes: rng.random_ratio(1, 4) };
        Self {
            world: PeerWorld::new(seed, weather),
            rng,
            targets: Vec::new(),
            wishes: Vec::new(),
            alive: Vec::new(),
            lives: BTreeMap::new(),
            shown: BTreeMap::new(),
            has_died: BTreeSet::new(),
            died: BTreeMap::new(),
        }
    }

    /// The id by which others may speak to a peer: nobody else wishes it.
    fn id(who: usize) -> i64 {
        1000 + who as i64
    }

    fn is_addressee(&self, who: usize) -> bool {
        self.wishes[who] == Some(Self::id(who))
    }

    /// A peer that names one before it, so that all are one network in the end, and others.
    fn join(&mut self) {
        let who = self.targets.len();
        let mut targets = Vec::new();
        if who > 0 {
            targets.push(format!("p{}", self.rng.random_range(0..who)));
        }
        for _ in 0..self.rng.random_range(0..3) {
            targets.push(format!("p{}", self.rng.random_range(0..=who + 2)));
        }
        self.wishes.push(match self.rng.random_range(0..10) {
            0 => None,
            1 => Some(self.rng.random_range(CONTESTED)),
            _ => Some(Self::id(who)),
        });
        self.targets.push(targets);
        self.alive.push(None);
        self.start(who);
    }

    fn start(&mut self, who: usize) {
        let targets: Vec<&str> = self.targets[who].iter().map(String::as_str).collect();
        let number = self.world.start(&format!("p{who}"), self.wishes[who], &targets);
        self.alive[who] = Some(number);
        self.lives.insert(number, Life { who, ..Life::default() });
    }

    fn kill(&mut self, who: usize) {
        if let Some(number) = self.alive[who].take() {
            self.take_in(number);
            self.world.kill(number);
            self.has_died.insert(number);
            self.died.insert(who, self.world.now());
        }
    }

    fn somebody(&mut self) -> usize {
        self.rng.random_range(0..self.targets.len())
    }

    fn say(&mut self) {
        let (from, to) = (self.somebody(), self.somebody());
        let Some(number) = self.alive[from] else { return };
        let is_ready = self.world.peer(number).is_some_and(|peer| peer.id().is_some());
        if from == to || !is_ready || !self.is_addressee(to) {
            return;
        }
        for _ in 0..self.rng.random_range(1..5) {
            let said = self.lives.get_mut(&number).expect("a life").said.entry(to).or_insert(0);
            *said += 1;
            let text = format!("{number} {said}");
            self.world.send(number, Self::id(to), &text).expect("room");
        }
    }

    fn disturb(&mut self) {
        match self.rng.random_range(0..20) {
            0 => {
                let who = self.somebody();
                self.kill(who);
            }
            1..=2 => {
                let who = self.somebody();
                let now = self.world.now();
                let is_mourned = self.died.get(&who).is_some_and(|&at| now.since(at) < MOURNING);
                if self.alive[who].is_none() && !is_mourned {
                    self.start(who);
                }
            }
            3..=6 => {
                let pairs = self.world.connected_pairs();
                if !pairs.is_empty() {
                    let (one, other) = pairs[self.rng.random_range(0..pairs.len())];
                    self.world.reset_links(one, other);
                }
            }
            _ => self.say(),
        }
        let pause = self.rng.random_range(0..100) * self.rng.random_range(0..10);
        self.world.run_for(Duration::from_millis(pause));
    }

    /// Notes what a peer was told: once, and in the order in which each sender said it.
    fn take_in(&mut self, number: usize) {
        let life = self.lives.get_mut(&number).expect("a life");
        for event in self.world.take_events(number) {
            match event {
                Event::Chat { text, to, .. } => {
                    assert_eq!(to, Self::id(life.who), "said to another");
                    let (sender, count) = text.split_once(' ').expect("our words");
                    let sender: usize = sender.parse().expect("a number");
                    let count: u64 = count.parse().expect("a number");
                    let last = life.shown.insert(sender, count);
                    assert!(last < Some(count), "{sender} to {to}: {count} after {last:?}");
                    *self.shown.entry((sender, life.who, count)).or_insert(0) += 1;
                }
                Event::Receipt { from, .. } => *life.receipts.entry(from).or_insert(0) += 1,
                _ => {}
            }
        }
        if let Some(peer) = self.world.peer(number) {
            let gauges = peer.gauges();
            assert!(gauges.links <= PEER_LINKS_MAX && gauges.peers <= PEERS_MAX, "{gauges:?}");
            assert_eq!(gauges.given_up, 0, "nobody had to drop anything");
            let who = self.lives[&number].who;
            if !self.has_died.iter().any(|dead| self.lives[dead].who == who) {
                // A second life does not know what the first was shown, and may wait for that.
                assert_eq!((gauges.early, gauges.late), (0, 0), "all is learnt in order");
            }
        }
    }

    fn take_all_in(&mut self) {
        for number in self.alive.clone().into_iter().flatten() {
            self.take_in(number);
        }
    }

    fn check(&mut self) {
        let alive: Vec<usize> = self.alive.iter().map(|number| number.expect("all live")).collect();
        let ids: BTreeSet<i64> = alive.iter().map(|&number| self.world.id(number)).collect();
        assert_eq!(ids.len(), alive.len(), "an id twice");
        for (who, &number) in alive.iter().enumerate() {
            let peer = self.world.peer(number).expect("alive");
            let others: BTreeSet<i64> = peer.others().chain(peer.id()).collect();
            assert_eq!(others, ids, "what p{who} knows");
            let gauges = peer.gauges();
            assert_eq!(gauges.kept_messages, 0, "p{who} keeps what has its receipt: {gauges:?}");
            assert_eq!((gauges.kept_bytes, gauges.waiting), (0, 0));
            if self.is_addressee(who) {
                assert_eq!(peer.id(), Some(Self::id(who)));
            }
        }
        for (number, life) in &self.lives {
            for (&to, &said) in &life.said {
                let deaths = self.has_died.iter().filter(|dead| self.lives[dead].who == to).count();
                for count in 1..=said {
                    let shown = self.shown.get(&(*number, to, count)).copied().unwrap_or(0);
                    assert!(shown <= 1 + deaths as u64);
                    // Who dies without a link takes with it what it has just said.
                    let is_lost = shown == 0 && self.has_died.contains(number);
                    assert!(shown > 0 || is_lost, "{number} to p{to}: {count} was never shown");
                }
                if !self.has_died.contains(number) {
                    assert_eq!(life.receipts.get(&Self::id(to)), Some(&said), "{number} to p{to}");
                }
            }
        }
    }
}

fn run(seed: u64, size: usize, disturbances: usize) {
    println!("seed {seed}, up to {size} peers: CRC_SEED={seed} replays it");
    let mut run = Run::new(seed);
    for _ in 0..size / 2 {
        run.join();
        if run.rng.random_ratio(1, 3) {
            run.world.run_for(Duration::from_millis(50));
        }
    }
    run.world.run_for(Duration::from_secs(3));
    for step in 0..disturbances {
        if run.targets.len() < size && step % (disturbances / size + 1) == 0 {
            run.join();
        }
        run.disturb();
        if step % 10 == 0 {
            run.take_all_in();
        }
    }
    run.world.run_for(MOURNING);
    for who in 0..run.targets.len() {
        if run.alive[who].is_none() {
            run.start(who);
        }
    }
    run.world.run_for(Duration::from_secs(120));
    run.take_all_in();
    run.check();
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_message_arrives_once_and_its_keeping_ends() {
    if let Some(seed) = number("CRC_SEED") {
        return run(seed, size(seed), 300);
    }
    for seed in 0..number("CRC_SEEDS").unwrap_or(40) {
        run(seed, size(seed), 300);
    }
}

/// Mostly few peers, among whom more happens to each.
fn size(seed: u64) -> usize {
    StdRng::seed_from_u64(seed ^ 0x70).random_range(3..40)
}

#[test]
fn two_hundred_peers() {
    run(number("CRC_SEED").unwrap_or(1), 200, 120);
}
