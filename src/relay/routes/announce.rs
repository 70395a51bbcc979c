//! The facts that are sent on each link.

use super::{Change, Fact, Routes, Rule, Update};
use crate::id::HostId;
use crate::link::LinkId;

impl Routes {
    /// Iterates over the facts that belong on a link: this server, then each server that is
    /// reachable over another link, parents before children.
    pub(in crate::relay) fn announced_on(&self, link: LinkId) -> impl Iterator<Item = Fact> {
        let mut facts: Vec<(usize, Fact)> = self
            .servers
            .iter()
            .filter(|(_, server)| server.route.is_some_and(|route| self.belongs(link, route)))
            .filter_map(|(&id, server)| Some((self.path(id).len(), server.sent?)))
            .collect();
        facts.sort_by_key(|&(depth, fact)| (depth, fact.id));
        std::iter::once(self.own).chain(facts.into_iter().map(|(_, fact)| fact))
    }

    /// Iterates over the facts about the servers that are reached over a link.
    pub(in crate::relay) fn reached_over(&self, link: LinkId) -> impl Iterator<Item = Fact> {
        let servers = self.servers.values().filter(move |server| server.route == Some(link));
        servers.filter_map(|server| server.sent)
    }

    /// Returns whether a server other than this one is announced on a link.
    pub(in crate::relay) fn is_announced(&self, link: LinkId, id: HostId) -> bool {
        self.links.get(&link).is_some_and(|table| table.announced.contains(&id))
    }

    fn belongs(&self, link: LinkId, route: LinkId) -> bool {
        route != link || !self.applies(Rule::NotAnnouncedBack)
    }

    /// Returns the facts that a link to a new neighbour begins with, and records that they are
    /// announced.
    pub(in crate::relay) fn burst(&mut self, link: LinkId) -> Vec<Fact> {
        let mut facts: Vec<Fact> = self.announced_on(link).collect();
        let Some(table) = self.links.get_mut(&link) else { return Vec::new() };
        facts.retain(|fact| fact.via == HostId::NONE || table.announced.insert(fact.id));
        facts
    }

    /// Returns what has to be sent on a link after a change, and records that it is. To be called
    /// for each change in order, and for each link of which the burst has begun.
    pub(in crate::relay) fn update(&mut self, change: &Change, link: LinkId) -> Option<Update> {
        if !self.links.contains_key(&link) || self.is_ended(link) {
            return None;
        }
        let (id, is_updated) = match *change {
            Change::Own => return Some(Update::Announce(self.own)),
            Change::Moved { id, is_updated, .. } => (id, is_updated),
            Change::Up { id, .. } | Change::Updated { id } => (id, true),
            Change::Down { id } => (id, false),
            Change::Close { .. } | Change::OwnIdElsewhere { .. } => return None,
        };
        let server = self.servers.get(&id);
        let belongs = server.and_then(|it| it.route).map(|route| self.belongs(link, route));
        let sent = server.and_then(|it| it.sent).filter(|_| belongs == Some(true));
        let keeps = belongs.is_some() && !self.applies(Rule::WithdrawnOnMove);
        let announced = &mut self.links.get_mut(&link)?.announced;
        match sent {
            Some(fact) => {
                let is_new = announced.insert(id);
                (is_new || is_updated).then_some(Update::Announce(fact))
            }
            None if keeps => None,
            None => announced.remove(&id).then_some(Update::Withdraw(id)),
        }
    }
}
