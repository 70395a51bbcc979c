//! The fuzz target of a node.

use std::collections::BTreeSet;
use std::time::Duration;

use crc::id::HostId;
use crc::limits::{FRAME_BYTES_MAX, Limits};
use crc::link::frame_decoder::FrameDecoder;
use crc::link::{CloseReason, LinkId, Machine as _, Origin, Time};
use crc::mail::StoreRequest;
use crc::mail::store::MemoryMailbox;
use crc::node::{Action, Node};
use crc::relay::message::{HostKind, Message};
use crc::relay::{FirstLink, Identity};
use crc::wires::Wire;
use crc::wires::classic::codec as classic_wire;
use crc::wires::crc::codec as crc_wire;
use crc::wires::direct::codec as direct_wire;

use super::take_bytes;

/// The receiving end of a link, which checks the frames sent to it.
struct LinkObserver {
    wire: Wire,
    decoder: FrameDecoder,
    users: BTreeSet<HostId>,
    is_user_link: bool,
}

impl LinkObserver {
    fn new(wire: Wire) -> Self {
        Self { wire, decoder: FrameDecoder::default(), users: BTreeSet::new(), is_user_link: false }
    }

    fn receive(&mut self, bytes: &[u8]) {
        let Self { wire, decoder, users, is_user_link } = self;
        match wire.name() {
            "crc" => {}
            "direct" => {
                let len_of = |bytes: &[u8]| direct_wire::frame_len(bytes, 2 * FRAME_BYTES_MAX);
                let check_frame = |frame: &[u8]| {
                    assert!(direct_wire::parse_frame(frame).is_ok());
                    true
                };
                return decoder.decode(bytes, len_of, check_frame).expect("frames of the wire");
            }
            _ => {
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
                        "{} was announced twice",
                        registration.source
                    );
                }
                Message::Registration(_) => {
                    assert!(!*is_user_link, "a server was announced to a user");
                }
                Message::ClientQuit { source, .. } => {
                    assert!(users.remove(&source), "{source} quit and was never announced");
                }
                Message::ServerQuit { .. } => {
                    panic!("a server quit was sent without the extension")
                }
                Message::Chat { .. } | Message::Status { .. } => {}
            }
            true
        });
        result.expect("frames of the protocol");
    }
}

/// Runs a node with up to eight links of any wire. The script decides which bytes arrive, which
/// links open, close and read slowly, and how time passes.
///
/// # Panics
/// If the node panics, breaks one of its relations, keeps a route over a closed link, announces a
/// user twice to a link, or the quit of a user that it had not announced.
pub fn node(script: &[u8]) {
    NodeFuzz::new(&Limits::default()).run(script);
    // By default announcements are batched only for many users.
    let announce_batch_delay_min = Duration::from_millis(200);
    let limits =
        Limits { announce_batch_users_min: 0, announce_batch_delay_min, ..Limits::default() };
    NodeFuzz::new(&limits).run(script);
}

/// A node, its links and its mail store.
struct NodeFuzz {
    node: Node,
    now: Time,
    links: [Option<(LinkId, LinkObserver)>; 8],
    store: MemoryMailbox,
    /// Requests that the store handles after the next step.
    requests: Vec<StoreRequest>,
}

impl NodeFuzz {
    fn new(limits: &Limits) -> Self {
        let identity =
            Identity { id: HostId(1), is_id_configured: false, name: b"n".to_vec(), info: vec![] };
        Self {
            node: Node::new(identity, 1, *limits, 1),
            now: Time::default(),
            links: Default::default(),
            store: MemoryMailbox::new(),
            requests: Vec::new(),
        }
    }

    fn run(&mut self, mut script: &[u8]) {
        while let Some((&opcode, rest)) = script.split_first() {
            script = rest;
            self.step(opcode, &mut script);
            for request in std::mem::take(&mut self.requests) {
                self.store.request(request);
                while let Some(reply) = self.store.poll() {
                    self.node.on_store_reply(self.now, reply);
                }
            }
            self.node.advance(self.now);
            while self.node.poll_unsent().is_some() {}
            while let Some(action) = self.node.poll_action() {
                self.apply_action(action);
            }
            self.assert_invariants();
        }
    }

    /// Runs one opcode: three bits of link index, and five bits of operation.
    fn step(&mut self, opcode: u8, script: &mut &[u8]) {
        let Self { node, now, links, .. } = self;
        match (opcode >> 3, &mut links[usize::from(opcode & 7)]) {
            (0, slot @ Some(_)) => {
                let (link, _) = slot.take().expect("an open link");
                node.closed(*now, link, &CloseReason::PeerClosed);
            }
            (1, _) => {
                *now = *now + Duration::from_millis(u64::from(take_bytes(script, 1)[0]) * 100);
            }
            (2, Some((link, observer))) => {
                let count = node.unsent(*link).len().min(usize::from(take_bytes(script, 1)[0]));
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
                node.receive(*now, *link, take_bytes(script, count.into()));
            }
            (operation, slot @ None) => {
                let wire = match operation {
                    29 => Wire::DIRECT,
                    30 => Wire::CLASSIC,
                    _ => Wire::CRC,
                };
                *slot = Some((node.open_link(*now, wire), LinkObserver::new(wire)));
            }
        }
    }

    fn apply_action(&mut self, action: Action) {
        let Self { node, now, links, .. } = self;
        match action {
            // The script plays the parent on a free link.
            Action::Dial { link, .. } | Action::DialAddress { link, .. } => {
                match links.iter_mut().find(|slot| slot.is_none()) {
                    Some(slot) => {
                        *slot = Some((link, LinkObserver::new(Wire::CRC)));
                        node.dialled(*now, link, &Origin::default());
                    }
                    None => node.closed(*now, link, &CloseReason::PeerClosed),
                }
            }
            Action::Close { link, reason } => {
                node.closed(*now, link, &reason);
                for slot in links {
                    if slot.as_ref().is_some_and(|(id, _)| *id == link) {
                        *slot = None;
                    }
                }
            }
            Action::Keepalive { .. } | Action::Resume { .. } => {}
            Action::Store(request) => self.requests.push(request),
            Action::Shutdown => unreachable!("no operator stops it"),
        }
    }

    fn assert_invariants(&mut self) {
        self.node.check();
        let relay = self.node.relay();
        for (link, observer) in self.links.iter_mut().flatten() {
            observer.is_user_link |=
                relay.adjacent_host(*link).is_some_and(|host| host.kind == HostKind::User);
        }
        for host in relay.hosts().iter() {
            let FirstLink::Link(first) = relay.first_link(host) else { continue };
            let is_open = self.links.iter().flatten().any(|(link, _)| *link == first);
            assert!(is_open, "the route to {} is over a closed link", host.id);
            assert!(host.id.is_registrable() && host.id != relay.identity().id);
        }
    }
}
