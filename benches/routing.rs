//! Chats through a node that knows 10 to a million hosts. `cargo bench --bench routing`.
//!
//! A user of this server sends chats to users behind another server, to each in turn, 64 chats a
//! turn.

mod common;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use crc::id::HostId;
use crc::limits::Limits;
use crc::link::{LinkId, Machine as _, Time};
use crc::node::Node;
use crc::relay::Identity;
use crc::relay::message::HostKind;
use crc::wires::Wire;
use crc_tests::frames::{chat, registration, server, user};

const CHATS_PER_TURN: u32 = 64;
/// Id of the first recipient.
const FIRST_USER_ID: u32 = 1000;

fn drain_send_queues(node: &mut Node) {
    node.advance(Time::default());
    while let Some(link) = node.poll_unsent() {
        while !node.unsent(link).is_empty() {
            node.sent(link, black_box(node.unsent(link)).len());
        }
    }
}

fn node_with_hosts(hosts: u32) -> (Node, LinkId) {
    let own = Identity { id: HostId(1), is_id_configured: true, name: vec![], info: vec![] };
    let (mut node, now) = (Node::new(own, 0, Limits::default(), 1), Time::default());
    let server_link = node.open_link(now, Wire::CRC);
    node.receive(now, server_link, &server(2, "two", ""));
    for id in FIRST_USER_ID..FIRST_USER_ID + hosts {
        node.receive(
            now,
            server_link,
            &registration(HostKind::User, id, 2, "u1234567", "sixteen bytes of"),
        );
    }
    let sender = node.open_link(now, Wire::CRC);
    node.receive(now, sender, &user(101, "frodo", ""));
    for _ in 0..1000 {
        drain_send_queues(&mut node);
    }
    (node, sender)
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("routing");
    group.throughput(Throughput::Elements(u64::from(CHATS_PER_TURN)));
    for hosts in [10, 1000, 100_000, 1_000_000_u32] {
        let (mut node, sender) = node_with_hosts(hosts);
        // Recipients are spread over the table. The turns are encoded before the measurement.
        let destination = |chat: u32| FIRST_USER_ID + chat.wrapping_mul(2_654_435_761) % hosts;
        let turns: Vec<Vec<u8>> = (0..2000_u32)
            .map(|turn| {
                let chats = turn * CHATS_PER_TURN..(turn + 1) * CHATS_PER_TURN;
                chats.flat_map(|n| chat(101, destination(n), "0123456789abcdef")).collect()
            })
            .collect();
        let mut turns = turns.iter().cycle();
        group.bench_function(format!("{hosts} hosts"), |b| {
            b.iter(|| {
                let turn = turns.next().expect("a cycle");
                node.receive(Time::default(), sender, turn);
                drain_send_queues(&mut node);
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = common::short_criterion();
    targets = bench
}
criterion_main!(benches);
