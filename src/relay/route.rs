//! Chats and statuses: one look-up, then out over the first link, or an answer to the sender.

use super::mail::parse_mail_text;
use super::message::{HostKind, Message, StatusCode};
use super::notice::Notice;
use super::{FirstLink, Outbox, Relay};
use crate::id::HostId;
use crate::link::LinkId;
use crate::printable::Excerpt;
use crate::relay::link_state::Role;

/// What becomes of chats between two ends.
enum Route {
    /// Over this link, as they are.
    Forward(LinkId),
    /// Over this link, which may have to be told of the sender first.
    Introduce(LinkId),
    /// The link towards the destination is lost, and they may wait for it.
    Defer(u32),
    /// Back where they came from: the neighbour's table is older than ours, or newer.
    WouldLoop,
    UnknownId,
    FalseSource,
}

impl Relay {
    /// Where chats of `source` to `destination` go that come over `link`.
    #[inline]
    fn route(&self, link: LinkId, source: HostId, destination: HostId) -> Route {
        if !self.is_valid_source(link, source) {
            return Route::FalseSource;
        }
        let Some(host) = self.hosts.get(destination) else { return Route::UnknownId };
        match host.first_link {
            FirstLink::Split(split) => Route::Defer(split),
            FirstLink::Link(next_hop) if next_hop == link => {
                let is_to_itself = destination == source && host.kind == HostKind::User;
                if is_to_itself { Route::Introduce(next_hop) } else { Route::WouldLoop }
            }
            FirstLink::Link(next_hop) if self.must_introduce(source, next_hop) => {
                Route::Introduce(next_hop)
            }
            FirstLink::Link(next_hop) => Route::Forward(next_hop),
        }
    }

    /// The link over which all chats of `source` to `destination` go on, as they are, that come over
    /// `link` until something else comes; `None` if [`Relay::receive`] has to look at each.
    #[must_use]
    pub fn next_hop(&self, link: LinkId, source: HostId, destination: HostId) -> Option<LinkId> {
        match self.route(link, source, destination) {
            Route::Forward(next_hop) if !self.is_stopping => Some(next_hop),
            _ => None,
        }
    }

    pub(super) fn handle_chat(
        &mut self,
        link: LinkId,
        source: HostId,
        destination: HostId,
        text: &[u8],
        out: &mut impl Outbox,
    ) {
        match self.route(link, source, destination) {
            Route::Forward(next_hop) => self.send_chat(next_hop, source, destination, text, out),
            Route::Introduce(next_hop) => {
                self.introduce(source, next_hop, out);
                self.send_chat(next_hop, source, destination, text, out);
            }
            Route::Defer(split) => {
                if !self.defer(split, source, destination, text, false) {
                    self.send_unknown_id(link, source, destination, out);
                }
            }
            Route::WouldLoop => {
                self.counters.unroutable += 1;
                self.send_unknown_id(link, source, destination, out);
            }
            Route::UnknownId => self.send_unknown_id(link, source, destination, out),
            Route::FalseSource => self.drop_false_source(link, source, out),
        }
    }

    /// True sources: whether a frame of `source` may come over `link`.
    fn is_valid_source(&self, link: LinkId, source: HostId) -> bool {
        match self.link_state(link).role {
            Role::Unregistered { .. } => false,
            Role::User { host } => host == source,
            Role::Server { .. } => self.is_first_link(source, link),
        }
    }

    /// Tells the sender of a chat that nobody has the id it was for.
    pub(super) fn send_unknown_id(
        &self,
        link: LinkId,
        sender: HostId,
        unknown: HostId,
        out: &mut impl Outbox,
    ) {
        self.send_answer(link, sender, &Notice::UnknownId(unknown), out);
    }

    pub(super) fn handle_status(
        &mut self,
        link: LinkId,
        source: HostId,
        destination: HostId,
        code: StatusCode,
        text: &[u8],
        out: &mut impl Outbox,
    ) {
        if destination == HostId::EXTENSION {
            return; // an extension that this version does not know
        }
        let is_for_us = destination == HostId::NONE || destination == self.identity.id;
        if let Role::Unregistered { is_uplink: true, .. } = self.link_state(link).role
            && is_for_us
        {
            // A parent answers a registration that it refuses; nobody is registered here yet.
            log::warn!("link {link}: the parent says: {}", Excerpt(text));
            self.record_status(text);
            if code == StatusCode::ID_TAKEN {
                self.on_refused_by_parent(link, source, out);
            }
            return;
        }
        let is_server = self.hosts.get(source).is_some_and(|host| host.kind == HostKind::Server);
        if !is_server || !self.is_first_link(source, link) {
            return self.drop_false_source(link, source, out);
        }
        if is_for_us {
            log::info!("link {link}: status {} from {source}: {}", code.0, Excerpt(text));
            return self.record_status(text);
        }
        match self.hosts.get(destination).map(|host| host.first_link) {
            Some(FirstLink::Link(next_hop)) if next_hop != link => {
                let is_user = matches!(self.link_state(next_hop).role, Role::User { .. });
                if is_user
                    && code == StatusCode::MAIL
                    && let Some((sender, mail_text)) = parse_mail_text(text)
                {
                    return self.deliver_local_mail(next_hop, sender, destination, mail_text, out);
                }
                if is_user {
                    let notice = Notice::Status { source, code, text };
                    out.notify(next_hop, self.identity.id, &notice);
                } else {
                    out.deliver(next_hop, &Message::Status { source, destination, code, text });
                }
            }
            Some(FirstLink::Split(split))
                if code == StatusCode::MAIL
                    && self.defer(split, source, destination, text, true) => {}
            _ => self.counters.unroutable += 1, // a status is never answered with another
        }
    }
}
