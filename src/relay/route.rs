//! Chats and statuses: one look-up, then out over the first link, or an answer to the sender.

use super::link::Role;
use super::mail::open_mail;
use super::message::{HostId, Kind, Message, StatusCode};
use super::{FirstLink, LinkId, Outbox, Relay};
use crate::printable::Excerpt;

/// What becomes of chats between two ends.
enum Way {
    /// Over this link, as they are.
    Lane(LinkId),
    /// Over this link, which may have to be told of the sender first.
    Introduce(LinkId),
    /// The link towards the destination is lost, and they may wait for it.
    Wait(u32),
    /// Back where they came from: the neighbour's table is older than ours, or newer.
    Back,
    Unknown,
    FalseSource,
}

impl Relay {
    /// Where chats of `source` to `destination` go that come over `link`.
    #[inline]
    fn way(&self, link: LinkId, source: HostId, destination: HostId) -> Way {
        if !self.may_speak_for(link, source) {
            return Way::FalseSource;
        }
        let Some(host) = self.hosts.get(destination) else { return Way::Unknown };
        match host.first_link {
            FirstLink::Split(split) => Way::Wait(split),
            FirstLink::Link(first) if first == link => {
                let is_to_itself = destination == source && host.kind == Kind::User;
                if is_to_itself { Way::Introduce(first) } else { Way::Back }
            }
            FirstLink::Link(first) if self.must_introduce(source, first) => Way::Introduce(first),
            FirstLink::Link(first) => Way::Lane(first),
        }
    }

    /// The link over which all chats of `source` to `destination` go on, as they are, that come over
    /// `link` until something else comes; `None` if [`Relay::receive`] has to look at each.
    #[must_use]
    pub fn lane(&self, link: LinkId, source: HostId, destination: HostId) -> Option<LinkId> {
        match self.way(link, source, destination) {
            Way::Lane(first) if !self.is_stopping => Some(first),
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
        let chat = Message::Chat { source, destination, text };
        match self.way(link, source, destination) {
            Way::Lane(first) => out.deliver(first, &chat),
            Way::Introduce(first) => {
                self.introduce(source, first, out);
                out.deliver(first, &chat);
            }
            Way::Wait(split) => {
                if !self.wait_for(split, source, destination, text, false) {
                    self.tell_unknown(link, source, destination, out);
                }
            }
            Way::Back => {
                self.counters.unroutable += 1;
                self.tell_unknown(link, source, destination, out);
            }
            Way::Unknown => self.tell_unknown(link, source, destination, out),
            Way::FalseSource => self.drop_false_source(link, source, out),
        }
    }

    /// True sources: whether a frame of `source` may come over `link`.
    fn may_speak_for(&self, link: LinkId, source: HostId) -> bool {
        match self.attachment(link).role {
            Role::Unregistered { .. } => false,
            Role::User { host } => host == source,
            Role::Server { .. } => self.is_first_link(source, link),
        }
    }

    /// Tells the sender of a chat that nobody has the id it was for.
    pub(super) fn tell_unknown(
        &self,
        link: LinkId,
        sender: HostId,
        unknown: HostId,
        out: &mut impl Outbox,
    ) {
        let text = format!("Unknown ID {unknown}");
        self.tell(link, sender, StatusCode::UNKNOWN_ID, text.as_bytes(), out);
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
        let is_for_us = destination == HostId::NONE || destination == self.own.id;
        if let Role::Unregistered { uplink: true, .. } = self.attachment(link).role
            && is_for_us
        {
            // A parent answers a registration that it refuses; nobody is registered here yet.
            log::warn!("link {link}: the parent says: {}", Excerpt(text));
            self.keep_status(text);
            if code == StatusCode::ID_TAKEN {
                self.on_refused(link, source, out);
            }
            return;
        }
        let is_server = self.hosts.get(source).is_some_and(|host| host.kind == Kind::Server);
        if !is_server || !self.is_first_link(source, link) {
            return self.drop_false_source(link, source, out);
        }
        if is_for_us {
            log::info!("link {link}: status {} from {source}: {}", code.0, Excerpt(text));
            return self.keep_status(text);
        }
        match self.hosts.get(destination).map(|host| host.first_link) {
            Some(FirstLink::Link(first)) if first != link => {
                let is_user = matches!(self.attachment(first).role, Role::User { .. });
                if is_user
                    && code == StatusCode::MAIL
                    && let Some((sender, said)) = open_mail(text)
                {
                    return self.tell_mail(first, sender, destination, said, out);
                }
                // A user hears a status under destination 0, whichever server it is from.
                let destination = if is_user { HostId::NONE } else { destination };
                out.deliver(first, &Message::Status { source, destination, code, text });
            }
            Some(FirstLink::Split(split))
                if code == StatusCode::MAIL
                    && self.wait_for(split, source, destination, text, true) => {}
            _ => self.counters.unroutable += 1, // a status is never answered with another
        }
    }
}
