//! Extended links: facts about servers, and the hosts of each home.
//!
//! Facts decide the route to each server, see [`Routes`](crate::relay::routes::Routes). Each host
//! belongs to a home, which alone adds and removes it; others take what they receive over the route
//! to the home. A fact carries the digest of the home's hosts. A server whose own digest differs
//! asks for them, and the neighbour sends all of them: what is not among them has left.

use std::net::SocketAddr;

use super::homes::server_over;
use super::send_facts::send_all_facts;
use super::{Peering, profiles, rooms};
use crate::id::HostId;
use crate::link::{CloseReason, LinkId};
use crate::relay::cx::RelayCx;
use crate::relay::extension::{Frame, Hello};
use crate::relay::message::Registration;
use crate::relay::outbox::Outbox;
use crate::relay::send;
use crate::relay::topology::{Refusal, Role};

impl Peering {
    /// Records what the neighbour has shown of itself in HELLO or OFFER.
    pub(super) fn set_neighbour(&mut self, link: LinkId, hello: &Hello) {
        if let Some(extended) = self.extended.get_mut(&link) {
            extended.listen_port = hello.port;
        }
    }

    /// Returns the address at which the neighbour on an extended link accepts servers: the one that
    /// was dialled, or that of its end of the link with the port that it has named.
    pub(in crate::relay) fn neighbour_address<O: Outbox>(
        &self,
        link: LinkId,
        out: &O,
    ) -> Option<SocketAddr> {
        let extended = self.extended.get(&link)?;
        let address = out.origin(link).address?;
        if self.replay.has_dialled(link) {
            return Some(address);
        }
        (extended.listen_port != 0).then(|| SocketAddr::new(address.ip(), extended.listen_port))
    }

    /// Handles a frame of the extension.
    pub(in crate::relay) fn handle_extension<O: Outbox>(
        &mut self,
        link: LinkId,
        source: HostId,
        frame: &Frame<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let state = cx.topology.link(link);
        if matches!(state.role(), Role::Unregistered { .. }) {
            return self.handle_handshake(link, source, frame, cx);
        }
        if state.host_id() != Some(source) {
            // A plain neighbour may send a frame of this server back.
            if source != cx.topology.own_id() && !cx.topology.is_valid_source(source, link) {
                cx.drop_false_source(link, source);
            }
            return;
        }
        if state.is_extended() {
            self.handle_extended(link, frame, cx);
        } else if let Frame::ReadsCutFrames(_) = frame {
            // The server that dialled shows it first, so that no other program gets an unknown
            // status.
            let must_answer = state.is_server() && !self.is_uplink(link);
            if cx.on_reads_cut_frames(link) && must_answer {
                send::send_reads_cut_frames(cx.topology, link, cx.out);
            }
        } else if let Frame::Hello(_) | Frame::Offer(_) = frame {
            // The frame was cut off from the registration before it, and came too late.
            cx.out.close(link, CloseReason::LateHello);
        } else {
            cx.topology.count_refusal(link, Refusal::Unexpected);
        }
    }

    /// Handles a frame of the extension on an extended link.
    pub(super) fn handle_extended<O: Outbox>(
        &mut self,
        link: LinkId,
        frame: &Frame<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Some(extended) = self.extended.get_mut(&link) else { return };
        self.replay.confirm(link);
        match *frame {
            Frame::Server(fact) => extended.expected_server = Some(fact),
            Frame::Users { home, stamps } => {
                extended.expected_hosts = (home, stamps.iter().collect());
            }
            Frame::Withdraw(ids) => {
                ids.iter().for_each(|id| self.withdraw(link, id, cx));
            }
            Frame::SyncRequest(homes) => {
                for home in homes.iter() {
                    if home == HostId::NONE {
                        send_all_facts(link, cx);
                    } else {
                        cx.announcements.request_sync(link, home);
                    }
                }
            }
            Frame::SyncBegin { home } => {
                if let Some(server) = server_over(link, home, cx) {
                    cx.topology.unconfirm_hosts(server);
                    cx.topology.unconfirm_rooms(server);
                    cx.topology.begin_users(server);
                }
            }
            Frame::SyncEnd { home, .. } => self.end_sync(link, home, cx),
            Frame::Ping(ping) => self.on_ping(link, ping, cx),
            Frame::Pong(pong) => self.on_pong(link, pong, cx),
            Frame::Move { replacement, address } => self.on_move(link, replacement, address, cx),
            Frame::Ack { handled_bytes } => {
                cx.out.acknowledge(link, handled_bytes);
                self.on_end_acknowledged(link, handled_bytes, cx);
            }
            Frame::End => self.on_end(link, cx),
            Frame::Trace(trace) => self.handle_trace(link, trace, cx),
            Frame::TraceReply { result, trace } => self.handle_trace_reply(link, result, trace, cx),
            Frame::LinksRequest(errand) => self.on_links_request(link, errand, cx),
            Frame::Links { errand, links } => self.on_links(link, errand, links, cx),
            Frame::Profile { user, precedes_registration: true, profile } => {
                extended.expected_profile = Some((user, profile.to_buf()));
            }
            Frame::Profile { user, profile, .. } => profiles::learn(link, user, profile, cx),
            Frame::Rooms { .. } | Frame::RoomPart { .. } => rooms::learn(link, frame, cx),
            // The router handles messages to rooms, and their topics.
            Frame::RoomChat(_)
            | Frame::RoomTopic(_)
            | Frame::ReadsCutFrames(_)
            | Frame::FactsEnd { .. } => {}
            Frame::Hello(_)
            | Frame::Offer(_)
            | Frame::Commit { .. }
            | Frame::Refuse { .. }
            | Frame::Challenge { .. }
            | Frame::Proof(_)
            | Frame::Proven { .. } => {
                cx.topology.count_refusal(link, Refusal::Unexpected);
            }
        }
    }

    /// Handles a registration on an extended link: that of a server whose fact came before it, or
    /// that of a host of the home that was named before it.
    pub(super) fn learn_extended<O: Outbox>(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = registration.source;
        let Some(extended) = self.extended.get_mut(&link) else { return };
        if !id.is_registrable() {
            return cx.drop_false_source(link, id);
        }
        if let Some(fact) = extended.expected_server.take_if(|fact| fact.id == id) {
            return self.learn_server(link, registration, &fact, cx);
        }
        let home = extended.expected_hosts.0;
        let profile = extended.expected_profile.take().filter(|(user, _)| *user == id);
        let profile = profile.map(|(_, profile)| profile).unwrap_or_default();
        let Some(stamp) = extended.expected_hosts.1.pop_front() else {
            return cx.drop_false_source(link, id);
        };
        cx.topology.observe_stamp(stamp);
        if let Some(server) = server_over(link, home, cx) {
            let (of, profile) = ((server, home, stamp), profile.as_profile());
            self.learn_host_of(link, (registration, profile), of, cx);
        }
    }
}
