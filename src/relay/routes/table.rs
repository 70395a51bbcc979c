//! [`LinkTable`]: the facts received on one link. [`Server`]: what all links know of one server.

use std::collections::{BTreeMap, BTreeSet};

use super::pass::Pass;
use super::{Fact, Routes, Version};
use crate::id::HostId;
use crate::link::LinkId;
use crate::relay::extension::Epoch;

/// Whether a link is in full use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Both ends send.
    Both,
    /// The neighbour has sent END: it attaches elsewhere, and the routes over the link move there.
    Ending,
    /// This end has sent END: the link is no route, and nothing is announced on it.
    Ended,
}

/// The facts received on a link, and what was sent on it.
#[derive(Clone, Debug)]
pub(super) struct LinkTable {
    /// The server at the other end.
    pub(super) neighbour: HostId,
    pub(super) in_use: Use,
    /// Epochs with which the two ends committed the link, that of the smaller id first. Both ends
    /// have the same pair.
    pub(super) commits: (Epoch, Epoch),
    /// The last fact about each server that has not been withdrawn.
    pub(super) facts: BTreeMap<HostId, Fact>,
    /// `via` and `id` of each fact.
    pub(super) children: BTreeSet<(HostId, HostId)>,
    /// Servers that are announced on the link.
    pub(super) announced: BTreeSet<HostId>,
}

impl LinkTable {
    pub(super) fn new(neighbour: HostId, commits: (Epoch, Epoch)) -> Self {
        Self {
            neighbour,
            in_use: Use::Both,
            commits,
            facts: BTreeMap::new(),
            children: BTreeSet::new(),
            announced: BTreeSet::new(),
        }
    }

    /// Iterates over the servers whose `via` is `id`.
    pub(super) fn children_of(&self, id: HostId) -> impl Iterator<Item = HostId> {
        let range = (id, HostId(0))..=(id, HostId(u32::MAX));
        self.children.range(range).map(|&(_, child)| child)
    }

    /// Returns the servers behind `id`, parents before children.
    pub(super) fn descendants_of(&self, id: HostId) -> Vec<HostId> {
        let mut found: Vec<HostId> = self.children_of(id).collect();
        let mut seen: BTreeSet<HostId> = found.iter().copied().collect();
        let mut index = 0;
        while index < found.len() {
            let next: Vec<HostId> =
                self.children_of(found[index]).filter(|&child| seen.insert(child)).collect();
            found.extend(next);
            index += 1;
        }
        found
    }
}

/// A server that is in the table of a link, or lost.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    /// Links whose tables have a fact about the server, in order.
    pub(super) links: Vec<LinkId>,
    /// Next hop.
    pub(super) route: Option<LinkId>,
    /// The fact as it is sent on. Present while there is a route.
    pub(super) sent: Option<Fact>,
    /// Version of the current route, or of the last one while the server is lost.
    pub(super) floor: Option<Version>,
}

impl Server {
    /// Returns whether the server had a route and has none.
    pub(super) fn is_lost(&self) -> bool {
        self.route.is_none() && self.floor.is_some()
    }

    /// Returns whether the route may lead to this version: to a later one, or, while the server is
    /// lost, to the same instance or one that started later.
    pub(super) fn accepts(&self, version: Version) -> bool {
        self.floor.is_none_or(|floor| {
            let is_instance_known =
                version.nonce == floor.nonce || version.epoch.boot > floor.epoch.boot;
            version >= floor && (is_instance_known || !self.is_lost())
        })
    }

    /// Returns whether nothing is known of the server any more.
    pub(super) fn is_unused(&self) -> bool {
        self.links.is_empty() && self.floor.is_none()
    }
}

impl Routes {
    pub(super) fn server_mut(&mut self, id: HostId) -> &mut Server {
        self.servers.get_mut(&id).expect("a server in a table")
    }

    /// Puts a fact into the table of a link.
    pub(super) fn insert_fact(&mut self, link: LinkId, fact: Fact, pass: &mut Pass) {
        let id = fact.id;
        let table = self.links.get_mut(&link).expect("an attached link");
        let old = table.facts.insert(id, fact);
        if old == Some(fact) {
            return;
        }
        if let Some(old) = old {
            table.children.remove(&(old.via, id));
        }
        table.children.insert((fact.via, id));
        let server = self.servers.entry(id).or_default();
        if let Err(index) = server.links.binary_search(&link) {
            server.links.insert(index, link);
        }
        pass.touch(id);
        let is_raised =
            old.is_some_and(|old| old.via == fact.via && fact.version() >= old.version());
        if server.links.len() > 1 || server.is_lost() || !is_raised {
            self.touch_descendants(id, pass);
        }
    }

    /// Removes a fact from the table of a link.
    pub(super) fn remove_fact(&mut self, link: LinkId, id: HostId, pass: &mut Pass) {
        self.touch_descendants(id, pass);
        let table = self.links.get_mut(&link).expect("an attached link");
        let fact = table.facts.remove(&id).expect("a fact in the table");
        table.children.remove(&(fact.via, id));
        self.server_mut(id).links.retain(|&other| other != link);
        pass.touch(id);
    }

    /// Marks the servers behind `id` for another choice, in all tables.
    pub(super) fn touch_descendants(&self, id: HostId, pass: &mut Pass) {
        let Some(server) = self.servers.get(&id) else { return };
        for link in &server.links {
            self.links[link].descendants_of(id).into_iter().for_each(|id| pass.touch(id));
        }
    }
}
