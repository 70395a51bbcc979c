//! Networks of real nodes in virtual time: what holds under any network conditions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use crc::id::HostId;
use crc::limits::{DIRECT_WRITE_BYTES_MIN, FRAME_BYTES_MAX, UPLINK_REFUSED_RETRY_DELAY};
use crc::relay::FirstLink;
use crc::relay::message::{HostKind, Message};
use crc::wires::crc::codec;
use crc_tests::frames::{self, chat, quit};
use crc_tests::sim::{ClientId, NetConditions, ServerSpec, World};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// Returns a server that, in two of three seeds, batches announcements as with many users: for the
/// usual delay, or for longer than the events of a test take.
fn server_spec(seed: u64, id: u32, parent: Option<u32>) -> ServerSpec {
    let mut spec = ServerSpec::new(id, parent);
    match seed % 3 {
        0 => {}
        1 => spec.limits.announce_batch_users_min = 0,
        _ => {
            spec.limits.announce_batch_users_min = 1;
            spec.limits.announce_batch_delay_min = Duration::from_millis(700);
        }
    }
    spec
}

/// Returns the seeds of `range`, or only the one in the environment variable `CRC_SEED`.
fn seeds(range: Range<u64>) -> Range<u64> {
    match std::env::var("CRC_SEED") {
        Ok(text) => {
            let seed = text.parse().expect("CRC_SEED is a number");
            seed..seed + 1
        }
        Err(_) => range,
    }
}

fn join_user(world: &mut World, server: usize, id: u32) -> ClientId {
    let client = world.connect(server);
    world.send(client, &frames::user_that_reads_cut_frames(id, &format!("u{id}"), "simulated"));
    client
}

/// Number of chats after which servers write a run directly, past their send queues.
const LONG_RUN_CHATS: u64 = DIRECT_WRITE_BYTES_MIN as u64 / 1000 + 3;

/// Returns whether the next run is that long. With split writes no server reads it at once.
fn draw_is_long(rng: &mut StdRng, conditions: NetConditions) -> bool {
    !conditions.splits_writes && rng.random_range(0..3) == 0
}

/// Returns a unique text of 1,000 bytes.
fn numbered_text(number: u64) -> String {
    format!("{number:01000}")
}

fn chat_run(from: u32, to: u32, numbers: Range<u64>) -> Vec<u8> {
    numbers.flat_map(|number| chat(from, to, &numbered_text(number))).collect()
}

/// The state that a client derives from the frames that it received.
#[derive(Debug, Default)]
struct ClientView {
    /// Whether it is an adjacent server, which receives registrations of servers too.
    allows_servers: bool,
    users: BTreeSet<u32>,
    chats: Vec<(u32, Vec<u8>)>,
    statuses: Vec<(u16, String)>,
}

impl ClientView {
    /// Handles received bytes, which must be whole frames that a plain client can read.
    fn receive(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (message, len) = codec::parse(rest, FRAME_BYTES_MAX)
                .expect("frames of the protocol")
                .expect("whole frames only");
            match message {
                Message::Registration(r) if r.kind == HostKind::Server && self.allows_servers => {}
                Message::Registration(r) => {
                    assert_eq!(r.kind, HostKind::User, "a client received the frame of a server");
                    assert!(self.users.insert(r.source.0), "{} was announced twice", r.source);
                }
                Message::ClientQuit { source, .. } => {
                    assert!(self.users.remove(&source.0), "{source} quit and was never announced");
                }
                Message::Chat { source, text, .. } => {
                    assert!(
                        self.users.contains(&source.0),
                        "a chat from {source}, who was never announced"
                    );
                    self.chats.push((source.0, text.to_vec()));
                }
                Message::Status { code, text, destination, .. } => {
                    assert!(destination == HostId(0) || self.allows_servers);
                    self.statuses.push((code.0, String::from_utf8_lossy(text).into_owned()));
                }
                Message::ServerQuit { .. } => panic!("a client received the frame of a server"),
            }
            rest = &rest[len..];
        }
    }
}

