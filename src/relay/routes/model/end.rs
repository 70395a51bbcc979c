//! What must hold when all frames have been delivered.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Fact;
use super::world::{End, Wire, World, link};
use crate::id::HostId;

macro_rules! ensure {
    ($condition:expr, $($arg:tt)+) => {
        if !$condition {
            return Err(format!($($arg)+));
        }
    };
}

impl World {
    /// Checks routes, facts and announcements against the links that are left.
    pub(super) fn check_end(&self) -> Result<(), String> {
        let attached = |it: &&Wire| it.ends == [End::Attached; 2];
        let edges: Vec<[usize; 2]> =
            self.wires.iter().filter(attached).map(|it| it.nodes).collect();
        let components: BTreeSet<BTreeSet<usize>> =
            (0..self.nodes.len()).map(|node| component(&edges, node)).collect();
        let is_forest = edges.len() + components.len() == self.nodes.len();
        ensure!(is_forest || self.keeps_cycles, "a cycle is left: {edges:?}");
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.is_dead) {
            let component = component(&edges, index);
            for (other, target) in self.nodes.iter().enumerate() {
                let (own, id) = (index + 1, target.routes.own().id);
                let fact = node.routes.fact(id);
                if other == index || !component.contains(&other) {
                    ensure!(fact.is_none(), "{own} has a ghost of {id}");
                    continue;
                }
                let Some(fact) = fact else {
                    return Err(format!("{own} has no route to {id}"));
                };
                let expected = target.routes.own();
                ensure!(fact.version() == expected.version(), "{own} has an old fact about {id}");
                self.check_path(index, id)?;
            }
            self.check_announcements(index)?;
        }
        Ok(())
    }

    fn check_path(&self, from: usize, id: HostId) -> Result<(), String> {
        let mut path = Vec::new();
        let mut at = from;
        while self.nodes[at].routes.own().id != id {
            let Some(link) = self.nodes[at].routes.route(id) else {
                return Err(format!("the path of {} to {id} ends at {}", from + 1, at + 1));
            };
            let wire = link.index as usize;
            at = self.wires[wire].nodes[1 - self.end_of(wire, at)];
            path.push(self.nodes[at].routes.own().id);
            ensure!(path.len() < self.nodes.len(), "a loop towards {id}");
        }
        ensure!(path == self.nodes[from].routes.path(id), "another path to {id}");
        Ok(())
    }

    fn check_announcements(&self, node: usize) -> Result<(), String> {
        let routes = &self.nodes[node].routes;
        for wire in self.wires_of(node) {
            let end = self.end_of(wire, node);
            let other = &self.nodes[self.wires[wire].nodes[1 - end]].routes;
            let sent: BTreeMap<HostId, Fact> =
                routes.announced_on(link(wire)).map(|fact| (fact.id, fact)).collect();
            let sent: BTreeMap<HostId, Fact> =
                sent.into_iter().filter(|(id, _)| *id != other.own().id).collect();
            let received = &other.links[&link(wire)].facts;
            ensure!(sent == *received, "{} and {} differ", node + 1, other.own().id);
            let announced = routes.links[&link(wire)].announced.iter();
            let announced = announced.filter(|&&id| id != other.own().id);
            let sent = sent.keys().filter(|&&id| id != routes.own().id);
            ensure!(announced.eq(sent), "the announcements of {} are not recorded", node + 1);
        }
        Ok(())
    }
}

/// Returns the nodes that edges connect with `node`.
fn component(edges: &[[usize; 2]], node: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::from([node]);
    loop {
        let before = found.len();
        for [from, to] in edges {
            if found.contains(from) || found.contains(to) {
                found.extend([*from, *to]);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}
