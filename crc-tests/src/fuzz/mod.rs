//! What must hold for any bytes at all: the bodies of the fuzz targets in `fuzz/`, which the tests
//! run over the corpus that the targets have found.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use crc::id::HostId;
use crc::limits::{
    FRAME_BYTES_MAX, Limits, PEER_RETAINED_BYTES_MAX, PEER_RETAINED_MESSAGES_MAX, PEERS_MAX,
};
use crc::link::frame_decoder::FrameDecoder;
use crc::link::{CloseReason, LinkId, ListenerId, Machine as _, Origin, Time};
use crc::mail::store::MemoryMailbox;
use crc::node::{Action, Node};
use crc::peer::{Action as PeerAction, Peer, wire as peer_wire};
use crc::relay::message::{HostKind, Message};
use crc::relay::{FirstLink, Identity};
use crc::wires::Wire;
use crc::wires::classic::codec as classic_wire;
use crc::wires::crc::codec as crc_wire;
use crc::wires::direct::codec as direct_wire;

use crate::frames;

/// The CRC codec: whatever parses is encoded to the same bytes, and a stream cut after each byte
/// gives the same frames and the same error as the whole.
///
/// # Panics
/// If not.
pub fn crc_codec(bytes: &[u8]) {
    let len_of = |bytes: &[u8]| crc_wire::frame_len(bytes, FRAME_BYTES_MAX);
    assert_same_frames_when_split(bytes, len_of, |frame| {
        assert_eq!(frames::encode(&crc_wire::parse_frame(frame)), frame);
        Some(frame.to_vec())
    });
}

/// A stream cut after each byte gives the same frames, as far as `understand` makes something of
/// them, and the same error as the whole.
fn assert_same_frames_when_split<T: PartialEq + Debug, E: PartialEq + Debug>(
    bytes: &[u8],
    len_of: impl Fn(&[u8]) -> Result<Option<usize>, E>,
    parse: impl Fn(&[u8]) -> Option<T>,
) {
    let decode_all = |chunks: &mut dyn Iterator<Item = &[u8]>| {
        let (mut decoder, mut parsed) = (FrameDecoder::default(), Vec::new());
        for piece in chunks {
            let result = decoder.decode(piece, &len_of, |frame| {
                parsed.extend(parse(frame));
                true
            });
            if let Err(error) = result {
                return (parsed, Some(error));
            }
        }
        (parsed, None)
    };
    assert_eq!(decode_all(&mut std::iter::once(bytes)), decode_all(&mut bytes.chunks(1)));
}

/// The direct codec: no bytes panic, what is understood is understood again after encoding, and a
/// stream cut after each byte gives the same messages and the same error as the whole.
///
/// # Panics
/// If not.
pub fn direct_codec(bytes: &[u8]) {
    let len_of = |bytes: &[u8]| direct_wire::frame_len(bytes, FRAME_BYTES_MAX);
    assert_same_frames_when_split(bytes, len_of, |frame| {
        let message = direct_wire::parse_frame(frame);
        if let Ok(message) = &message {
            let mut reencoded = Vec::new();
            direct_wire::encode(message, &mut reencoded);
            assert_eq!(direct_wire::parse_frame(&reencoded).as_ref(), Ok(message));
        }
        Some(message)
    });
}

/// The classic codec: the same.
///
/// # Panics
/// If not.
pub fn classic_codec(bytes: &[u8]) {
    assert_same_frames_when_split(bytes, classic_wire::frame_len, |frame| {
        classic_wire::parse_frame(frame).map(|message| {
            [classic_wire::Form::Padded, classic_wire::Form::Compact].map(|form| {
                let mut reencoded = Vec::new();
                classic_wire::encode(&message, form, &mut reencoded);
                assert_eq!(classic_wire::parse_frame(&reencoded), Some(message));
                reencoded
            })
        })
    });
    let joined: Vec<u8> =
        classic_wire::split_text(bytes, classic_wire::TEXT_BYTES_MAX).flatten().copied().collect();
    assert_eq!(joined, bytes);
    assert!(
        classic_wire::split_text(bytes, classic_wire::TEXT_BYTES_MAX)
            .all(|piece| piece.len() <= classic_wire::TEXT_BYTES_MAX)
    );
}

