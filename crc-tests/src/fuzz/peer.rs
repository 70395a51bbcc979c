//! The fuzz target of a peer of the serverless mode.

use std::time::Duration;

use crc::limits::{PEER_RETAINED_BYTES_MAX, PEER_RETAINED_MESSAGES_MAX, PEERS_MAX};
use crc::link::frame_decoder::FrameDecoder;
use crc::link::{CloseReason, LinkId, ListenerId, Machine as _, Origin, Time};
use crc::peer::{Action, Peer, wire};

use super::take_bytes;

/// Runs a peer with up to eight links, accepted and dialled. The script decides which bytes arrive
/// and how time passes.
///
/// # Panics
/// If the peer panics, sends an invalid frame, or exceeds a bound.
pub fn peer(script: &[u8]) {
    let peer = Peer::new(Some(5), 2, Duration::from_secs(1_800_000_000), 1);
    PeerFuzz { peer, now: Time::default(), links: Default::default() }.run(script);
}

/// A peer and its links.
struct PeerFuzz {
    peer: Peer,
    now: Time,
    links: [Option<LinkId>; 8],
}

impl PeerFuzz {
    fn run(&mut self, mut script: &[u8]) {
        while let Some((&opcode, rest)) = script.split_first() {
            script = rest;
            self.step(opcode, &mut script);
            self.peer.advance(self.now);
            let next_deadline = self.peer.next_deadline();
            assert!(next_deadline.is_none_or(|at| at > self.now), "a due timer did not run");
            while let Some(action) = self.peer.poll_action() {
                self.apply_action(action);
            }
            while let Some(link) = self.peer.poll_unsent() {
                self.read_all(link);
            }
            while self.peer.poll_event().is_some() {}
            let gauges = self.peer.gauges();
            assert!(gauges.links <= 8 && gauges.retained_messages <= PEER_RETAINED_MESSAGES_MAX);
            assert!(gauges.peers <= PEERS_MAX && gauges.retained_bytes <= PEER_RETAINED_BYTES_MAX);
        }
    }

    /// Runs one opcode: three bits of link index, and five bits of operation.
    fn step(&mut self, opcode: u8, script: &mut &[u8]) {
        let Self { peer, now, links } = self;
        let slot = &mut links[usize::from(opcode & 7)];
        match (opcode >> 3, *slot) {
            (0, Some(link)) => {
                peer.closed(*now, link, &CloseReason::PeerClosed);
                *slot = None;
            }
            (1, _) => {
                *now = *now + Duration::from_millis(u64::from(take_bytes(script, 1)[0]) * 100);
            }
            (2, _) => drop(peer.send(*now, i64::from(take_bytes(script, 1)[0]), "text")),
            (3, Some(link)) => peer.dialled(*now, link, &Origin::default()),
            (_, None) => {
                *slot = Some(peer.accepted(*now, ListenerId::default(), &Origin::default()));
            }
            (4, Some(link)) => {
                let len = usize::from(take_bytes(script, 1)[0]);
                peer.receive(*now, link, take_bytes(script, len));
            }
            (_, Some(link)) => {
                // A frame with a valid header.
                let len = take_bytes(script, 1)[0];
                peer.receive(*now, link, &[0, 0, 0, len]);
                let mut body = take_bytes(script, usize::from(len)).to_vec();
                body.resize(usize::from(len), 0);
                peer.receive(*now, link, &body);
            }
        }
    }

    fn apply_action(&mut self, action: Action) {
        let Self { peer, now, links } = self;
        match action {
            Action::Dial { link, .. } | Action::DialAddress { link, .. } => {
                match links.iter_mut().find(|slot| slot.is_none()) {
                    Some(free_slot) => *free_slot = Some(link),
                    None => peer.closed(*now, link, &CloseReason::PeerClosed),
                }
            }
            Action::Close { link, reason } => {
                peer.closed(*now, link, &reason);
                links.iter_mut().filter(|slot| **slot == Some(link)).for_each(|slot| *slot = None);
            }
            Action::Keepalive { .. } | Action::Resume { .. } => {}
            Action::Shutdown => unreachable!("no operator stops it"),
        }
    }

    /// Reads all that the peer sends on a link, which must be whole, valid frames.
    fn read_all(&mut self, link: LinkId) {
        let bytes = self.peer.unsent(link).to_vec();
        self.peer.sent(link, bytes.len());
        let mut decoder = FrameDecoder::default();
        let result = decoder.decode(&bytes, wire::frame_len, |frame| {
            assert!(matches!(wire::parse(frame), Ok(Some(_))), "an invalid frame: {frame:02x?}");
            true
        });
        result.expect("frames of the wire");
        assert!(!decoder.has_partial_frame());
    }
}
