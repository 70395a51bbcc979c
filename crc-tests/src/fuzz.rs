//! What must hold for any bytes at all: the bodies of the fuzz targets in `fuzz/`, which the tests
//! run over the corpus that the targets have found.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use crc::doors::Door;
use crc::doors::assembly::Assembly;
use crc::doors::classic::wire as classic_wire;
use crc::doors::crc::wire as crc_wire;
use crc::doors::direct::wire as direct_wire;
use crc::limits::{
    FRAME_BYTES_MAX, Limits, PEER_KEPT_BYTES_MAX, PEER_KEPT_MESSAGES_MAX, PEERS_MAX,
};
use crc::mailbox::Memory;
use crc::node::{Action, Node};
use crc::peer::{Action as PeerAction, Peer, wire as peer_wire};
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
    assert_read_alike(bytes, len_of, |frame| {
        assert_eq!(frames::frame(&crc_wire::message(frame)), frame);
        Some(frame.to_vec())
    });
}

/// A stream cut after each byte gives the same frames, as far as `understand` makes something of
/// them, and the same error as the whole.
fn assert_read_alike<T: PartialEq + Debug, E: PartialEq + Debug>(
    bytes: &[u8],
    len_of: impl Fn(&[u8]) -> Result<Option<usize>, E>,
    understand: impl Fn(&[u8]) -> Option<T>,
) {
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut assembly, mut read) = (Assembly::default(), Vec::new());
        for piece in pieces {
            let result = assembly.feed(piece, &len_of, |frame| {
                read.extend(understand(frame));
                true
            });
            if let Err(error) = result {
                return (read, Some(error));
            }
        }
        (read, None)
    };
    assert_eq!(read(&mut std::iter::once(bytes)), read(&mut bytes.chunks(1)));
}

/// The direct codec: no bytes panic, what is understood is understood again after encoding, and a
/// stream cut after each byte gives the same messages and the same error as the whole.
///
/// # Panics
/// If not.
pub fn direct(bytes: &[u8]) {
    let len_of = |bytes: &[u8]| direct_wire::frame_len(bytes, FRAME_BYTES_MAX);
    assert_read_alike(bytes, len_of, |frame| {
        let message = direct_wire::message(frame);
        if let Ok(message) = &message {
            let mut again = Vec::new();
            direct_wire::encode(message, &mut again);
            assert_eq!(direct_wire::message(&again).as_ref(), Ok(message));
        }
        Some(message)
    });
}

/// The classic codec: the same.
///
/// # Panics
/// If not.
pub fn classic(bytes: &[u8]) {
    assert_read_alike(bytes, classic_wire::frame_len, |frame| {
        classic_wire::message(frame).map(|message| {
            [classic_wire::Form::Full, classic_wire::Form::Short].map(|form| {
                let mut again = Vec::new();
                classic_wire::encode(&message, form, &mut again);
                assert_eq!(classic_wire::message(&again), Some(message));
                again
            })
        })
    });
    let joined: Vec<u8> =
        classic_wire::pieces(bytes, classic_wire::TEXT_BYTES_MAX).flatten().copied().collect();
    assert_eq!(joined, bytes);
    assert!(
        classic_wire::pieces(bytes, classic_wire::TEXT_BYTES_MAX)
            .all(|piece| piece.len() <= classic_wire::TEXT_BYTES_MAX)
    );
}

/// What one link has been told.
struct Told {
    door: Door,
    assembly: Assembly,
    users: BTreeSet<HostId>,
    is_user: bool,
}

