//! The direct wire: handshakes, ids, echoes, true senders. See "The direct wire" in
//! `docs/PROTOCOL.md`.

use std::cell::RefCell;

use super::*;

use crc::link::Machine as _;
use crc::wires::direct::codec;
use crc::wires::direct::codec::{Control, FastHandshake};

/// A client of the direct wire.
pub(super) struct DirectClient {
    pub(super) client: ClientId,
    pub(super) id: i64,
    /// The answer to the handshake.
    pub(super) early_messages: RefCell<Vec<codec::Message>>,
}

/// Returns the frames that a client sends.
pub(super) fn text_frame(to: i64, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A client may write any sender.
    codec::encode_plain(666, to, text, &mut bytes);
    bytes
}

pub(super) fn desired_id_frame(id: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let control = Some(Control::DesiredId(id));
    codec::encode(&codec::Message { control, ..codec::Message::default() }, &mut bytes);
    bytes
}

/// Connects a client under the id that the server assigns, and waits until it is a user.
fn connect_client(world: &mut World, server: usize) -> DirectClient {
    let direct = connect_silent(world, server);
    world.run_for(DIRECT_SILENCE_MAX);
    world.run_until_quiescent();
    direct
}

/// Connects a client, which is not a user yet.
pub(super) fn connect_silent(world: &mut World, server: usize) -> DirectClient {
    let client = world.connect_on(server, Wire::DIRECT);
    world.run_until_quiescent();
    let bytes = world.take_received(client);
    let handshake = codec::parse_handshake(&bytes).expect("a handshake");
    assert_eq!(codec::frame_len(&bytes, 1024), Ok(Some(bytes.len())), "and nothing else");
    assert!(!handshake.error && handshake.id > 0, "{handshake:?}");
    DirectClient { client, id: handshake.id, early_messages: RefCell::default() }
}

/// Connects a client that asks for `id` and gets it.
pub(super) fn connect_with_id(world: &mut World, server: usize, id: i64) -> DirectClient {
    let mut direct = connect_client(world, server);
    world.send(direct.client, &desired_id_frame(id));
    world.run_until_quiescent();
    let mut received = take_messages(world, &direct);
    let answer = received.remove(0);
    let control = Some(Control::Handshake(FastHandshake { id, error: false }));
    assert_eq!(answer, codec::Message { to: id, control, ..codec::Message::default() });
    (direct.id, direct.early_messages) = (id, received.into());
    direct
}

/// Returns the messages that a client has received.
pub(super) fn take_messages(world: &mut World, direct: &DirectClient) -> Vec<codec::Message> {
    let bytes = world.take_received(direct.client);
    let (mut rest, mut messages) = (&bytes[..], direct.early_messages.take());
    while !rest.is_empty() {
        let len = codec::frame_len(rest, 2 << 20).expect("a frame").expect("a whole header");
        messages.push(codec::parse_frame(&rest[..len]).expect("a message"));
        rest = &rest[len..];
    }
    messages
}

/// Returns the senders and texts of messages.
pub(super) fn sender_texts(messages: &[codec::Message]) -> Vec<(i64, &str)> {
    assert!(messages.iter().all(|message| message.control.is_none()), "{messages:?}");
    messages.iter().map(|message| (message.from, &*message.msg)).collect()
}

#[test]
fn direct_client_is_assigned_an_id_on_connect() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let sam = connect_and_send(&mut world, one, &user(102, "sam", ""));
    take_frames(&mut world, sam);
    let direct = connect_client(&mut world, one);
    let id = u32::try_from(direct.id).expect("an id of CRC");
    let name = direct.id.to_string();
    assert_received(&mut world, sam, &[registration(HostKind::User, id, 1, &name, "direct")]);
}

#[test]
fn desired_id_is_granted_only_when_free() {
    let Chain { mut world, middle, left, right, sam } = chain();
    let merry = connect_with_id(&mut world, middle, 3_000);
    let bytes = world.take_received(left);
    assert!(split_frames(&bytes).contains(&registration(
        HostKind::User,
        3000,
        2,
        "3000",
        "direct"
    )));
    take_frames(&mut world, right);
    take_frames(&mut world, sam);
    // Ids of users here and elsewhere, of servers, of this server; and ids that cannot be
    // registered.
    for taken in [3_000, 102, 103, 1, 3, 2, 0, -5, i64::MIN] {
        let other = connect_client(&mut world, middle);
        world.send(other.client, &desired_id_frame(taken));
        world.run_until_quiescent();
        let handshake = FastHandshake { id: other.id, error: true };
        let control = Some(Control::Handshake(handshake));
        let expected = codec::Message { to: other.id, control, ..codec::Message::default() };
        assert_eq!(take_messages(&mut world, &other), [expected], "{taken}");
        // The client keeps the id that it has.
        world.send(other.client, &text_frame(3_000, "Hi"));
        world.run_until_quiescent();
        assert_eq!(sender_texts(&take_messages(&mut world, &merry)), [(other.id, "Hi")]);
        world.disconnect(other.client);
        world.run_until_quiescent();
    }
    // The client's own id.
    world.send(merry.client, &desired_id_frame(3_000));
    world.run_until_quiescent();
    let control = Some(Control::Handshake(FastHandshake { id: 3_000, error: false }));
    let expected = codec::Message { to: 3_000, control, ..codec::Message::default() };
    assert_eq!(take_messages(&mut world, &merry), [expected]);
}

