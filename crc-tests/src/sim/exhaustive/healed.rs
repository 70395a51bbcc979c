//! The predicates of a network that has healed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::rc::Rc;

use crc::id::HostId;
use crc::node::Node;
use crc::relay::FirstLink;
use crc::relay::message::HostKind;

use super::explorer::{Broken, Explorer};
use super::network::Network;
use super::process::Program;
use super::state::{Standing, State};

/// The smallest server of the part of the network to which each running server belongs.
type Parts = BTreeMap<usize, usize>;

/// A node among the programs.
struct NodeRef(Rc<Program>);

impl Deref for NodeRef {
    type Target = Node;

    fn deref(&self) -> &Node {
        match &*self.0 {
            Program::Node(node) => node,
            Program::Plain(_) => unreachable!("a node"),
        }
    }
}

impl Explorer {
    /// Checks a network some time after its last fault, in which nothing is in flight.
    pub(super) fn check_healed(&self, state: &State) -> Result<(), Broken> {
        let parts = self.parts(state)?;
        self.check_parents(state, &parts)?;
        self.check_claims(state, &parts)?;
        for &server in parts.keys() {
            self.check_table(state, &parts, server)?;
            self.check_routes(state, &parts, server)?;
        }
        self.check_views(state, &parts)
    }

    fn node(&self, state: &State, server: usize) -> Option<NodeRef> {
        let program = self.processes.program(state.servers[server].process?);
        matches!(*program, Program::Node(_)).then_some(NodeRef(program))
    }

    /// Returns the parts of the network, each of which must be a tree.
    fn parts(&self, state: &State) -> Result<Parts, Broken> {
        let running = state.servers.iter().enumerate();
        let mut parts: Parts =
            running.filter_map(|(at, server)| server.process.map(|_| (at, at))).collect();
        for pipe in &state.pipes {
            let [one, two] = pipe.ends;
            if !one.is_open || !two.is_open || pipe.is_silent {
                let labels = [one, two].map(|end| Network::label(end.server));
                return Err(format!("no ghosts: half a link between {labels:?}"));
            }
            let (one, two) = (parts[&one.server], parts[&two.server]);
            if one == two {
                return Err("tree: two links close a cycle".to_owned());
            }
            let (kept, merged) = (one.min(two), one.max(two));
            parts.values_mut().filter(|part| **part == merged).for_each(|part| *part = kept);
        }
        Ok(parts)
    }

    /// Checks that no server could join a parent in another part of the network.
    fn check_parents(&self, state: &State, parts: &Parts) -> Result<(), Broken> {
        for (&server, part) in parts {
            if self.node(state, server).is_none() {
                continue; // a plain server dials once
            }
            let is_uplink =
                |server: usize| state.pipes.iter().any(|it| it.ends[0].server == server);
            let parents = &self.network.servers[server].parents;
            let missing =
                parents.iter().find(|parent| parts.get(parent).is_some_and(|it| it != part));
            if let Some(&parent) = missing.filter(|_| !is_uplink(server)) {
                let (child, parent) = (Network::label(server), Network::label(parent));
                return Err(format!("tree: {child} has not joined {parent}"));
            }
        }
        Ok(())
    }

