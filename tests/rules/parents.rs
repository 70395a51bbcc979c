//! The uplink: refusals, fallbacks, loops.

use super::*;
use crc::link::{Machine as _, Origin};

#[test]
fn server_with_a_taken_chosen_id_stays_up_and_retries_after_a_minute() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let holder = connect_and_send(&mut world, one, &server(2, "two", ""));
    let spec = ServerSpec { label: "late".to_owned(), ..ServerSpec::new(2, Some(1)) };
    let late = world.start(spec);
    world.run_for(SECOND);
    let frodo = connect_and_send(&mut world, late, &user(101, "frodo", ""));
    assert_received(&mut world, frodo, &[welcome_frame(2, "frodo")]);
    let node = world.node(late).expect("alive");
    let refusal = "A machine has already registered with ID 2";
    assert_eq!(node.relay().status_updates().collect::<Vec<_>>(), [refusal]);
    assert_eq!(host_ids(node), [101]);
    world.disconnect(holder);
    world.run_for(UPLINK_REFUSED_RETRY_DELAY - 3 * SECOND);
    assert_eq!(host_ids(world.node(one).expect("alive")), [0_u32; 0], "not before a minute");
    world.run_for(5 * SECOND + UPLINK_REFUSED_RETRY_DELAY / 10);
    assert_eq!(host_ids(world.node(one).expect("alive")), [2, 101]);
}

#[test]
fn server_with_a_taken_random_id_picks_another_and_joins_at_once() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    connect_and_send(&mut world, one, &server(2, "two", ""));
    let spec =
        ServerSpec { label: "late".to_owned(), id_is_chosen: false, ..ServerSpec::new(2, Some(1)) };
    let late = world.start(spec);
    let child =
        world.start(ServerSpec { parents: vec!["late".to_owned()], ..ServerSpec::new(3, None) });
    world.run_until_quiescent();
    let id = world.node(late).expect("alive").relay().identity().id.0;
    assert_ne!(id, 2);
    let mut expected = vec![2, id];
    expected.sort_unstable();
    world.run_for(SECOND);
    expected.push(3);
    expected.sort_unstable();
    assert_eq!(host_ids(world.node(one).expect("alive")), expected);
    world.run_for(2 * SPLIT_GRACE);
    let known = host_ids(world.node(child).expect("alive"));
    assert!(known.contains(&id) && known.contains(&1), "the child has followed: {known:?}");
}

#[test]
fn fallback_parents_are_tried_in_order_and_a_late_parent_is_waited_for() {
    let mut world = world();
    let spec =
        ServerSpec { parents: vec!["s8".to_owned(), "s9".to_owned()], ..ServerSpec::new(2, None) };
    let two = world.start(spec);
    world.run_for(20 * SECOND);
    assert!(host_ids(world.node(two).expect("alive")).is_empty());
    let nine = world.start(ServerSpec::new(9, None));
    world.run_for(5 * SECOND);
    assert_eq!(host_ids(world.node(two).expect("alive")), [9]);
    world.start(ServerSpec::new(8, None));
    world.run_for(20 * SECOND);
    assert_eq!(host_ids(world.node(two).expect("alive")), [9], "no reason to change");
    world.kill(nine);
    world.run_for(20 * SECOND);
    assert_eq!(host_ids(world.node(two).expect("alive")), [8]);
}

#[test]
fn a_server_does_not_join_itself_nor_the_same_network_twice() {
    let mut world = world();
    let self_parent =
        world.start(ServerSpec { id_is_chosen: false, ..ServerSpec::new(1, Some(1)) });
    world.run_for(30 * SECOND);
    let node = world.node(self_parent).expect("alive");
    assert_eq!(node.relay().identity().id, HostId(1));
    assert!(host_ids(node).is_empty());
    // Two servers that are each other's parents have one link.
    let seven = world.start(ServerSpec { id_is_chosen: false, ..ServerSpec::new(7, Some(8)) });
    let eight = world.start(ServerSpec { id_is_chosen: false, ..ServerSpec::new(8, Some(7)) });
    world.run_for(300 * SECOND);
    for (server, other) in [(seven, 8), (eight, 7)] {
        let node = world.node(server).expect("alive");
        assert_eq!(host_ids(node), [other]);
        assert_eq!(
            node.links().filter(|l| node.relay().adjacent_host(l.id()).is_some()).count(),
            1
        );
    }
}

#[test]
fn ring_of_parents_started_together_becomes_quiescent() {
    for seed in 0..40 {
        let conditions =
            NetConditions { delay_max: Duration::from_millis(100), splits_writes: false };
        let mut world = World::new(seed, conditions);
        let count = 3 + seed as u32 % 3;
        let servers: Vec<usize> = (0..count)
            .map(|i| world.start(ServerSpec::new(1 + i, Some(1 + (i + 1) % count))))
            .collect();
        world.run_for(5 * SECOND);
        let frodo = connect_and_send(&mut world, servers[0], &user(101, "frodo", ""));
        world.run_for(SECOND);
        world.send(frodo, &quit(101, "bye"));
        world.run_for(600 * SECOND);
        let links: usize = servers
            .iter()
            .map(|&server| {
                let node = world.node(server).expect("alive");
                assert!(node.relay().hosts().get(HostId(101)).is_none(), "seed {seed}: a ghost");
                node.links().filter(|link| node.relay().adjacent_host(link.id()).is_some()).count()
            })
            .sum();
        if count == 3 {
            assert!(links <= 4, "seed {seed}: a tree of three has two links, seen from both ends");
        }
        world.enable_full_trace();
        world.run_for(30 * SECOND);
        let is_ping = |text: &str| text.contains("Ping(") || text.contains("Pong(");
        let others = world.traced_frames().filter(|frame| !is_ping(&frame.description)).count();
        assert!(others < 20, "seed {seed}: {others} frames besides pings");
    }
}

