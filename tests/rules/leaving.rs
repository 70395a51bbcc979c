//! Quits, kicks, and the end of a server.

use super::*;

#[test]
fn quits_go_everywhere_but_back() {
    let Chain { mut world, middle, left, right, sam } = chain();
    let rosie = says(&mut world, middle, &user(104, "rosie", ""));
    for client in [left, right, sam, rosie] {
        heard(&mut world, client);
    }
    world.send(sam, &quit(102, ""));
    world.settle();
    world.send(right, &quit(103, "bye \u{fc}"));
    world.settle();
    assert!(world.is_closed(sam));
    for client in [left, rosie] {
        let mut heard = heard(&mut world, client);
        heard.sort();
        assert_eq!(heard, [quit(102, ""), quit(103, "bye \u{fc}")]);
    }
    assert_heard(&mut world, right, &[quit(102, "")]);
    assert_heard(&mut world, sam, &[]);
    // A connection that ends without a word is a quit too.
    world.hang_up(rosie);
    world.settle();
    assert_heard(&mut world, left, &[quit(104, "connection closed")]);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 3, 101]);
}

#[test]
fn a_server_that_stops_takes_its_users_leave_and_ends() {
    let Chain { mut world, middle, left, right, .. } = chain();
    world.with_node(middle, Node::stop);
    world.settle();
    let farewell = [quit(102, "server shutdown")];
    assert_heard(&mut world, left, &farewell);
    assert_heard(&mut world, right, &farewell);
    assert!(world.node(middle).is_none() && world.is_closed(left));
}

#[test]
fn a_server_that_stops_waits_for_a_full_pipe_but_not_for_ever() {
    let Chain { mut world, middle, left, right, sam } = chain();
    world.deafen(right);
    world.send(sam, &chat(102, 103, &"x".repeat(200_000)));
    world.settle();
    world.with_node(middle, Node::stop);
    world.pass(4 * SECOND);
    assert!(world.node(middle).is_some() && !world.is_closed(left));
    world.pass(2 * SECOND);
    assert!(world.node(middle).is_none());
}

#[test]
fn who_is_kicked_hears_why_and_the_others_too() {
    let Chain { mut world, middle, left, sam, .. } = chain();
    let kick = |node: &mut Node, now| node.kick(now, HostId(102), b"too loud");
    assert_eq!(world.with_node(middle, kick), Ok(()));
    world.settle();
    assert_heard(&mut world, sam, &[status(2, 0, 3, "kicked: too loud")]);
    assert!(world.is_closed(sam));
    assert_heard(&mut world, left, &[quit(102, "too loud")]);
    for id in [101, 102, 999] {
        let kick = |node: &mut Node, now| node.kick(now, HostId(id), b"");
        assert!(world.with_node(middle, kick).is_err(), "{id} is not here");
    }
    let rosie = says(&mut world, middle, &user(104, "rosie", ""));
    heard(&mut world, left);
    for id in [104, 1] {
        let kick = |node: &mut Node, now| node.kick(now, HostId(id), b"");
        assert_eq!(world.with_node(middle, kick), Ok(()));
        world.settle();
    }
    assert!(world.is_closed(rosie) && world.is_closed(left));
    assert_heard(&mut world, left, &[quit(104, "kicked")]);
}

/// A server that stops, and cannot end at once because 3 does not read: one, its neighbours 2 and
/// 3 (the deaf one), frodo, and somebody who has not registered.
fn stopping() -> (World, ClientId, ClientId, ClientId) {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let near = says(&mut world, one, &server(2, "two", ""));
    let deaf = says(&mut world, one, &server(3, "three", ""));
    world.send(deaf, &registration(Kind::User, 103, 3, "merry", ""));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let late = world.connect(one);
    heard(&mut world, near);
    world.deafen(deaf);
    world.send(frodo, &chat(101, 103, &"x".repeat(200_000)));
    world.settle();
    world.with_node(one, Node::stop);
    world.settle();
    (world, near, frodo, late)
}

#[test]
fn who_was_said_to_leave_says_nothing_more() {
    let (mut world, near, frodo, late) = stopping();
    world.send(frodo, &[chat(101, 103, "still here"), quit(101, "bye")].concat());
    world.send(late, &user(105, "late", ""));
    world.settle();
    assert_heard(&mut world, near, &[quit(101, "server shutdown")]);
    assert!(world.is_closed(late));
}

#[test]
fn a_server_that_stops_in_mid_burst_takes_back_only_what_it_told() {
    let mut world = world();
    let one = crowded(&mut world);
    says(&mut world, one, &user(101, "frodo", ""));
    let slow = world.connect(one);
    world.deafen(slow);
    world.send(slow, &server(4, "four", ""));
    world.settle();
    world.with_node(one, Node::stop);
    world.settle();
    world.undeafen(slow);
    world.settle();
    let heard = heard(&mut world, slow);
    assert!(!heard.contains(&registration(Kind::User, 101, 1, "frodo", "")));
    assert!(!heard.contains(&quit(101, "server shutdown")));
}

#[test]
fn a_server_that_stops_joins_nobody() {
    let mut world = world();
    let two = world.start(ServerSpec::new(2, Some(1)));
    let frodo = says(&mut world, two, &user(102, "frodo", ""));
    let deaf = says(&mut world, two, &user(101, "deaf", ""));
    world.deafen(deaf);
    world.send(frodo, &chat(102, 101, &"x".repeat(200_000)));
    world.settle();
    let one = world.start(ServerSpec::new(1, None));
    let is_dialling = |world: &World| {
        let node = world.node(two).expect("alive");
        node.links().any(|link| node.relay().is_uplink(link.id()))
    };
    while !is_dialling(&world) {
        world.pass(Duration::from_micros(100));
    }
    world.with_node(two, Node::stop);
    world.pass(10 * SECOND);
    assert!(host_ids(world.node(one).expect("alive")).is_empty());
    assert!(world.node(two).is_none());
}

#[test]
fn a_server_that_stops_introduces_nobody() {
    let (mut world, near, ..) = stopping();
    heard(&mut world, near);
    let one = world.server("s1").expect("it still drains");
    let known = host_ids(world.node(one).expect("alive"));
    world.send(near, &registration(Kind::User, 101, 2, "takes the id", ""));
    world.settle();
    assert_eq!(host_ids(world.node(one).expect("alive")), known);
    assert_heard(&mut world, near, &[]);
}