/// What one link has been told.
struct LinkObserver {
    door: Wire,
    decoder: FrameDecoder,
    users: BTreeSet<HostId>,
    is_user_link: bool,
}

impl LinkObserver {
    fn new(door: Wire) -> Self {
        Self { door, decoder: FrameDecoder::default(), users: BTreeSet::new(), is_user_link: false }
    }

    fn receive(&mut self, bytes: &[u8]) {
        let Self { door, decoder, users, is_user_link: is_user } = self;
        match door {
            Wire::Crc => {}
            Wire::Direct => {
                let len_of = |bytes: &[u8]| direct_wire::frame_len(bytes, 2 * FRAME_BYTES_MAX);
                let check_frame = |frame: &[u8]| {
                    assert!(direct_wire::parse_frame(frame).is_ok());
                    true
                };
                return decoder.decode(bytes, len_of, check_frame).expect("frames of the wire");
            }
            Wire::Classic => {
                let result = decoder.decode(bytes, classic_wire::frame_len, |_| true);
                return result.expect("frames of the wire");
            }
        }
        let len_of = |bytes: &[u8]| crc_wire::frame_len(bytes, FRAME_BYTES_MAX);
        let result = decoder.decode(bytes, len_of, |frame| {
            match crc_wire::parse_frame(frame) {
                Message::Registration(registration) if registration.kind == HostKind::User => {
                    assert!(
                        users.insert(registration.source),
                        "{} was told twice",
                        registration.source
                    );
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
    node_with_limits(&Limits::default(), script);
    // What users are told of newcomers is gathered where there are many, and here for however few.
    let gathered_for = Duration::from_millis(200);
    node_with_limits(
        &Limits {
            announce_batch_users_min: 0,
            announce_batch_delay_min: gathered_for,
            ..Limits::default()
        },
        script,
    );
}

fn node_with_limits(limits: &Limits, mut script: &[u8]) {
    let identity =
        Identity { id: HostId(1), is_id_configured: false, name: b"n".to_vec(), info: vec![] };
    let mut node = Node::new(identity, 1, *limits, 1);
    let mut now = Time::default();
    let mut links: [Option<(LinkId, LinkObserver)>; 8] = Default::default();
    let (mut store, mut requests) = (MemoryMailbox::new(), Vec::new());
    while let Some((&opcode, rest)) = script.split_first() {
        script = rest;
        let index = usize::from(opcode & 7);
        match (opcode >> 3, &mut links[index]) {
            (0, slot @ Some(_)) => {
                let (link, _) = slot.take().expect("it is there");
                node.closed(now, link, &CloseReason::PeerClosed);
            }
            (1, _) => {
                now = now + Duration::from_millis(u64::from(take_bytes(&mut script, 1)[0]) * 100);
            }
            (2, Some((link, observer))) => {
                // It reads a little.
                let count =
                    node.unsent(*link).len().min(usize::from(take_bytes(&mut script, 1)[0]));
                observer.receive(&node.unsent(*link)[..count]);
                node.sent(*link, count);
            }
            (3, Some((link, observer))) => {
                while !node.unsent(*link).is_empty() {
                    observer.receive(node.unsent(*link));
                    node.sent(*link, node.unsent(*link).len());
                }
            }
            (count, Some((link, _))) => {
                node.receive(now, *link, take_bytes(&mut script, count.into()));
            }
            (count, slot @ None) => {
                let door = match count {
                    29 => Wire::Direct,
                    30 => Wire::Classic,
                    _ => Wire::Crc,
                };
                *slot = Some((node.open_link(now, door), LinkObserver::new(door)));
            }
        }
        // The store answers when the next thing but one happens.
        for request in std::mem::take(&mut requests) {
            store.request(request);
            while let Some(reply) = store.poll() {
                node.on_store_reply(now, reply);
            }
        }
        node.advance(now);
        while node.poll_unsent().is_some() {}
        while let Some(action) = node.poll_action() {
            match action {
                // The parent is played by a link like the others, if there is room for it.
                Action::Dial { link, .. } => match links.iter_mut().find(|slot| slot.is_none()) {
                    Some(slot) => {
                        *slot = Some((link, LinkObserver::new(Wire::Crc)));
                        node.dialled(now, link, &Origin::default());
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
                Action::Store(request) => requests.push(request),
                Action::Shutdown => unreachable!("nobody stops it"),
            }
        }
        for (link, observer) in links.iter_mut().flatten() {
            observer.is_user_link |=
                node.relay().adjacent_host(*link).is_some_and(|h| h.kind == HostKind::User);
        }
        for host in node.relay().hosts().iter() {
            let FirstLink::Link(first) = host.first_link else { continue };
            let is_live = links.iter().flatten().any(|(link, _)| *link == first);
            assert!(is_live, "the way to {} is over a link that is gone", host.id);
            assert!(host.id.is_registrable() && host.id != node.relay().identity().id);
        }
    }
}

/// The next bytes of the script, as many as there are; never none.
fn take_bytes<'a>(script: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (bytes, rest) = script.split_at(count.min(script.len()));
    *script = rest;
    if bytes.is_empty() { &[0] } else { bytes }
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
    while let Some((&opcode, rest)) = script.split_first() {
        script = rest;
        let slot = &mut links[usize::from(opcode & 7)];
        match (opcode >> 3, *slot) {
            (0, Some(link)) => {
                peer.closed(now, link, &CloseReason::PeerClosed);
                *slot = None;
            }
            (1, _) => {
                now = now + Duration::from_millis(u64::from(take_bytes(&mut script, 1)[0]) * 100);
            }
            (2, _) => drop(peer.send(now, i64::from(take_bytes(&mut script, 1)[0]), "said")),
            (3, Some(link)) => peer.dialled(now, link, &Origin::default()),
            (_, None) => {
                *slot = Some(peer.accepted(now, ListenerId::default(), &Origin::default()))
            }
            (4, Some(link)) => {
                let len = usize::from(take_bytes(&mut script, 1)[0]);
                peer.receive(now, link, take_bytes(&mut script, len));
            }
            (_, Some(link)) => {
                // A frame of so many bytes, which need not be counted.
                let len = take_bytes(&mut script, 1)[0];
                peer.receive(now, link, &[0, 0, 0, len]);
                let mut body = take_bytes(&mut script, usize::from(len)).to_vec();
                body.resize(usize::from(len), 0);
                peer.receive(now, link, &body);
            }
        }
        peer.advance(now);
        assert!(peer.next_deadline().is_none_or(|at| at > now), "it has nothing left to do");
        while let Some(action) = peer.poll_action() {
            match action {
                PeerAction::Dial { link, .. } => match links.iter_mut().find(|l| l.is_none()) {
                    Some(free_slot) => *free_slot = Some(link),
                    None => peer.closed(now, link, &CloseReason::PeerClosed),
                },
                PeerAction::Close { link, reason } => {
                    peer.closed(now, link, &reason);
                    links.iter_mut().filter(|l| **l == Some(link)).for_each(|l| *l = None);
                }
                PeerAction::Resume { .. } => {}
                PeerAction::Shutdown => panic!("nobody stops it"),
            }
        }
        while let Some(link) = peer.poll_unsent() {
            let bytes = peer.unsent(link).to_vec();
            peer.sent(link, bytes.len());
            let mut decoder = FrameDecoder::default();
            let is_valid = |frame: &[u8]| matches!(peer_wire::parse(frame), Ok(Some(_)));
            decoder
                .decode(&bytes, peer_wire::frame_len, |frame| {
                    assert!(is_valid(frame), "it says what nobody understands: {frame:02x?}");
                    true
                })
                .expect("whole frames");
            assert!(!decoder.has_partial_frame());
        }
        while peer.poll_event().is_some() {}
        let gauges = peer.gauges();
        assert!(gauges.links <= 8 && gauges.retained_messages <= PEER_RETAINED_MESSAGES_MAX);
        assert!(gauges.peers <= PEERS_MAX && gauges.retained_bytes <= PEER_RETAINED_BYTES_MAX);
    }
}
