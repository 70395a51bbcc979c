//! Loads: what the links of other servers carry, for an operator who looks at the whole tree.
//!
//! LINKS_REQUEST goes along the routes to the server that is asked, and LINKS comes back along
//! those to the one that asks. Servers in between keep nothing. See "Loads of other links" in
//! `docs/PROTOCOL.md`.

use std::collections::{BTreeMap, VecDeque};

use super::Peering;
use super::homes::server_over;
use crate::id::HostId;
use crate::limits::{LOADS_MAX, LOADS_TIMEOUT};
use crate::link::{LinkId, Time};
use crate::relay::cx::RelayCx;
use crate::relay::extension::codec::{HOPS_MAX, LINKS_MAX};
use crate::relay::extension::{Errand, Frame, LinkLoad, List};
use crate::relay::outbox::Outbox;
use crate::relay::send;
use crate::relay::topology::{FirstLink, Topology};

/// What the links of another server to servers carry, as it has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadReport {
    /// The server.
    pub server: HostId,
    /// Its links, at most [`LINKS_MAX`].
    pub links: Vec<LinkLoad>,
}

/// Which servers were asked, and what they have answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Loads {
    /// Servers whose answer has not come, and when they were asked last.
    asked: BTreeMap<HostId, Time>,
    /// What nobody has taken of what they have answered, oldest first.
    reports: VecDeque<LoadReport>,
}

impl Loads {
    /// Checks that both have their bounds.
    ///
    /// # Panics
    /// If they do not.
    pub(super) fn check(&self) {
        assert!(self.asked.len() <= LOADS_MAX, "servers that were asked");
        assert!(self.reports.len() <= LOADS_MAX, "answers that nobody has taken");
    }
}

impl Peering {
    /// Asks a server what its links carry, unless it was asked and may still answer, or is not
    /// reached over crc servers alone.
    pub(in crate::relay) fn ask_loads<O: Outbox>(
        &mut self,
        target: HostId,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Some(next_hop) = next_hop(target, cx.topology) else { return };
        let asked = &mut self.loads.asked;
        asked.retain(|_, &mut at| cx.now.since(at) < LOADS_TIMEOUT);
        if asked.len() < LOADS_MAX && !asked.contains_key(&target) {
            asked.insert(target, cx.now);
            let errand = Errand { origin: cx.topology.own_id(), target, hops: 0 };
            send::send_extension(cx.topology, next_hop, &Frame::LinksRequest(errand), cx.out);
        }
    }

    /// Returns whether there is an answer that nobody has taken.
    pub(in crate::relay) fn has_load_reports(&self) -> bool {
        !self.loads.reports.is_empty()
    }

    /// Removes and returns the oldest answer that nobody has taken.
    pub(in crate::relay) fn take_load_report(&mut self) -> Option<LoadReport> {
        self.loads.reports.pop_front()
    }

    /// Replies to a LINKS_REQUEST for this server, or sends it on.
    pub(super) fn on_links_request<O: Outbox>(
        &self,
        link: LinkId,
        errand: Errand,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Errand { origin, target, .. } = errand;
        if server_over(link, origin, cx).is_none() {
            return cx.drop_false_source(link, origin);
        }
        if target == cx.topology.own_id() {
            let links = self.own_loads(cx);
            let errand = Errand { hops: 0, ..errand };
            let answer = Frame::Links { errand, links: links.as_slice().into() };
            return send::send_extension(cx.topology, link, &answer, cx.out);
        }
        if let Some((next_hop, errand)) = onward(link, errand, target, cx.topology) {
            send::send_extension(cx.topology, next_hop, &Frame::LinksRequest(errand), cx.out);
        }
    }

    /// Keeps an answer to this server, or sends it on.
    pub(super) fn on_links<O: Outbox>(
        &mut self,
        link: LinkId,
        errand: Errand,
        links: List<'_, LinkLoad>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Errand { origin, target, .. } = errand;
        if server_over(link, target, cx).is_none() {
            return cx.drop_false_source(link, target);
        }
        if origin != cx.topology.own_id() {
            if let Some((next_hop, errand)) = onward(link, errand, origin, cx.topology) {
                let answer = Frame::Links { errand, links };
                send::send_extension(cx.topology, next_hop, &answer, cx.out);
            }
        } else if self.loads.asked.remove(&target).is_some() {
            if self.loads.reports.len() == LOADS_MAX {
                self.loads.reports.pop_front();
            }
            let links = links.iter().take(LINKS_MAX).collect();
            self.loads.reports.push_back(LoadReport { server: target, links });
        }
    }

    /// Returns what the links of this server to servers carry: the one to its parent first, then
    /// those to plain neighbours, which do not answer for themselves.
    fn own_loads<O: Outbox>(&self, cx: &RelayCx<'_, O>) -> Vec<LinkLoad> {
        let servers = cx.topology.links().filter(|state| state.is_server());
        let mut links: Vec<LinkId> = servers.map(|state| state.id()).collect();
        let is_extended = |link| cx.topology.link(link).is_extended();
        links.sort_by_key(|&link| (!self.is_uplink(link), is_extended(link), link));
        let load = |link: LinkId| {
            let traffic = cx.out.traffic(link);
            let round_trip = self.round_trip(link).unwrap_or_default();
            Some(LinkLoad {
                neighbour: cx.topology.adjacent_host(link)?.id,
                round_trip_micros: u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX),
                queue_bytes: u32::try_from(cx.out.unsent_bytes(link)).unwrap_or(u32::MAX),
                frames: traffic.frames_in + traffic.frames_out,
                bytes: traffic.bytes_in + traffic.bytes_out,
            })
        };
        links.into_iter().filter_map(load).take(LINKS_MAX).collect()
    }
}

/// Returns the extended link towards another server, if it is reached over one.
fn next_hop(server: HostId, topology: &Topology) -> Option<LinkId> {
    match topology.servers().route(topology.server_key(server)?) {
        FirstLink::Link(link) if topology.link(link).is_extended() => Some(link),
        FirstLink::Link(_) | FirstLink::Split(_) => None,
    }
}

/// Returns over which link a frame goes on to a server, and with which errand: not back, and not
/// over more hops than a tree has.
fn onward(
    link: LinkId,
    errand: Errand,
    server: HostId,
    topology: &Topology,
) -> Option<(LinkId, Errand)> {
    let next_hop = next_hop(server, topology).filter(|&next_hop| next_hop != link)?;
    let hops = errand.hops.saturating_add(1);
    (usize::from(hops) < HOPS_MAX).then_some((next_hop, Errand { hops, ..errand }))
}
