//! Lost links to servers.

use super::*;

#[test]
fn users_behind_a_split_quit_after_the_grace() {
    let Chain { mut world, middle, left, right, sam } = chain();
    world.disconnect(right);
    world.run_for(SPLIT_GRACE - SECOND);
    world.send(left, &chat(101, 103, "are you there?"));
    world.run_until_quiescent();
    assert_received(&mut world, left, &[]);
    assert_received(&mut world, sam, &[]);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 3, 101, 102, 103]);
    world.run_for(2 * SECOND);
    assert_received(&mut world, sam, &[quit(103, "split")]);
    assert_received(&mut world, left, &[quit(103, "split"), status(2, 101, 1, "Unknown ID 103")]);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 101, 102]);
}

#[test]
fn user_who_rejoins_within_the_grace_is_not_announced_again() {
    let Chain { mut world, middle, left, right, sam } = chain();
    world.disconnect(right);
    world.run_until_quiescent();
    world.send(left, &chat(101, 103, "wait for it"));
    world.run_until_quiescent();
    let rejoined = connect_and_send(&mut world, middle, &server(3, "three", ""));
    let own = registration(HostKind::Server, 2, 2, "s2", "simulated");
    let known_hosts = [
        registration(HostKind::Server, 1, 2, "one", ""),
        registration(HostKind::User, 101, 2, "frodo", ""),
        registration(HostKind::User, 102, 2, "sam", ""),
    ];
    let burst: Vec<Vec<u8>> = std::iter::once(own).chain(known_hosts).collect();
    assert_received(&mut world, rejoined, &burst); // and not of merry, who may be behind it
    world.send(rejoined, &registration(HostKind::User, 103, 3, "merry", ""));
    world.run_until_quiescent();
    assert_received(&mut world, rejoined, &[chat(101, 103, "wait for it")]);
    world.run_for(2 * SPLIT_GRACE);
    assert_received(&mut world, left, &[]);
    assert_received(&mut world, sam, &[]);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 3, 101, 102, 103]);
}

#[test]
fn different_user_under_a_lost_id_replaces_the_lost_one() {
    let Chain { mut world, middle, right, sam, .. } = chain();
    world.disconnect(right);
    world.run_until_quiescent();
    let rejoined = connect_and_send(&mut world, middle, &server(3, "three", ""));
    world.send(rejoined, &registration(HostKind::User, 103, 3, "pippin", ""));
    world.run_until_quiescent();
    assert_received(
        &mut world,
        sam,
        &[quit(103, "split"), registration(HostKind::User, 103, 2, "pippin", "")],
    );
    // A lost id cannot be registered by another host here during the grace.
    world.disconnect(rejoined);
    world.run_until_quiescent();
    let thief = connect_and_send(&mut world, middle, &user(103, "gollum", ""));
    assert_received(
        &mut world,
        thief,
        &[status(2, 0, 2, "Someone has already registered with ID 103")],
    );
}

#[test]
fn server_that_joined_during_a_split_is_sent_only_returning_hosts() {
    let Chain { mut world, middle, right, .. } = chain();
    world.send(right, &registration(HostKind::User, 104, 3, "pippin", ""));
    world.run_until_quiescent();
    world.disconnect(right);
    world.run_until_quiescent();
    let newcomer = connect_and_send(&mut world, middle, &server(4, "four", ""));
    let burst = take_frames(&mut world, newcomer);
    assert_eq!(burst.len(), 4, "the server, one, frodo and sam");
    let rejoined = connect_and_send(&mut world, middle, &server(5, "three by another id", ""));
    world.send(rejoined, &registration(HostKind::User, 103, 5, "merry", ""));
    world.run_until_quiescent();
    assert_received(
        &mut world,
        newcomer,
        &[registration(HostKind::Server, 5, 2, "three by another id", "")],
    );
    // Only the neighbour behind which merry was lost finds her again at once.
    let taken = "Someone has already registered with ID 103";
    assert_eq!(take_frames(&mut world, rejoined).last(), Some(&status(2, 5, 2, taken)));
    world.run_for(SPLIT_GRACE + CLAIM_GRANT_DELAY + SECOND);
    let merry = registration(HostKind::User, 103, 2, "merry", "");
    assert_received(&mut world, newcomer, &[merry]); // pippin was not announced to it
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 4, 5, 101, 102, 103]);
}

