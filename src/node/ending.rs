//! How links end: the last words of their sessions, and what is left of them.

use super::links::Links;
use crate::link::{CloseReason, LinkId};
use crate::relay::Outbox as _;

impl Links {
    /// Removes a link whose connection is gone.
    pub(super) fn remove(&mut self, id: LinkId) {
        self.leave_pool(id);
        self.frame_deadlines.clear(id);
        if let Some(mut link) = self.table.remove(id) {
            self.ended_traffic.entry(link.wire().name()).or_default().add(&link.traffic);
            link.session.closed(&mut self.names);
            if let Some(timer) = link.timer {
                self.timers.remove(&(timer, id));
            }
            self.spool.on_link_closed(id);
        }
    }

    /// Lets the session of a link write why the node ends it.
    pub(super) fn write_last_words(&mut self, id: LinkId, reason: &CloseReason) {
        let _ = self.table.enqueue_with(id, |link| {
            let len_before = link.queue.len();
            let has_partial = link.decoder.has_partial_frame();
            link.session.on_closing(reason, has_partial, &mut link.queue);
            link.count_queued(len_before);
        });
    }

    /// Closes a link once its queue is sent.
    pub(super) fn close_when_sent(&mut self, id: LinkId) {
        if let Some(link) = self.live_mut(id) {
            link.ends_when_sent = true;
            if link.queue.is_empty() {
                self.close(id, CloseReason::Answered);
            }
        }
    }

    /// Reports a refused registration to the client, even if the relay has closed the link.
    pub(super) fn refuse_registration(&mut self, id: LinkId) {
        let _ = self.table.enqueue_with(id, |link| {
            let len_before = link.queue.len();
            link.session.on_registration_refused(&mut link.queue);
            link.count_queued(len_before);
        });
    }
}
