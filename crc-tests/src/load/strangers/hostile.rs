//! Connections that send bad bytes, half frames, false sources and nothing.

use std::io::{Read as _, Write as _};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Shared, socket};
use crate::frames;

/// First id of those that strangers register.
const FIRST_ID: u32 = 0x7000_0000;

/// Time for which an answer is waited for now and then.
const PATIENCE: Duration = Duration::from_millis(20);

/// Makes connections until there are enough.
pub(super) fn run(shared: &Shared) {
    while let Some(number) = shared.next() {
        let must_end = || shared.must_end.load(Ordering::Relaxed);
        let Some(mut stream) = socket::connect(shared.address, must_end) else { break };
        let bytes = what_to_send(number);
        // The server may have closed the connection already.
        let _ = stream.write_all(&bytes);
        if number.is_multiple_of(64) {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let _ = stream.read(&mut [0; 256]);
        }
    }
    shared.hold_until_close();
}

/// Returns what a connection sends before it is reset.
fn what_to_send(number: u64) -> Vec<u8> {
    let id = FIRST_ID + (number % 0x1000_0000) as u32;
    match number % 8 {
        0 => Vec::new(),
        1 => b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        2 => frames::user(id, "half", "")[..7].to_vec(),
        3 => [&frames::chat(1, 2, "")[..9], &[0xff; 4]].concat(),
        4 => b"\x16\x03\x01\x02\0\x01".to_vec(),
        5 => (0..10).flat_map(|other| frames::chat(other, 1, "false")).collect(),
        6 => frames::user(1, "taken", "").repeat(4),
        _ => [frames::user(id, "brief", ""), frames::quit(id, "bye")].concat(),
    }
}