#[test]
fn parent_that_disconnects_after_answering_is_replaced_by_the_next() {
    let mut world = world();
    let bad = world.start(ServerSpec::new(8, None));
    let good = world.start(ServerSpec::new(9, None));
    let two = world.start(ServerSpec {
        parents: vec!["s8".to_owned(), "s9".to_owned()],
        ..ServerSpec::new(2, None)
    });
    world.run_until_quiescent();
    assert_eq!(host_ids(world.node(bad).expect("alive")), [2]);
    let kick = |node: &mut Node, now| node.kick(now, HostId(2), b"");
    assert_eq!(world.with_node(bad, kick), Ok(()));
    world.run_for(2 * SECOND);
    assert_eq!(host_ids(world.node(good).expect("alive")), [2]);
    // A parent whose link was stable is dialled first.
    world.run_for(LINK_STABLE_AFTER);
    assert_eq!(world.with_node(good, kick), Ok(()));
    world.run_for(2 * SECOND);
    let node = world.node(two).expect("alive");
    let neighbours: Vec<u32> = node
        .links()
        .filter_map(|link| node.relay().adjacent_host(link.id()))
        .map(|h| h.id.0)
        .collect();
    assert_eq!(neighbours, [8]);
}

/// Starts a server and plays its only parent, from the moment of the connection.
pub(super) fn dialling_child(id_is_chosen: bool) -> (Node, LinkId) {
    let (node, link, _) = dialling_child_and_hello(id_is_chosen);
    (node, link)
}

/// Like [`dialling_child`], and returns the HELLO that the parent has received.
pub(super) fn dialling_child_and_hello(id_is_chosen: bool) -> (Node, LinkId, Vec<u8>) {
    let own = Identity {
        id: HostId(2),
        is_id_configured: id_is_chosen,
        name: b"two".to_vec(),
        info: vec![],
    };
    let (mut node, now) = (Node::new(own, 1, Limits::default(), 1), Time::default());
    let neighbour = node.open_link(now, Wire::CRC);
    node.receive(now, neighbour, &server(3, "three", ""));
    node.advance(now);
    let mut actions = std::iter::from_fn(|| node.poll_action());
    let dial = actions.find_map(|action| match action {
        Action::Dial { target: 0, link } => Some(link),
        _ => None,
    });
    let link = dial.expect("a dial");
    assert!(node.relay().is_uplink(link) && !node.relay().is_uplink(neighbour));
    node.dialled(now, link, &Origin::default());
    let mut sent = take_unsent_frames(&mut node, link);
    assert_eq!((&sent[0], sent.len()), (&server(2, "two", ""), 2));
    let hello = sent.remove(1);
    assert_eq!(hello[..11], status(2, u32::MAX, 0xC701, "")[..11], "HELLO");
    (node, link, hello)
}

pub(super) fn take_unsent_frames(node: &mut Node, link: LinkId) -> Vec<Vec<u8>> {
    let bytes = node.unsent(link).to_vec();
    node.sent(link, bytes.len());
    split_frames(&bytes)
}

#[test]
fn first_server_registered_by_the_parent_is_the_parent_and_gets_the_burst() {
    // Programs write 0, their own id or the child's id as the last hop of their introduction.
    for last_hop in [1, 0, 2] {
        let (mut node, link) = dialling_child(true);
        let now = Time::default();
        node.receive(now, link, &registration(HostKind::User, 101, 1, "early", ""));
        assert_eq!(host_ids(&node), [3]);
        node.receive(now, link, &registration(HostKind::Server, 1, last_hop, "one", ""));
        node.advance(now + OFFER_TIMEOUT);
        assert_eq!(host_ids(&node), [1, 3]);
        let expected = [registration(HostKind::Server, 3, 2, "three", "")];
        assert_eq!(take_unsent_frames(&mut node, link), expected);
    }
}

#[test]
fn parent_that_is_already_known_is_retried_later() {
    let now = Time::from_start(SECOND);
    for (answer, is_chosen, delay) in [
        (registration(HostKind::Server, 3, 3, "three", ""), true, UPLINK_LOOP_RETRY_DELAY),
        (registration(HostKind::Server, 2, 2, "two", ""), true, UPLINK_LOOP_RETRY_DELAY),
        (
            status(3, 0, 2, "A machine has already registered with ID 2"),
            false,
            UPLINK_LOOP_RETRY_DELAY,
        ),
        (
            status(2, 0, 2, "A machine has already registered with ID 2"),
            false,
            UPLINK_LOOP_RETRY_DELAY,
        ),
        (
            status(7, 0, 2, "A machine has already registered with ID 2"),
            true,
            UPLINK_REFUSED_RETRY_DELAY,
        ),
    ] {
        let (mut node, link) = dialling_child(is_chosen);
        node.receive(now, link, &answer);
        node.advance(now + OFFER_TIMEOUT);
        let closed = std::iter::from_fn(|| node.poll_action()).find_map(|action| match action {
            Action::Close { link, .. } => Some(link),
            _ => None,
        });
        assert_eq!(closed, Some(link));
        node.closed(now, link, &CloseReason::PeerClosed);
        assert_eq!(node.relay().identity().id, HostId(2));
        let mut pause = Duration::ZERO;
        while !matches!(node.poll_action(), Some(Action::Dial { .. })) {
            pause = node.next_deadline().expect("another attempt").since(now);
            node.advance(now + pause);
        }
        assert!((delay..=delay * 11 / 10).contains(&pause), "{pause:?}");
    }
}
