//! Links that are lost and come back within the grace, under traffic: chats are replayed.

use crc::limits::{SPLIT_DEFERRED_BYTES_MAX, SPLIT_GRACE};

use super::*;

/// A user's connection.
struct User {
    id: u32,
    client: ClientId,
    received: Vec<u8>,
}

/// A tree of two or three servers, each with two users who chat all the time.
struct Traffic {
    world: World,
    rng: StdRng,
    servers: Vec<usize>,
    users: Vec<User>,
    /// Ids of users whose server is killed.
    gone: BTreeSet<u32>,
    /// Number of chats sent by sender and addressee.
    sent: BTreeMap<(u32, u32), u64>,
}

impl Traffic {
    fn new(seed: u64, parents: &[Option<u32>], grace: Duration) -> Self {
        let conditions = match seed % 3 {
            0 => NetConditions::default(),
            1 => NetConditions { delay_max: Duration::from_millis(60), splits_writes: false },
            _ => NetConditions { delay_max: Duration::from_millis(200), splits_writes: false },
        };
        let mut world = World::new(seed, conditions);
        if std::env::var("CRC_TRACE").is_ok() {
            world.enable_full_trace();
        }
        let servers: Vec<usize> = parents
            .iter()
            .zip(1..)
            .map(|(&parent, id)| {
                let mut spec = server_spec(seed, id, parent);
                spec.limits.split_grace = grace;
                world.start(spec)
            })
            .collect();
        world.run_for(Duration::from_secs(10));
        let mut traffic = Self {
            world,
            rng: StdRng::seed_from_u64(seed ^ 0x3e91a),
            servers,
            users: Vec::new(),
            gone: BTreeSet::new(),
            sent: BTreeMap::new(),
        };
        for number in 0..2 * traffic.servers.len() {
            let (id, home) = (101 + number as u32, number / 2);
            let client = join_user(&mut traffic.world, traffic.servers[home], id);
            traffic.users.push(User { id, client, received: Vec::new() });
        }
        traffic.world.run_for(Duration::from_secs(5));
        traffic
    }

    /// Sends chats between random users for a time.
    fn run(&mut self, time: Duration) {
        let end = self.world.now() + time;
        while self.world.now() < end {
            let [from, to] = [0, 1].map(|_| self.rng.random_range(0..self.users.len()));
            if from != to {
                let count = match self.rng.random_range(0..20) {
                    0 => 80,
                    _ => self.rng.random_range(1..4),
                };
                self.send(from, to, count);
            }
            self.world.run_for(Duration::from_millis(self.rng.random_range(0..12)));
        }
    }

    fn send(&mut self, from: usize, to: usize, count: u64) {
        let (client, from, to) = (self.users[from].client, self.users[from].id, self.users[to].id);
        let sent = self.sent.entry((from, to)).or_default();
        let chats = chat_run(from, to, *sent..*sent + count);
        *sent += count;
        self.world.send(client, &chats);
    }

    /// Returns the numbers of the chats that arrived, by sender and addressee. Asserts that no user
    /// got a quit, or a status but the welcome.
    fn received(&mut self) -> BTreeMap<(u32, u32), Vec<u64>> {
        if std::env::var("CRC_TRACE").is_ok() {
            for line in self.world.trace(|end| self.world.default_name(end)) {
                println!("{}", line.replace("0000000000", ""));
            }
        }
        let mut chats: BTreeMap<(u32, u32), Vec<u64>> = BTreeMap::new();
        for user in &mut self.users {
            let bytes = self.world.take_received(user.client);
            user.received.extend_from_slice(&bytes);
            let (mut rest, mut statuses) = (&user.received[..], 0);
            while let Ok(Some((message, len))) = codec::parse(rest, FRAME_BYTES_MAX) {
                match message {
                    Message::Chat { source, text, .. } => {
                        let number = String::from_utf8_lossy(text).parse().expect("a number");
                        chats.entry((source.0, user.id)).or_default().push(number);
                    }
                    Message::ClientQuit { source, .. } if self.gone.contains(&source.0) => {}
                    Message::ClientQuit { source, text } => {
                        let text = String::from_utf8_lossy(text);
                        panic!("user {} is shown the quit of {source}: {text}", user.id);
                    }
                    Message::Status { code, text, .. } => {
                        statuses += 1;
                        let text = String::from_utf8_lossy(text);
                        assert!(statuses == 1, "user {} gets status {}: {text}", user.id, code.0);
                    }
                    Message::Registration(_) => {}
                    Message::ServerQuit { .. } => panic!("the frame of a server"),
                }
                rest = &rest[len..];
            }
        }
        chats
    }

    /// Asserts that every chat has arrived once and in order.
    fn assert_all_arrived(&mut self) {
        self.world.run_for(Duration::from_secs(20));
        let mut received = self.received();
        for (&(from, to), &count) in &self.sent {
            let numbers = received.remove(&(from, to)).unwrap_or_default();
            let expected: Vec<u64> = (0..count).collect();
            assert_eq!(numbers, expected, "chats from {from} to {to}");
        }
    }
}

