//! Registrations: who is told of whom, who is refused, and the burst.

use super::*;

#[test]
fn a_new_user_is_welcomed_told_of_the_others_and_they_of_it() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.settle();
    let frodo = says(&mut world, one, &user(101, "frodo", "\"Test info\""));
    let sam = says(&mut world, two, &user(102, "sam", ""));
    assert_heard(
        &mut world,
        frodo,
        &[welcome(1, "frodo"), registration(Kind::User, 102, 1, "sam", "")],
    );
    assert_heard(
        &mut world,
        sam,
        &[welcome(2, "sam"), registration(Kind::User, 101, 2, "frodo", "\"Test info\"")],
    );
}

#[test]
fn a_new_server_is_answered_with_everyone_and_passed_on() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let near = says(&mut world, one, &server(2, "two", "near"));
    assert_heard(&mut world, near, &[registration(Kind::Server, 1, 1, "s1", "simulated")]);
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    assert_heard(&mut world, near, &[registration(Kind::User, 101, 1, "frodo", "")]);
    let far = says(&mut world, one, &server(3, "three", ""));
    assert_heard(
        &mut world,
        far,
        &[
            registration(Kind::Server, 1, 1, "s1", "simulated"),
            registration(Kind::Server, 2, 1, "two", "near"),
            registration(Kind::User, 101, 1, "frodo", ""),
        ],
    );
    assert_heard(&mut world, near, &[registration(Kind::Server, 3, 1, "three", "")]);
    // A host that the neighbour passes on is not answered, and goes on to the others.
    world.send(far, &registration(Kind::Server, 4, 3, "four", ""));
    world.settle();
    assert_heard(&mut world, far, &[]);
    assert_heard(&mut world, near, &[registration(Kind::Server, 4, 1, "four", "")]);
    assert_heard(&mut world, frodo, &[welcome(1, "frodo")]);
    let node = world.node(one).expect("alive");
    let four = node.relay().hosts().get(HostId(4)).expect("known");
    assert_eq!(node.relay().first_link_host(four), HostId(3));
}

#[test]
fn a_parent_that_answers_is_told_what_is_on_this_side_and_no_more() {
    let mut world = world();
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.settle();
    says(&mut world, two, &user(102, "sam", ""));
    let one = world.start(ServerSpec::new(1, None));
    says(&mut world, one, &user(101, "frodo", ""));
    let beside = says(&mut world, one, &server(9, "nine", ""));
    heard(&mut world, beside);
    world.pass(5 * SECOND); // the child dials again
    assert_heard(
        &mut world,
        beside,
        &[
            registration(Kind::Server, 2, 1, "s2", "simulated"),
            registration(Kind::User, 102, 1, "sam", ""),
        ],
    );
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 9, 101, 102]);
    assert_eq!(host_ids(world.node(two).expect("alive")), [1, 9, 101, 102]);
    assert_eq!(world.node(one).expect("alive").relay().status_updates().count(), 0);
}

#[test]
fn a_taken_id_is_refused_over_the_same_connection_which_stays_open() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    heard(&mut world, frodo);
    let late = says(&mut world, one, &user(101, "gollum", ""));
    assert_heard(
        &mut world,
        late,
        &[status(1, 0, 2, "Someone has already registered with ID 101")],
    );
    world.send(late, &user(1, "gollum", ""));
    world.settle();
    assert_heard(&mut world, late, &[status(1, 0, 2, "Someone has already registered with ID 1")]);
    let neighbour = says(&mut world, one, &server(101, "two", ""));
    let refusal = status(1, 0, 2, "A machine has already registered with ID 101");
    assert_heard(&mut world, neighbour, &[refusal]);
    assert_heard(&mut world, frodo, &[]);
    // Both may try another id where they are.
    world.send(neighbour, &server(2, "two", ""));
    world.send(late, &user(102, "gollum", ""));
    world.settle();
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 101, 102]);
    // Who is registered and says so again hears that it is.
    heard(&mut world, frodo);
    world.send(frodo, &user(101, "frodo", ""));
    world.settle();
    assert_heard(
        &mut world,
        frodo,
        &[status(1, 0, 2, "Someone has already registered with ID 101")],
    );
}

