//! A large tree of servers with their users.

use std::time::Duration;

use crc::wires::Wire;

use super::table::Tables;
use super::{Loss, Options};
use crate::sim::{Meter, NetConditions, ServerSpec, World};

/// Interval between two comparisons of the tables.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Interval between the starts of two servers. What is in flight at one time then stays small.
const START_INTERVAL: Duration = Duration::from_millis(5);

/// Virtual time after which a network counts as one that does not heal.
const PHASE_TIME_MAX: Duration = Duration::from_secs(60);

/// A network that runs.
pub(super) struct Network {
    world: World,
    options: Options,
    /// The index in the world of each server; `None` while it does not run.
    servers: Vec<Option<usize>>,
    tables: Tables,
}

impl Network {
    /// Starts the servers one after another, [`START_INTERVAL`] apart, each with its users.
    pub(super) fn start(options: &Options) -> Self {
        let mut world = World::new(options.seed, NetConditions::default());
        world.disable_checks();
        world.restart_meter();
        let mut network =
            Self { world, options: *options, servers: Vec::new(), tables: Tables::default() };
        for number in 0..options.servers {
            let server = network.start_server(number);
            network.servers.push(Some(server));
            network.run_for(START_INTERVAL);
        }
        network
    }

    fn start_server(&mut self, number: u32) -> usize {
        let parents = parents_of(number, self.options.fan_out).into_iter().map(label_of).collect();
        let server = self.world.start(ServerSpec { parents, ..ServerSpec::new(number + 1, None) });
        for _ in 0..self.options.users {
            self.world.connect_on(server, Wire::DIRECT);
        }
        server
    }

    /// Ends the root.
    pub(super) fn lose_root(&mut self, loss: Loss) {
        let root = self.servers[0].take().expect("a root that runs");
        match loss {
            Loss::Kill => self.world.kill(root),
            Loss::Vanish => self.world.vanish(root),
        }
    }

    /// Starts the root again, with as many users.
    pub(super) fn start_root(&mut self) {
        let root = self.start_server(0);
        self.servers[0] = Some(root);
    }

    pub(super) fn run_for(&mut self, span: Duration) {
        self.world.run_for(span);
    }

    pub(super) fn restart_meter(&mut self) -> Meter {
        self.world.restart_meter()
    }

    /// Runs until all servers that run have one table. Returns the time that it took, or `None` if
    /// they do not within a minute.
    pub(super) fn run_until_one_table(&mut self) -> Option<Duration> {
        let started_at = self.world.now();
        loop {
            let elapsed = self.world.now().since(started_at);
            if self.tables.are_one(&self.world, &self.servers) {
                return Some(elapsed);
            }
            if elapsed >= PHASE_TIME_MAX {
                return None;
            }
            self.world.run_for(CHECK_INTERVAL);
        }
    }
}

fn label_of(number: u32) -> String {
    format!("s{}", number + 1)
}

/// Returns the parents of a server, in order. Servers are numbered from the root, level by level.
fn parents_of(number: u32, fan_out: u32) -> Vec<u32> {
    let Some(parent) = number.checked_sub(1).map(|below| below / fan_out) else {
        return Vec::new();
    };
    let Some(grandparent) = parent.checked_sub(1).map(|below| below / fan_out) else {
        return std::iter::once(parent).chain(1..number).collect();
    };
    // The sibling before the parent, or the one after the first of them.
    let first_sibling = grandparent * fan_out + 1;
    let sibling = if parent == first_sibling { parent + 1 } else { parent - 1 };
    vec![parent, sibling, grandparent]
}
