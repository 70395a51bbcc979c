//! Announcements to many users in batches.

use super::*;
use crc::link::Machine as _;

/// Longer than the simulator takes to deliver anything, so that a test knows what has been
/// announced.
const BATCH_INTERVAL: Duration = SECOND;

/// Starts a server that batches announcements for any number of users.
fn start_batching_server(world: &mut World) -> usize {
    let limits = Limits {
        announce_batch_users_min: 0,
        announce_batch_delay_min: BATCH_INTERVAL,
        ..Limits::default()
    };
    world.start(ServerSpec { limits, ..ServerSpec::new(1, None) })
}

fn registration_of(id: u32) -> Vec<u8> {
    registration(HostKind::User, id, 1, "user", "")
}

fn join_user(world: &mut World, server: usize, id: u32) -> ClientId {
    connect_and_send(world, server, &user(id, "user", ""))
}

#[test]
fn joins_are_batched_in_order_for_users_and_sent_at_once_to_servers() {
    let mut world = world();
    let one = start_batching_server(&mut world);
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
    let frodo = join_user(&mut world, one, 101);
    world.run_for(BATCH_INTERVAL);
    for client in [neighbour, frodo] {
        take_frames(&mut world, client);
    }
    join_user(&mut world, one, 105);
    let sam = join_user(&mut world, one, 103);
    join_user(&mut world, one, 104);
    assert_received(&mut world, frodo, &[]);
    assert_received(&mut world, sam, &[welcome_frame(1, "user"), registration_of(101)]);
    assert_received(
        &mut world,
        neighbour,
        &[registration_of(105), registration_of(103), registration_of(104)],
    );
    world.run_for(BATCH_INTERVAL);
    assert_received(
        &mut world,
        frodo,
        &[registration_of(105), registration_of(103), registration_of(104)],
    );
    assert_received(&mut world, sam, &[registration_of(105), registration_of(104)]);
    world.run_for(10 * BATCH_INTERVAL);
    assert_received(&mut world, frodo, &[]);
}

#[test]
fn sender_in_a_pending_batch_is_announced_once_before_its_chat() {
    let mut world = world();
    let one = start_batching_server(&mut world);
    let frodo = join_user(&mut world, one, 101);
    let rosie = join_user(&mut world, one, 102);
    world.run_for(BATCH_INTERVAL);
    take_frames(&mut world, frodo);
    let sam = join_user(&mut world, one, 103);
    let merry = join_user(&mut world, one, 104);
    world.send(merry, &[chat(104, 101, "first"), chat(104, 101, "again")].concat());
    world.send(sam, &chat(103, 104, "not to frodo"));
    world.run_until_quiescent();
    assert_received(
        &mut world,
        frodo,
        &[registration_of(104), chat(104, 101, "first"), chat(104, 101, "again")],
    );
    world.run_for(BATCH_INTERVAL);
    assert_received(&mut world, frodo, &[registration_of(103)]);
    let received = take_frames(&mut world, rosie);
    assert_eq!(received[received.len() - 2..], [registration_of(103), registration_of(104)]);
    world.send(merry, &quit(104, "bye"));
    world.run_until_quiescent();
    assert_received(&mut world, frodo, &[quit(104, "bye")]);
}

#[test]
fn user_who_quits_before_its_batch_is_never_announced() {
    let mut world = world();
    let one = start_batching_server(&mut world);
    let frodo = join_user(&mut world, one, 101);
    world.run_for(BATCH_INTERVAL);
    take_frames(&mut world, frodo);
    let first = join_user(&mut world, one, 103);
    join_user(&mut world, one, 104);
    let last = join_user(&mut world, one, 105);
    world.send(first, &quit(103, "bye")); // the first of the batch
    world.send(last, &[chat(105, 101, "hello"), quit(105, "bye")].concat());
    world.run_until_quiescent();
    assert_received(
        &mut world,
        frodo,
        &[registration_of(105), chat(105, 101, "hello"), quit(105, "bye")],
    );
    let newcomer = join_user(&mut world, one, 105); // another user, not announced yet
    world.run_for(BATCH_INTERVAL);
    assert_received(&mut world, frodo, &[registration_of(104), registration_of(105)]);
    world.disconnect(newcomer);
    world.run_until_quiescent();
    assert_received(&mut world, frodo, &[quit(105, "connection closed")]);
    // A batch whose hosts have all left is dropped, and the next has its own delay.
    let short = join_user(&mut world, one, 106);
    world.send(short, &quit(106, "bye"));
    world.run_until_quiescent();
    world.run_for(BATCH_INTERVAL / 2);
    join_user(&mut world, one, 107);
    world.run_for(3 * BATCH_INTERVAL / 4);
    assert_received(&mut world, frodo, &[]);
    world.run_for(BATCH_INTERVAL / 2);
    assert_received(&mut world, frodo, &[registration_of(107)]);
}

