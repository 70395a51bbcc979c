//! The hosts of other homes, as they arrive over extended links.

use super::Peering;
use super::nicks::is_one_nick;
use crate::id::HostId;
use crate::limits::TAKEN_QUIT_TEXT;
use crate::link::{CloseReason, LinkId};
use crate::relay::cx::RelayCx;
use crate::relay::message::Registration;
use crate::relay::notice::Notice;
use crate::relay::outbox::{Displaced, Outbox};
use crate::relay::profile::Profile;
use crate::relay::topology::{FirstLink, Home, Host, ServerKey, SplitId, Topology};

impl Peering {
    /// Removes a host whose id another host has a better claim on. If it is a user of this server
    /// that does not take another id, it is informed and its link closes. If it is behind a plain
    /// neighbour, or is that neighbour, its own claim is kept until the id is free again, since it
    /// is not registered twice.
    pub(super) fn evict<O: Outbox>(&mut self, id: HostId, cx: &mut RelayCx<'_, O>) {
        let Some(host) = cx.topology.hosts().get(id) else { return };
        let kind = host.kind;
        if let Home::Link(_) = host.home()
            && let Some(link) = cx.topology.next_hop(host)
        {
            log::warn!("{kind} {id} leaves: another host has had its id for longer");
            if cx.topology.link(link).is_server() {
                self.claims.add(link, &host.registration(HostId::NONE), false);
            }
            let is_user = cx.topology.link(link).is_user();
            if !is_user || !cx.out.displace(link, displaced(id, cx.topology)) {
                let neighbour = cx.topology.link(link).host_id().unwrap_or(HostId::NONE);
                cx.send_answer(link, neighbour, &Notice::IdTaken { kind, id });
                if is_user {
                    cx.out.close(link, CloseReason::IdTaken(id));
                }
            }
        }
        self.remove_host(id, TAKEN_QUIT_TEXT, cx);
    }

    /// Handles the registration of a host whose home is reached over `link`, and what it says of
    /// itself.
    pub(super) fn learn_host_of<O: Outbox>(
        &mut self,
        link: LinkId,
        (registration, profile): (&Registration<'_>, Profile<'_>),
        (server, home, stamp): (ServerKey, HostId, u64),
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = registration.source;
        if id == cx.topology.own_id() || cx.topology.server_key(id).is_some() {
            return; // its home learns that a server has the id, and removes it
        }
        if let Some(host) = cx.topology.hosts().get(id) {
            let is_same = host.matches(registration);
            if host.home().server() == Some(server) && is_same {
                let is_new = host.stamp() != stamp;
                cx.topology.set_home(id, cx.topology.confirmed_home(server), stamp);
                let has_changed = cx.update_profile(id, profile);
                if is_new || has_changed {
                    cx.reannounce(id);
                    self.settle_nick(id, cx);
                }
                return;
            }
            let waits_for_home = cx.topology.waits_for_home(host);
            if waits_for_home && is_same && cx.topology.home_id(host) == home {
                return self.rejoin_home((id, profile), server, stamp, cx);
            }
            if host.home().server() != Some(server)
                && !waits_for_home
                && has_better_claim(host, link, (stamp, home), cx)
            {
                return; // the home of the loser learns of the winner as of any other host
            }
            match is_one_nick(host, registration) {
                true => self.evict_namesake(id, cx),
                false => self.evict(id, cx),
            }
        }
        let slot = cx.add_host(registration, cx.topology.confirmed_home(server), stamp);
        cx.topology.set_profile(id, profile);
        cx.announce(slot);
        self.settle_nick(id, cx);
    }

    /// Continues a host that its home, which was restarted, has registered again.
    fn rejoin_home<O: Outbox>(
        &mut self,
        (id, profile): (HostId, Profile<'_>),
        server: ServerKey,
        stamp: u64,
        cx: &mut RelayCx<'_, O>,
    ) {
        let host = cx.topology.hosts().get(id).expect("the host that rejoins");
        let FirstLink::Split(split) = cx.topology.first_link(host) else { return };
        if !cx.topology.is_sending_users(server) {
            cx.topology.forget_rooms_of_waiting(id); // it has connected again, and joined none yet
        }
        cx.topology.set_home(id, cx.topology.confirmed_home(server), stamp);
        cx.update_profile(id, profile);
        cx.reannounce(id);
        cx.announce_room_changes();
        self.send_deferred(split, id, cx);
        self.settle_nick(id, cx);
    }

    /// Sends what was deferred for a host that can be reached again.
    pub(super) fn send_deferred<O: Outbox>(
        &mut self,
        split: SplitId,
        id: HostId,
        cx: &mut RelayCx<'_, O>,
    ) {
        let host = cx.topology.hosts().get(id).expect("the host that rejoined");
        if let FirstLink::Split(other) = cx.topology.first_link(host) {
            if other != split {
                // Its home has registered it again, and is lost itself by now.
                self.splits.move_deferred(split, other, std::iter::once(id));
            }
            return;
        }
        for message in self.splits.take_deferred(split, id) {
            self.forward_deferred(message, cx);
        }
        self.release_held(cx);
        cx.out.host_up(cx.topology.hosts().get(id).expect("the host that rejoined"));
    }

    /// Handles the end of a synchronization: hosts that the home did not confirm leave, after the
    /// grace if the home was lost and is back.
    pub(super) fn end_sync<O: Outbox>(
        &mut self,
        link: LinkId,
        home: HostId,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Some(server) = server_over(link, home, cx) else { return };
        cx.topology.end_users(server);
        let grace_until = self.grace_until.remove(&home).filter(|&until| until > cx.now);
        let lost_link = cx.topology.link_towards(home);
        if let Some(split) = cx.topology.split_unconfirmed(server, lost_link) {
            self.begin_ending_split(split, grace_until, cx);
        }
        self.end_rooms_sync(server, cx);
    }
}

/// Returns what is needed to register a user again.
fn displaced(id: HostId, topology: &Topology) -> Displaced {
    let host = topology.hosts().get(id);
    let rooms = topology.rooms().of(id).map(|room| room.name().as_bytes().into()).collect();
    Displaced {
        name: host.map_or(&b""[..], Host::name).into(),
        info: host.map_or(&b""[..], Host::info).into(),
        rooms,
        profile: topology.hosts().profile(id).changes().collect(),
    }
}

/// Returns the server with this id, if it is reached over `link` or was announced on it before this
/// server ended the link.
pub(super) fn server_over<O: Outbox>(
    link: LinkId,
    id: HostId,
    cx: &RelayCx<'_, O>,
) -> Option<ServerKey> {
    let server = cx.topology.server_key(id)?;
    let route = cx.topology.servers().route(server);
    let is_ended = || cx.topology.routes().is_behind_ended(link, id);
    let is_over = match route {
        FirstLink::Link(route) => route == link,
        FirstLink::Split(_) => is_ended(),
    };
    is_over.then_some(server)
}

/// Returns whether a known host keeps its id against a registration at another home.
///
/// The earlier registration wins, and of two at the same logical time that of the smaller home. A
/// host that is not announced on the link gives way, because the other home would never learn why
/// its user has to leave.
fn has_better_claim<O: Outbox>(
    host: &Host,
    link: LinkId,
    (stamp, home): (u64, HostId),
    cx: &RelayCx<'_, O>,
) -> bool {
    let its_home = cx.topology.home_id(host);
    let is_announced = its_home == cx.topology.own_id()
        || cx.topology.routes().is_announced(link, its_home)
        || cx.topology.is_first_link(host.id, link);
    is_announced && (host.stamp(), its_home) < (stamp, home)
}

#[cfg(test)]
mod tests;
