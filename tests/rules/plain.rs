//! Plain neighbours: what they repeat and state, and how they are introduced.

use super::*;
use crc::limits::{PING_INTERVAL, PING_TIMEOUT, RENUMBER_INTERVAL};
use crc::link::Machine as _;
use crc_tests::plain::Habits;
use crc_tests::sim::PlainSpec;

/// Connects a server that speaks plain CRC, and takes its burst.
fn connect_plain(world: &mut World, middle: usize, id: u32, name: &str) -> ClientId {
    let client = connect_and_send(world, middle, &server(id, name, ""));
    take_frames(world, client);
    client
}

/// Returns the registration of a host as neighbour 1 announces it.
fn from_one(kind: HostKind, id: u32, name: &str, info: &str) -> Vec<u8> {
    registration(kind, id, 1, name, info)
}

#[test]
fn echo_is_ignored_without_a_status_or_a_warning() {
    let Chain { mut world, middle, left, right, sam } = chain();
    let echoes = [
        from_one(HostKind::Server, 2, "another name", "simulated"),
        from_one(HostKind::Server, 3, "three", ""),
        from_one(HostKind::Server, 3, "one", ""), // some announce servers under their own name
        from_one(HostKind::User, 102, "sam", ""),
        from_one(HostKind::User, 103, "merry", ""),
    ];
    for _ in 0..2 {
        world.send(left, &echoes.concat());
        world.run_for(2 * CLAIM_GRANT_DELAY);
    }
    for client in [left, right, sam] {
        assert_received(&mut world, client, &[]);
    }
    let node = world.node(middle).expect("alive");
    assert_eq!(host_ids(node), [1, 3, 101, 102, 103]);
    let counters = node.relay().counters();
    assert_eq!((counters.false_sources, counters.unroutable), (0, 0));
}

#[test]
fn echo_that_crosses_the_quit_brings_nobody_back() {
    let Chain { mut world, middle, left, right, sam } = chain();
    let pippin = connect_and_send(&mut world, middle, &user(104, "pippin", ""));
    world.send(pippin, &quit(104, "bye"));
    world.run_until_quiescent();
    take_frames(&mut world, right);
    take_frames(&mut world, sam);
    // The neighbour had not read the quit when it sent this.
    world.send(left, &from_one(HostKind::User, 104, "pippin", ""));
    world.run_for(2 * CLAIM_GRANT_DELAY);
    let joined_and_left = [registration(HostKind::User, 104, 2, "pippin", ""), quit(104, "bye")];
    assert_received(&mut world, left, &joined_and_left);
    assert_received(&mut world, right, &[]);
    assert_received(&mut world, sam, &[]);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 3, 101, 102, 103]);
    // A neighbour repeats each registration once: this user is behind it.
    world.send(left, &from_one(HostKind::User, 104, "pippin", ""));
    world.run_until_quiescent();
    assert_received(&mut world, sam, &[registration(HostKind::User, 104, 2, "pippin", "")]);
}

#[test]
fn user_that_left_joins_behind_a_neighbour_that_has_read_the_quit() {
    for answers in [true, false] {
        let Chain { mut world, middle, left, sam, .. } = chain();
        if answers {
            world.send(left, &from_one(HostKind::User, 102, "sam", "")); // so it may repeat users
        }
        let pippin = connect_and_send(&mut world, middle, &user(104, "pippin", ""));
        world.run_for(PING_INTERVAL + SECOND);
        if answers {
            world.send(left, &status(1, 2, 1, "Unknown ID 0"));
        }
        world.send(pippin, &quit(104, "bye"));
        world.run_until_quiescent();
        take_frames(&mut world, sam);
        world.send(left, &from_one(HostKind::User, 104, "pippin", ""));
        world.run_until_quiescent();
        assert_received(&mut world, sam, &[registration(HostKind::User, 104, 2, "pippin", "")]);
    }
}

#[test]
fn registration_of_another_host_under_a_known_id_is_a_claim() {
    let Chain { mut world, left, right, sam, .. } = chain();
    world.send(left, &from_one(HostKind::User, 102, "not sam", ""));
    world.run_until_quiescent();
    let taken = "Someone has already registered with ID 102";
    assert_received(&mut world, left, &[status(2, 1, 2, taken)]);
    // Once the id is free, the claim is granted.
    world.send(sam, &quit(102, "bye"));
    world.run_for(CLAIM_GRANT_DELAY + SECOND);
    assert_received(&mut world, left, &[quit(102, "bye")]);
    let claimed = registration(HostKind::User, 102, 2, "not sam", "");
    assert_received(&mut world, right, &[quit(102, "bye"), claimed]);
}

