//! The burst: what a newly joined host is told of everyone who was there before it.
//!
//! It is told in portions as its send queue drains, so that a large network neither overflows the
//! queue of a newcomer nor holds up a turn. A burst is a position in the host table: hosts before
//! it have been told, hosts that came after the burst began are told as they come, and who leaves
//! before its turn is never mentioned at all.

use super::host::{FirstLink, Host, HostTable};
use super::link::{Attachment, IdSet, LinkId, Role};
use super::message::{HostId, Kind, Message};
use super::{Outbox, Relay};
use crate::limits::BURST_PORTION_BYTES;

/// How far a link has been told.
#[derive(Debug)]
pub(super) struct Burst {
    /// Slots of the host table from here on are still to be looked at.
    next_slot: usize,
    /// Hosts with this order number or a later one came after the burst began.
    until_order: u64,
    /// Hosts told ahead of their turn, because they said something.
    early: IdSet,
}

impl Burst {
    pub(super) fn new(hosts: &HostTable) -> Self {
        Self { next_slot: 0, until_order: hosts.next_order(), early: IdSet::default() }
    }

    /// Whether this host is still to be told.
    pub(super) fn owes(&self, slot: usize, host: &Host) -> bool {
        slot >= self.next_slot && host.order < self.until_order && !self.early.contains(&host.id)
    }
}

impl Relay {
    /// Begins to tell a link of all that it does not know, as far as its queue has room now.
    pub(super) fn begin_burst(&mut self, link: LinkId, out: &mut impl Outbox) {
        let burst = Box::new(Burst::new(&self.hosts));
        self.attachment_mut(link).burst = Some(burst);
        self.continue_burst(link, out);
    }

    /// Tells a link more, as far as its queue has room. Does nothing if it has been told all.
    pub(super) fn continue_burst(&mut self, link: LinkId, out: &mut impl Outbox) {
        let Some(mut burst) = self.attachment_mut(link).burst.take() else {
            return;
        };
        let end = self.hosts.slots_end();
        while burst.next_slot < end {
            if out.unsent_bytes(link) >= BURST_PORTION_BYTES {
                self.attachment_mut(link).burst = Some(burst);
                return;
            }
            if let Some(host) = self.hosts.at_slot(burst.next_slot)
                && burst.owes(burst.next_slot, host)
                && self.is_for(self.attachment(link), host)
            {
                out.deliver(link, &Message::Registration(host.registration(self.own.id)));
            }
            burst.next_slot += 1;
        }
    }

    /// Makes sure that a link knows of a host before something from it is delivered.
    pub(super) fn introduce(&mut self, id: HostId, link: LinkId, out: &mut impl Outbox) {
        let Some((slot, host)) = self.hosts.entry(id) else { return };
        let attachment = self.attachment(link);
        if attachment.owes(slot, host) && self.is_for(attachment, host) {
            out.deliver(link, &Message::Registration(host.registration(self.own.id)));
            if let Some(burst) = &mut self.attachment_mut(link).burst {
                burst.early.insert(id);
            }
        }
    }

    /// Whether a host is for this link to know: not one behind the link itself, no server for a
    /// user, and no lost host for a server that joined after the loss, since that may be the very
    /// server behind which it will be found again.
    pub(super) fn is_for(&self, attachment: &Attachment, host: &Host) -> bool {
        if host.first_link == FirstLink::Link(attachment.id) {
            return false;
        }
        match attachment.role {
            Role::Unregistered { .. } => false,
            Role::User { .. } => host.kind == Kind::User,
            Role::Server { since, .. } => match host.first_link {
                FirstLink::Link(_) => true,
                FirstLink::Split(split) => since < self.splits[split].since,
            },
        }
    }

    /// Whether a link has been told of a host, by burst or announcement.
    pub(super) fn was_told(&self, attachment: &Attachment, slot: usize, host: &Host) -> bool {
        !attachment.owes(slot, host) && self.is_for(attachment, host)
    }
}
