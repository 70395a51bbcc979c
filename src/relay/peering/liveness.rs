//! Liveness of extended links: a neighbour that is silent is asked, and closed if it does not
//! answer.
//!
//! Whatever arrives shows that the neighbour lives, so PING is sent over links that are otherwise
//! silent, and once in a while over busy ones, since its PONG also shows the round-trip time. It
//! carries the digest of what has been announced.

use std::time::Duration;

use super::Peering;
use super::send_facts::{digest_announced, send_ping_behind_facts};
use crate::limits::ROUND_TRIP_AGE_MAX;
use crate::link::{CloseReason, LinkId, Time};
use crate::relay::cx::RelayCx;
use crate::relay::extension::{Digest, Frame, Ping};
use crate::relay::outbox::Outbox;
use crate::relay::send;
use crate::relay::timers::Timer;

/// What is known of the neighbour's answers on an extended link.
#[derive(Clone, Debug, Default)]
pub(super) struct Liveness {
    /// When the neighbour is asked or given up.
    pub(super) due: Time,
    /// The first PING that has no answer yet: its token, and when it was sent.
    unanswered: Option<(u64, Time)>,
    last_token: u64,
    /// The last round trip and the time at which it was complete.
    round_trip: Option<(Duration, Time)>,
}

impl Liveness {
    fn is_round_trip_old(&self, now: Time) -> bool {
        self.round_trip.is_none_or(|(_, at)| now.since(at) >= ROUND_TRIP_AGE_MAX)
    }

    /// Returns the token of a PING that is sent now.
    fn next_ping(&mut self, now: Time) -> u64 {
        self.last_token += 1;
        self.unanswered.get_or_insert((self.last_token, now));
        self.last_token
    }

    /// Measures the round trip that a PONG with this token ends. Tokens start again once no PING is
    /// unanswered, so that an idle link returns to the state in which it was.
    fn on_pong(&mut self, token: u64, now: Time) {
        if token == self.last_token {
            self.last_token = 0;
        }
        if let Some((_, sent_at)) = self.unanswered.take_if(|(sent, _)| *sent == token) {
            self.round_trip = Some((now.since(sent_at), now));
        }
    }
}

impl Peering {
    /// Starts to watch an extended link.
    pub(super) fn start_liveness<O: Outbox>(&mut self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        self.liveness.insert(link, Liveness::default());
        self.set_liveness_timer(link, cx.now + cx.limits.ping_interval, cx);
    }

    /// Stops to watch a link that has ended.
    pub(super) fn stop_liveness<O: Outbox>(&mut self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        if let Some(liveness) = self.liveness.remove(&link) {
            cx.timers.remove(liveness.due, Timer::Liveness(link));
        }
    }

    fn set_liveness_timer<O: Outbox>(&mut self, link: LinkId, at: Time, cx: &mut RelayCx<'_, O>) {
        if let Some(liveness) = self.liveness.get_mut(&link) {
            liveness.due = at;
            cx.timers.insert(at, Timer::Liveness(link));
        }
    }

    /// Returns the last round-trip time of an extended link, once it was measured.
    pub(in crate::relay) fn round_trip(&self, link: LinkId) -> Option<Duration> {
        let (round_trip, _) = self.liveness.get(&link)?.round_trip?;
        Some(round_trip)
    }

    /// Asks a silent neighbour whether it lives, or closes its link after
    /// [`ping_timeout`](crate::limits::Limits::ping_timeout).
    pub(in crate::relay) fn on_liveness_due<O: Outbox>(
        &mut self,
        link: LinkId,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Some(liveness) = self.liveness.get_mut(&link) else { return };
        let attached_at = self.extended.get(&link).map_or(cx.now, |extended| extended.since);
        let heard_at = cx.out.received_at(link).max(attached_at);
        let silence = cx.now.since(heard_at);
        let (interval, timeout) = (cx.limits.ping_interval, cx.limits.ping_timeout);
        if cx.out.is_held_back(link) {
            // Nothing is read from the link, but the other end must not take this one for dead.
            self.send_ping(link, cx);
            return self.set_liveness_timer(link, cx.now + interval, cx);
        }
        if silence >= timeout {
            self.liveness.remove(&link);
            return cx.out.close(link, CloseReason::Silent { silence });
        }
        if silence < interval && !liveness.is_round_trip_old(cx.now) {
            return self.set_liveness_timer(link, heard_at + interval, cx);
        }
        self.send_ping(link, cx);
        let next = (cx.now + interval).min(heard_at + timeout);
        self.set_liveness_timer(link, next, cx);
    }

