//! Liveness of extended links: a neighbour that is silent is asked, and closed if it does not
//! answer.
//!
//! Whatever arrives shows that the neighbour lives, so PING is sent only over links that are
//! otherwise silent. It carries the digest of what has been announced.

use super::Peering;
use super::facts::digest_announced;
use crate::link::{CloseReason, LinkId};
use crate::relay::cx::RelayCx;
use crate::relay::extension::{Digest, Frame, Ping};
use crate::relay::outbox::Outbox;
use crate::relay::send;
use crate::relay::timers::Timer;

impl Peering {
    /// Starts to watch an extended link.
    pub(super) fn start_liveness<O: Outbox>(&mut self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        self.set_liveness_timer(link, cx.now + cx.limits.ping_interval, cx);
    }

    /// Stops to watch a link that has ended.
    pub(super) fn stop_liveness<O: Outbox>(&mut self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        if let Some(at) = self.liveness_timers.remove(&link) {
            cx.timers.remove(at, Timer::Liveness(link));
        }
    }

    fn set_liveness_timer<O: Outbox>(
        &mut self,
        link: LinkId,
        at: crate::link::Time,
        cx: &mut RelayCx<'_, O>,
    ) {
        self.liveness_timers.insert(link, at);
        cx.timers.insert(at, Timer::Liveness(link));
    }

    /// Asks a silent neighbour whether it lives, or closes its link after
    /// [`ping_timeout`](crate::limits::Limits::ping_timeout).
    pub(in crate::relay) fn on_liveness_due<O: Outbox>(
        &mut self,
        link: LinkId,
        cx: &mut RelayCx<'_, O>,
    ) {
        if self.liveness_timers.remove(&link).is_none() {
            return;
        }
        let attached_at = self.extended.get(&link).map_or(cx.now, |extended| extended.since);
        let heard_at = cx.out.received_at(link).max(attached_at);
        let silence = cx.now.since(heard_at);
        let (interval, timeout) = (cx.limits.ping_interval, cx.limits.ping_timeout);
        if silence >= timeout {
            return cx.out.close(link, CloseReason::Silent { silence });
        }
        if silence < interval {
            return self.set_liveness_timer(link, heard_at + interval, cx);
        }
        let ping = Ping { token: 0, handled_bytes: 0, digest: own_digest(link, cx) };
        send::send_extension(cx.topology, link, &Frame::Ping(ping), cx.out);
        let next = (cx.now + interval).min(heard_at + timeout);
        self.set_liveness_timer(link, next, cx);
    }

    /// Answers a PING.
    pub(super) fn on_ping<O: Outbox>(&mut self, link: LinkId, ping: Ping, cx: &mut RelayCx<'_, O>) {
        self.check_digest(link, ping.digest, cx);
        let pong = Ping { handled_bytes: 0, digest: own_digest(link, cx), ..ping };
        send::send_extension(cx.topology, link, &Frame::Pong(pong), cx.out);
    }
}

/// Returns the digest of what has been announced on a link, unless announcements are pending.
fn own_digest<O: Outbox>(link: LinkId, cx: &RelayCx<'_, O>) -> Option<Digest> {
    cx.announcements.is_up_to_date(link).then(|| digest_announced(link, cx))
}
