//! A server that stops names its children the server to join instead.
//!
//! The replacement is the parent of the server that stops or, if it has none, one of its children.
//! A child joins the replacement and then leaves, see [`super::handover`], so nobody notices. The
//! server that stops waits until its children have gone, and what it holds for them has been sent
//! on.

use std::net::SocketAddr;

use super::Peering;
use super::handover::Reason;
use crate::id::HostId;
use crate::link::LinkId;
use crate::relay::cx::RelayCx;
use crate::relay::extension::Frame;
use crate::relay::outbox::Outbox;
use crate::relay::send;

impl Peering {
    /// Asks the children to join another server, since this one stops.
    pub(in crate::relay) fn move_children<O: Outbox>(&mut self, cx: &mut RelayCx<'_, O>) {
        let Some((replacement, address)) = self.replacement(cx) else { return };
        let Some(id) = cx.topology.link(replacement).host_id() else { return };
        let address = address.to_string();
        let children: Vec<LinkId> = self.extended.keys().copied().collect();
        for link in children {
            if link != replacement && !self.is_uplink(link) && !self.ending.contains_key(&link) {
                let frame = Frame::Move { replacement: id, address: &address };
                send::send_extension(cx.topology, link, &frame, cx.out);
                self.moved.insert(link);
            }
        }
    }

    /// Returns the link to the server that the children are to join, and its address.
    fn replacement<O: Outbox>(&self, cx: &RelayCx<'_, O>) -> Option<(LinkId, SocketAddr)> {
        let links = self.extended.keys().copied();
        let links = links.filter(|&link| !cx.topology.routes().is_ending(link));
        let by_rank = |link: &LinkId| (!self.is_uplink(*link), *link);
        let mut links: Vec<LinkId> = links.collect();
        links.sort_by_key(by_rank);
        let with_address = |link: LinkId| Some((link, self.neighbour_address(link, &*cx.out)?));
        links.into_iter().find_map(with_address)
    }

    /// Returns whether children that were asked to join another server are still here, or messages
    /// wait for the hosts behind them.
    pub(in crate::relay) fn is_waiting_for_children(&self) -> bool {
        !self.moved.is_empty() || self.splits.has_deferred()
    }

    /// Handles that the parent stops and names the server to join instead.
    pub(super) fn on_move<O: Outbox>(
        &mut self,
        link: LinkId,
        replacement: HostId,
        address: &str,
        cx: &mut RelayCx<'_, O>,
    ) {
        if self.uplink.registered_link() != Some(link) || cx.is_stopping {
            return;
        }
        let Ok(address) = address.parse::<SocketAddr>() else {
            log::debug!("link {link}: {address} is no address of a server");
            return;
        };
        log::info!("link {link}: the parent stops; joining server {replacement} at {address}");
        self.begin_move(Reason::ParentStops, cx, |out| out.dial_address(address));
    }
}
