//! Detects when a simulated network is quiescent.

use std::time::Duration;

use crc::link::{Machine as _, Time};
use crc::node::Node;
use crc::relay::message::HostKind;
use crc::relay::{FirstLink, Host};
use crc::wires::Wire;

use super::{Client, Server, Simulator, escape};
use crate::runner::backend::{KnownUser, RunError, id_taken_text, is_user_list_current};

/// Maximum virtual time for a network to become quiescent.
const QUIESCENCE_TIMEOUT: Duration = Duration::from_secs(20);

impl Simulator {
    /// Runs the network and its clients until nothing is pending, every server has joined its
    /// running parent, and every classic client has the current list of users.
    pub(super) fn run_until_quiescent(&mut self) -> Result<(), RunError> {
        let deadline = self.world.now() + QUIESCENCE_TIMEOUT;
        loop {
            self.world.run_until_quiescent();
            if self.pump() {
                continue;
            }
            let (failure, next) =
                match (self.find_unattached_server(), self.find_outdated_user_list()) {
                    (Some(server), _) => {
                        let next = self
                            .world
                            .node(server.world_index)
                            .and_then(|node| node.next_deadline());
                        (
                            format!("server {} has not joined its parent within 20 s", server.id),
                            next,
                        )
                    }
                    (None, Some((client, next))) => {
                        let own = escape(client.log.identity().unwrap_or_default());
                        (
                            format!("{own} has not received the current list of users within 20 s"),
                            Some(next),
                        )
                    }
                    (None, None) => return Ok(()),
                };
            let now = self.world.now();
            match next.filter(|next| *next <= deadline) {
                Some(next) => self.world.run_for(next.since(now)),
                None => return Err(RunError(failure)),
            }
        }
    }

    /// Returns a server that has not joined its running parent, and was not refused by it.
    fn find_unattached_server(&self) -> Option<&Server> {
        self.servers.iter().find(|server| {
            let parent = server.parent_label.as_ref().and_then(|label| self.world.server(label));
            let (Some(parent), Some(node)) = (parent, self.world.node(server.world_index)) else {
                return false;
            };
            let parent = self.world.node(parent).map(|node| node.relay().identity().id);
            let mut links = node.links();
            let is_attached = links.any(|link| {
                let host = node.relay().adjacent_host(link.id());
                host.is_some_and(|host| host.kind == HostKind::Server && Some(host.id) == parent)
            });
            let refusal = id_taken_text(server.id);
            !is_attached && !node.relay().status_updates().any(|text| text == refusal)
        })
    }

    /// Returns a classic client whose list is outdated, and the next deadline of its server.
    fn find_outdated_user_list(&self) -> Option<(&Client, Time)> {
        self.clients.iter().filter(|client| client.wire == Wire::CLASSIC).find_map(|client| {
            let node = self.world.node(client.server)?;
            let identity =
                client.log.identity().filter(|_| !client.has_ended && !client.is_frozen)?;
            let listed = client.log.other_user_names();
            let deadline = node.next_deadline()?;
            (!is_user_list_current(&known_users(node), identity, listed))
                .then_some((client, deadline))
        })
    }
}

/// Returns all users that a server knows.
fn known_users(node: &Node) -> Vec<KnownUser> {
    let users = node.relay().hosts().iter().filter(|host| host.kind == HostKind::User);
    let known = |host: &Host| KnownUser {
        id: host.id.0,
        name: String::from_utf8_lossy(host.name()).into_owned(),
        is_reachable: matches!(node.relay().first_link(host), FirstLink::Link(_)),
    };
    users.map(known).collect()
}
