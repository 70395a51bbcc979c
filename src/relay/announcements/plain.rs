//! [`PlainNeighbour`]: what is known of a server that speaks plain CRC, beside its cursor: which
//! registrations it may still announce back, and what it has read.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use foldhash::fast::{FixedState, RandomState};

use super::Announcements;
use super::pacing::Clock;
use crate::id::HostId;
use crate::limits::{ECHOES_MAX, PACED_PORTION_INTERVAL, READ_PROOF_TIMEOUT};
use crate::link::LinkId;
use crate::relay::message::{HostKind, Message, Registration};
use crate::relay::outbox::Outbox;
use crate::relay::plain;
use crate::relay::send::send_registration;
use crate::relay::topology::{FirstLink, Host, LinkState, Topology};

/// Text of the chat to id 0.
const PROBE_TEXT: &[u8] = b"ping";
/// Size of the chat to id 0, in bytes.
pub(super) const PROBE_BYTES: u8 = 17;

/// What is known of a server that speaks plain CRC.
#[derive(Clone, Debug, Default)]
pub(super) struct PlainNeighbour {
    /// Registrations that were sent and not announced back, and how often each was sent.
    unechoed: HashMap<(HostId, u64), u32, RandomState>,
    /// The neighbour has announced back what was announced to it.
    has_echoed: bool,
    /// The neighbour has answered a chat to id 0.
    has_answered: bool,
    /// Number of chats to id 0 that are not answered.
    unanswered: u32,
    /// The current portion ends with a chat to id 0.
    is_portion_probed: bool,
}

/// What the chats to id 0 have shown of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) struct Answers {
    /// The neighbour has answered one.
    pub(in crate::relay) has_answered: bool,
    /// One is not answered.
    pub(in crate::relay) is_awaited: bool,
}

impl PlainNeighbour {
    fn record_sent(&mut self, registration: &Registration<'_>) {
        // A neighbour that announces everything back keeps this short.
        if self.unechoed.len() >= ECHOES_MAX {
            self.unechoed.clear();
        }
        *self.unechoed.entry(fingerprint(registration)).or_default() += 1;
    }

    /// Records that a registration has arrived. Returns whether it was sent and not announced back.
    fn take_unechoed(&mut self, registration: &Registration<'_>) -> bool {
        let key = fingerprint(registration);
        let Some(count) = self.unechoed.get_mut(&key) else { return false };
        *count -= 1;
        if *count == 0 {
            self.unechoed.remove(&key);
        }
        true
    }

    fn send_probe(&mut self, topology: &Topology, link: LinkId, out: &mut impl Outbox) {
        self.unanswered += 1;
        let (source, destination, text) = (topology.own_id(), HostId::NONE, PROBE_TEXT);
        out.deliver(link, &Message::Chat { source, destination, text });
    }
}

/// Identifies a registration without its last hop. Some programs announce servers under their own
/// name.
fn fingerprint(registration: &Registration<'_>) -> (HostId, u64) {
    let Registration { kind, source, name, info, .. } = *registration;
    let name = if kind == HostKind::User { name } else { b"" };
    (source, FixedState::default().hash_one((kind, name, info)))
}

impl Announcements {
    /// Returns whether a link leads to a plain server that has not shown that it reads cut frames.
    #[inline]
    pub(in crate::relay) fn is_guarded(&self, link: LinkId) -> bool {
        self.cursor(link).is_guarded()
    }

    /// Introduces this server to a plain neighbour.
    pub(in crate::relay) fn send_introduction(
        &mut self,
        topology: &Topology,
        link: LinkId,
        clock: &Clock<'_>,
        out: &mut impl Outbox,
    ) {
        let own = topology.own_registration(topology.own_id());
        let (name, info) = plain::name_and_info(&own);
        let registration = Registration { name: &name, info: &info, ..own };
        self.count(link, super::registration_bytes(&name, &info), clock);
        out.deliver(link, &Message::Registration(registration));
    }

    /// Counts a frame that is sent without regard to the portion.
    pub(in crate::relay) fn count(&mut self, link: LinkId, frame_bytes: usize, clock: &Clock<'_>) {
        if let Some(pace) = &mut self.cursor_mut(link).pace {
            pace.count(frame_bytes, clock.now);
        }
    }

    /// Sends the registration of a host, in the form that the other end reads.
    pub(super) fn send_registration(
        &mut self,
        topology: &Topology,
        link: LinkId,
        host: &Host,
        out: &mut impl Outbox,
    ) {
        let cursor = self.cursor_mut(link);
        let is_guarded = cursor.is_guarded();
        let Some(neighbour) = &mut cursor.plain else {
            return send_registration(topology, link, host, out);
        };
        let registration = host.registration(topology.own_id());
        let (name, info) = plain::name_and_info(&registration);
        let registration = match is_guarded {
            true => Registration { name: &name, info: &info, ..registration },
            false => registration,
        };
        neighbour.record_sent(&registration);
        out.deliver(link, &Message::Registration(registration));
    }

