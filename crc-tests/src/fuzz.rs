//! What must hold for any bytes at all: the bodies of the fuzz targets in `fuzz/`, which the tests
//! run over the corpus that the targets have found.

use std::collections::BTreeSet;
use std::time::Duration;

use crc::doors::Door;
use crc::doors::assembly::Assembly;
use crc::doors::crc::wire as crc_wire;
use crc::limits::{FRAME_BYTES_MAX, Limits};
use crc::node::{Action, Node};
use crc::relay::message::{HostId, Kind, Message};
use crc::relay::{CloseReason, FirstLink, Identity, LinkId, Time};

use crate::frames;

/// The CRC codec: whatever parses is encoded to the same bytes, and a stream cut after each byte
/// gives the same frames and the same error as the whole.
///
/// # Panics
/// If not.
pub fn wire(bytes: &[u8]) {
    let len_of = |bytes: &[u8]| crc_wire::frame_len(bytes, FRAME_BYTES_MAX);
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut assembly, mut read) = (Assembly::default(), Vec::new());
        for piece in pieces {
            let result = assembly.feed(piece, len_of, |frame| {
                assert_eq!(frames::frame(&crc_wire::message(frame)), frame);
                read.push(frame.to_vec());
                true
            });
            if let Err(error) = result {
                return (read, Some(error));
            }
        }
        (read, None)
    };
    let whole = read(&mut std::iter::once(bytes));
    let cut = read(&mut bytes.chunks(1));
    assert_eq!(whole, cut);
}

/// What one link has been told.
#[derive(Default)]
struct Told {
    assembly: Assembly,
    users: BTreeSet<HostId>,
    is_user: bool,
}

impl Told {
    fn hear(&mut self, bytes: &[u8]) {
        let Self { assembly, users, is_user } = self;
        let len_of = |bytes: &[u8]| crc_wire::frame_len(bytes, FRAME_BYTES_MAX);
        let result = assembly.feed(bytes, len_of, |frame| {
            match crc_wire::message(frame) {
                Message::Registration(told) if told.kind == Kind::User => {
                    assert!(users.insert(told.source), "{} was told twice", told.source);
                }
                Message::Registration(_) => assert!(!*is_user, "a user heard of a server"),
                Message::ClientQuit { source, .. } => {
                    assert!(users.remove(&source), "{source} quit and was never told");
                }
                Message::ServerQuit { .. } => panic!("plain hosts die of this"),
                Message::Chat { .. } | Message::Status { .. } => {}
            }
            true
        });
        result.expect("frames of the protocol");
    }
}

/// A node with up to eight links on which anything may be said, which may end, and which may read
/// slowly, while time passes. The bytes say what happens.
///
/// # Panics
/// If it does, or if it keeps a way over a link that is gone, or tells a link of a user twice, or of
/// a user's end but not of its beginning.
pub fn node(mut script: &[u8]) {
    let own = Identity { id: HostId(1), id_is_chosen: false, name: b"n".to_vec(), info: vec![] };
    let mut node = Node::new(own, 1, Limits::default(), 1);
    let mut now = Time::default();
    let mut links: [Option<(LinkId, Told)>; 8] = Default::default();
    while let Some((&act, rest)) = script.split_first() {
        script = rest;
        let place = usize::from(act & 7);
        match (act >> 3, &mut links[place]) {
            (0, slot @ Some(_)) => {
                let (link, _) = slot.take().expect("it is there");
                node.closed(now, link, &CloseReason::PeerClosed);
            }
            (1, _) => now = now + Duration::from_millis(u64::from(take(&mut script, 1)[0]) * 100),
            (2, Some((link, told))) => {
                // It reads a little.
                let count = node.unsent(*link).len().min(usize::from(take(&mut script, 1)[0]));
                told.hear(&node.unsent(*link)[..count]);
                node.sent(*link, count);
            }
            (3, Some((link, told))) => {
                while !node.unsent(*link).is_empty() {
                    told.hear(node.unsent(*link));
                    node.sent(*link, node.unsent(*link).len());
                }
            }
            (count, Some((link, _))) => node.receive(now, *link, take(&mut script, count.into())),
            (_, slot @ None) => {
                *slot = Some((node.accepted(now, Door::Crc, None), Told::default()));
            }
        }
        node.advance(now);
        while let Some(action) = node.poll_action() {
            match action {
                // The parent is played by a link like the others, if there is room for it.
                Action::Dial { link, .. } => match links.iter_mut().find(|slot| slot.is_none()) {
                    Some(slot) => {
                        *slot = Some((link, Told::default()));
                        node.dialled(now, link, None);
                    }
                    None => node.closed(now, link, &CloseReason::PeerClosed),
                },
                Action::Close { link, reason } => {
                    node.closed(now, link, &reason);
                    for slot in &mut links {
                        if slot.as_ref().is_some_and(|(id, _)| *id == link) {
                            *slot = None;
                        }
                    }
                }
                Action::Resume { .. } | Action::Mail(_) => {}
                Action::Shutdown => unreachable!("nobody stops it"),
            }
        }
        for (link, told) in links.iter_mut().flatten() {
            told.is_user |= node.relay().adjacent(*link).is_some_and(|h| h.kind == Kind::User);
        }
        for host in node.relay().hosts().iter() {
            let FirstLink::Link(first) = host.first_link else { continue };
            let is_live = links.iter().flatten().any(|(link, _)| *link == first);
            assert!(is_live, "the way to {} is over a link that is gone", host.id);
            assert!(host.id.is_registrable() && host.id != node.relay().own().id);
        }
    }
}

/// The next bytes of the script, as many as there are; never none.
fn take<'a>(script: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = script.split_at(count.min(script.len()));
    *script = rest;
    if taken.is_empty() { &[0] } else { taken }
}
