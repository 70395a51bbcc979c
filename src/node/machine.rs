//! [`Machine`] for [`Node`]: the events of links and time.

use std::time::Duration;

use super::link::{Link, Wait};
use super::{Action, Broadcast, Node};
use crate::limits::{
    QUEUE_LOW_WATER_BYTES, READ_BYTES_PER_TURN, SHUTDOWN_DRAIN_TIMEOUT, WALL_CLOCK_INTERVAL,
};
use crate::link::{CloseReason, DirectWrite, LifeCycle, LinkId, ListenerId, Machine, Origin, Time};
use crate::mail::StoreRequest;
use crate::relay::Outbox as _;
use crate::wires::Effects;

impl Machine for Node {
    type StoreRequest = StoreRequest;

    const TARGET_KIND: &'static str = "parent";

    fn wants_wall_clock(&self, now: Time) -> bool {
        self.links.wall_clock.is_none_or(|(at, _)| now.since(at) >= WALL_CLOCK_INTERVAL)
    }

    fn set_wall_clock(&mut self, now: Time, unix_time: Duration) {
        self.links.wall_clock = Some((now, unix_time));
    }

    fn accepted(&mut self, now: Time, listener: ListenerId, origin: &Origin) -> LinkId {
        let wire = self.listeners[listener.0];
        self.open_link_from(now, wire, origin)
    }

    fn dialled(&mut self, now: Time, id: LinkId, origin: &Origin) {
        self.links.begin_event(now);
        if let Some(link) = self.links.live_mut(id) {
            link.origin = *origin;
            self.relay.dialled(id, &mut self.links);
            self.run_pending(now);
        }
    }

    fn identified(&mut self, now: Time, id: LinkId, origin: &Origin) {
        self.links.begin_event(now);
        self.links.identify(id, origin);
        self.run_pending(now);
    }

    fn make_room(&mut self, now: Time) -> bool {
        self.links.begin_event(now);
        let has_any = self.links.close_some_unregistered();
        self.run_pending(now);
        has_any
    }

    fn is_open(&self, id: LinkId) -> bool {
        self.links.get(id).is_some_and(|link| !link.is_closing)
    }

    fn read_budget(&self, id: LinkId) -> usize {
        self.links.get(id).map_or(READ_BYTES_PER_TURN, Link::read_budget)
    }

    fn receive_with_direct_write(
        &mut self,
        now: Time,
        id: LinkId,
        bytes: &[u8],
        direct_write: DirectWrite<'_>,
    ) {
        self.links.begin_event(now);
        let Some(link) = self.links.live_mut(id) else {
            return;
        };
        link.traffic.bytes_in += bytes.len() as u64;
        if let Some(arrivals) = &mut link.arrivals {
            arrivals.at = now;
        }
        match &mut link.deferred_input {
            Some(input) => {
                input.extend_from_slice(bytes);
                self.links.table.count_buffers(id);
                self.run_pending(now);
            }
            None => {
                self.decode_input(id, bytes, direct_write);
                self.settle_introduction(id);
                self.run_pending(now);
            }
        }
    }

    fn closed(&mut self, now: Time, id: LinkId, reason: &CloseReason) {
        self.links.begin_event(now);
        let Some(link) = self.links.get(id) else {
            return;
        };
        if !link.is_closing {
            self.log_close(id, reason);
        }
        self.relay.closed(now, id, reason, &mut self.links);
        self.links.remove(id);
        self.run_pending(now);
    }

