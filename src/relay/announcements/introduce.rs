//! Registrations that precede the messages of their hosts: a host that is pending on a link is
//! announced there before the first message from it is sent.

use super::sync::{IdSet, Sync};
use super::{Announcements, is_visible};
use crate::id::HostId;
use crate::link::{LinkId, Time};
use crate::relay::outbox::Outbox;
use crate::relay::send::send_registration;
use crate::relay::topology::Topology;

/// Whether the server at the other end of an extended link has asked for all hosts that it does not
/// know, see "Liveness" in `docs/PROTOCOL.md`.
#[derive(Clone, Debug)]
pub(super) struct Confirmation {
    /// Hosts that were announced before something from them, while it may not have asked yet.
    introduced: Option<IdSet>,
    /// Number of PINGs that have no PONG yet.
    unanswered: u32,
    /// Number of those that were sent before the latest server was announced.
    outdated: u32,
}

impl Default for Confirmation {
    /// Returns the state of a new link.
    fn default() -> Self {
        Self { introduced: Some(IdSet::default()), unanswered: 0, outdated: 0 }
    }
}

impl Confirmation {
    /// Returns the hosts that were announced before something from them, while the other end may
    /// not have asked yet for the hosts that it does not know.
    #[inline]
    pub(super) fn introduced(&self) -> Option<&IdSet> {
        self.introduced.as_ref()
    }
}

impl Announcements {
    /// Records that a server has been announced to a link for the first time: until a PONG to a
    /// later PING, its hosts may not be known there, and each is announced before something from it
    /// is sent. Returns whether a PING is to be sent, since none is unanswered.
    pub(in crate::relay) fn on_server_announced(&mut self, link: LinkId) -> bool {
        let Some(confirmation) = self.cursor_mut(link).confirmation_mut() else {
            return false;
        };
        confirmation.introduced = Some(IdSet::default());
        confirmation.outdated = confirmation.unanswered;
        confirmation.unanswered == 0
    }

    /// Records that PING is sent on a link.
    pub(in crate::relay) fn on_ping_sent(&mut self, link: LinkId) {
        if let Some(confirmation) = self.cursor_mut(link).confirmation_mut() {
            confirmation.unanswered += 1;
        }
    }

    /// Handles PONG: the other end has asked for all hosts that it did not know when the PING was
    /// sent. Returns whether another PING is to be sent, for servers that were announced since.
    pub(in crate::relay) fn on_pong(&mut self, link: LinkId) -> bool {
        let Some(confirmation) = self.cursor_mut(link).confirmation_mut() else {
            return false;
        };
        confirmation.unanswered = confirmation.unanswered.saturating_sub(1);
        match confirmation.outdated.checked_sub(1) {
            None => confirmation.introduced = None,
            Some(outdated) => confirmation.outdated = outdated,
        }
        confirmation.introduced.is_some() && confirmation.unanswered == 0
    }

    /// Announces a host to a link if it is pending there, before something from the host is sent.
    pub(in crate::relay) fn introduce(
        &mut self,
        topology: &Topology,
        id: HostId,
        link: LinkId,
        now: Time,
        out: &mut impl Outbox,
    ) {
        let Some(host) = topology.hosts().get(id) else { return };
        if self.is_pending(topology, link, host) && is_visible(topology, topology.link(link), host)
        {
            let cursor = self.cursor_mut(link);
            let frame_bytes = cursor.registration_bytes(host);
            let quit = cursor.pace.as_mut().and_then(|pace| pace.take_quit(id));
            if let Some(quit) = quit {
                self.send_frame_now(topology, link, &quit, now, out);
            }
            self.count(link, frame_bytes, now, out);
            self.send_registration(topology, link, host, now, out);
            let cursor = self.cursor_mut(link);
            if !cursor.remove_returned(host) {
                cursor.introduced.get_or_insert_default().insert(id);
            }
        } else if let Some(confirmation) = self.cursor_mut(link).confirmation_mut()
            && let Some(introduced) = &mut confirmation.introduced
            && is_visible(topology, topology.link(link), host)
            && introduced.insert(id)
        {
            send_registration(topology, link, host, out);
        }
    }

    /// Returns whether each chat of a host over a link is handled alone:
    /// [`Announcements::introduce`] must come before it because the host is pending, or the other
    /// end may not read it.
    #[inline]
    pub(in crate::relay) fn is_chat_handled_alone(
        &self,
        topology: &Topology,
        id: HostId,
        link: LinkId,
    ) -> bool {
        let cursor = self.cursor(link);
        if cursor.is_guarded() {
            return true;
        }
        let may_be_pending = self.batch.is_some()
            || cursor.next.is_some()
            || cursor.unconfirmed().is_some()
            || cursor.sync().is_some_and(Sync::has_requests)
            || cursor.next_returned().is_some();
        // Rarely true, so the look-up of the host is no cost of a usual chat.
        may_be_pending && self.must_introduce_id(topology, link, id)
    }

    #[cold]
    fn must_introduce_id(&self, topology: &Topology, link: LinkId, id: HostId) -> bool {
        let unconfirmed = self.cursor(link).unconfirmed();
        unconfirmed.is_some_and(|introduced| !introduced.contains(&id))
            || topology.hosts().get(id).is_some_and(|host| self.is_pending(topology, link, host))
    }
}
