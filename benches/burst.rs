//! A server joins a network of a million users: the burst, sent and applied. `cargo bench --bench
//! burst`.
//!
//! No sockets: what is measured is this program's own work, from frames to frames. Beside the rates
//! it shows the longest that one step of the loop took, as others wait for that long, and does so
//! in time of the processor, which other programs on the machine do not change much.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};

use crc::id::HostId;
use crc::limits::{Limits, READ_BYTES_PER_TURN};
use crc::link::{LinkId, Machine as _, Time};
use crc::node::Node;
use crc::relay::Identity;
use crc::relay::message::HostKind;
use crc::wires::Wire;
use crc_tests::frames::{registration, server, status};

const HOSTS: u32 = 1_000_000;

fn node() -> Node {
    let own =
        Identity { id: HostId(1), is_id_configured: true, name: b"one".to_vec(), info: vec![] };
    Node::new(own, 0, Limits::default(), 1)
}

/// What server 2 tells of a million users with names of 8 bytes and infos of 16.
fn encode_burst() -> Vec<u8> {
    let user = |id: u32| registration(HostKind::User, id, 2, &format!("u{id}"), "sixteen bytes of");
    (HOSTS..2 * HOSTS).flat_map(user).collect()
}

/// Steps of the loop so far.
#[derive(Default)]
struct StepTimes {
    longest: Duration,
    total: Duration,
    hosts: u32,
}

impl StepTimes {
    fn measure(&mut self, step: impl FnOnce()) {
        let now =
            || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("not before 0");
        let start = now();
        step();
        let spent = now() - start;
        self.longest = self.longest.max(spent);
        self.total += spent;
    }

    fn print(&self, label: &str) {
        if self.hosts > 0 {
            let per_host = self.total / self.hosts;
            println!("{label}: {per_host:?} of CPU a host, {:?} the longest step\n", self.longest);
        }
    }
}

fn join_server(node: &mut Node, id: u32) -> LinkId {
    let link = node.open_link(Time::default(), Wire::CRC);
    let reads_cut_frames = status(id, u32::MAX, 0xC700, "");
    node.receive(Time::default(), link, &[server(id, "near", ""), reads_cut_frames].concat());
    link
}

fn apply_burst(node: &mut Node, server_link: LinkId, burst: &[u8], steps: &mut StepTimes) {
    for bytes in burst.chunks(READ_BYTES_PER_TURN) {
        steps.measure(|| node.receive(Time::default(), server_link, bytes));
    }
    steps.hosts += HOSTS;
}

/// Sends all output of a node, in turns, as the shell does. Returns the number of bytes.
fn drain_send_queues(node: &mut Node, steps: &mut StepTimes) -> usize {
    let mut count = 0;
    loop {
        let before = count;
        steps.measure(|| {
            node.advance(Time::default());
            while let Some(link) = node.poll_unsent() {
                while !node.unsent(link).is_empty() {
                    let len = black_box(node.unsent(link)).len();
                    node.sent(link, len);
                    count += len;
                }
            }
        });
        if count == before {
            return count;
        }
    }
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("burst");
    group.sample_size(10).throughput(Throughput::Elements(u64::from(HOSTS)));
    let burst = encode_burst();
    let (mut applied, mut sent, mut discarded) =
        (StepTimes::default(), StepTimes::default(), StepTimes::default());
    group.bench_function("apply a million hosts", |b| {
        b.iter_batched(
            || {
                let mut node = node();
                let server_link = join_server(&mut node, 2);
                (node, server_link)
            },
            |(mut node, server_link)| {
                apply_burst(&mut node, server_link, &burst, &mut applied);
                node
            },
            BatchSize::PerIteration,
        );
    });
    applied.print("applied");
    let mut node = node();
    let server_link = join_server(&mut node, 2);
    apply_burst(&mut node, server_link, &burst, &mut discarded);
    drain_send_queues(&mut node, &mut discarded);
    group.bench_function("send a million hosts", |b| {
        b.iter(|| {
            let link = join_server(&mut node, 3);
            assert!(drain_send_queues(&mut node, &mut sent) >= burst.len());
            sent.hosts += HOSTS;
            node.closed(Time::default(), link, &crc::link::CloseReason::PeerClosed);
            node.advance(Time::from_start(Duration::from_secs(10))); // 3 itself is forgotten
        });
    });
    sent.print("sent");
}

criterion_group!(benches, bench);
criterion_main!(benches);
