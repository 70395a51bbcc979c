//! News: what links are told of the hosts that exist.
//!
//! What a link has been told is a position in the order of joining: hosts before it have been told,
//! hosts from it on are owed, and who leaves before its turn is never mentioned. A link that is owed
//! something catches up as its queue has room, in portions and in turns. Three things leave a link
//! behind:
//!
//! - It is new: its burst is to catch up from the beginning.
//! - Its queue is long while somebody joins.
//! - There are many users. Each newcomer is news for all of them, and one write a user and newcomer is
//!   what connecting would cost. So news for users is gathered for a few milliseconds, and then all of
//!   them are behind by what was gathered.
//!
//! A link that is told much holds no more than a portion: those that are behind stand in a list, and
//! the shell asks for one after the other at the end of its turn, writes what that one is told, and then
//! asks for the next.

use std::collections::VecDeque;

use super::host::{FirstLink, Host};
use super::message::HostKind;
use super::{Outbox, Relay, Timer};
use crate::id::HostId;
use crate::limits::{
    ANNOUNCE_BATCH_DELAY_MAX, ANNOUNCE_BATCH_DELAY_PER_USER, ANNOUNCE_BYTES_PER_TURN,
    ANNOUNCE_HOST_OVERHEAD_BYTES, QUEUE_LOW_WATER_BYTES,
};
use crate::link::LinkId;
use crate::link::Time;
use crate::relay::link_state::{IdSet, LinkState, Role};

/// Who is to be told of hosts, and what waits.
#[derive(Debug)]
pub(super) struct Announcements {
    /// Links to servers, in the order they joined.
    servers: Vec<LinkId>,
    /// Links to users whose wires have words for it.
    users: Vec<LinkId>,
    /// The first host, by slot, of which those users are told together, and when.
    batch: Option<(u32, Time)>,
    /// Links that are behind and whose queues have room, each once.
    ready: VecDeque<LinkId>,
    /// What may still be told in this turn, in bytes.
    budget_bytes: usize,
}

/// How far a link has been told.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// The link is to be told of hosts at all.
    wants_presence: bool,
    /// It stands in the list of those that are ready.
    is_ready: bool,
    /// The slot of the first host that it has not been told of, if it is behind.
    next: Option<u32>,
    /// Hosts told ahead of their turn, because they said something.
    introduced: Option<Box<IdSet>>,
}

impl Cursor {
    /// Whether the link is told of hosts at all, and of their ends.
    pub(super) fn wants_presence(&self) -> bool {
        self.wants_presence
    }
}

impl Default for Announcements {
    fn default() -> Self {
        let (servers, users, ready) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { servers, users, batch: None, ready, budget_bytes: ANNOUNCE_BYTES_PER_TURN }
    }
}

impl Announcements {
    /// A new turn: as much may be told again.
    pub(super) fn begin_turn(&mut self) {
        self.budget_bytes = ANNOUNCE_BYTES_PER_TURN;
    }

    /// Whether a link is left that could be told more.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn mark_ready(&mut self, state: &mut LinkState) {
        if !std::mem::replace(&mut state.cursor.is_ready, true) {
            self.ready.push_back(state.id);
        }
    }

    /// A link has ended.
    pub(super) fn remove_link(&mut self, link: LinkId) {
        self.servers.retain(|&other| other != link);
        self.users.retain(|&other| other != link);
    }
}

impl Relay {
    /// A link takes its role: it is behind by all hosts from now on, if these are of use to it.
    pub(super) fn reset_cursor(&mut self, link: LinkId, wants_presence: bool) {
        let next = self.hosts.first_slot().filter(|_| wants_presence);
        let cursor = &mut self.link_state_mut(link).cursor;
        (cursor.wants_presence, cursor.next) = (wants_presence, next);
    }

    /// A link has joined: it is told of all hosts, if it is to be told of them at all.
    pub(super) fn begin_burst(&mut self, link: LinkId, out: &mut impl Outbox) {
        let is_batching = self.is_batching();
        let first = self.hosts.first_slot();
        let Self { announcements, links, .. } = self;
        let state = links[link.index as usize].as_mut().expect("a live link");
        if !state.cursor.wants_presence {
            return;
        }
        state.cursor.next = first;
        match state.role {
            Role::Server { .. } => announcements.servers.push(link),
            _ => announcements.users.push(link),
        }
        if is_batching {
            announcements.mark_ready(state);
        } else {
            self.catch_up(link, out);
        }
    }

