//! Invalid input, deadlines, send queues, counters.

use super::*;
use crc::link::Machine as _;

#[test]
fn malformed_bytes_close_only_their_own_connection() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let sam = connect_and_send(&mut world, one, &user(102, "sam", ""));
    for client in [frodo, sam] {
        take_frames(&mut world, client);
    }
    let mut absurd = chat(101, 102, "");
    absurd.splice(9.., [0xff; 4]);
    for noise in [&[0x55][..], &[0x03, 0, 0], &absurd, b"GET / HTTP/1.1\r\n\r\n"] {
        let client = connect_and_send(&mut world, one, noise);
        assert!(world.is_closed(client), "{noise:02x?}");
    }
    assert_received(&mut world, frodo, &[]);
    // Frames before the invalid one in the same read are handled; frames after it are not.
    world.send(frodo, &[chat(101, 102, "last"), absurd, chat(101, 102, "never")].concat());
    world.run_until_quiescent();
    assert!(world.is_closed(frodo));
    let received = take_frames(&mut world, sam);
    assert_eq!(received[0], chat(101, 102, "last"));
    assert_eq!((received.len(), received[1][0]), (2, 0x82));
}

#[test]
fn unregistered_connection_is_closed_after_the_register_deadline() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let silent = world.connect(one);
    let slow = world.connect(one);
    let registered = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let refused = connect_and_send(&mut world, one, &user(101, "another", ""));
    for byte in user(102, "sam", "") {
        world.run_for(REGISTER_DEADLINE / 100);
        world.send(slow, &[byte]);
    }
    world.run_for(SECOND);
    for client in [silent, slow, registered, refused] {
        assert!(!world.is_closed(client));
    }
    world.run_for(REGISTER_DEADLINE);
    assert!(world.is_closed(silent) && world.is_closed(refused));
    assert!(!world.is_closed(slow) && !world.is_closed(registered));
    assert_eq!(host_ids(world.node(one).expect("alive")), [101, 102]);
}

#[test]
fn client_that_does_not_read_is_closed_without_delaying_others() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let stalled = connect_and_send(&mut world, one, &user(101, "deaf", ""));
    let sam = connect_and_send(&mut world, one, &user(102, "sam", ""));
    world.pause_reading(stalled);
    take_frames(&mut world, sam);
    let text = "x".repeat(10_000);
    let mut sent = 0;
    while !world.is_closed(stalled) {
        world.send(sam, &chat(102, 101, &text));
        world.send(sam, &chat(102, 102, "still here"));
        world.run_until_quiescent();
        sent += text.len();
        assert!(sent < 2 * CLIENT_QUEUE_BYTES_MAX, "it should be closed by now");
        let received = take_frames(&mut world, sam);
        assert!(received.contains(&chat(102, 102, "still here")));
        assert_eq!(received.iter().any(|frame| frame[0] == 0x82), world.is_closed(stalled));
    }
    assert!(sent > CLIENT_QUEUE_BYTES_MAX, "what may wait does wait");
}

#[test]
fn chats_to_a_client_whose_queue_is_full_are_counted_or_answered() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let stalled = connect_and_send(&mut world, one, &user(101, "deaf", ""));
    let sam = connect_and_send(&mut world, one, &user(102, "sam", ""));
    world.pause_reading(stalled);
    take_frames(&mut world, sam);
    let text = "x".repeat(10_000);
    let sent = 2 * CLIENT_QUEUE_BYTES_MAX / text.len();
    for _ in 0..sent {
        world.send(sam, &chat(102, 101, &text));
    }
    world.run_until_quiescent();
    assert!(world.is_closed(stalled));
    let node = world.node(one).expect("alive");
    let dropped = usize::try_from(node.undelivered()).expect("few");
    let is_answer = |frame: &&Vec<u8>| frame[0] == 0x01;
    let answered = take_frames(&mut world, sam).iter().filter(is_answer).count();
    let queued = sent - answered - dropped;
    assert!(dropped > 0 && answered > 0, "{dropped} dropped, {answered} answered");
    // What its connection and its queue had taken is lost with it.
    let is_taken = |queued: usize| queued * text.len() <= CLIENT_QUEUE_BYTES_MAX + 100_000;
    assert!(is_taken(queued), "{queued} of {sent} messages are neither dropped nor answered");
}