#[test]
fn an_id_taken_at_two_ends_goes_to_the_first_and_then_to_the_other() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let sam = says(&mut world, one, &user(102, "sam", ""));
    let near = says(&mut world, one, &server(2, "two", ""));
    let far = says(&mut world, one, &server(3, "three", ""));
    for client in [frodo, sam, near, far] {
        heard(&mut world, client);
    }
    world.send(near, &registration(Kind::User, 101, 2, "another", ""));
    world.settle();
    assert_heard(
        &mut world,
        near,
        &[status(1, 2, 2, "Someone has already registered with ID 101")],
    );
    assert_heard(&mut world, sam, &[]);
    // The second one's frames do not count while the first is there.
    world.send(near, &chat(101, 102, "I am frodo"));
    world.settle();
    assert_heard(&mut world, sam, &[]);
    world.send(frodo, &quit(101, "bye"));
    world.settle();
    for client in [sam, far, near] {
        assert_heard(&mut world, client, &[quit(101, "bye")]);
    }
    world.pass(CLAIM_PAUSE + SECOND); // by now the claim would have been withdrawn, were it an echo
    let taken_over = registration(Kind::User, 101, 1, "another", "");
    assert_heard(&mut world, sam, std::slice::from_ref(&taken_over));
    assert_heard(&mut world, far, &[taken_over]);
    assert_heard(&mut world, near, &[]);
    world.send(near, &chat(101, 102, "now I am"));
    world.settle();
    assert_heard(&mut world, sam, &[chat(101, 102, "now I am")]);
}

#[test]
fn a_claim_on_a_taken_id_that_is_withdrawn_is_forgotten() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let near = says(&mut world, one, &server(2, "two", ""));
    world.send(near, &registration(Kind::User, 101, 2, "another", ""));
    world.send(near, &quit(101, "never mind"));
    world.settle();
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 101]);
    world.send(frodo, &quit(101, "bye"));
    world.pass(2 * CLAIM_PAUSE);
    assert_eq!(host_ids(world.node(one).expect("alive")), [2]);
}

#[test]
fn a_burst_larger_than_the_queue_reaches_a_newcomer_whole() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let neighbour = says(&mut world, one, &server(2, "two", ""));
    let info = "i".repeat(200);
    let told: Vec<Vec<u8>> =
        (1000..6000).map(|id| registration(Kind::User, id, 2, "user", &info)).collect();
    assert!(told.concat().len() > 3 * CLIENT_QUEUE_BYTES_MAX);
    for portion in told.chunks(100) {
        world.send(neighbour, &portion.concat());
    }
    world.settle();
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let heard = heard(&mut world, frodo);
    assert_eq!(heard.len(), 5001);
    let expected = (1000..6000).map(|id| registration(Kind::User, id, 1, "user", &info));
    assert!(heard[1..].iter().cloned().eq(expected));
}

#[test]
fn what_changes_during_a_burst_is_told_once_and_in_order() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let neighbour = says(&mut world, one, &server(2, "two", ""));
    let info = "i".repeat(500);
    let told: Vec<u8> =
        (1000..1400).flat_map(|id| registration(Kind::User, id, 2, "user", &info)).collect();
    world.send(neighbour, &told);
    world.settle();
    let frodo = world.connect(one);
    world.deafen(frodo); // the burst stops where the pipe is full
    world.send(frodo, &user(101, "frodo", ""));
    world.settle();
    world.send(neighbour, &chat(1399, 101, "before my turn"));
    world.send(neighbour, &[quit(1000, "seen"), quit(1398, "unseen")].concat());
    world.send(neighbour, &registration(Kind::User, 1500, 2, "late", ""));
    world.settle();
    world.undeafen(frodo);
    world.settle();
    let heard = heard(&mut world, frodo);
    let at = |frame: Vec<u8>| heard.iter().filter(|&heard| *heard == frame).count();
    assert_eq!(at(registration(Kind::User, 1399, 1, "user", &info)), 1);
    assert_eq!(at(registration(Kind::User, 1500, 1, "late", "")), 1);
    assert_eq!(at(chat(1399, 101, "before my turn")), 1);
    assert_eq!((at(quit(1398, "unseen")), at(quit(1000, "seen"))), (0, 1));
    assert_eq!(at(registration(Kind::User, 1398, 1, "user", &info)), 0);
    assert_eq!(heard.len(), 1 + 399 + 3, "welcome, users, a late one, a chat, a quit");
    let place = |frame: Vec<u8>| heard.iter().position(|heard| *heard == frame);
    assert!(
        place(registration(Kind::User, 1399, 1, "user", &info))
            < place(chat(1399, 101, "before my turn"))
    );
}

