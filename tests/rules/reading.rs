//! How much of a link is read at a time, and when the rest of a read waits.

use super::*;
use crc::limits::STREAM_READ_BYTES_PER_TURN;
use crc::link::Machine as _;

/// User 101 at this server, and user 201 behind a server on a link.
struct Rig {
    node: Node,
    now: Time,
    frodo: LinkId,
    neighbour: LinkId,
}

impl Rig {
    fn new() -> Self {
        let own = Identity { id: HostId(1), is_id_configured: true, name: vec![], info: vec![] };
        let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
        let [frodo, neighbour] = [0, 1].map(|_| node.open_link(now, Wire::CRC));
        node.receive(now, frodo, &user(101, "frodo", ""));
        node.receive(now, neighbour, &fast_server(2, "two"));
        node.receive(now, neighbour, &registration(HostKind::User, 201, 2, "bilbo", ""));
        node.advance(now); // the neighbour speaks plain CRC
        let mut rig = Self { node, now, frodo, neighbour };
        rig.send_all();
        rig
    }

    /// Lets both ends read what waits for them. Returns how many bytes that is.
    fn send_all(&mut self) -> usize {
        let links = [self.frodo, self.neighbour];
        let counts = links.map(|link| {
            let count = self.node.unsent(link).len();
            self.node.sent(link, count);
            count
        });
        counts.iter().sum()
    }
}

/// Chats from one user to another of at least so many bytes together.
fn chats(from: u32, to: u32, bytes_min: usize) -> Vec<u8> {
    let one = chat(from, to, &"x".repeat(1000));
    one.repeat(bytes_min.div_ceil(one.len()))
}

#[test]
fn link_to_a_server_that_brings_nothing_but_chats_is_read_in_larger_portions() {
    let mut rig = Rig::new();
    let (now, neighbour) = (rig.now, rig.neighbour);
    let budget_after = |rig: &mut Rig, link: LinkId, bytes: &[u8]| {
        rig.node.receive(now, link, bytes);
        rig.send_all();
        rig.node.read_budget(link)
    };
    let full_read = chats(201, 101, READ_BYTES_PER_TURN);
    assert_eq!(budget_after(&mut rig, neighbour, &full_read), STREAM_READ_BYTES_PER_TURN);
    let few = chats(201, 101, 1);
    assert_eq!(budget_after(&mut rig, neighbour, &few), READ_BYTES_PER_TURN, "no more waits");
    let with_others =
        [full_read, registration(HostKind::User, 202, 2, &"x".repeat(200), "").repeat(8)].concat();
    assert_eq!(budget_after(&mut rig, neighbour, &with_others), READ_BYTES_PER_TURN);
    let (frodo, of_user) = (rig.frodo, chats(101, 201, READ_BYTES_PER_TURN));
    assert_eq!(budget_after(&mut rig, frodo, &of_user), READ_BYTES_PER_TURN, "one of many");
}

#[test]
fn frames_that_are_not_forwarded_wait_beyond_an_ordinary_read() {
    let mut rig = Rig::new();
    let (now, neighbour) = (rig.now, rig.neighbour);
    rig.node.receive(now, neighbour, &chats(201, 101, READ_BYTES_PER_TURN));
    rig.send_all();
    assert_eq!(rig.node.read_budget(neighbour), STREAM_READ_BYTES_PER_TURN);
    let one = status(2, 1, 0, "nothing comes of this");
    let bytes = one.repeat(STREAM_READ_BYTES_PER_TURN / one.len());
    let frames_in = |rig: &Rig| {
        let link = rig.node.links().find(|link| link.id() == neighbour).expect("it is open");
        link.traffic().frames_in
    };
    let before = frames_in(&rig);
    rig.node.receive(now, neighbour, &bytes);
    let count_max = READ_BYTES_PER_TURN.div_ceil(one.len()) as u64;
    assert_eq!(frames_in(&rig) - before, count_max);
    assert_eq!(rig.node.read_budget(neighbour), 0, "the rest waits");
    for _ in 0..STREAM_READ_BYTES_PER_TURN / READ_BYTES_PER_TURN {
        rig.node.advance(now);
    }
    assert_eq!(frames_in(&rig) - before, (bytes.len() / one.len()) as u64);
}

#[test]
fn rest_of_a_read_waits_once_a_queue_is_half_full() {
    let mut rig = Rig::new();
    let (now, neighbour, frodo) = (rig.now, rig.neighbour, rig.frodo);
    let from_another = registration(HostKind::User, 202, 2, "sam", "");
    rig.node.receive(now, neighbour, &from_another);
    rig.send_all();
    // Two users in turn: no chat continues the run before it.
    let pair = [chats(201, 101, 1), chats(202, 101, 1)].concat();
    let bytes = pair.repeat(CLIENT_QUEUE_BYTES_MAX / pair.len() * 3 / 2);
    rig.node.receive(now, neighbour, &bytes);
    let queued_bytes = rig.node.unsent(frodo).len();
    let half = CLIENT_QUEUE_BYTES_MAX / 2;
    assert!((half..half + pair.len()).contains(&queued_bytes), "{queued_bytes}");
    let mut sent_bytes = rig.send_all();
    for _ in 0..4 {
        rig.node.advance(now);
        sent_bytes += rig.send_all();
    }
    assert_eq!(sent_bytes, bytes.len(), "a client that reads gets everything");
    assert!(rig.node.is_open(frodo));
}
