//! The predicates that hold once a network has healed.

use std::collections::{BTreeMap, BTreeSet};

use crc::id::HostId;
use crc::relay::message::HostKind;
use crc::relay::{FirstLink, Host};

use super::event::label;
use super::player::Player;
use super::rooms::is_shown_id;
use super::users::{Standing, User};
use super::{Predicate, Violation};
use crate::sim::PipeEnd;

/// The servers that run, and the links between them.
pub(super) struct Graph {
    /// The index of each running server in the scenario, by its index in the world.
    servers: BTreeMap<usize, usize>,
    /// The smallest server of the part of the network to which each server belongs.
    parts: BTreeMap<usize, usize>,
    /// The parts in which less is required, see [`Player::best_effort_parts`].
    best_effort: BTreeSet<usize>,
}

impl Graph {
    pub(super) fn is_connected(&self, one: usize, other: usize) -> bool {
        self.parts.get(&one).is_some_and(|part| self.parts.get(&other) == Some(part))
    }

    /// Returns the servers of the part to which a server belongs.
    pub(super) fn part_of(&self, server: usize) -> impl Iterator<Item = usize> {
        let part = self.parts.get(&server);
        self.parts.iter().filter(move |&(_, other)| Some(other) == part).map(|(&at, _)| at)
    }

    pub(super) fn is_best_effort(&self, server: usize) -> bool {
        self.parts.get(&server).is_some_and(|part| self.best_effort.contains(part))
    }
}

type Broken = (Predicate, String);

