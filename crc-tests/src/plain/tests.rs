//! The plain server alone: trees of plain servers, and each habit.

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::habits::{ExtensionStatus, IntroductionHop};
use super::{ConnId, Habits, PlainServer};
use crate::frames::{chat, quit, registration, server, server_quit, split_frames, status, user};
use crate::sim::{ClientId, PlainConditions, PlainSpec, World, describe_frame};
use crc::relay::message::HostKind;

const FIRST: ConnId = ConnId(1);
const SECOND: ConnId = ConnId(2);
const THIRD: ConnId = ConnId(3);

/// Returns server 1, named `one`, with a habit set.
fn server_with(set: impl FnOnce(&mut Habits)) -> PlainServer {
    let mut habits = Habits::ours_plain();
    set(&mut habits);
    PlainServer::new(1, "one", habits)
}

/// Accepts a connection and reads once from it.
fn accept(plain: &mut PlainServer, conn: ConnId, bytes: &[u8]) {
    plain.connected(conn);
    plain.received(conn, bytes);
}

/// Returns the frames sent over a connection since the last call; those to others are dropped.
fn take_frames(plain: &mut PlainServer, conn: ConnId) -> Vec<String> {
    let bytes = plain.take_output().remove(&conn).unwrap_or_default();
    split_frames(&bytes).iter().map(|frame| describe_frame(frame)).collect()
}

fn announced(kind: HostKind, id: u32, last_hop: u32, name: &str, info: &str) -> String {
    describe_frame(&registration(kind, id, last_hop, name, info))
}

fn join_users(world: &mut World, servers: &[usize]) -> Vec<(u32, ClientId)> {
    let mut clients = Vec::new();
    for (&server, base) in servers.iter().zip([100, 200, 300]) {
        for id in [base + 1, base + 2] {
            let client = world.connect(server);
            world.send(client, &user(id, &format!("u{id}"), "plain"));
            world.run_until_quiescent();
            clients.push((id, client));
        }
    }
    clients
}

/// Returns how often a client has received each frame of `expected`.
fn count_received(world: &mut World, client: ClientId, expected: &[Vec<u8>]) -> Vec<usize> {
    let frames = split_frames(&world.take_received(client));
    expected.iter().map(|frame| frames.iter().filter(|f| *f == frame).count()).collect()
}

/// Lets two users on each of three plain servers exchange chats, then quit.
fn check_tree(parents: [Option<u32>; 3], habits: &Habits, seed: u64) {
    let mut world = World::new(seed, Default::default());
    let mut servers = Vec::new();
    for (id, parent) in (1..).zip(parents) {
        servers.push(world.start_plain(PlainSpec::new(id, parent, habits.clone())));
        world.run_until_quiescent();
    }
    let clients = join_users(&mut world, &servers);
    for &(id, client) in &clients {
        for &(other, _) in clients.iter().filter(|&&(other, _)| other != id) {
            world.send(client, &chat(id, other, "Hi"));
        }
    }
    world.run_until_quiescent();
    for &(id, client) in &clients {
        let others = clients.iter().map(|&(other, _)| other).filter(|&other| other != id);
        let chats: Vec<_> = others.map(|other| chat(other, id, "Hi")).collect();
        assert_eq!(count_received(&mut world, client, &chats), [1; 5], "chats to {id}");
    }
    let (leaver, leaver_client) = clients[0];
    world.send(leaver_client, &quit(leaver, "bye"));
    world.disconnect(clients[1].1);
    world.run_until_quiescent();
    assert!(world.is_closed(leaver_client));
    let quits = [quit(leaver, "bye"), quit(102, "connection closed")];
    for &(id, client) in &clients[2..] {
        assert_eq!(count_received(&mut world, client, &quits), [1, 1], "quits to {id}");
    }
    assert_eq!(world.ended_plain_servers().collect::<Vec<_>>(), []);
}

#[test]
fn trees_of_plain_servers_exchange_chats_and_quits_whatever_their_habits() {
    let mut rng = StdRng::seed_from_u64(7);
    let presets = ["plain", "A", "B", "C", "D", "E"].map(Habits::preset);
    let random = (0..100).map(|_| Habits::random(&mut rng));
    for (seed, habits) in (0..).zip(presets.into_iter().flatten().chain(random)) {
        println!("seed {seed}: {habits:?}");
        for parents in [[None, Some(1), Some(2)], [None, Some(1), Some(1)]] {
            check_tree(parents, &habits, seed);
        }
    }
}

