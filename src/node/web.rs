//! The operator's surface: requests of its sessions, and what is replied.

use super::{Link, Node};
use crate::limits::{OPERATOR_SESSION_MAX, QUEUE_LOW_WATER_BYTES};
use crate::link::{LinkId, Time, Traffic};
use crate::relay::message::HostKind;
use crate::wires::{WIRES, WebReply, WebRequest, Wire};

/// The connections and the traffic of a wire.
#[derive(Clone, Copy, Debug)]
pub struct WireTotals {
    /// The wire.
    pub wire: Wire,
    /// Number of open connections.
    pub connections: usize,
    /// Number of those to users.
    pub users: usize,
    /// Number of those to servers.
    pub servers: usize,
    /// The traffic of all connections, those too that have ended.
    pub traffic: Traffic,
}

impl Node {
    /// Returns whether there are requests for the operator's surface.
    #[must_use]
    pub fn has_web_requests(&self) -> bool {
        !self.web_requests.is_empty()
    }

    /// Removes and returns the next request for the operator's surface. It is answered by
    /// [`Node::web_reply`].
    pub fn poll_web_request(&mut self) -> Option<(LinkId, WebRequest)> {
        self.web_requests.pop_front()
    }

    /// Sends a part of a reply to a request of a link.
    pub fn web_reply(&mut self, now: Time, id: LinkId, reply: WebReply<'_>) {
        self.links.begin_event(now);
        let ends = self
            .links
            .with_session(id, &self.relay, |session, cx| session.on_web_reply(reply, cx.queue));
        if ends == Some(true) {
            self.links.close_when_sent(id);
        } else if reply == WebReply::End {
            self.resume_input(id);
        }
        self.run_pending(now);
    }

    /// Returns whether the send queue of a link has room for another part of a reply; `None` if the
    /// link has ended.
    #[must_use]
    pub fn web_room(&self, id: LinkId) -> Option<bool> {
        let link = self.links.get(id).filter(|link| !link.is_closing)?;
        Some(link.queue.len() < QUEUE_LOW_WATER_BYTES)
    }

    /// Lets a connection live without a registration, since its operator has shown the token.
    pub(super) fn authenticate(&mut self, id: LinkId) {
        let now = self.links.now;
        self.links.count_registered(id, HostKind::User);
        self.relay.extend_deadline(id, now + OPERATOR_SESSION_MAX);
    }

    /// Returns the connections and the traffic of each wire.
    #[must_use]
    pub fn wire_totals(&self) -> Vec<WireTotals> {
        let mut totals: Vec<WireTotals> = WIRES
            .iter()
            .map(|&wire| {
                let traffic = self.links.ended_traffic.get(wire.name()).copied();
                let traffic = traffic.unwrap_or_default();
                WireTotals { wire, connections: 0, users: 0, servers: 0, traffic }
            })
            .collect();
        for link in self.links.table.iter() {
            let wire = link.wire();
            let Some(total) = totals.iter_mut().find(|total| total.wire == wire) else { continue };
            total.traffic.add(&link.traffic);
            if !link.is_closing {
                total.connections += 1;
                match self.relay.adjacent_host(link.id).map(|host| host.kind) {
                    Some(HostKind::User) => total.users += 1,
                    Some(HostKind::Server) => total.servers += 1,
                    None => {}
                }
            }
        }
        totals
    }

    /// Returns the number of places in the table of links.
    #[must_use]
    pub fn link_slots(&self) -> usize {
        self.links.table.slot_count()
    }

    /// Returns the open link in a place of the table.
    #[must_use]
    pub fn link_at(&self, slot: usize) -> Option<&Link> {
        self.links.table.at_slot(slot).filter(|link| !link.is_closing)
    }
}
