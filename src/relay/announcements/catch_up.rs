//! Links that are behind: bursts, batches, and the portions by which a link catches up.

use super::pacing::Clock;
use super::sync::Sync;
use super::{Announcements, is_visible};
use crate::limits::{ANNOUNCE_BYTES_PER_TURN, ANNOUNCE_HOST_OVERHEAD_BYTES, QUEUE_LOW_WATER_BYTES};
use crate::link::LinkId;
use crate::relay::message::HostKind;
use crate::relay::outbox::Outbox;
use crate::relay::topology::Topology;

impl Announcements {
    /// Starts a turn with the full budget.
    pub(in crate::relay) fn begin_turn(&mut self) {
        self.budget_bytes = ANNOUNCE_BYTES_PER_TURN;
    }

    /// Returns whether a link is ready for the next portion.
    pub(in crate::relay) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns whether hosts are pending that are announced when the queue of the link has room.
    pub(in crate::relay) fn is_behind(&self, link: LinkId) -> bool {
        let cursor = self.cursors.occupied(link.index as usize);
        cursor.is_some_and(|cursor| {
            let is_behind = cursor.next.is_some() || cursor.sync().is_some_and(Sync::has_topics);
            is_behind || cursor.has_frames() || cursor.next_returned().is_some()
        })
    }

    pub(super) fn mark_ready(&mut self, link: LinkId) {
        if !std::mem::replace(&mut self.cursor_mut(link).is_ready, true) {
            self.ready.push_back(link);
        }
    }

    /// Starts the burst of a link that has registered.
    pub(in crate::relay) fn begin_burst(
        &mut self,
        topology: &Topology,
        link: LinkId,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) {
        let is_batching = self.is_batching();
        match self.cursor(link).audience {
            None => return,
            Some(HostKind::Server) => self.servers.push(link),
            Some(HostKind::User) => self.users.push(link),
        }
        // The host itself may have joined since the cursor was set.
        self.cursor_mut(link).next = topology.hosts().first_slot();
        if is_batching {
            self.mark_ready(link);
        } else {
            self.catch_up(topology, link, clock, out);
        }
    }

    /// Makes the hosts of the batch pending for all users.
    pub(in crate::relay) fn on_batch_due(&mut self) {
        let Some((slot, _)) = self.batch.take() else { return };
        for i in 0..self.users.len() {
            let cursor = self.cursor_mut(self.users[i]);
            if cursor.next.is_none() {
                cursor.next = Some(slot);
                self.mark_ready(self.users[i]);
            }
        }
    }

    /// Announces one portion to the next ready link, within the budget of the turn. Returns whether
    /// a link got a portion: call again after that link has been written.
    pub(in crate::relay) fn announce_next(
        &mut self,
        topology: &Topology,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) -> bool {
        while self.budget_bytes > 0
            && let Some(link) = self.ready.pop_front()
        {
            // A link that ended stays in the list; its generation is not that of a live link.
            if topology.find_link(link).is_some() {
                self.cursor_mut(link).is_ready = false;
                self.catch_up(topology, link, clock, out);
                return true;
            }
        }
        false
    }

    /// Announces pending hosts to a link, as far as its queue has room and the budget allows.
    pub(super) fn catch_up(
        &mut self,
        topology: &Topology,
        link: LinkId,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) {
        // Hosts of the batch are announced to users together.
        let batch_start = self.batch_start(link);
        if self.cursor(link).is_ready {
            return;
        }
        self.begin_pass(topology, link, out);
        let cursor = self.cursor_mut(link);
        let mut next = cursor.next;
        let mut introduced = cursor.introduced.take();
        while let Some(slot) = next.filter(|_| next != batch_start) {
            let unsent_bytes = out.unsent_bytes(link);
            if unsent_bytes >= QUEUE_LOW_WATER_BYTES {
                break;
            }
            if self.budget_bytes == 0 {
                self.mark_ready(link);
                break;
            }
            let host = topology.hosts().host(slot);
            let mut cost_bytes = ANNOUNCE_HOST_OVERHEAD_BYTES;
            let was_introduced =
                introduced.as_ref().is_some_and(|introduced| introduced.contains(&host.id));
            if was_introduced {
                introduced.as_mut().map(|introduced| introduced.remove(&host.id));
            } else if self.is_covered(topology, link, host)
                && is_visible(topology, topology.link(link), host)
            {
                let cursor = self.cursor_mut(link);
                if !cursor.admit_registration(host, unsent_bytes, clock.now) {
                    cursor.set_pace_timer(link, clock);
                    break;
                }
                cost_bytes += host.name().len() + host.info().len();
                self.send_registration(topology, link, host, clock.now, out);
            }
            self.budget_bytes = self.budget_bytes.saturating_sub(cost_bytes);
            next = topology.hosts().next_slot(slot);
        }
        let cursor = self.cursor_mut(link);
        cursor.next = next.filter(|_| next != batch_start);
        cursor.introduced = introduced.filter(|introduced| !introduced.is_empty());
        if cursor.next.is_none() {
            self.end_pass(topology, link, out);
            self.send_topics(topology, link, out);
        }
    }
}
