//! The direct door (contract section 3): handshakes, ids, echoes, true senders.

use std::cell::RefCell;

use super::*;

use crc::doors::direct::wire::{self, Control, FastHandshake};

/// A client of the direct wire.
pub(super) struct Direct {
    pub(super) client: ClientId,
    pub(super) id: i64,
    /// What came with the answer to its wish.
    pub(super) early: RefCell<Vec<wire::Message>>,
}

/// Frames that a client sends.
pub(super) fn saying(to: i64, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A client may claim to be anybody.
    wire::encode_plain(666, to, text, &mut bytes);
    bytes
}

fn desiring(id: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let control = Some(Control::DesiredId(id));
    wire::encode(&wire::Message { control, ..wire::Message::default() }, &mut bytes);
    bytes
}

/// Connects a client, which has the id that it was assigned.
fn connects(world: &mut World, server: usize) -> Direct {
    let client = world.connect_by(server, Door::Direct);
    world.settle();
    let bytes = world.take_received(client);
    let handshake = wire::handshake(&bytes).expect("a handshake");
    assert_eq!(wire::frame_len(&bytes, 1024), Ok(Some(bytes.len())), "and nothing else");
    assert!(!handshake.error && handshake.id > 0, "{handshake:?}");
    Direct { client, id: handshake.id, early: RefCell::default() }
}

/// Connects a client that wants to be known as `id`, and is.
pub(super) fn direct(world: &mut World, server: usize, id: i64) -> Direct {
    let mut direct = connects(world, server);
    world.send(direct.client, &desiring(id));
    world.settle();
    let mut heard = hears(world, &direct);
    let answer = heard.remove(0);
    let control = Some(Control::Handshake(FastHandshake { id, error: false }));
    assert_eq!(answer, wire::Message { to: id, control, ..wire::Message::default() });
    (direct.id, direct.early) = (id, heard.into());
    direct
}

/// What a client has received.
pub(super) fn hears(world: &mut World, direct: &Direct) -> Vec<wire::Message> {
    let bytes = world.take_received(direct.client);
    let (mut rest, mut messages) = (&bytes[..], direct.early.take());
    while !rest.is_empty() {
        let len = wire::frame_len(rest, 2 << 20).expect("a frame").expect("a whole header");
        messages.push(wire::message(&rest[..len]).expect("a message"));
        rest = &rest[len..];
    }
    messages
}

/// From whom, and what.
pub(super) fn texts(messages: &[wire::Message]) -> Vec<(i64, &str)> {
    assert!(messages.iter().all(|message| message.control.is_none()), "{messages:?}");
    messages.iter().map(|message| (message.from, &*message.msg)).collect()
}

#[test]
fn a_client_has_an_id_as_soon_as_it_is_connected() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let sam = says(&mut world, one, &user(102, "sam", ""));
    heard(&mut world, sam);
    let direct = connects(&mut world, one);
    let id = u32::try_from(direct.id).expect("an id of CRC");
    let name = direct.id.to_string();
    assert_heard(&mut world, sam, &[registration(Kind::User, id, 1, &name, "direct")]);
}

#[test]
fn a_desired_id_is_given_when_nobody_has_it() {
    let Chain { mut world, middle, left, right, sam } = chain();
    let merry = direct(&mut world, middle, 3_000);
    let bytes = world.take_received(left);
    assert!(frames(&bytes).contains(&registration(Kind::User, 3000, 2, "3000", "direct")));
    heard(&mut world, right);
    heard(&mut world, sam);
    // One that is taken: by users near and far, by servers, by this server; or that nobody can have.
    for taken in [3_000, 102, 103, 1, 3, 2, 0, -5, i64::MIN] {
        let other = connects(&mut world, middle);
        world.send(other.client, &desiring(taken));
        world.settle();
        let handshake = FastHandshake { id: other.id, error: true };
        let control = Some(Control::Handshake(handshake));
        let expected = wire::Message { to: other.id, control, ..wire::Message::default() };
        assert_eq!(hears(&mut world, &other), [expected], "{taken}");
        // It goes on under the one that it has.
        world.send(other.client, &saying(3_000, "Hi"));
        world.settle();
        assert_eq!(texts(&hears(&mut world, &merry)), [(other.id, "Hi")]);
        world.hang_up(other.client);
        world.settle();
    }
    // One's own.
    world.send(merry.client, &desiring(3_000));
    world.settle();
    let control = Some(Control::Handshake(FastHandshake { id: 3_000, error: false }));
    let expected = wire::Message { to: 3_000, control, ..wire::Message::default() };
    assert_eq!(hears(&mut world, &merry), [expected]);
}

