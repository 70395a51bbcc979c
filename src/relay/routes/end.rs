//! Links that end in order: one end attaches elsewhere, see "Moving to another parent" in
//! `docs/PROTOCOL.md`.

use super::pass::Pass;
use super::table::Use;
use super::{Change, Routes};
use crate::id::HostId;
use crate::link::LinkId;

impl Routes {
    /// Records that the neighbour on a link attaches elsewhere. The routes over the link stay until
    /// those over another link have come; the link is no ghost meanwhile.
    pub(in crate::relay) fn begin_end(&mut self, link: LinkId) {
        if let Some(table) = self.links.get_mut(&link).filter(|table| table.in_use == Use::Both) {
            table.in_use = Use::Ending;
        }
    }

    /// Ends the routes over a link on which nothing is sent any more, and raises the epoch of this
    /// server. The facts of the neighbour stay until [`Routes::detach`].
    pub(in crate::relay) fn end(&mut self, link: LinkId) -> Vec<Change> {
        let Some(table) = self.links.get_mut(&link).filter(|table| table.in_use != Use::Ended)
        else {
            return Vec::new();
        };
        table.in_use = Use::Ended;
        table.announced.clear();
        let ids: Vec<HostId> = table.facts.keys().copied().collect();
        let mut pass = Pass::default();
        for id in ids {
            pass.touch(id);
            self.touch_descendants(id, &mut pass);
        }
        let changes = self.run(pass);
        self.raise_after(changes)
    }

    /// Returns whether a server was announced on a link that this server has ended.
    pub(in crate::relay) fn is_behind_ended(&self, link: LinkId, id: HostId) -> bool {
        let table = self.links.get(&link).filter(|table| table.in_use == Use::Ended);
        table.is_some_and(|table| table.facts.contains_key(&id))
    }

    /// Returns whether the neighbour or this server has sent END on a link.
    pub(in crate::relay) fn is_ending(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|table| table.in_use != Use::Both)
    }

    pub(super) fn is_ended(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|table| table.in_use == Use::Ended)
    }
}
