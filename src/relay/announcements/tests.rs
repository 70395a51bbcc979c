use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::limits::SPLIT_GRACE;
use crate::relay::message::HostKind::{Server, User};
use crate::relay::message::{Message, Registration};
use crate::relay::recorder::{Bench, link_id, registration};

#[test]
fn link_with_a_long_queue_catches_up_without_hosts_that_have_left() {
    let mut bench = Bench::new();
    bench.join(1, User, 101);
    bench.show_reads_cut_frames(1, 101);
    bench.out.unsent.insert(link_id(1), QUEUE_LOW_WATER_BYTES);
    (2..=4).for_each(|link| bench.join(link, User, 100 + link));
    bench.close(3);
    assert!(bench.relay.is_behind(link_id(1)));
    bench.out.take();
    bench.out.unsent.clear();
    bench.relay.has_room(bench.now, link_id(1), &mut bench.out);
    assert_eq!(bench.out.take(), ["1: +102", "1: +104"]);
    assert!(!bench.relay.is_behind(link_id(1)));
}

#[test]
fn pending_sender_is_announced_before_its_chat_and_once() {
    let mut bench = Bench::new();
    bench.join(1, User, 101);
    bench.show_reads_cut_frames(1, 101);
    bench.out.unsent.insert(link_id(1), QUEUE_LOW_WATER_BYTES);
    bench.join(2, User, 102);
    bench.join(3, User, 103);
    bench.out.take();
    bench.chat(3, 103, 101);
    assert_eq!(bench.out.take(), ["1: +103", "1: <103> hi"]);
    bench.out.unsent.clear();
    bench.relay.has_room(bench.now, link_id(1), &mut bench.out);
    assert_eq!(bench.out.take(), ["1: +102"]);
}

#[test]
fn many_users_get_announcements_in_batches() {
    let limits = Limits { announce_batch_users_min: 2, ..Limits::default() };
    let mut bench = Bench::with(0, limits);
    bench.join(1, User, 101);
    bench.join(2, User, 102);
    bench.out.take();
    bench.join(3, User, 103);
    bench.join(4, User, 104);
    let is_announcement = |line: &String| line.contains('+');
    assert!(!bench.out.take().iter().any(is_announcement));
    bench.wait(ANNOUNCE_BATCH_DELAY_MAX);
    let mut lines = bench.out.take();
    lines.retain(is_announcement);
    lines.sort_unstable();
    let expected = [
        ["1: +102", "1: +103", "1: +104"].as_slice(),
        &["2: +103", "2: +104"],
        &["3: +101", "3: +102", "3: +104"],
        &["4: +101", "4: +102", "4: +103"],
    ];
    assert_eq!(lines, expected.concat());
}

#[test]
fn servers_are_announced_to_servers_only() {
    let mut bench = Bench::new();
    bench.join(1, User, 101);
    bench.join(2, Server, 2);
    bench.out.take();
    bench.join(3, Server, 3);
    bench.receive(3, &registration(User, 103, 3));
    let lines = bench.out.take();
    assert!(lines.contains(&"2: registration of server 3  by 1".to_owned()), "{lines:?}");
    let to_user: Vec<_> = lines.iter().filter(|line| line.starts_with("1:")).collect();
    assert_eq!(to_user, ["1: +103"]);
}

#[test]
#[should_panic(expected = "points to a host")]
fn check_fails_for_a_cursor_that_points_to_an_empty_slot() {
    let mut bench = Bench::new();
    bench.join(1, User, 101);
    bench.join(2, User, 102);
    let (slot, _) = bench.relay.hosts().find(HostId(102)).expect("the host");
    bench.close(2);
    bench.relay.announcements.cursor_mut(link_id(1)).next = Some(slot);
    bench.relay.check();
}

/// Servers 2 to 5, which join over links that may be lost, and the users behind them.
struct Network {
    bench: Bench,
    rng: StdRng,
    next_link: u32,
    /// The live link of each server.
    links: BTreeMap<u32, u32>,
    /// The users that each server registers when it joins.
    users: BTreeMap<u32, BTreeSet<u32>>,
    /// The users that have been announced to each live link.
    announced: BTreeMap<u32, BTreeSet<u32>>,
}

const SERVERS: std::ops::RangeInclusive<u32> = 2..=5;

impl Network {
    fn new(seed: u64) -> Self {
        Self {
            bench: Bench::new(),
            rng: StdRng::seed_from_u64(seed),
            next_link: 1,
            links: BTreeMap::new(),
            users: SERVERS.map(|server| (server, BTreeSet::new())).collect(),
            announced: BTreeMap::new(),
        }
    }

    fn join(&mut self, server: u32) {
        let link = self.next_link;
        self.next_link += 1;
        self.links.insert(server, link);
        self.announced.insert(link, BTreeSet::new());
        self.bench.join(link, Server, server);
        for user in self.users[&server].clone() {
            self.register(server, user);
        }
    }

