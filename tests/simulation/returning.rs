//! Servers that go back to an earlier parent of their list: nobody notices, and no chat is lost.

use crc::limits::RETURN_INTERVAL;
use crc::link::Machine as _;

use super::network::Network;
use super::*;

/// Starts servers 1 to `parents.len()`; `parents` has the parents of each.
fn network(seed: u64, parents: &[&[u32]]) -> Network {
    let delay_max_millis = if seed.is_multiple_of(2) { 2 } else { 50 };
    let specs = (1..).zip(parents).map(|(id, parents)| spec(seed, id, parents));
    let mut network = Network::new(seed, delay_max_millis, specs, (1, 19));
    network.world.run_for(Duration::from_secs(10));
    network
}

fn spec(seed: u64, id: u32, parents: &[u32]) -> ServerSpec {
    let mut spec = server_spec(seed, id, None);
    spec.parents = parents.iter().map(|id| format!("s{id}")).collect();
    spec
}

#[test]
fn server_goes_back_to_its_first_parent_unnoticed() {
    for seed in seeds(0..40) {
        println!("seed {seed}");
        // Server 4 is below server 3, which has server 2 as its first parent.
        let parents: [&[u32]; 5] = [&[], &[1], &[2, 1], &[3], &[1]];
        let mut network = network(seed, &parents);
        network.world.kill(network.servers[1]);
        network.world.run_for(Duration::from_secs(10));
        assert_eq!(network.parent(3), Some(1), "the fallback");
        network.join_users(&[2]);
        network.servers[1] = network.world.start(spec(seed, 2, parents[1]));
        network.chat_for(RETURN_INTERVAL + RETURN_INTERVAL / 2);
        assert_eq!(network.parent(3), Some(2), "the first parent is back");
        network.check(&[]);
    }
}

#[test]
fn servers_go_back_over_each_other() {
    for seed in seeds(0..20) {
        println!("seed {seed}");
        let parents: [&[u32]; 6] = [&[], &[1], &[2, 1], &[3, 2, 1], &[4, 3, 1], &[5, 1]];
        let mut network = network(seed, &parents);
        for server in [2, 3, 4, 5] {
            network.world.kill(network.servers[server - 1]);
        }
        network.world.run_for(Duration::from_secs(10));
        for server in [3, 5, 2, 4] {
            let restarted = spec(seed, server, parents[server as usize - 1]);
            network.servers[server as usize - 1] = network.world.start(restarted);
            network.world.run_for(Duration::from_secs(2));
        }
        network.world.run_for(Duration::from_secs(4));
        network.join_users(&[]);
        network.chat_for(RETURN_INTERVAL * 4);
        let attached: Vec<Option<u32>> = (1..=6).map(|id| network.parent(id)).collect();
        assert_eq!(attached, [None, Some(1), Some(2), Some(3), Some(4), Some(5)]);
        network.check(&[]);
    }
}

#[test]
fn servers_that_prefer_each_other_in_a_circle_come_to_rest() {
    for seed in seeds(0..20) {
        println!("seed {seed}");
        let parents: [&[u32]; 5] = [&[], &[3, 1], &[4, 1], &[2, 1], &[1]];
        let mut network = network(seed, &parents);
        network.world.run_for(Duration::from_secs(30));
        network.join_users(&[]);
        network.chat_for(RETURN_INTERVAL * 3);
        let attached: Vec<Option<u32>> = (1..=5).map(|id| network.parent(id)).collect();
        network.chat_for(RETURN_INTERVAL * 3);
        let later: Vec<Option<u32>> = (1..=5).map(|id| network.parent(id)).collect();
        assert_eq!(attached, later, "no server moves any more");
        // One of the three stays on its fallback, since the others are below it.
        let on_fallback = later[1..4].iter().filter(|parent| **parent == Some(1)).count();
        assert_eq!(on_fallback, 1, "{later:?}");
        network.check(&[]);
    }
}

/// The root stops, and names a child; that stops, and names its own child, whose only parent it is.
#[test]
fn servers_led_out_of_their_parents_join_both_parts_unnoticed() {
    for seed in seeds(0..20) {
        println!("seed {seed}");
        let parents: [&[u32]; 5] = [&[], &[1], &[1], &[2], &[3]];
        let mut network = network(seed, &parents);
        network.world.with_node(network.servers[0], |node, now| node.stop(now));
        network.world.run_for(Duration::from_secs(10));
        let (named, other) = if network.parent(2).is_none() { (2, 3) } else { (3, 2) };
        assert_eq!(network.parent(other), Some(named));
        network.join_users(&[1, named]);
        network.world.with_node(network.servers[named as usize - 1], |node, now| node.stop(now));
        network.chat_for(Duration::from_secs(2));
        let orphan = named + 2;
        assert_eq!((network.parent(other), network.parent(orphan)), (Some(orphan), None));
        network.servers[0] = network.world.start(spec(seed, 1, parents[0]));
        network.chat_for(RETURN_INTERVAL * 5 / 2);
        assert_eq!((network.parent(other), network.parent(orphan)), (Some(1), Some(1)));
        let restarted = spec(seed, named, parents[named as usize - 1]);
        network.servers[named as usize - 1] = network.world.start(restarted);
        network.chat_for(RETURN_INTERVAL * 3 / 2);
        assert_eq!((network.parent(named), network.parent(orphan)), (Some(1), Some(named)));
        network.check(&[]);
    }
}