    /// Returns whether a plain neighbour merely repeats what was announced to it on this link.
    pub(in crate::relay) fn is_echo(
        &mut self,
        topology: &Topology,
        link: LinkId,
        registration: &Registration<'_>,
    ) -> bool {
        let id = registration.source;
        let host = topology.hosts().get(id);
        let is_known = host.is_some() || id == topology.own_id();
        let Some(neighbour) = &mut self.cursor_mut(link).plain else { return false };
        if !is_known && !neighbour.has_echoed {
            return false;
        }
        let was_unechoed = neighbour.take_unechoed(registration);
        let state = topology.link(link);
        let repeats = match host {
            None => id == topology.own_id() && registration.kind == HostKind::Server,
            Some(host) => match topology.first_link(host) {
                FirstLink::Link(first_link) => {
                    first_link != link
                        && self.is_announced(topology, state, host)
                        && is_of(host, registration, state, topology)
                }
                FirstLink::Split(_) => false, // it may be found again behind the neighbour
            },
        };
        let Some(neighbour) = &mut self.cursor_mut(link).plain else { return false };
        neighbour.has_echoed |= repeats;
        repeats || was_unechoed && neighbour.has_echoed
    }

    /// Returns what the chats to id 0 have shown of the neighbour on a link.
    pub(in crate::relay) fn answers(&self, link: LinkId) -> Option<Answers> {
        let PlainNeighbour { has_answered, unanswered, .. } = **self.cursor(link).plain.as_ref()?;
        Some(Answers { has_answered, is_awaited: unanswered > 0 })
    }

    /// Sends a chat to id 0 over a silent link.
    pub(in crate::relay) fn send_probe(
        &mut self,
        topology: &Topology,
        link: LinkId,
        clock: &Clock<'_>,
        out: &mut impl Outbox,
    ) {
        self.count(link, PROBE_BYTES.into(), clock);
        if let Some(neighbour) = &mut self.cursor_mut(link).plain {
            neighbour.send_probe(topology, link, out);
        }
    }

    /// Handles `Unknown ID` for this server's own chat to id 0: all that was sent before has been
    /// read, so the next portion follows. Returns whether there was such a chat.
    pub(in crate::relay) fn on_probe_answered(
        &mut self,
        topology: &Topology,
        link: LinkId,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) -> bool {
        let cursor = self.cursor_mut(link);
        let Some(neighbour) = &mut cursor.plain else { return false };
        if neighbour.unanswered == 0 {
            return false;
        }
        neighbour.unanswered -= 1;
        neighbour.has_answered = true;
        let is_read = neighbour.unanswered == 0 && neighbour.is_portion_probed;
        if let Some(pace) = cursor.pace.as_mut().filter(|_| is_read) {
            pace.end_portion(link, clock);
            self.on_pace_due(topology, link, clock, out);
        }
        true
    }

    /// Handles that the send queue has been emptied while announcements wait: ends the portion with
    /// a chat to id 0, unless the neighbour has left one unanswered.
    pub(super) fn on_portion_sent(
        &mut self,
        topology: &Topology,
        link: LinkId,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) {
        let cursor = self.cursor_mut(link);
        let Some(pace) = &mut cursor.pace else { return };
        let mut pause = PACED_PORTION_INTERVAL;
        if let Some(neighbour) = &mut cursor.plain {
            let may_answer = neighbour.has_answered || neighbour.unanswered == 0;
            if may_answer && !neighbour.is_portion_probed && pace.has_room_for(PROBE_BYTES.into()) {
                neighbour.is_portion_probed = true;
                pace.count(PROBE_BYTES.into(), clock.now);
                pace.set_timer(link, clock);
                return neighbour.send_probe(topology, link, out);
            }
            if neighbour.has_answered && neighbour.is_portion_probed {
                pause = READ_PROOF_TIMEOUT;
            }
        }
        pace.on_queue_empty(link, pause, clock);
    }

    /// Begins the next portion.
    pub(super) fn begin_portion(&mut self, link: LinkId) {
        if let Some(neighbour) = &mut self.cursor_mut(link).plain
            && std::mem::take(&mut neighbour.is_portion_probed)
            && neighbour.has_answered
        {
            neighbour.unanswered = 0; // an answer that does not come is waited for once
        }
    }
}

/// Returns whether a registration is that of a host, as it was sent to the neighbour on a link.
fn is_of(
    host: &Host,
    registration: &Registration<'_>,
    state: &LinkState,
    topology: &Topology,
) -> bool {
    let own = host.registration(registration.last_hop);
    let (name, info) = plain::name_and_info(&own);
    let neighbour = state.host_id().and_then(|id| topology.hosts().get(id));
    let is_neighbours_name = |found| neighbour.is_some_and(|host| host.name() == found);
    let is_name = registration.name == &*name
        || registration.name == own.name
        || host.kind == HostKind::Server && is_neighbours_name(registration.name);
    let is_info = registration.info == &*info || registration.info == own.info;
    host.kind == registration.kind && is_name && is_info
}
