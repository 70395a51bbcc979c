//! The choice of a route, and the conflicts that a choice brings to light.

use std::cmp::Reverse;

use super::pass::{Before, Pass};
use super::table::Server;
use super::{Change, Conflict, Fact, Routes, Rule, Version};
use crate::id::HostId;
use crate::link::LinkId;

/// Choices for one server in one event after which those behind it are left as they are. A choice
/// depends on the routes of other servers; the bound ends an event whatever facts a link has sent.
const CHOICES_MAX: u32 = 16;

/// A route that a server could have.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    link: LinkId,
    version: Version,
    /// No server on the path is known in a later version.
    is_fresh: bool,
    /// The path begins like the route of the server before.
    follows_parent: bool,
}

impl Routes {
    /// Chooses anew for all marked servers, and returns what has changed.
    pub(super) fn run(&mut self, mut pass: Pass) -> Vec<Change> {
        while let Some(id) = pass.queue.pop_front() {
            pass.queued.remove(&id);
            self.choose(id, &mut pass);
        }
        let mut changes = Vec::new();
        for &id in &pass.order {
            changes.extend(self.change_of(id, pass.before[&id].0));
            if self.servers.get(&id).is_some_and(Server::is_unused) {
                self.servers.remove(&id);
            }
        }
        for id in std::mem::take(&mut pass.order) {
            self.find_cycle(id, &mut pass);
        }
        changes.append(&mut pass.closings);
        changes
    }

    fn change_of(&self, id: HostId, before: Before) -> Option<Change> {
        let server = self.servers.get(&id)?;
        let is_updated = server.sent != before.1;
        match (before.0, server.route) {
            (None, None) => None,
            (None, Some(link)) => Some(Change::Up { id, link }),
            (Some(_), None) => Some(Change::Down { id }),
            (Some(from), Some(to)) if from != to => {
                Some(Change::Moved { id, from, to, is_updated })
            }
            (Some(_), Some(_)) => is_updated.then_some(Change::Updated { id }),
        }
    }

    /// Chooses the route of a server, and marks those behind it if it has moved.
    fn choose(&mut self, id: HostId, pass: &mut Pass) {
        let Some(server) = self.servers.get(&id) else { return };
        let before = (server.route, server.sent);
        let (_, choices) = pass.before.entry(id).or_insert_with(|| {
            pass.order.push(id);
            (before, 0)
        });
        *choices += 1;
        let may_move_others = *choices < CHOICES_MAX;
        let best = self.candidates(id).into_iter().max_by_key(|it| self.rank(id, it));
        let sent = best.map(|it| self.fact_to_send(it.link, id));
        let server = self.server_mut(id);
        server.route = best.map(|it| it.link);
        server.sent = sent;
        if let Some(it) = best {
            server.floor = Some(it.version);
        }
        if server.route != before.0 && may_move_others {
            for link in &self.servers[&id].links {
                self.links[link].children_of(id).for_each(|child| pass.touch(child));
            }
        }
    }

    /// Returns the fact about `id` in the table of `link`, as this server sends it on.
    fn fact_to_send(&self, link: LinkId, id: HostId) -> Fact {
        let fact = self.links[&link].facts[&id];
        Fact { via: if fact.via == HostId::NONE { self.own.id } else { fact.via }, ..fact }
    }

    /// Orders the candidates for the route of a server.
    fn rank(&self, id: HostId, it: &Candidate) -> impl Ord + use<> {
        let is_current = self.route(id) == Some(it.link) && self.applies(Rule::Sticky);
        let follows_parent = it.follows_parent || !self.applies(Rule::FollowsParent);
        let version = Some(it.version).filter(|_| self.applies(Rule::HigherEpochWins));
        let is_fresh = it.is_fresh || !self.applies(Rule::FreshChainWins);
        (version, follows_parent, is_fresh, is_current, Reverse(it.link))
    }

    /// Returns the routes that a server could have, by link.
    fn candidates(&self, id: HostId) -> Vec<Candidate> {
        let server = &self.servers[&id];
        let has_floor = self.applies(Rule::EpochFloor);
        let mut found = Vec::new();
        for &link in server.links.iter().filter(|&&link| !self.is_ended(link)) {
            let fact = self.links[&link].facts[&id];
            let version = fact.version();
            if has_floor && !server.accepts(version) {
                continue;
            }
            let Some(is_fresh) = self.follow_chain(link, id) else { continue };
            let is_current = server.route == Some(link);
            if is_fresh || is_current || !self.applies(Rule::NoStaleCandidate) {
                let follows_parent = fact.via == HostId::NONE || self.route(fact.via) == Some(link);
                found.push(Candidate { link, version, is_fresh, follows_parent });
            }
        }
        found
    }