#[test]
fn user_lost_and_found_within_a_batch_is_announced_once() {
    let mut world = world();
    let one = start_batching_server(&mut world);
    let frodo = join_user(&mut world, one, 101);
    let right = connect_and_send(&mut world, one, &server(3, "three", ""));
    world.run_for(BATCH_INTERVAL);
    take_frames(&mut world, frodo);
    let user_frame = |id| registration(HostKind::User, id, 3, "user", "");
    world.send(right, &[user_frame(201), user_frame(202)].concat());
    world.run_until_quiescent();
    world.disconnect(right);
    world.run_until_quiescent();
    let rejoined = connect_and_send(&mut world, one, &server(3, "three", ""));
    world.send(rejoined, &user_frame(202));
    world.run_until_quiescent();
    assert_received(&mut world, frodo, &[]);
    world.run_for(BATCH_INTERVAL);
    assert_received(&mut world, frodo, &[registration_of(201), registration_of(202)]);
    world.run_for(SPLIT_GRACE);
    assert_received(&mut world, frodo, &[quit(201, "split")]);
}

#[test]
fn server_stopping_during_a_batch_sends_quits_only_for_announced_users() {
    let mut world = world();
    let one = start_batching_server(&mut world);
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
    let stalled = join_user(&mut world, one, 101);
    world.run_for(BATCH_INTERVAL);
    world.pause_reading(stalled);
    world.send(neighbour, &registration(HostKind::User, 201, 2, "user", ""));
    world.send(neighbour, &chat(201, 101, &"x".repeat(200_000)));
    join_user(&mut world, one, 102);
    take_frames(&mut world, neighbour);
    world.with_node(one, Node::stop);
    world.run_until_quiescent();
    let quits = [101, 102].map(|id| quit(id, "server shutdown"));
    assert_received(&mut world, neighbour, &quits);
    world.run_for(10 * BATCH_INTERVAL);
    assert!(world.node(one).is_none());
}

#[test]
fn link_in_a_reused_slot_gets_each_announcement_once() {
    let mut world = world();
    let one = start_batching_server(&mut world);
    let frodo = join_user(&mut world, one, 101);
    world.run_for(BATCH_INTERVAL);
    join_user(&mut world, one, 103);
    world.disconnect(frodo);
    world.run_until_quiescent();
    let rosie = join_user(&mut world, one, 102);
    world.run_for(10 * BATCH_INTERVAL);
    assert_received(&mut world, rosie, &[welcome_frame(1, "user"), registration_of(103)]);
}

#[test]
fn slow_reader_keeps_a_bounded_queue_and_catches_up() {
    for batch_users_min in [0, 1000] {
        let mut world = world();
        let limits = Limits { announce_batch_users_min: batch_users_min, ..Limits::default() };
        let one = world.start(ServerSpec { limits, ..ServerSpec::new(1, None) });
        let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
        let slow = [
            connect_and_send(&mut world, one, &fast_user(101, "frodo")),
            connect_and_send(&mut world, one, &fast_server(3, "three")),
        ];
        for reader in slow {
            world.pause_reading(reader);
        }
        let info = "i".repeat(1000);
        for id in 1000..4000 {
            world.send(neighbour, &registration(HostKind::User, id, 2, "user", &info));
        }
        world.run_for(SECOND);
        world.send(neighbour, &[quit(1001, "seen"), quit(3999, "unseen")].concat());
        world.run_until_quiescent();
        let node = world.node(one).expect("alive");
        let longest = node.links().map(crc::node::Link::queue_bytes).max();
        assert!(longest.is_some_and(|bytes| bytes < 2 * QUEUE_LOW_WATER_BYTES), "{longest:?}");
        for reader in slow {
            world.resume_reading(reader);
            world.run_until_quiescent();
            let received = take_frames(&mut world, reader);
            let id = |frame: &[u8]| u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]);
            let registrations =
                received.iter().filter(|frame| frame[0] == 0x80 && frame.len() > 1000);
            let announced_ids: Vec<u32> = registrations.map(|frame| id(frame)).collect();
            assert_eq!(announced_ids, (1000..3999).collect::<Vec<_>>());
            assert_eq!(received.iter().filter(|&frame| *frame == quit(1001, "seen")).count(), 1);
            assert!(!received.contains(&quit(3999, "unseen")));
        }
    }
}

