//! What happens at the same time: servers that dial one another, and users that register one id.
//!
//! Drawn from seeds of their own, so that a scenario without them is the same as before they were
//! added.

use crc::id::HostId;
use crc::relay::extension::Frame;
use crc::relay::message::{HostKind, Message};
use crc::wires::crc::codec;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::draw::Condition;
use super::{Event, Lie, Scenario, ServerPlan};

/// Separates these choices from the others of a seed.
const RINGS_SEED: u64 = 0x71_0a5e;
/// Likewise for the users that register an id at the same time.
const RACES_SEED: u64 = 0x7ace_0a5e;
/// The number of the first user that is added.
const RACING_USERS: u32 = 1000;
/// Gives servers a parent among those that come after them, in a part of all seeds. For networks of
/// crc servers: a plain server does not notice that it dials back.
pub(super) fn draw_rings(seed: u64, servers: &mut [ServerPlan], events: &mut Vec<Event>) {
    let mut rng = StdRng::seed_from_u64(seed ^ RINGS_SEED);
    if !rng.random_bool(Condition::Rings.share()) {
        return;
    }
    let count = servers.len();
    for (at, server) in servers.iter_mut().enumerate() {
        let other = rng.random_range(0..count);
        if other == at || server.parents.contains(&other) || !(at == 0 || rng.random_bool(0.4)) {
            continue;
        }
        let place = rng.random_range(0..=server.parents.len());
        server.parents.insert(place, other);
    }
    draw_attachments(&mut rng, count, events);
}

/// Lets users register an id shortly after others have registered it elsewhere, so that neither
/// server knows of the other.
pub(super) fn draw_races(seed: u64, count: usize, events: &mut Vec<Event>) {
    let mut rng = StdRng::seed_from_u64(seed ^ RACES_SEED);
    let mut raced = Vec::new();
    for event in events.drain(..) {
        raced.push(event);
        if let Event::Join { user, id, server, is_direct } = event
            && rng.random_bool(0.3)
        {
            let other = rng.random_range(0..count);
            let user = RACING_USERS + user;
            raced.extend((other != server).then_some(Event::Join {
                user,
                id,
                server: other,
                is_direct,
            }));
        }
    }
    *events = raced;
}

/// Lets several servers lose their parents at the same time, so that they attach at the same time.
fn draw_attachments(rng: &mut StdRng, count: usize, events: &mut Vec<Event>) {
    for _ in 0..rng.random_range(0..5) {
        let at = rng.random_range(0..=events.len());
        let resets = (0..rng.random_range(2..=4)).map(|_| rng.random_range(0..count));
        let resets: Vec<Event> = resets.map(|server| Event::Reset { server }).collect();
        events.splice(at..at, resets);
    }
}

impl Scenario {
    /// Returns whether a server may have no parent that it can join: each is connected to it
    /// already. It dials them again and again.
    pub(super) fn may_dial_in_vain(&self) -> bool {
        self.has_rings() || self.may_send_move()
    }

    /// Returns whether servers may move after the network has healed: to a parent that they prefer.
    pub(super) fn may_move(&self) -> bool {
        self.may_send_move() || self.servers.iter().any(|server| server.parents.len() > 1)
    }

    /// Returns whether MOVE may be sent: by a server that is stopped, or a liar.
    pub(super) fn may_send_move(&self) -> bool {
        let is_sender = |event: &Event| {
            matches!(event, Event::Stop { .. } | Event::Lie { lie: Lie::Forged, .. })
        };
        self.events.iter().any(is_sender)
    }

    /// Returns whether a server has a parent that leads back to it.
    pub(super) fn has_rings(&self) -> bool {
        let parents =
            |(at, server): (usize, &ServerPlan)| server.parents.iter().any(|&parent| parent > at);
        self.servers.iter().enumerate().any(parents)
    }
}

/// Returns whether a frame is part of a handshake, which may end with a refusal.
pub(super) fn is_handshake(bytes: &[u8]) -> bool {
    match codec::parse_frame(bytes) {
        Message::Registration(it) if it.kind == HostKind::Server => {
            it.last_hop == HostId::NONE || it.last_hop == it.source
        }
        Message::Status { destination: HostId::EXTENSION, code, text, .. } => matches!(
            Frame::parse(code, text),
            Some(Ok(Frame::Hello(_) | Frame::Offer(_) | Frame::Refuse { .. }))
        ),
        _ => false,
    }
}

/// Returns whether a frame is sent in a network that is quiet.
pub(super) fn is_quiet_frame(bytes: &[u8]) -> bool {
    match codec::parse_frame(bytes) {
        Message::Status { destination: HostId::EXTENSION, code, text, .. } => {
            let frame = Frame::parse(code, text);
            matches!(frame, Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Ack { .. })))
        }
        // These take the place of PING and PONG towards a plain server.
        Message::Chat { destination: HostId::NONE, .. } => true,
        Message::Status { text, .. } => text == b"Unknown ID 0",
        _ => false,
    }
}