/// Asserts that every server knows every host, and that first links lead to each user's home.
fn assert_tables_agree(world: &World, servers: &[usize], users: &BTreeMap<u32, usize>) {
    let ids: BTreeMap<usize, u32> = servers
        .iter()
        .map(|&s| (s, world.node(s).expect("alive").relay().identity().id.0))
        .collect();
    for &server in servers {
        let relay = world.node(server).expect("alive").relay();
        let known: BTreeSet<(u32, HostKind)> =
            relay.hosts().iter().map(|host| (host.id.0, host.kind)).collect();
        let mut expected: BTreeSet<(u32, HostKind)> =
            users.keys().map(|&id| (id, HostKind::User)).collect();
        expected.extend(
            ids.iter().filter(|&(&s, _)| s != server).map(|(_, &id)| (id, HostKind::Server)),
        );
        assert_eq!(known, expected, "the table of server {}", ids[&server]);
    }
    let by_id: BTreeMap<u32, usize> = ids.iter().map(|(&s, &id)| (id, s)).collect();
    for (&user, &home) in users {
        for &server in servers {
            let (mut current, mut hops) = (server, 0);
            while current != home {
                let relay = world.node(current).expect("alive").relay();
                let host = relay.hosts().get(HostId(user)).expect("a known user");
                assert!(matches!(host.first_link, FirstLink::Link(_)));
                current = by_id[&relay.first_link_host(host).0];
                hops += 1;
                assert!(hops < servers.len(), "the route to {user} from {server} goes in circles");
            }
        }
    }
}

#[test]
fn chat_crosses_ten_hops_both_ways() {
    let mut world = World::new(10, NetConditions::default());
    let servers: Vec<usize> =
        (1..=11).map(|id| world.start(ServerSpec::new(id, (id > 1).then(|| id - 1)))).collect();
    world.run_until_quiescent();
    let (near, far) =
        (join_user(&mut world, servers[0], 101), join_user(&mut world, servers[10], 102));
    world.run_until_quiescent();
    world.send(near, &chat(101, 102, "there"));
    world.send(far, &chat(102, 101, "back"));
    world.run_until_quiescent();
    for (client, expected) in [(near, (102, b"back".to_vec())), (far, (101, b"there".to_vec()))] {
        let mut view = ClientView::default();
        view.receive(&world.take_received(client));
        assert_eq!(view.chats, [expected]);
    }
}

#[test]
fn two_hundred_servers_and_two_thousand_users_converge() {
    let mut world = World::new(200, NetConditions::default());
    let mut rng = StdRng::seed_from_u64(200);
    let mut servers = Vec::new();
    for id in 1..=200_u32 {
        let parent = (id > 1).then(|| rng.random_range(1..id));
        servers.push(world.start(ServerSpec::new(id, parent)));
    }
    let mut users = BTreeMap::new();
    let mut clients = Vec::new();
    for id in 1001..=3000_u32 {
        let home = *servers.choose(&mut rng).expect("servers");
        clients.push(join_user(&mut world, home, id));
        users.insert(id, home);
    }
    world.run_until_quiescent();
    world.run_for(Duration::from_secs(5));
    assert_tables_agree(&world, &servers, &users);
    for (client, id) in clients.into_iter().zip(1001..) {
        let mut view = ClientView::default();
        view.receive(&world.take_received(client));
        assert_eq!(view.users.len(), 1999, "users announced to {id}");
        assert_eq!(view.statuses.len(), 1);
    }
}

