//! Tests each rule of the protocol, to the byte, with real nodes in memory.
//!
//! The tests play users and neighbouring servers over bare connections.

mod batching;
mod bounds;
mod direct;
mod direct_silence;
mod instances;
mod joining;
mod leaving;
mod mail;
mod parents;
mod plain;
mod plain_frames;
mod reading;
mod reading_once;
mod rooms;
mod routing;
mod sources;
mod splits;
mod strangers;
mod web;

use std::ops::Range;
use std::time::Duration;

use crc::id::HostId;
use crc::limits::{
    ANNOUNCE_BYTES_PER_TURN, CLAIM_GRANT_DELAY, CLIENT_QUEUE_BYTES_MAX, DIRECT_ID_CHANGE_INTERVAL,
    DIRECT_SILENCE_MAX, DIRECT_WRITE_BYTES_MIN, FALSE_SOURCES_MAX, FRAME_BYTES_MAX,
    LATE_ECHO_TIMEOUT, LINK_STABLE_AFTER, Limits, OFFER_TIMEOUT, PACED_PORTION_BYTES_MAX,
    PACED_PORTION_INTERVAL, QUEUE_HIGH_WATER_BYTES, QUEUE_LOW_WATER_BYTES, READ_BYTES_PER_TURN,
    REGISTER_DEADLINE, ROOM_CHANGES_PER_TURN_MAX, SPLIT_DEFERRED_BYTES_MAX,
    SPLIT_DEFERRED_OVERHEAD_BYTES, SPLIT_GRACE, SPLIT_STALL_TIMEOUT, UPLINK_LOOP_RETRY_DELAY,
    UPLINK_REFUSED_RETRY_DELAY,
};
use crc::link::{CloseReason, LinkId, Origin, Time};
use crc::node::{Action, Node};
use crc::relay::Identity;
use crc::relay::message::HostKind;
use crc::wires::Wire;
use crc_tests::frames::{
    chat, quit, registration, server, server_quit, split_frames, status, user,
};
use crc_tests::sim::{ClientId, NetConditions, ServerSpec, World};

const SECOND: Duration = Duration::from_secs(1);

fn world() -> World {
    World::new(1, NetConditions::default())
}

/// Connects a client, sends bytes, and waits for the answer.
fn connect_and_send(world: &mut World, server: usize, bytes: &[u8]) -> ClientId {
    let client = world.connect(server);
    world.send(client, bytes);
    world.run_until_quiescent();
    client
}

/// The status by which a host shows that it reads frames that are cut.
fn reads_cut_frames(id: u32) -> Vec<u8> {
    status(id, u32::MAX, 0xC700, "")
}

/// The registration of a user that shows in the same write that it reads cut frames.
fn fast_user(id: u32, name: &str) -> Vec<u8> {
    [user(id, name, ""), reads_cut_frames(id)].concat()
}

/// Like [`fast_user`], for a server.
fn fast_server(id: u32, name: &str) -> Vec<u8> {
    [server(id, name, ""), reads_cut_frames(id)].concat()
}

/// Takes the received frames, without the chats to id 0 by which servers ask whether it lives.
fn take_frames(world: &mut World, client: ClientId) -> Vec<Vec<u8>> {
    let mut frames = split_frames(&world.take_received(client));
    frames.retain(|frame| !is_probe(frame));
    frames
}

/// Returns whether a frame is a chat to id 0.
fn is_probe(frame: &[u8]) -> bool {
    frame[0] == 0x81 && frame[5..9] == [0; 4]
}

#[track_caller]
fn assert_received(world: &mut World, client: ClientId, expected: &[Vec<u8>]) {
    let received = take_frames(world, client);
    let shown = |frames: &[Vec<u8>]| -> String {
        frames.iter().map(|f| format!("  {}\n", crc_tests::sim::describe_frame(f))).collect()
    };
    assert!(received == expected, "received:\n{}expected:\n{}", shown(&received), shown(expected));
}

fn welcome_frame(server: u32, name: &str) -> Vec<u8> {
    status(server, 0, 0, &format!("Welcome to the Clemson Relay Chat network {name}"))
}

fn host_ids(node: &Node) -> Vec<u32> {
    let mut ids: Vec<u32> = node.relay().hosts().iter().map(|host| host.id.0).collect();
    ids.sort_unstable();
    ids
}

/// The chain 1 – 2 – 3 with one user each: 101, 102, 103. Only the middle is a real server.
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
    let left = connect_and_send(&mut world, middle, &server(1, "one", ""));
    let right = connect_and_send(&mut world, middle, &server(3, "three", ""));
    world.send(left, &registration(HostKind::User, 101, 1, "frodo", ""));
    world.send(right, &registration(HostKind::User, 103, 3, "merry", ""));
    let sam = connect_and_send(&mut world, middle, &user(102, "sam", ""));
    for client in [left, right, sam] {
        take_frames(&mut world, client);
    }
    Chain { world, middle, left, right, sam }
}

/// Ids of the users of [`server_with_users`].
const REMOTE_USERS: Range<u32> = 1000..1400;

/// Starts server 1 with 400 users behind its neighbour 2. Returns the server and the neighbour.
fn server_with_users(world: &mut World, info: &str) -> (usize, ClientId) {
    let one = world.start(ServerSpec::new(1, None));
    let neighbour = connect_and_send(world, one, &server(2, "two", ""));
    let registrations: Vec<u8> =
        REMOTE_USERS.flat_map(|id| registration(HostKind::User, id, 2, "user", info)).collect();
    world.send(neighbour, &registrations);
    world.run_until_quiescent();
    take_frames(world, neighbour);
    (one, neighbour)
}

/// Starts a server with so many users behind its neighbour 2 that a burst takes several portions.
fn server_with_long_burst(world: &mut World) -> usize {
    server_with_users(world, &"i".repeat(500)).0
}
