//! Servers that go back to an earlier parent of their list: nobody notices, and no chat is lost.

use crc::limits::RETURN_INTERVAL;

use super::*;

/// Servers with several parents each, and a user on each, who chat with one another.
struct Network {
    world: World,
    rng: StdRng,
    servers: Vec<usize>,
    clients: Vec<(u32, ClientId, ClientView)>,
    /// Number of chats sent by sender and addressee.
    sent: BTreeMap<(u32, u32), u64>,
}

impl Network {
    /// Starts servers 1 to `parents.len()`; `parents` has the parents of each.
    fn new(seed: u64, parents: &[&[u32]]) -> Self {
        let delay_max = Duration::from_millis(if seed.is_multiple_of(2) { 2 } else { 50 });
        let mut world = World::new(seed, NetConditions { delay_max, splits_writes: false });
        if std::env::var("CRC_TRACE").is_ok() {
            world.enable_full_trace();
        }
        let servers = (1..).zip(parents).map(|(id, parents)| world.start(spec(seed, id, parents)));
        let servers = servers.collect();
        world.run_for(Duration::from_secs(10));
        let rng = StdRng::seed_from_u64(seed ^ 0xbac4);
        Self { world, rng, servers, clients: Vec::new(), sent: BTreeMap::new() }
    }

    /// Lets a user join each server but those in `without`.
    fn join_users(&mut self, without: &[u32]) {
        for (id, &server) in (1..).zip(&self.servers) {
            if !without.contains(&id) {
                let client = join_user(&mut self.world, server, 100 + id);
                self.clients.push((100 + id, client, ClientView::default()));
            }
        }
        self.world.run_for(Duration::from_secs(5));
    }

    fn chat_for(&mut self, span: Duration) {
        let end = self.world.now() + span;
        while self.world.now() < end {
            let [from, to] = [0, 1].map(|_| self.rng.random_range(0..self.clients.len()));
            if from != to {
                let (source, client, _) = self.clients[from];
                let destination = self.clients[to].0;
                let sent = self.sent.entry((source, destination)).or_default();
                self.world.send(client, &chat(source, destination, &numbered_text(*sent)));
                *sent += 1;
            }
            self.world.run_for(Duration::from_millis(self.rng.random_range(0..20)));
        }
    }

    /// Returns the id of the server to which a server is attached.
    fn parent(&self, server: u32) -> Option<u32> {
        let node = self.world.node(self.servers[server as usize - 1])?;
        let uplink = node.links().find(|link| node.relay().is_uplink(link.id()))?;
        Some(node.relay().adjacent_host(uplink.id())?.id.0)
    }

    /// Checks that all users see one another, have seen no quit, and have all chats in order.
    fn check(mut self) {
        self.world.run_for(Duration::from_secs(1));
        if std::env::var("CRC_TRACE").is_ok() {
            let trace = self.world.trace(|end| self.world.default_name(end));
            trace.iter().for_each(|line| println!("{line}"));
        }
        let ids: BTreeSet<u32> = self.clients.iter().map(|(id, ..)| *id).collect();
        for (id, client, view) in &mut self.clients {
            view.receive(&self.world.take_received(*client));
            let others: BTreeSet<u32> = ids.iter().copied().filter(|other| other != id).collect();
            assert_eq!(view.users, others, "users that {id} sees");
            assert_eq!(view.quits, [] as [u32; 0], "quits that {id} has seen");
            for other in others {
                let of_other = view.chats.iter().filter(|(from, _)| *from == other);
                let number = |text: &[u8]| String::from_utf8_lossy(text).parse::<u64>();
                let numbers: Vec<u64> =
                    of_other.map(|(_, text)| number(text).expect("a number")).collect();
                let sent = self.sent.get(&(other, *id)).copied().unwrap_or(0);
                assert_eq!(numbers, (0..sent).collect::<Vec<_>>(), "chats from {other} to {id}");
            }
        }
    }
}

fn spec(seed: u64, id: u32, parents: &[u32]) -> ServerSpec {
    let mut spec = server_spec(seed, id, None);
    spec.parents = parents.iter().map(|id| format!("s{id}")).collect();
    spec
}

#[test]
fn server_goes_back_to_its_first_parent_unnoticed() {
    for seed in seeds(0..40) {
        println!("seed {seed}");
        // Server 4 is below server 3, which has server 2 as its first parent.
        let parents: [&[u32]; 5] = [&[], &[1], &[2, 1], &[3], &[1]];
        let mut network = Network::new(seed, &parents);
        network.world.kill(network.servers[1]);
        network.world.run_for(Duration::from_secs(10));
        assert_eq!(network.parent(3), Some(1), "the fallback");
        network.join_users(&[2]);
        network.servers[1] = network.world.start(spec(seed, 2, parents[1]));
        network.chat_for(RETURN_INTERVAL + RETURN_INTERVAL / 2);
        assert_eq!(network.parent(3), Some(2), "the first parent is back");
        network.check();
    }
}

#[test]
fn servers_go_back_over_each_other() {
    for seed in seeds(0..20) {
        println!("seed {seed}");
        let parents: [&[u32]; 6] = [&[], &[1], &[2, 1], &[3, 2, 1], &[4, 3, 1], &[5, 1]];
        let mut network = Network::new(seed, &parents);
        for server in [2, 3, 4, 5] {
            network.world.kill(network.servers[server - 1]);
        }
        network.world.run_for(Duration::from_secs(10));
        for server in [3, 5, 2, 4] {
            let restarted = spec(seed, server, parents[server as usize - 1]);
            network.servers[server as usize - 1] = network.world.start(restarted);
            network.world.run_for(Duration::from_secs(2));
        }
        network.world.run_for(Duration::from_secs(4));
        network.join_users(&[]);
        network.chat_for(RETURN_INTERVAL * 4);
        let attached: Vec<Option<u32>> = (1..=6).map(|id| network.parent(id)).collect();
        assert_eq!(attached, [None, Some(1), Some(2), Some(3), Some(4), Some(5)]);
        network.check();
    }
}

#[test]
fn servers_that_prefer_each_other_in_a_circle_come_to_rest() {
    for seed in seeds(0..20) {
        println!("seed {seed}");
        let parents: [&[u32]; 5] = [&[], &[3, 1], &[4, 1], &[2, 1], &[1]];
        let mut network = Network::new(seed, &parents);
        network.world.run_for(Duration::from_secs(30));
        network.join_users(&[]);
        network.chat_for(RETURN_INTERVAL * 3);
        let attached: Vec<Option<u32>> = (1..=5).map(|id| network.parent(id)).collect();
        network.chat_for(RETURN_INTERVAL * 3);
        let later: Vec<Option<u32>> = (1..=5).map(|id| network.parent(id)).collect();
        assert_eq!(attached, later, "no server moves any more");
        // One of the three stays on its fallback, since the others are below it.
        let on_fallback = later[1..4].iter().filter(|parent| **parent == Some(1)).count();
        assert_eq!(on_fallback, 1, "{later:?}");
        network.check();
    }
}
