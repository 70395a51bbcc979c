//! Requests whose heads come a byte at a time, and never to their end ("slowloris").

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Shared, socket};

/// Pause between two bytes of a connection.
const BYTE_INTERVAL: Duration = Duration::from_millis(500);

/// Time after which a server that has not closed a connection never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a head begins with; then its last header goes on and on.
const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";

/// A connection, and how many bytes it has sent.
struct Slow {
    stream: TcpStream,
    connected_at: Instant,
    sent: usize,
}

/// When the server has closed the connections of an attack, from when each was connected.
#[derive(Clone, Copy, Debug)]
pub(in crate::load) struct Closings {
    pub(in crate::load) count: u64,
    pub(in crate::load) first: Duration,
    pub(in crate::load) last: Duration,
}

impl Default for Closings {
    fn default() -> Self {
        Self { count: 0, first: Duration::MAX, last: Duration::ZERO }
    }
}

impl Closings {
    fn add(&mut self, after: Duration) {
        self.count += 1;
        self.first = self.first.min(after);
        self.last = self.last.max(after);
    }
}

/// Connects, and sends a byte of each now and then, until the server has closed all.
pub(super) fn run(shared: &Shared) {
    let must_end = || shared.must_end.load(Ordering::Relaxed);
    let started_at = Instant::now();
    let mut connections = Vec::new();
    let mut next_sweep = started_at;
    let mut is_complete = false;
    while !must_end() && started_at.elapsed() < PATIENCE {
        if !is_complete && shared.next().is_some() {
            let Some(stream) = socket::connect(shared.address, must_end) else { break };
            let _ = stream.set_nonblocking(true);
            connections.push(Slow { stream, connected_at: Instant::now(), sent: 0 });
        } else {
            is_complete = true;
            if connections.is_empty() {
                break;
            }
            std::thread::park_timeout(next_sweep.saturating_duration_since(Instant::now()));
        }
        if Instant::now() >= next_sweep {
            next_sweep = Instant::now() + BYTE_INTERVAL;
            sweep(shared, &mut connections);
        }
    }
    shared.hold_until_close();
}

/// Sends a byte of each connection, and drops those that the server has closed.
fn sweep(shared: &Shared, connections: &mut Vec<Slow>) {
    connections.retain_mut(|slow| {
        let byte = HEAD.get(slow.sent).copied().unwrap_or(b'x');
        slow.sent += 1;
        let is_written = slow.stream.write_all(&[byte]).is_ok();
        let is_open = is_written && !is_closed(&mut slow.stream);
        if !is_open {
            let mut closings = shared.closings.lock().expect("no thread panics");
            closings.add(slow.connected_at.elapsed());
        }
        is_open
    });
}

fn is_closed(stream: &mut TcpStream) -> bool {
    // An answer, such as that the request took too long, precedes the end.
    match stream.read(&mut [0; 1024]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}
