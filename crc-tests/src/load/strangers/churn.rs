//! Users that leave and join while as many are connected.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crc::wires::direct::codec;

use super::{Shared, socket};

/// Time in which the server has read what the first connections have sent.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// Connects users, and then replaces the oldest one by another until there were enough.
pub(super) fn run(shared: &Shared, thread: usize) {
    let mut echo = Vec::new();
    codec::encode_plain(0, 0, "here", &mut echo);
    let mut users: Vec<TcpStream> = Vec::new();
    let (mut oldest, mut is_first_round) = (0, true);
    while shared.next().is_some() {
        if users.len() == shared.at_a_time && std::mem::take(&mut is_first_round) {
            std::thread::park_timeout(SETTLE_TIME);
            if thread == 0 {
                shared.is_warm.store(true, Ordering::Relaxed);
            }
            std::thread::park_timeout(SETTLE_TIME);
        }
        let must_end = || shared.must_end.load(Ordering::Relaxed);
        if users.len() == shared.at_a_time {
            let _ = users[oldest].shutdown(std::net::Shutdown::Both);
        }
        let Some(mut stream) = socket::connect(shared.address, must_end) else { break };
        let _ = stream.write_all(&echo);
        if users.len() < shared.at_a_time {
            users.push(stream);
        } else {
            users[oldest] = stream;
            oldest = (oldest + 1) % shared.at_a_time;
        }
    }
    std::thread::park_timeout(SETTLE_TIME);
    shared.hold_until_close();
}
