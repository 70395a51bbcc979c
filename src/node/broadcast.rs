//! Broadcasts: a chat to every user of the network.
//!
//! Many recipients may be behind one link to a server, so a broadcast pauses while the queue of
//! such a link is long, and its sender is not read meanwhile. A link whose queue does not drain
//! within [`BROADCAST_STALL_TIMEOUT`] is skipped, with the users behind it.

use super::Node;
use super::link::Wait;
use crate::id::HostId;
use crate::limits::{BROADCAST_QUEUE_HIGH_WATER_BYTES, BROADCAST_STALL_TIMEOUT};
use crate::link::{LinkId, Time};
use crate::relay::message::{HostKind, Message};
use crate::relay::{FirstLink, Host, Outbox as _};

/// A broadcast in progress.
#[derive(Clone, Debug)]
pub(super) struct Broadcast {
    sender_link: LinkId,
    sender_id: HostId,
    text: Box<[u8]>,
    /// The next slot of the host table to visit.
    next_slot: usize,
    /// Hosts with this join sequence or a later one joined after the broadcast began, and do not
    /// get it.
    join_seq_end: u64,
    /// The link that has no room, and when it is skipped.
    stalled_on: Option<(LinkId, Time)>,
    skipped_links: Vec<LinkId>,
    unreached_users: u64,
}

/// What to do for one user.
enum Decision {
    Send,
    /// Send without a notice to the sender if the user is lost in a split.
    SendSilently,
    Skip,
    Unreachable,
    Wait,
}

impl Broadcast {
    /// Returns when the link that has no room is skipped.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.stalled_on.map(|(_, at)| at)
    }
}

impl Node {
    /// Starts a broadcast to every user but its sender.
    pub(super) fn start_broadcast(&mut self, sender_link: LinkId, sender_id: HostId, text: &[u8]) {
        if let Some(sender) = self.links.get_mut(sender_link) {
            sender.waits.insert(Wait::Broadcast);
        }
        self.broadcasts.push(Broadcast {
            sender_link,
            sender_id,
            text: text.into(),
            next_slot: 0,
            join_seq_end: self.relay.hosts().next_join_seq(),
            stalled_on: None,
            skipped_links: Vec::new(),
            unreached_users: 0,
        });
    }

    /// Continues all broadcasts. Returns the links of senders whose broadcasts are complete.
    pub(super) fn run_broadcasts(&mut self) -> Vec<LinkId> {
        let mut finished_links = Vec::new();
        for mut broadcast in std::mem::take(&mut self.broadcasts) {
            if self.continue_broadcast(&mut broadcast) {
                if broadcast.unreached_users > 0 {
                    log::warn!(
                        "the broadcast of user {} did not reach {} users: the servers towards them \
                         do not read; see `links` for their queues",
                        broadcast.sender_id,
                        broadcast.unreached_users
                    );
                }
                if let Some(sender) = self.links.get_mut(broadcast.sender_link) {
                    sender.waits.remove(Wait::Broadcast);
                    finished_links.push(broadcast.sender_link);
                }
            } else {
                self.broadcasts.push(broadcast);
            }
        }
        finished_links
    }

    /// Continues a broadcast as far as there is room. Returns whether it is complete.
    fn continue_broadcast(&mut self, broadcast: &mut Broadcast) -> bool {
        let now = self.links.now;
        while self
            .relay
            .adjacent_host(broadcast.sender_link)
            .is_some_and(|host| host.id == broadcast.sender_id)
        {
            if broadcast.next_slot >= self.relay.hosts().slot_count() {
                return true;
            }
            let host = self.relay.hosts().at_slot(broadcast.next_slot);
            let decision = host.map_or(Decision::Skip, |host| self.decide(host, broadcast));
            let destination = host.map_or(HostId::NONE, |host| host.id);
            match decision {
                Decision::Wait => return false,
                Decision::Skip => {}
                Decision::Unreachable => broadcast.unreached_users += 1,
                Decision::Send | Decision::SendSilently => {
                    // The sender of a broadcast gets no `UnknownId` for a user lost in a split.
                    let is_silent = matches!(decision, Decision::SendSilently);
                    self.links.unknown_id_muted = is_silent.then_some(broadcast.sender_link);
                    let (source, text) = (broadcast.sender_id, &broadcast.text);
                    let chat = Message::Chat { source, destination, text };
                    self.relay.receive(now, broadcast.sender_link, &chat, &mut self.links);
                    self.links.unknown_id_muted = None;
                }
            }
            broadcast.next_slot += 1;
        }
        true // the sender has left
    }

    fn decide(&self, host: &Host, broadcast: &mut Broadcast) -> Decision {
        let is_recipient = host.kind == HostKind::User && host.id != broadcast.sender_id;
        if !is_recipient || host.join_seq() >= broadcast.join_seq_end {
            return Decision::Skip;
        }
        let FirstLink::Link(next_hop) = self.relay.first_link(host) else {
            return Decision::SendSilently;
        };
        // At most half of the queue's maximum, which leaves room for other frames.
        let high_water_bytes =
            BROADCAST_QUEUE_HIGH_WATER_BYTES.min(self.links.limits.server_queue_bytes_max / 2);
        let is_server =
            self.relay.adjacent_host(next_hop).is_some_and(|host| host.kind == HostKind::Server);
        if !is_server || self.links.unsent_bytes(next_hop) < high_water_bytes {
            broadcast.stalled_on = None;
            return Decision::Send;
        }
        let now = self.links.now;
        match broadcast.stalled_on {
            _ if broadcast.skipped_links.contains(&next_hop) => Decision::Unreachable,
            Some((link, at)) if link == next_hop && at <= now => {
                broadcast.stalled_on = None;
                broadcast.skipped_links.push(next_hop);
                Decision::Unreachable
            }
            Some((link, _)) if link == next_hop => Decision::Wait,
            _ => {
                broadcast.stalled_on = Some((next_hop, now + BROADCAST_STALL_TIMEOUT));
                Decision::Wait
            }
        }
    }
}
