//! Drives a server without sockets.

use std::time::Duration;

use crc::link::{LinkId, Machine as _, Time};
use crc::node::Node;

/// Turns of the loop after each read, at most.
const TURNS_MAX: u32 = 1000;

/// Lets a server handle pieces of what a client sends over a link. After each of them, all links
/// are written and timers run while any is due within the time of a turn. Returns what the client
/// is sent.
pub(super) fn pump(
    node: &mut Node,
    link: LinkId,
    pieces: &mut dyn Iterator<Item = &[u8]>,
    turn_time: Duration,
) -> Vec<u8> {
    let (mut now, mut sent) = (Time::default(), Vec::new());
    for piece in pieces {
        node.receive(now, link, piece);
        for _ in 0..TURNS_MAX {
            let mut is_done = true;
            while let Some(to) = node.poll_unsent() {
                let len = node.unsent(to).len();
                if to == link {
                    sent.extend_from_slice(node.unsent(to));
                }
                node.sent(to, len);
                is_done = false;
            }
            if node.next_deadline().is_some_and(|at| at.since(now) <= turn_time) {
                now = now + turn_time;
                node.advance(now);
                is_done = false;
            }
            if is_done {
                break;
            }
        }
        node.check();
    }
    sent
}
