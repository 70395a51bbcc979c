//! Direct clients that have not sent anything: when they become users of the network.

use super::direct::*;
use super::*;

use crc::link::Machine as _;
use crc::wires::direct::codec::{self, Control, FastHandshake};

/// Starts a server with a CRC user who sees who comes and goes.
fn server_with_sam() -> (World, usize, ClientId) {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let sam = connect_and_send(&mut world, one, &user(102, "sam", ""));
    take_frames(&mut world, sam);
    (world, one, sam)
}

fn crc_id(direct: &DirectClient) -> u32 {
    u32::try_from(direct.id).expect("an id of CRC")
}

fn joined(direct: &DirectClient) -> Vec<u8> {
    registration(HostKind::User, crc_id(direct), 1, &direct.id.to_string(), "direct")
}

#[test]
fn client_that_only_listens_is_announced_after_a_pause() {
    let (mut world, one, sam) = server_with_sam();
    let silent = connect_silent(&mut world, one);
    world.run_for(DIRECT_SILENCE_MAX / 2);
    assert_received(&mut world, sam, &[]);
    assert_eq!(host_ids(world.node(one).expect("alive")), [102]);
    world.run_for(DIRECT_SILENCE_MAX);
    assert_received(&mut world, sam, &[joined(&silent)]);
    assert_eq!(world.node(one).expect("alive").next_deadline(), None);
    world.send(sam, &chat(102, crc_id(&silent), "Hi"));
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &silent)), [(102, "Hi")]);
}

#[test]
fn connections_that_are_opened_and_closed_are_not_announced() {
    let (mut world, one, sam) = server_with_sam();
    for _ in 0..100 {
        let silent = connect_silent(&mut world, one);
        world.run_for(DIRECT_SILENCE_MAX / 2);
        world.disconnect(silent.client);
    }
    world.run_for(SECOND);
    assert_received(&mut world, sam, &[]);
    let node = world.node(one).expect("alive");
    assert_eq!((host_ids(node), node.next_deadline()), (vec![102], None));
}

#[test]
fn first_frame_announces_the_client_at_once() {
    let (mut world, one, sam) = server_with_sam();
    let direct = connect_silent(&mut world, one);
    world.send(direct.client, &text_frame(102, "Hi"));
    world.run_until_quiescent();
    assert_received(&mut world, sam, &[joined(&direct), chat(crc_id(&direct), 102, "Hi")]);
    // Also one to itself.
    let direct = connect_silent(&mut world, one);
    world.send(direct.client, &text_frame(direct.id, "myself"));
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &direct)), [(direct.id, "myself")]);
    assert_received(&mut world, sam, &[joined(&direct)]);
    // A frame that is none closes the connection, and nobody hears of it.
    let direct = connect_silent(&mut world, one);
    world.send(direct.client, &[0, 0, 0, 2, 0x1a, 0xff]);
    world.run_for(SECOND);
    assert!(world.is_closed(direct.client));
    assert_received(&mut world, sam, &[]);
}

#[test]
fn client_that_asks_for_an_id_at_once_is_announced_under_that_id_alone() {
    let (mut world, one, sam) = server_with_sam();
    let direct = connect_silent(&mut world, one);
    world.send(direct.client, &desired_id_frame(7));
    world.run_until_quiescent();
    let control = Some(Control::Handshake(FastHandshake { id: 7, error: false }));
    let expected = codec::Message { to: 7, control, ..codec::Message::default() };
    assert_eq!(take_messages(&mut world, &direct), [expected]);
    assert_received(&mut world, sam, &[registration(HostKind::User, 7, 1, "7", "direct")]);
    // An id that is refused leaves it the one that it was assigned.
    let other = connect_silent(&mut world, one);
    world.send(other.client, &desired_id_frame(7));
    world.run_until_quiescent();
    let control = Some(Control::Handshake(FastHandshake { id: other.id, error: true }));
    let expected = codec::Message { to: other.id, control, ..codec::Message::default() };
    assert_eq!(take_messages(&mut world, &other), [expected]);
    assert_received(&mut world, sam, &[joined(&other)]);
}

#[test]
fn message_to_a_silent_client_reaches_it_from_every_wire() {
    let (mut world, one, sam) = server_with_sam();
    let seven = connect_with_id(&mut world, one, 7);
    take_frames(&mut world, sam);
    let silent = connect_silent(&mut world, one);
    world.send(sam, &chat(102, crc_id(&silent), "from sam"));
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &silent)), [(102, "from sam")]);
    assert_received(&mut world, sam, &[joined(&silent)]);
    let silent = connect_silent(&mut world, one);
    world.send(seven.client, &text_frame(silent.id, "from 7"));
    world.run_until_quiescent();
    assert_eq!(sender_texts(&take_messages(&mut world, &silent)), [(7, "from 7")]);
    // From another server it waits as mail.
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.run_until_quiescent();
    let eight = connect_with_id(&mut world, two, 8);
    let silent = connect_silent(&mut world, one);
    world.send(eight.client, &text_frame(silent.id, "from 8"));
    world.run_for(SECOND);
    assert_eq!(sender_texts(&take_messages(&mut world, &silent)), [(8, "from 8")]);
}

#[test]
fn id_of_a_silent_client_is_taken() {
    let (mut world, one, sam) = server_with_sam();
    let silent = connect_silent(&mut world, one);
    let thief = connect_and_send(&mut world, one, &user(crc_id(&silent), "thief", ""));
    let text = format!("Someone has already registered with ID {}", silent.id);
    assert_received(&mut world, thief, &[status(1, 0, 2, &text)]);
    assert_received(&mut world, sam, &[joined(&silent)]);
    let silent = connect_silent(&mut world, one);
    let other = connect_silent(&mut world, one);
    world.send(other.client, &desired_id_frame(silent.id));
    world.run_until_quiescent();
    let control = Some(Control::Handshake(FastHandshake { id: other.id, error: true }));
    assert_eq!(take_messages(&mut world, &other)[0].control, control);
}

#[test]
fn client_whose_handshake_goes_on_is_not_announced() {
    let identity =
        Identity { id: HostId(1), is_id_configured: true, name: b"one".to_vec(), info: vec![] };
    let mut node = Node::new(identity, 0, Limits::default(), 1);
    let mut now = Time::default();
    let link = node.open_link(now, Wire::DIRECT);
    // As with a TLS handshake that does not end: nothing reaches the kernel.
    for _ in 0..8 {
        now = now + DIRECT_SILENCE_MAX;
        node.advance(now);
        assert_eq!(host_ids(&node), [0_u32; 0]);
    }
    node.sent(link, node.unsent(link).len());
    now = now + DIRECT_SILENCE_MAX;
    node.advance(now);
    assert_eq!(host_ids(&node).len(), 1);
    assert_eq!(node.next_deadline(), None);
}
