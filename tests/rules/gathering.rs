//! News for many users, gathered: what must hold of each announcement holds of many at once.

use super::*;

/// Longer than anything in the simulator takes to arrive, so that a test knows what has been told.
const WAIT: Duration = SECOND;

/// A server that gathers news for however few users.
fn gathering(world: &mut World) -> usize {
    let limits = Limits { gathered_users_min: 0, gathered_for: WAIT, ..Limits::default() };
    world.start(ServerSpec { limits, ..ServerSpec::new(1, None) })
}

fn joined(id: u32) -> Vec<u8> {
    registration(Kind::User, id, 1, "user", "")
}

fn joins(world: &mut World, server: usize, id: u32) -> ClientId {
    says(world, server, &user(id, "user", ""))
}

#[test]
fn news_comes_together_in_the_order_of_joining_and_to_servers_at_once() {
    let mut world = world();
    let one = gathering(&mut world);
    let near = says(&mut world, one, &server(2, "two", ""));
    let frodo = joins(&mut world, one, 101);
    world.pass(WAIT);
    for client in [near, frodo] {
        heard(&mut world, client);
    }
    joins(&mut world, one, 105);
    let sam = joins(&mut world, one, 103);
    joins(&mut world, one, 104);
    assert_heard(&mut world, frodo, &[]);
    assert_heard(&mut world, sam, &[welcome(1, "user"), joined(101)]);
    assert_heard(&mut world, near, &[joined(105), joined(103), joined(104)]);
    world.pass(WAIT);
    assert_heard(&mut world, frodo, &[joined(105), joined(103), joined(104)]);
    assert_heard(&mut world, sam, &[joined(105), joined(104)]);
    world.pass(10 * WAIT);
    assert_heard(&mut world, frodo, &[]);
}

#[test]
fn who_speaks_before_the_news_is_told_is_introduced_once() {
    let mut world = world();
    let one = gathering(&mut world);
    let frodo = joins(&mut world, one, 101);
    let rosie = joins(&mut world, one, 102);
    world.pass(WAIT);
    heard(&mut world, frodo);
    let sam = joins(&mut world, one, 103);
    let merry = joins(&mut world, one, 104);
    world.send(merry, &[chat(104, 101, "first"), chat(104, 101, "again")].concat());
    world.send(sam, &chat(103, 104, "not to frodo"));
    world.settle();
    assert_heard(
        &mut world,
        frodo,
        &[joined(104), chat(104, 101, "first"), chat(104, 101, "again")],
    );
    world.pass(WAIT);
    assert_heard(&mut world, frodo, &[joined(103)]);
    let told = heard(&mut world, rosie);
    assert_eq!(told[told.len() - 2..], [joined(103), joined(104)]);
    world.send(merry, &quit(104, "bye"));
    world.settle();
    assert_heard(&mut world, frodo, &[quit(104, "bye")]);
}

#[test]
fn who_leaves_before_the_news_is_told_is_never_mentioned() {
    let mut world = world();
    let one = gathering(&mut world);
    let frodo = joins(&mut world, one, 101);
    world.pass(WAIT);
    heard(&mut world, frodo);
    let first = joins(&mut world, one, 103);
    joins(&mut world, one, 104);
    let last = joins(&mut world, one, 105);
    world.send(first, &quit(103, "bye")); // with whom the news began
    world.send(last, &[chat(105, 101, "hello"), quit(105, "bye")].concat());
    world.settle();
    assert_heard(&mut world, frodo, &[joined(105), chat(105, 101, "hello"), quit(105, "bye")]);
    let again = joins(&mut world, one, 105); // another, who was not told of
    world.pass(WAIT);
    assert_heard(&mut world, frodo, &[joined(104), joined(105)]);
    world.hang_up(again);
    world.settle();
    assert_heard(&mut world, frodo, &[quit(105, "connection closed")]);
    // When all the news is gone there is none, and the next comes as late as any.
    let short = joins(&mut world, one, 106);
    world.send(short, &quit(106, "bye"));
    world.settle();
    world.pass(WAIT / 2);
    joins(&mut world, one, 107);
    world.pass(3 * WAIT / 4);
    assert_heard(&mut world, frodo, &[]);
    world.pass(WAIT / 2);
    assert_heard(&mut world, frodo, &[joined(107)]);
}

