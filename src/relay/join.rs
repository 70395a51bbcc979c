//! Registrations: who may join over which link, and who is told of it (contract section 2).

use super::message::{HostKind, Message, Registration};
use super::notice::Notice;
use super::split::list_of;
use super::{FirstLink, Outbox, Relay, Timer};
use crate::id::HostId;
use crate::link::{CloseReason, LinkId};
use crate::printable::Printable;
use crate::relay::link_state::{Role, Subtree};

impl Relay {
    pub(super) fn handle_registration(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        out: &mut impl Outbox,
    ) {
        let Registration { kind, source, last_hop, .. } = *registration;
        if !self.hosts.has_room(registration, self.limits.host_table_bytes_max) {
            return out.close(link, CloseReason::TableFull);
        }
        match self.link_state(link).role {
            Role::Unregistered { is_uplink: true, .. } => {
                let is_self_registration = last_hop == source || last_hop == HostId::NONE;
                if kind == HostKind::User || !is_self_registration {
                    self.drop_false_source(link, source, out);
                } else if !source.is_registrable() {
                    out.close(link, CloseReason::InvalidId(source));
                } else if source == self.identity.id || self.is_reachable(source) {
                    self.refuse_loop(link, source, out);
                } else {
                    self.join_server(link, registration, out);
                }
            }
            Role::Unregistered { is_uplink: false, .. } => {
                if last_hop != HostId::NONE {
                    self.drop_false_source(link, source, out);
                } else if !source.is_registrable() {
                    out.close(link, CloseReason::InvalidId(source));
                } else if kind == HostKind::User {
                    self.join_user(link, registration, out);
                } else if source == self.identity.id || self.is_reachable(source) {
                    self.refuse_registration(link, registration, out);
                } else {
                    self.join_server(link, registration, out);
                }
            }
            Role::Server { host, .. } if last_hop == host => {
                self.learn_host(link, registration, out);
            }
            Role::User { .. } | Role::Server { .. } => {
                self.refuse_second_registration(link, registration, out);
            }
        }
    }

    /// A registration on a link that has its role already: an answer if the id is known, as for
    /// every registration with a known id; if not, a frame of somebody who is not there.
    fn refuse_second_registration(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        out: &mut impl Outbox,
    ) {
        let source = registration.source;
        if source == self.identity.id || self.hosts.get(source).is_some() {
            self.refuse_registration(link, registration, out);
        } else {
            self.drop_false_source(link, source, out);
        }
    }

    /// Whether the id is taken by a host that can be reached now.
    fn is_reachable(&self, id: HostId) -> bool {
        self.hosts.get(id).is_some_and(|host| matches!(host.first_link, FirstLink::Link(_)))
    }

    fn join_user(&mut self, link: LinkId, registration: &Registration<'_>, out: &mut impl Outbox) {
        let id = registration.source;
        if id == self.identity.id || self.hosts.get(id).is_some() {
            return self.refuse_registration(link, registration, out);
        }
        self.assign_role(link, Role::User { host: id }, HostKind::User, out);
        let slot = self.add_host(registration, link, out);
        log::info!("link {link}: user {id} {} joined", Printable(registration.name));
        self.send_answer(link, id, &Notice::Welcome { name: registration.name }, out);
        self.begin_burst(link, out);
        self.announce(slot, out);
    }

    /// An adjacent server joins: one that dialled this server, or the parent that answers.
    fn join_server(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        out: &mut impl Outbox,
    ) {
        let host = registration.source;
        if matches!(self.link_state(link).role, Role::Unregistered { is_uplink: true, .. }) {
            self.uplink.on_registered(self.now, link);
        }
        let joined_event = self.next_event_number();
        let subtree = Box::new(Subtree { joined_event, ..Subtree::default() });
        let role = Role::Server { host, subtree };
        self.assign_role(link, role, HostKind::Server, out);
        log::info!("link {link}: server {host} {} joined", Printable(registration.name));
        if registration.last_hop == HostId::NONE {
            let own = self.own_registration(self.identity.id);
            out.deliver(link, &Message::Registration(own));
        }
        let matches_lost_host = self.hosts.get(host).map(|host| host.matches(registration));
        self.admit_host(link, registration, matches_lost_host, out);
        self.begin_burst(link, out);
    }