/// Two frames once made a server leave its parent, and let their sender take over a lost user.
#[test]
fn what_a_neighbour_states_neither_cuts_the_uplink_nor_takes_over_a_lost_user() {
    let mut world = world();
    let one = world.start_plain(PlainSpec::new(1, None, Habits::ours_plain()));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.run_for(SECOND);
    let sam = connect_and_send(&mut world, two, &user(102, "sam", ""));
    let liar = connect_plain(&mut world, two, 3, "three");
    world.send(liar, &registration(HostKind::Server, 1, 3, "s1", "plain")); // as it was announced
    world.run_for(SECOND);
    assert_received(&mut world, liar, &[]);
    world.send(liar, &registration(HostKind::Server, 1, 3, "another", ""));
    world.run_for(SECOND);
    let taken = "A machine has already registered with ID 1";
    assert_received(&mut world, liar, &[status(2, 3, 2, taken)]);
    world.send(sam, &chat(102, 101, "still connected"));
    world.run_until_quiescent();
    assert!(take_frames(&mut world, frodo).contains(&chat(102, 101, "still connected")));
    // Nor does a real loss help: frodo may come back over the way on which he was lost only.
    world.kill(one);
    world.run_until_quiescent();
    take_frames(&mut world, sam);
    take_frames(&mut world, liar);
    world.send(sam, &chat(102, 101, "for frodo"));
    world.run_until_quiescent();
    world.send(liar, &registration(HostKind::User, 101, 3, "frodo", ""));
    world.run_until_quiescent();
    assert_received(&mut world, liar, &[]); // frodo was announced to it: this may be an echo
    world.send(liar, &registration(HostKind::User, 101, 3, "frodo", ""));
    world.run_until_quiescent();
    let taken = "Someone has already registered with ID 101";
    assert_received(&mut world, liar, &[status(2, 3, 2, taken)]);
    assert_received(&mut world, sam, &[]);
    world.run_for(SPLIT_GRACE);
    assert_received(&mut world, sam, &[quit(101, "split"), status(2, 0, 1, "Unknown ID 101")]);
    assert!(!take_frames(&mut world, liar).contains(&chat(102, 101, "for frodo")));
}

#[test]
fn status_2_in_answer_to_an_introduction_is_ignored() {
    let taken = "A machine has already registered with ID 2";
    // From a child that had the introduction already.
    let Chain { mut world, middle, left, right, sam } = chain();
    world.send(left, &status(1, 2, 2, taken));
    world.run_for(SECOND);
    for client in [left, right, sam] {
        assert_received(&mut world, client, &[]);
    }
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 3, 101, 102, 103]);
    // From a parent, in the same write as its own introduction.
    for is_id_chosen in [true, false] {
        let (mut node, link) = parents::dialling_child(is_id_chosen);
        let now = Time::default();
        let answer = [registration(HostKind::Server, 1, 1, "one", ""), status(1, 2, 2, taken)];
        node.receive(now, link, &answer.concat());
        node.advance(now + SECOND);
        let burst = [registration(HostKind::Server, 3, 2, "three", "")];
        assert_eq!(parents::take_unsent_frames(&mut node, link), burst);
        assert_eq!((node.relay().identity().id, host_ids(&node)), (HostId(2), vec![1, 3]));
        let closes = std::iter::from_fn(|| node.poll_action());
        assert_eq!(closes.filter(|it| matches!(it, Action::Close { .. })).count(), 0);
    }
}

#[test]
fn hello_that_is_sent_back_shows_a_plain_parent() {
    let parent = registration(HostKind::Server, 1, 1, "one", "");
    let other = registration(HostKind::User, 101, 1, "frodo", "");
    // Before its introduction, in the same write, behind more frames, and on its own.
    for order in [[0, 1, 2], [1, 0, 2], [1, 2, 0]] {
        for is_one_write in [true, false] {
            let (mut node, link, hello) = parents::dialling_child_and_hello(true);
            let now = Time::default();
            let frames = order.map(|at| [&hello, &parent, &other][at].clone());
            if is_one_write {
                node.receive(now, link, &frames.concat());
            } else {
                frames.iter().for_each(|frame| node.receive(now, link, frame));
            }
            node.advance(now + OFFER_TIMEOUT);
            assert_eq!(host_ids(&node), [1, 3, 101], "{order:?}");
            assert!(!node.relay().is_extended(link));
            let burst = [registration(HostKind::Server, 3, 2, "three", "")];
            assert_eq!(parents::take_unsent_frames(&mut node, link), burst);
        }
    }
}

