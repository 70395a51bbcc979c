//! Announcements to programs that read at most 1,024 bytes at a time and lose a frame that is cut.

use super::*;
use crc::limits::PACED_PORTION_INTERVAL;
use crc::wires::crc::codec;

/// Bytes that such a program reads at a time.
const READ_BYTES: usize = 1024;

const USERS: usize = REMOTE_USERS.end as usize - REMOTE_USERS.start as usize;
const LAST_ID: u32 = REMOTE_USERS.end - 1;
const INFO: &str = "A user behind server 2";

/// User 101, who reads once, at a server with 400 users behind its neighbour.
struct PacedUser {
    world: World,
    one: usize,
    neighbour: ClientId,
    client: ClientId,
}

/// Registers user 101, to whom no user is announced yet.
fn paced_user() -> PacedUser {
    let mut world = world();
    let (one, neighbour) = server_with_users(&mut world, INFO);
    let client = world.connect(one);
    world.send(client, &user(101, "frodo", ""));
    PacedUser { world, one, neighbour, client }
}

/// Reads once a millisecond for two seconds. Keeps the whole frames at the start of each read; the
/// rest of the read is lost, as are bytes beyond it. Asserts that nothing was lost.
pub(super) fn read_for_two_seconds(world: &mut World, client: ClientId) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for _ in 0..2000 {
        world.run_for(Duration::from_millis(1));
        let received = world.take_received(client);
        let mut read = &received[..received.len().min(READ_BYTES)];
        while let Ok(Some((_, len))) = codec::parse(read, FRAME_BYTES_MAX) {
            if !is_probe(&read[..len]) {
                frames.push(read[..len].to_vec());
            }
            read = &read[len..];
        }
        assert!(received.len() < READ_BYTES && read.is_empty(), "{} bytes", received.len());
    }
    frames
}

#[test]
fn user_that_reads_once_learns_400_users_in_portions_of_whole_frames() {
    let PacedUser { mut world, client, .. } = paced_user();
    let frames = read_for_two_seconds(&mut world, client);
    assert_eq!(frames[0], welcome_frame(1, "frodo"));
    let ids = frames[1..]
        .iter()
        .map(|frame| u32::from_be_bytes(frame[1..5].try_into().expect("four bytes")));
    assert!(ids.eq(REMOTE_USERS));
}

#[test]
fn server_that_reads_once_learns_400_users_in_portions_of_whole_frames() {
    let mut world = world();
    let (one, _) = server_with_users(&mut world, INFO);
    let client = world.connect(one);
    world.send(client, &server(3, "three", ""));
    let frames = read_for_two_seconds(&mut world, client);
    assert_eq!(frames.len(), 2 + USERS);
    assert!(frames.iter().all(|frame| frame[0] & 0x7f == 0), "registrations only");
}

#[test]
fn client_that_reads_cut_frames_learns_400_users_at_once() {
    let mut world = world();
    let (one, _) = server_with_users(&mut world, INFO);
    let client = world.connect(one);
    world.send(client, &fast_user(101, "frodo"));
    world.run_until_quiescent();
    assert_eq!(take_frames(&mut world, client).len(), 1 + USERS);
}

#[test]
fn status_of_another_id_does_not_end_the_portions() {
    let mut world = world();
    let (one, _) = server_with_users(&mut world, INFO);
    let client = world.connect(one);
    world.send(client, &[user(101, "frodo", ""), reads_cut_frames(102)].concat());
    let frames = read_for_two_seconds(&mut world, client);
    assert_eq!(frames.len(), 1 + USERS);
    let node = world.node(one).expect("a server");
    assert_eq!(node.relay().counters().false_sources, 1);
}

#[test]
fn quits_of_a_split_come_in_portions_and_before_the_registration_of_the_same_id() {
    let PacedUser { mut world, one, neighbour, client } = paced_user();
    read_for_two_seconds(&mut world, client);
    world.disconnect(neighbour);
    world.run_for(SPLIT_GRACE - Duration::from_millis(10));
    assert_received(&mut world, client, &[]);
    world.run_for(Duration::from_millis(20));
    let first = world.take_received(client);
    assert!((1..READ_BYTES).contains(&first.len()), "{} bytes", first.len());
    let newcomer = world.connect(one);
    world.send(newcomer, &user(LAST_ID, "new", ""));
    let mut frames = split_frames(&first);
    frames.extend(read_for_two_seconds(&mut world, client));
    let quits = REMOTE_USERS.map(|id| quit(id, "split"));
    let join = registration(HostKind::User, LAST_ID, 1, "new", "");
    assert_eq!(frames, quits.chain([join]).collect::<Vec<_>>());
}

#[test]
fn sender_with_a_waiting_quit_is_announced_after_it_and_before_its_chat() {
    let PacedUser { mut world, one, neighbour, client } = paced_user();
    read_for_two_seconds(&mut world, client);
    world.disconnect(neighbour);
    world.run_for(SPLIT_GRACE + Duration::from_millis(10));
    world.take_received(client);
    let newcomer = world.connect(one);
    world.send(newcomer, &[user(LAST_ID, "new", ""), chat(LAST_ID, 101, "hi")].concat());
    world.run_for(Duration::from_millis(10));
    let join = registration(HostKind::User, LAST_ID, 1, "new", "");
    assert_received(&mut world, client, &[quit(LAST_ID, "split"), join, chat(LAST_ID, 101, "hi")]);
}

