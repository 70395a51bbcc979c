//! Registrations: announcements, refusals, and the burst.

use super::*;

#[test]
fn new_user_is_welcomed_and_announced_in_both_directions() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.run_until_quiescent();
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", "\"Test info\""));
    let sam = connect_and_send(&mut world, two, &user(102, "sam", ""));
    assert_received(
        &mut world,
        frodo,
        &[welcome_frame(1, "frodo"), registration(HostKind::User, 102, 1, "sam", "")],
    );
    assert_received(
        &mut world,
        sam,
        &[welcome_frame(2, "sam"), registration(HostKind::User, 101, 2, "frodo", "\"Test info\"")],
    );
}

#[test]
fn new_server_receives_the_burst_and_is_announced() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", "near"));
    assert_received(
        &mut world,
        neighbour,
        &[registration(HostKind::Server, 1, 1, "s1", "simulated")],
    );
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    assert_received(&mut world, neighbour, &[registration(HostKind::User, 101, 1, "frodo", "")]);
    let other_neighbour = connect_and_send(&mut world, one, &server(3, "three", ""));
    assert_received(
        &mut world,
        other_neighbour,
        &[
            registration(HostKind::Server, 1, 1, "s1", "simulated"),
            registration(HostKind::Server, 2, 1, "two", "near"),
            registration(HostKind::User, 101, 1, "frodo", ""),
        ],
    );
    assert_received(&mut world, neighbour, &[registration(HostKind::Server, 3, 1, "three", "")]);
    // A forwarded registration is not answered, and is forwarded to the others.
    world.send(other_neighbour, &registration(HostKind::Server, 4, 3, "four", ""));
    world.run_until_quiescent();
    assert_received(&mut world, other_neighbour, &[]);
    assert_received(&mut world, neighbour, &[registration(HostKind::Server, 4, 1, "four", "")]);
    assert_received(&mut world, frodo, &[welcome_frame(1, "frodo")]);
    let node = world.node(one).expect("alive");
    let four = node.relay().hosts().get(HostId(4)).expect("known");
    assert_eq!(node.relay().first_link_host(four), HostId(3));
}

#[test]
fn child_sends_its_parent_only_hosts_on_its_own_side() {
    let mut world = world();
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.run_until_quiescent();
    connect_and_send(&mut world, two, &user(102, "sam", ""));
    let one = world.start(ServerSpec::new(1, None));
    connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let neighbour = connect_and_send(&mut world, one, &server(9, "nine", ""));
    take_frames(&mut world, neighbour);
    world.run_for(5 * SECOND); // the child dials again
    assert_received(
        &mut world,
        neighbour,
        &[
            registration(HostKind::Server, 2, 1, "s2", "simulated"),
            registration(HostKind::User, 102, 1, "sam", ""),
        ],
    );
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 9, 101, 102]);
    assert_eq!(host_ids(world.node(two).expect("alive")), [1, 9, 101, 102]);
    assert_eq!(world.node(one).expect("alive").relay().status_updates().count(), 0);
}

#[test]
fn taken_id_is_refused_and_the_connection_stays_open() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    take_frames(&mut world, frodo);
    let late = connect_and_send(&mut world, one, &user(101, "gollum", ""));
    assert_received(
        &mut world,
        late,
        &[status(1, 0, 2, "Someone has already registered with ID 101")],
    );
    world.send(late, &user(1, "gollum", ""));
    world.run_until_quiescent();
    assert_received(
        &mut world,
        late,
        &[status(1, 0, 2, "Someone has already registered with ID 1")],
    );
    let neighbour = connect_and_send(&mut world, one, &server(101, "two", ""));
    let refusal = status(1, 0, 2, "A machine has already registered with ID 101");
    assert_received(&mut world, neighbour, &[refusal]);
    assert_received(&mut world, frodo, &[]);
    // Both may try another id on the same connection.
    world.send(neighbour, &server(2, "two", ""));
    world.send(late, &user(102, "gollum", ""));
    world.run_until_quiescent();
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 101, 102]);
    // A second registration under the same id is refused with a status.
    take_frames(&mut world, frodo);
    world.send(frodo, &user(101, "frodo", ""));
    world.run_until_quiescent();
    assert_received(
        &mut world,
        frodo,
        &[status(1, 0, 2, "Someone has already registered with ID 101")],
    );
}

