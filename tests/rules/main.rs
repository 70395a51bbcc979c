//! The rules of the protocol one by one, to the byte, against real nodes in memory.
//!
//! Bare connections play users and neighbouring servers.

mod bounds;
mod direct;
mod gathering;
mod joining;
mod leaving;
mod mail;
mod parents;
mod routing;
mod sources;
mod splits;

use std::time::Duration;

use crc::doors::Door;
use crc::limits::{
    BURST_PORTION_BYTES, CLAIM_PAUSE, CLIENT_QUEUE_BYTES_MAX, DIRECT_CHANGE_PAUSE,
    FALSE_SOURCES_MAX, FRAME_BYTES_MAX, Limits, NEWS_BYTES_PER_TURN, PASS_AT_ONCE_BYTES,
    QUEUE_PRESSED_BYTES, READ_BYTES_PER_TURN, REFUSED_PAUSE, REGISTER_DEADLINE, SPLIT_GRACE,
    SPLIT_PATIENCE, SPLIT_WAITING_BYTES_MAX, SPLIT_WAITING_CHAT_BYTES, UPLINK_PROVEN,
};
use crc::node::{Action, Node};
use crc::relay::message::{HostId, Kind};
use crc::relay::{CloseReason, Identity, LinkId, Time};
use crc_tests::frames::{chat, frames, quit, registration, server, server_quit, status, user};
use crc_tests::sim::{ClientId, ServerSpec, Weather, World};

const SECOND: Duration = Duration::from_secs(1);

fn world() -> World {
    World::new(1, Weather::default())
}

/// A connection that has said something, and has been answered.
fn says(world: &mut World, server: usize, bytes: &[u8]) -> ClientId {
    let client = world.connect(server);
    world.send(client, bytes);
    world.settle();
    client
}

fn heard(world: &mut World, client: ClientId) -> Vec<Vec<u8>> {
    frames(&world.take_received(client))
}

#[track_caller]
fn assert_heard(world: &mut World, client: ClientId, expected: &[Vec<u8>]) {
    let heard = heard(world, client);
    let shown = |frames: &[Vec<u8>]| -> String {
        frames.iter().map(|f| format!("  {}\n", crc_tests::sim::describe(f))).collect()
    };
    assert!(heard == expected, "heard:\n{}expected:\n{}", shown(&heard), shown(expected));
}

fn welcome(server: u32, name: &str) -> Vec<u8> {
    status(server, 0, 0, &format!("Welcome to the Clemson Relay Chat network {name}"))
}

fn host_ids(node: &Node) -> Vec<u32> {
    let mut ids: Vec<u32> = node.relay().hosts().iter().map(|host| host.id.0).collect();
    ids.sort_unstable();
    ids
}

/// 1 – 2 – 3 with a user at each: 101, 102, 103. The middle is a real server; the ends as given.
struct Chain {
    world: World,
    middle: usize,
    left: ClientId,
    right: ClientId,
    sam: ClientId,
}

fn chain() -> Chain {
    let mut world = world();
    let middle = world.start(ServerSpec::new(2, None));
    let left = says(&mut world, middle, &server(1, "one", ""));
    let right = says(&mut world, middle, &server(3, "three", ""));
    world.send(left, &registration(Kind::User, 101, 1, "frodo", ""));
    world.send(right, &registration(Kind::User, 103, 3, "merry", ""));
    let sam = says(&mut world, middle, &user(102, "sam", ""));
    for client in [left, right, sam] {
        heard(&mut world, client);
    }
    Chain { world, middle, left, right, sam }
}

/// A server with so many users behind its neighbour 2 that a burst takes several portions.
fn crowded(world: &mut World) -> usize {
    let one = world.start(ServerSpec::new(1, None));
    let neighbour = says(world, one, &server(2, "two", ""));
    let info = "i".repeat(500);
    let told: Vec<u8> =
        (1000..1400).flat_map(|id| registration(Kind::User, id, 2, "user", &info)).collect();
    world.send(neighbour, &told);
    world.settle();
    one
}
