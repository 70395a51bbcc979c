//! Two servers that start under one id, in one tree or in two that join.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::end::Graph;
use super::player::Player;
use super::{Condition, Scenario, ServerPlan};

/// Separates these choices from the others of a seed.
const TWINS_SEED: u64 = 0x7715_0a5e;

/// Gives a server the id of an earlier one, in a part of all seeds.
pub(super) fn draw_twins(seed: u64, servers: &mut [ServerPlan]) {
    let mut rng = StdRng::seed_from_u64(seed ^ TWINS_SEED);
    if !rng.random_bool(Condition::Twins.share()) {
        return;
    }
    let at = rng.random_range(1..servers.len());
    servers[at].id = Some(u32::try_from(rng.random_range(1..=at)).expect("few servers"));
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
