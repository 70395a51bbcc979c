//! Registrations: who may join over which link, and who is told of it (contract section 2).

use super::link::{IdSet, Role};
use super::message::{HostId, Kind, Message, Registration, StatusCode};
use super::{CloseReason, FirstLink, LinkId, Outbox, Relay, Timer};
use crate::printable::Printable;

impl Relay {
    pub(super) fn handle_registration(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        out: &mut impl Outbox,
    ) {
        let Registration { kind, source, last_hop, .. } = *registration;
        if !self.hosts.has_room(registration, self.limits.table_bytes_max) {
            return out.close(link, CloseReason::TableFull);
        }
        match self.attachment(link).role {
            Role::Unregistered { uplink: true, .. } => {
                let introduces_itself = last_hop == source || last_hop == HostId::NONE;
                if kind == Kind::User || !introduces_itself {
                    self.drop_false_source(link, source, out);
                } else if !source.is_registrable() {
                    out.close(link, CloseReason::BadId(source));
                } else if source == self.own.id || self.is_live(source) {
                    self.refuse_loop(link, source, out);
                } else {
                    self.join_server(link, registration, out);
                }
            }
            Role::Unregistered { uplink: false, .. } => {
                if last_hop != HostId::NONE {
                    self.drop_false_source(link, source, out);
                } else if !source.is_registrable() {
                    out.close(link, CloseReason::BadId(source));
                } else if kind == Kind::User {
                    self.join_user(link, registration, out);
                } else if source == self.own.id || self.is_live(source) {
                    self.refuse(link, registration, out);
                } else {
                    self.join_server(link, registration, out);
                }
            }
            Role::Server { host, .. } if last_hop == host => {
                self.learn(link, registration, out);
            }
            Role::User { .. } | Role::Server { .. } => {
                self.refuse_second(link, registration, out);
            }
        }
    }

    /// A registration on a link that has its role already: an answer if the id is known, as for
    /// every registration with a known id; if not, a frame of somebody who is not there.
    fn refuse_second(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        out: &mut impl Outbox,
    ) {
        let source = registration.source;
        if source == self.own.id || self.hosts.get(source).is_some() {
            self.refuse(link, registration, out);
        } else {
            self.drop_false_source(link, source, out);
        }
    }

    /// Whether the id is taken by a host that can be reached now.
    fn is_live(&self, id: HostId) -> bool {
        self.hosts.get(id).is_some_and(|host| matches!(host.first_link, FirstLink::Link(_)))
    }

    fn join_user(&mut self, link: LinkId, registration: &Registration<'_>, out: &mut impl Outbox) {
        let id = registration.source;
        if id == self.own.id || self.hosts.get(id).is_some() {
            return self.refuse(link, registration, out);
        }
        self.take_role(link, Role::User { host: id }, Kind::User, out);
        self.add(registration, link, out);
        log::info!("link {link}: user {id} {} joined", Printable(registration.name));
        let name = registration.name;
        let welcome = [b"Welcome to the Clemson Relay Chat network ", name].concat();
        self.tell(link, id, StatusCode::WELCOME, &welcome, out);
        self.begin_burst(link, out);
        self.announce(id, out);
    }

    /// An adjacent server joins: one that dialled this server, or the parent that answers.
    fn join_server(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        out: &mut impl Outbox,
    ) {
        let host = registration.source;
        if matches!(self.attachment(link).role, Role::Unregistered { uplink: true, .. }) {
            self.uplink.attached(self.now, link);
        }
        let since = self.next_event();
        let role = Role::Server { host, since, heard: IdSet::default() };
        self.take_role(link, role, Kind::Server, out);
        log::info!("link {link}: server {host} {} joined", Printable(registration.name));
        if registration.last_hop == HostId::NONE {
            let own = self.own_registration(self.own.id);
            out.deliver(link, &Message::Registration(own));
        }
        self.admit(link, registration, out);
        self.begin_burst(link, out);
    }

    fn take_role(&mut self, link: LinkId, role: Role, kind: Kind, out: &mut impl Outbox) {
        let attachment = self.attachment_mut(link);
        if let Role::Unregistered { deadline, .. } = std::mem::replace(&mut attachment.role, role) {
            self.timers.remove(&(deadline, Timer::Register(link)));
        }
        out.registered(link, kind);
    }

