//! What ends an event: all that it has begun is carried on as far as it goes now.

use super::{Action, Node};
use crate::link::{CloseReason, LinkId, Time};
use crate::printable::Printable;
use crate::relay::message::HostKind;

impl Node {
    /// Ends what an event has begun: hands over mail and broadcasts as far as there is room, tells
    /// the relay of every link that is to close, which may close further ones, and asks the outside
    /// to close them.
    #[inline]
    pub(super) fn run_pending(&mut self, now: Time) {
        let is_idle = self.links.closing.is_empty()
            && self.broadcasts.is_empty()
            && self.links.spool.next_ready().is_none();
        if !is_idle {
            self.run_all_pending(now);
        }
    }

    fn run_all_pending(&mut self, now: Time) {
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

    fn close_links(&mut self, now: Time) {
        while let Some((link, reason)) = self.links.closing.pop_front() {
            self.log_close(link, &reason);
            self.relay.closed(now, link, &reason, &mut self.links);
            self.links.actions.push_back(Action::Close { link, reason });
        }
    }

    /// Says whose link ends and why: a warning where the other end broke the rules.
    pub(super) fn log_close(&self, id: LinkId, reason: &CloseReason) {
        let peer = self.links.get(id).and_then(|link| link.peer_addr);
        let level = match reason {
            // That a parent cannot be reached is said once, where its address is known.
            _ if peer.is_none() => log::Level::Debug,
            CloseReason::ProtocolError(_)
            | CloseReason::InvalidId(_)
            | CloseReason::FalseSources
            | CloseReason::RegisterDeadline
            | CloseReason::TableFull
            | CloseReason::QueueFull { .. } => log::Level::Warn,
            CloseReason::Quit => log::Level::Debug, // that the user left has been said
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
