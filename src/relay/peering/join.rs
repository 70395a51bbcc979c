//! Registrations: which host may join over which link.

use super::Peering;
use crate::id::HostId;
use crate::limits::{HOST_TABLE_USER_SHARE_DIVISOR, REFUSED_REGISTRATIONS_MAX, SPLIT_QUIT_TEXT};
use crate::link::{CloseReason, LinkId, Time};
use crate::printable::Printable;
use crate::relay::cx::RelayCx;
use crate::relay::extension::{Frame, RefuseReason};
use crate::relay::message::{HostKind, Registration, StatusCode};
use crate::relay::notice::Notice;
use crate::relay::outbox::Outbox;
use crate::relay::send;
use crate::relay::timers::Timer;
use crate::relay::topology::{Host, Refusal, Role, Topology};
use crate::room::RoomName;

/// What the table holds for the id of a registration that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// The id is free.
    No,
    /// The registered host itself, lost in a split.
    LostHost,
    /// Another host with this id, lost in a split.
    OtherLostHost,
}

impl Known {
    fn new(
        topology: &Topology,
        link: LinkId,
        host: Option<&Host>,
        registration: &Registration<'_>,
    ) -> Self {
        let Some(host) = host else { return Self::No };
        let is_same = is_behind_same_neighbour(topology, link, host) && host.matches(registration);
        if is_same { Self::LostHost } else { Self::OtherLostHost }
    }
}

/// Returns whether the neighbour on a link is the one behind which a host is, or was when it was
/// lost.
fn is_behind_same_neighbour(topology: &Topology, link: LinkId, host: &Host) -> bool {
    Some(topology.first_link_host(host)) == topology.link(link).host_id()
}

/// Returns whether a registration is the one by which a server shows a room as a user.
fn is_of_room(registration: &Registration<'_>) -> bool {
    let name = RoomName::parse(registration.name).ok();
    let is_user = registration.kind == HostKind::User;
    is_user && name.is_some_and(|name| name.shown_ids().any(|id| id == registration.source))
}

impl Peering {
    /// Handles a registration.
    pub(in crate::relay) fn handle_registration<O: Outbox>(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Registration { kind, source, last_hop, .. } = *registration;
        let mut bytes_max = cx.limits.host_table_bytes_max;
        if kind == HostKind::Server || cx.topology.link(link).is_server() {
            bytes_max -= bytes_max / HOST_TABLE_USER_SHARE_DIVISOR;
        }
        if !cx.topology.hosts().has_room(registration, bytes_max) {
            return cx.out.close(link, CloseReason::TableFull);
        }
        match *cx.topology.link(link).role() {
            Role::Unregistered { is_uplink: true, .. } => {
                if kind == HostKind::User {
                    cx.drop_false_source(link, source);
                } else if !source.is_registrable() {
                    cx.out.close(link, CloseReason::InvalidId(source));
                } else {
                    self.introduce(link, registration, cx);
                }
            }
            Role::Unregistered { is_uplink: false, .. } => {
                if last_hop != HostId::NONE {
                    cx.drop_false_source(link, source);
                } else if !source.is_registrable() {
                    cx.out.close(link, CloseReason::InvalidId(source));
                } else if let Err(reason) = cx.out.check_address(link, kind) {
                    refuse_for_bound(link, reason, cx);
                } else if is_of_room(registration) {
                    refuse_registration(link, registration, cx); // others would take it for the room
                } else if kind == HostKind::User {
                    join_user(link, registration, cx);
                } else {
                    self.introduce(link, registration, cx);
                }
            }
            Role::Server { host, ref subtree } if last_hop == host => {
                if subtree.is_extended {
                    self.learn_extended(link, registration, cx);
                } else {
                    self.learn_host(link, registration, cx);
                }
            }
            Role::User { .. } | Role::Server { .. } => {
                if cx.topology.is_known(source) {
                    refuse_registration(link, registration, cx);
                } else {
                    cx.drop_false_source(link, source);
                }
            }
        }
    }

    /// Handles the registration of a neighbour that speaks plain CRC.
    pub(super) fn join_plain<O: Outbox>(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let source = registration.source;
        if !self.admit_plain(link, source, cx) {
            return;
        }
        let host = cx.topology.hosts().get(source);
        let is_elsewhere = host.is_some_and(|host| cx.topology.is_of_other_home(host));
        let is_reachable = cx.topology.is_reachable(source);
        if self.is_moving_to(link) {
            return cx.out.close(link, CloseReason::MoveFailed); // it has not sent OFFER
        }
        if !is_elsewhere && !is_reachable {
            self.join_server(link, registration, cx);
        } else if self.is_uplink(link) && is_reachable {
            self.refuse_loop(link, source, cx);
        } else if self.is_uplink(link) || !is_reachable && cx.topology.server_key(source).is_some()
        {
            // The neighbour spoke the extension before it was lost: HELLO or OFFER was cut off.
            cx.out.close(link, CloseReason::LateHello);
        } else {
            refuse_registration(link, registration, cx);
        }
    }