impl Told {
    fn by(door: Door) -> Self {
        Self { door, assembly: Assembly::default(), users: BTreeSet::new(), is_user: false }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let Self { door, assembly, users, is_user } = self;
        match door {
            Door::Crc => {}
            Door::Direct => {
                let len_of = |bytes: &[u8]| direct_wire::frame_len(bytes, 2 * FRAME_BYTES_MAX);
                let each = |frame: &[u8]| {
                    assert!(direct_wire::message(frame).is_ok());
                    true
                };
                return assembly.feed(bytes, len_of, each).expect("frames of the wire");
            }
            Door::Classic => {
                let result = assembly.feed(bytes, classic_wire::frame_len, |_| true);
                return result.expect("frames of the wire");
            }
        }
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

/// A node with up to eight links, through any door, on which anything may be said, which may end, and which may read
/// slowly, while time passes. The bytes say what happens.
///
/// # Panics
/// If it does, or if it keeps a way over a link that is gone, or tells a link of a user twice, or of
/// a user's end but not of its beginning.
pub fn node(script: &[u8]) {
    node_within(&Limits::default(), script);
    // What users are told of newcomers is gathered where there are many, and here for however few.
    let gathered_for = Duration::from_millis(200);
    node_within(&Limits { gathered_users_min: 0, gathered_for, ..Limits::default() }, script);
}

fn node_within(limits: &Limits, mut script: &[u8]) {
    let own = Identity { id: HostId(1), id_is_chosen: false, name: b"n".to_vec(), info: vec![] };
    let mut node = Node::new(own, 1, *limits, 1);
    let mut now = Time::default();
    let mut links: [Option<(LinkId, Told)>; 8] = Default::default();
    let (mut store, mut asked) = (Memory::new(), Vec::new());
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
            (count, slot @ None) => {
                let door = match count {
                    29 => Door::Direct,
                    30 => Door::Classic,
                    _ => Door::Crc,
                };
                *slot = Some((node.accepted(now, door, None), Told::by(door)));
            }
        }
        // The store answers when the next thing but one happens.
        for request in std::mem::take(&mut asked) {
            store.request(request);
            while let Some(reply) = store.poll() {
                node.mail_replied(now, reply);
            }
        }
        node.advance(now);
        while node.poll_unsent().is_some() {}
        while let Some(action) = node.poll_action() {
            match action {
                // The parent is played by a link like the others, if there is room for it.
                Action::Dial { link, .. } => match links.iter_mut().find(|slot| slot.is_none()) {
                    Some(slot) => {
                        *slot = Some((link, Told::by(Door::Crc)));
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
                Action::Resume { .. } => {}
                Action::Mail(request) => asked.push(request),
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

/// A peer with up to eight links, accepted and dialled, on which anything may be said, while time
/// passes. What it says is of its own wire, and its sets stay within their bounds.
///
/// # Panics
/// If it does, or they do not.
pub fn peer(mut script: &[u8]) {
    let mut peer = Peer::new(Some(5), 2, Duration::from_secs(1_800_000_000), 1);
    let mut now = Time::default();
    let mut links: [Option<LinkId>; 8] = Default::default();
    while let Some((&act, rest)) = script.split_first() {
        script = rest;
        let slot = &mut links[usize::from(act & 7)];
        match (act >> 3, *slot) {
            (0, Some(link)) => {
                peer.closed(now, link, &CloseReason::PeerClosed);
                *slot = None;
            }
            (1, _) => now = now + Duration::from_millis(u64::from(take(&mut script, 1)[0]) * 100),
            (2, _) => drop(peer.say(now, i64::from(take(&mut script, 1)[0]), "said")),
            (3, Some(link)) => peer.dialled(now, link, None),
            (_, None) => *slot = Some(peer.accepted(now, None)),
            (4, Some(link)) => {
                let len = usize::from(take(&mut script, 1)[0]);
                peer.receive(now, link, take(&mut script, len));
            }
            (_, Some(link)) => {
                // A frame of so many bytes, which need not be counted.
                let len = take(&mut script, 1)[0];
                peer.receive(now, link, &[0, 0, 0, len]);
                let mut body = take(&mut script, usize::from(len)).to_vec();
                body.resize(usize::from(len), 0);
                peer.receive(now, link, &body);
            }
        }
        peer.advance(now);
        assert!(peer.next_deadline().is_none_or(|at| at > now), "it has nothing left to do");
        while let Some(action) = peer.poll_action() {
            match action {
                PeerAction::Dial { link, .. } => match links.iter_mut().find(|l| l.is_none()) {
                    Some(free) => *free = Some(link),
                    None => peer.closed(now, link, &CloseReason::PeerClosed),
                },
                PeerAction::Close { link, reason } => {
                    peer.closed(now, link, &reason);
                    links.iter_mut().filter(|l| **l == Some(link)).for_each(|l| *l = None);
                }
                PeerAction::Shutdown => panic!("nobody stops it"),
            }
        }
        while let Some(link) = peer.poll_unsent() {
            let bytes = peer.unsent(link).to_vec();
            peer.sent(link, bytes.len());
            let mut assembly = Assembly::default();
            let each = |frame: &[u8]| matches!(peer_wire::parse(frame), Ok(Some(_)));
            assembly
                .feed(&bytes, peer_wire::frame_len, |frame| {
                    assert!(each(frame), "it says what nobody understands: {frame:02x?}");
                    true
                })
                .expect("whole frames");
            assert!(!assembly.is_mid_frame());
        }
        while peer.poll_event().is_some() {}
        let gauges = peer.gauges();
        assert!(gauges.links <= 8 && gauges.kept_messages <= PEER_KEPT_MESSAGES_MAX);
        assert!(gauges.peers <= PEERS_MAX && gauges.kept_bytes <= PEER_KEPT_BYTES_MAX);
    }
}
