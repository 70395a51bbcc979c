//! [`Network`]: servers with a user on each, who all chat with one another.

use super::*;

/// Servers and their users, who chat with one another.
pub(super) struct Network {
    pub(super) world: World,
    rng: StdRng,
    pub(super) servers: Vec<usize>,
    users: Vec<(u32, ClientId, ClientView)>,
    /// Number of chats sent by sender and addressee.
    sent: BTreeMap<(u32, u32), u64>,
    /// Maximum number of chats that a user sends at a time.
    chats_max: u32,
    /// Maximum time between two such, in milliseconds.
    pause_millis_max: u64,
}

impl Network {
    /// Starts servers, on links with at most this delay.
    pub(super) fn new(
        seed: u64,
        delay_max_millis: u64,
        specs: impl Iterator<Item = ServerSpec>,
        (chats_max, pause_millis_max): (u32, u64),
    ) -> Self {
        let delay_max = Duration::from_millis(delay_max_millis);
        let mut world = World::new(seed, NetConditions { delay_max, splits_writes: false });
        if std::env::var("CRC_TRACE").is_ok() {
            world.enable_full_trace();
        }
        let servers = specs.map(|spec| world.start(spec)).collect();
        let rng = StdRng::seed_from_u64(seed ^ 0x570b);
        let (users, sent) = (Vec::new(), BTreeMap::new());
        Self { world, rng, servers, users, sent, chats_max, pause_millis_max }
    }

    /// Lets a user join each server but those with the ids in `without`.
    pub(super) fn join_users(&mut self, without: &[u32]) {
        for (id, &server) in (1..).zip(&self.servers) {
            if !without.contains(&id) {
                let client = join_user(&mut self.world, server, 100 + id);
                self.users.push((100 + id, client, ClientView::default()));
            }
        }
        self.world.run_for(Duration::from_secs(5));
    }

    /// Lets users send chats to one another for a time.
    pub(super) fn chat_for(&mut self, span: Duration) {
        let end = self.world.now() + span;
        while self.world.now() < end {
            let [from, to] = [0, 1].map(|_| self.rng.random_range(0..self.users.len()));
            if from != to {
                let (source, client, _) = self.users[from];
                let destination = self.users[to].0;
                let sent = self.sent.entry((source, destination)).or_default();
                for _ in 0..self.rng.random_range(1..=self.chats_max) {
                    let text = numbered_text(*sent);
                    self.world.send(client, &chat(source, destination, &text));
                    *sent += 1;
                }
            }
            self.world
                .run_for(Duration::from_millis(self.rng.random_range(0..=self.pause_millis_max)));
        }
    }

    /// Returns the id of the server to which a server is attached.
    pub(super) fn parent(&self, server: u32) -> Option<u32> {
        let node = self.world.node(self.servers[server as usize - 1])?;
        let uplink = node.links().find(|link| node.relay().is_uplink(link.id()))?;
        Some(node.relay().adjacent_host(uplink.id())?.id.0)
    }

    /// Checks that all users see one another and have seen these others quit, and that each chat
    /// has arrived once, in order.
    pub(super) fn check(mut self, quits: &[u32]) {
        self.world.run_for(Duration::from_secs(1));
        if std::env::var("CRC_TRACE").is_ok() {
            let trace = self.world.trace(|end| self.world.default_name(end));
            trace.iter().for_each(|line| println!("{line}"));
        }
        let ids: BTreeSet<u32> = self.users.iter().map(|(id, ..)| *id).collect();
        for (id, client, view) in &mut self.users {
            view.receive(&self.world.take_received(*client));
            let others: BTreeSet<u32> = ids.iter().copied().filter(|other| other != id).collect();
            assert_eq!(view.users, others, "users that {id} sees");
            assert_eq!(view.quits, quits, "quits that {id} has seen");
            assert!(view.statuses.iter().all(|(code, _)| *code == 0), "{:?}", view.statuses);
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