#[test]
fn large_ids_are_unique_and_reached_from_everywhere() {
    const LARGE: i64 = 72_057_594_037_927_936;
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.settle();
    let large = direct(&mut world, one, LARGE);
    let small = direct(&mut world, two, 7);
    let largest_id = direct(&mut world, two, i64::from(u32::MAX));
    let sam = says(&mut world, two, &user(102, "sam", ""));
    let told = heard(&mut world, sam);
    let name = LARGE.to_string();
    let by_name = |frame: &&Vec<u8>| frame[0] == 0x80 && frame[12..].starts_with(name.as_bytes());
    let frame = told.iter().find(by_name).expect("a user with the number as its name");
    let crc_id = u32::from_be_bytes(frame[1..5].try_into().expect("four bytes"));

    world.send(small.client, &saying(LARGE, "from the small"));
    world.settle();
    world.send(sam, &chat(102, crc_id, "from sam"));
    world.send(largest_id.client, &saying(LARGE, "from the largest id"));
    world.send(large.client, &saying(7, "to the small"));
    world.settle();
    let mut heard = hears(&mut world, &large);
    heard.sort_by_key(|message| message.from);
    let expected =
        [(7, "from the small"), (102, "from sam"), (i64::from(u32::MAX), "from the largest id")];
    assert_eq!(texts(&heard), expected);
    assert!(heard.iter().all(|message| message.to == LARGE));
    assert_eq!(texts(&hears(&mut world, &small)), [(LARGE, "to the small")]);

    let other = connects(&mut world, two);
    world.send(other.client, &desiring(LARGE));
    world.settle();
    let control = Some(Control::Handshake(FastHandshake { id: other.id, error: true }));
    assert_eq!(hears(&mut world, &other)[0].control, control);
    // Once it has left the id is free, at any server.
    world.hang_up(large.client);
    world.settle();
    let again = direct(&mut world, two, LARGE);
    world.send(small.client, &saying(LARGE, "again"));
    world.settle();
    assert_eq!(texts(&hears(&mut world, &again)), [(7, "again")]);
}

#[test]
fn a_number_in_a_name_belongs_to_who_had_it_first() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let large = direct(&mut world, one, 5_000_000_000);
    let thief = says(&mut world, one, &user(66, "5000000000", ""));
    let other = direct(&mut world, one, 7);
    heard(&mut world, thief);
    world.send(other.client, &saying(5_000_000_000, "secret"));
    world.send(thief, &chat(66, 7, "as myself"));
    world.settle();
    assert_eq!(texts(&hears(&mut world, &large)), [(7, "secret")]);
    assert_eq!(texts(&hears(&mut world, &other)), [(66, "as myself")]);
    assert_heard(&mut world, thief, &[]);
    // Names that are ids, or not quite numbers, mean nothing.
    let names = [(67, "7"), (68, "05000000001"), (69, "+5000000001"), (70, "-5000000001")];
    let mut others = names.map(|(id, name)| says(&mut world, one, &user(id, name, ""))).to_vec();
    others.push(says(&mut world, one, &server(71, "5000000001", "")));
    for &other in &others {
        heard(&mut world, other);
    }
    world.send(other.client, &saying(7, "to myself"));
    world.send(other.client, &saying(5_000_000_001, "to nobody"));
    world.settle();
    assert_eq!(texts(&hears(&mut world, &other)), [(7, "to myself")]);
    for other in others {
        assert_heard(&mut world, other, &[]);
    }
}

#[test]
fn the_server_echoes_and_puts_the_true_sender_in() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let [seven, eight] = [7, 8].map(|id| direct(&mut world, one, id));
    world.send(seven.client, &saying(0, "echo"));
    world.send(seven.client, &saying(8, "Hi"));
    world.settle();
    let echo = wire::Message { from: 7, to: 0, msg: "echo".to_owned(), control: None };
    assert_eq!(hears(&mut world, &seven), [echo]);
    let hi = wire::Message { from: 7, to: 8, msg: "Hi".to_owned(), control: None };
    assert_eq!(hears(&mut world, &eight), [hi]);
}

#[test]
fn crc_users_and_direct_ones_reach_each_other() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = direct(&mut world, one, 7);
    let sam = says(&mut world, one, &user(102, "sam", ""));
    heard(&mut world, sam);
    world.send(sam, &chat(102, 7, "Hi"));
    world.send(sam, &[&chat(102, 7, "")[..9], &[0, 0, 0, 2, 0xff, b'!']].concat());
    world.settle();
    assert_eq!(texts(&hears(&mut world, &seven)), [(102, "Hi"), (102, "\u{fffd}!")]);
    world.send(seven.client, &saying(102, "Ho"));
    world.settle();
    world.hang_up(seven.client);
    world.settle();
    assert_heard(&mut world, sam, &[chat(7, 102, "Ho"), quit(7, "connection closed")]);
}