    fn advance(&mut self, now: Time) {
        self.links.begin_event(now);
        for id in std::mem::take(&mut self.links.paused) {
            if let Some(link) = self.links.get_mut(id) {
                link.waits.remove(Wait::NextTurn);
                self.resume_input(id);
            }
        }
        while let Some(id) = self.links.frame_deadlines.pop_due(now) {
            self.links.close(id, CloseReason::FrameDeadline);
        }
        self.relay.advance(now, &mut self.links);
        self.links.spool.advance(now);
        while let Some(id) = self.links.pop_due_timer() {
            let mut effects = Effects::new();
            let called = self.links.with_session(id, &self.relay, |session, cx| {
                session.on_timer(cx, &mut effects);
            });
            if called.is_some() {
                self.apply_all(id, effects);
                self.resume_input(id);
            }
        }
        self.run_pending(now);
        if self.life_cycle.stop_if_due(now) {
            self.links.actions.push_back(Action::Shutdown);
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        let stop_at = self.life_cycle.deadline();
        let timer = self.links.timers.first().map(|&(at, _)| at);
        let resume_at = (!self.links.paused.is_empty()).then_some(self.links.now);
        let (relay, mail) =
            (self.relay.next_deadline(self.links.now), self.links.spool.next_deadline());
        let frame = self.links.frame_deadlines.first();
        let deadlines = [relay, mail, timer, resume_at, stop_at, frame].into_iter().flatten();
        deadlines.chain(self.broadcasts.iter().filter_map(Broadcast::deadline)).min()
    }

    fn poll_action(&mut self) -> Option<Action> {
        let action = self.links.actions.pop_front();
        let action = action.or_else(|| self.links.spool.poll_request().map(Action::Store));
        if action.is_none() && self.life_cycle.is_draining() && self.is_drained() {
            self.life_cycle = LifeCycle::Stopped;
            return Some(Action::Shutdown);
        }
        action
    }

    fn poll_unsent(&mut self) -> Option<LinkId> {
        if self.links.names.directory.take_changed() {
            self.send_pending_to_all();
        }
        while let Some(link) = self.links.names.nicks.next_watcher() {
            self.send_pending_to(link);
            self.links.names.nicks.take_events(link);
        }
        loop {
            if let Some(link) = self.links.table.poll_unsent() {
                return Some(link);
            }
            if !self.relay.announce_next(self.links.now, &mut self.links) {
                return None;
            }
            self.run_pending(self.links.now);
        }
    }

    fn poll_above_high_water(&mut self) -> Option<LinkId> {
        self.links.table.poll_above_high_water()
    }

    fn unsent(&self, id: LinkId) -> &[u8] {
        self.links.table.unsent(id)
    }

    fn sent(&mut self, id: LinkId, count: usize) {
        let Some(link) = self.links.table.mark_sent(id, count) else {
            return;
        };
        if link.is_resumable() {
            link.limit_kept(&self.links.limits);
        }
        if link.queue.len() >= QUEUE_LOW_WATER_BYTES || link.is_closing {
            return;
        }
        if link.ends_when_sent && link.queue.is_empty() {
            self.links.close(id, CloseReason::Answered);
            return self.run_pending(self.links.now);
        }
        let (bytes_sent, kept_from) = (link.bytes_sent(), link.kept_from());
        let bytes_out = link.traffic.bytes_out;
        let is_behind = link.session.is_behind(&self.links.names);
        let is_delivering = self.links.spool.is_delivering();
        if !is_behind && !is_delivering && !self.relay.is_behind(id) && self.broadcasts.is_empty() {
            return; // nothing waits for room
        }
        self.relay.has_room(self.links.now, id, &mut self.links);
        if is_delivering {
            let paced_end = Some(bytes_out).filter(|_| !self.relay.has_paced_frames(id));
            self.links.spool.on_sent(id, bytes_sent, paced_end);
            self.links.spool.on_released(id, kept_from);
        }
        if is_behind {
            self.send_pending_to(id);
        }
        self.run_pending(self.links.now);
    }

    fn stop(&mut self, now: Time) {
        self.links.begin_event(now);
        if !self.is_stopping() {
            self.relay.stop(now, &mut self.links);
            for id in self.links.table.iter().map(|link| link.id).collect::<Vec<_>>() {
                self.links.write_last_words(id, &CloseReason::Shutdown);
            }
            self.life_cycle = LifeCycle::Draining { deadline: now + SHUTDOWN_DRAIN_TIMEOUT };
            self.run_pending(now);
        }
    }

    fn is_stopping(&self) -> bool {
        self.life_cycle.is_stopping()
    }
}
