//! Durable messages per second, and the latency of chat meanwhile: `cargo bench --bench mail`.
//!
//! Starts the server binary with its mailbox in `target`, on the disk to be measured. Two CRC users
//! send one message back and forth; direct clients send mail as fast as it is stored. Rounds with
//! different numbers of senders alternate. Medians are printed.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crc::wires::crc::codec as crc_wire;
use crc::wires::direct::codec;
use crc_tests::frames::{chat, user};

const ROUNDS: usize = 5;
const ROUND_TIME: Duration = Duration::from_secs(3);
/// Messages between two echoes. An echo means that all before it are on disk.
const BATCH_MESSAGES: u64 = 50;
/// Types of CRC frames.
const STATUS: u8 = 0x01;
const CHAT: u8 = 0x81;
/// An id that no user has.
const UNKNOWN_ID: i64 = 999;

struct Server {
    child: Child,
    crc_address: String,
    direct_address: String,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_crc"))
            .args(["server", "--id", "1", "--listen", "127.0.0.1:0", "--direct", "127.0.0.1:0"])
            .args([
                "--mail-messages",
                "1000000000",
                "--mail-bytes",
                "100000000000",
                "--log",
                "warn",
            ])
            .arg("--mailbox")
            .arg(folder.join("mail"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdout = child.stdout.take().expect("piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let mut address = |wire_name: &str| {
            let line = lines.next().expect("a line per listener");
            line.strip_prefix(&format!("listening {wire_name} ")).expect(wire_name).to_owned()
        };
        let (crc_address, direct_address) = (address("crc"), address("direct"));
        Self { child, crc_address, direct_address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// A CRC user.
struct User {
    stream: TcpStream,
    received: Vec<u8>,
}

impl User {
    fn join(server: &Server, id: u32) -> Self {
        let mut stream = connect(&server.crc_address);
        stream.write_all(&user(id, "user", "")).expect("it reads");
        let mut user = Self { stream, received: Vec::new() };
        user.read_until(STATUS); // the welcome
        user
    }

    /// Reads up to the next frame of a type, past registrations and quits.
    fn read_until(&mut self, frame_type: u8) {
        loop {
            let len = crc_wire::frame_len(&self.received, usize::MAX).expect("a frame");
            if let Some(len) = len.filter(|&len| len <= self.received.len()) {
                if self.received.drain(..len).next() == Some(frame_type) {
                    return;
                }
                continue;
            }
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).expect("more to come");
            assert!(count > 0, "the server has closed");
            self.received.extend_from_slice(&buffer[..count]);
        }
    }
}

/// Sends a message back and forth until the round is over. Returns the round-trip times.
fn measure_round_trips([one, two]: &mut [User; 2], is_done: &AtomicBool) -> Vec<Duration> {
    let (there, back) = (chat(101, 102, "0123456789abcdef"), chat(102, 101, "0123456789abcdef"));
    let mut round_trips = Vec::new();
    while !is_done.load(Ordering::Relaxed) {
        let start = Instant::now();
        one.stream.write_all(&there).expect("it reads");
        two.read_until(CHAT);
        two.stream.write_all(&back).expect("it reads");
        one.read_until(CHAT);
        round_trips.push(start.elapsed());
    }
    round_trips
}

/// Sends mail until the round is over. Returns the number of messages on disk.
fn send_mail(address: &str, text: &str, is_done: &AtomicBool) -> u64 {
    let stream = connect(address);
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut read_frame = || {
        let mut len = [0; 4];
        reader.read_exact(&mut len).expect("a frame");
        let mut body = vec![0; u32::from_be_bytes(len) as usize];
        reader.read_exact(&mut body).expect("a frame");
        body
    };
    read_frame(); // the handshake
    let mut batch = Vec::new();
    for _ in 0..BATCH_MESSAGES {
        codec::encode_plain(0, UNKNOWN_ID, text, &mut batch);
    }
    codec::encode_plain(0, 0, "kept", &mut batch);
    let mut stored = 0;
    while !is_done.load(Ordering::Relaxed) {
        (&stream).write_all(&batch).expect("it reads");
        assert!(read_frame().ends_with(b"kept"), "no message is refused");
        stored += BATCH_MESSAGES;
    }
    stored
}

fn quantile(durations: &mut [Duration], fraction: f64) -> Duration {
    durations.sort_unstable();
    durations[((durations.len() - 1) as f64 * fraction) as usize]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs a round. Returns the messages stored per second, and quantiles of the latency of chat.
fn run_round(server: &Server, pair: &mut [User; 2], senders: usize) -> [f64; 4] {
    let text = "x".repeat(64);
    let is_done = AtomicBool::new(false);
    let (stored, mut round_trips) = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..senders)
            .map(|_| scope.spawn(|| send_mail(&server.direct_address, &text, &is_done)))
            .collect();
        let chat_thread = scope.spawn(|| measure_round_trips(pair, &is_done));
        std::thread::sleep(ROUND_TIME);
        is_done.store(true, Ordering::Relaxed);
        let kept: u64 = senders.into_iter().map(|sender| sender.join().expect("kept")).sum();
        (kept, chat_thread.join().expect("measured"))
    });
    let micros = |span: Duration| span.as_secs_f64() * 1e6 / 2.0; // a round trip is two chats
    let quantiles = [0.5, 0.99, 0.999].map(|part| micros(quantile(&mut round_trips, part)));
    [stored as f64 / ROUND_TIME.as_secs_f64(), quantiles[0], quantiles[1], quantiles[2]]
}

fn main() {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let folder = tempfile::tempdir_in(target).expect("a folder on the disk to be measured");
    let server = Server::start(folder.path());
    let mut pair = [101, 102].map(|id| User::join(&server, id));
    let counts = [0, 1, 10, 100];
    let mut rows = vec![Vec::new(); counts.len()];
    for _ in 0..ROUNDS {
        for (count, rows) in counts.iter().zip(&mut rows) {
            rows.push(run_round(&server, &mut pair, *count));
        }
    }
    println!("medians of {ROUNDS} rounds of {ROUND_TIME:?} each, interleaved; mail of 64 bytes");
    println!("senders    kept/s   chat p50 µs   p99 µs   p99.9 µs");
    for (count, rows) in counts.iter().zip(rows) {
        let [kept, p50, p99, p999] =
            [0, 1, 2, 3].map(|at| median(rows.iter().map(|row| row[at]).collect()));
        println!("{count:>7} {kept:>9.0} {p50:>13.1} {p99:>8.1} {p999:>10.1}");
    }
}