/// Returns a node that knows this many hosts behind its neighbour.
fn node_with_hosts(kind: HostKind, hosts: u32) -> Node {
    let own = Identity { id: HostId(1), is_id_configured: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let neighbour = node.open_link(now, Wire::CRC);
    node.receive(now, neighbour, &server(2, "two", ""));
    for id in 1000..1000 + hosts {
        node.receive(now, neighbour, &registration(kind, id, 2, "u1234567", "sixteen bytes of"));
    }
    node
}

/// Returns the number of bytes written to links in a turn.
fn run_turn(node: &mut Node) -> usize {
    let mut count = 0;
    node.advance(Time::default());
    while let Some(link) = node.poll_unsent() {
        while !node.unsent(link).is_empty() {
            let bytes = node.unsent(link).len();
            assert!(bytes < 2 * QUEUE_LOW_WATER_BYTES, "{bytes} in one queue");
            count += bytes;
            node.sent(link, bytes);
        }
    }
    count
}

#[test]
fn bursts_to_many_newcomers_are_spread_over_turns() {
    let mut node = node_with_hosts(HostKind::User, 20_000);
    let now = Time::default();
    run_turn(&mut node);
    for id in 101..121 {
        let link = node.open_link(now, Wire::CRC);
        node.receive(now, link, &fast_user(id, ""));
    }
    let (mut turns, mut bytes) = (0, 0);
    while node.next_deadline() == Some(now) || turns == 0 {
        let sent_bytes = run_turn(&mut node);
        // The announcements of the first joins belong to the turn before.
        let turns_worth = if turns == 0 { 2 } else { 1 };
        assert!(sent_bytes <= turns_worth * ANNOUNCE_BYTES_PER_TURN, "{sent_bytes} in a turn");
        (turns, bytes) = (turns + 1, bytes + sent_bytes);
    }
    assert!(bytes >= 20 * 20_000 * 36, "{bytes}");
}

#[test]
fn skipping_hosts_hidden_from_a_link_is_spread_over_turns() {
    let mut node = node_with_hosts(HostKind::Server, 100_000);
    let now = Time::default();
    run_turn(&mut node);
    let link = node.open_link(now, Wire::CRC);
    node.receive(now, link, &user(101, "", ""));
    let mut turns = 0;
    while node.next_deadline() == Some(now) {
        assert!(run_turn(&mut node) < 1000);
        turns += 1;
    }
    assert!((2..100).contains(&turns), "{turns}");
}

#[test]
fn read_budget_shrinks_for_a_link_that_registers_many_hosts() {
    let own = Identity { id: HostId(1), is_id_configured: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let neighbour = node.open_link(now, Wire::CRC);
    node.receive(now, neighbour, &server(2, "two", ""));
    let user_registrations = |ids: std::ops::Range<u32>| -> Vec<u8> {
        ids.flat_map(|id| registration(HostKind::User, id, 2, "user", "")).collect()
    };
    node.receive(now, neighbour, &user_registrations(101..111));
    assert_eq!(node.read_budget(neighbour), READ_BYTES_PER_TURN, "a few are nothing special");
    node.receive(now, neighbour, &user_registrations(201..301));
    assert!(node.read_budget(neighbour) < READ_BYTES_PER_TURN / 2);
    assert!(node.read_budget(neighbour) > 0);
    node.receive(now, neighbour, &chat(201, 202, "back where it came from"));
    assert_eq!(node.read_budget(neighbour), READ_BYTES_PER_TURN);
}

#[test]
fn link_that_brings_many_changes_of_rooms_is_read_in_portions() {
    let own = |id| Identity { id: HostId(id), is_id_configured: true, name: vec![], info: vec![] };
    let now = Time::default();
    let mut parent = Node::new(own(1), 0, Limits::default(), 1);
    let mut child = Node::new(own(2), 1, Limits::default(), 2);
    child.advance(now);
    let Some(Action::Dial { link: up, .. }) = child.poll_action() else { panic!("it dials") };
    child.dialled(now, up, &Origin::default());
    let down = parent.open_link(now, Wire::CRC);
    let exchange = |parent: &mut Node, child: &mut Node, now| loop {
        child.advance(now);
        parent.advance(now);
        while child.poll_unsent().or_else(|| parent.poll_unsent()).is_some() {}
        let (to_parent, to_child) = (child.unsent(up).to_vec(), parent.unsent(down).to_vec());
        if to_parent.is_empty() && to_child.is_empty() {
            return;
        }
        child.sent(up, to_parent.len());
        parent.sent(down, to_child.len());
        parent.receive(now, down, &to_parent);
        child.receive(now, up, &to_child);
    };
    let users: Vec<LinkId> = (1001..2001).map(|_| child.open_link(now, Wire::CRC)).collect();
    for (&link, id) in users.iter().zip(1001..) {
        child.receive(now, link, &user(id, "user", ""));
    }
    for seconds in 0..3 {
        let now = Time::from_start(seconds * SECOND); // users who join at once are announced together
        exchange(&mut parent, &mut child, now);
    }
    assert_eq!(parent.relay().hosts().len(), 1001);
    parent.receive(now, down, &chat(1001, 1002, "back where it came from"));
    assert_eq!(parent.read_budget(down), READ_BYTES_PER_TURN);
    for (&link, id) in users.iter().zip(1001..) {
        child.receive(now, link, &chat(id, 2, "/join #lab"));
    }
    let rooms = child.unsent(up).to_vec();
    let members =
        |parent: &Node| parent.relay().rooms().map(|room| room.members_elsewhere).sum::<usize>();
    let most = ROOM_CHANGES_PER_TURN_MAX as usize;
    parent.receive(now, down, &rooms);
    assert_eq!((members(&parent), parent.read_budget(down)), (most, 0), "the rest waits");
    parent.advance(now);
    assert_eq!(members(&parent), users.len());
    assert!((1..READ_BYTES_PER_TURN / 2).contains(&parent.read_budget(down)));
}

#[test]
fn chat_run_that_empties_a_queue_does_not_end_a_burst() {
    const USERS: u32 = 400;
    let own = Identity { id: HostId(1), is_id_configured: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let neighbour = node.open_link(now, Wire::CRC);
    let info = "i".repeat(500);
    let user_registrations =
        (1000..1000 + USERS).flat_map(|id| registration(HostKind::User, id, 2, "user", &info));
    node.receive(now, neighbour, &[server(2, "two", ""), user_registrations.collect()].concat());
    let other_neighbour = node.open_link(now, Wire::CRC);
    node.receive(now, other_neighbour, &fast_server(3, "three"));
    node.receive(now, other_neighbour, &registration(HostKind::User, 301, 3, "", ""));
    assert!(node.relay().is_behind(other_neighbour), "its burst takes several portions");
    // The socket was full, and takes the queue and a long run of chats when the run arrives.
    let mut received = Vec::new();
    let run = chat(1000, 301, &"x".repeat(1000)).repeat(DIRECT_WRITE_BYTES_MIN / 1000 + 1);
    node.receive_with_direct_write(now, neighbour, &run, &mut |to, pieces| {
        assert_eq!(to, other_neighbour);
        received.extend(pieces.concat());
        pieces.concat().len()
    });
    while node.poll_unsent().is_some() {}
    while let count @ 1.. = node.unsent(other_neighbour).len() {
        received.extend_from_slice(node.unsent(other_neighbour));
        node.sent(other_neighbour, count);
    }
    assert!(!node.relay().is_behind(other_neighbour));
    let (chats, others): (Vec<_>, Vec<_>) =
        split_frames(&received).into_iter().partition(|frame| frame[0] == 0x81);
    assert_eq!(chats.concat(), run);
    let count = USERS as usize + 3;
    assert_eq!(others.len(), count, "this server, its status, its neighbour and all users");
}

#[test]
fn mail_is_delivered_after_the_registration_of_its_online_sender() {
    for batch_users_min in [0, 64] {
        let mut world = world();
        let limits = Limits {
            announce_batch_users_min: batch_users_min,
            announce_batch_delay_min: BATCH_INTERVAL,
            ..Limits::default()
        };
        let one = world.start(ServerSpec { limits, ..ServerSpec::new(1, None) });
        let seven = direct::connect_with_id(&mut world, one, 7);
        world.send(seven.client, &direct::text_frame(101, "welcome back"));
        world.run_until_quiescent();
        let frodo = join_user(&mut world, one, 101);
        world.run_for(BATCH_INTERVAL);
        let seven = registration(HostKind::User, 7, 1, "7", "direct");
        let expected = [welcome_frame(1, "user"), seven, chat(7, 101, "welcome back")];
        assert_received(&mut world, frodo, &expected);
    }
}
