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
    let kick = |node: &mut Node, now| node.kick(now, HostId(1), b"");
    assert_eq!(world.with_node(middle, kick), Ok(()));
    world.settle();
    assert!(world.is_closed(left));
}