#[test]
fn large_ids_are_unique_and_reached_from_everywhere() {
    const LARGE: i64 = 72_057_594_037_927_936;
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.run_until_quiescent();
    let large = connect_with_id(&mut world, one, LARGE);
    let small = connect_with_id(&mut world, two, 7);
    let largest_id = connect_with_id(&mut world, two, i64::from(u32::MAX));
    let sam = connect_and_send(&mut world, two, &user(102, "sam", ""));
    let received_frames = take_frames(&mut world, sam);
    let name = LARGE.to_string();
    let by_name = |frame: &&Vec<u8>| frame[0] == 0x80 && frame[12..].starts_with(name.as_bytes());
    let frame = received_frames.iter().find(by_name).expect("a user with the number as its name");
    let crc_id = u32::from_be_bytes(frame[1..5].try_into().expect("four bytes"));

    world.send(small.client, &text_frame(LARGE, "from the small"));
    world.run_until_quiescent();
    world.send(sam, &chat(102, crc_id, "from sam"));
    world.send(largest_id.client, &text_frame(LARGE, "from the largest id"));
    world.send(large.client, &text_frame(7, "to the small"));
    world.run_until_quiescent();
    let mut received = take_messages(&mut world, &large);
    received.sort_by_key(|message| message.from);
    let expected =
        [(7, "from the small"), (102, "from sam"), (i64::from(u32::MAX), "from the largest id")];
    assert_eq!(sender_texts(&received), expected);
    assert!(received.iter().all(|message| message.to == LARGE));
    assert_eq!(sender_texts(&take_messages(&mut world, &small)), [(LARGE, "to the small")]);

    let other = connect_client(&mut world, two);
    world.send(other.client, &desired_id_frame(LARGE));
    world.run_until_quiescent();
    let control = Some(Control::Handshake(FastHandshake { id: other.id, error: true }));
    assert_eq!(take_messages(&mut world, &other)[0].control, control);
    // Once the user has left, the id is free at every server.
    world.disconnect(large.client);
    world.run_until_quiescent();
    let successor = connect_with_id(&mut world, two, LARGE);
    world.send(small.client, &text_frame(LARGE, "again"));
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &successor)), [(7, "again")]);
}

#[test]
fn numeric_name_does_not_take_over_a_wide_id() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let large = connect_with_id(&mut world, one, 5_000_000_000);
    let thief = connect_and_send(&mut world, one, &user(66, "5000000000", ""));
    let other = connect_with_id(&mut world, one, 7);
    take_frames(&mut world, thief);
    world.send(other.client, &text_frame(5_000_000_000, "secret"));
    world.send(thief, &chat(66, 7, "as myself"));
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &large)), [(7, "secret")]);
    assert_eq!(sender_texts(&take_messages(&mut world, &other)), [(66, "as myself")]);
    assert_received(&mut world, thief, &[]);
    // Names that are 32-bit ids, or are not exactly numbers, have no meaning.
    let names = [(67, "7"), (68, "05000000001"), (69, "+5000000001"), (70, "-5000000001")];
    let mut others =
        names.map(|(id, name)| connect_and_send(&mut world, one, &user(id, name, ""))).to_vec();
    others.push(connect_and_send(&mut world, one, &server(71, "5000000001", "")));
    for &other in &others {
        take_frames(&mut world, other);
    }
    world.send(other.client, &text_frame(7, "to myself"));
    world.send(other.client, &text_frame(5_000_000_001, "to nobody"));
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &other)), [(7, "to myself")]);
    for other in others {
        assert_received(&mut world, other, &[]);
    }
}

#[test]
fn server_echoes_chats_to_id_0_and_sets_the_true_sender() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let [seven, eight] = [7, 8].map(|id| connect_with_id(&mut world, one, id));
    world.send(seven.client, &text_frame(0, "echo"));
    world.send(seven.client, &text_frame(8, "Hi"));
    world.run_until_quiescent();
    let echo =
        codec::Message { from: 7, to: 0, msg: "echo".to_owned(), ..codec::Message::default() };
    assert_eq!(take_messages(&mut world, &seven), [echo]);
    let hi = codec::Message { from: 7, to: 8, msg: "Hi".to_owned(), ..codec::Message::default() };
    assert_eq!(take_messages(&mut world, &eight), [hi]);
}

