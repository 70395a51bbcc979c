//! Servers that stop: their children join another server, nobody notices, and no chat is lost.

use crc::link::Machine as _;

use super::network::Network;
use super::*;

/// Starts servers 1 to `parents.len()`; `parents` has the parent of each. Stops one of them under
/// traffic of the users of the others. Checks that a second later all children have moved, and that
/// the others have only seen its own user leave.
fn stop_and_check(seed: u64, parents: &[Option<u32>], stopped: u32) {
    let delay_max_millis = if seed.is_multiple_of(2) { 20 } else { 50 };
    let specs = (1..).zip(parents).map(|(id, &parent)| server_spec(seed, id, parent));
    let mut network = Network::new(seed, delay_max_millis, specs, (3, 2));
    let server = network.servers[stopped as usize - 1];
    network.world.run_for(Duration::from_secs(3));
    join_user(&mut network.world, server, 100 + stopped);
    network.join_users(&[stopped]);
    network.chat_for(Duration::from_millis(200));
    network.world.with_node(server, |node, now| node.stop(now));
    network.chat_for(Duration::from_secs(1));
    let is_running = network.world.node(server).is_some();
    network.chat_for(Duration::from_millis(500));
    assert!(!is_running, "server {stopped} has not ended within a second");
    network.check(&[100 + stopped]);
}

/// Stops a server of each of many networks.
fn check(parents: &[Option<u32>], stopped: u32) {
    for seed in seeds(0..50) {
        println!("seed {seed}");
        stop_and_check(seed, parents, stopped);
    }
}

#[test]
fn children_of_a_stopping_server_join_its_parent_unnoticed() {
    check(&[None, Some(1), Some(2), Some(2)], 2);
}

#[test]
fn subtrees_of_a_stopping_server_join_its_parent_unnoticed() {
    check(&[None, Some(1), Some(2), Some(2), Some(3), Some(1), Some(4)], 2);
}

#[test]
fn children_of_a_stopping_root_join_one_of_them_unnoticed() {
    check(&[None, Some(1), Some(1), Some(1)], 1);
}

#[test]
fn subtrees_of_a_stopping_root_join_one_of_them_unnoticed() {
    check(&[None, Some(1), Some(1), Some(2), Some(3), Some(1)], 1);
}