#[test]
fn chats_waiting_for_lost_users_are_bounded() {
    let Chain { mut world, right, left, .. } = chain();
    world.disconnect(right);
    world.run_until_quiescent();
    let text = "x".repeat(SPLIT_DEFERRED_BYTES_MAX / 2 - SPLIT_DEFERRED_OVERHEAD_BYTES);
    for _ in 0..3 {
        world.send(left, &chat(101, 103, &text));
    }
    assert_chats_wait(&mut world, left, 3);
}

/// Asserts that chats to user 103, which do not all fit, wait until the grace is over: the link
/// over which they come is not read, and no sender is informed before.
fn assert_chats_wait(world: &mut World, sender: ClientId, chats: usize) {
    world.run_until_quiescent();
    assert_received(world, sender, &[]);
    let node = world.node(world.server("s2").expect("alive")).expect("alive");
    assert_eq!(node.links().filter(|link| !node.wants_read(link.id())).count(), 1);
    world.run_for(SPLIT_GRACE);
    let unknown = status(2, 101, 1, "Unknown ID 103");
    let mut expected = vec![quit(103, "split")];
    expected.resize(1 + chats, unknown);
    let mut received = Vec::new();
    for _ in 0..60 {
        world.run_for(SECOND); // the sender is a plain server, which is sent them in portions
        received.extend(split_frames(&world.take_received(sender)));
    }
    received.retain(|frame| !is_probe(frame));
    assert!(received == expected, "{} of {} frames", received.len(), expected.len());
}

#[test]
fn server_quit_removes_the_server_at_once_and_its_users_after_the_grace() {
    let Chain { mut world, middle, left, right, sam } = chain();
    world.send(right, &registration(HostKind::Server, 4, 3, "four", ""));
    world.send(right, &server_quit(4, 3, "four first"));
    world.run_until_quiescent();
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 3, 101, 102, 103]);
    world.send(right, &server_quit(3, 1, "bye"));
    world.run_until_quiescent();
    assert!(world.is_closed(right));
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 101, 102, 103]);
    take_frames(&mut world, left);
    world.run_for(SPLIT_GRACE + SECOND);
    assert_received(&mut world, left, &[quit(103, "split")]);
    assert_received(&mut world, sam, &[quit(103, "split")]);
}

#[test]
fn empty_chats_waiting_for_lost_users_are_bounded() {
    let Chain { mut world, right, left, .. } = chain();
    world.disconnect(right);
    world.run_until_quiescent();
    let count = SPLIT_DEFERRED_BYTES_MAX / SPLIT_DEFERRED_OVERHEAD_BYTES;
    for _ in 0..=count {
        world.send(left, &chat(101, 103, ""));
    }
    assert_chats_wait(&mut world, left, count + 1);
}

#[test]
fn a_user_who_moves_to_another_neighbour_and_quits_is_gone_everywhere() {
    for seed in 0..100 {
        let conditions =
            NetConditions { delay_max: Duration::from_millis(20), splits_writes: false };
        let mut world = World::new(seed, conditions);
        let one = world.start(ServerSpec::new(1, None));
        let two = world.start(ServerSpec::new(2, Some(1)));
        world.run_until_quiescent();
        let (from, to) = (
            connect_and_send(&mut world, one, &server(3, "a", "")),
            connect_and_send(&mut world, two, &server(4, "c", "")),
        );
        world.send(from, &registration(HostKind::User, 101, 3, "sam", ""));
        world.disconnect(from);
        world.send(to, &registration(HostKind::User, 101, 4, "sam", ""));
        world.run_for(SECOND);
        world.send(to, &quit(101, "bye"));
        world.run_for(60 * SECOND);
        for server in [one, two] {
            let known = host_ids(world.node(server).expect("alive"));
            assert!(!known.contains(&101), "seed {seed}: a ghost in {known:?}");
        }
    }
}

#[test]
fn sender_is_notified_when_a_lost_id_returns_as_another_user() {
    let Chain { mut world, middle, left, right, .. } = chain();
    world.disconnect(right);
    world.run_until_quiescent();
    world.send(left, &chat(101, 103, "merry?"));
    world.run_until_quiescent();
    let rejoined = connect_and_send(&mut world, middle, &server(3, "three", ""));
    world.send(rejoined, &registration(HostKind::User, 103, 3, "pippin", ""));
    world.run_until_quiescent();
    assert_received(
        &mut world,
        left,
        &[
            quit(103, "split"),
            status(2, 101, 1, "Unknown ID 103"),
            registration(HostKind::User, 103, 2, "pippin", ""),
        ],
    );
}

