//! Whether all servers of a network have one table.

use crc::id::HostId;
use crc::node::Node;
use crc::relay::FirstLink;
use crc::relay::message::HostKind;

use crate::sim::World;

/// Compares the tables of servers.
#[derive(Default)]
pub(super) struct Tables {
    /// The server whose table differed at the last comparison.
    suspect: usize,
}

impl Tables {
    /// Returns whether each server that runs knows every other one with all its users, nobody else,
    /// and nobody as lost, and all know the same rooms with as many members.
    pub(super) fn are_one(&mut self, world: &World, servers: &[Option<usize>]) -> bool {
        let nodes: Vec<&Node> = servers.iter().flatten().filter_map(|&it| world.node(it)).collect();
        let homes: Vec<(HostId, u32)> = nodes.iter().map(|node| home(node)).collect();
        let users: u32 = homes.iter().map(|&(_, users)| users).sum();
        let hosts = nodes.len() + users as usize;
        // The servers after the one that differed last come first.
        let suspects = self.suspect.min(nodes.len() - 1)..nodes.len();
        let mut first = None;
        for at in suspects.chain(0..nodes.len()) {
            let fingerprint = fingerprint(nodes[at]);
            let is_same = *first.get_or_insert(fingerprint) == fingerprint;
            if fingerprint.0 != hosts || !is_same || !knows_all(nodes[at], &homes) {
                self.suspect = at;
                return false;
            }
        }
        true
    }
}

/// Returns a server and the number of its users.
fn home(node: &Node) -> (HostId, u32) {
    let relay = node.relay();
    let adjacent = node.links().filter_map(|link| relay.adjacent_host(link.id()));
    let users = adjacent.filter(|host| host.kind == HostKind::User).count();
    (relay.identity().id, u32::try_from(users).expect("fewer users than ids"))
}

/// Returns whether a server knows other servers with so many users, and none as lost.
fn knows_all(node: &Node, homes: &[(HostId, u32)]) -> bool {
    let relay = node.relay();
    homes.iter().filter(|(id, _)| *id != relay.identity().id).all(|&(id, users)| {
        relay.hosts().get(id).is_some_and(|host| {
            matches!(relay.first_link(host), FirstLink::Link(_))
                && relay.server_report(host).is_some_and(|report| report.users == Some(users))
        })
    })
}

/// Returns the number of all hosts, and the sum of a hash of each and of each room.
fn fingerprint(node: &Node) -> (usize, u64) {
    let relay = node.relay();
    let own = (relay.identity().id, HostKind::Server);
    let hosts = relay.hosts().iter().map(|host| (host.id, host.kind));
    let rooms = relay.rooms().map(|room| {
        let members = (room.members_here + room.members_elsewhere) as u64;
        let name = room.name.key().iter().fold(members, |sum, &byte| hash(sum ^ u64::from(byte)));
        hash(name)
    });
    let rooms = rooms.fold(0, u64::wrapping_add);
    hosts.chain([own]).fold((0, rooms), |(count, sum), (id, kind)| {
        let is_user = u64::from(kind == HostKind::User);
        (count + 1, u64::wrapping_add(sum, hash(u64::from(id.0) << 1 | is_user)))
    })
}

fn hash(value: u64) -> u64 {
    let hash = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 29
}