#[test]
fn crc_and_direct_users_exchange_chats() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = connect_with_id(&mut world, one, 7);
    let sam = connect_and_send(&mut world, one, &user(102, "sam", ""));
    take_frames(&mut world, sam);
    world.send(sam, &chat(102, 7, "Hi"));
    world.send(sam, &[&chat(102, 7, "")[..9], &[0, 0, 0, 2, 0xff, b'!']].concat());
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &seven)), [(102, "Hi"), (102, "\u{fffd}!")]);
    world.send(seven.client, &text_frame(102, "Ho"));
    world.run_until_quiescent();
    world.disconnect(seven.client);
    world.run_until_quiescent();
    assert_received(&mut world, sam, &[chat(7, 102, "Ho"), quit(7, "connection closed")]);
}

#[test]
fn malformed_frame_closes_only_its_own_connection() {
    let mut too_long = text_frame(7, &"x".repeat(1 << 20));
    let no_protobuf = [&[0, 0, 0, 2][..], &[0x1a, 0xff]].concat();
    let no_utf8 = [&[0, 0, 0, 4][..], &[0x10, 7, 0x1a, 1, 0xff]].concat();
    too_long.truncate(4);
    let too_long_for_crc = text_frame(7, &"x".repeat((1 << 20) - 50));
    for bad in [too_long, no_protobuf, no_utf8, vec![0xff; 4], too_long_for_crc] {
        let mut world = world();
        let one = world.start(ServerSpec::new(1, None));
        let [seven, eight] = [7, 8].map(|id| connect_with_id(&mut world, one, id));
        world.send(eight.client, &bad);
        world.run_until_quiescent();
        assert!(world.is_closed(eight.client), "{:02x?}", &bad[..bad.len().min(8)]);
        world.send(seven.client, &text_frame(0, "still here"));
        world.run_until_quiescent();
        assert_eq!(sender_texts(&take_messages(&mut world, &seven)), [(7, "still here")]);
    }
}

#[test]
fn client_that_does_not_read_its_echoes_is_closed() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = connect_with_id(&mut world, one, 7);
    world.pause_reading(seven.client);
    for _ in 0..40 {
        world.send(seven.client, &text_frame(0, &"x".repeat(10_000)));
    }
    world.run_until_quiescent();
    assert!(world.is_closed(seven.client));
    assert!(host_ids(world.node(one).expect("alive")).is_empty());
}

#[test]
fn client_gets_an_error_handshake_when_the_host_table_is_full() {
    let mut world = world();
    let limits = Limits { host_table_bytes_max: 150, ..Limits::default() };
    let one = world.start(ServerSpec { limits, ..ServerSpec::new(1, None) });
    let [first, second] = [(); 2].map(|()| {
        let client = world.connect_on(one, Wire::DIRECT);
        world.run_for(DIRECT_SILENCE_MAX);
        client
    });
    assert!(!codec::parse_handshake(&world.take_received(first)).expect("a handshake").error);
    let bytes = world.take_received(second);
    assert_eq!(codec::parse_handshake(&bytes), Ok(FastHandshake { id: 0, error: true }));
    assert!(world.is_closed(second));
}

#[test]
fn kicked_direct_client_receives_the_reason() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let seven = connect_with_id(&mut world, one, 7);
    world.with_node(one, |node, now| node.kick(now, HostId(7), b"go away").expect("kicked"));
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &seven)), [(0, "kicked: go away")]);
    assert!(world.is_closed(seven.client));
}

#[test]
fn direct_client_id_changes_are_rate_limited() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let sam = connect_and_send(&mut world, one, &user(102, "sam", ""));
    let restless = connect_client(&mut world, one);
    take_frames(&mut world, sam);
    let id_requests: Vec<u8> = [3, 4, 3, 4].into_iter().flat_map(desired_id_frame).collect();
    world.send(restless.client, &[id_requests, text_frame(0, "settled")].concat());
    world.run_for(DIRECT_ID_CHANGE_INTERVAL / 2);
    let ids = |received: &[Vec<u8>]| -> Vec<u32> {
        let joined = received.iter().filter(|frame| frame[0] == 0x80);
        joined.map(|f| u32::from_be_bytes(f[1..5].try_into().expect("four bytes"))).collect()
    };
    assert_eq!(ids(&take_frames(&mut world, sam)), [3]);
    world.run_for(DIRECT_ID_CHANGE_INTERVAL);
    assert_eq!(ids(&take_frames(&mut world, sam)), [4]);
    world.run_for(2 * DIRECT_ID_CHANGE_INTERVAL);
    assert_eq!(ids(&take_frames(&mut world, sam)), [3, 4]);
    let messages = take_messages(&mut world, &restless);
    assert_eq!(messages.len(), 5);
    assert_eq!((messages[4].from, &*messages[4].msg), (4, "settled"));
    // A client that waits is not read, and may leave.
    world.send(restless.client, &[desired_id_frame(5), desired_id_frame(6)].concat());
    world.run_for(DIRECT_ID_CHANGE_INTERVAL / 2);
    world.disconnect(restless.client);
    world.run_for(2 * DIRECT_ID_CHANGE_INTERVAL);
    assert_eq!(host_ids(world.node(one).expect("alive")), [102]);
    assert_eq!(world.node(one).expect("alive").next_deadline(), None);
}