impl Player<'_> {
    /// Checks all that must hold in a network that has healed, except what needs further frames.
    pub(super) fn check_end(&self) -> Result<(), Violation> {
        self.check_parts().map_err(|(predicate, text)| self.violation(predicate, text))
    }

    fn check_parts(&self) -> Result<(), Broken> {
        let graph = self.graph()?;
        self.check_parents(&graph)?;
        self.check_claims(&graph)?;
        for &server in graph.servers.values().filter(|&&server| !self.is_plain(server)) {
            self.check_lost(server)?;
        }
        for &server in graph.servers.values().filter(|&&server| !graph.is_best_effort(server)) {
            self.check_table(&graph, server)?;
            if !self.has_plain_servers() {
                // The next hop of a plain server is not known; probes show its routes.
                self.check_routes(&graph, server)?;
            }
        }
        self.check_mail(&graph)?;
        self.check_rooms(&graph)?;
        self.check_views(&graph)
    }

    /// Checks that no server keeps mail for a user whom it can reach.
    fn check_mail(&self, graph: &Graph) -> Result<(), Broken> {
        for &server in graph.servers.values().filter(|&&server| !graph.is_best_effort(server)) {
            let label = label(server);
            if self.failed_stores.contains(&label) {
                continue;
            }
            let mut mails = self.world.mails(&label);
            let is_reachable = |to| self.users_in_part(graph, server).any(|(id, _)| id == to);
            if let Some(mail) = mails.find(|mail| u32::try_from(mail.to.0).is_ok_and(is_reachable))
            {
                let text = format!("{label} keeps mail for {}, who is online", mail.to);
                return Err((Predicate::MailDrains, text));
            }
        }
        Ok(())
    }

    /// Returns whether a server of the scenario is a plain one.
    pub(super) fn has_plain_servers(&self) -> bool {
        self.scenario.servers.iter().any(|server| server.habits.is_some())
    }

    /// Returns whether a plain server of the scenario has another one as its parent.
    pub(super) fn has_adjacent_plain_servers(&self) -> bool {
        let mut plain = self.scenario.servers.iter().filter(|server| server.habits.is_some());
        plain.any(|server| server.parents.first().is_some_and(|&parent| self.is_plain(parent)))
    }

    pub(super) fn is_plain(&self, server: usize) -> bool {
        self.scenario.servers[server].habits.is_some()
    }

    /// Returns the links between the servers, which must be a tree in each part of the network.
    pub(super) fn graph(&self) -> Result<Graph, Broken> {
        let running = self.servers.iter().enumerate();
        let servers: BTreeMap<usize, usize> =
            running.filter_map(|(at, &index)| Some((index?, at))).collect();
        let mut parts: BTreeMap<usize, usize> = servers.values().map(|&at| (at, at)).collect();
        for (server, other) in self.links(&servers)? {
            let (one, two) = (parts[&server], parts[&other]);
            if one == two {
                let text = format!("{} and {} close a cycle", label(server), label(other));
                return Err((Predicate::Tree, text));
            }
            parts.values_mut().filter(|part| **part == two).for_each(|part| *part = one);
        }
        let best_effort = self.best_effort_parts(&parts);
        Ok(Graph { servers, parts, best_effort })
    }

    /// Returns the links between servers that have registered, each once.
    fn links(&self, servers: &BTreeMap<usize, usize>) -> Result<Vec<(usize, usize)>, Broken> {
        let mut pipes = BTreeSet::new();
        for (&index, &server) in servers {
            let Some(node) = self.world.node(index) else { continue };
            for link in node.links() {
                let end = PipeEnd::Server { server: index, link: link.id() };
                let other = self.world.net.pipes.get(&end).copied();
                let adjacent = node.relay().adjacent_host(link.id());
                let is_server = adjacent.is_some_and(|host| host.kind == HostKind::Server);
                // The id of a plain neighbour may have gone to another claim. A plain server that
                // is asked whether this one could go back to it has not registered.
                let is_plain = matches!(other, Some(PipeEnd::PlainServer { .. }))
                    && node.relay().is_registered(link.id());
                if !is_server && !is_plain {
                    continue;
                }
                let Some(other) =
                    other.filter(|it| it.server().is_some_and(|it| servers.contains_key(&it)))
                else {
                    let text = format!("link {} of {} leads nowhere", link.id(), label(server));
                    return Err((Predicate::NoGhosts, text));
                };
                pipes.insert((end.min(other), end.max(other)));
            }
        }
        let is_plain = |end: &PipeEnd| matches!(end, PipeEnd::PlainServer { .. });
        let between_plain = self.world.sorted_pipes().into_iter();
        pipes
            .extend(between_plain.filter(|(one, two)| is_plain(one) && is_plain(two) && one < two));
        let index_of = |end: PipeEnd| end.server().and_then(|server| servers.get(&server).copied());
        Ok(pipes
            .into_iter()
            .filter_map(|(one, two)| Some((index_of(one)?, index_of(two)?)))
            .collect())
    }

    /// Returns the parts of the network in which a plain server has seen a fault.
    ///
    /// A plain server does not dial again, keeps servers that have left, refuses an id that it has
    /// had before, and has no grace: who knows whom after a fault is then best effort. Without a
    /// fault, a tree with plain servers has to work as a tree of plain servers alone does.
    fn best_effort_parts(&self, parts: &BTreeMap<usize, usize>) -> BTreeSet<usize> {
        let has_faults = self.scenario.has_faults();
        let with_plain = parts.iter().filter(|&(&server, _)| self.is_plain(server));
        with_plain.filter(|_| has_faults).map(|(_, &part)| part).collect()
    }

    /// Checks that each server has a parent if one runs in another part of the network.
    fn check_parents(&self, graph: &Graph) -> Result<(), Broken> {
        if self.scenario.has_faults() && self.has_plain_servers() {
            // A plain server dials once. One that keeps a server that has left also keeps its id
            // from the parents that the server could join.
            return Ok(());
        }
        for (&index, &server) in &graph.servers {
            if self.is_attached(index) && !self.is_led_away(index, server) {
                continue;
            }
            let parents = &self.scenario.servers[server].parents;
            let missing = parents.iter().find(|&&it| {
                graph.parts.contains_key(&it)
                    && !graph.is_connected(server, it)
                    && !self.is_kept_out(graph, server, it)
            });
            if let Some(&parent) = missing {
                let text = format!("{} has not joined {}", label(server), label(parent));
                return Err((Predicate::Tree, text));
            }
        }
        Ok(())
    }

    /// Returns whether a server, by its index in the world, has a link to a parent.
    pub(super) fn is_attached(&self, index: usize) -> bool {
        let end = self.world.uplink_end(index);
        let is_connected = |end: &PipeEnd| self.world.net.pipes.contains_key(end);
        // It may be asking another one that does not answer.
        let links = self.world.node(index).into_iter().flat_map(|node| {
            node.links().map(|it| it.id()).filter(|&link| node.relay().is_uplink(link))
        });
        let mut ends = links.map(|link| PipeEnd::Server { server: index, link });
        end.as_ref().is_some_and(is_connected) || ends.any(|end| is_connected(&end))
    }

    /// Checks that each id has one holder in a part of the network, and that every other user who
    /// registered it has been informed.
    fn check_claims(&self, graph: &Graph) -> Result<(), Broken> {
        let mut holders = BTreeSet::new();
        for (&at, part) in graph.parts.iter().filter(|(at, _)| !self.is_plain(**at)) {
            let id = self.relay(at).identity().id.0;
            if !holders.insert((Some(part), id)) {
                return Err((Predicate::OneClaim, format!("two servers have id {id}")));
            }
        }
        let users = self.users.iter();
        for (number, user) in users.filter(|(_, user)| !graph.is_best_effort(user.home)) {
            match user.standing {
                Standing::Left => {}
                Standing::Evicted => {
                    let text = format!("user#{number} has lost id {}, and is not closed", user.id);
                    return Err((Predicate::OneClaim, text));
                }
                Standing::Registering => {
                    let text = format!("user#{number} has no answer about id {}", user.id);
                    return Err((Predicate::OneClaim, text));
                }
                Standing::Online => {
                    let part = graph.parts.get(&user.home);
                    if !holders.insert((part, user.id)) {
                        return Err((Predicate::OneClaim, format!("id {} has two", user.id)));
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks that a server knows exactly the hosts of its part of the network.
    fn check_table(&self, graph: &Graph, server: usize) -> Result<(), Broken> {
        if self.is_plain(server) {
            return self.check_plain_table(graph, server);
        }
        let relay = self.relay(server);
        let known: BTreeSet<(u32, bool)> =
            relay.hosts().iter().map(|host| (host.id.0, host.kind == HostKind::Server)).collect();
        let mut expected: BTreeSet<(u32, bool)> =
            self.servers_in_part(graph, server).map(|id| (id, true)).collect();
        expected.extend(self.users_in_part(graph, server).map(|(id, _)| (id, false)));
        if known == expected {
            return Ok(());
        }
        let ids = |set: &BTreeSet<(u32, bool)>, other: &BTreeSet<(u32, bool)>| {
            set.difference(other).map(|(id, _)| *id).collect::<Vec<_>>()
        };
        let (missing, extra) = (ids(&expected, &known), ids(&known, &expected));
        let text = format!("{} does not know {missing:?}, and knows {extra:?}", label(server));
        Err((Predicate::OneTable, text))
    }

    /// Checks that a server keeps nobody for lost, also with a plain server in its part of the
    /// network.
    fn check_lost(&self, server: usize) -> Result<(), Broken> {
        let relay = self.relay(server);
        let is_lost = |host: &&Host| matches!(relay.first_link(host), FirstLink::Split(_));
        let Some(host) = relay.hosts().iter().find(is_lost) else { return Ok(()) };
        Err((Predicate::NoGhosts, format!("{} keeps {} for lost", label(server), host.id)))
    }

    /// Checks that a plain server knows all hosts of its part of the network.
    fn check_plain_table(&self, graph: &Graph, server: usize) -> Result<(), Broken> {
        let index = self.servers[server].expect("a running server");
        let known = self.world.plain(index).expect("plain").host_ids();
        let known: BTreeSet<u32> = known.filter(|&id| !is_shown_id(id)).collect();
        let users = self.users_in_part(graph, server).map(|(id, _)| id);
        let expected: BTreeSet<u32> = self.servers_in_part(graph, server).chain(users).collect();
        if known == expected {
            return Ok(());
        }
        let text = format!("{} knows {known:?}, expected {expected:?}", label(server));
        Err((Predicate::OneTable, text))
    }

    /// Checks that the first links lead from a server to the home of each user.
    fn check_routes(&self, graph: &Graph, server: usize) -> Result<(), Broken> {
        for (id, user) in self.users_in_part(graph, server) {
            let mut at = server;
            for _ in 0..graph.servers.len() {
                if at == user.home {
                    break;
                }
                let relay = self.relay(at);
                let next = relay.hosts().get(HostId(id)).and_then(|host| {
                    let FirstLink::Link(link) = relay.first_link(host) else { return None };
                    let index = self.servers[at]?;
                    let end = PipeEnd::Server { server: index, link };
                    let other = self.world.net.pipes.get(&end)?.server()?;
                    graph.servers.get(&other).copied()
                });
                let Some(next) = next else { break };
                at = next;
            }
            if at != user.home {
                let text =
                    format!("the route to {id} from {} ends at {}", label(server), label(at));
                return Err((Predicate::Routes, text));
            }
        }
        Ok(())
    }

    /// Checks that each user has been sent all others in its part of the network.
    fn check_views(&self, graph: &Graph) -> Result<(), Broken> {
        let users = self.online().filter(|(_, user)| user.is_on_crc());
        for (number, user) in users.filter(|(_, user)| !graph.is_best_effort(user.home)) {
            let others = self.users_in_part(graph, user.home).map(|(id, _)| id);
            let others: BTreeSet<u32> = others.filter(|&id| id != user.id).collect();
            let known: BTreeSet<u32> = user.known.keys().copied().collect();
            if known != others {
                let missing: Vec<_> = others.difference(&known).collect();
                let extra: Vec<_> = known.difference(&others).collect();
                let text = format!(
                    "user#{number} at {} has not been sent {missing:?}, and not the quits of \
                     {extra:?}",
                    label(user.home)
                );
                return Err((Predicate::ClientView, text));
            }
        }
        Ok(())
    }

    /// Returns the ids of the other servers in the part of the network to which a server belongs.
    fn servers_in_part<'b>(&'b self, graph: &'b Graph, server: usize) -> impl Iterator<Item = u32> {
        let others = graph.parts.keys().copied().filter(move |&at| at != server);
        let others = others.filter(move |&at| graph.is_connected(server, at));
        others.map(|at| match self.is_plain(at) {
            true => u32::try_from(at + 1).expect("few servers"),
            false => self.relay(at).identity().id.0,
        })
    }

    pub(super) fn relay(&self, server: usize) -> &crc::relay::Relay {
        let index = self.servers[server].expect("a running server");
        self.world.node(index).expect("a node").relay()
    }

    /// Returns the users in the part of the network to which a server belongs, with their ids.
    pub(super) fn users_in_part<'b>(
        &'b self,
        graph: &'b Graph,
        server: usize,
    ) -> impl Iterator<Item = (u32, &'b User)> {
        let users = self.online().map(|(_, user)| user);
        users.filter(move |it| graph.is_connected(server, it.home)).map(|it| (it.id, it))
    }
}
