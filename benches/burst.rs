//! A server joins a network of a million users: the burst, sent and applied. `cargo bench --bench burst`.
//!
//! No sockets: what is measured is this program's own work, from frames to frames. Beside the rates it
//! shows the longest that one step of the loop took, as others wait for that long, and does so in time
//! of the processor, which other programs on the machine do not change much.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};

use crc::doors::Door;
use crc::limits::{Limits, READ_BYTES_PER_TURN};
use crc::node::Node;
use crc::relay::message::{HostId, Kind};
use crc::relay::{Identity, LinkId, Time};
use crc_tests::frames::{registration, server};

const HOSTS: u32 = 1_000_000;

fn node() -> Node {
    let own = Identity { id: HostId(1), id_is_chosen: true, name: b"one".to_vec(), info: vec![] };
    Node::new(own, 0, Limits::default(), 1)
}

/// What server 2 tells of a million users with names of 8 bytes and infos of 16.
fn burst() -> Vec<u8> {
    let user = |id: u32| registration(Kind::User, id, 2, &format!("u{id}"), "sixteen bytes of");
    (HOSTS..2 * HOSTS).flat_map(user).collect()
}

/// Steps of the loop so far.
#[derive(Default)]
struct Steps {
    longest: Duration,
    all: Duration,
    hosts: u32,
}

impl Steps {
    fn time(&mut self, step: impl FnOnce()) {
        let now =
            || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("not before 0");
        let start = now();
        step();
        let spent = now() - start;
        self.longest = self.longest.max(spent);
        self.all += spent;
    }

    fn show(&self, what: &str) {
        if self.hosts > 0 {
            let each = self.all / self.hosts;
            println!("{what}: {each:?} of CPU a host, {:?} the longest step\n", self.longest);
        }
    }
}

fn join(node: &mut Node, id: u32) -> LinkId {
    let link = node.accepted(Time::default(), Door::Crc, None);
    node.receive(Time::default(), link, &server(id, "near", ""));
    link
}

fn apply(node: &mut Node, near: LinkId, burst: &[u8], steps: &mut Steps) {
    for bytes in burst.chunks(READ_BYTES_PER_TURN) {
        steps.time(|| node.receive(Time::default(), near, bytes));
    }
    steps.hosts += HOSTS;
}

/// Takes everything that a node has to say, in turns, as the shell does; answers how many bytes.
fn take_all(node: &mut Node, steps: &mut Steps) -> usize {
    let mut count = 0;
    loop {
        let before = count;
        steps.time(|| {
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
    let burst = burst();
    let (mut applied, mut sent, mut ignored) =
        (Steps::default(), Steps::default(), Steps::default());
    group.bench_function("apply a million hosts", |b| {
        b.iter_batched(
            || {
                let mut node = node();
                let near = join(&mut node, 2);
                (node, near)
            },
            |(mut node, near)| {
                apply(&mut node, near, &burst, &mut applied);
                node
            },
            BatchSize::PerIteration,
        );
    });
    applied.show("applied");
    let mut node = node();
    let near = join(&mut node, 2);
    apply(&mut node, near, &burst, &mut ignored);
    take_all(&mut node, &mut ignored);
    group.bench_function("send a million hosts", |b| {
        b.iter(|| {
            let link = join(&mut node, 3);
            assert!(take_all(&mut node, &mut sent) >= burst.len());
            sent.hosts += HOSTS;
            node.closed(Time::default(), link, &crc::relay::CloseReason::PeerClosed);
            node.advance(Time::after(Duration::from_secs(10))); // 3 itself is forgotten
        });
    });
    sent.show("sent");
}

criterion_group!(benches, bench);
criterion_main!(benches);