    /// An adjacent server tells of a host on its side.
    fn learn(&mut self, link: LinkId, registration: &Registration<'_>, out: &mut impl Outbox) {
        let id = registration.source;
        if !id.is_registrable() {
            self.drop_false_source(link, id, out);
        } else if id == self.own.id || self.is_live(id) {
            self.refuse_claim(link, registration, out);
        } else {
            self.admit(link, registration, out);
        }
    }

    /// Takes a host over a server link whose id is free, or whose own link was lost and which is
    /// found again here.
    fn admit(&mut self, link: LinkId, registration: &Registration<'_>, out: &mut impl Outbox) {
        let id = registration.source;
        self.withdraw_claim(id, link);
        self.heard(link).insert(id);
        if let Some(host) = self.hosts.get(id) {
            if host.is_told_by(registration) {
                return self.rejoin(id, link, out);
            }
            self.lose(id, b"split", out);
        }
        self.add(registration, link, out);
        self.announce(id, out);
    }

    /// Enters a host whose id is not in the table.
    pub(super) fn add(
        &mut self,
        registration: &Registration<'_>,
        link: LinkId,
        out: &mut impl Outbox,
    ) {
        out.came(self.hosts.insert(registration, link));
    }

    pub(super) fn heard(&mut self, link: LinkId) -> &mut IdSet {
        match &mut self.attachment_mut(link).role {
            Role::Server { heard, .. } => heard,
            role => unreachable!("only servers tell of others, not {role:?}"),
        }
    }

    /// Tells everyone whom it concerns of a host that has just joined.
    pub(super) fn announce(&self, id: HostId, out: &mut impl Outbox) {
        let host = self.hosts.get(id).expect("a host that has just joined");
        let registration = Message::Registration(host.registration(self.own.id));
        for attachment in self.links.iter().flatten() {
            if self.is_for(attachment, host) {
                out.deliver(attachment.id, &registration);
            }
        }
    }

    /// Answers a registration whose id is known; the connection stays open.
    pub(super) fn refuse(
        &self,
        link: LinkId,
        registration: &Registration<'_>,
        out: &mut impl Outbox,
    ) {
        let id = registration.source;
        let who = match registration.kind {
            Kind::Server => "A machine",
            Kind::User => "Someone",
        };
        log::info!("link {link}: registration refused, id {id} is taken");
        let neighbour = self.attachment(link).host().unwrap_or(HostId::NONE);
        let text = format!("{who} has already registered with ID {id}");
        self.tell(link, neighbour, StatusCode::ID_TAKEN, text.as_bytes(), out);
    }

    /// The parent we dialled is this server itself, or is connected to it already.
    fn refuse_loop(&mut self, link: LinkId, parent: HostId, out: &mut impl Outbox) {
        log::warn!(
            "the parent is server {parent}, which this server is connected to already: joining it \
             would close a loop; asking again in a minute"
        );
        self.uplink.refused(self.now, &mut self.rng);
        out.close(link, CloseReason::Loop(parent));
    }

    /// A parent refused this server's registration: its id is taken.
    pub(super) fn on_refused(&mut self, link: LinkId, parent: HostId, out: &mut impl Outbox) {
        if parent == self.own.id || self.is_live(parent) {
            return self.refuse_loop(link, parent, out);
        }
        let id = self.own.id;
        if self.own.id_is_chosen || !self.uplink.may_renumber(self.now) {
            log::error!(
                "the parent, server {parent}, refused this server: id {id} is taken in its network. \
                 This server stays up alone and asks again in a minute; to join, start it with \
                 another --id, or with none"
            );
            self.uplink.refused(self.now, &mut self.rng);
            return out.close(link, CloseReason::Refused(id));
        }
        while self.own.id == id || self.hosts.get(self.own.id).is_some() {
            self.own.id = HostId::random(&mut self.rng);
        }
        log::warn!("id {id} is taken in the network: this server is now {}", self.own.id);
        for server in self.servers() {
            out.close(server.id, CloseReason::Renumbered);
        }
        self.dialled(link, out);
    }
}