    fn assign_role(&mut self, link: LinkId, role: Role, kind: HostKind, out: &mut impl Outbox) {
        let state = self.link_state_mut(link);
        if let Role::Unregistered { deadline, .. } = std::mem::replace(&mut state.role, role) {
            self.timers.remove(&(deadline, Timer::RegisterDeadline(link)));
        }
        let wants_presence = out.link_registered(link, kind);
        self.reset_cursor(link, wants_presence);
    }

    /// An adjacent server tells of a host on its side.
    fn learn_host(&mut self, link: LinkId, registration: &Registration<'_>, out: &mut impl Outbox) {
        let id = registration.source;
        if !id.is_registrable() {
            return self.drop_false_source(link, id, out);
        }
        // One look-up for all that is asked of the table, as a burst asks it a million times.
        let known = self.hosts.get(id);
        if id == self.identity.id
            || known.is_some_and(|host| matches!(host.first_link, FirstLink::Link(_)))
        {
            return self.refuse_claim(link, registration, out);
        }
        let matches_lost_host = known.map(|host| host.matches(registration));
        self.admit_host(link, registration, matches_lost_host, out);
    }

    /// Takes a host over a server link whose id is free, or that of a host whose own link was lost:
    /// `matches_lost_host` says whether it is that very one, found again here.
    fn admit_host(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        matches_lost_host: Option<bool>,
        out: &mut impl Outbox,
    ) {
        let id = registration.source;
        self.withdraw_if_claimed(link, id);
        match matches_lost_host {
            Some(true) => return self.rejoin(id, link, out),
            Some(false) => self.remove_host(id, b"split", out),
            None => {}
        }
        let slot = self.add_host(registration, link, out);
        self.announce(slot, out);
    }

    /// Enters a host whose id is not in the table, and answers its slot.
    pub(super) fn add_host(
        &mut self,
        registration: &Registration<'_>,
        link: LinkId,
        out: &mut impl Outbox,
    ) -> u32 {
        let Self { hosts, links, splits, .. } = self;
        let slot = hosts.insert(registration, link, list_of(FirstLink::Link(link), links, splits));
        out.host_up(hosts.host(slot));
        slot
    }

    /// Answers a registration whose id is known; the connection stays open.
    pub(super) fn refuse_registration(
        &self,
        link: LinkId,
        registration: &Registration<'_>,
        out: &mut impl Outbox,
    ) {
        let Registration { kind, source: id, .. } = *registration;
        log::info!("link {link}: registration refused, id {id} is taken");
        let neighbour = self.link_state(link).host_id().unwrap_or(HostId::NONE);
        self.send_answer(link, neighbour, &Notice::IdTaken { kind, id }, out);
    }

    /// The parent we dialled is this server itself, or is connected to it already.
    fn refuse_loop(&mut self, link: LinkId, parent: HostId, out: &mut impl Outbox) {
        log::warn!(
            "the parent is server {parent}, which this server is connected to already: joining it \
             would close a loop; asking again in a minute"
        );
        self.uplink.on_refused(self.now, &mut self.rng);
        out.close(link, CloseReason::RoutingLoop(parent));
    }

    /// A parent refused this server's registration: its id is taken.
    pub(super) fn on_refused_by_parent(
        &mut self,
        link: LinkId,
        parent: HostId,
        out: &mut impl Outbox,
    ) {
        if parent == self.identity.id || self.is_reachable(parent) {
            return self.refuse_loop(link, parent, out);
        }
        let id = self.identity.id;
        if self.identity.is_id_configured || !self.uplink.take_renumber_permit(self.now) {
            log::error!(
                "the parent, server {parent}, refused this server: id {id} is taken in its network. \
                 This server stays up alone and asks again in a minute; to join, start it with \
                 another --id, or with none"
            );
            self.uplink.on_refused(self.now, &mut self.rng);
            return out.close(link, CloseReason::IdRefused(id));
        }
        while self.identity.id == id || self.hosts.get(self.identity.id).is_some() {
            self.identity.id = HostId::random(&mut self.rng);
        }
        log::warn!("id {id} is taken in the network: this server is now {}", self.identity.id);
        for server in self.server_links() {
            out.close(server.id, CloseReason::Renumbered);
        }
        self.dialled(link, out);
    }
}
