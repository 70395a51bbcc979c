//! [`Pass`]: the servers and links that one event concerns.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Change, Conflict, Fact};
use crate::id::HostId;
use crate::link::LinkId;

/// Route and fact of a server.
pub(super) type Before = (Option<LinkId>, Option<Fact>);

/// The servers whose routes one event may change.
#[derive(Clone, Debug, Default)]
pub(super) struct Pass {
    pub(super) queue: VecDeque<HostId>,
    pub(super) queued: BTreeSet<HostId>,
    /// Route and fact of each server before the event, and the number of choices for it.
    pub(super) before: BTreeMap<HostId, (Before, u32)>,
    /// The servers in `before`, in the order in which they were looked at.
    pub(super) order: Vec<HostId>,
    pub(super) closings: Vec<Change>,
}

impl Pass {
    /// Marks a server for another choice.
    pub(super) fn touch(&mut self, id: HostId) {
        if self.queued.insert(id) {
            self.queue.push_back(id);
        }
    }

    /// Asks to close a link.
    pub(super) fn close(&mut self, link: LinkId, conflict: Conflict) {
        let change = Change::Close { link, conflict };
        if !self.closings.contains(&change) {
            self.closings.push(change);
        }
    }
}