#[test]
fn server_without_a_chosen_id_is_back_under_its_plain_parent_after_each_cut() {
    let mut habits = Habits::ours_plain();
    habits.keeps_lost_servers = true;
    let mut world = world();
    let one = world.start_plain(PlainSpec::new(1, None, habits));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let two = world.start(ServerSpec { id_is_chosen: false, ..ServerSpec::new(2, Some(1)) });
    world.run_for(SECOND);
    let sam = connect_and_send(&mut world, two, &user(102, "sam", ""));
    take_frames(&mut world, sam);
    for _ in 0..3 {
        world.cut_uplink(two);
        world.run_for(PING_TIMEOUT.min(RENUMBER_INTERVAL + 4 * SECOND));
        world.run_until_quiescent();
        let frames = take_frames(&mut world, sam);
        assert!(frames.iter().all(|frame| frame[1..5] == 101_u32.to_be_bytes()), "only of frodo");
        world.send(sam, &chat(102, 101, "here"));
        world.run_until_quiescent();
        assert!(take_frames(&mut world, frodo).contains(&chat(102, 101, "here")));
    }
}

#[test]
fn server_with_a_chosen_id_keeps_it_when_a_plain_parent_refuses_it_for_ever() {
    let mut habits = Habits::ours_plain();
    habits.keeps_lost_servers = true;
    let mut world = world();
    let one = world.start_plain(PlainSpec::new(1, None, habits));
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.run_for(SECOND);
    world.enable_full_trace();
    world.cut_uplink(two);
    world.run_for(UPLINK_REFUSED_RETRY_DELAY - SECOND);
    let node = world.node(two).expect("alive");
    assert_eq!((node.relay().identity().id, host_ids(node)), (HostId(2), vec![]));
    let introduction = |text: &str| text.starts_with("00 server registration, source 2,");
    let dials = world.traced_frames().filter(|frame| introduction(&frame.description)).count();
    assert_eq!(dials, 1, "the parent is not asked again before that");
    assert!(world.plain(one).expect("plain").host_ids().eq([2]));
}

/// A server of ours has an older claim on the id of a plain neighbour, for a while.
#[test]
fn plain_neighbour_whose_id_is_claimed_keeps_its_link_and_is_back_once_the_id_is_free() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.run_for(SECOND);
    world.cut_uplink(two);
    let rival = connect_plain(&mut world, two, 9, "nine");
    for id in 101..105 {
        connect_and_send(&mut world, one, &user(id, "one", "")); // later stamps for what follows
    }
    let nine = connect_plain(&mut world, one, 9, "nine");
    world.send(nine, &registration(HostKind::User, 109, 9, "frodo", ""));
    world.run_for(5 * SECOND);
    assert_received(
        &mut world,
        nine,
        &[status(1, 9, 2, "A machine has already registered with ID 9")],
    );
    assert!(!world.is_closed(nine));
    world.send(nine, &chat(109, 101, "still there"));
    world.run_until_quiescent();
    world.disconnect(rival);
    world.run_for(SPLIT_GRACE + CLAIM_GRANT_DELAY + SECOND);
    for server in [one, two] {
        let known = host_ids(world.node(server).expect("alive"));
        assert!(known.contains(&9) && known.contains(&109), "{known:?}");
    }
}

/// The HELLO of a server that has died was cut off, so it counts as a plain one. It is back before
/// its end is noticed.
#[test]
fn server_is_back_whose_hello_was_cut_off_on_a_link_that_is_silent() {
    for lives in [false, true] {
        let mut world = world();
        let one = world.start(ServerSpec::new(1, None));
        let lost = connect_and_send(&mut world, one, &server(2, "s2", "simulated"));
        take_frames(&mut world, lost);
        let two = world.start(ServerSpec::new(2, Some(1)));
        world.run_for(SECOND);
        assert_eq!(split_frames(&world.take_received(lost)), [chat(1, 0, "ping")]);
        if lives {
            world.send(lost, &status(2, 1, 1, "Unknown ID 0"));
        }
        world.run_for(PING_INTERVAL);
        assert_eq!(world.is_closed(lost), !lives);
        let known = host_ids(world.node(two).expect("alive"));
        assert_eq!(known, if lives { vec![] } else { vec![1] });
    }
}
