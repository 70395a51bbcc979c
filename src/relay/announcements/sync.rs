//! Announcements over extended links: the hosts of a home are sent again when the neighbour asks
//! for them, because its digest of them differs.
//!
//! One pass over all hosts in the order of joining serves all homes that have been asked for. Each
//! host that joins meanwhile is pending as well, since it comes last in that order. Hosts of other
//! homes that joined before the pass have been announced.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::Announcements;
use crate::id::HostId;
use crate::limits::{ANNOUNCE_HOST_OVERHEAD_BYTES, QUEUE_LOW_WATER_BYTES};
use crate::link::LinkId;
use crate::relay::announcements::pacing::Clock;
use crate::relay::extension::Frame;
use crate::relay::outbox::Outbox;
use crate::relay::send::send_extension;
use crate::relay::topology::{Host, HostSet, Topology};

/// Ids. Never iterated, because the order of a hash set must not be visible outside.
pub(super) type IdSet = HashSet<HostId, RandomState>;

/// The homes that are sent again on an extended link.
#[derive(Clone, Debug, Default)]
pub(super) struct Sync {
    /// Homes whose hosts the current pass sends.
    homes: IdSet,
    /// The same homes, in the order in which they were asked for.
    order: Vec<HostId>,
    /// Homes for the next pass.
    requested: Vec<HostId>,
    /// Hosts with this position in the order of joining, and later ones, are pending whatever their
    /// home is.
    all_from: u64,
    /// Key of the last topic that was sent since the link was established; empty before the first,
    /// and `None` behind the last.
    topics_after: Option<Box<[u8]>>,
}

impl Sync {
    /// Returns whether a host that the cursor has not passed is still to be announced.
    pub(super) fn covers(&self, topology: &Topology, host: &Host) -> bool {
        host.join_seq() >= self.all_from || self.homes.contains(&topology.home_id(host))
    }

    /// Returns whether a home has been asked for whose pass has not begun.
    pub(super) fn has_requests(&self) -> bool {
        !self.requested.is_empty()
    }

    /// Returns whether the home of a host has been asked for, and its pass has not begun.
    pub(super) fn is_requested(&self, topology: &Topology, host: &Host) -> bool {
        self.has_requests() && self.requested.contains(&topology.home_id(host))
    }

    /// Returns whether topics are still to be sent.
    pub(super) fn has_topics(&self) -> bool {
        self.topics_after.is_some()
    }

    /// Records that all hosts from `join_seq` on are pending, when the link falls behind.
    pub(super) fn fall_behind(&mut self, join_seq: u64) {
        self.all_from = join_seq;
    }
}

/// Returns the number and the digest of the hosts of a home, or `None` if it is not known.
pub(in crate::relay) fn hosts_of(topology: &Topology, home: HostId) -> Option<HostSet> {
    if home == topology.own_id() {
        return Some(topology.own_hosts());
    }
    let server = topology.server_key(home)?;
    Some(topology.servers().hosts(server))
}

impl Announcements {
    /// Handles the request of the neighbour on an extended link to send the hosts of a home again.
    pub(in crate::relay) fn request_sync(&mut self, link: LinkId, home: HostId) {
        let cursor = self.cursor_mut(link);
        if let Some(sync) = cursor.sync_mut()
            && !sync.requested.contains(&home)
        {
            sync.requested.push(home);
            self.mark_ready(link);
        }
    }

    /// Starts a pass over the hosts, if homes have been asked for and no pass is in progress.
    pub(super) fn begin_pass(&mut self, topology: &Topology, link: LinkId, out: &mut impl Outbox) {
        let next_join_seq = topology.hosts().next_join_seq();
        let cursor = self.cursor_mut(link);
        let (next, Some(sync)) = (cursor.next, cursor.sync_mut()) else { return };
        if sync.requested.is_empty() || !sync.order.is_empty() {
            return;
        }
        sync.order = std::mem::take(&mut sync.requested);
        sync.order.retain(|&home| hosts_of(topology, home).is_some());
        sync.homes = sync.order.iter().copied().collect();
        sync.all_from = next.map_or(next_join_seq, |slot| topology.hosts().host(slot).join_seq());
        for &home in &sync.order {
            send_extension(topology, link, &Frame::SyncBegin { home }, out);
        }
        // What was introduced before the pass is sent again, because the neighbour takes a host
        // that is not in the pass for one that has left.
        (cursor.next, cursor.introduced) = (topology.hosts().first_slot(), None);
        if cursor.next.is_none() {
            self.end_pass(topology, link, out);
        }
    }

    /// Ends the pass in progress, if there is one, after the last host.
    pub(super) fn end_pass(&mut self, topology: &Topology, link: LinkId, out: &mut impl Outbox) {
        let Some(sync) = self.cursor_mut(link).sync_mut() else { return };
        sync.homes.clear();
        for home in std::mem::take(&mut sync.order) {
            // A home that has left meanwhile is withdrawn on the link.
            if let Some(HostSet { count: users, digest }) = hosts_of(topology, home) {
                send_extension(topology, link, &Frame::SyncEnd { home, users, digest }, out);
            }
        }
        if !sync.requested.is_empty() {
            self.mark_ready(link);
        }
    }

    /// Makes the link to a registered server an extended one: facts and requests of the neighbour
    /// decide what is announced, rather than a burst.
    pub(in crate::relay) fn begin_extended(
        &mut self,
        topology: &Topology,
        link: LinkId,
        clock: &mut Clock<'_>,
    ) {
        self.servers.push(link);
        let cursor = self.cursor_mut(link);
        cursor.next = None;
        cursor.begin_extended();
        if let Some(mut pace) = cursor.pace.take() {
            pace.cancel_timer(link, clock.timers);
        }
        if let Some(sync) = cursor.sync_mut().filter(|_| !topology.rooms().topics().is_empty()) {
            sync.topics_after = Some(Box::default());
            self.mark_ready(link);
        }
    }

    /// Sends the topics of all rooms on an extended link that is new, behind what else is pending,
    /// as far as its queue has room and the budget allows.
    pub(super) fn send_topics(&mut self, topology: &Topology, link: LinkId, out: &mut impl Outbox) {
        let Some(sync) = self.cursor_mut(link).sync_mut() else { return };
        let Some(after) = sync.topics_after.take() else { return };
        let mut last: &[u8] = &after;
        for topic in topology.rooms().topics().after(&after) {
            if self.budget_bytes == 0 || out.unsent_bytes(link) >= QUEUE_LOW_WATER_BYTES {
                let sync = self.cursor_mut(link).sync_mut().expect("an extended link");
                sync.topics_after = Some(last.into());
                if self.budget_bytes == 0 {
                    self.mark_ready(link);
                }
                return;
            }
            let cost_bytes = ANNOUNCE_HOST_OVERHEAD_BYTES + topic.name.len() + topic.text.len();
            self.budget_bytes = self.budget_bytes.saturating_sub(cost_bytes);
            send_extension(topology, link, &Frame::RoomTopic(topic), out);
            last = topic.room.as_bytes();
        }
    }

    /// Returns whether nothing is pending on a link, so that the digest of what has been announced
    /// is that of the table.
    pub(in crate::relay) fn is_up_to_date(&self, link: LinkId) -> bool {
        let cursor = self.cursor(link);
        let is_requested = cursor.sync().is_some_and(Sync::has_requests);
        cursor.next.is_none() && !is_requested
    }
}
