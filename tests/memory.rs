//! What hosts and clients cost in memory, counted by the allocator.

use crc::doors::Door;
use crc::limits::Limits;
use crc::node::Node;
use crc::relay::message::{HostId, Kind};
use crc::relay::{Identity, Time};
use crc_tests::frames::{chat, registration, server, user};

const HOSTS: u32 = 1_000_000;

#[test]
fn a_million_hosts_take_at_most_120_bytes_each_and_never_much_more() {
    let own = Identity { id: HostId(1), id_is_chosen: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    // Somebody came through each door, but nobody has a classic name, which is what costs more.
    node.accepted(now, Door::Direct, None);
    node.accepted(now, Door::Classic, None);
    let near = node.accepted(now, Door::Crc, None);
    node.receive(now, near, &server(2, "two", ""));
    let known = node.relay().hosts().iter().count();
    let told = |id: u32| registration(Kind::User, id, 2, &format!("u{id}"), "sixteen bytes of");
    let portions: Vec<Vec<u8>> = (HOSTS..2 * HOSTS)
        .step_by(1000)
        .map(|first| (first..first + 1000).flat_map(told).collect())
        .collect();
    let spent = allocation_counter::measure(|| {
        for portion in &portions {
            node.receive(now, near, portion);
        }
    });
    assert_eq!(node.relay().hosts().iter().count() - known, HOSTS as usize);
    let each = |bytes: f64| bytes / f64::from(HOSTS);
    let (kept, most) = (each(spent.bytes_current as f64), each(spent.bytes_max as f64));
    println!("{kept} bytes a host, {most} at most, in {} pieces", spent.count_current);
    assert!(kept <= 120.0 && most <= 120.0, "{kept}, at most {most}");
    // What the allocator needs itself for each piece is not counted, so there must be few.
    assert!(spent.count_current < 3000, "{}", spent.count_current);
}

/// A classic client's `Connect`, in the full form.
fn connect(name: &str) -> Vec<u8> {
    let mut bytes = format!("-SERVER-{name:<8}Connect {name}\0").into_bytes();
    bytes.resize(256, 0);
    bytes
}

#[test]
fn a_million_names_for_a_classic_client_take_little_more() {
    let own = Identity { id: HostId(1), id_is_chosen: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let near = node.accepted(now, Door::Crc, None);
    node.receive(now, near, &server(2, "two", ""));
    let classic = node.accepted(now, Door::Classic, None);
    node.receive(now, classic, &connect("me"));
    write_all(&mut node);
    let known = node.relay().hosts().iter().count();
    let spent = allocation_counter::measure(|| {
        for i in 1..=HOSTS {
            // In no order, neither by id nor by name.
            let id = i.wrapping_mul(2_654_435_761);
            let name = format!("{:08x}", id.reverse_bits());
            let told = registration(Kind::User, id, 2, &name, "sixteen bytes of");
            node.receive(now, near, &told);
        }
    });
    assert_eq!(node.relay().hosts().iter().count() - known, HOSTS as usize);
    let each = |bytes: f64| bytes / f64::from(HOSTS);
    let (kept, most) = (each(spent.bytes_current as f64), each(spent.bytes_max as f64));
    println!("{kept} bytes a host, {most} at most, in {} pieces", spent.count_current);
    assert!(kept <= 123.0 && most <= 123.0, "{kept}, at most {most}");
}

/// Takes all that a node has to send, as a shell does with sockets that take everything.
fn write_all(node: &mut Node) {
    while let Some(link) = node.poll_unsent() {
        while let count @ 1.. = node.unsent(link).len() {
            node.sent(link, count);
        }
    }
}

#[test]
fn a_client_that_says_nothing_takes_little_and_what_grew_is_given_back() {
    const CLIENTS: u32 = 2000;
    let own = Identity { id: HostId(1), id_is_chosen: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let spent = allocation_counter::measure(|| {
        for id in 101..101 + CLIENTS {
            let link = node.accepted(now, Door::Crc, None);
            let frame = user(id, "somebody", "sixteen bytes of");
            let (begin, rest) = frame.split_at(5);
            node.receive(now, link, begin);
            node.receive(now, link, rest);
            write_all(&mut node);
        }
        let later = now + std::time::Duration::from_secs(60);
        node.advance(later);
        write_all(&mut node);
    });
    assert_eq!(node.relay().hosts().iter().count(), CLIENTS as usize);
    let each = spent.bytes_current / i64::from(CLIENTS);
    println!("{each} bytes a client, {} at most together", spent.bytes_max);
    assert!(each <= 360, "{each}; the socket's side comes to that");
    assert!(spent.bytes_max < 4 * 1024 * 1024, "{}", spent.bytes_max);
}

#[test]
fn who_began_a_frame_holds_no_memory_that_others_needed() {
    const CLIENTS: u32 = 200;
    let own = Identity { id: HostId(1), id_is_chosen: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let near = node.accepted(now, Door::Crc, None);
    node.receive(now, near, &server(2, "two", ""));
    node.receive(now, near, &registration(Kind::User, 1000, 2, "", ""));
    let reader = node.accepted(now, Door::Crc, None);
    node.receive(now, reader, &user(101, "", ""));
    write_all(&mut node);
    let waiting = chat(1000, 101, &"x".repeat(1000)).repeat(200);
    let spent = allocation_counter::measure(|| {
        for _ in 0..CLIENTS {
            node.receive(now, near, &waiting);
            write_all(&mut node);
            let link = node.accepted(now, Door::Crc, None);
            node.receive(now, link, &[0x80]);
        }
    });
    let each = spent.bytes_current / i64::from(CLIENTS);
    assert!(each <= 8 * 1024, "{each} bytes for one that came");
}
