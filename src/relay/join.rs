//! Registrations: who may join over which link, and who is told of it (contract section 2).

use super::link::{Behind, Role};
use super::message::{HostId, Kind, Message, Registration, StatusCode};
use super::split::chain;
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
        let slot = self.add(registration, link, out);
        log::info!("link {link}: user {id} {} joined", Printable(registration.name));
        let name = registration.name;
        let welcome = [b"Welcome to the Clemson Relay Chat network ", name].concat();
        self.tell(link, id, StatusCode::WELCOME, &welcome, out);
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
        if matches!(self.attachment(link).role, Role::Unregistered { uplink: true, .. }) {
            self.uplink.attached(self.now, link);
        }
        let since = self.next_event();
        let behind = Box::new(Behind { since, ..Behind::default() });
        let role = Role::Server { host, behind };
        self.take_role(link, role, Kind::Server, out);
        log::info!("link {link}: server {host} {} joined", Printable(registration.name));
        if registration.last_hop == HostId::NONE {
            let own = self.own_registration(self.own.id);
            out.deliver(link, &Message::Registration(own));
        }
        let was_lost = self.hosts.get(host).map(|host| host.is_told_by(registration));
        self.admit(link, registration, was_lost, out);
        self.begin_burst(link, out);
    }

    fn take_role(&mut self, link: LinkId, role: Role, kind: Kind, out: &mut impl Outbox) {
        let attachment = self.attachment_mut(link);
        if let Role::Unregistered { deadline, .. } = std::mem::replace(&mut attachment.role, role) {
            self.timers.remove(&(deadline, Timer::Register(link)));
        }
        let hears = out.registered(link, kind);
        self.owe_all(link, hears);
    }

    /// An adjacent server tells of a host on its side.
    fn learn(&mut self, link: LinkId, registration: &Registration<'_>, out: &mut impl Outbox) {
        let id = registration.source;
        if !id.is_registrable() {
            return self.drop_false_source(link, id, out);
        }
        // One look-up for all that is asked of the table, as a burst asks it a million times.
        let known = self.hosts.get(id);
        if id == self.own.id
            || known.is_some_and(|host| matches!(host.first_link, FirstLink::Link(_)))
        {
            return self.refuse_claim(link, registration, out);
        }
        let was_lost = known.map(|host| host.is_told_by(registration));
        self.admit(link, registration, was_lost, out);
    }

    /// Takes a host over a server link whose id is free, or that of a host whose own link was lost:
    /// `was_lost` says whether it is that very one, found again here.
    fn admit(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        was_lost: Option<bool>,
        out: &mut impl Outbox,
    ) {
        let id = registration.source;
        self.withdraw(link, id);
        match was_lost {
            Some(true) => return self.rejoin(id, link, out),
            Some(false) => self.lose(id, b"split", out),
            None => {}
        }
        let slot = self.add(registration, link, out);
        self.announce(slot, out);
    }

    /// Enters a host whose id is not in the table, and answers its slot.
    pub(super) fn add(
        &mut self,
        registration: &Registration<'_>,
        link: LinkId,
        out: &mut impl Outbox,
    ) -> u32 {
        let Self { hosts, links, splits, .. } = self;
        let slot = hosts.insert(registration, link, chain(FirstLink::Link(link), links, splits));
        out.came(hosts.host(slot));
        slot
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
