//! Isolation: what a connection that breaks the protocol sends changes nothing else.
//!
//! The bytes are given to a clone of the server first. Its table of hosts and what it sends on all
//! other links must be those of a clone without them.

use crc::link::{LinkId, Machine as _};
use crc::node::Node;
use crc::relay::message::HostKind;
use crc::wires::Wire;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::event::label;
use super::player::Player;
use super::{Predicate, Violation};
use crate::frames;

/// The text in frames from somebody else.
const TEXT: &str = "garbage";

/// What others can see of a server: its hosts, and what waits on each link.
#[derive(PartialEq, Eq)]
struct Visible {
    hosts: Vec<(u32, HostKind, u32)>,
    queues: Vec<(LinkId, Vec<u8>)>,
}

impl Visible {
    fn of(node: &mut Node, but: Option<LinkId>) -> Self {
        while node.poll_unsent().is_some() {} // which announces what is pending
        let relay = node.relay();
        let hosts = relay.hosts().iter();
        let hosts =
            hosts.map(|host| (host.id.0, host.kind, relay.first_link_host(host).0)).collect();
        let links = node.links().map(|link| link.id()).filter(|&link| Some(link) != but);
        let mut queues: Vec<_> = links.map(|link| (link, node.unsent(link).to_vec())).collect();
        queues.sort_by_key(|&(link, _)| link);
        Self { hosts, queues }
    }
}

impl Player<'_> {
    /// Lets a program connect to a server and send what breaks the protocol.
    pub(super) fn send_garbage(&mut self, server: usize, seed: u64) -> Result<(), Violation> {
        let Some(index) = self.servers[server] else { return Ok(()) };
        let Some(node) = self.world.node(index) else { return Ok(()) };
        let (bytes, registered_id) = draw_garbage(node, seed);
        let (mut without, mut with) = (node.clone(), node.clone());
        let now = self.world.now();
        let link = with.open_link(now, Wire::CRC);
        with.receive_with_direct_write(now, link, &bytes, &mut |_, _| 0);
        if Visible::of(&mut without, None) != Visible::of(&mut with, Some(link)) {
            let text = format!("{} changed with the input {bytes:02x?}", label(server));
            return Err(self.violation(Predicate::Isolation, text));
        }
        // The id may be free by the time that the bytes arrive.
        if let Some(id) = registered_id {
            self.garbage_ids.insert((id, server));
        }
        let client = self.world.connect(index);
        self.world.send(client, &bytes);
        self.garbage.push(client);
        Ok(())
    }
}

/// Returns frames from somebody else, or bytes that are no frames; and the id that they register,
/// if it is that of a user.
fn draw_garbage(node: &Node, seed: u64) -> (Vec<u8>, Option<u32>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let relay = node.relay();
    let own_id = relay.identity().id.0;
    let ids = |kind| {
        let hosts = relay.hosts().iter().filter(move |host| host.kind == kind);
        hosts.map(|host| host.id.0).collect::<Vec<u32>>()
    };
    let user = ids(HostKind::User).choose(&mut rng).copied().unwrap_or(own_id);
    let server = ids(HostKind::Server).choose(&mut rng).copied().unwrap_or(own_id);
    let bytes = match rng.random_range(0..9) {
        0 => (0..rng.random_range(1..200)).map(|_| rng.random_range(0x03..0x80)).collect(),
        1 => frames::chat(user, own_id, TEXT),
        2 => frames::quit(user, TEXT),
        3 => frames::status(server, user, 1, TEXT),
        4 => frames::server_quit(server, 0, TEXT),
        5 => return (frames::user(user, TEXT, ""), Some(user)),
        6 => frames::user(own_id, TEXT, ""),
        7 => vec![0x81, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff],
        _ => frames::user(u32::MAX, TEXT, ""),
    };
    (bytes, None)
}
