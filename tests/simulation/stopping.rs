//! Servers that stop: their children join another server, nobody notices, and no chat is lost.

use crc::link::Machine as _;

use super::*;

/// A network with a user on each server, who all chat with one another while one server stops.
struct Network {
    world: World,
    rng: StdRng,
    servers: Vec<usize>,
    users: Vec<(u32, ClientId, ClientView)>,
    /// Number of chats sent by sender and addressee.
    sent: BTreeMap<(u32, u32), u64>,
}

impl Network {
    /// Starts servers 1 to `parents.len()`; `parents` has the parent of each.
    fn new(seed: u64, parents: &[Option<u32>]) -> Self {
        let delay_max = Duration::from_millis(if seed.is_multiple_of(2) { 20 } else { 50 });
        let mut world = World::new(seed, NetConditions { delay_max, splits_writes: false });
        if std::env::var("CRC_TRACE").is_ok() {
            world.enable_full_trace();
        }
        let specs = (1..).zip(parents).map(|(id, &parent)| server_spec(seed, id, parent));
        let servers: Vec<usize> = specs.map(|spec| world.start(spec)).collect();
        world.run_for(Duration::from_secs(3));
        let users = (101..).zip(&servers);
        let users = users
            .map(|(id, &server)| (id, join_user(&mut world, server, id), ClientView::default()));
        let users = users.collect();
        world.run_for(Duration::from_secs(3));
        let rng = StdRng::seed_from_u64(seed ^ 0x570b);
        Self { world, rng, servers, users, sent: BTreeMap::new() }
    }

    /// Sends chats between users of servers that stay, for a time.
    fn chat_for(&mut self, span: Duration, stopped: usize) {
        let end = self.world.now() + span;
        while self.world.now() < end {
            let [from, to] = [0, 1].map(|_| self.rng.random_range(0..self.users.len()));
            if from != to && from != stopped && to != stopped {
                let (source, client, _) = self.users[from];
                let destination = self.users[to].0;
                let sent = self.sent.entry((source, destination)).or_default();
                for _ in 0..self.rng.random_range(1..4) {
                    let text = numbered_text(*sent);
                    self.world.send(client, &chat(source, destination, &text));
                    *sent += 1;
                }
            }
            self.world.run_for(Duration::from_millis(self.rng.random_range(0..3)));
        }
    }

    /// Stops a server under traffic. Checks that a second later all children have moved, that the
    /// other users have only seen its own user leave, and that each chat has arrived once, in
    /// order.
    fn stop_and_check(mut self, stopped: usize) {
        self.chat_for(Duration::from_millis(200), stopped);
        self.world.with_node(self.servers[stopped], |node, now| node.stop(now));
        self.chat_for(Duration::from_secs(1), stopped);
        let is_running = self.world.node(self.servers[stopped]).is_some();
        self.chat_for(Duration::from_millis(500), stopped);
        self.world.run_for(Duration::from_secs(1));
        if std::env::var("CRC_TRACE").is_ok() {
            let trace = self.world.trace(|end| self.world.default_name(end));
            trace.iter().for_each(|line| println!("{line}"));
        }
        assert!(!is_running, "server {} has not ended within a second", stopped + 1);
        let left = self.users.remove(stopped).0;
        let ids: Vec<u32> = self.users.iter().map(|(id, ..)| *id).collect();
        for (id, client, view) in &mut self.users {
            view.receive(&self.world.take_received(*client));
            let others: BTreeSet<u32> = ids.iter().copied().filter(|other| other != id).collect();
            assert_eq!(view.users, others, "users that {id} sees");
            assert_eq!(view.quits, [left], "quits that {id} has seen");
            assert!(view.statuses.iter().all(|(code, _)| *code == 0), "{:?}", view.statuses);
            for other in others {
                let sent = self.sent.get(&(other, *id)).copied().unwrap_or(0);
                let expected: Vec<Vec<u8>> =
                    (0..sent).map(|number| numbered_text(number).into_bytes()).collect();
                let of_other = view.chats.iter().filter(|(from, _)| *from == other);
                let received: Vec<Vec<u8>> = of_other.map(|(_, text)| text.clone()).collect();
                let numbers = |texts: &[Vec<u8>]| -> Vec<u64> {
                    let number = |text: &Vec<u8>| String::from_utf8_lossy(text).parse();
                    texts.iter().map(|text| number(text).expect("a number")).collect()
                };
                assert_eq!(numbers(&received), numbers(&expected), "chats from {other} to {id}");
            }
        }
    }
}

/// Stops a server of each of many networks.
fn check(parents: &[Option<u32>], stopped: usize) {
    for seed in seeds(0..50) {
        println!("seed {seed}");
        Network::new(seed, parents).stop_and_check(stopped);
    }
}

#[test]
fn children_of_a_stopping_server_join_its_parent_unnoticed() {
    check(&[None, Some(1), Some(2), Some(2)], 1);
}

#[test]
fn subtrees_of_a_stopping_server_join_its_parent_unnoticed() {
    check(&[None, Some(1), Some(2), Some(2), Some(3), Some(1), Some(4)], 1);
}

#[test]
fn children_of_a_stopping_root_join_one_of_them_unnoticed() {
    check(&[None, Some(1), Some(1), Some(1)], 0);
}

#[test]
fn subtrees_of_a_stopping_root_join_one_of_them_unnoticed() {
    check(&[None, Some(1), Some(1), Some(2), Some(3), Some(1)], 0);
}