#[test]
fn contested_id_goes_to_the_first_claim_and_then_to_the_second() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let sam = connect_and_send(&mut world, one, &user(102, "sam", ""));
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
    let other_neighbour = connect_and_send(&mut world, one, &server(3, "three", ""));
    for client in [frodo, sam, neighbour, other_neighbour] {
        take_frames(&mut world, client);
    }
    world.send(neighbour, &registration(HostKind::User, 101, 2, "another", ""));
    world.run_until_quiescent();
    assert_received(
        &mut world,
        neighbour,
        &[status(1, 2, 2, "Someone has already registered with ID 101")],
    );
    assert_received(&mut world, sam, &[]);
    // Frames of the second host do not count while the first is registered.
    world.send(neighbour, &chat(101, 102, "I am frodo"));
    world.run_until_quiescent();
    assert_received(&mut world, sam, &[]);
    world.send(frodo, &quit(101, "bye"));
    world.run_until_quiescent();
    for client in [sam, other_neighbour, neighbour] {
        assert_received(&mut world, client, &[quit(101, "bye")]);
    }
    world.run_for(CLAIM_GRANT_DELAY + SECOND); // by now the claim would have been withdrawn, were it an echo
    let taken_over = registration(HostKind::User, 101, 1, "another", "");
    assert_received(&mut world, sam, std::slice::from_ref(&taken_over));
    assert_received(&mut world, other_neighbour, &[taken_over]);
    assert_received(&mut world, neighbour, &[]);
    world.send(neighbour, &chat(101, 102, "now I am"));
    world.run_until_quiescent();
    assert_received(&mut world, sam, &[chat(101, 102, "now I am")]);
}

#[test]
fn withdrawn_claim_on_a_taken_id_is_forgotten() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
    world.send(neighbour, &registration(HostKind::User, 101, 2, "another", ""));
    world.send(neighbour, &quit(101, "never mind"));
    world.run_until_quiescent();
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 101]);
    world.send(frodo, &quit(101, "bye"));
    world.run_for(2 * CLAIM_GRANT_DELAY);
    assert_eq!(host_ids(world.node(one).expect("alive")), [2]);
}

#[test]
fn burst_larger_than_the_queue_is_delivered_completely() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
    let info = "i".repeat(200);
    let registrations: Vec<Vec<u8>> =
        (1000..6000).map(|id| registration(HostKind::User, id, 2, "user", &info)).collect();
    assert!(registrations.concat().len() > 3 * CLIENT_QUEUE_BYTES_MAX);
    for portion in registrations.chunks(100) {
        world.send(neighbour, &portion.concat());
    }
    world.run_until_quiescent();
    let frodo = connect_and_send(&mut world, one, &fast_user(101, "frodo"));
    let received = take_frames(&mut world, frodo);
    assert_eq!(received.len(), 5001);
    let expected = (1000..6000).map(|id| registration(HostKind::User, id, 1, "user", &info));
    assert!(received[1..].iter().cloned().eq(expected));
}

#[test]
fn changes_during_a_burst_are_announced_once_and_in_order() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
    let info = "i".repeat(500);
    let registrations: Vec<u8> =
        (1000..1400).flat_map(|id| registration(HostKind::User, id, 2, "user", &info)).collect();
    world.send(neighbour, &registrations);
    world.run_until_quiescent();
    let frodo = world.connect(one);
    world.pause_reading(frodo); // the burst stops where the pipe is full
    world.send(frodo, &fast_user(101, "frodo"));
    world.run_until_quiescent();
    world.send(neighbour, &chat(1399, 101, "before my turn"));
    world.send(neighbour, &[quit(1000, "seen"), quit(1398, "unseen")].concat());
    world.send(neighbour, &registration(HostKind::User, 1500, 2, "late", ""));
    world.run_until_quiescent();
    world.resume_reading(frodo);
    world.run_until_quiescent();
    let received = take_frames(&mut world, frodo);
    let count_of = |frame: Vec<u8>| received.iter().filter(|&other| *other == frame).count();
    assert_eq!(count_of(registration(HostKind::User, 1399, 1, "user", &info)), 1);
    assert_eq!(count_of(registration(HostKind::User, 1500, 1, "late", "")), 1);
    assert_eq!(count_of(chat(1399, 101, "before my turn")), 1);
    assert_eq!((count_of(quit(1398, "unseen")), count_of(quit(1000, "seen"))), (0, 1));
    assert_eq!(count_of(registration(HostKind::User, 1398, 1, "user", &info)), 0);
    assert_eq!(received.len(), 1 + 399 + 3, "welcome, users, a late one, a chat, a quit");
    let position_of = |frame: Vec<u8>| received.iter().position(|other| *other == frame);
    assert!(
        position_of(registration(HostKind::User, 1399, 1, "user", &info))
            < position_of(chat(1399, 101, "before my turn"))
    );
}

