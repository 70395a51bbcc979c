//! What hosts cost in memory, counted by the allocator.

use crc::doors::Door;
use crc::limits::Limits;
use crc::node::Node;
use crc::relay::message::{HostId, Kind};
use crc::relay::{Identity, Time};
use crc_tests::frames::{registration, server};

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
