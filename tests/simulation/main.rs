//! Networks of real nodes in virtual time: what holds under any network conditions.

mod churn;
mod contested_ids;
mod network;
mod replay;
mod returning;
mod rooms;
mod scale;
mod scenarios;
mod slow_readers;
mod stopping;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use crc::id::HostId;
use crc::limits::{DIRECT_WRITE_BYTES_MIN, FRAME_BYTES_MAX};
use crc::relay::FirstLink;
use crc::relay::message::{HostKind, Message};
use crc::wires::crc::codec;
use crc_tests::frames::{self, chat, quit};
use crc_tests::sim::{ClientId, NetConditions, ServerSpec, TraceEnd, World, describe_frame};
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
    /// The users that quit, in order.
    quits: Vec<u32>,
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
                    self.quits.push(source.0);
                }
                // The chat by which a server asks whether this neighbour lives.
                Message::Chat { destination: HostId::NONE, .. } if self.allows_servers => {}
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
                assert!(matches!(relay.first_link(host), FirstLink::Link(_)));
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