#[test]
fn who_is_lost_and_found_while_news_is_gathered_is_told_of_once() {
    let mut world = world();
    let one = gathering(&mut world);
    let frodo = joins(&mut world, one, 101);
    let right = says(&mut world, one, &server(3, "three", ""));
    world.pass(WAIT);
    heard(&mut world, frodo);
    let told = |id| registration(Kind::User, id, 3, "user", "");
    world.send(right, &[told(201), told(202)].concat());
    world.settle();
    world.hang_up(right);
    world.settle();
    let again = says(&mut world, one, &server(3, "three", ""));
    world.send(again, &told(202));
    world.settle();
    assert_heard(&mut world, frodo, &[]);
    world.pass(WAIT);
    assert_heard(&mut world, frodo, &[joined(201), joined(202)]);
    world.pass(SPLIT_GRACE);
    assert_heard(&mut world, frodo, &[quit(201, "split")]);
}

#[test]
fn a_server_that_stops_while_news_is_gathered_takes_back_what_it_told() {
    let mut world = world();
    let one = gathering(&mut world);
    let near = says(&mut world, one, &server(2, "two", ""));
    let deaf = joins(&mut world, one, 101);
    world.pass(WAIT);
    world.deafen(deaf);
    world.send(near, &registration(Kind::User, 201, 2, "user", ""));
    world.send(near, &chat(201, 101, &"x".repeat(200_000)));
    joins(&mut world, one, 102);
    heard(&mut world, near);
    world.with_node(one, Node::stop);
    world.settle();
    let quits = [101, 102].map(|id| quit(id, "server shutdown"));
    assert_heard(&mut world, near, &quits);
    world.pass(10 * WAIT);
    assert!(world.node(one).is_none());
}

#[test]
fn whoever_takes_the_place_of_one_who_was_behind_is_told_once() {
    let mut world = world();
    let one = gathering(&mut world);
    let frodo = joins(&mut world, one, 101);
    world.pass(WAIT);
    joins(&mut world, one, 103);
    world.hang_up(frodo);
    world.settle();
    let rosie = joins(&mut world, one, 102);
    world.pass(10 * WAIT);
    assert_heard(&mut world, rosie, &[welcome(1, "user"), joined(103)]);
}

#[test]
fn a_slow_reader_falls_behind_and_nothing_piles_up_for_it() {
    for gathered_users_min in [0, 1000] {
        let mut world = world();
        let limits = Limits { gathered_users_min, ..Limits::default() };
        let one = world.start(ServerSpec { limits, ..ServerSpec::new(1, None) });
        let near = says(&mut world, one, &server(2, "two", ""));
        let slow = [
            says(&mut world, one, &user(101, "frodo", "")),
            says(&mut world, one, &server(3, "three", "")),
        ];
        for reader in slow {
            world.deafen(reader);
        }
        let info = "i".repeat(1000);
        for id in 1000..4000 {
            world.send(near, &registration(Kind::User, id, 2, "user", &info));
        }
        world.pass(SECOND);
        world.send(near, &[quit(1001, "seen"), quit(3999, "unseen")].concat());
        world.settle();
        let node = world.node(one).expect("alive");
        let longest = node.links().map(crc::node::Link::queue_bytes).max();
        assert!(longest.is_some_and(|bytes| bytes < 2 * BURST_PORTION_BYTES), "{longest:?}");
        for reader in slow {
            world.undeafen(reader);
            world.settle();
            let heard = heard(&mut world, reader);
            let id = |frame: &[u8]| u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]);
            let told = heard.iter().filter(|frame| frame[0] == 0x80 && frame.len() > 1000);
            let told: Vec<u32> = told.map(|frame| id(frame)).collect();
            assert_eq!(told, (1000..3999).collect::<Vec<_>>());
            assert_eq!(heard.iter().filter(|&frame| *frame == quit(1001, "seen")).count(), 1);
            assert!(!heard.contains(&quit(3999, "unseen")));
        }
    }
}