/// Runs a random tree in which users join, quit and chat while uplinks are cut and servers are
/// killed and restarted. Asserts that all tables agree, that every client's view is right, and that
/// a probe between every pair arrives once and in order.
fn churn(seed: u64, conditions: NetConditions) {
    let mut world = World::new(seed, conditions);
    let mut rng = StdRng::seed_from_u64(seed ^ 0x5eed);
    let count = rng.random_range(2..=9_u32);
    let parents: Vec<Option<u32>> =
        (1..=count).map(|id| (id > 1).then(|| rng.random_range(1..id))).collect();
    let spec = |index: usize| server_spec(seed, index as u32 + 1, parents[index]);
    let mut servers: Vec<usize> =
        (0..parents.len()).map(|place| world.start(spec(place))).collect();
    world.run_for(Duration::from_secs(10));
    // By id: the connection, the index of the server, and the view.
    let mut clients: BTreeMap<u32, (ClientId, usize, ClientView)> = BTreeMap::new();
    let mut next_id = 1000;
    for _ in 0..rng.random_range(20..80) {
        let index = rng.random_range(0..servers.len());
        let ids: Vec<u32> = clients.keys().copied().collect();
        match (rng.random_range(0..12), ids.choose(&mut rng), ids.choose(&mut rng)) {
            (0..=3, ..) => {
                let client = join_user(&mut world, servers[index], next_id);
                clients.insert(next_id, (client, index, ClientView::default()));
                next_id += 1;
            }
            (4, Some(id), _) => {
                let (client, ..) = clients.remove(id).expect("the one chosen");
                if rng.random() {
                    world.send(client, &quit(*id, "bye"));
                } else {
                    world.disconnect(client);
                }
            }
            (5..=7, Some(&a), Some(&b)) if a != b => {
                let count = if draw_is_long(&mut rng, conditions) { LONG_RUN_CHATS } else { 1 };
                world.send(clients[&a].0, &chat_run(a, b, 0..count));
            }
            (8 | 9, ..) => world.cut_uplink(servers[index]),
            (10, ..) => {
                world.kill(servers[index]);
                clients.retain(|_, (_, home, _)| *home != index);
                world.run_for(Duration::from_millis(rng.random_range(0..9000)));
                servers[index] = world.start(spec(index));
            }
            _ => world.run_for(Duration::from_millis(rng.random_range(0..800))),
        }
    }
    world.run_until_quiescent();
    world.run_for(2 * UPLINK_REFUSED_RETRY_DELAY); // a server may have come back before its loss was noticed
    let users: BTreeMap<u32, usize> =
        clients.iter().map(|(&id, &(_, place, _))| (id, servers[place])).collect();
    assert_tables_agree(&world, &servers, &users);
    let ids: Vec<u32> = users.keys().copied().collect();
    for (&id, (client, _, view)) in &mut clients {
        view.receive(&world.take_received(*client));
        let others: BTreeSet<u32> = ids.iter().copied().filter(|&other| other != id).collect();
        assert_eq!(view.users, others, "users that {id} sees");
        view.chats.clear();
    }
    // One chat to everyone and a long run to some, so that runs meet chats that wait for others.
    let mut expected: BTreeMap<u32, BTreeMap<u32, Vec<Vec<u8>>>> = BTreeMap::new();
    for &a in &ids {
        let mut chats = Vec::new();
        for &b in ids.iter().filter(|&&b| b != a) {
            let is_long = draw_is_long(&mut rng, conditions) && rng.random_range(0..ids.len()) < 3;
            let probes = 0..if is_long { LONG_RUN_CHATS } else { 1 };
            chats.extend(chat_run(a, b, probes.clone()));
            expected
                .entry(b)
                .or_default()
                .insert(a, probes.map(|n| numbered_text(n).into_bytes()).collect());
        }
        world.send(clients[&a].0, &chats);
    }
    world.run_until_quiescent();
    for (&id, (client, _, view)) in &mut clients {
        view.receive(&world.take_received(*client));
        let mut received: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for (from, text) in view.chats.drain(..) {
            received.entry(from).or_default().push(text);
        }
        assert!(received == expected.remove(&id).unwrap_or_default(), "probes that reached {id}");
    }
}

#[test]
fn network_converges_under_default_conditions() {
    for seed in seeds(0..60) {
        println!("seed {seed}");
        churn(seed, NetConditions::default());
    }
}

#[test]
fn network_converges_with_split_writes_and_long_delays() {
    for seed in seeds(1000..1060) {
        println!("seed {seed}");
        churn(seed, NetConditions { delay_max: Duration::from_millis(300), splits_writes: true });
    }
}

/// Few ids are registered at all ends of the tree at once while links are cut. Once every client
/// has disconnected, no table has a user.
#[test]
fn contested_ids_leave_no_host_behind() {
    for seed in seeds(0..400) {
        println!("seed {seed}");
        let conditions = match seed % 2 {
            0 => NetConditions::default(),
            _ => NetConditions { delay_max: Duration::from_millis(300), splits_writes: true },
        };
        let mut world = World::new(seed, conditions);
        let mut rng = StdRng::seed_from_u64(seed ^ 0x1d);
        let count = rng.random_range(2..=6_u32);
        let servers: Vec<usize> = (1..=count)
            .map(|id| {
                let parent = (id > 1).then(|| rng.random_range(1..id));
                world.start(server_spec(seed, id, parent))
            })
            .collect();
        world.run_for(Duration::from_secs(10));
        let mut clients: Vec<(u32, ClientId)> = Vec::new();
        for _ in 0..40 {
            let server = *servers.choose(&mut rng).expect("servers");
            match rng.random_range(0..8) {
                0..=2 => {
                    let id = 100 + rng.random_range(0..4);
                    let client = world.connect(server);
                    let name = format!("n{}", rng.random_range(0..3));
                    world.send(client, &frames::user(id, &name, ""));
                    clients.push((id, client));
                }
                3 | 4 if !clients.is_empty() => {
                    let (id, client) = clients.swap_remove(rng.random_range(0..clients.len()));
                    if rng.random() {
                        world.send(client, &quit(id, "bye"));
                    } else {
                        world.disconnect(client);
                    }
                }
                5 if seed % 4 < 2 => world.cut_uplink(server),
                _ => world.run_for(Duration::from_millis(rng.random_range(0..900))),
            }
        }
        world.run_for(Duration::from_secs(30));
        for (_, client) in clients {
            world.disconnect(client);
        }
        world.run_for(Duration::from_secs(60));
        assert_tables_agree(&world, &servers, &BTreeMap::new());
    }
}

