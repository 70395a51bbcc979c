//! How links enter and leave the pool of those that have not registered, and what is closed for the
//! bounds of `strangers`.

use super::link::{Link, LinkRole};
use super::links::Links;
use crate::limits::EVICTIONS_PER_TURN;
use crate::link::frame_decoder::FrameDecoder;
use crate::link::{CloseReason, LinkId, Origin, QueuedLink as _, Security, SendQueue, Time};
use crate::relay::Outbox as _;
use crate::relay::message::HostKind;

impl Links {
    /// Takes a link that was accepted into the pool. If that is full, the oldest link in it is
    /// closed; if its address has too many, the link itself is.
    pub(super) fn admit(&mut self, id: LinkId) {
        let Some(link) = self.table.get_mut(id) else { return };
        let (origin, opened_at) = (link.origin, link.opened_at);
        let is_encrypted = origin.security == Security::Encrypted;
        link.role = if is_encrypted { LinkRole::Handshaking } else { LinkRole::Unregistered };
        let role = link.role;
        self.strangers.unregistered.insert((opened_at, id));
        if is_encrypted {
            self.strangers.handshaking.insert((opened_at, id));
        }
        let count = self.strangers.count(&origin, role, true);
        let limits = self.limits.connections;
        if count > limits.unregistered_per_address_max {
            self.strangers.closed.address += 1;
            return self.close(id, CloseReason::AddressLimit("that have not registered"));
        }
        if self.strangers.unregistered.len() > limits.unregistered_max {
            let oldest = self.strangers.unregistered.first().copied();
            self.close_crowded(oldest);
        } else if self.strangers.handshaking.len() > limits.handshakes_max {
            let oldest = self.strangers.handshaking.first().copied();
            self.close_crowded(oldest);
        }
    }

    /// Closes some links that have not registered, the oldest first, but none that has just been
    /// opened: what it has sent was not read yet. Returns whether there are any.
    pub(super) fn close_some_unregistered(&mut self) -> bool {
        let has_any = !self.strangers.unregistered.is_empty();
        let older = self.strangers.unregistered.iter().take_while(|&&(at, _)| at < self.now);
        let oldest: Vec<_> = older.take(EVICTIONS_PER_TURN).copied().collect();
        oldest.into_iter().for_each(|entry| self.close_crowded(Some(entry)));
        has_any
    }

    fn close_crowded(&mut self, entry: Option<(Time, LinkId)>) {
        if let Some((_, id)) = entry {
            self.strangers.closed.crowded += 1;
            self.leave_pool(id);
            self.close(id, CloseReason::Crowded);
        }
    }

    /// Removes a link from the pool and from the count of its address.
    pub(super) fn leave_pool(&mut self, id: LinkId) {
        let Some(link) = self.table.get_mut(id) else { return };
        let (origin, opened_at, role) = (link.origin, link.opened_at, link.role);
        link.role = LinkRole::Dialled;
        self.strangers.unregistered.remove(&(opened_at, id));
        self.strangers.handshaking.remove(&(opened_at, id));
        self.strangers.count(&origin, role, false);
    }

    /// Records what the transport has verified of an accepted link, which may have another address
    /// now.
    pub(super) fn identify(&mut self, id: LinkId, origin: &Origin) {
        let Some(link) = self.live_mut(id) else { return };
        let origin = &Origin { address: origin.address.or(link.origin.address), ..*origin };
        if !matches!(link.role, LinkRole::Handshaking | LinkRole::Unregistered) {
            link.origin = *origin;
            return;
        }
        self.leave_pool(id);
        if let Some(link) = self.get_mut(id) {
            link.origin = *origin;
            link.role = LinkRole::Unregistered;
            let opened_at = link.opened_at;
            self.strangers.unregistered.insert((opened_at, id));
            let count = self.strangers.count(origin, LinkRole::Unregistered, true);
            if count > self.limits.connections.unregistered_per_address_max {
                self.strangers.closed.address += 1;
                self.close(id, CloseReason::AddressLimit("that have not registered"));
            }
        }
    }

    /// Returns whether the address of a link may have another host of this kind, or else why not.
    pub(super) fn check_address_of(
        &mut self,
        id: LinkId,
        kind: HostKind,
    ) -> Result<(), CloseReason> {
        let Some(link) = self.get(id) else { return Ok(()) };
        let is_user = link.role == LinkRole::User && kind == HostKind::User;
        let (origin, limits) = (link.origin, &self.limits.connections);
        let what = if !is_user && !self.strangers.may_have_another(&origin, kind, limits) {
            match kind {
                HostKind::User => "of users",
                HostKind::Server => "of servers",
            }
        } else if kind == HostKind::User && !self.strangers.count_join(&origin, self.now) {
            "that register"
        } else {
            return Ok(());
        };
        self.strangers.closed.address += 1;
        Err(CloseReason::AddressLimit(what))
    }

    /// Counts a link as one to a host of this kind.
    pub(super) fn count_registered(&mut self, id: LinkId, kind: HostKind) {
        let role = match kind {
            HostKind::User => LinkRole::User,
            HostKind::Server => LinkRole::Server,
        };
        if self.get(id).is_none_or(|link| link.role == role) {
            return;
        }
        self.leave_pool(id);
        if let Some(link) = self.table.get_mut(id) {
            link.role = role;
            let origin = link.origin;
            self.strangers.count(&origin, role, true);
        }
    }

    /// Returns the link whose buffers hold the most, of those that the node has not ended.
    pub(super) fn largest_link(&self) -> Option<LinkId> {
        let open_links = self.table.iter().filter(|link| !link.is_closing);
        let largest = open_links.max_by_key(|link| link.buffer_bytes());
        largest.map(Link::id)
    }

    /// Closes a link because all buffers together are too large. Returns the size of its own.
    pub(super) fn close_for_buffers(&mut self, id: LinkId) -> usize {
        let bytes = self.get(id).map_or(0, Link::buffer_bytes);
        self.strangers.closed.buffers += 1;
        self.close(id, CloseReason::BuffersFull { bytes });
        bytes
    }

    /// Frees the buffers of a link that the node has ended, with all that they hold.
    pub(super) fn free_buffers(&mut self, id: LinkId) {
        if let Some(link) = self.table.get_mut(id) {
            link.queue = SendQueue::default();
            link.decoder = FrameDecoder::default();
            link.deferred_input = None;
            link.late_output = None;
            self.table.count_buffers(id);
            self.frame_deadlines.clear(id);
        }
    }

    /// Returns whether all buffers together exceed their bound.
    #[inline]
    pub(super) fn are_buffers_full(&self) -> bool {
        self.table.buffer_bytes() > self.limits.connections.buffer_bytes_max
    }
}