#[test]
fn a_mistake_ends_its_own_connection_alone() {
    let mut too_long = saying(7, &"x".repeat(1 << 20));
    let no_protobuf = [&[0, 0, 0, 2][..], &[0x1a, 0xff]].concat();
    let no_utf8 = [&[0, 0, 0, 4][..], &[0x10, 7, 0x1a, 1, 0xff]].concat();
    too_long.truncate(4);
    let unpassable = saying(7, &"x".repeat((1 << 20) - 50));
    for bad in [too_long, no_protobuf, no_utf8, vec![0xff; 4], unpassable] {
        let mut world = world();
        let one = world.start(ServerSpec::new(1, None));
        let [seven, eight] = [7, 8].map(|id| direct(&mut world, one, id));
        world.send(eight.client, &bad);
        world.settle();
        assert!(world.is_closed(eight.client), "{:02x?}", &bad[..bad.len().min(8)]);
        world.send(seven.client, &saying(0, "still here"));
        world.settle();
        assert_eq!(texts(&hears(&mut world, &seven)), [(7, "still here")]);
    }
}

#[test]
fn an_echo_that_nobody_reads_is_not_kept_for_ever() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = direct(&mut world, one, 7);
    world.deafen(seven.client);
    for _ in 0..40 {
        world.send(seven.client, &saying(0, &"x".repeat(10_000)));
    }
    world.settle();
    assert!(world.is_closed(seven.client));
    assert!(host_ids(world.node(one).expect("alive")).is_empty());
}

#[test]
fn a_client_is_told_when_there_is_no_room_for_it() {
    let mut world = world();
    let limits = Limits { table_bytes_max: 150, ..Limits::default() };
    let one = world.start(ServerSpec { limits, ..ServerSpec::new(1, None) });
    let [first, second] = [(); 2].map(|()| world.connect_by(one, Door::Direct));
    world.settle();
    assert!(!wire::handshake(&world.take_received(first)).expect("a handshake").error);
    let bytes = world.take_received(second);
    assert_eq!(wire::handshake(&bytes), Ok(FastHandshake { id: 0, error: true }));
    assert!(world.is_closed(second));
}

#[test]
fn the_operator_reaches_a_direct_client() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = direct(&mut world, one, 7);
    world.with_node(one, |node, now| node.kick(now, HostId(7), b"go away").expect("kicked"));
    world.settle();
    assert_eq!(texts(&hears(&mut world, &seven)), [(0, "kicked: go away")]);
    assert!(world.is_closed(seven.client));
}

#[test]
fn a_client_that_changes_its_id_again_and_again_has_to_wait() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let sam = says(&mut world, one, &user(102, "sam", ""));
    let restless = connects(&mut world, one);
    heard(&mut world, sam);
    let wishes: Vec<u8> = [3, 4, 3, 4].into_iter().flat_map(desiring).collect();
    world.send(restless.client, &[wishes, saying(0, "settled")].concat());
    world.pass(DIRECT_CHANGE_PAUSE / 2);
    let ids = |heard: &[Vec<u8>]| -> Vec<u32> {
        let joined = heard.iter().filter(|frame| frame[0] == 0x80);
        joined.map(|f| u32::from_be_bytes(f[1..5].try_into().expect("four bytes"))).collect()
    };
    assert_eq!(ids(&heard(&mut world, sam)), [3]);
    world.pass(DIRECT_CHANGE_PAUSE);
    assert_eq!(ids(&heard(&mut world, sam)), [4]);
    world.pass(2 * DIRECT_CHANGE_PAUSE);
    assert_eq!(ids(&heard(&mut world, sam)), [3, 4]);
    let told = hears(&mut world, &restless);
    assert_eq!(told.len(), 5);
    assert_eq!((told[4].from, &*told[4].msg), (4, "settled"));
    // One that waits is read no further, and may leave.
    world.send(restless.client, &[desiring(5), desiring(6)].concat());
    world.pass(DIRECT_CHANGE_PAUSE / 2);
    world.hang_up(restless.client);
    world.pass(2 * DIRECT_CHANGE_PAUSE);
    assert_eq!(host_ids(world.node(one).expect("alive")), [102]);
    assert_eq!(world.node(one).expect("alive").next_deadline(), None);
}
