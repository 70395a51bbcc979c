//! The send queue: frames appended, and consumed in portions as a socket writes them.
//! Run with `cargo bench --bench queue`.

mod common;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use crc::link::SendQueue;

/// Appends `frames` frames of 64 bytes, and consumes them in writes of at most `write_bytes_max`.
fn fill_and_drain(queue: &mut SendQueue, frames: usize, write_bytes_max: usize) {
    for _ in 0..frames {
        queue.tail().extend_from_slice(&[7; 64]);
    }
    while !queue.is_empty() {
        queue.consume(queue.len().min(write_bytes_max));
    }
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue");
    for (name, frames, portion_bytes) in [
        ("one frame at a time", 1, usize::MAX),
        ("64 frames, one write", 64, usize::MAX),
        ("64 frames, short writes", 64, 1000),
        ("16,000 frames, 64 KiB a write", 16_000, 64 * 1024),
    ] {
        let mut queue = SendQueue::default();
        group.throughput(Throughput::Elements(frames as u64));
        group
            .bench_function(name, |b| b.iter(|| fill_and_drain(&mut queue, frames, portion_bytes)));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = common::short_criterion();
    targets = bench
}
criterion_main!(benches);
