//! [`PlainNeighbour`]: what is known of a server that speaks plain CRC, beside its cursor: which
//! registrations it may still announce back, and what it has read.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;

use super::Announcements;
use super::pacing::Clock;
use crate::id::HostId;
use crate::limits::{ECHOES_MAX, LATE_ECHO_TIMEOUT, PACED_PORTION_INTERVAL, READ_PROOF_TIMEOUT};
use crate::link::{LinkId, Time};
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
    /// Registrations that were sent, that were not announced back, and that the neighbour has not
    /// shown to have read; by id and [`fingerprint`].
    unechoed: BTreeMap<(HostId, u64), Unechoed>,
    /// The neighbour has announced users back, or has read some that it has not announced back.
    echoes_users: Option<bool>,
    /// The neighbour has answered a chat to id 0.
    has_answered: bool,
    /// Number of chats to id 0 that are not answered.
    unanswered: u32,
    /// The current portion ends with a chat to id 0.
    is_portion_probed: bool,
}

/// A registration that may still be announced back.
#[derive(Clone, Copy, Debug)]
struct Unechoed {
    kind: HostKind,
    /// How often the registration was sent.
    count: u32,
    /// Time at which the registration was sent last.
    sent_at: Time,
    /// A chat to id 0 has followed the registration.
    is_probed: bool,
    /// Time at which the quit of the user was sent.
    quit_at: Option<Time>,
}

impl Unechoed {
    fn is_expired(&self, now: Time) -> bool {
        self.quit_at.is_some_and(|at| now.since(at) >= LATE_ECHO_TIMEOUT)
    }
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
    fn record_sent(&mut self, registration: &Registration<'_>, now: Time) {
        // A neighbour that announces everything back, or answers chats to id 0, keeps this short.
        if self.unechoed.len() >= ECHOES_MAX {
            self.unechoed.retain(|_, unechoed| !unechoed.is_expired(now));
        }
        if self.unechoed.len() >= ECHOES_MAX {
            self.unechoed.clear();
        }
        let key = fingerprint(registration);
        let earlier = self.unechoed.get(&key).filter(|unechoed| !unechoed.is_expired(now));
        let count = earlier.map_or(0, |unechoed| unechoed.count) + 1;
        let (kind, sent_at, is_probed, quit_at) = (registration.kind, now, false, None);
        self.unechoed.insert(key, Unechoed { kind, count, sent_at, is_probed, quit_at });
    }

    /// Records that the quit of a user is sent: a neighbour that announces the user back later than
    /// [`LATE_ECHO_TIMEOUT`] has another user with that id.
    pub(super) fn record_quit(&mut self, id: HostId, now: Time) {
        for (_, unechoed) in self.unechoed.range_mut((id, 0)..=(id, u64::MAX)) {
            unechoed.quit_at.get_or_insert(now);
        }
    }

    /// Records that a registration has arrived. Returns whether it was sent and may be announced
    /// back.
    fn take_unechoed(&mut self, registration: &Registration<'_>, now: Time) -> bool {
        if self.unechoed.is_empty() {
            return false; // usual in a burst, which hashes nothing then
        }
        let key = fingerprint(registration);
        let Some(unechoed) = self.unechoed.get_mut(&key) else { return false };
        let is_echo = !unechoed.is_expired(now);
        unechoed.count -= 1;
        if unechoed.count == 0 || !is_echo {
            self.unechoed.remove(&key);
        }
        is_echo
    }

    /// Records that all that was sent before the latest chat to id 0 has been read, and that what
    /// is announced back of it has arrived.
    fn on_all_read(&mut self) {
        let is_read_user = |it: &Unechoed| it.is_probed && it.kind == HostKind::User;
        if self.echoes_users.is_none() && self.unechoed.values().any(is_read_user) {
            self.echoes_users = Some(false);
        }
        self.unechoed.retain(|_, unechoed| !unechoed.is_probed);
    }

    /// Returns whether the neighbour may announce users back: it has done so, or it has had no time
    /// to do so.
    fn may_echo_users(&self, now: Time) -> bool {
        let is_late =
            |it: &Unechoed| it.kind == HostKind::User && now.since(it.sent_at) >= LATE_ECHO_TIMEOUT;
        self.echoes_users.unwrap_or_else(|| !self.unechoed.values().any(is_late))
    }