#[test]
fn closed_link_makes_users_behind_it_quit_and_chats_to_them_unknown() {
    let mut world = World::new(1, Default::default());
    let habits = Habits::ours_plain();
    let one = world.start_plain(PlainSpec::new(1, None, habits.clone()));
    let two = world.start_plain(PlainSpec::new(2, Some(1), habits));
    world.run_until_quiescent();
    let clients = join_users(&mut world, &[one, two]);
    world.cut_uplink(two);
    world.run_until_quiescent();
    world.send(clients[0].1, &chat(101, 201, "Hi"));
    world.run_until_quiescent();
    let expected = [
        quit(201, "connection closed"),
        quit(202, "connection closed"),
        status(1, 0, 1, "Unknown ID 201"),
    ];
    assert_eq!(count_received(&mut world, clients[0].1, &expected), [1, 1, 1]);
    let expected = [quit(101, "connection closed"), quit(102, "connection closed")];
    assert_eq!(count_received(&mut world, clients[2].1, &expected), [1, 1]);
    assert_eq!(world.plain(one).expect("plain").host_ids().collect::<Vec<_>>(), [101, 102]);
}

#[test]
fn killed_plain_server_refuses_connections() {
    let mut world = World::new(1, Default::default());
    let one = world.start_plain(PlainSpec::new(1, None, Habits::ours_plain()));
    let client = world.connect(one);
    world.kill(one);
    world.run_until_quiescent();
    assert!(world.is_closed(client));
    let client = world.connect(one);
    assert!(world.is_closed(client));
    assert_eq!(world.server("s1"), None);
}

#[test]
fn introduction_has_the_last_hop_of_the_habit() {
    let hops =
        [(IntroductionHop::Zero, 0), (IntroductionHop::Own, 1), (IntroductionHop::Newcomer, 2)];
    for (hop, last_hop) in hops {
        let mut plain = server_with(|habits| habits.introduction_hop = hop);
        accept(&mut plain, FIRST, &server(2, "two", ""));
        let expected = announced(HostKind::Server, 1, last_hop, "one", "plain");
        assert_eq!(take_frames(&mut plain, FIRST), [expected]);
    }
}

#[test]
fn first_server_on_an_uplink_is_the_parent_whatever_its_last_hop() {
    for last_hop in [0, 1, 2] {
        let mut plain = server_with(|_| {});
        plain.dial(FIRST);
        let expected = announced(HostKind::Server, 1, 0, "one", "plain");
        assert_eq!(take_frames(&mut plain, FIRST), [expected]);
        plain.received(FIRST, &registration(HostKind::Server, 2, last_hop, "two", ""));
        plain.received(FIRST, &registration(HostKind::User, 202, 2, "u202", ""));
        assert_eq!(take_frames(&mut plain, FIRST), [""; 0]);
        accept(&mut plain, SECOND, &[user(101, "u101", ""), chat(101, 202, "Hi")].concat());
        assert_eq!(take_frames(&mut plain, FIRST)[1], describe_frame(&chat(101, 202, "Hi")));
    }
}

#[test]
fn second_introduction_is_refused_or_ignored() {
    for refuses in [false, true] {
        let mut plain = server_with(|habits| habits.refuses_second_introduction = refuses);
        accept(&mut plain, FIRST, &server(2, "two", ""));
        plain.take_output();
        plain.received(FIRST, &server(2, "two", ""));
        let text = "A machine has already registered with ID 2";
        let refusal = refuses.then(|| describe_frame(&status(1, 2, 2, text)));
        assert_eq!(take_frames(&mut plain, FIRST), Vec::from_iter(refusal));
    }
}

#[test]
fn announcements_are_echoed_or_not() {
    for echoes in [false, true] {
        let mut plain = server_with(|habits| habits.echoes_announcements = echoes);
        accept(&mut plain, FIRST, &server(2, "two", ""));
        plain.take_output();
        plain.received(FIRST, &registration(HostKind::User, 202, 2, "u202", ""));
        let echo = echoes.then(|| announced(HostKind::User, 202, 1, "u202", ""));
        assert_eq!(take_frames(&mut plain, FIRST), Vec::from_iter(echo));
    }
}

