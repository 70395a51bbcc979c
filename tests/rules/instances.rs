//! Two instances of crc servers with one id.

use crc::limits::PING_INTERVAL;

use super::*;

/// Starts a server with id 2 and a user, and its parent.
fn parent_and_child(world: &mut World) -> (usize, usize) {
    let one = world.start(ServerSpec::new(1, None));
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.run_for(SECOND);
    connect_and_send(world, two, &user(102, "sam", ""));
    (one, two)
}

/// Another server with id 2, which was started elsewhere.
fn other_two() -> ServerSpec {
    ServerSpec { label: "other".to_owned(), ..ServerSpec::new(2, Some(1)) }
}

fn knows(world: &World, server: usize, id: u32) -> bool {
    host_ids(world.node(server).expect("alive")).contains(&id)
}

#[test]
fn server_whose_id_is_that_of_a_live_one_is_refused() {
    let mut world = world();
    let (one, two) = parent_and_child(&mut world);
    let other = world.start(other_two());
    for _ in 0..20 {
        world.run_for(SECOND / 2);
        assert!(knows(&world, one, 102) && knows(&world, two, 1), "the first keeps its place");
        assert!(!knows(&world, other, 1), "the other is refused");
    }
}

#[test]
fn server_takes_the_place_of_one_that_does_not_answer() {
    let mut world = world();
    let (one, two) = parent_and_child(&mut world);
    world.vanish(two);
    let other = world.start(other_two());
    world.run_for(PING_INTERVAL - SECOND);
    assert!(!knows(&world, other, 1), "the first is probed");
    world.run_for(SECOND * 2);
    assert!(knows(&world, other, 1), "the first has not answered");
    assert!(knows(&world, one, 2));
}

#[test]
fn of_two_live_servers_with_one_id_one_leaves_when_their_trees_join() {
    let mut world = world();
    // Server 9 and a server with id 2 below it form one tree, servers 1 and 2 another.
    let nine = world.start(ServerSpec::new(9, Some(1)));
    let below_nine = ServerSpec { parents: vec!["s9".to_owned()], ..other_two() };
    let other = world.start(below_nine);
    world.run_for(4 * SECOND);
    let (one, two) = parent_and_child(&mut world);
    world.run_for(25 * SECOND);
    assert!(knows(&world, nine, 1), "the trees have joined");
    let is_in_the_tree = |server| knows(&world, server, 1) && knows(&world, server, 9);
    assert_ne!(is_in_the_tree(two), is_in_the_tree(other));
    assert!(knows(&world, one, 2) && knows(&world, nine, 2));
}
