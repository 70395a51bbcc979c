//! Memory per host and per client, as counted by the allocator.

use allocation_counter::AllocationInfo;
use crc::id::HostId;
use crc::limits::Limits;
use crc::link::{Machine as _, Time};
use crc::node::Node;
use crc::relay::Identity;
use crc::relay::message::HostKind;
use crc::wires::Wire;
use crc_tests::frames::{chat, registration, server, user, user_that_reads_cut_frames};

const HOSTS: u32 = 1_000_000;

#[test]
fn a_million_hosts_take_at_most_120_bytes_each_even_at_the_peak() {
    let own = Identity { id: HostId(1), is_id_configured: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    // Every wire has a link. No user has a classic name; such names are measured below.
    node.open_link(now, Wire::DIRECT);
    node.open_link(now, Wire::CLASSIC);
    let neighbour = node.open_link(now, Wire::CRC);
    node.receive(now, neighbour, &server(2, "two", ""));
    let hosts_before = node.relay().hosts().iter().count();
    let user_registration =
        |id: u32| registration(HostKind::User, id, 2, &format!("u{id}"), "sixteen bytes of");
    let portions: Vec<Vec<u8>> = (HOSTS..2 * HOSTS)
        .step_by(1000)
        .map(|first| (first..first + 1000).flat_map(user_registration).collect())
        .collect();
    let spent = allocation_counter::measure(|| {
        for portion in &portions {
            node.receive(now, neighbour, portion);
        }
    });
    assert_eq!(node.relay().hosts().iter().count() - hosts_before, HOSTS as usize);
    let each = |bytes: f64| bytes / f64::from(HOSTS);
    let (current, peak) = (each(spent.bytes_current as f64), each(spent.bytes_max as f64));
    println!("{current} bytes per host, peak {peak}, in {} allocations", spent.count_current);
    assert!(current <= 120.0 && peak <= 120.0, "{current} bytes per host, peak {peak}");
    // The allocator's own overhead per allocation is not counted, so there must be few of them.
    assert!(spent.count_current < 3000, "{}", spent.count_current);
}

/// Encodes a classic client's `Connect` in the padded form.
fn connect_message(name: &str) -> Vec<u8> {
    let mut bytes = format!("-SERVER-{name:<8}Connect {name}\0").into_bytes();
    bytes.resize(256, 0);
    bytes
}

#[test]
fn a_million_classic_names_take_at_most_123_bytes_each() {
    let own = Identity { id: HostId(1), is_id_configured: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let neighbour = node.open_link(now, Wire::CRC);
    node.receive(now, neighbour, &server(2, "two", ""));
    let classic = node.open_link(now, Wire::CLASSIC);
    node.receive(now, classic, &connect_message("me"));
    write_all_queues(&mut node);
    let hosts_before = node.relay().hosts().iter().count();
    let spent = allocation_counter::measure(|| {
        for i in 1..=HOSTS {
            // Neither the ids nor the names are in order.
            let id = i.wrapping_mul(2_654_435_761);
            let name = format!("{:08x}", id.reverse_bits());
            let user_frame = registration(HostKind::User, id, 2, &name, "sixteen bytes of");
            node.receive(now, neighbour, &user_frame);
        }
    });
    assert_eq!(node.relay().hosts().iter().count() - hosts_before, HOSTS as usize);
    let each = |bytes: f64| bytes / f64::from(HOSTS);
    let (current, peak) = (each(spent.bytes_current as f64), each(spent.bytes_max as f64));
    println!("{current} bytes per host, peak {peak}, in {} allocations", spent.count_current);
    assert!(current <= 123.0 && peak <= 123.0, "{current} bytes per host, peak {peak}");
}

/// Takes all unsent bytes of a node, as an event loop does whose sockets accept everything.
fn write_all_queues(node: &mut Node) {
    while let Some(link) = node.poll_unsent() {
        while let count @ 1.. = node.unsent(link).len() {
            node.sent(link, count);
        }
    }
}

#[test]
fn idle_client_takes_at_most_394_bytes_and_buffers_are_freed() {
    let spent = measure_idle_clients(|id| user_that_reads_cut_frames(id, "somebody", INFO));
    let each = spent.bytes_current / i64::from(IDLE_CLIENTS);
    println!("{each} bytes per client, peak of {} bytes in total", spent.bytes_max);
    assert!(each <= 394, "{each} bytes, without those of the socket");
    assert!(spent.bytes_max < 4 * 1024 * 1024, "{}", spent.bytes_max);
}

#[test]
fn idle_client_that_may_read_once_takes_at_most_466_bytes() {
    let spent = measure_idle_clients(|id| user(id, "somebody", INFO));
    let each = spent.bytes_current / i64::from(IDLE_CLIENTS);
    println!("{each} bytes per client that may read once");
    assert!(each <= 466, "{each} bytes, without those of the socket");
}

/// Clients of [`measure_idle_clients`].
const IDLE_CLIENTS: u32 = 2000;

/// Info of each of them.
const INFO: &str = "sixteen bytes of";

/// Measures a node to which clients connect that then say nothing. `first_frames` returns what a
/// client with an id sends first.
///
/// The index of hosts has another seed in each process. Some of its shards have grown in one and
/// not in another, which is worth 8 bytes a client.
fn measure_idle_clients(first_frames: impl Fn(u32) -> Vec<u8>) -> AllocationInfo {
    let own = Identity { id: HostId(1), is_id_configured: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let spent = allocation_counter::measure(|| {
        for id in 101..101 + IDLE_CLIENTS {
            let link = node.open_link(now, Wire::CRC);
            let frames = first_frames(id);
            let (prefix, rest) = frames.split_at(5);
            node.receive(now, link, prefix);
            node.receive(now, link, rest);
            write_all_queues(&mut node);
        }
        // Until every client knows all others: announcements to programs that read once are paced.
        while let Some(at) = node.next_deadline() {
            node.advance(at);
            write_all_queues(&mut node);
        }
    });
    assert_eq!(node.relay().hosts().iter().count(), IDLE_CLIENTS as usize);
    spent
}

#[test]
fn client_with_a_partial_frame_takes_at_most_8_kib() {
    const CLIENTS: u32 = 200;
    let own = Identity { id: HostId(1), is_id_configured: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let neighbour = node.open_link(now, Wire::CRC);
    node.receive(now, neighbour, &server(2, "two", ""));
    node.receive(now, neighbour, &registration(HostKind::User, 1000, 2, "", ""));
    let reader = node.open_link(now, Wire::CRC);
    node.receive(now, reader, &user(101, "", ""));
    write_all_queues(&mut node);
    let chats = chat(1000, 101, &"x".repeat(1000)).repeat(200);
    let spent = allocation_counter::measure(|| {
        for _ in 0..CLIENTS {
            node.receive(now, neighbour, &chats);
            write_all_queues(&mut node);
            let link = node.open_link(now, Wire::CRC);
            node.receive(now, link, &[0x80]);
        }
    });
    let each = spent.bytes_current / i64::from(CLIENTS);
    assert!(each <= 8 * 1024, "{each} bytes per client");
}