#[test]
fn newcomer_receives_its_own_entry_or_not() {
    for returns in [false, true] {
        let mut plain = server_with(|habits| habits.returns_newcomer_entries = returns);
        accept(&mut plain, FIRST, &server(2, "two", ""));
        let own = returns.then(|| announced(HostKind::Server, 2, 1, "two", ""));
        assert_eq!(take_frames(&mut plain, FIRST)[1..], Vec::from_iter(own));
    }
}

#[test]
fn status_to_the_extension_id_is_returned_dropped_or_kept() {
    for (habit, returned, log) in [
        (ExtensionStatus::Returned, 1, &[] as &[&str]),
        (ExtensionStatus::Dropped, 0, &[]),
        (ExtensionStatus::Kept, 0, &["hello"]),
    ] {
        let mut plain = server_with(|habits| habits.extension_status = habit);
        let hello = status(2, u32::MAX, 0xC700, "hello");
        accept(&mut plain, FIRST, &[server(2, "two", ""), hello.clone()].concat());
        assert_eq!(plain.extension_log(), log);
        let frames = take_frames(&mut plain, FIRST);
        assert_eq!(frames[1..], vec![describe_frame(&hello); returned]);
    }
}

#[test]
fn welcome_has_the_code_and_the_destination_of_the_habits() {
    for (code_1, to_client) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut plain = server_with(|habits| {
            habits.welcomes_with_code_1 = code_1;
            habits.welcomes_to_client_id = to_client;
        });
        accept(&mut plain, FIRST, &user(101, "sam", ""));
        let destination = if to_client { 101 } else { 0 };
        let text = "Welcome to the Clemson Relay Chat network sam";
        let welcome = describe_frame(&status(1, destination, u16::from(code_1), text));
        assert_eq!(take_frames(&mut plain, FIRST), [welcome]);
    }
}

#[test]
fn servers_are_announced_under_their_own_or_the_announcers_name() {
    for (habit, name) in [(false, "two"), (true, "one")] {
        let mut plain = server_with(|habits| habits.announces_servers_under_own_name = habit);
        accept(&mut plain, FIRST, &server(2, "two", ""));
        accept(&mut plain, SECOND, &server(3, "three", ""));
        let expected = announced(HostKind::Server, 2, 1, name, "");
        assert_eq!(take_frames(&mut plain, SECOND)[1..], [expected]);
    }
}

#[test]
fn program_ends_on_what_its_habit_cannot_read() {
    type Set = fn(&mut Habits);
    let huge = [&[0x81, 0, 0, 0, 2, 0, 0, 0, 1][..], &[0xFF; 4]].concat();
    let mut invalid = chat(2, 3, "?");
    *invalid.last_mut().expect("a text") = 0xFF;
    let hosts = (10..13).flat_map(|id| registration(HostKind::User, id, 2, "", ""));
    let cases: [(Set, Vec<u8>, &str); 6] = [
        (|h| h.ends_on_server_quit = true, server_quit(2, 1, "bye"), "type 0x02"),
        (|h| h.reads_once = true, vec![0x81, 0], "a frame was split over two reads"),
        (|h| h.ends_on_invalid_text = true, invalid, "text that is not UTF-8"),
        (|h| h.ends_on_huge_length = true, huge, "length 4294967295"),
        (|h| h.ends_on_unknown_type = true, vec![0x83], "unknown type 0x83"),
        (
            |h| h.registrations_per_read_max = Some(2),
            hosts.collect(),
            "3 registrations in one read",
        ),
    ];
    for (set, bytes, reason) in cases {
        for (set, reason) in [(set, Some(reason)), ((|_| {}) as Set, None)] {
            let mut plain = server_with(set);
            accept(&mut plain, FIRST, &server(2, "two", ""));
            plain.received(FIRST, &bytes);
            assert_eq!(plain.has_ended(), reason);
        }
    }
}

