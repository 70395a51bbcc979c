//! The predicates that hold once a network has healed.

use std::collections::{BTreeMap, BTreeSet};

use crc::id::HostId;
use crc::relay::extension::Frame;
use crc::relay::message::{HostKind, Message};
use crc::relay::{FirstLink, Host};
use crc::wires::crc::codec;

use super::event::label;
use super::player::Player;
use super::users::{Standing, User};
use super::{Predicate, Violation};
use crate::sim::PipeEnd;

/// The servers that run, by their index in the scenario, and the links between them.
struct Graph {
    /// The index of each running server in the scenario, by its index in the world.
    servers: BTreeMap<usize, usize>,
    /// The smallest server of the part of the network to which each server belongs.
    parts: BTreeMap<usize, usize>,
}

impl Graph {
    fn is_connected(&self, one: usize, other: usize) -> bool {
        self.parts.get(&one).is_some_and(|part| self.parts.get(&other) == Some(part))
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
        for &server in graph.servers.values() {
            self.check_table(&graph, server)?;
            self.check_routes(&graph, server)?;
        }
        self.check_views(&graph)
    }

    /// Returns the links between the servers, which must be a tree in each part of the network.
    fn graph(&self) -> Result<Graph, Broken> {
        let running = self.servers.iter().enumerate();
        let servers: BTreeMap<usize, usize> =
            running.filter_map(|(at, &index)| Some((index?, at))).collect();
        let mut parts: BTreeMap<usize, usize> = servers.values().map(|&at| (at, at)).collect();
        for (&index, &server) in &servers {
            let Some(node) = self.world.node(index) else { continue };
            for link in node.links() {
                let adjacent = node.relay().adjacent_host(link.id());
                if adjacent.is_none_or(|host| host.kind != HostKind::Server) {
                    continue;
                }
                let end = PipeEnd::Server { server: index, link: link.id() };
                let other = self.world.net.pipes.get(&end).and_then(|other| other.server());
                let Some(&other) = other.and_then(|other| servers.get(&other)) else {
                    let text = format!("link {} of {} leads nowhere", link.id(), label(server));
                    return Err((Predicate::NoGhosts, text));
                };
                if other < server {
                    continue; // counted at its other end
                }
                let (one, two) = (parts[&server], parts[&other]);
                if one == two {
                    let text = format!("{} and {} close a cycle", label(server), label(other));
                    return Err((Predicate::Tree, text));
                }
                parts.values_mut().filter(|part| **part == two).for_each(|part| *part = one);
            }
        }
        Ok(Graph { servers, parts })
    }

    /// Checks that each server has a parent if one runs in another part of the network.
    fn check_parents(&self, graph: &Graph) -> Result<(), Broken> {
        for (&index, &server) in &graph.servers {
            if self
                .world
                .uplink_end(index)
                .is_some_and(|end| self.world.net.pipes.contains_key(&end))
            {
                continue;
            }
            let parents = &self.scenario.servers[server].parents;
            let missing = parents
                .iter()
                .find(|&&it| graph.parts.contains_key(&it) && !graph.is_connected(server, it));
            if let Some(&parent) = missing {
                let text = format!("{} has not joined {}", label(server), label(parent));
                return Err((Predicate::Tree, text));
            }
        }
        Ok(())
    }

    /// Checks that each id has one holder in a part of the network, and that every other user who
    /// registered it has been informed.
    fn check_claims(&self, graph: &Graph) -> Result<(), Broken> {
        let mut holders = BTreeSet::new();
        for (number, user) in &self.users {
            match user.standing {
                Standing::Left => {}
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
        let relay = self.relay(server);
        let lost = |host: &&Host| matches!(relay.first_link(host), FirstLink::Split(_));
        if let Some(host) = relay.hosts().iter().find(lost) {
            let text = format!("{} keeps {} for lost", label(server), host.id);
            return Err((Predicate::NoGhosts, text));
        }
        let known: BTreeSet<(u32, bool)> =
            relay.hosts().iter().map(|host| (host.id.0, host.kind == HostKind::Server)).collect();
        let others = graph.parts.keys().filter(|&&at| at != server);
        let others = others.filter(|&&at| graph.is_connected(server, at));
        let mut expected: BTreeSet<(u32, bool)> =
            others.map(|&at| (self.relay(at).identity().id.0, true)).collect();
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
        for (number, user) in self.online() {
            let others = self.users_in_part(graph, user.home).map(|(id, _)| id);
            let others: BTreeSet<u32> = others.filter(|&id| id != user.id).collect();
            if user.known != others {
                let missing: Vec<_> = others.difference(&user.known).collect();
                let extra: Vec<_> = user.known.difference(&others).collect();
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

    /// Checks that nothing was sent between servers but what keeps links alive.
    pub(super) fn check_quiet(&mut self) -> Result<(), Violation> {
        let Some(frame) = self.unquiet.take() else { return Ok(()) };
        Err(self.violation(Predicate::Quiet, frame))
    }

    /// Returns whether a frame is sent in a network that is quiet.
    pub(super) fn is_quiet_frame(bytes: &[u8]) -> bool {
        let Message::Status { destination: HostId::EXTENSION, code, text, .. } =
            codec::parse_frame(bytes)
        else {
            return false;
        };
        let frame = Frame::parse(code, text);
        matches!(frame, Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Ack { .. })))
    }

    /// Returns how often each user has been answered that an id is unknown.
    pub(super) fn unknown_counts(&self) -> BTreeMap<u32, BTreeMap<u32, u32>> {
        self.users.iter().map(|(&number, user)| (number, user.unknown_ids.clone())).collect()
    }

    /// Checks that every probe from number `first` on has arrived if both users are connected, and
    /// that the sender has been informed otherwise.
    pub(super) fn check_probes(
        &self,
        first: usize,
        before: &BTreeMap<u32, BTreeMap<u32, u32>>,
    ) -> Result<(), Violation> {
        let graph = self.graph().map_err(|(predicate, text)| self.violation(predicate, text))?;
        let mut unknown = before.clone();
        for chat in &self.chats[first..] {
            let home = self.users[&chat.user].home;
            if self.users_in_part(&graph, home).any(|(id, _)| id == chat.to) {
                if !chat.is_delivered {
                    let text = format!("no probe of user#{} reaches {}", chat.user, chat.to);
                    return Err(self.violation(Predicate::EveryPair, text));
                }
            } else {
                *unknown.entry(chat.user).or_default().entry(chat.to).or_default() += 1;
            }
        }
        if unknown != self.unknown_counts() {
            let text = format!("expected {unknown:?}, answered {:?}", self.unknown_counts());
            return Err(self.violation(Predicate::Accounting, text));
        }
        Ok(())
    }

    fn relay(&self, server: usize) -> &crc::relay::Relay {
        let index = self.servers[server].expect("a running server");
        self.world.node(index).expect("a node").relay()
    }

    /// Returns the users in the part of the network to which a server belongs, with their ids.
    fn users_in_part<'b>(
        &'b self,
        graph: &'b Graph,
        server: usize,
    ) -> impl Iterator<Item = (u32, &'b User)> {
        let users = self.online().map(|(_, user)| user);
        users.filter(move |it| graph.is_connected(server, it.home)).map(|it| (it.id, it))
    }
}
