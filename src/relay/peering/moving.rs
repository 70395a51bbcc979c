//! A server that stops names its children the server to join instead.
//!
//! The replacement is the parent of the server that stops or, if it has none, one of its children.
//! A child joins the replacement and then leaves, see [`super::handover`], so nobody notices. The
//! server that stops waits until its children have gone, and what it holds for them has been sent
//! on. A server that has joined another part of the network names its parent there in the same way.

use std::net::SocketAddr;

use super::Peering;
use super::handover::Reason;
use crate::id::HostId;
use crate::link::{CloseReason, LinkId};
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

    /// Names the parent of this server to a neighbour, which moves there if it has none.
    pub(super) fn name_parent<O: Outbox>(&self, neighbour: LinkId, cx: &mut RelayCx<'_, O>) {
        let Some(uplink) = self.uplink.registered_link() else { return };
        let Some(replacement) = cx.topology.link(uplink).host_id() else { return };
        let Some(address) = self.neighbour_address(uplink, &*cx.out) else { return };
        let address = address.to_string();
        let frame = Frame::Move { replacement, address: &address };
        send::send_extension(cx.topology, neighbour, &frame, cx.out);
    }

    /// Handles that a neighbour names the server to join instead: the parent, which stops, or any
    /// other if this server has parents to dial and none has answered.
    pub(super) fn on_move<O: Outbox>(
        &mut self,
        link: LinkId,
        replacement: HostId,
        address: &str,
        cx: &mut RelayCx<'_, O>,
    ) {
        let is_parent = self.uplink.registered_link() == Some(link);
        let may_adopt = self.uplink.lacks_parent() && !self.ending.contains_key(&link);
        if !is_parent && !may_adopt || cx.is_stopping {
            return;
        }
        let Ok(address) = address.parse::<SocketAddr>() else {
            log::debug!("link {link}: {address} is no address of a server");
            return;
        };
        let reason = if is_parent { Reason::ParentStops } else { Reason::LacksParent };
        if !is_parent {
            self.adopt_parent(link, cx);
        }
        log::info!("link {link}: asked to join server {replacement} at {address} instead");
        self.begin_move(reason, cx, |out| out.dial_address(address));
    }

    /// Takes a neighbour for the parent, in place of those that have not answered.
    fn adopt_parent<O: Outbox>(&mut self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        if let Some(dialled) = self.uplink.dialled_link() {
            cx.out.close(dialled, CloseReason::MoveFailed);
        }
        self.uplink.on_dial(link, None);
        let id = cx.topology.link(link).host_id().unwrap_or(HostId::NONE);
        self.on_parent_registered(link, id, cx);
    }
}
