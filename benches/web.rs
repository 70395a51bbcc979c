//! A million users listed on an operator's page and on a chat page, and the metrics: how long one
//! turn of the loop is busy with them. `cargo bench --bench web`.
//!
//! No sockets: what is measured is this program's own work. The same lists are written several
//! times, so that the same turns come again, and of each turn the shortest time counts: a machine
//! that does something else in between makes single turns longer, never all of them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crc::id::HostId;
use crc::internal::operator::{LoopStats, ShellReport, WebSurface};
use crc::limits::{Limits, READ_BYTES_PER_TURN, WRITE_BYTES_PER_TURN};
use crc::link::{LinkId, Machine as _, Time};
use crc::node::Node;
use crc::relay::Identity;
use crc::relay::message::HostKind;
use crc::wires::{OperatorToken, WebAccess, Wire};
use crc_tests::frames::{registration, server, status};

const USERS: u32 = 1_000_000;

/// How often each list is written.
const ROUNDS: usize = 7;

/// The operator's secret.
const TOKEN: &str = "0123456789abcdef";

struct Bench {
    node: Node,
    surface: WebSurface,
    now: Time,
    /// Links with more to write than one turn takes.
    unfinished: Vec<LinkId>,
}

impl Bench {
    /// Creates a server that knows a million users of another one.
    fn new() -> Self {
        let (id, name) = (HostId(1), b"one".to_vec());
        let identity = Identity { id, is_id_configured: true, name, info: vec![] };
        let mut node = Node::new(identity, 0, Limits::default(), 1);
        let operator_token = Some(OperatorToken::new(TOKEN.as_bytes()));
        node.set_web_access(WebAccess { origins: Vec::new(), operator_token });
        let mut bench =
            Self { node, surface: WebSurface::default(), now: Time::default(), unfinished: vec![] };
        let link = bench.node.open_link(bench.now, Wire::CRC);
        let reads_cut_frames = status(2, u32::MAX, 0xC700, "");
        bench.node.receive(bench.now, link, &[server(2, "near", ""), reads_cut_frames].concat());
        let user =
            |id: u32| registration(HostKind::User, id, 2, &format!("u{id}"), "sixteen bytes");
        let burst: Vec<u8> = (USERS..2 * USERS).flat_map(user).collect();
        for bytes in burst.chunks(READ_BYTES_PER_TURN) {
            bench.node.receive(bench.now, link, bytes);
        }
        bench
    }

    fn open(&mut self, path: &str, headers: &str) -> LinkId {
        let link = self.node.open_link(self.now, Wire::HTTP);
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        self.node.receive(self.now, link, request.as_bytes());
        link
    }

    fn open_socket(&mut self, path: &str, greeting: &str) -> LinkId {
        let headers = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let link = self.open(path, headers);
        self.ask(link, greeting);
        link
    }

    /// Sends a text message, masked with zeros.
    fn ask(&mut self, link: LinkId, text: &str) {
        let len = u8::try_from(text.len()).expect("short");
        let frame = [&[0x81, 0x80 | len, 0, 0, 0, 0], text.as_bytes()].concat();
        self.node.receive(self.now, link, &frame);
    }

    /// Runs a turn as the shell does: each socket takes what is written in one turn. Returns its
    /// time and the number of bytes.
    fn turn(&mut self) -> (Duration, usize) {
        let (stats, log) = (LoopStats::default(), &|number| (Vec::new(), number));
        let start = Instant::now();
        self.surface.run(&mut self.node, self.now, &ShellReport { stats: &stats, log });
        let mut count = 0;
        let mut links = std::mem::take(&mut self.unfinished);
        links.extend(std::iter::from_fn(|| self.node.poll_unsent()));
        for link in links {
            let len = black_box(self.node.unsent(link)).len().min(WRITE_BYTES_PER_TURN);
            self.node.sent(link, len);
            count += len;
            if len == WRITE_BYTES_PER_TURN {
                self.unfinished.push(link);
            }
        }
        (start.elapsed(), count)
    }

    /// Runs turns until nothing is left to send, and returns the time of each.
    fn run(&mut self) -> Vec<Duration> {
        let mut times = Vec::new();
        loop {
            let (time, count) = self.turn();
            times.push(time);
            if count == 0 && !self.surface.has_work(&self.node) {
                return times;
            }
        }
    }
}

/// Runs what `begin` asks for again and again, and prints the times of the turns.
fn measure(label: &str, bench: &mut Bench, begin: impl Fn(&mut Bench)) {
    let mut least: Vec<Duration> = Vec::new();
    let (mut longest, mut lengths) = (Duration::ZERO, Vec::new());
    for _ in 0..ROUNDS {
        begin(bench);
        let times = bench.run();
        longest = times.iter().copied().max().unwrap_or_default().max(longest);
        lengths.push(times.len());
        if least.is_empty() {
            least = times;
        } else {
            least.truncate(times.len());
            least.iter_mut().zip(times).for_each(|(least, time)| *least = time.min(*least));
        }
    }
    assert!(lengths.iter().all(|&length| length == lengths[0]), "other turns: {lengths:?}");
    let mut sorted = least.clone();
    sorted.sort_unstable();
    println!(
        "{label}: {} turns; busy for {:?} (median), {:?} (99th percentile), {:?} at most; the \
         longest of all {ROUNDS} rounds took {longest:?}",
        sorted.len(),
        sorted[sorted.len() / 2],
        sorted[sorted.len() * 99 / 100],
        sorted[sorted.len() - 1],
    );
}

fn main() {
    let mut bench = Bench::new();
    let sign_in = format!(r#"{{"do":"sign_in","token":"{TOKEN}"}}"#);
    let operator = bench.open_socket("/operator/ws", &sign_in);
    let chat = bench.open_socket("/ws", r#"{"do":"hello","name":"frodo"}"#);
    bench.run();
    let list_users = |bench: &mut Bench| bench.ask(operator, r#"{"do":"users","server":1}"#);
    let list = |bench: &mut Bench| bench.ask(chat, r#"{"do":"list"}"#);
    let scrape = |bench: &mut Bench| {
        bench.open("/metrics", &format!("Authorization: Bearer {TOKEN}\r\n"));
    };
    measure("operator's page", &mut bench, list_users);
    measure("chat page", &mut bench, list);
    measure("metrics", &mut bench, scrape);
    measure("all at once", &mut bench, |bench| {
        list_users(bench);
        list(bench);
        scrape(bench);
    });
}