    /// Checks that each id has one holder in a part of the network, and that everybody else who
    /// registered it has been informed.
    fn check_claims(&self, state: &State, parts: &Parts) -> Result<(), Broken> {
        let mut holders = BTreeSet::new();
        for (user, it) in state.users.iter().enumerate() {
            let spec = &self.network.users[user];
            match it.standing {
                Standing::Absent | Standing::Left => {}
                Standing::Registering(_) => {
                    return Err(format!("one claim: user#{user} has no answer"));
                }
                Standing::Online(_) => {
                    if !holders.insert((parts.get(&spec.home), spec.id)) {
                        return Err(format!("one claim: id {} has two", spec.id));
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the id and the home of each user in the same part of the network as a server.
    fn users_in_part(&self, state: &State, parts: &Parts, server: usize) -> BTreeMap<u32, usize> {
        let users = state.users.iter().zip(&self.network.users);
        let online = users.filter(|(it, _)| matches!(it.standing, Standing::Online(_)));
        let in_part = online.filter(|(_, spec)| parts.get(&spec.home) == parts.get(&server));
        in_part.map(|(_, spec)| (spec.id, spec.home)).collect()
    }

    /// Checks that a server knows exactly the hosts of its part of the network, beside servers that
    /// were lost behind a plain one.
    fn check_table(&self, state: &State, parts: &Parts, server: usize) -> Result<(), Broken> {
        let Some(node) = self.node(state, server) else { return Ok(()) };
        let relay = node.relay();
        let known: BTreeSet<(u32, bool)> =
            relay.hosts().iter().map(|host| (host.id.0, host.kind == HostKind::Server)).collect();
        let others = parts.iter().filter(|&(&at, part)| at != server && *part == parts[&server]);
        let mut expected: BTreeSet<(u32, bool)> =
            others.map(|(&at, _)| (Network::id_of(at), true)).collect();
        expected.extend(self.users_in_part(state, parts, server).keys().map(|&id| (id, false)));
        let (missing, mut extra) = (&expected - &known, &known - &expected);
        if self.has_plain(parts, server) {
            extra.retain(|&(_, is_server)| !is_server);
        }
        if missing.is_empty() && extra.is_empty() {
            return Ok(());
        }
        let ids =
            |set: BTreeSet<(u32, bool)>| set.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        let label = Network::label(server);
        Err(format!(
            "one table: {label} does not know {:?}, and knows {:?}",
            ids(missing),
            ids(extra)
        ))
    }

    /// Returns whether a plain server is in the same part of the network. Plain CRC has no message
    /// by which it could inform others of servers that were lost behind it.
    fn has_plain(&self, parts: &Parts, server: usize) -> bool {
        let in_part = parts.iter().filter(|&(_, part)| *part == parts[&server]);
        in_part.map(|(&at, _)| &self.network.servers[at]).any(|it| it.habits.is_some())
    }

    /// Checks that the first links lead from a server to the home of each user, as far as plain
    /// servers are not in between.
    fn check_routes(&self, state: &State, parts: &Parts, server: usize) -> Result<(), Broken> {
        for (id, home) in self.users_in_part(state, parts, server) {
            let mut at = server;
            for _ in 0..parts.len() {
                let (false, Some(node)) = (at == home, self.node(state, at)) else { break };
                let host = node.relay().hosts().get(HostId(id));
                let Some(FirstLink::Link(link)) = host.map(|host| node.relay().first_link(host))
                else {
                    return Err(format!("routes: none to {id} at {}", Network::label(at)));
                };
                let Some((pipe, end)) = state.find_pipe(at, link.index) else { break };
                at = state.pipes[pipe].ends[1 - end].server;
            }
            if at != home && self.node(state, at).is_some() {
                let (from, to) = (Network::label(server), Network::label(at));
                return Err(format!("routes: the one to {id} from {from} ends at {to}"));
            }
        }
        Ok(())
    }

    /// Checks that each user has been sent all others in its part of the network.
    fn check_views(&self, state: &State, parts: &Parts) -> Result<(), Broken> {
        for (user, it) in state.users.iter().enumerate() {
            let spec = &self.network.users[user];
            if !matches!(it.standing, Standing::Online(_)) || self.node(state, spec.home).is_none()
            {
                continue;
            }
            let mut others = self.users_in_part(state, parts, spec.home);
            others.remove(&spec.id);
            let others: BTreeSet<u32> = others.into_keys().collect();
            if it.known != others {
                return Err(format!("client view: user#{user} has {:?} of {others:?}", it.known));
            }
        }
        Ok(())
    }
}