    /// Follows the `via` of the facts in the table of a link. Returns `None` unless they lead to
    /// the neighbour, else whether no server among them is known in a later version.
    fn follow_chain(&self, link: LinkId, id: HostId) -> Option<bool> {
        let table = &self.links[&link];
        let (mut at, mut is_fresh) = (id, true);
        for _ in 0..table.facts.len() {
            if at == self.own.id && !self.applies(Rule::LeavesThisServerOut) {
                return Some(is_fresh);
            }
            let Some(fact) = table.facts.get(&at) else {
                return (!self.applies(Rule::ChainEnds)).then_some(is_fresh);
            };
            is_fresh &= self.latest_version(at) == Some(fact.version());
            if at == table.neighbour {
                return Some(is_fresh);
            }
            at = fact.via;
        }
        None
    }

    /// Returns the servers from the neighbour to `id` by the table of a link.
    pub(super) fn chain(&self, link: LinkId, id: HostId) -> Vec<HostId> {
        let table = &self.links[&link];
        let step = |at: &HostId| table.facts.get(at).map(|fact| fact.via);
        let mut chain: Vec<HostId> = std::iter::successors(Some(id), step)
            .take(table.facts.len())
            .take_while(|&at| at != HostId::NONE)
            .collect();
        chain.reverse();
        chain
    }

    /// Returns the latest version in which a server is known over any link, of those to which the
    /// route may lead.
    pub(super) fn latest_version(&self, id: HostId) -> Option<Version> {
        let server = self.servers.get(&id)?;
        let versions = server.links.iter().map(|link| self.links[link].facts[&id].version());
        versions.filter(|version| server.accepts(*version)).chain(server.floor).max()
    }

    /// Asks to close all links but one to the neighbour of `link`.
    pub(super) fn find_second_link(&self, link: LinkId, pass: &mut Pass) {
        if !self.applies(Rule::SecondLink) {
            return;
        }
        let neighbour = self.links[&link].neighbour;
        let links = self.servers[&neighbour].links.iter();
        let direct: Vec<LinkId> =
            links.copied().filter(|link| self.links[link].neighbour == neighbour).collect();
        let last = direct.iter().copied().max_by_key(|link| (self.links[link].commits, *link));
        for link in direct.into_iter().filter(|&link| Some(link) != last) {
            pass.close(link, Conflict::SecondLink);
        }
    }

    /// Asks to close the links to `id` if it has attached elsewhere since.
    pub(super) fn find_ghosts(&self, id: HostId, pass: &mut Pass) {
        let Some(server) = self.servers.get(&id).filter(|_| self.applies(Rule::Ghost)) else {
            return;
        };
        let is_direct = |link: &&LinkId| self.links[link].neighbour == id;
        let version = |link: &LinkId| self.links[link].facts[&id].version();
        let elsewhere = server.links.iter().filter(|link| !is_direct(link)).map(version).max();
        for link in server.links.iter().filter(is_direct).filter(|&&link| !self.is_ending(link)) {
            let known = version(link);
            if elsewhere.is_some_and(|it| it > known) {
                pass.close(*link, Conflict::Ghost);
            }
        }
    }

    /// Asks to close a link if it is the one at which the cycle of its members is cut.
    fn find_cycle(&self, id: HostId, pass: &mut Pass) {
        let Some(route) = self.route(id).filter(|_| self.applies(Rule::Cycle)) else { return };
        if self.servers[&id].links.len() < 2 || id < self.own.id {
            return;
        }
        let mut candidates = self.candidates(id);
        candidates.retain(|it| it.is_fresh);
        if candidates.iter().all(|it| it.link != route) {
            return;
        }
        let first = self.chain(route, id);
        for it in candidates.iter().filter(|it| it.link != route) {
            let second = self.chain(it.link, id);
            let is_cycle = first.len() + second.len() > 2
                && second.iter().all(|it| *it == id || !first.contains(it));
            if is_cycle && first.iter().chain(&second).all(|&it| it <= id) {
                let back = second.iter().rev().skip(1);
                let members =
                    std::iter::once(&self.own.id).chain(&first).chain(back).copied().collect();
                pass.close(it.link, Conflict::Cycle { members });
            }
        }
    }
}