#[test]
fn chat_waiting_for_a_lost_server_follows_its_senders_registration() {
    let Chain { mut world, middle, left, right, .. } = chain();
    world.disconnect(right);
    world.run_until_quiescent();
    world.send(left, &chat(101, 3, "are you there?"));
    world.run_until_quiescent();
    let rejoined = connect_and_send(&mut world, middle, &server(3, "three", ""));
    let expected = [
        registration(HostKind::Server, 2, 2, "s2", "simulated"),
        registration(HostKind::User, 101, 2, "frodo", ""),
        chat(101, 3, "are you there?"),
        registration(HostKind::Server, 1, 2, "one", ""),
        registration(HostKind::User, 102, 2, "sam", ""),
    ];
    assert_received(&mut world, rejoined, &expected);
}

/// Number of users whose quits exceed the limit of a client's queue.
const MANY_USERS: u32 = 40_000;

/// Starts a server with [`MANY_USERS`] behind a link, and a user to whom all were announced.
fn server_with_many_users(world: &mut World) -> (usize, ClientId, ClientId) {
    let middle = world.start(ServerSpec::new(2, None));
    let link = connect_and_send(world, middle, &server(3, "three", ""));
    let user_registration = |id| registration(HostKind::User, id, 3, "", "");
    world.send(link, &(1000..1000 + MANY_USERS).flat_map(user_registration).collect::<Vec<u8>>());
    let frodo = connect_and_send(world, middle, &fast_user(101, "frodo"));
    world.run_for(SECOND);
    take_frames(world, frodo);
    (middle, link, frodo)
}

fn take_quit_count(world: &mut World, client: ClientId) -> usize {
    take_frames(world, client).iter().filter(|frame| frame[0] == 0x82).count()
}

#[test]
fn quits_of_a_large_split_are_paced_by_the_readers_queues() {
    let mut world = world();
    let (middle, right, frodo) = server_with_many_users(&mut world);
    let neighbour = connect_and_send(&mut world, middle, &fast_server(4, "four"));
    world.run_for(SECOND);
    take_frames(&mut world, neighbour);
    world.disconnect(right);
    world.run_for(SPLIT_GRACE + 10 * SECOND);
    for client in [frodo, neighbour] {
        assert!(!world.is_closed(client));
        assert_eq!(take_quit_count(&mut world, client), MANY_USERS as usize);
    }
    assert_eq!(host_ids(world.node(middle).expect("alive")), [4, 101]);
}

#[test]
fn stalled_reader_delays_the_quits_of_a_split_only_briefly() {
    let mut world = world();
    let (middle, right, frodo) = server_with_many_users(&mut world);
    let stalled = connect_and_send(&mut world, middle, &fast_user(102, "sam"));
    world.run_for(SECOND);
    take_frames(&mut world, frodo);
    world.pause_reading(stalled);
    world.disconnect(right);
    world.run_for(SPLIT_GRACE + SPLIT_STALL_TIMEOUT / 2);
    let so_far = take_quit_count(&mut world, frodo);
    assert!(so_far > 0 && so_far < MANY_USERS as usize, "{so_far}");
    assert!(!world.is_closed(stalled), "it may begin to read again");
    world.run_for(SPLIT_STALL_TIMEOUT + 10 * SECOND);
    assert!(world.is_closed(stalled));
    assert_eq!(so_far + take_quit_count(&mut world, frodo), MANY_USERS as usize + 1, "and sam");
}

#[test]
fn user_who_returns_while_split_quits_are_sent_is_kept() {
    let mut world = world();
    let (middle, right, frodo) = server_with_many_users(&mut world);
    world.pause_reading(frodo); // the end of the split waits for it
    world.disconnect(right);
    world.run_for(SPLIT_GRACE + SECOND);
    let last = 1000 + MANY_USERS - 1;
    let rejoined = connect_and_send(&mut world, middle, &server(3, "three", ""));
    world.send(rejoined, &registration(HostKind::User, last, 3, "", ""));
    world.run_until_quiescent();
    world.resume_reading(frodo);
    world.run_for(10 * SECOND);
    assert!(!world.is_closed(frodo));
    assert_eq!(take_quit_count(&mut world, frodo), MANY_USERS as usize - 1);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [3, 101, last]);
}