    /// Whether there are so many users that news for them is gathered.
    fn is_batching(&self) -> bool {
        self.announcements.users.len() >= self.limits.announce_batch_users_min
    }

    /// Tells everyone whom it concerns of the host in `slot`, which has just joined.
    pub(super) fn announce(&mut self, slot: u32, out: &mut impl Outbox) {
        for i in 0..self.announcements.servers.len() {
            self.announce_to(self.announcements.servers[i], slot, out);
        }
        if self.hosts.host(slot).kind == HostKind::Server || self.announcements.batch.is_some() {
            return;
        }
        if self.is_batching() {
            let users = u32::try_from(self.announcements.users.len()).unwrap_or(u32::MAX);
            let scaled_delay =
                ANNOUNCE_BATCH_DELAY_PER_USER.saturating_mul(users).min(ANNOUNCE_BATCH_DELAY_MAX);
            let due = self.now + self.limits.announce_batch_delay_min.max(scaled_delay);
            self.announcements.batch = Some((slot, due));
            self.timers.insert((due, Timer::AnnounceBatch));
            return;
        }
        for i in 0..self.announcements.users.len() {
            self.announce_to(self.announcements.users[i], slot, out);
        }
    }

    fn announce_to(&mut self, link: LinkId, slot: u32, out: &mut impl Outbox) {
        let state = self.links[link.index as usize].as_mut().expect("a live link");
        let host = self.hosts.host(slot);
        if state.cursor.next.is_some() || host.first_link == FirstLink::Link(link) {
            return; // its turn will come, or it is where the news is from
        }
        if out.unsent_bytes(link) >= QUEUE_LOW_WATER_BYTES {
            state.cursor.next = Some(slot);
        } else if self.is_visible(self.link_state(link), host) {
            self.send_registration(link, host, out);
        }
    }

    /// What was gathered is to be told.
    pub(super) fn announce_batch(&mut self) {
        let Some((slot, _)) = self.announcements.batch.take() else { return };
        for i in 0..self.announcements.users.len() {
            let link = self.announcements.users[i];
            let state = self.links[link.index as usize].as_mut().expect("a live link");
            if state.cursor.next.is_none() {
                state.cursor.next = Some(slot);
                self.announcements.mark_ready(state);
            }
        }
    }

    /// Tells one of the links that are behind a portion, if there are any and this turn allows. To be
    /// asked at the end of a turn, again after each answer of true once that link was written.
    pub fn announce_next(&mut self, out: &mut impl Outbox) -> bool {
        while self.announcements.budget_bytes > 0
            && let Some(link) = self.announcements.ready.pop_front()
        {
            let state = self.links.occupied_mut(link.index as usize);
            if let Some(state) = state.filter(|state| state.id == link) {
                state.cursor.is_ready = false;
                self.catch_up(link, out);
                return true;
            }
        }
        false
    }

    /// Tells a link more, as far as its queue has room and the turn allows. Does nothing if it has been
    /// told all.
    pub(super) fn catch_up(&mut self, link: LinkId, out: &mut impl Outbox) {
        let state = self.link_state_mut(link);
        if state.cursor.is_ready {
            return; // its turn will come
        }
        let mut next = state.cursor.next;
        let mut introduced = state.cursor.introduced.take();
        // Of those from here on it hears with the others.
        let batch_start = self.batch_start(self.link_state(link));
        while let Some(slot) = next.filter(|_| next != batch_start) {
            if out.unsent_bytes(link) >= QUEUE_LOW_WATER_BYTES {
                break;
            }
            if self.announcements.budget_bytes == 0 {
                let Self { announcements, links, .. } = self;
                announcements.mark_ready(links[link.index as usize].as_mut().expect("a live link"));
                break;
            }
            let host = self.hosts.host(slot);
            let mut cost_bytes = ANNOUNCE_HOST_OVERHEAD_BYTES;
            let was_introduced =
                introduced.as_mut().is_some_and(|introduced| introduced.remove(&host.id));
            if !was_introduced && self.is_visible(self.link_state(link), host) {
                cost_bytes += host.name().len() + host.info().len();
                self.send_registration(link, host, out);
            }
            self.announcements.budget_bytes =
                self.announcements.budget_bytes.saturating_sub(cost_bytes);
            next = self.hosts.next_slot(slot);
        }
        let cursor = &mut self.link_state_mut(link).cursor;
        cursor.next = next.filter(|_| next != batch_start);
        cursor.introduced = introduced.filter(|introduced| !introduced.is_empty());
    }

