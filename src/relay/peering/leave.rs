//! The ends of hosts and of links.

use super::Peering;
use crate::id::HostId;
use crate::limits::SPLIT_QUIT_TEXT;
use crate::link::{CloseReason, LinkId};
use crate::printable::{Excerpt, Printable};
use crate::relay::cx::RelayCx;
use crate::relay::message::HostKind;
use crate::relay::outbox::Outbox;
use crate::relay::timers::Timer;
use crate::relay::topology::{FirstLink, Role};

impl Peering {
    /// Removes a host and sends the quit of a user to all links to which it was announced.
    pub(in crate::relay) fn remove_host<O: Outbox>(
        &mut self,
        id: HostId,
        text: &[u8],
        cx: &mut RelayCx<'_, O>,
    ) {
        let Some((slot, host)) = cx.topology.hosts().find(id) else {
            return;
        };
        // Hosts of other servers are too many for the log at level info.
        let level =
            if cx.topology.is_adjacent(host) { log::Level::Info } else { log::Level::Debug };
        if host.kind == HostKind::User {
            log::log!(level, "user {id} {} left: {}", Printable(host.name()), Excerpt(text));
            cx.announce_quit(id, text);
        } else {
            log::log!(level, "server {id} {} left", Printable(host.name()));
            cx.announce_server_quit(id);
            self.grace_until.remove(&id);
        }
        cx.announcements.advance_cursors_past(cx.topology, slot, cx.timers);
        let first_link = cx.topology.hosts().get(id).map(|host| cx.topology.first_link(host));
        let host = cx.topology.remove_host(id).expect("the host that was found");
        let split = match first_link {
            Some(FirstLink::Split(split)) => Some(split),
            Some(FirstLink::Link(_)) | None => None,
        };
        let lost_link =
            split.filter(|_| text == SPLIT_QUIT_TEXT).map(|split| cx.topology.lost_link(split));
        cx.announce_room_changes_of_quit(text, lost_link.as_deref());
        if let Some(split) = split {
            self.reject_deferred(split, id, cx);
        }
        cx.out.host_down(&host);
        self.claims.schedule_grant(id, cx.now, cx.timers);
        self.settle_nick_of_past(&host, cx);
    }

    /// Handles the end of a link.
    pub(in crate::relay) fn on_closed<O: Outbox>(
        &mut self,
        link: LinkId,
        reason: &CloseReason,
        cx: &mut RelayCx<'_, O>,
    ) {
        if let Some(state) = cx.topology.find_link(link)
            && let Role::Server { host, .. } = *state.role()
            && matches!(reason, CloseReason::ServerQuit(_))
            && !state.is_extended()
            && cx.topology.is_first_link(host, link)
        {
            self.remove_host(host, b"", cx);
        }
        self.end_handshake(link, cx);
        self.admitting.on_closed(link);
        self.moved.remove(&link);
        self.forget_ending(link, reason, cx);
        self.stop_liveness(link, cx);
        self.stop_plain_liveness(link, cx);
        if let Some(state) = cx.topology.find_link(link)
            && state.is_extended()
            && let Some(neighbour) = state.host_id()
        {
            self.detach(link, neighbour, cx);
        }
        let leaving_user = cx.topology.find_link(link).and_then(|state| match *state.role() {
            Role::User { host } => Some(host).filter(|&host| cx.topology.is_first_link(host, link)),
            Role::Unregistered { .. } | Role::Server { .. } => None,
        });
        if let Some(id) = leaving_user {
            self.remove_host(id, &reason.quit_text(), cx);
        }
        let Some(state) = cx.topology.remove_link(link) else {
            return;
        };
        cx.announcements.remove_link(link, cx.timers);
        match state.into_role() {
            Role::Unregistered { deadline, .. } => {
                cx.timers.remove(deadline, Timer::RegisterDeadline(link));
            }
            Role::User { .. } => {}
            Role::Server { subtree, .. } if subtree.is_extended => {}
            Role::Server { host, subtree } => {
                self.claims.withdraw_all(link, cx.timers);
                self.begin_split(host, subtree.into_hosts(), cx);
            }
        }
        if !self.continue_move(link, reason, cx) && self.uplink.has_link(link) {
            match reason {
                CloseReason::Silent { .. } | CloseReason::TimedOut => {
                    self.uplink.on_silent(cx.now, &mut self.rng);
                }
                _ => self.uplink.on_closed(cx.now, &mut self.rng),
            }
        }
    }

    /// Removes the users of this server, which stops, and closes links that have not registered.
    pub(in crate::relay) fn remove_own_users<O: Outbox>(&mut self, cx: &mut RelayCx<'_, O>) {
        let mut users = Vec::new();
        for state in cx.topology.links() {
            match *state.role() {
                Role::Unregistered { .. } => cx.out.close(state.id(), CloseReason::Shutdown),
                Role::User { host } => users.push(host),
                Role::Server { .. } => {}
            }
        }
        let text = CloseReason::Shutdown.quit_text();
        for id in users {
            self.remove_host(id, &text, cx);
        }
    }
}