    fn send_probe(&mut self, topology: &Topology, link: LinkId, out: &mut impl Outbox) {
        self.unanswered += 1;
        self.unechoed.values_mut().for_each(|unechoed| unechoed.is_probed = true);
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
        self.count(link, super::registration_bytes(&name, &info), clock.now, out);
        out.deliver(link, &Message::Registration(registration));
    }

    /// Counts a frame that is sent without regard to the portion.
    pub(in crate::relay) fn count(
        &mut self,
        link: LinkId,
        frame_bytes: usize,
        now: Time,
        out: &impl Outbox,
    ) {
        if let Some(pace) = &mut self.cursor_mut(link).pace {
            pace.count(frame_bytes, out.unsent_bytes(link), now);
        }
    }

    /// Sends the registration of a host, in the form that the other end reads.
    pub(super) fn send_registration(
        &mut self,
        topology: &Topology,
        link: LinkId,
        host: &Host,
        now: Time,
        out: &mut impl Outbox,
    ) {
        let cursor = self.cursor_mut(link);
        let is_guarded = cursor.is_guarded();
        let Some(neighbour) = cursor.plain_mut() else {
            return send_registration(topology, link, host, out);
        };
        let registration = host.registration(topology.own_id());
        let (name, info) = plain::name_and_info(&registration);
        let registration = match is_guarded {
            true => Registration { name: &name, info: &info, ..registration },
            false => registration,
        };
        neighbour.record_sent(&registration, now);
        out.deliver(link, &Message::Registration(registration));
    }

    /// Returns whether a plain neighbour merely repeats what was announced to it on this link.
    pub(in crate::relay) fn is_echo(
        &mut self,
        topology: &Topology,
        link: LinkId,
        registration: &Registration<'_>,
        now: Time,
    ) -> bool {
        let id = registration.source;
        let host = topology.hosts().get(id);
        let Some(neighbour) = self.cursor_mut(link).plain_mut() else { return false };
        let is_server = registration.kind == HostKind::Server;
        let may_echo = is_server || host.is_some() || neighbour.may_echo_users(now);
        let was_unechoed = neighbour.take_unechoed(registration, now) && may_echo;
        let Some(host) = host else {
            return is_server && id == topology.own_id() || was_unechoed;
        };
        match topology.first_link(host) {
            FirstLink::Link(first_link) if first_link == link => was_unechoed,
            FirstLink::Link(_) => {
                let state = topology.link(link);
                let is_announced = self.is_announced(topology, state, host);
                let is_echo =
                    was_unechoed || is_announced && is_of(host, registration, state, topology);
                if let Some(neighbour) = self.cursor_mut(link).plain_mut()
                    && is_echo
                    && !is_server
                {
                    neighbour.echoes_users = Some(true);
                }
                is_echo
            }
            FirstLink::Split(_) => was_unechoed, // else it may be found again behind the neighbour
        }
    }

    /// Returns what the chats to id 0 have shown of the neighbour on a link.
    pub(in crate::relay) fn answers(&self, link: LinkId) -> Option<Answers> {
        let PlainNeighbour { has_answered, unanswered, .. } = *self.cursor(link).plain()?;
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
        self.count(link, PROBE_BYTES.into(), clock.now, out);
        if let Some(neighbour) = self.cursor_mut(link).plain_mut() {
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
        let Some(neighbour) = cursor.plain_mut() else { return false };
        if neighbour.unanswered == 0 {
            return false;
        }
        neighbour.unanswered -= 1;
        neighbour.has_answered = true;
        let is_read = neighbour.unanswered == 0;
        if is_read {
            neighbour.on_all_read();
        }
        let is_read = is_read && neighbour.is_portion_probed;
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
        let plain = cursor.neighbour.as_deref_mut().and_then(|neighbour| neighbour.plain_mut());
        if let Some(neighbour) = plain {
            let may_answer = neighbour.has_answered || neighbour.unanswered == 0;
            if may_answer
                && !neighbour.is_portion_probed
                && pace.has_room_for(PROBE_BYTES.into(), clock.now)
            {
                neighbour.is_portion_probed = true;
                pace.count(PROBE_BYTES.into(), 0, clock.now);
                pace.set_timer(link, clock);
                return neighbour.send_probe(topology, link, out);
            }
            if neighbour.is_portion_probed {
                pause = READ_PROOF_TIMEOUT;
            }
        }
        pace.on_queue_empty(link, pause, clock);
    }

    /// Begins the next portion.
    pub(super) fn begin_portion(&mut self, link: LinkId) {
        if let Some(neighbour) = self.cursor_mut(link).plain_mut()
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
