//! Clients and servers that pause reading during bursts.

use super::*;

/// Number of ids from which each neighbour registers users.
const USER_IDS: u32 = 40;

/// One server between neighbours whose users come and go, and readers that pause.
struct SlowReaders {
    world: World,
    rng: StdRng,
    server: usize,
    neighbours: [Option<ClientId>; 3],
    /// Users from id 5000 and servers from id 6000, by index.
    readers: Vec<ClientId>,
    next_number: u64,
}

impl SlowReaders {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, NetConditions::default());
        let server = world.start(server_spec(seed, 1, None));
        Self {
            world,
            rng: StdRng::seed_from_u64(seed ^ 0x510),
            server,
            neighbours: [None; 3],
            readers: Vec::new(),
            next_number: 0,
        }
    }

    /// Runs one random event.
    fn run_event(&mut self) {
        let index = self.rng.random_range(0..self.neighbours.len());
        let user = Self::user_id(index, self.rng.random_range(0..USER_IDS));
        let event = self.rng.random_range(0..10);
        match (event, self.neighbours[index], self.readers.is_empty()) {
            (0..=3, ..) => self.register_users(index),
            (4, Some(neighbour), _) => {
                self.neighbours[index] = None;
                self.world.disconnect(neighbour);
            }
            (5, Some(neighbour), _) => self.world.send(neighbour, &quit(user, "bye")),
            (6, ..) => self.add_reader(),
            (7, _, false) => {
                let reader = *self.readers.choose(&mut self.rng).expect("one");
                self.world.resume_reading(reader);
            }
            (8, Some(neighbour), false) => self.chat_to_a_reader(neighbour, user),
            _ => self.world.run_for(Duration::from_millis(self.rng.random_range(0..3000))),
        }
        self.world.run_until_quiescent();
    }

    fn user_id(neighbour_index: usize, number: u32) -> u32 {
        1000 * (neighbour_index as u32 + 1) + number
    }

    /// Registers about two in three of a neighbour's users, who may be registered already.
    fn register_users(&mut self, index: usize) {
        let hop = 10 + index as u32;
        let neighbour = *self.neighbours[index].get_or_insert_with(|| {
            let neighbour = self.world.connect(self.server);
            self.world.send(neighbour, &frames::server(hop, "near", ""));
            neighbour
        });
        let info = "i".repeat(1500);
        for number in (0..USER_IDS).filter(|_| self.rng.random_range(0..3) > 0) {
            let id = Self::user_id(index, number);
            let user_frame = frames::registration(HostKind::User, id, hop, "u", &info);
            self.world.send(neighbour, &user_frame);
        }
    }

    /// Connects a user or a server that does not read yet.
    fn add_reader(&mut self) {
        let reader = self.world.connect(self.server);
        let number = self.readers.len() as u32;
        self.world.pause_reading(reader);
        let registration = match self.rng.random() {
            true => frames::user(5000 + number, "reader", ""),
            false => frames::server(6000 + number, "reader", ""),
        };
        self.world.send(reader, &registration);
        self.readers.push(reader);
    }

    fn chat_to_a_reader(&mut self, neighbour: ClientId, source: u32) {
        let destination = 5000 + self.rng.random_range(0..self.readers.len()) as u32;
        let count = if self.rng.random() { LONG_RUN_CHATS } else { 1 };
        let numbers = self.next_number..self.next_number + count;
        self.world.send(neighbour, &chat_run(source, destination, numbers));
        self.next_number += count;
    }

    /// Lets all readers read. Asserts that each sees the users of the server's table, none of them
    /// announced twice, and that chats are in order.
    fn assert_views_are_right(&mut self) {
        for &reader in &self.readers {
            self.world.resume_reading(reader);
        }
        self.world.run_for(Duration::from_secs(20));
        for (&reader, number) in self.readers.iter().zip(0..) {
            let is_closed = self.world.is_closed(reader); // it may have read too slowly
            let mut view = ClientView { allows_servers: true, ..ClientView::default() };
            view.receive(&self.world.take_received(reader));
            let relay = self.world.node(self.server).expect("alive").relay();
            let users = relay.hosts().iter().filter(|host| host.kind == HostKind::User);
            let others: BTreeSet<u32> =
                users.map(|host| host.id.0).filter(|&id| id != 5000 + number).collect();
            assert!(is_closed || view.users == others, "users announced to reader {number}");
            assert!(view.chats.is_sorted_by(|a, b| a.1 < b.1), "chats of reader {number}");
        }
    }
}

/// Users and servers read slowly, so that bursts take long, while hosts join, quit and are lost.
#[test]
fn slow_readers_receive_a_consistent_host_table() {
    for seed in seeds(0..100) {
        println!("seed {seed}");
        let mut readers = SlowReaders::new(seed);
        for _ in 0..60 {
            readers.run_event();
        }
        readers.assert_views_are_right();
    }
}
