//! [`Announcements`]: the registrations and quits of hosts that each link is sent.
//!
//! The cursor of a link is a position in the order of joining. Hosts before the cursor have been
//! announced to the link, hosts from the cursor on are pending, and a host that leaves while it is
//! pending is never mentioned. A link with pending hosts catches up in portions, as its send queue
//! has room. A link falls behind for one of three reasons:
//!
//! - It is new: its burst starts at the first host.
//! - Its queue is long when a host joins.
//! - There are many users. Announcing each newcomer to each user at once would cost one write per
//!   pair, so announcements to users are collected into a batch for a few milliseconds.
//!
//! A burst puts at most one portion into a queue before it is written: links that are ready for
//! more wait in a list, and the shell calls [`Announcements::announce_next`] at the end of a turn,
//! writes the link that got a portion, and calls again.

mod catch_up;
mod check;
mod cursor;
mod introduce;
mod paced;
pub(super) mod pacing;
mod plain;
mod rooms;
mod sync;

use std::collections::VecDeque;

use self::cursor::{Cursor, Neighbour};
use self::pacing::{Clock, Pace, registration_bytes};
use self::plain::{PROBE_BYTES, PlainNeighbour};
pub(super) use self::sync::hosts_of;
use super::message::{HostKind, Message};
use super::outbox::{Interests, Outbox};
use super::send::send_registration;
use super::timers::{Timer, Timers};
use super::topology::{FirstLink, Host, LinkState, Role, Slot, Topology};
use crate::chunked_vec::ChunkedVec;
use crate::id::HostId;
use crate::limits::{
    ANNOUNCE_BATCH_DELAY_MAX, ANNOUNCE_BATCH_DELAY_PER_USER, ANNOUNCE_BYTES_PER_TURN, Limits,
    QUEUE_LOW_WATER_BYTES,
};
use crate::link::{LinkId, Time};

/// The cursors of all links, and the announcements that are pending for several of them.
#[derive(Clone, Debug)]
pub(super) struct Announcements {
    /// Indexed by [`LinkId::index`].
    cursors: ChunkedVec<Option<Cursor>>,
    /// Links to servers, in the order in which these joined.
    servers: Vec<LinkId>,
    /// Links to users whose wires carry announcements, in the order in which these joined.
    users: Vec<LinkId>,
    /// First host of the batch for users, and the time at which the batch is due.
    batch: Option<(Slot, Time)>,
    /// Links that are behind and whose queues have room, each once. May hold links that have ended.
    ready: VecDeque<LinkId>,
    /// Bytes that may still be announced in this turn.
    budget_bytes: usize,
    batch_users_min: usize,
    batch_delay_min: std::time::Duration,
}