    /// Makes sure that a link knows of a host before something from it is delivered.
    pub(super) fn introduce(&mut self, id: HostId, link: LinkId, out: &mut impl Outbox) {
        let Some(host) = self.hosts.get(id) else { return };
        let state = self.link_state(link);
        if self.is_pending(state, host) && self.is_visible(state, host) {
            self.send_registration(link, host, out);
            self.link_state_mut(link).cursor.introduced.get_or_insert_default().insert(id);
        }
    }

    /// Whether a link must be told of a host before something from it is delivered.
    pub(super) fn must_introduce(&self, id: HostId, link: LinkId) -> bool {
        let state = self.link_state(link);
        let may_be_pending = self.announcements.batch.is_some() || state.cursor.next.is_some();
        // Hardly ever; so this look-up is no cost of a chat.
        may_be_pending && self.hosts.get(id).is_some_and(|host| self.is_pending(state, host))
    }

    /// Whether a link has not been told yet of all that it is told when its queue has room.
    #[must_use]
    pub fn is_behind(&self, link: LinkId) -> bool {
        let state = self.links.occupied(link.index as usize);
        state.is_some_and(|state| state.cursor.next.is_some())
    }

    /// A host is about to leave the table: nobody is told of it any more.
    pub(super) fn advance_cursors_past(&mut self, slot: u32, id: HostId) {
        let next = self.hosts.next_slot(slot);
        for state in self.links.iter_mut().flatten() {
            let cursor = &mut state.cursor;
            if cursor.next == Some(slot) {
                cursor.next = next;
            }
            if let Some(introduced) = &mut cursor.introduced {
                introduced.remove(&id);
            }
        }
        if let Some((batch_start, due)) = self.announcements.batch
            && batch_start == slot
        {
            self.announcements.batch = next.map(|next| (next, due));
            if next.is_none() {
                self.timers.remove(&(due, Timer::AnnounceBatch));
            }
        }
    }

    /// Whether a host is for this link to know: not one behind the link itself, no server for a
    /// user, and no lost host for a server that joined after the loss, since that may be the very
    /// server behind which it will be found again.
    pub(super) fn is_visible(&self, state: &LinkState, host: &Host) -> bool {
        if host.first_link == FirstLink::Link(state.id) {
            return false;
        }
        match state.role {
            Role::Unregistered { .. } => false,
            Role::User { .. } => host.kind == HostKind::User,
            Role::Server { ref subtree, .. } => match host.first_link {
                FirstLink::Link(_) => true,
                FirstLink::Split(split) => {
                    subtree.joined_event < self.splits[split as usize].lost_event
                }
            },
        }
    }

    /// Whether a link is still to be told of a host when its turn comes.
    pub(super) fn is_pending(&self, state: &LinkState, host: &Host) -> bool {
        let start = state.cursor.next.or_else(|| self.batch_start(state));
        start.is_some_and(|slot| host.join_seq >= self.hosts.host(slot).join_seq)
            && !state
                .cursor
                .introduced
                .as_ref()
                .is_some_and(|introduced| introduced.contains(&host.id))
    }

    /// The slot of the first host of which a link hears with others.
    fn batch_start(&self, state: &LinkState) -> Option<u32> {
        let wants_presence = state.cursor.wants_presence && matches!(state.role, Role::User { .. });
        self.announcements.batch.filter(|_| wants_presence).map(|(slot, _)| slot)
    }

    /// Whether a link has been told of a host, by burst or announcement. One that is never told of any
    /// counts as told of all.
    pub(super) fn is_announced(&self, state: &LinkState, host: &Host) -> bool {
        !self.is_pending(state, host) && self.is_visible(state, host)
    }

    /// The links to adjacent servers.
    pub(super) fn server_links(&self) -> impl Iterator<Item = &LinkState> {
        self.announcements.servers.iter().map(|&link| self.link_state(link))
    }
}