    fn lose(&mut self, server: u32) {
        let link = self.links.remove(&server).expect("a live link");
        self.announced.remove(&link);
        self.bench.out.unsent.remove(&link_id(link));
        self.bench.close(link);
    }

    /// Registers a user, of whose registrations two fit into a portion, behind a server.
    fn register(&mut self, server: u32, user: u32) {
        self.users.values_mut().for_each(|users| _ = users.remove(&user));
        self.users.entry(server).or_default().insert(user);
        let (source, last_hop) = (HostId(user), HostId(server));
        let info = &[b'i'; 400];
        let registration = Registration { kind: User, source, last_hop, name: b"", info };
        self.bench.receive(self.links[&server], &Message::Registration(registration));
        self.follow_output();
    }

    /// Reverses whether a queue is too long for a portion.
    fn toggle_queue(&mut self, link: u32) {
        if self.bench.out.unsent.remove(&link_id(link)).is_some() {
            self.bench.relay.has_room(self.bench.now, link_id(link), &mut self.bench.out);
        } else {
            self.bench.out.unsent.insert(link_id(link), 1000);
        }
    }

    fn step(&mut self) {
        let server = self.rng.random_range(SERVERS);
        let user = self.rng.random_range(1000..1012);
        let action = self.rng.random_range(0..20);
        let home =
            self.users.iter().find(|(_, users)| users.contains(&user)).map(|(&home, _)| home);
        match (action, self.links.get(&server).copied()) {
            (0..5, None) => self.join(server),
            (0, Some(_)) => self.lose(server),
            (1, Some(link)) => self.bench.show_reads_cut_frames(link, server),
            (2..4, Some(link)) => self.toggle_queue(link),
            (4..11, Some(_)) if home.is_none_or(|home| !self.links.contains_key(&home)) => {
                self.register(server, user);
            }
            (11, Some(link)) if home == Some(server) => {
                self.users.entry(server).or_default().remove(&user);
                self.bench.receive(link, &Message::ClientQuit { source: HostId(user), text: b"" });
            }
            (12..15, Some(link)) if home == Some(server) => {
                // To another user: a chat to oneself returns over its own link.
                let destination = 1000 + (user - 1000 + self.rng.random_range(1..12)) % 12;
                self.bench.chat(link, user, destination);
            }
            (15..19, _) => self.bench.wait(Duration::from_millis(30)),
            (19, _) => self.bench.wait(SPLIT_GRACE / 3),
            _ => {}
        }
        self.follow_output();
    }

    /// Asserts that each link gets a user's registration once, and before its chats and its quit.
    fn follow_output(&mut self) {
        for line in self.bench.out.take() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |word: &str| word.trim_end_matches(':').parse::<u32>().expect("a number");
            let announced = self.announced.entry(number(words[0])).or_default();
            match words[1..] {
                ["registration", "of", "user", user, ..] => {
                    assert!(announced.insert(number(user)), "twice: {line}");
                }
                ["quit", "of", "user", user] => {
                    assert!(announced.remove(&number(user)), "unknown: {line}");
                }
                ["chat", "of", _, "bytes", "from", "1", "to", "0"] => {} // asks whether it lives
                ["chat", "of", _, "bytes", "from", user, ..] => {
                    // While its chat waited for a lost user, a sender may have left, have been
                    // lost, or have moved to the same server.
                    let (topology, source) = (&self.bench.relay.topology, HostId(number(user)));
                    let may_be_unknown = !topology.is_reachable(source)
                        || topology.is_first_link(source, link_id(number(words[0])));
                    let is_known = announced.contains(&number(user));
                    assert!(is_known || may_be_unknown, "unknown: {line}");
                }
                _ => {}
            }
        }
    }

    /// Empties the queues and waits until nothing is pending.
    fn assert_all_announced(&mut self) {
        for link in std::mem::take(&mut self.bench.out.unsent).into_keys() {
            self.bench.relay.has_room(self.bench.now, link, &mut self.bench.out);
        }
        self.bench.wait(SPLIT_GRACE * 4);
        self.follow_output();
        for &link in self.links.values() {
            let others = self.bench.relay.hosts().iter().filter(|host| {
                host.kind == User
                    && self.bench.relay.first_link(host) != FirstLink::Link(link_id(link))
            });
            let others: BTreeSet<u32> = others.map(|host| host.id.0).collect();
            assert_eq!(self.announced[&link], others, "link {link}");
        }
    }
}

#[test]
fn each_server_learns_each_user_once_however_links_are_lost_and_queues_are_long() {
    for seed in 0..200 {
        println!("seed {seed}");
        let mut network = Network::new(seed);
        for _ in 0..400 {
            network.step();
        }
        network.assert_all_announced();
    }
}
