//! Quits, kicks and the ends of links: who leaves with what, and who is told of it.

use std::fmt;

use super::link::{Attachment, Role};
use super::message::{HostId, Kind, Message, StatusCode};
use super::split::chain;
use super::{CloseReason, FirstLink, LinkId, Outbox, Relay, Time, Timer};
use crate::printable::{Excerpt, Printable};

/// Why nobody was kicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KickError {
    /// There is no such host.
    Unknown,
    /// The host is connected to another server, reached through this one.
    Elsewhere(HostId),
}

impl fmt::Display for KickError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("nobody has this id"),
            Self::Elsewhere(via) => write!(
                f,
                "not connected to this server but behind server {via}: kick it at its own server"
            ),
        }
    }
}

impl Relay {
    pub(super) fn handle_client_quit(
        &mut self,
        link: LinkId,
        source: HostId,
        text: &[u8],
        out: &mut impl Outbox,
    ) {
        if !self.is_first_link(source, link) {
            return self.withdraw_or_drop(link, source, out);
        }
        match self.attachment(link).role {
            Role::User { .. } => {
                self.lose(source, text, out);
                out.close(link, CloseReason::Quit);
            }
            Role::Server { .. } if self.hosts.get(source).is_some_and(|h| h.kind == Kind::User) => {
                self.lose(source, text, out);
            }
            _ => self.drop_false_source(link, source, out),
        }
    }

    /// A server says that it, or one behind it, leaves. Users behind it are lost with its link.
    pub(super) fn handle_server_quit(
        &mut self,
        link: LinkId,
        source: HostId,
        text: &[u8],
        out: &mut impl Outbox,
    ) {
        if !self.is_first_link(source, link) {
            return self.withdraw_or_drop(link, source, out);
        }
        if self.hosts.get(source).is_some_and(|host| host.kind == Kind::User) {
            return self.drop_false_source(link, source, out);
        }
        if self.attachment(link).host() == Some(source) {
            return out.close(link, CloseReason::ServerQuit(text.to_vec()));
        }
        self.lose(source, text, out);
    }

    /// A quit that did not come over the first link: of a claim, if the link had made one.
    fn withdraw_or_drop(&mut self, link: LinkId, source: HostId, out: &mut impl Outbox) {
        if !self.withdraw(link, source) {
            self.drop_false_source(link, source, out);
        }
    }

    /// Whether frames of `source` may come over `link`.
    pub(super) fn is_first_link(&self, source: HostId, link: LinkId) -> bool {
        self.hosts.get(source).is_some_and(|host| host.first_link == FirstLink::Link(link))
    }

    /// Forgets a host and tells of a user's end all who have been told of its beginning.
    pub(super) fn lose(&mut self, id: HostId, text: &[u8], out: &mut impl Outbox) {
        let Some((slot, host)) = self.hosts.entry(id) else {
            return;
        };
        // Those of other servers are too many for the log, as they are when they join.
        let is_near = match host.first_link {
            FirstLink::Link(link) => {
                let attachment = self.links.taken(link.index as usize);
                attachment.is_none_or(|attachment| attachment.host() == Some(id))
            }
            FirstLink::Split(_) => false,
        };
        let level = if is_near { log::Level::Info } else { log::Level::Debug };
        if host.kind == Kind::User {
            log::log!(level, "user {id} {} left: {}", Printable(host.name()), Excerpt(text));
            let quit = Message::ClientQuit { source: id, text };
            for attachment in self.links.iter().flatten() {
                // When this server stops, its users see the end of their own connections.
                let is_leaving = self.is_stopping && matches!(attachment.role, Role::User { .. });
                if self.was_told(attachment, host) && !is_leaving {
                    out.deliver(attachment.id, &quit);
                }
            }
        } else {
            log::log!(level, "server {id} {} left", Printable(host.name()));
        }
        let way = host.first_link;
        self.pass_over(slot, id);
        let Self { hosts, links, splits, .. } = self;
        let host = hosts.remove(id, chain(way, links, splits)).expect("the host that was found");
        if let FirstLink::Split(split) = host.first_link {
            self.give_up_waiting(split, id, out);
        }
        out.left(&host);
        self.consider_claims(id);
    }

    /// A link has ended, for whatever reason.
    pub fn closed(&mut self, now: Time, link: LinkId, reason: &CloseReason, out: &mut impl Outbox) {
        self.now = now;
        let attachment = self.links.taken(link.index as usize);
        if let Some(&Attachment { role: Role::Server { host, .. }, .. }) = attachment
            && matches!(reason, CloseReason::ServerQuit(_))
            && self.is_first_link(host, link)
        {
            self.lose(host, b"", out);
        }
        let Some(attachment) = self.links.get_mut(link.index as usize).and_then(Option::take)
        else {
            return;
        };
        self.news.forget(link);
        match attachment.role {
            Role::Unregistered { deadline, .. } => {
                self.timers.remove(&(deadline, Timer::Register(link)));
            }
            Role::User { host } => {
                if self.is_first_link(host, link) {
                    let text = match reason {
                        CloseReason::Kicked(text) if !text.is_empty() => text.clone(),
                        _ => reason.to_string().into_bytes(),
                    };
                    self.lose(host, &text, out);
                }
            }
            Role::Server { host, behind, .. } => {
                for id in behind.claimed {
                    self.withdraw_claim(id, link);
                }
                self.begin_split(host, behind.hosts, out);
            }
        }
        if self.uplink.is(link) {
            self.uplink.ended(now, &mut self.rng);
        }
    }

    /// Ends the link of an adjacent host at the operator's wish.
    ///
    /// # Errors
    /// See [`KickError`]; nothing has changed then.
    pub fn kick(
        &mut self,
        id: HostId,
        text: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), KickError> {
        let host = self.hosts.get(id).ok_or(KickError::Unknown)?;
        let FirstLink::Link(link) = host.first_link else {
            return Err(KickError::Elsewhere(self.first_link_host(host)));
        };
        if self.attachment(link).host() != Some(id) {
            return Err(KickError::Elsewhere(self.first_link_host(host)));
        }
        let reason = CloseReason::Kicked(text.to_vec());
        if host.kind == Kind::User {
            self.tell(link, id, StatusCode::KICKED, reason.to_string().as_bytes(), out);
        }
        out.close(link, reason);
        Ok(())
    }
}
