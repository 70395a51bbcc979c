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