/// A node that knows so many users, or servers, behind its neighbour.
fn crowd(kind: Kind, hosts: u32) -> Node {
    let own = Identity { id: HostId(1), id_is_chosen: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let near = node.accepted(now, Door::Crc, None);
    node.receive(now, near, &server(2, "two", ""));
    for id in 1000..1000 + hosts {
        node.receive(now, near, &registration(kind, id, 2, "u1234567", "sixteen bytes of"));
    }
    node
}

/// What a turn has to say: the bytes that links are told in it.
fn turn(node: &mut Node) -> usize {
    let mut count = 0;
    node.advance(Time::default());
    while let Some(link) = node.poll_unsent() {
        while !node.unsent(link).is_empty() {
            let bytes = node.unsent(link).len();
            assert!(bytes < 2 * BURST_PORTION_BYTES, "{bytes} in one queue");
            count += bytes;
            node.sent(link, bytes);
        }
    }
    count
}

#[test]
fn many_newcomers_are_told_of_many_hosts_in_turns() {
    let mut node = crowd(Kind::User, 20_000);
    let now = Time::default();
    turn(&mut node);
    for id in 101..121 {
        let link = node.accepted(now, Door::Crc, None);
        node.receive(now, link, &user(id, "", ""));
    }
    let (mut turns, mut bytes) = (0, 0);
    while node.next_deadline() == Some(now) || turns == 0 {
        let told = turn(&mut node);
        // What the first ones are told as they join is of the turn before.
        let turns_worth = if turns == 0 { 2 } else { 1 };
        assert!(told <= turns_worth * NEWS_BYTES_PER_TURN, "{told} in a turn");
        (turns, bytes) = (turns + 1, bytes + told);
    }
    assert!(bytes >= 20 * 20_000 * 36, "{bytes}");
}

#[test]
fn hosts_that_a_link_is_not_told_of_are_passed_over_in_turns() {
    let mut node = crowd(Kind::Server, 100_000);
    let now = Time::default();
    turn(&mut node);
    let link = node.accepted(now, Door::Crc, None);
    node.receive(now, link, &user(101, "", ""));
    let mut turns = 0;
    while node.next_deadline() == Some(now) {
        assert!(turn(&mut node) < 1000);
        turns += 1;
    }
    assert!((2..100).contains(&turns), "{turns}");
}

#[test]
fn of_a_link_that_brings_many_hosts_less_is_read_at_a_time() {
    let own = Identity { id: HostId(1), id_is_chosen: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let near = node.accepted(now, Door::Crc, None);
    node.receive(now, near, &server(2, "two", ""));
    let told = |ids: std::ops::Range<u32>| -> Vec<u8> {
        ids.flat_map(|id| registration(Kind::User, id, 2, "user", "")).collect()
    };
    node.receive(now, near, &told(101..111));
    assert_eq!(node.appetite(near), READ_BYTES_PER_TURN, "a few are nothing special");
    node.receive(now, near, &told(201..301));
    assert!(node.appetite(near) < READ_BYTES_PER_TURN / 2);
    assert!(node.appetite(near) > 0);
    node.receive(now, near, &chat(201, 202, "back where it came from"));
    assert_eq!(node.appetite(near), READ_BYTES_PER_TURN);
}

#[test]
fn a_run_of_chats_that_empties_a_queue_does_not_end_a_burst() {
    const USERS: u32 = 400;
    let own = Identity { id: HostId(1), id_is_chosen: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let near = node.accepted(now, Door::Crc, None);
    let info = "i".repeat(500);
    let told = (1000..1000 + USERS).flat_map(|id| registration(Kind::User, id, 2, "user", &info));
    node.receive(now, near, &[server(2, "two", ""), told.collect()].concat());
    let far = node.accepted(now, Door::Crc, None);
    node.receive(now, far, &server(3, "three", ""));
    node.receive(now, far, &registration(Kind::User, 301, 3, "", ""));
    assert!(node.relay().is_behind(far), "its burst takes several portions");
    // Its socket was full, and takes all that waits and a long run of chats when they come.
    let mut got = Vec::new();
    let run = chat(1000, 301, &"x".repeat(1000)).repeat(PASS_AT_ONCE_BYTES / 1000 + 1);
    node.receive_and_pass(now, near, &run, &mut |to, pieces| {
        assert_eq!(to, far);
        got.extend(pieces.concat());
        pieces.concat().len()
    });
    while node.poll_unsent().is_some() {}
    while let count @ 1.. = node.unsent(far).len() {
        got.extend_from_slice(node.unsent(far));
        node.sent(far, count);
    }
    assert!(!node.relay().is_behind(far));
    let (chats, told): (Vec<_>, Vec<_>) =
        frames(&got).into_iter().partition(|frame| frame[0] == 0x81);
    assert_eq!(chats.concat(), run);
    assert_eq!(told.len(), USERS as usize + 2, "this server, its neighbour and all users");
}

#[test]
fn mail_comes_after_the_registration_of_a_sender_who_is_there() {
    for users_min in [0, 64] {
        let mut world = world();
        let limits =
            Limits { gathered_users_min: users_min, gathered_for: WAIT, ..Limits::default() };
        let one = world.start(ServerSpec { limits, ..ServerSpec::new(1, None) });
        let seven = direct::direct(&mut world, one, 7);
        world.send(seven.client, &direct::saying(101, "welcome back"));
        world.settle();
        let frodo = joins(&mut world, one, 101);
        world.pass(WAIT);
        let seven = registration(Kind::User, 7, 1, "7", "direct");
        let told = [welcome(1, "user"), seven, chat(7, 101, "welcome back")];
        assert_heard(&mut world, frodo, &told);
    }
}
