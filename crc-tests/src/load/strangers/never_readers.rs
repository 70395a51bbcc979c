//! Users that do not read, and one that sends to them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::{Shared, socket};
use crate::frames;

/// First id of those that do not read.
const FIRST_ID: u32 = 0x7100_0000;

/// Id of the user who sends to them.
const SENDER_ID: u32 = 0x7200_0000;

/// Text of each chat, in bytes.
const TEXT_BYTES: usize = 8 * 1024;

/// Chats to each of them: more than a connection and the queue of a client hold.
const ROUNDS: usize = 400;

/// The first thread connects those that do not read, the second sends to them.
pub(super) fn run(shared: &Shared, thread: usize) {
    let must_end = || shared.must_end.load(Ordering::Relaxed);
    if thread == 0 {
        let mut readers: Vec<TcpStream> = Vec::new();
        while let Some(number) = shared.next() {
            let Some(mut stream) = socket::connect(shared.address, must_end) else { break };
            let _ = set_socket_recv_buffer_size(&stream, 4096);
            let id = FIRST_ID + number as u32;
            let registration = frames::user_that_reads_cut_frames(id, "deaf", "");
            let _ = stream.write_all(&registration);
            readers.push(stream);
        }
        shared.hold_until_close();
        return;
    }
    while shared.connections.load(Ordering::Relaxed) < shared.connections_max && !must_end() {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    if let Some(stream) = socket::connect(shared.address, must_end) {
        send_to_all(shared, stream, must_end);
    }
    shared.hold_until_close();
}

fn send_to_all(shared: &Shared, mut stream: TcpStream, must_end: impl Fn() -> bool) {
    let registration = frames::user_that_reads_cut_frames(SENDER_ID, "sender", "");
    let _ = stream.write_all(&registration);
    let _ = stream.set_read_timeout(Some(Duration::from_millis(1)));
    let text = "x".repeat(TEXT_BYTES);
    let mut answers = vec![0; 1024 * 1024];
    for _ in 0..ROUNDS {
        for number in 0..shared.connections_max {
            shared.wait_for_turn();
            let id = FIRST_ID + number as u32;
            if must_end() || stream.write_all(&frames::chat(SENDER_ID, id, &text)).is_err() {
                return;
            }
            if number.is_multiple_of(64) {
                let _ = stream.read(&mut answers); // who is gone is unknown
            }
        }
    }
}