#[test]
fn frames_cut_anywhere_are_assembled_by_a_program_that_does_not_read_once() {
    let mut plain = server_with(|_| {});
    plain.connected(FIRST);
    for byte in [user(101, "sam", "x"), chat(101, 101, "Hi")].concat() {
        plain.received(FIRST, &[byte]);
    }
    assert_eq!(take_frames(&mut plain, FIRST)[1..], [describe_frame(&chat(101, 101, "Hi"))]);
}

#[test]
fn status_to_0_is_logged_or_not() {
    for logs in [false, true] {
        let mut plain = server_with(|habits| habits.logs_statuses_to_0 = logs);
        accept(&mut plain, FIRST, &[server(2, "two", ""), status(2, 0, 1, "note")].concat());
        assert_eq!(plain.status_log(), vec!["note"; usize::from(logs)]);
    }
}

#[test]
fn chat_to_0_is_answered_or_not() {
    for answers in [false, true] {
        let mut plain = server_with(|habits| habits.answers_chats_to_0 = answers);
        accept(&mut plain, FIRST, &[server(2, "two", ""), chat(2, 0, "")].concat());
        let answer = answers.then(|| describe_frame(&status(1, 2, 1, "Unknown ID 0")));
        assert_eq!(take_frames(&mut plain, FIRST)[1..], Vec::from_iter(answer));
    }
}

#[test]
fn id_of_a_lost_server_is_refused_or_accepted_and_a_fresh_one_accepted() {
    for keeps in [false, true] {
        let mut plain = server_with(|habits| habits.keeps_lost_servers = keeps);
        accept(&mut plain, FIRST, &server(2, "two", ""));
        plain.closed(FIRST);
        plain.take_output();
        accept(&mut plain, SECOND, &server(2, "two", ""));
        let text = "A machine has already registered with ID 2";
        let expected = match keeps {
            true => describe_frame(&status(1, 0, 2, text)),
            false => announced(HostKind::Server, 1, 1, "one", "plain"),
        };
        assert_eq!(take_frames(&mut plain, SECOND), [expected]);
        accept(&mut plain, THIRD, &server(3, "three", ""));
        let own = announced(HostKind::Server, 1, 1, "one", "plain");
        assert_eq!(take_frames(&mut plain, THIRD)[0], own);
    }
}

/// Returns what ends a plain server that reads once, to which two writes are sent within 1 ms.
fn end_after_two_writes(conditions: PlainConditions, text_bytes: usize) -> Option<String> {
    let mut habits = Habits::ours_plain();
    habits.reads_once = true;
    let mut world = World::new(3, Default::default());
    world.set_plain_conditions(conditions);
    let plain = world.start_plain(PlainSpec::new(1, None, habits));
    let client = world.connect(plain);
    world.send(client, &user(101, "u101", ""));
    world.run_for(Duration::from_secs(1));
    for _ in 0..2 {
        world.send(client, &chat(101, 101, &"x".repeat(text_bytes)));
    }
    world.run_until_quiescent();
    world.plain(plain).expect("plain").has_ended().map(str::to_owned)
}

#[test]
fn writes_arrive_whole_and_alone_unless_the_conditions_say_otherwise() {
    let split = || Some("a frame was split over two reads".to_owned());
    let alone = PlainConditions::default();
    let together = PlainConditions { coalesces_writes: true, ..alone };
    let in_pieces = PlainConditions { splits_writes: true, ..alone };
    assert_eq!(end_after_two_writes(alone, 600), None);
    assert_eq!(end_after_two_writes(alone, 1100), split());
    assert_eq!(end_after_two_writes(together, 400), None);
    assert_eq!(end_after_two_writes(together, 600), split());
    assert_eq!(end_after_two_writes(in_pieces, 600), split());
}

#[test]
fn habit_is_set_by_its_name_and_value() {
    let mut habits = Habits::ours_plain();
    for text in ["introduction-hop=zero", "reads-once", "registrations-per-read-max=7"] {
        habits.set(text).expect("a habit");
    }
    let expected = Habits {
        introduction_hop: IntroductionHop::Zero,
        reads_once: true,
        registrations_per_read_max: Some(7),
        ..Habits::ours_plain()
    };
    assert_eq!(habits, expected);
    assert_eq!(habits.set("reads-twice"), Err("there is no habit reads-twice".to_owned()));
    let error = "the habit introduction-hop has no value 1".to_owned();
    assert_eq!(habits.set("introduction-hop=1"), Err(error));
}
