//! The end of an event: whatever it started is completed as far as possible.

use super::link::Link;
use super::{Action, Node};
use crate::link::{CloseReason, LinkId, Machine as _, QueuedLink as _, Time};
use crate::printable::Printable;
use crate::relay::message::HostKind;
use crate::wires::Effects;

impl Node {
    /// Completes an event: delivers mail and broadcasts as far as queues have room, and closes
    /// links, in the relay, which may close further ones, and by [`Action::Close`].
    #[inline]
    pub(super) fn run_pending(&mut self, now: Time) {
        let is_idle = self.links.closing.is_empty()
            && self.broadcasts.is_empty()
            && self.links.displaced.is_empty()
            && self.links.spool.next_ready().is_none()
            && !self.links.are_buffers_full();
        if !is_idle {
            self.run_all_pending(now);
        }
    }

    fn run_all_pending(&mut self, now: Time) {
        if self.links.are_buffers_full() {
            self.shrink_buffers(now);
        }
        self.register_displaced(now);
        loop {
            self.close_links(now);
            let finished_links = self.run_broadcasts();
            self.deliver_ready_mail();
            if finished_links.is_empty() {
                break;
            }
            for link in finished_links {
                self.resume_input(link);
            }
        }
        self.close_links(now);
    }

    /// Registers users again that have lost their ids to other hosts.
    fn register_displaced(&mut self, now: Time) {
        for (link, user) in std::mem::take(&mut self.links.displaced) {
            if !self.is_open(link) {
                continue;
            }
            let reason = CloseReason::Session("lost its id".to_owned());
            self.relay.closed(now, link, &reason, &mut self.links);
            self.relay.accepted(now, link, &mut self.links);
            let mut effects = Effects::new();
            self.links.with_session(link, &self.relay, |session, cx| {
                session.on_displaced(&user, cx, &mut effects);
            });
            self.apply_all(link, effects);
        }
    }

    /// Closes links until all buffers together are within their bound, those that hold the most
    /// first. Links that are being closed do not count: their buffers are freed with them.
    #[cold]
    fn shrink_buffers(&mut self, now: Time) {
        let open_links = self.links.table.iter().filter(|link| !link.is_closing);
        let mut bytes: usize = open_links.map(|link| link.buffer_bytes()).sum();
        while bytes > self.links.limits.connections.buffer_bytes_max
            && let Some(id) = self.links.largest_link()
        {
            bytes -= self.links.close_for_buffers(id);
            self.close_links(now);
            self.links.free_buffers(id);
        }
    }

    fn close_links(&mut self, now: Time) {
        while let Some((link, reason)) = self.links.closing.pop_front() {
            self.log_close(link, &reason);
            self.relay.closed(now, link, &reason, &mut self.links);
            self.links.actions.push_back(Action::Close { link, reason });
        }
    }

    /// Logs the end of a link, at level warn if the other end broke the protocol or a bound.
    pub(super) fn log_close(&self, id: LinkId, reason: &CloseReason) {
        let peer = self.links.get(id).and_then(Link::peer_addr);
        let level = match reason {
            // A failed dial is logged by the dialler, which knows the address.
            _ if peer.is_none() => log::Level::Debug,
            _ if self.links.get(id).is_some_and(|link| link.session.is_answered()) => {
                log::Level::Debug
            }
            CloseReason::ProtocolError(_)
            | CloseReason::InvalidId(_)
            | CloseReason::FalseSources
            | CloseReason::RegisterDeadline
            | CloseReason::FrameDeadline
            | CloseReason::RefusedRegistrations
            | CloseReason::AddressLimit(_)
            | CloseReason::Crowded
            | CloseReason::BuffersFull { .. }
            | CloseReason::TableFull
            | CloseReason::QueueFull { .. } => log::Level::Warn,
            // The relay has logged the quit.
            CloseReason::Quit | CloseReason::Answered => log::Level::Debug,
            _ => log::Level::Info,
        };
        if !log::log_enabled!(level) {
            return;
        }
        let host_text = match self.relay.adjacent_host(id) {
            Some(host) => {
                let kind = if host.kind == HostKind::Server { "server" } else { "user" };
                format!("{kind} {} {}", host.id, Printable(host.name()))
            }
            None => "unregistered".to_owned(),
        };
        let peer = peer.map_or_else(|| "not connected".to_owned(), |peer| peer.to_string());
        log::log!(level, "link {id} ({host_text}, {peer}) ends: {reason}");
    }
}
