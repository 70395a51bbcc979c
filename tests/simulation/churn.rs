//! Random trees under churn: users join, quit and chat, uplinks are cut, servers restart.

use crc::limits::UPLINK_REFUSED_RETRY_DELAY;

use super::*;

/// A user's connection.
struct User {
    client: ClientId,
    /// Index of its server in `Churn::servers`.
    home: usize,
    view: ClientView,
}

/// A random tree of servers and the users in it.
struct Churn {
    world: World,
    rng: StdRng,
    seed: u64,
    conditions: NetConditions,
    /// Id of each server's parent.
    parents: Vec<Option<u32>>,
    servers: Vec<usize>,
    users: BTreeMap<u32, User>,
    next_id: u32,
}

impl Churn {
    fn new(seed: u64, conditions: NetConditions) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x5eed);
        let count = rng.random_range(2..=9_u32);
        let parents: Vec<Option<u32>> =
            (1..=count).map(|id| (id > 1).then(|| rng.random_range(1..id))).collect();
        let mut churn = Self {
            world: World::new(seed, conditions),
            rng,
            seed,
            conditions,
            parents,
            servers: Vec::new(),
            users: BTreeMap::new(),
            next_id: 1000,
        };
        churn.servers = (0..churn.parents.len()).map(|index| churn.start_server(index)).collect();
        churn.world.run_for(Duration::from_secs(10));
        churn
    }

    fn start_server(&mut self, index: usize) -> usize {
        self.world.start(server_spec(self.seed, index as u32 + 1, self.parents[index]))
    }

    fn ids(&self) -> Vec<u32> {
        self.users.keys().copied().collect()
    }

    /// Runs one random event.
    fn run_event(&mut self) {
        let index = self.rng.random_range(0..self.servers.len());
        let ids = self.ids();
        let event = self.rng.random_range(0..12);
        match (event, ids.choose(&mut self.rng), ids.choose(&mut self.rng)) {
            (0..=3, ..) => {
                let client = join_user(&mut self.world, self.servers[index], self.next_id);
                let user = User { client, home: index, view: ClientView::default() };
                self.users.insert(self.next_id, user);
                self.next_id += 1;
            }
            (4, Some(&id), _) => self.remove_user(id),
            (5..=7, Some(&a), Some(&b)) if a != b => {
                let is_long = draw_is_long(&mut self.rng, self.conditions);
                let count = if is_long { LONG_RUN_CHATS } else { 1 };
                self.world.send(self.users[&a].client, &chat_run(a, b, 0..count));
            }
            (8 | 9, ..) => self.world.cut_uplink(self.servers[index]),
            (10, ..) => self.restart_server(index),
            _ => self.world.run_for(Duration::from_millis(self.rng.random_range(0..800))),
        }
    }

    /// Ends a user with a quit or without.
    fn remove_user(&mut self, id: u32) {
        let user = self.users.remove(&id).expect("the one chosen");
        if self.rng.random() {
            self.world.send(user.client, &quit(id, "bye"));
        } else {
            self.world.disconnect(user.client);
        }
    }

    /// Kills a server, and starts it again after up to 9 s. Its users are gone.
    fn restart_server(&mut self, index: usize) {
        self.world.kill(self.servers[index]);
        self.users.retain(|_, user| user.home != index);
        self.world.run_for(Duration::from_millis(self.rng.random_range(0..9000)));
        self.servers[index] = self.start_server(index);
    }

    /// Asserts that all tables agree, and that every user sees every other.
    fn assert_hosts_agree(&mut self) {
        let homes: BTreeMap<u32, usize> =
            self.users.iter().map(|(&id, user)| (id, self.servers[user.home])).collect();
        assert_tables_agree(&self.world, &self.servers, &homes);
        for (&id, user) in &mut self.users {
            user.view.receive(&self.world.take_received(user.client));
            let others: BTreeSet<u32> =
                homes.keys().copied().filter(|&other| other != id).collect();
            assert_eq!(user.view.users, others, "users that {id} sees");
            user.view.chats.clear();
        }
    }

    /// Sends one chat from everyone to everyone, and a long run to some, so that runs meet chats
    /// that wait for others. Returns the texts by addressee and sender.
    fn send_probes(&mut self) -> BTreeMap<u32, BTreeMap<u32, Vec<Vec<u8>>>> {
        let ids = self.ids();
        let mut expected: BTreeMap<u32, BTreeMap<u32, Vec<Vec<u8>>>> = BTreeMap::new();
        for &a in &ids {
            let mut chats = Vec::new();
            for &b in ids.iter().filter(|&&b| b != a) {
                let is_long = draw_is_long(&mut self.rng, self.conditions)
                    && self.rng.random_range(0..ids.len()) < 3;
                let probes = 0..if is_long { LONG_RUN_CHATS } else { 1 };
                chats.extend(chat_run(a, b, probes.clone()));
                let texts = probes.map(|n| numbered_text(n).into_bytes()).collect();
                expected.entry(b).or_default().insert(a, texts);
            }
            self.world.send(self.users[&a].client, &chats);
        }
        expected
    }

    /// Asserts that a probe between every pair of users arrives once and in order.
    fn assert_probes_arrive(&mut self) {
        let mut expected = self.send_probes();
        self.world.run_until_quiescent();
        for (&id, user) in &mut self.users {
            user.view.receive(&self.world.take_received(user.client));
            let mut received: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
            for (from, text) in user.view.chats.drain(..) {
                received.entry(from).or_default().push(text);
            }
            assert!(
                received == expected.remove(&id).unwrap_or_default(),
                "probes that reached {id}"
            );
        }
    }
}

/// Runs a random tree in which users join, quit and chat while uplinks are cut and servers are
/// killed and restarted, and checks its final state.
fn run_churn(seed: u64, conditions: NetConditions) {
    let mut churn = Churn::new(seed, conditions);
    if std::env::var("CRC_TRACE").is_ok() {
        churn.world.enable_full_trace();
    }
    for _ in 0..churn.rng.random_range(20..80) {
        churn.run_event();
    }
    churn.world.run_until_quiescent();
    // A server may have come back before its loss was noticed.
    churn.world.run_for(2 * UPLINK_REFUSED_RETRY_DELAY);
    if std::env::var("CRC_TRACE").is_ok() {
        for line in churn.world.trace(|end| churn.world.default_name(end)) {
            println!("{line}");
        }
    }
    churn.assert_hosts_agree();
    churn.assert_probes_arrive();
}

#[test]
fn network_converges_under_default_conditions() {
    for seed in seeds(0..60) {
        println!("seed {seed}");
        run_churn(seed, NetConditions::default());
    }
}

#[test]
fn network_converges_with_split_writes_and_long_delays() {
    for seed in seeds(1000..1060) {
        println!("seed {seed}");
        run_churn(
            seed,
            NetConditions { delay_max: Duration::from_millis(300), splits_writes: true },
        );
    }
}
