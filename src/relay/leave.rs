//! Quits, kicks and the ends of links: who leaves with what, and who is told of it.

use std::fmt;

use super::message::{HostKind, Message};
use super::notice::Notice;
use super::split::list_of;
use super::{FirstLink, Outbox, Relay, Timer};
use crate::id::HostId;
use crate::link::{CloseReason, LinkId, Time};
use crate::printable::{Excerpt, Printable};
use crate::relay::link_state::{LinkState, Role};

/// Why nobody was kicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KickError {
    /// There is no such host.
    UnknownId,
    /// The host is connected to another server, reached through this one.
    NotAdjacent(HostId),
}

impl fmt::Display for KickError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownId => f.write_str("nobody has this id"),
            Self::NotAdjacent(via) => write!(
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
        match self.link_state(link).role {
            Role::User { .. } => {
                self.remove_host(source, text, out);
                out.close(link, CloseReason::Quit);
            }
            Role::Server { .. }
                if self.hosts.get(source).is_some_and(|h| h.kind == HostKind::User) =>
            {
                self.remove_host(source, text, out);
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
        if self.hosts.get(source).is_some_and(|host| host.kind == HostKind::User) {
            return self.drop_false_source(link, source, out);
        }
        if self.link_state(link).host_id() == Some(source) {
            return out.close(link, CloseReason::ServerQuit(text.to_vec()));
        }
        self.remove_host(source, text, out);
    }

    /// A quit that did not come over the first link: of a claim, if the link had made one.
    fn withdraw_or_drop(&mut self, link: LinkId, source: HostId, out: &mut impl Outbox) {
        if !self.withdraw_if_claimed(link, source) {
            self.drop_false_source(link, source, out);
        }
    }

    /// Whether frames of `source` may come over `link`.
    pub(super) fn is_first_link(&self, source: HostId, link: LinkId) -> bool {
        self.hosts.get(source).is_some_and(|host| host.first_link == FirstLink::Link(link))
    }

    /// Forgets a host and tells of a user's end all who have been told of its beginning.
    pub(super) fn remove_host(&mut self, id: HostId, text: &[u8], out: &mut impl Outbox) {
        let Some((slot, host)) = self.hosts.find(id) else {
            return;
        };
        // Those of other servers are too many for the log, as they are when they join.
        let is_adjacent = match host.first_link {
            FirstLink::Link(link) => {
                let state = self.links.occupied(link.index as usize);
                state.is_none_or(|state| state.host_id() == Some(id))
            }
            FirstLink::Split(_) => false,
        };
        let level = if is_adjacent { log::Level::Info } else { log::Level::Debug };
        if host.kind == HostKind::User {
            log::log!(level, "user {id} {} left: {}", Printable(host.name()), Excerpt(text));
            let quit = Message::ClientQuit { source: id, text };
            for state in self.links.iter().flatten() {
                // When this server stops, its users see the end of their own connections.
                if !self.is_announced(state, host) {
                    continue;
                }
                match state.role {
                    Role::Server { .. } => out.deliver(state.id, &quit),
                    _ if self.is_stopping => {}
                    _ => out.notify(state.id, self.identity.id, &Notice::Quit { source: id, text }),
                }
            }
        } else {
            log::log!(level, "server {id} {} left", Printable(host.name()));
        }
        let first_link = host.first_link;
        self.advance_cursors_past(slot, id);
        let Self { hosts, links, splits, .. } = self;
        let host =
            hosts.remove(id, list_of(first_link, links, splits)).expect("the host that was found");
        if let FirstLink::Split(split) = host.first_link {
            self.reject_deferred(split, id, out);
        }
        out.host_down(&host);
        self.schedule_claim_grant(id);
    }

    /// A link has ended, for whatever reason.
    pub fn closed(&mut self, now: Time, link: LinkId, reason: &CloseReason, out: &mut impl Outbox) {
        self.now = now;
        let state = self.links.occupied(link.index as usize);
        if let Some(&LinkState { role: Role::Server { host, .. }, .. }) = state
            && matches!(reason, CloseReason::ServerQuit(_))
            && self.is_first_link(host, link)
        {
            self.remove_host(host, b"", out);
        }
        let Some(state) = self.links.get_mut(link.index as usize).and_then(Option::take) else {
            return;
        };
        self.announcements.remove_link(link);
        match state.role {
            Role::Unregistered { deadline, .. } => {
                self.timers.remove(&(deadline, Timer::RegisterDeadline(link)));
            }
            Role::User { host } => {
                if self.is_first_link(host, link) {
                    self.remove_host(host, &reason.quit_text(), out);
                }
            }
            Role::Server { host, subtree, .. } => {
                for id in subtree.claimed_ids {
                    self.withdraw_claim(id, link);
                }
                self.begin_split(host, subtree.hosts, out);
            }
        }
        if self.uplink.has_link(link) {
            self.uplink.on_closed(now, &mut self.rng);
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
        let host = self.hosts.get(id).ok_or(KickError::UnknownId)?;
        let FirstLink::Link(link) = host.first_link else {
            return Err(KickError::NotAdjacent(self.first_link_host(host)));
        };
        if self.link_state(link).host_id() != Some(id) {
            return Err(KickError::NotAdjacent(self.first_link_host(host)));
        }
        if host.kind == HostKind::User {
            self.send_answer(link, id, &Notice::Kicked { text }, out);
        }
        out.close(link, CloseReason::Kicked(text.to_vec()));
        Ok(())
    }
}
