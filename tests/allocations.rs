//! What a chat costs in allocations, on its way from bytes that were received to bytes that are sent: none.

use crc::doors::Door;
use crc::doors::classic::wire::{self as classic, Form, Name};
use crc::doors::direct::wire::{self as direct, Control};
use crc::limits::Limits;
use crc::node::Node;
use crc::relay::message::HostId;
use crc::relay::{Identity, LinkId, Time};
use crc_tests::frames::{chat, user};

const CHATS: usize = 64;
const TEXT: &str = "sixteen bytes of sixteen bytes of sixteen bytes of a text";

fn node() -> Node {
    let own = Identity { id: HostId(1), id_is_chosen: true, name: vec![], info: vec![] };
    Node::new(own, 0, Limits::default(), 1)
}

/// What a user is called who asks for this number: on the direct wire names are not chosen.
fn name(door: Door, number: u32) -> String {
    if door == Door::Direct { number.to_string() } else { format!("u{number}") }
}

fn classic_name(name: &str) -> Name {
    Name::new(name.as_bytes()).expect("short")
}

/// Writes all that waits, in one go for each link, and answers how many bytes that was.
fn write_all(node: &mut Node) -> usize {
    let mut bytes = 0;
    while let Some(link) = node.poll_unsent() {
        let count = node.unsent(link).len();
        node.sent(link, count);
        bytes += count;
    }
    bytes
}

fn join(node: &mut Node, door: Door, number: u32) -> LinkId {
    let now = Time::default();
    let link = node.accepted(now, door, None);
    let name = name(door, number);
    let frame = match door {
        Door::Crc => user(number, &name, ""),
        Door::Direct => {
            let control = Some(Control::DesiredId(number.into()));
            let mut frame = Vec::new();
            direct::encode(&direct::Message { control, ..direct::Message::default() }, &mut frame);
            frame
        }
        Door::Classic => {
            let text = format!("Connect {name}");
            said(Name::SERVER, classic_name(&name), &text, Form::Full)
        }
    };
    node.receive(now, link, &frame);
    link
}

fn said(destination: Name, source: Name, text: &str, form: Form) -> Vec<u8> {
    let mut frame = Vec::new();
    let message = classic::Message { destination, source, text: text.as_bytes() };
    classic::encode(&message, form, &mut frame);
    frame
}

/// What 101, who came through a door, says to somebody with a name.
fn say(node: &Node, door: Door, to: &str) -> Vec<u8> {
    let addressee = node.relay().hosts().iter().find(|host| host.name() == to.as_bytes());
    let HostId(id) = addressee.expect("somebody who is there").id;
    match door {
        Door::Crc => chat(101, id, TEXT),
        Door::Direct => {
            let mut frame = Vec::new();
            direct::encode_plain(0, id.into(), TEXT, &mut frame);
            frame
        }
        Door::Classic => said(classic_name(to), classic_name("u101"), TEXT, Form::Short),
    }
}

/// Chats of 101, who came through `door`, to 102 and 103, who came through `other`.
fn check(door: Door, other: Door) {
    let (mut node, now) = (node(), Time::default());
    let from = join(&mut node, door, 101);
    let to = [102, 103].map(|number| join(&mut node, other, number));
    while write_all(&mut node) > 0 {
        node.advance(now);
    }
    let [alone, another] = [102, 103].map(|number| say(&node, door, &name(other, number)));
    let in_a_row = alone.repeat(CHATS);
    let by_turns = [&alone[..], &another].concat().repeat(CHATS / 2);
    for (what, bytes, times) in
        [("in a row", &in_a_row, 1), ("by turns", &by_turns, 1), ("alone", &alone, CHATS)]
    {
        let turn = |node: &mut Node| {
            for _ in 0..times {
                node.receive(now, from, bytes);
                node.advance(now);
                write_all(node);
            }
        };
        // Until each of the few buffers that links share has been used for this, and suffices.
        for _ in 0..4 {
            turn(&mut node);
        }
        let before = frames_out(&node, &to);
        let spent = allocation_counter::measure(|| turn(&mut node));
        assert_eq!(frames_out(&node, &to) - before, CHATS as u64, "{door} to {other} {what}");
        assert_eq!(spent.count_total, 0, "{door} to {other} {what}: {} bytes", spent.bytes_total);
    }
}

/// Frames that some links were sent.
fn frames_out(node: &Node, to: &[LinkId]) -> u64 {
    node.links().filter(|link| to.contains(&link.id())).map(|link| link.traffic().frames_out).sum()
}

#[test]
fn a_chat_allocates_nothing() {
    for door in [Door::Crc, Door::Direct, Door::Classic] {
        for other in [Door::Crc, Door::Direct, Door::Classic] {
            check(door, other);
        }
    }
}
