//! Encodes and parses each message of the CRC wire. Run with `cargo bench --bench codec`.

mod common;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use crc::id::HostId;
use crc::limits::FRAME_BYTES_MAX;
use crc::relay::message::{HostKind, Message, Registration, StatusCode};
use crc::wires::crc::codec;

fn messages() -> [(&'static str, Message<'static>); 5] {
    let (source, destination, last_hop) = (HostId(101), HostId(102), HostId(2));
    let text = b"The dog barks at the gate of Bag End, and nobody is at home.";
    let (name, info) = (b"samwise!".as_slice(), b"sixteen bytes of".as_slice());
    let registration = Registration { kind: HostKind::User, source, last_hop, name, info };
    [
        ("registration", Message::Registration(registration)),
        ("status", Message::Status { source, destination, code: StatusCode::UNKNOWN_ID, text }),
        ("server quit", Message::ServerQuit { source, replacement: destination, text }),
        ("chat", Message::Chat { source, destination, text }),
        ("client quit", Message::ClientQuit { source, text }),
    ]
}

fn bench(c: &mut Criterion) {
    for (name, message) in messages() {
        let mut group = c.benchmark_group(format!("codec/{name}"));
        group.throughput(Throughput::Elements(1));
        let mut frame = Vec::new();
        codec::encode(&message, &mut frame);
        group.bench_function("parse", |b| {
            b.iter(|| {
                codec::parse(black_box(&frame), FRAME_BYTES_MAX).map(|found| found.is_some())
            });
        });
        let mut out = Vec::with_capacity(frame.len());
        group.bench_function("encode", |b| {
            b.iter(|| {
                out.clear();
                codec::encode(black_box(&message), &mut out);
                out.len()
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