#[test]
fn frames_of_the_maximum_size_reach_a_reading_client() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let sam = connect_and_send(&mut world, one, &user(102, "sam", ""));
    take_frames(&mut world, sam);
    let largest = chat(101, 102, &"x".repeat(FRAME_BYTES_MAX - 13));
    world.send(frodo, &[largest.clone(), largest.clone()].concat());
    world.run_until_quiescent();
    assert_received(&mut world, sam, &[largest.clone(), largest]);
}

#[test]
fn link_traffic_is_counted_in_frames_and_bytes() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    world.run_for(SECOND);
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let sam = connect_and_send(&mut world, one, &user(102, "sam", ""));
    world.send(frodo, &[chat(101, 102, "hello"), chat(101, 7, "")].concat());
    world.run_for(SECOND);
    for (client, id, sent) in [
        (frodo, 101, &[user(101, "frodo", ""), chat(101, 102, "hello"), chat(101, 7, "")][..]),
        (sam, 102, &[user(102, "sam", "")]),
    ] {
        let received = world.take_received(client);
        let node = world.node(one).expect("alive");
        let is_client_link = |link: &&crc::node::Link| {
            node.relay().adjacent_host(link.id()).is_some_and(|host| host.id == HostId(id))
        };
        let link = node.links().find(is_client_link).expect("a live link");
        let traffic = link.traffic();
        assert_eq!(
            (traffic.bytes_in, traffic.frames_in),
            (sent.concat().len() as u64, sent.len() as u64)
        );
        assert_eq!(
            (traffic.bytes_out, traffic.frames_out),
            (received.len() as u64, split_frames(&received).len() as u64)
        );
        assert_eq!(link.queue_bytes(), 0);
        assert!(
            (SECOND..2 * SECOND).contains(&link.opened_at().since_start()),
            "{:?}",
            link.opened_at()
        );
    }
}

#[test]
fn queue_is_reported_once_when_filled_and_once_above_high_water() {
    let own = Identity { id: HostId(1), is_id_configured: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let [frodo, sam] = [101, 102].map(|id| {
        let link = node.open_link(now, Wire::CRC);
        node.receive(now, link, &user(id, "", ""));
        link
    });
    let poll_all_unsent =
        |node: &mut Node| std::iter::from_fn(|| node.poll_unsent()).collect::<Vec<_>>();
    assert_eq!(poll_all_unsent(&mut node), [sam, frodo], "the latest is in the cache");
    assert_eq!(poll_all_unsent(&mut node), []);
    let portion = chat(101, 102, &"x".repeat(QUEUE_HIGH_WATER_BYTES / 4));
    let mut above_high_water = Vec::new();
    for _ in 0..8 {
        node.receive(now, frodo, &portion);
        above_high_water.extend(std::iter::from_fn(|| node.poll_above_high_water()));
    }
    assert_eq!(above_high_water, [sam]);
    assert_eq!(poll_all_unsent(&mut node), [sam]);
    node.sent(sam, node.unsent(sam).len());
    assert!(node.unsent(sam).is_empty());
    node.receive(now, frodo, &portion);
    assert_eq!((poll_all_unsent(&mut node), node.poll_above_high_water()), (vec![sam], None));
}

#[test]
fn link_that_overfills_the_host_table_is_closed() {
    let mut world = world();
    // Three quarters of it are for the hosts of servers.
    let limits = Limits { host_table_bytes_max: 134_000, ..Limits::default() };
    let one = world.start(ServerSpec { limits, ..ServerSpec::new(1, None) });
    let frodo = connect_and_send(&mut world, one, &user(101, "frodo", ""));
    let neighbour = connect_and_send(&mut world, one, &server(2, "two", ""));
    for id in 1000..1009 {
        world.send(neighbour, &registration(HostKind::User, id, 2, "", &"i".repeat(10_000)));
    }
    world.run_until_quiescent();
    assert!(!world.is_closed(neighbour));
    world.send(neighbour, &registration(HostKind::User, 1009, 2, "", &"i".repeat(10_000)));
    world.run_until_quiescent();
    assert!(world.is_closed(neighbour) && !world.is_closed(frodo));
    world.run_for(2 * SPLIT_GRACE);
    assert_eq!(host_ids(world.node(one).expect("alive")), [101]);
    let rejoined = connect_and_send(&mut world, one, &server(2, "two", &"i".repeat(60_000)));
    assert!(!world.is_closed(rejoined), "there is room again");
}