    /// Accepts the registration of an adjacent server: one that dialled, or the parent that
    /// answers.
    fn join_server<O: Outbox>(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = registration.source;
        let is_uplink = self.is_uplink(link);
        if is_uplink {
            self.on_parent_registered(link, id, cx);
        }
        let deadline = cx.topology.register_server(link, id, false);
        on_registered(link, HostKind::Server, deadline, cx);
        log::info!("link {link}: server {id} {} joined", Printable(registration.name));
        self.report_return(id, cx);
        if !is_uplink {
            cx.send_introduction(link);
        }
        let host = cx.topology.hosts().get(id);
        let known = Known::new(cx.topology, link, host, registration);
        self.admit_host(link, registration, known, cx);
        cx.begin_burst(link);
        self.start_plain_liveness(link, cx);
    }

    /// Handles the registration of a host behind an adjacent server.
    fn learn_host<O: Outbox>(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = registration.source;
        if !id.is_registrable() {
            return cx.drop_false_source(link, id);
        }
        if cx.is_echo(link, registration) {
            log::debug!("link {link}: {id} is announced back over the link from which it is known");
            return;
        }
        if is_of_room(registration) {
            log::debug!("link {link}: {id} stands for a room elsewhere");
            return;
        }
        // One look-up answers all questions, because a burst asks them a million times.
        let host = cx.topology.hosts().get(id);
        // A host of another server stays, even if that server is lost: only its home gives it up. A
        // host that was lost behind a plain neighbour stays for the grace, unless it is found again
        // behind the same neighbour: anybody can repeat a name.
        let is_elsewhere = host.is_some_and(|host| {
            cx.topology.is_of_other_home(host) || !is_behind_same_neighbour(cx.topology, link, host)
        });
        if is_elsewhere || cx.topology.is_reachable_host(id, host) {
            return self.refuse_claim(link, registration, cx);
        }
        let known = Known::new(cx.topology, link, host, registration);
        self.admit_host(link, registration, known, cx);
    }

    /// Admits a host behind a link to a server, whose id is not that of a reachable host.
    fn admit_host<O: Outbox>(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        known: Known,
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = registration.source;
        self.claims.withdraw(link, id, cx.timers);
        match known {
            Known::LostHost => return self.rejoin(id, link, cx),
            Known::OtherLostHost => self.remove_host(id, SPLIT_QUIT_TEXT, cx),
            Known::No => {}
        }
        let slot = cx.add_own_host(registration, link);
        cx.announce(slot);
    }

    /// Refuses the registration of a host whose id is in use, and records the claim for the time
    /// when the id is free.
    fn refuse_claim<O: Outbox>(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = registration.source;
        refuse_registration(link, registration, cx);
        if cx.topology.is_first_link(id, link) {
            return;
        }
        let is_own_id = id == cx.topology.own_id();
        if !self.claims.add(link, registration, is_own_id) || is_own_id {
            return;
        }
        log::warn!(
            "link {link}: id {id} is in use at two places of the network; the first keeps it"
        );
    }

    /// Grants an id to its first claimant, if the id is still free.
    pub(in crate::relay) fn on_claim_due<O: Outbox>(
        &mut self,
        id: HostId,
        cx: &mut RelayCx<'_, O>,
    ) {
        let is_free = !cx.is_stopping && cx.topology.hosts().get(id).is_none();
        if let Some(claim) = self.claims.on_grant_due(id, is_free) {
            let slot = cx.add_own_host(&claim.registration(), claim.link);
            cx.announce(slot);
        }
    }

    /// Closes the link to a parent that is this server itself or can be reached already.
    pub(super) fn refuse_loop<O: Outbox>(
        &mut self,
        link: LinkId,
        parent: HostId,
        cx: &mut RelayCx<'_, O>,
    ) {
        log::warn!(
            "the parent is server {parent}, which this server is connected to already: joining it \
             would close a loop; asking again in ten seconds"
        );
        self.uplink.on_loop(cx.now, &mut self.rng);
        cx.out.close(link, CloseReason::RoutingLoop(parent));
    }

    /// Handles a parent's refusal of this server's registration: takes another id if the operator
    /// chose none, and dials later otherwise.
    pub(in crate::relay) fn on_refused_by_parent<O: Outbox>(
        &mut self,
        link: LinkId,
        parent: HostId,
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = cx.topology.own_id();
        if self.is_moving_to(link) {
            log::info!(
                "link {link}: server {parent} refused this server, which does not move there"
            );
            return cx.out.close(link, CloseReason::IdRefused(id));
        }
        if cx.topology.is_reachable(parent) {
            return self.refuse_loop(link, parent, cx);
        }
        if cx.topology.identity().is_id_configured {
            log::error!(
                "the parent, server {parent}, refused this server: id {id} is taken in its network. \
                 This server stays up alone and asks again in a minute; to join, start it with \
                 another --id, or with none"
            );
            self.uplink.on_refused(cx.now, &mut self.rng);
            return cx.out.close(link, CloseReason::IdRefused(id));
        }
        if !self.uplink.take_renumber_permit(cx.now) {
            // A parent is dialled again after the usual delay.
            return cx.out.close(link, CloseReason::IdRefused(id));
        }
        self.renumber(cx);
        self.register_with_parent(cx.topology, link, cx.out);
    }

