//! The fuzz target of the IRC wire: its lines, and what a server sends for them.

use std::time::Duration;

use crc::id::HostId;
use crc::limits::Limits;
use crc::link::{Machine as _, Time};
use crc::node::Node;
use crc::relay::Identity;
use crc::wires::Wire;

use super::codecs::irc_codec;
use super::pump::pump;
use crate::frames;

/// What precedes the input, unless it is the beginning.
const REGISTRATION: &[u8] = b"CAP REQ :batch echo-message labeled-response message-tags \
    userhost-in-names\r\nNICK frodo\r\nUSER frodo 0 * :Frodo\r\nCAP END\r\nJOIN #lab\r\n";

/// Checks that a server sends the same over an IRC connection, and ends it likewise, however the
/// input is cut, that it sends whole lines of UTF-8, and what [`super::codecs`] checks. An odd
/// first byte lets a client register and join a room before.
///
/// # Panics
/// If a check fails.
pub fn irc(bytes: &[u8]) {
    let Some((&start, rest)) = bytes.split_first() else { return };
    irc_codec(rest);
    let stream = if start % 2 == 1 { [REGISTRATION, rest].concat() } else { rest.to_vec() };
    let whole = play(&mut std::iter::once(&stream[..]));
    for (size, what) in [(1, "byte by byte"), (7, "in pieces")] {
        let cut = play(&mut stream.chunks(size));
        let lines = [&cut, &whole].map(|(sent, is_ended)| (lines_of_commands(sent), *is_ended));
        assert_eq!(lines[0], lines[1], "{what}");
    }
    let text = std::str::from_utf8(&whole.0).expect("UTF-8");
    assert!(text.is_empty() || text.ends_with("\r\n"));
    for line in text.split_terminator("\r\n") {
        assert!(!line.is_empty() && !line.contains(['\r', '\n', '\0']), "{line:?}");
        let body =
            if line.starts_with('@') { line.split_once(' ').expect("a body").1 } else { line };
        assert!(body.len() <= 510, "{line:?}");
    }
}

/// Returns the lines that were sent without those about watched nicks: a client is sent them at the
/// end of a turn, and for a nick that has left and come back within one, none.
fn lines_of_commands(sent: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(sent);
    let is_of_command = |line: &&str| !line.contains(" 730 ") && !line.contains(" 731 ");
    text.split_inclusive('\n').filter(is_of_command).map(str::to_owned).collect()
}

/// Returns what a server sends to the client, and whether it ends the connection. A CRC user is
/// there, too.
fn play(pieces: &mut dyn Iterator<Item = &[u8]>) -> (Vec<u8>, bool) {
    let identity =
        Identity { id: HostId(1), is_id_configured: true, name: b"one".to_vec(), info: vec![] };
    let mut node = Node::new(identity, 0, Limits::default(), 1);
    let now = Time::default(); // it stands still, since replies have it
    let sam = node.open_link(now, Wire::CRC);
    node.receive(
        now,
        sam,
        &[frames::user(102, "sam", ""), frames::chat(102, 1, "/join #lab")].concat(),
    );
    let link = node.open_link(now, Wire::IRC);
    let sent = pump(&mut node, link, pieces, Duration::ZERO);
    (sent, !node.is_open(link))
}
