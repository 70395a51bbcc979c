//! Allocations for a forwarded chat: none, from the received bytes to the sent bytes, on any wire.

use crc::id::HostId;
use crc::limits::Limits;
use crc::link::{LinkId, Machine as _, Time};
use crc::node::Node;
use crc::relay::Identity;
use crc::wires::Wire;
use crc::wires::classic::codec as classic;
use crc::wires::classic::codec::{Form, Name};
use crc::wires::direct::codec as direct;
use crc::wires::direct::codec::Control;
use crc_tests::frames::{chat, user};

const CHATS: usize = 64;
const TEXT: &str = "sixteen bytes of sixteen bytes of sixteen bytes of a text";

fn node() -> Node {
    let own = Identity { id: HostId(1), is_id_configured: true, name: vec![], info: vec![] };
    Node::new(own, 0, Limits::default(), 1)
}

/// Returns the name of the user with this number. The direct wire uses the number itself.
fn user_name(wire: Wire, number: u32) -> String {
    if wire == Wire::DIRECT { number.to_string() } else { format!("u{number}") }
}

fn classic_name(name: &str) -> Name {
    Name::new(name.as_bytes()).expect("short")
}

/// Takes all unsent bytes, one write per link. Returns their number.
fn write_all_queues(node: &mut Node) -> usize {
    let mut bytes = 0;
    while let Some(link) = node.poll_unsent() {
        let count = node.unsent(link).len();
        node.sent(link, count);
        bytes += count;
    }
    bytes
}

/// Opens a link and registers a user on it.
fn join(node: &mut Node, wire: Wire, number: u32) -> LinkId {
    let now = Time::default();
    let link = node.open_link(now, wire);
    let user_name = user_name(wire, number);
    let frame = match wire.name() {
        "crc" => user(number, &user_name, ""),
        "direct" => {
            let control = Some(Control::DesiredId(number.into()));
            let mut frame = Vec::new();
            direct::encode(&direct::Message { control, ..direct::Message::default() }, &mut frame);
            frame
        }
        "irc" => format!("NICK {user_name}\r\nUSER {user_name} 0 * :{user_name}\r\n").into_bytes(),
        _ => {
            let text = format!("Connect {user_name}");
            classic_frame(Name::SERVER, classic_name(&user_name), &text, Form::Padded)
        }
    };
    node.receive(now, link, &frame);
    link
}

fn classic_frame(destination: Name, source: Name, text: &str, form: Form) -> Vec<u8> {
    let mut frame = Vec::new();
    let message = classic::Message { destination, source, text: text.as_bytes() };
    classic::encode(&message, form, &mut frame);
    frame
}

/// Encodes a chat from user 101, on `wire`, to the user named `to`.
fn chat_frame(node: &Node, wire: Wire, to: &str) -> Vec<u8> {
    let addressee = node.relay().hosts().iter().find(|host| host.name() == to.as_bytes());
    let HostId(id) = addressee.expect("a registered user").id;
    match wire.name() {
        "crc" => chat(101, id, TEXT),
        "direct" => {
            let mut frame = Vec::new();
            direct::encode_plain(0, id.into(), TEXT, &mut frame);
            frame
        }
        "irc" => {
            // A user of the direct wire has no name that is a nick.
            let nick = if to.starts_with('u') { to.to_owned() } else { format!("|{to}") };
            format!("PRIVMSG {nick} :{TEXT}\r\n").into_bytes()
        }
        _ => classic_frame(classic_name(to), classic_name("u101"), TEXT, Form::Compact),
    }
}

/// Checks that chats from user 101, on `wire`, to users 102 and 103, on `destination_wire`, are
/// forwarded without an allocation.
fn check_no_allocations(wire: Wire, destination_wire: Wire) {
    let (mut node, now) = (node(), Time::default());
    let from = join(&mut node, wire, 101);
    let to = [102, 103].map(|number| join(&mut node, destination_wire, number));
    while write_all_queues(&mut node) > 0 {
        node.advance(now);
    }
    let [first_chat, second_chat] =
        [102, 103].map(|number| chat_frame(&node, wire, &user_name(destination_wire, number)));
    let same_destination = first_chat.repeat(CHATS);
    let alternating = [&first_chat[..], &second_chat].concat().repeat(CHATS / 2);
    for (what, bytes, times) in [
        ("in a row", &same_destination, 1),
        ("by turns", &alternating, 1),
        ("alone", &first_chat, CHATS),
    ] {
        let turn = |node: &mut Node| {
            for _ in 0..times {
                node.receive(now, from, bytes);
                node.advance(now);
                write_all_queues(node);
            }
        };
        // Each of the shared buffers grows to its final size in the first turns.
        for _ in 0..4 {
            turn(&mut node);
        }
        let before = count_frames_out(&node, &to);
        let spent = allocation_counter::measure(|| turn(&mut node));
        assert_eq!(
            count_frames_out(&node, &to) - before,
            CHATS as u64,
            "{wire} to {destination_wire} {what}"
        );
        assert_eq!(
            spent.count_total, 0,
            "{wire} to {destination_wire} {what}: {} bytes",
            spent.bytes_total
        );
    }
}

/// Returns the number of frames sent on these links.
fn count_frames_out(node: &Node, to: &[LinkId]) -> u64 {
    node.links().filter(|link| to.contains(&link.id())).map(|link| link.traffic().frames_out).sum()
}

#[test]
fn forwarded_chat_allocates_nothing() {
    let wires = [Wire::CRC, Wire::DIRECT, Wire::CLASSIC, Wire::IRC];
    for wire in wires {
        for destination_wire in wires {
            check_no_allocations(wire, destination_wire);
        }
    }
}
