//! Two servers that start under one id, in one tree or in two that join.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::end::Graph;
use super::player::Player;
use super::{Condition, Event, Scenario, ServerPlan};

/// Separates these choices from the others of a seed.
const TWINS_SEED: u64 = 0x7715_0a5e;
/// Time for which two trees are apart: a server that was refused asks again meanwhile, and joins.
const APART_TIME: Duration = Duration::from_secs(80);
/// Time after which they have joined again.
const JOINED_TIME: Duration = Duration::from_secs(88);

/// Gives a server the id of an earlier one, in a part of all seeds. In half of these, neither takes
/// another id, and one and its parent are cut off for a time if the parent is not above the other.
pub(super) fn draw_twins(seed: u64, servers: &mut [ServerPlan], events: &mut Vec<Event>) {
    let mut rng = StdRng::seed_from_u64(seed ^ TWINS_SEED);
    if !rng.random_bool(Condition::Twins.share()) {
        return;
    }
    let at = rng.random_range(1..servers.len());
    let other = rng.random_range(0..at);
    servers[at].id = Some(u32::try_from(other + 1).expect("few servers"));
    let parent = servers[at].parents[0];
    if rng.random() || parent == other || is_above(servers, parent, other) {
        return;
    }
    servers[at].is_id_configured = true;
    servers[other].is_id_configured = true;
    let group = [parent, at].into_iter().collect();
    events.push(Event::Partition { group, span: APART_TIME });
    events.push(Event::Wait(JOINED_TIME));
}

/// Returns whether a server is on the way from another one to the first server, by the parents that
/// are dialled first.
fn is_above(servers: &[ServerPlan], server: usize, other: usize) -> bool {
    let parent = |&at: &usize| servers[at].parents.first().copied();
    std::iter::successors(Some(other), parent).take(servers.len()).any(|at| at == server)
}

impl Scenario {
    /// Returns whether two servers start under one id.
    pub(super) fn has_twins(&self) -> bool {
        self.servers.iter().any(|server| server.id.is_some())
    }
}

impl Player<'_> {
    /// Returns whether a server keeps out of the part of the network to which `parent` belongs,
    /// since another one there has its id, or another one in its own part has the parent's.
    pub(super) fn is_kept_out(&self, graph: &Graph, server: usize, parent: usize) -> bool {
        let id = |at| self.relay(at).identity().id;
        self.scenario.has_twins()
            && (graph.part_of(parent).any(|other| id(other) == id(server))
                || graph.part_of(server).any(|other| id(other) == id(parent)))
    }
}