/// Links are reset at random moments, while chats are on their way in both directions. The end that
/// dialled notices at once, the other end when it is dialled again or before. A link that is reset
/// several times is dialled later each time, so the grace is longer in these seeds.
#[test]
fn every_chat_arrives_once_and_in_order_over_resets() {
    for seed in seeds(0..240) {
        println!("seed {seed}");
        let (resets, grace) = if seed < 120 { (1, 5) } else { (4, 30) };
        let parents = match seed % 4 {
            0 => vec![None, Some(1)],
            1 | 2 => vec![None, Some(1), Some(2)],
            _ => vec![None, Some(1), Some(1)],
        };
        let mut traffic = Traffic::new(seed, &parents, Duration::from_secs(grace));
        for _ in 0..resets {
            let child = traffic.rng.random_range(1..traffic.servers.len());
            let notice_delay = Duration::from_millis(traffic.rng.random_range(0..1500));
            let time = Duration::from_millis(traffic.rng.random_range(0..1500));
            traffic.run(time);
            traffic.world.reset_uplink_half_open(traffic.servers[child], notice_delay);
            let gap = traffic.rng.random_range(0..3000);
            traffic.run(Duration::from_millis(gap));
        }
        traffic.assert_all_arrived();
    }
}

/// The parent of two servers is killed and comes back within 2 s.
#[test]
fn parent_that_restarts_loses_only_what_was_inside() {
    let (mut sent, mut lost) = (0, 0);
    for seed in seeds(0..240) {
        println!("seed {seed}");
        let mut traffic = Traffic::new(seed, &[None, Some(1), Some(1)], SPLIT_GRACE);
        traffic.gone.extend(traffic.users.drain(..2).map(|user| user.id));
        traffic.world.enable_full_trace();
        traffic.run(Duration::from_millis(seed % 700));
        let (killed, killed_at) = (traffic.servers[0], traffic.world.now());
        traffic.world.kill(killed);
        traffic.run(Duration::from_millis(seed * 7 % 1900));
        traffic.servers[0] = traffic.world.start(server_spec(seed, 1, None));
        traffic.run(Duration::from_millis(1500));
        traffic.world.run_for(Duration::from_secs(20));
        let inside: BTreeSet<String> = traffic
            .world
            .traced_frames()
            .filter(|frame| frame.to == TraceEnd::Server(killed) && frame.sent_at <= killed_at)
            .map(|frame| frame.description)
            .collect();
        let received = traffic.received();
        for (&(from, to), &count) in &traffic.sent {
            let numbers = received.get(&(from, to)).map_or(&[][..], Vec::as_slice);
            assert!(numbers.is_sorted_by(|a, b| a < b), "order of {from} to {to}: {numbers:?}");
            for number in (0..count).filter(|number| !numbers.contains(number)) {
                let frame = &chat(from, to, &numbered_text(number));
                let description = describe_frame(frame);
                assert!(inside.contains(&description), "{from} to {to}: {number} was not inside");
                lost += 1;
            }
            sent += count;
        }
    }
    println!("{lost} of {sent} chats were lost inside the killed servers");
    assert!(lost < sent / 10, "{lost} of {sent} chats were lost");
}

#[test]
fn sender_is_held_back_while_what_waits_exceeds_its_bound() {
    for seed in seeds(0..20) {
        println!("seed {seed}");
        // The grace is longer than it takes to close a silent link.
        let grace = Duration::from_secs(40);
        let mut traffic = Traffic::new(3 * seed, &[None, Some(1), Some(2)], grace);
        let child = traffic.servers[1];
        traffic.world.set_isolated(child, true);
        traffic.world.reset_uplink_half_open(child, Duration::ZERO);
        // A user of the server that lost its parent and one behind it, and one in the other part.
        let chats = 2 * SPLIT_DEFERRED_BYTES_MAX as u64 / 1000;
        for _ in 0..chats / 50 {
            for (from, to) in [(2, 0), (4, 1), (0, 3)] {
                traffic.send(from, to, 50);
            }
            traffic.world.run_for(Duration::from_millis(10));
        }
        traffic.world.run_for(Duration::from_secs(30));
        let is_held = |server: usize| {
            let node = traffic.world.node(traffic.servers[server]).expect("alive");
            node.links().filter(|link| !node.wants_read(link.id())).count()
        };
        assert_eq!([0, 1, 2].map(is_held), [1, 2, 0], "links that are not read");
        traffic.world.set_isolated(child, false);
        traffic.assert_all_arrived();
    }
}

#[test]
fn chats_are_refused_after_the_grace_only() {
    let mut traffic = Traffic::new(0, &[None, Some(1), Some(2)], SPLIT_GRACE);
    let child = traffic.servers[1];
    traffic.world.set_isolated(child, true);
    traffic.world.reset_uplink_half_open(child, Duration::ZERO);
    let chats = 2 * SPLIT_DEFERRED_BYTES_MAX as u64 / 1000;
    traffic.send(2, 0, chats);
    traffic.world.run_for(Duration::from_millis(4900));
    traffic.received();
    traffic.world.run_for(Duration::from_millis(300));
    let mut view = ClientView::default();
    view.receive(&traffic.users[2].received);
    view.receive(&traffic.world.take_received(traffic.users[2].client));
    let refused = view.statuses.iter().filter(|(code, _)| *code == 1).count();
    assert_eq!(refused as u64, chats);
}