impl Announcements {
    /// Creates an empty set of cursors.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            cursors: ChunkedVec::default(),
            servers: Vec::new(),
            users: Vec::new(),
            batch: None,
            ready: VecDeque::new(),
            budget_bytes: ANNOUNCE_BYTES_PER_TURN,
            batch_users_min: limits.announce_batch_users_min,
            batch_delay_min: limits.announce_batch_delay_min,
        }
    }

    /// Adds the cursor of a link that has just been opened. Nothing is announced to the link yet.
    pub(super) fn add_link(&mut self, link: LinkId) {
        self.cursors.set(link.index as usize, Cursor::default());
    }

    /// Removes the cursor of a link that has ended.
    pub(super) fn remove_link(&mut self, link: LinkId, timers: &mut Timers) {
        self.servers.retain(|&other| other != link);
        self.users.retain(|&other| other != link);
        let cursor = self.cursors.get_mut(link.index as usize).and_then(Option::take);
        if let Some(mut pace) = cursor.and_then(|cursor| cursor.pace) {
            pace.cancel_timer(link, timers);
        }
    }

    #[inline]
    fn cursor(&self, link: LinkId) -> &Cursor {
        self.cursors[link.index as usize].as_ref().expect("the cursor of a live link")
    }

    fn cursor_mut(&mut self, link: LinkId) -> &mut Cursor {
        self.cursors[link.index as usize].as_mut().expect("the cursor of a live link")
    }

    /// Makes all hosts pending for a link that has just registered, if it gets announcements. The
    /// burst begins with [`Announcements::begin_burst`].
    pub(super) fn register(
        &mut self,
        topology: &Topology,
        link: LinkId,
        kind: HostKind,
        interests: Interests,
    ) {
        let audience = interests.users.then_some(kind);
        let next = topology.hosts().first_slot().filter(|_| audience.is_some());
        let cursor = self.cursor_mut(link);
        (cursor.audience, cursor.next) = (audience, next);
        cursor.has_room_events = interests.room_events;
        let is_server = audience == Some(HostKind::Server);
        let reserved_bytes = if is_server { PROBE_BYTES } else { 0 };
        let is_paced = interests.users && !interests.reads_cut_frames;
        cursor.pace = is_paced.then(|| Box::new(Pace::new(reserved_bytes)));
        let plain = || Box::new(Neighbour::Plain(PlainNeighbour::default()));
        cursor.neighbour = is_server.then(plain);
    }

    /// Returns whether there are so many users that announcements to them are batched.
    fn is_batching(&self) -> bool {
        self.users.len() >= self.batch_users_min
    }

    /// Announces the host in `slot`, which has just joined.
    pub(super) fn announce(
        &mut self,
        topology: &Topology,
        slot: Slot,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) {
        for i in 0..self.servers.len() {
            self.announce_to(topology, self.servers[i], slot, clock, out);
        }
        if topology.hosts().host(slot).kind == HostKind::Server || self.batch.is_some() {
            return;
        }
        if self.is_batching() {
            let users = u32::try_from(self.users.len()).unwrap_or(u32::MAX);
            let scaled_delay =
                ANNOUNCE_BATCH_DELAY_PER_USER.saturating_mul(users).min(ANNOUNCE_BATCH_DELAY_MAX);
            let due = clock.now + self.batch_delay_min.max(scaled_delay);
            self.batch = Some((slot, due));
            clock.timers.insert(due, Timer::AnnounceBatch);
            return;
        }
        for i in 0..self.users.len() {
            self.announce_to(topology, self.users[i], slot, clock, out);
        }
    }

    fn announce_to(
        &mut self,
        topology: &Topology,
        link: LinkId,
        slot: Slot,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) {
        let host = topology.hosts().host(slot);
        let cursor = self.cursor_mut(link);
        if cursor.next.is_some() || topology.first_link(host) == FirstLink::Link(link) {
            return; // pending already, or behind this link
        }
        let unsent_bytes = out.unsent_bytes(link);
        if unsent_bytes >= QUEUE_LOW_WATER_BYTES {
            cursor.next = Some(slot);
            if let Some(sync) = cursor.sync_mut() {
                sync.fall_behind(host.join_seq());
            }
        } else if is_visible(topology, topology.link(link), host) {
            if cursor.admit_registration(host, unsent_bytes, clock.now) {
                self.send_registration(topology, link, host, clock.now, out);
            } else {
                cursor.next = Some(slot);
                cursor.set_pace_timer(link, clock);
            }
        }
    }

    /// Returns whether a host that the cursor of a link has not passed is still to be announced.
    fn is_covered(&self, topology: &Topology, link: LinkId, host: &Host) -> bool {
        let sync = self.cursor(link).sync();
        sync.is_none_or(|sync| sync.covers(topology, host))
    }

    /// Sends the registration of a host again on the extended links on which it is announced, since
    /// its stamp has changed.
    pub(super) fn reannounce(&mut self, topology: &Topology, id: HostId, out: &mut impl Outbox) {
        let Some(host) = topology.hosts().get(id) else { return };
        for &link in &self.servers {
            let state = topology.link(link);
            if state.is_extended() && self.is_announced(topology, state, host) {
                send_registration(topology, link, host, out);
            }
        }
    }

    /// Sends the quit of a user to all links to which the user has been announced. If this server
    /// stops, its own users get none: they see the end of their own connections.
    pub(super) fn announce_quit(
        &mut self,
        topology: &Topology,
        host: &Host,
        text: &[u8],
        is_stopping: bool,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) {
        let users = if is_stopping { 0 } else { self.users.len() };
        for i in 0..self.servers.len() + users {
            let link = self.presence_link(i);
            if self.is_announced(topology, topology.link(link), host) {
                self.send_quit(topology, link, (host.id, text), clock, out);
            }
        }
    }

    /// Iterates over the links to which registrations and quits are sent.
    pub(super) fn presence_links(&self) -> impl ExactSizeIterator<Item = LinkId> {
        (0..self.servers.len() + self.users.len()).map(|i| self.presence_link(i))
    }

    /// Returns one of the links to which registrations and quits are sent: servers come first.
    fn presence_link(&self, i: usize) -> LinkId {
        self.servers.get(i).copied().unwrap_or_else(|| self.users[i - self.servers.len()])
    }

    /// Sends the quit of a server behind a plain neighbour over the extended links on which it has
    /// been announced.
    pub(super) fn announce_server_quit(
        &mut self,
        topology: &Topology,
        id: HostId,
        out: &mut impl Outbox,
    ) {
        let Some(host) = topology.hosts().get(id) else { return };
        let (source, replacement, text) = (id, HostId::NONE, &b""[..]);
        for &link in &self.servers {
            let state = topology.link(link);
            if state.is_extended() && self.is_announced(topology, state, host) {
                out.deliver(link, &Message::ServerQuit { source, replacement, text });
            }
        }
    }

    /// Moves all cursors past a host that is about to leave the table.
    pub(super) fn advance_cursors_past(
        &mut self,
        topology: &Topology,
        slot: Slot,
        timers: &mut Timers,
    ) {
        let next = topology.hosts().next_slot(slot);
        let host = topology.hosts().host(slot);
        for i in 0..self.servers.len() + self.users.len() {
            let link = self.presence_link(i);
            let cursor = self.cursor_mut(link);
            cursor.remove_returned(host);
            if cursor.next == Some(slot) {
                cursor.next = next;
            }
            if let Some(introduced) = &mut cursor.introduced {
                introduced.remove(&host.id);
            }
        }
        if let Some((batch_start, due)) = self.batch
            && batch_start == slot
        {
            self.batch = next.map(|next| (next, due));
            if next.is_none() {
                timers.remove(due, Timer::AnnounceBatch);
            }
        }
    }

    /// Returns whether a host has yet to be announced to a link when its turn comes.
    pub(super) fn is_pending(&self, topology: &Topology, link: LinkId, host: &Host) -> bool {
        let cursor = self.cursor(link);
        if cursor.is_returned(host) {
            return true;
        }
        if cursor.sync().is_some_and(|sync| sync.is_requested(topology, host)) {
            let introduced = cursor.introduced.as_ref();
            return !introduced.is_some_and(|introduced| introduced.contains(&host.id));
        }
        let start = cursor.next.or_else(|| self.batch_start(link));
        start.is_some_and(|slot| host.join_seq() >= topology.hosts().host(slot).join_seq())
            && cursor.sync().is_none_or(|sync| sync.covers(topology, host))
            && !cursor.introduced.as_ref().is_some_and(|introduced| introduced.contains(&host.id))
    }

    /// Returns the first host that is announced to a link as part of the batch.
    fn batch_start(&self, link: LinkId) -> Option<Slot> {
        let gets_batch = self.cursor(link).audience == Some(HostKind::User);
        self.batch.filter(|_| gets_batch).map(|(slot, _)| slot)
    }

    /// Returns whether a host has been announced to a link, by burst or alone. Every visible host
    /// counts as announced to a link without announcements.
    pub(super) fn is_announced(&self, topology: &Topology, state: &LinkState, host: &Host) -> bool {
        !self.is_pending(topology, state.id(), host) && is_visible(topology, state, host)
    }

    /// Iterates over the links to adjacent servers, in the order in which these joined.
    pub(super) fn servers(&self) -> impl Iterator<Item = LinkId> {
        self.servers.iter().copied()
    }
}

/// Returns whether a host is ever announced to a link. Hosts behind the link itself are not, and
/// servers are not announced to users. Lost hosts are not announced to a plain server that joined
/// after the loss, because they may be found again behind that server; nor is another host with
/// the id of that server. On an extended link, a host is announced if its home is; servers with
/// hosts of their own are announced as facts.
fn is_visible(topology: &Topology, state: &LinkState, host: &Host) -> bool {
    if topology.first_link(host) == FirstLink::Link(state.id()) {
        return false;
    }
    match state.role() {
        Role::Unregistered { .. } => false,
        Role::User { .. } => host.kind == HostKind::User,
        Role::Server { subtree, .. } if subtree.is_extended => match topology.home_id(host) {
            home if home == topology.own_id() => true,
            home => home != host.id && topology.routes().is_announced(state.id(), home),
        },
        Role::Server { host: neighbour, subtree } => {
            *neighbour != host.id && topology.joined_before_loss_of(host, subtree)
        }
    }
}

#[cfg(test)]
mod tests;