/// Users and servers read slowly, so that bursts take long, while hosts join, quit and are lost. In
/// the end each view is right, and no host was announced twice.
#[test]
fn slow_readers_receive_a_consistent_host_table() {
    for seed in seeds(0..100) {
        println!("seed {seed}");
        let mut world = World::new(seed, NetConditions::default());
        let mut rng = StdRng::seed_from_u64(seed ^ 0x510);
        let one = world.start(server_spec(seed, 1, None));
        let info = "i".repeat(1500);
        let mut neighbours: [Option<ClientId>; 3] = [None; 3];
        let mut readers: Vec<ClientId> = Vec::new();
        let mut next_number = 0;
        for _ in 0..60 {
            let index = rng.random_range(0..neighbours.len());
            let hop = 10 + index as u32;
            let random_id = 1000 * (index as u32 + 1) + rng.random_range(0..40);
            match (rng.random_range(0..10), neighbours[index], readers.is_empty()) {
                (0..=3, ..) => {
                    let neighbour = *neighbours[index].get_or_insert_with(|| {
                        let neighbour = world.connect(one);
                        world.send(neighbour, &frames::server(hop, "near", ""));
                        neighbour
                    });
                    for id in (0..40).filter(|_| rng.random_range(0..3) > 0) {
                        let id = 1000 * (index as u32 + 1) + id;
                        let user_frame = frames::registration(HostKind::User, id, hop, "u", &info);
                        world.send(neighbour, &user_frame);
                    }
                }
                (4, Some(neighbour), _) => {
                    neighbours[index] = None;
                    world.disconnect(neighbour);
                }
                (5, Some(neighbour), _) => world.send(neighbour, &quit(random_id, "bye")),
                (6, ..) => {
                    let reader = world.connect(one);
                    let number = readers.len() as u32;
                    world.pause_reading(reader);
                    world.send(
                        reader,
                        &match rng.random() {
                            true => frames::user(5000 + number, "reader", ""),
                            false => frames::server(6000 + number, "reader", ""),
                        },
                    );
                    readers.push(reader);
                }
                (7, _, false) => world.resume_reading(*readers.choose(&mut rng).expect("one")),
                (8, Some(neighbour), false) => {
                    let to = 5000 + rng.random_range(0..readers.len()) as u32;
                    let count = if rng.random() { LONG_RUN_CHATS } else { 1 };
                    world.send(
                        neighbour,
                        &chat_run(random_id, to, next_number..next_number + count),
                    );
                    next_number += count;
                }
                _ => world.run_for(Duration::from_millis(rng.random_range(0..3000))),
            }
            world.run_until_quiescent();
        }
        for &reader in &readers {
            world.resume_reading(reader);
        }
        world.run_for(Duration::from_secs(20));
        for (&reader, number) in readers.iter().zip(0..) {
            let is_closed = world.is_closed(reader); // it may have read too slowly
            let mut view = ClientView { allows_servers: true, ..ClientView::default() };
            view.receive(&world.take_received(reader));
            let relay = world.node(one).expect("alive").relay();
            let users = relay.hosts().iter().filter(|host| host.kind == HostKind::User);
            let others: BTreeSet<u32> =
                users.map(|host| host.id.0).filter(|&id| id != 5000 + number).collect();
            assert!(is_closed || view.users == others, "users announced to reader {number}");
            assert!(view.chats.is_sorted_by(|a, b| a.1 < b.1), "chats of reader {number}");
        }
    }
}