/// The registration of one of the 400 users, forwarded by a server.
fn user_behind(server: u32, id: u32) -> Vec<u8> {
    registration(HostKind::User, id, server, "user", INFO)
}

/// A server whose neighbour with 400 users was lost and is linked again after server 3, a program
/// that reads once, has joined. Server 3 was sent the first portion of the returning hosts.
struct Return {
    world: World,
    one: usize,
    neighbour: ClientId,
    three: ClientId,
    first_frames: Vec<Vec<u8>>,
}

fn hosts_return() -> Return {
    let mut world = world();
    let (one, neighbour) = server_with_users(&mut world, INFO);
    world.disconnect(neighbour);
    world.run_until_quiescent();
    let three = connect_and_send(&mut world, one, &server(3, "three", ""));
    let burst = [registration(HostKind::Server, 1, 1, "s1", "simulated")];
    assert_received(&mut world, three, &burst);
    world.run_for(SECOND);
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
    world.send(neighbour, &REMOTE_USERS.flat_map(|id| user_behind(2, id)).collect::<Vec<u8>>());
    world.run_for(Duration::from_millis(10));
    let first = world.take_received(three);
    assert!((1..READ_BYTES).contains(&first.len()), "{} bytes", first.len());
    let mut first_frames = split_frames(&first);
    first_frames.retain(|frame| !is_probe(frame));
    Return { world, one, neighbour, three, first_frames }
}

#[test]
fn server_that_reads_once_learns_returning_hosts_in_portions_of_whole_frames() {
    let Return { mut world, three, mut first_frames, .. } = hosts_return();
    first_frames.extend(read_for_two_seconds(&mut world, three));
    let two = registration(HostKind::Server, 2, 1, "two", "");
    let users = REMOTE_USERS.map(|id| user_behind(1, id));
    assert_eq!(first_frames, [two].into_iter().chain(users).collect::<Vec<_>>());
    world.run_for(2 * SPLIT_GRACE);
    assert_received(&mut world, three, &[]);
}

#[test]
fn returning_host_whose_registration_waits_is_announced_before_its_chat_and_once() {
    let Return { mut world, neighbour, three, .. } = hosts_return();
    world.send(three, &registration(HostKind::User, 103, 3, "merry", ""));
    world.run_for(Duration::from_millis(5));
    assert_received(&mut world, three, &[]);
    world.send(neighbour, &chat(LAST_ID, 103, "hi"));
    world.run_for(Duration::from_millis(5));
    assert_received(&mut world, three, &[user_behind(1, LAST_ID), chat(LAST_ID, 103, "hi")]);
    let frames = read_for_two_seconds(&mut world, three);
    assert!(!frames.contains(&user_behind(1, LAST_ID)));
    assert!(frames.contains(&user_behind(1, LAST_ID - 1)));
}

#[test]
fn returning_host_that_leaves_while_its_registration_waits_is_not_mentioned() {
    let Return { mut world, neighbour, three, .. } = hosts_return();
    world.send(neighbour, &quit(LAST_ID, "bye"));
    let frames = read_for_two_seconds(&mut world, three);
    assert!(!frames.contains(&user_behind(1, LAST_ID)) && !frames.contains(&quit(LAST_ID, "bye")));
    assert_eq!(frames.last(), Some(&user_behind(1, LAST_ID - 1)));
}

#[test]
fn server_that_shows_that_it_reads_cut_frames_gets_the_returning_hosts_at_once() {
    let Return { mut world, one, three, first_frames, .. } = hosts_return();
    world.send(three, &reads_cut_frames(3));
    world.run_for(Duration::from_millis(5));
    let mut frames = take_frames(&mut world, three);
    let shown = status(1, u32::MAX, 0xC700, "reads cut frames");
    assert_eq!(frames.pop(), Some(shown));
    assert_eq!(first_frames.len() + frames.len(), 1 + USERS);
    world.node(one).expect("alive").relay().check();
}

#[test]
fn chat_to_a_program_that_reads_once_is_sent_at_once() {
    let PacedUser { mut world, neighbour, client, .. } = paced_user();
    world.run_for(PACED_PORTION_INTERVAL / 2);
    take_frames(&mut world, client);
    world.send(neighbour, &chat(1000, 101, "hi"));
    world.run_for(Duration::from_millis(10));
    assert_received(&mut world, client, &[chat(1000, 101, "hi")]);
}

#[test]
fn accepting_server_shows_that_it_reads_cut_frames_only_to_a_server_that_has_shown_it() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let plain = connect_and_send(&mut world, one, &server(2, "two", ""));
    assert_received(&mut world, plain, &[registration(HostKind::Server, 1, 1, "s1", "simulated")]);
    let modern = connect_and_send(&mut world, one, &fast_server(3, ""));
    let frames = take_frames(&mut world, modern);
    assert_eq!(frames[0], registration(HostKind::Server, 1, 1, "s1", "simulated"));
    let shown = status(1, u32::MAX, 0xC700, "reads cut frames");
    assert_eq!(frames.iter().filter(|&frame| *frame == shown).count(), 1);
    world.send(modern, &reads_cut_frames(3));
    world.run_until_quiescent();
    assert_received(&mut world, modern, &[]);
}