    fn send_ping<O: Outbox>(&mut self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        let Some(liveness) = self.liveness.get_mut(&link) else { return };
        let token = liveness.next_ping(cx.now);
        let handled_bytes = cx.out.handled_bytes(link);
        let ping = Ping { token, handled_bytes, digest: own_digest(link, cx) };
        cx.announcements.on_ping_sent(link);
        send::send_extension(cx.topology, link, &Frame::Ping(ping), cx.out);
    }

    /// Replies to a PING with PONG.
    pub(super) fn on_ping<O: Outbox>(&mut self, link: LinkId, ping: Ping, cx: &mut RelayCx<'_, O>) {
        cx.out.acknowledge(link, ping.handled_bytes);
        self.check_digest(link, ping.digest, cx);
        let handled_bytes = cx.out.handled_bytes(link);
        let pong = Ping { handled_bytes, digest: own_digest(link, cx), ..ping };
        send::send_extension(cx.topology, link, &Frame::Pong(pong), cx.out);
    }

    /// Handles the answer to a PING.
    pub(super) fn on_pong<O: Outbox>(&mut self, link: LinkId, pong: Ping, cx: &mut RelayCx<'_, O>) {
        if let Some(liveness) = self.liveness.get_mut(&link) {
            liveness.on_pong(pong.token, cx.now);
        }
        cx.out.acknowledge(link, pong.handled_bytes);
        if cx.announcements.on_pong(link) {
            send_ping_behind_facts(link, cx);
        }
        self.check_digest(link, pong.digest, cx);
    }
}

/// Returns the digest of what has been announced on a link, unless announcements are pending.
fn own_digest<O: Outbox>(link: LinkId, cx: &RelayCx<'_, O>) -> Option<Digest> {
    cx.announcements.is_up_to_date(link).then(|| digest_announced(link, cx))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::HostId;
    use crate::limits::QUEUE_LOW_WATER_BYTES;
    use crate::relay::extension::Epoch;
    use crate::relay::message::HostKind::User;
    use crate::relay::recorder::{Bench, link_id};

    /// Lets server 2 send PING with a digest. Returns what is sent.
    fn ping(bench: &mut Bench, digest: Digest) -> Vec<String> {
        let ping = Ping { token: 1, handled_bytes: 0, digest: Some(digest) };
        bench.receive_extension(2, 2, &Frame::Ping(ping));
        bench.out.take()
    }

    #[test]
    fn digest_that_differs_twice_in_a_row_leads_to_a_request_for_all_facts() {
        let mut bench = Bench::new();
        bench.join_extended(2, 2);
        bench.out.take();
        let equal = Digest::of_server(HostId(2), Epoch { boot: 1, attach: 0 }, Digest::default());
        let (pong, request) = ("2: PONG from 1", "2: SYNC_REQUEST from 1");
        for digest in [Digest(7), equal, Digest(7)] {
            assert_eq!(ping(&mut bench, digest), [pong]);
        }
        assert_eq!(ping(&mut bench, Digest(7)), [request, pong]);
        assert_eq!(ping(&mut bench, Digest(7)), [pong], "the count starts again");
    }

    #[test]
    fn digest_is_left_out_while_announcements_are_pending() {
        let mut bench = Bench::new();
        bench.join_extended(2, 2);
        bench.out.unsent.insert(link_id(2), QUEUE_LOW_WATER_BYTES);
        bench.join(1, User, 101);
        ping(&mut bench, Digest(7));
        assert_eq!(bench.out.digest, None);
        bench.out.unsent.clear();
        bench.relay.has_room(bench.now, link_id(2), &mut bench.out);
        ping(&mut bench, Digest(7));
        assert!(bench.out.digest.is_some());
    }

    #[test]
    fn tokens_start_again_once_no_ping_is_unanswered() {
        let (mut liveness, now) = (Liveness::default(), Time::default());
        assert_eq!((liveness.next_ping(now), liveness.next_ping(now)), (1, 2));
        liveness.on_pong(1, now);
        assert_eq!(liveness.next_ping(now), 3, "2 is unanswered");
        liveness.on_pong(3, now);
        assert_eq!(liveness.next_ping(now), 1);
    }
}