#[test]
fn a_claim_does_not_count_while_the_id_is_taken_again() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let near = says(&mut world, one, &server(2, "two", ""));
    world.send(near, &registration(Kind::User, 101, 2, "another", ""));
    world.settle();
    world.send(frodo, &quit(101, "bye"));
    world.settle();
    let third = says(&mut world, one, &user(101, "third", ""));
    world.pass(2 * CLAIM_PAUSE);
    heard(&mut world, near);
    world.send(third, &quit(101, "bye"));
    world.settle();
    assert_heard(&mut world, near, &[quit(101, "bye")]);
    assert_eq!(host_ids(world.node(one).expect("alive")), [2]);
    world.pass(CLAIM_PAUSE + SECOND);
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 101]);
}

#[test]
fn a_servers_claim_that_is_withdrawn_is_forgotten() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let near = says(&mut world, one, &server(2, "two", ""));
    let far = says(&mut world, one, &server(3, "three", ""));
    world.send(far, &registration(Kind::Server, 9, 3, "nine", ""));
    world.settle();
    world.send(near, &registration(Kind::Server, 9, 2, "also nine", ""));
    world.send(near, &server_quit(9, 0, "never mind"));
    world.settle();
    world.send(far, &server_quit(9, 0, "bye"));
    world.pass(2 * CLAIM_PAUSE);
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 3]);
}

#[test]
fn a_burst_never_tells_a_user_of_itself_or_of_servers() {
    let mut world = world();
    let one = crowded(&mut world);
    let late = says(&mut world, one, &server(3, "three", ""));
    let frodo = world.connect(one);
    world.deafen(frodo);
    world.send(frodo, &[user(101, "frodo", ""), chat(101, 101, "me")].concat());
    world.settle();
    world.send(late, &chat(3, 101, "a server speaks"));
    world.settle();
    world.undeafen(frodo);
    world.settle();
    let heard = heard(&mut world, frodo);
    assert!(
        heard.contains(&chat(101, 101, "me")) && heard.contains(&chat(3, 101, "a server speaks"))
    );
    assert!(heard.iter().all(|frame| frame[0] != 0x00));
    assert!(!heard.contains(&registration(Kind::User, 101, 1, "frodo", "")));
}

#[test]
fn who_rejoins_in_mid_burst_is_told_of_once() {
    let mut world = world();
    let one = crowded(&mut world);
    let right = says(&mut world, one, &server(3, "three", ""));
    world.send(right, &registration(Kind::User, 103, 3, "merry", ""));
    world.settle();
    let slow = world.connect(one);
    world.deafen(slow);
    world.send(slow, &server(4, "four", ""));
    world.settle();
    world.hang_up(right);
    world.settle();
    let again = says(&mut world, one, &server(3, "three", ""));
    world.send(again, &registration(Kind::User, 103, 3, "merry", ""));
    world.settle();
    world.undeafen(slow);
    world.settle();
    let heard = heard(&mut world, slow);
    for told in [
        registration(Kind::User, 103, 1, "merry", ""),
        registration(Kind::Server, 3, 1, "three", ""),
    ] {
        assert_eq!(heard.iter().filter(|frame| **frame == told).count(), 1);
    }
}
