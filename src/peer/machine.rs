//! [`Machine`] for [`Peer`]: the events of links, and timers.

use std::convert::Infallible;
use std::time::Duration;

use super::links::{State, TimerAction};
use super::wire::{self, Body, Empty};
use super::{Action, Peer};
use crate::limits::SHUTDOWN_DRAIN_TIMEOUT;
use crate::link::{CloseReason, DirectWrite, LifeCycle, LinkId, ListenerId, Machine, Origin, Time};

impl Machine for Peer {
    type StoreRequest = Infallible;

    const TARGET_KIND: &'static str = "peer";

    fn wants_wall_clock(&self, _: Time) -> bool {
        true
    }

    fn set_wall_clock(&mut self, now: Time, unix_time: Duration) {
        self.wall_clock = (now, unix_time);
    }

    fn accepted(&mut self, now: Time, _: ListenerId, origin: &Origin) -> LinkId {
        self.links.open(now, State::AwaitingHello, None, origin.address)
    }

    fn dialled(&mut self, now: Time, id: LinkId, origin: &Origin) {
        if let Some(link) = self.links.get_mut(id)
            && link.state == State::Dialling
        {
            link.state = State::AwaitingGrant;
            link.peer_addr = origin.address;
            self.send_hello(id);
            self.run_pending(now);
        }
    }

    fn is_open(&self, id: LinkId) -> bool {
        self.links.get(id).is_some_and(|link| link.state != State::Closing)
    }

    fn receive_with_direct_write(
        &mut self,
        now: Time,
        id: LinkId,
        bytes: &[u8],
        _: DirectWrite<'_>,
    ) {
        let Some(link) = self.links.get_mut(id).filter(|link| link.state != State::Closing) else {
            return;
        };
        let mut decoder = std::mem::take(&mut link.decoder);
        let mut has_frames = false;
        let result = decoder.decode(bytes, wire::frame_len, |frame| {
            has_frames = true;
            self.handle_frame(now, id, frame);
            self.is_open(id)
        });
        let link = self.links.get_mut(id).expect("links are removed in `closed` alone");
        link.decoder = decoder;
        link.on_received(now, has_frames);
        if let Err(error) = result {
            self.close(now, id, CloseReason::ProtocolError(error.to_string()));
        }
        self.run_pending(now);
    }

    fn closed(&mut self, now: Time, id: LinkId, reason: &CloseReason) {
        if self.is_open(id) {
            log::info!("link {id} closed: {reason}");
            self.mark_closing(now, id);
        }
        self.links.table.remove(id);
        self.run_pending(now);
    }

    fn advance(&mut self, now: Time) {
        while let Some(target) = self.targets.next_due(now) {
            let link = self.links.open(now, State::Dialling, Some(target), None);
            self.targets.mark_dialling(target, link);
            self.actions.push_back(Action::Dial { target, link });
        }
        if self.grant_deadline.is_some_and(|at| at <= now) {
            self.self_assign_id(now);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.retry_pending_grants(now);
        }
        while let Some((id, timer)) = self.links.next_due(now) {
            match timer {
                TimerAction::Ping => self.links.send(id, Body::Ping(Empty {})),
                TimerAction::Close(reason) => self.close(now, id, reason),
            }
        }
        self.advance_messages(now);
        self.topology.advance(now);
        self.run_pending(now);
        if self.life_cycle.stop_if_due(now) {
            self.actions.push_back(Action::Shutdown);
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        let deadlines = [
            self.targets.deadline(),
            self.grant_deadline,
            self.retry_at,
            self.links.deadline(),
            self.retained.deadline(),
            self.inbox.deadline(),
            self.topology.deadline(),
            self.life_cycle.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        let is_drained = || self.links.iter().all(|link| link.queue.is_empty());
        if action.is_none() && self.life_cycle.is_draining() && is_drained() {
            self.life_cycle = LifeCycle::Stopped;
            return Some(Action::Shutdown);
        }
        action
    }

    fn poll_unsent(&mut self) -> Option<LinkId> {
        self.links.table.poll_unsent()
    }

    fn poll_above_high_water(&mut self) -> Option<LinkId> {
        self.links.table.poll_above_high_water()
    }

    fn unsent(&self, id: LinkId) -> &[u8] {
        self.links.table.unsent(id)
    }

    fn sent(&mut self, id: LinkId, count: usize) {
        self.links.table.mark_sent(id, count);
    }

    fn stop(&mut self, now: Time) {
        if !self.is_stopping() {
            self.targets.disable_all();
            self.life_cycle = LifeCycle::Draining { deadline: now + SHUTDOWN_DRAIN_TIMEOUT };
        }
    }

    fn is_stopping(&self) -> bool {
        self.life_cycle.is_stopping()
    }
}
