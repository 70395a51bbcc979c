//! Quits, kicks, and the end of a server.

use super::*;
use crc::link::Machine as _;

#[test]
fn quit_is_forwarded_to_every_link_but_its_own() {
    let Chain { mut world, middle, left, right, sam } = chain();
    let rosie = connect_and_send(&mut world, middle, &user(104, "rosie", ""));
    for client in [left, right, sam, rosie] {
        take_frames(&mut world, client);
    }
    world.send(sam, &quit(102, ""));
    world.run_until_quiescent();
    world.send(right, &quit(103, "bye \u{fc}"));
    world.run_until_quiescent();
    assert!(world.is_closed(sam));
    for client in [left, rosie] {
        let mut received = take_frames(&mut world, client);
        received.sort();
        assert_eq!(received, [quit(102, ""), quit(103, "bye \u{fc}")]);
    }
    assert_received(&mut world, right, &[quit(102, "")]);
    assert_received(&mut world, sam, &[]);
    // A connection that closes without a quit counts as one.
    world.disconnect(rosie);
    world.run_until_quiescent();
    assert_received(&mut world, left, &[quit(104, "connection closed")]);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 3, 101]);
}

#[test]
fn stopping_server_announces_its_users_quits_and_ends() {
    let Chain { mut world, middle, left, right, .. } = chain();
    world.with_node(middle, Node::stop);
    world.run_until_quiescent();
    let farewell = [quit(102, "server shutdown")];
    assert_received(&mut world, left, &farewell);
    assert_received(&mut world, right, &farewell);
    assert!(world.node(middle).is_none() && world.is_closed(left));
}

#[test]
fn stopping_server_waits_for_a_full_queue_until_a_deadline() {
    let Chain { mut world, middle, left, right, sam } = chain();
    world.pause_reading(right);
    world.send(sam, &chat(102, 103, &"x".repeat(1000)).repeat(200));
    world.run_until_quiescent();
    world.with_node(middle, Node::stop);
    world.run_for(4 * SECOND);
    assert!(world.node(middle).is_some() && !world.is_closed(left));
    world.run_for(2 * SECOND);
    assert!(world.node(middle).is_none());
}

#[test]
fn kicked_user_and_all_others_receive_the_reason() {
    let Chain { mut world, middle, left, sam, .. } = chain();
    let kick = |node: &mut Node, now| node.kick(now, HostId(102), b"too loud");
    assert_eq!(world.with_node(middle, kick), Ok(()));
    world.run_until_quiescent();
    assert_received(&mut world, sam, &[status(2, 0, 3, "kicked: too loud")]);
    assert!(world.is_closed(sam));
    assert_received(&mut world, left, &[quit(102, "too loud")]);
    for id in [101, 102, 999] {
        let kick = |node: &mut Node, now| node.kick(now, HostId(id), b"");
        assert!(world.with_node(middle, kick).is_err(), "{id} is not here");
    }
    let rosie = connect_and_send(&mut world, middle, &user(104, "rosie", ""));
    take_frames(&mut world, left);
    for id in [104, 1] {
        let kick = |node: &mut Node, now| node.kick(now, HostId(id), b"");
        assert_eq!(world.with_node(middle, kick), Ok(()));
        world.run_until_quiescent();
    }
    assert!(world.is_closed(rosie) && world.is_closed(left));
    assert_received(&mut world, left, &[quit(104, "kicked")]);
}

/// Returns a server that stops and cannot end at once, because its neighbour 3 does not read; the
/// neighbours 2 and 3, the user frodo, and a client that has not registered.
fn stopping_server() -> (World, ClientId, ClientId, ClientId) {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
    let stalled = connect_and_send(&mut world, one, &server(3, "three", ""));
    world.send(stalled, &registration(HostKind::User, 103, 3, "merry", ""));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let unregistered = world.connect(one);
    take_frames(&mut world, neighbour);
    world.pause_reading(stalled);
    world.send(frodo, &chat(101, 103, &"x".repeat(1000)).repeat(200));
    world.run_until_quiescent();
    world.with_node(one, Node::stop);
    world.run_until_quiescent();
    (world, neighbour, frodo, unregistered)
}

#[test]
fn frames_of_users_announced_as_quit_are_ignored() {
    let (mut world, neighbour, frodo, unregistered) = stopping_server();
    world.send(frodo, &[chat(101, 103, "still here"), quit(101, "bye")].concat());
    world.send(unregistered, &user(105, "late", ""));
    world.run_until_quiescent();
    assert_received(&mut world, neighbour, &[quit(101, "server shutdown")]);
    assert!(world.is_closed(unregistered));
}

#[test]
fn server_stopping_during_a_burst_sends_quits_only_for_announced_users() {
    let mut world = world();
    let one = server_with_long_burst(&mut world);
    connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let slow = world.connect(one);
    world.pause_reading(slow);
    world.send(slow, &server(4, "four", ""));
    world.run_until_quiescent();
    world.with_node(one, Node::stop);
    world.run_until_quiescent();
    world.resume_reading(slow);
    world.run_until_quiescent();
    let received = take_frames(&mut world, slow);
    assert!(!received.contains(&registration(HostKind::User, 101, 1, "frodo", "")));
    assert!(!received.contains(&quit(101, "server shutdown")));
}

#[test]
fn stopping_server_does_not_complete_its_uplink() {
    let mut world = world();
    let two = world.start(ServerSpec::new(2, Some(1)));
    let frodo = connect_and_send(&mut world, two, &user(102, "frodo", ""));
    let stalled = connect_and_send(&mut world, two, &user(101, "deaf", ""));
    world.pause_reading(stalled);
    world.send(frodo, &chat(102, 101, &"x".repeat(200_000)));
    world.run_until_quiescent();
    let one = world.start(ServerSpec::new(1, None));
    let is_dialling = |world: &World| {
        let node = world.node(two).expect("alive");
        node.links().any(|link| node.relay().is_uplink(link.id()))
    };
    while !is_dialling(&world) {
        world.run_for(Duration::from_micros(100));
    }
    world.with_node(two, Node::stop);
    world.run_for(10 * SECOND);
    assert!(host_ids(world.node(one).expect("alive")).is_empty());
    assert!(world.node(two).is_none());
}

#[test]
fn stopping_server_takes_over_no_claim() {
    let (mut world, neighbour, ..) = stopping_server();
    take_frames(&mut world, neighbour);
    let one = world.server("s1").expect("it still drains");
    let known = host_ids(world.node(one).expect("alive"));
    world.send(neighbour, &registration(HostKind::User, 101, 2, "takes the id", ""));
    world.run_until_quiescent();
    assert_eq!(host_ids(world.node(one).expect("alive")), known);
    assert_received(&mut world, neighbour, &[]);
}