    /// Takes another id, and closes the links to the servers that know the old one.
    fn renumber<O: Outbox>(&mut self, cx: &mut RelayCx<'_, O>) {
        let old_id = cx.topology.own_id();
        let mut id = HostId::random(&mut *self.rng);
        while id == old_id || cx.topology.hosts().get(id).is_some() {
            id = HostId::random(&mut *self.rng);
        }
        log::warn!("id {old_id} is taken in the network: this server is now {id}");
        self.give_up_move(CloseReason::IdRefused(id), cx);
        for server in cx.announcements.servers() {
            cx.out.close(server, CloseReason::Renumbered);
        }
        for &link in self.handshakes.keys().filter(|&&link| !self.uplink.has_link(link)) {
            cx.out.close(link, CloseReason::Renumbered);
        }
        cx.topology.set_own_id(id);
    }
}

fn join_user<O: Outbox>(link: LinkId, registration: &Registration<'_>, cx: &mut RelayCx<'_, O>) {
    let Registration { source: id, name, .. } = *registration;
    if cx.topology.is_known(id) {
        return refuse_registration(link, registration, cx);
    }
    let deadline = cx.topology.register_user(link, id);
    on_registered(link, HostKind::User, deadline, cx);
    let slot = cx.add_own_host(registration, link);
    log::info!("link {link}: user {id} {} joined", Printable(name));
    cx.send_answer(link, id, &Notice::Welcome { name });
    cx.begin_burst(link);
    cx.announce(slot);
}

/// Closes a link whose registration exceeds a bound, and informs the other end.
fn refuse_for_bound<O: Outbox>(link: LinkId, reason: CloseReason, cx: &mut RelayCx<'_, O>) {
    let (source, code) = (cx.topology.own_id(), StatusCode::REFUSED);
    let text = format!("Refused: {}", String::from_utf8_lossy(&reason.quit_text()));
    let notice = Notice::Status { source, code, text: text.as_bytes() };
    cx.send_answer(link, HostId::NONE, &notice);
    cx.out.close(link, reason);
}

/// Refuses a registration whose id is in use. The connection stays open, unless it is a client's
/// that has tried very often.
pub(super) fn refuse_registration<O: Outbox>(
    link: LinkId,
    registration: &Registration<'_>,
    cx: &mut RelayCx<'_, O>,
) {
    let Registration { kind, source: id, .. } = *registration;
    log::info!("link {link}: registration refused, id {id} is taken");
    let refused_count = cx.topology.count_refusal(link, Refusal::TakenId);
    let neighbour = cx.topology.link(link).host_id().unwrap_or(HostId::NONE);
    cx.send_answer(link, neighbour, &Notice::IdTaken { kind, id });
    if !cx.topology.link(link).is_server() && refused_count >= REFUSED_REGISTRATIONS_MAX {
        cx.out.close(link, CloseReason::RefusedRegistrations);
    }
}

/// Handles that a link has taken a role.
pub(super) fn on_registered<O: Outbox>(
    link: LinkId,
    kind: HostKind,
    deadline: Option<Time>,
    cx: &mut RelayCx<'_, O>,
) {
    if let Some(deadline) = deadline {
        cx.timers.remove(deadline, Timer::RegisterDeadline(link));
    }
    let interests = cx.out.link_registered(link, kind);
    cx.topology.set_room_events(link, interests.room_events);
    cx.announcements.register(cx.topology, link, kind, interests);
}

/// Refuses the OFFER of a server that is connected to this one already.
pub(super) fn refuse_offer<O: Outbox>(link: LinkId, id: HostId, cx: &mut RelayCx<'_, O>) {
    let text = loop_text(cx.topology, id);
    let frame = Frame::Refuse { reason: RefuseReason::LOOP, text: text.as_bytes() };
    send::send_extension(cx.topology, link, &frame, cx.out);
}

/// Describes the path on which a server is already connected to this one.
fn loop_text(topology: &Topology, id: HostId) -> String {
    let mut path = vec![topology.own_id()];
    path.extend(topology.routes().path(id));
    format!("server {id} is connected to this one already: {}", path_text(&path))
}

/// Shows the servers on a path, in order.
pub(super) fn path_text(path: &[HostId]) -> String {
    let path: Vec<String> = path.iter().map(ToString::to_string).collect();
    path.join(" → ")
}