#[test]
fn claim_is_deferred_while_the_id_is_taken_again() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
    world.send(neighbour, &registration(HostKind::User, 101, 2, "another", ""));
    world.run_until_quiescent();
    world.send(frodo, &quit(101, "bye"));
    world.run_until_quiescent();
    let third = connect_and_send(&mut world, one, &user(101, "third", ""));
    world.run_for(2 * CLAIM_GRANT_DELAY);
    take_frames(&mut world, neighbour);
    world.send(third, &quit(101, "bye"));
    world.run_until_quiescent();
    assert_received(&mut world, neighbour, &[quit(101, "bye")]);
    assert_eq!(host_ids(world.node(one).expect("alive")), [2]);
    world.run_for(CLAIM_GRANT_DELAY + SECOND);
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 101]);
}

#[test]
fn withdrawn_server_claim_is_forgotten() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
    let other_neighbour = connect_and_send(&mut world, one, &server(3, "three", ""));
    world.send(other_neighbour, &registration(HostKind::Server, 9, 3, "nine", ""));
    world.run_until_quiescent();
    world.send(neighbour, &registration(HostKind::Server, 9, 2, "also nine", ""));
    world.send(neighbour, &server_quit(9, 0, "never mind"));
    world.run_until_quiescent();
    world.send(other_neighbour, &server_quit(9, 0, "bye"));
    world.run_for(2 * CLAIM_GRANT_DELAY);
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 3]);
}

#[test]
fn burst_to_a_user_excludes_itself_and_servers() {
    let mut world = world();
    let one = server_with_long_burst(&mut world);
    let server_3 = connect_and_send(&mut world, one, &server(3, "three", ""));
    let frodo = world.connect(one);
    world.pause_reading(frodo);
    world.send(frodo, &[user(101, "frodo", ""), chat(101, 101, "me")].concat());
    world.run_until_quiescent();
    world.send(server_3, &chat(3, 101, "a server speaks"));
    world.run_until_quiescent();
    world.resume_reading(frodo);
    world.run_until_quiescent();
    let received = take_frames(&mut world, frodo);
    assert!(
        received.contains(&chat(101, 101, "me"))
            && received.contains(&chat(3, 101, "a server speaks"))
    );
    assert!(received.iter().all(|frame| frame[0] != 0x00));
    assert!(!received.contains(&registration(HostKind::User, 101, 1, "frodo", "")));
}

#[test]
fn host_that_rejoins_during_a_burst_is_announced_once() {
    let mut world = world();
    let one = server_with_long_burst(&mut world);
    let right = connect_and_send(&mut world, one, &server(3, "three", ""));
    world.send(right, &registration(HostKind::User, 103, 3, "merry", ""));
    world.run_until_quiescent();
    let slow = world.connect(one);
    world.pause_reading(slow);
    world.send(slow, &fast_server(4, "four"));
    world.run_until_quiescent();
    world.disconnect(right);
    world.run_until_quiescent();
    let rejoined = connect_and_send(&mut world, one, &server(3, "three", ""));
    world.send(rejoined, &registration(HostKind::User, 103, 3, "merry", ""));
    world.run_until_quiescent();
    world.resume_reading(slow);
    world.run_until_quiescent();
    let received = take_frames(&mut world, slow);
    for expected in [
        registration(HostKind::User, 103, 1, "merry", ""),
        registration(HostKind::Server, 3, 1, "three", ""),
    ] {
        assert_eq!(received.iter().filter(|frame| **frame == expected).count(), 1);
    }
}

/// Between crc servers, the registration with the smaller logical time wins, whichever server has
/// the smaller id.
#[test]
fn contested_id_goes_to_the_earlier_stamp_when_two_trees_join() {
    let mut world = world();
    let two = world.start(ServerSpec::new(2, Some(1)));
    let earlier = connect_and_send(&mut world, two, &user(103, "sam", ""));
    let one = world.start(ServerSpec::new(1, None));
    for (id, name) in [(101, "merry"), (102, "pippin")] {
        connect_and_send(&mut world, one, &user(id, name, ""));
    }
    let later = connect_and_send(&mut world, one, &user(103, "frodo", ""));
    world.run_for(SECOND * 10);
    assert!(world.is_closed(later) && !world.is_closed(earlier));
    let frames = take_frames(&mut world, later);
    let refusal = status(1, 0, 2, "Someone has already registered with ID 103");
    assert!(frames.contains(&refusal), "{frames:x?}");
}
