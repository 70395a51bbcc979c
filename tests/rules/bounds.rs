//! Noise, deadlines, queues, counters.

use super::*;

#[test]
fn bad_bytes_close_their_own_connection_only() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let sam = says(&mut world, one, &user(102, "sam", ""));
    for client in [frodo, sam] {
        heard(&mut world, client);
    }
    let mut absurd = chat(101, 102, "");
    absurd.splice(9.., [0xff; 4]);
    for noise in [&[0x55][..], &[0x03, 0, 0], &absurd, b"GET / HTTP/1.1\r\n\r\n"] {
        let client = says(&mut world, one, noise);
        assert!(world.is_closed(client), "{noise:02x?}");
    }
    assert_heard(&mut world, frodo, &[]);
    // What came before in the same bytes counts; what comes after does not.
    world.send(frodo, &[chat(101, 102, "last"), absurd, chat(101, 102, "never")].concat());
    world.settle();
    assert!(world.is_closed(frodo));
    let heard = heard(&mut world, sam);
    assert_eq!(heard[0], chat(101, 102, "last"));
    assert_eq!((heard.len(), heard[1][0]), (2, 0x82));
}

#[test]
fn a_connection_has_ten_seconds_to_register() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let mute = world.connect(one);
    let slow = world.connect(one);
    let registered = says(&mut world, one, &user(101, "frodo", ""));
    let refused = says(&mut world, one, &user(101, "another", ""));
    for byte in user(102, "sam", "") {
        world.pass(REGISTER_DEADLINE / 100);
        world.send(slow, &[byte]);
    }
    world.pass(SECOND);
    for client in [mute, slow, registered, refused] {
        assert!(!world.is_closed(client));
    }
    world.pass(REGISTER_DEADLINE);
    assert!(world.is_closed(mute) && world.is_closed(refused));
    assert!(!world.is_closed(slow) && !world.is_closed(registered));
    assert_eq!(host_ids(world.node(one).expect("alive")), [101, 102]);
}

#[test]
fn a_client_that_does_not_read_is_closed_and_nobody_waits() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let deaf = says(&mut world, one, &user(101, "deaf", ""));
    let sam = says(&mut world, one, &user(102, "sam", ""));
    world.deafen(deaf);
    heard(&mut world, sam);
    let text = "x".repeat(10_000);
    let mut sent = 0;
    while !world.is_closed(deaf) {
        world.send(sam, &chat(102, 101, &text));
        world.send(sam, &chat(102, 102, "still here"));
        world.settle();
        sent += text.len();
        assert!(sent < 2 * CLIENT_QUEUE_BYTES_MAX, "it should be closed by now");
        let heard = heard(&mut world, sam);
        assert!(heard.contains(&chat(102, 102, "still here")));
        assert_eq!(heard.iter().any(|frame| frame[0] == 0x82), world.is_closed(deaf));
    }
    assert!(sent > CLIENT_QUEUE_BYTES_MAX, "what may wait does wait");
}

#[test]
fn one_frame_of_any_allowed_size_reaches_who_reads() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let sam = says(&mut world, one, &user(102, "sam", ""));
    heard(&mut world, sam);
    let largest = chat(101, 102, &"x".repeat(FRAME_BYTES_MAX - 13));
    world.send(frodo, &[largest.clone(), largest.clone()].concat());
    world.settle();
    assert_heard(&mut world, sam, &[largest.clone(), largest]);
}

#[test]
fn what_passes_over_a_link_is_counted() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    world.pass(SECOND);
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let sam = says(&mut world, one, &user(102, "sam", ""));
    world.send(frodo, &[chat(101, 102, "hello"), chat(101, 7, "")].concat());
    world.pass(SECOND);
    for (client, id, said) in [
        (frodo, 101, &[user(101, "frodo", ""), chat(101, 102, "hello"), chat(101, 7, "")][..]),
        (sam, 102, &[user(102, "sam", "")]),
    ] {
        let received = world.take_received(client);
        let node = world.node(one).expect("alive");
        let is_this = |link: &&crc::node::Link| {
            node.relay().adjacent(link.id()).is_some_and(|host| host.id == HostId(id))
        };
        let link = node.links().find(is_this).expect("a live link");
        let traffic = link.traffic();
        assert_eq!(
            (traffic.bytes_in, traffic.frames_in),
            (said.concat().len() as u64, said.len() as u64)
        );
        assert_eq!(
            (traffic.bytes_out, traffic.frames_out),
            (received.len() as u64, frames(&received).len() as u64)
        );
        assert_eq!(link.queue_bytes(), 0);
        assert!((SECOND..2 * SECOND).contains(&link.since().since_start()), "{:?}", link.since());
    }
}

#[test]
fn a_queue_is_named_once_when_it_has_bytes_and_once_when_it_becomes_long() {
    let own = Identity { id: HostId(1), id_is_chosen: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let [frodo, sam] = [101, 102].map(|id| {
        let link = node.accepted(now, Door::Crc, None);
        node.receive(now, link, &user(id, "", ""));
        link
    });
    let all = |node: &mut Node| std::iter::from_fn(|| node.poll_unsent()).collect::<Vec<_>>();
    assert_eq!(all(&mut node), [frodo, sam]);
    assert_eq!(all(&mut node), []);
    let portion = chat(101, 102, &"x".repeat(QUEUE_PRESSED_BYTES / 4));
    let mut pressed = Vec::new();
    for _ in 0..8 {
        node.receive(now, frodo, &portion);
        pressed.extend(std::iter::from_fn(|| node.poll_pressed()));
    }
    assert_eq!(pressed, [sam]);
    assert_eq!(all(&mut node), [sam]);
    node.sent(sam, node.unsent(sam).len());
    assert!(node.unsent(sam).is_empty());
    node.receive(now, frodo, &portion);
    assert_eq!((all(&mut node), node.poll_pressed()), (vec![sam], None));
}

#[test]
fn who_tells_of_more_hosts_than_the_table_holds_is_closed() {
    let mut world = world();
    let limits = Limits { table_bytes_max: 100_000, ..Limits::default() };
    let one = world.start(ServerSpec { limits, ..ServerSpec::new(1, None) });
    let frodo = says(&mut world, one, &user(101, "frodo", ""));
    let near = says(&mut world, one, &server(2, "two", ""));
    for id in 1000..1009 {
        world.send(near, &registration(Kind::User, id, 2, "", &"i".repeat(10_000)));
    }
    world.settle();
    assert!(!world.is_closed(near));
    world.send(near, &registration(Kind::User, 1009, 2, "", &"i".repeat(10_000)));
    world.settle();
    assert!(world.is_closed(near) && !world.is_closed(frodo));
    world.pass(2 * SPLIT_GRACE);
    assert_eq!(host_ids(world.node(one).expect("alive")), [101]);
    let again = says(&mut world, one, &server(2, "two", &"i".repeat(60_000)));
    assert!(!world.is_closed(again), "there is room again");
}
