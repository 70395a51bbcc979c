//! A server moves to another parent, and no message is lost, sent twice or out of order.
//!
//! The new parent is dialled while the old one stays. Once it has sent OFFER, the server that moves
//! ends the old link in its direction: TRACE to the new parent, then END. When TRACE is answered,
//! all that was sent before has passed the new parent, and the link is committed. The old parent
//! still sends what arrives for the servers behind the link, until its own routes lead elsewhere,
//! and then END. Until that has been received, nothing of the new link is handled. See "Moving to
//! another parent" in `docs/PROTOCOL.md`.

use super::Peering;
use super::handshake::Offer;
use super::join::refuse_offer;
use super::trace::Purpose;
use crate::id::HostId;
use crate::limits::MOVE_TIMEOUT;
use crate::link::{CloseReason, LinkId, Time};
use crate::relay::cx::RelayCx;
use crate::relay::extension::Frame;
use crate::relay::outbox::Outbox;
use crate::relay::send;
use crate::relay::timers::{Timer, Timers};

/// Why a server moves to another parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The parent has sent MOVE.
    ParentStops,
    /// This server has no parent, and a neighbour has sent MOVE.
    LacksParent,
    /// The parent is a fallback, and this one comes before it in the list.
    EarlierParent(usize),
}

impl Reason {
    /// Returns the index of the new parent in the list.
    fn parent(self) -> Option<usize> {
        match self {
            Self::ParentStops | Self::LacksParent => None,
            Self::EarlierParent(parent) => Some(parent),
        }
    }
}

/// The change of this server to another parent.
#[derive(Clone, Debug)]
pub(super) struct Move {
    new_link: LinkId,
    reason: Reason,
    began_at: Time,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    /// An earlier parent is asked for OFFER, without a registration, once it is connected.
    Asking { is_sent: bool },
    /// The new parent has not sent OFFER yet.
    Dialling,
    /// END has been sent on the old link. COMMIT waits for both answers of the old parent, at most
    /// until a time.
    Ending { old: LinkId, offer: Box<Offer>, answers: Answers, until: Time },
    /// The new link is committed. The old parent sends END before a time.
    Draining { old: LinkId, until: Time },
}

/// What the old parent has answered since this server sent END.
#[derive(Clone, Copy, Debug)]
struct Answers {
    /// Position of the stream behind END.
    end_position: u64,
    is_acknowledged: bool,
    is_traced: bool,
}

impl Move {
    /// Returns the link to the old parent, once it has been sent END.
    fn old_link(&self) -> Option<LinkId> {
        match self.phase {
            Phase::Asking { .. } | Phase::Dialling => None,
            Phase::Ending { old, .. } | Phase::Draining { old, .. } => Some(old),
        }
    }

    /// Returns when the move is carried on without the old parent.
    fn until(&self) -> Option<Time> {
        match self.phase {
            Phase::Asking { .. } | Phase::Dialling => None,
            Phase::Ending { until, .. } | Phase::Draining { until, .. } => Some(until),
        }
    }
}

impl Peering {
    /// Returns whether a link leads to the parent to which this server is about to move.
    pub(super) fn is_moving_to(&self, link: LinkId) -> bool {
        let moving = self.moving.as_ref().filter(|moving| moving.new_link == link);
        moving.is_some_and(|moving| !matches!(moving.phase, Phase::Draining { .. }))
    }

    /// Returns the index of the parent that a link dials, if the list has it.
    pub(super) fn dialled_parent(&self, link: LinkId) -> Option<usize> {
        if self.uplink.has_link(link) {
            return self.uplink.parent();
        }
        let moving = self.moving.as_ref().filter(|moving| moving.new_link == link)?;
        moving.reason.parent()
    }

    /// Returns whether an earlier parent is asked for OFFER.
    pub(super) fn is_any_asked(&self) -> bool {
        let phase = self.moving.as_ref().map(|moving| &moving.phase);
        matches!(phase, Some(Phase::Asking { .. }))
    }

    /// Returns whether a link leads to an earlier parent that is asked for OFFER.
    pub(super) fn is_asking(&self, link: LinkId) -> bool {
        self.asked_parent(link).is_some()
    }

    /// Returns the index of the earlier parent that is asked for OFFER over a link.
    pub(super) fn asked_parent(&self, link: LinkId) -> Option<usize> {
        let moving = self.moving.as_ref().filter(|moving| moving.new_link == link)?;
        moving.reason.parent().filter(|_| matches!(moving.phase, Phase::Asking { .. }))
    }

    /// Records that the earlier parent is connected, and is asked.
    pub(super) fn on_asked(&mut self, link: LinkId) {
        if let Some(moving) = self.moving.as_mut().filter(|moving| moving.new_link == link) {
            moving.phase = Phase::Asking { is_sent: true };
        }
    }

    /// Records that the earlier parent that was asked is sent this server's registration.
    pub(super) fn begin_dialling(&mut self, link: LinkId) {
        if let Some(moving) = self.moving.as_mut().filter(|moving| moving.new_link == link) {
            moving.phase = Phase::Dialling;
        }
    }

    /// Returns whether nothing that arrives over a link is handled until the old parent has ended
    /// its link: what it sends comes first.
    #[inline]
    pub(in crate::relay) fn must_wait_for_end(&self, link: LinkId) -> bool {
        let moving = self.moving.as_ref().filter(|moving| moving.new_link == link);
        moving.is_some_and(|moving| matches!(moving.phase, Phase::Draining { .. }))
    }

    /// Dials another parent, to leave the present one for it.
    pub(super) fn begin_move<O: Outbox>(
        &mut self,
        reason: Reason,
        cx: &mut RelayCx<'_, O>,
        dial: impl FnOnce(&mut O) -> LinkId,
    ) {
        if let Some(moving) = &self.moving {
            if moving.reason == reason || moving.old_link().is_some() {
                return;
            }
            self.give_up_move(CloseReason::MoveFailed, cx);
        }
        let new_link = dial(cx.out);
        cx.add_link(new_link, true);
        let phase = match reason {
            Reason::ParentStops | Reason::LacksParent => Phase::Dialling,
            Reason::EarlierParent(_) => Phase::Asking { is_sent: false },
        };
        self.moving = Some(Move { new_link, reason, began_at: cx.now, phase });
    }

    /// Ends the link to the old parent in this direction, since the new parent has sent OFFER.
    pub(super) fn leave_parent<O: Outbox>(
        &mut self,
        link: LinkId,
        offer: Offer,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Some(moving) = self.moving.as_ref().filter(|it| matches!(it.phase, Phase::Dialling))
        else {
            return;
        };
        let (id, reason) = (offer.id(), moving.reason);
        let Some(old) = self.uplink.registered_link() else { return };
        let routes = cx.topology.routes();
        let is_behind_old = routes.route(id) == Some(old);
        if cx.topology.is_reachable(id) && !is_behind_old {
            refuse_offer(link, id, cx);
            return cx.out.close(link, CloseReason::RoutingLoop(id));
        }
        if let Reason::EarlierParent(parent) = reason
            && !cx.topology.is_reachable(id)
            && self.uplink.joins_elsewhere(parent)
        {
            return self.join_other_part(link, parent, &offer, cx);
        }
        let is_known = routes.fact(id).is_some_and(|fact| fact.nonce == offer.hello.nonce.0);
        let until = cx.now + MOVE_TIMEOUT;
        let mut answers = Answers { end_position: 0, is_acknowledged: false, is_traced: false };
        if is_behind_old && is_known {
            log::debug!("link {link}: server {id} is to be the parent; link {old} ends");
            // The trace follows all that was sent, so its answer shows that that has passed.
            let _ = self.start_trace(id, Purpose::Move, cx);
            send::send_extension(cx.topology, old, &Frame::End, cx.out);
            answers.end_position = cx.out.end_output(old);
        } else {
            match reason {
                Reason::ParentStops => cx.out.close(old, CloseReason::Moved(id)),
                Reason::LacksParent | Reason::EarlierParent(_) => {
                    return cx.out.close(link, CloseReason::StaysAttached);
                }
            }
        }
        let offer = Box::new(offer);
        self.set_phase(Phase::Ending { old, offer, answers, until }, cx);
        if answers.end_position > 0 {
            self.end_routes(old, cx);
        }
    }

    /// Joins an earlier parent in another part of the network. The link to the present one stays
    /// and connects both parts, unless the server there has no parent either, and moves.
    fn join_other_part<O: Outbox>(
        &mut self,
        link: LinkId,
        parent: usize,
        offer: &Offer,
        cx: &mut RelayCx<'_, O>,
    ) {
        let present = self.uplink.registered_link();
        log::info!("link {link}: joining server {} in another part of the network", offer.id());
        self.take_move(cx);
        self.uplink.on_dial(link, Some(parent));
        self.commit(link, offer, cx);
        if let Some(present) = present {
            self.name_parent(present, cx);
        }
    }

    fn set_phase<O: Outbox>(&mut self, phase: Phase, cx: &mut RelayCx<'_, O>) {
        let Some(moving) = &mut self.moving else { return };
        if let Some(until) = moving.until() {
            cx.timers.remove(until, Timer::Move);
        }
        moving.phase = phase;
        if let Some(until) = moving.until() {
            cx.timers.insert(until, Timer::Move);
        }
    }

    fn take_move<O: Outbox>(&mut self, cx: &mut RelayCx<'_, O>) -> Option<Move> {
        let moving = self.moving.take()?;
        if let Some(until) = moving.until() {
            cx.timers.remove(until, Timer::Move);
        }
        Some(moving)
    }

    /// Gives up to move: the new link is closed.
    pub(super) fn give_up_move<O: Outbox>(&mut self, reason: CloseReason, cx: &mut RelayCx<'_, O>) {
        if let Some(moving) = self.take_move(cx)
            && !self.uplink.has_link(moving.new_link)
        {
            cx.out.close(moving.new_link, reason);
        }
    }

    /// Handles that the neighbour has handled all that was sent on a link up to a position.
    pub(super) fn on_end_acknowledged<O: Outbox>(
        &mut self,
        link: LinkId,
        handled_bytes: u64,
        cx: &mut RelayCx<'_, O>,
    ) {
        if let Some(Move { phase: Phase::Ending { old, answers, .. }, .. }) = &mut self.moving
            && *old == link
            && answers.end_position > 0
            && answers.end_position <= handled_bytes
        {
            answers.is_acknowledged = true;
            self.commit_if_answered(cx);
        }
    }

    /// Handles that the trace to the new parent is answered.
    pub(super) fn on_move_traced<O: Outbox>(&mut self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        if let Some(Move { phase: Phase::Ending { old, answers, .. }, .. }) = &mut self.moving
            && *old == link
        {
            answers.is_traced = true;
            self.commit_if_answered(cx);
        }
    }

    fn commit_if_answered<O: Outbox>(&mut self, cx: &mut RelayCx<'_, O>) {
        let Some(Move {
            new_link, reason, phase: Phase::Ending { old, offer, answers, .. }, ..
        }) = &self.moving
        else {
            return;
        };
        if answers.is_acknowledged && answers.is_traced {
            let (link, old, offer) = (*new_link, *old, offer.clone());
            self.uplink.set_parent(reason.parent());
            self.set_phase(Phase::Draining { old, until: cx.now + MOVE_TIMEOUT }, cx);
            self.commit(link, &offer, cx);
        }
    }

    /// Handles that the old parent has not answered in time.
    pub(in crate::relay) fn on_move_due<O: Outbox>(&mut self, cx: &mut RelayCx<'_, O>) {
        let Some(moving) = &self.moving else { return };
        if let Some(old) = moving.old_link() {
            let id = cx.topology.link(old).host_id().unwrap_or(HostId::NONE);
            log::warn!("link {old}: server {id} has not answered END within {MOVE_TIMEOUT:?}");
            cx.out.close(old, CloseReason::TimedOut);
        }
    }

    /// Handles END: of a neighbour that attaches elsewhere, or the answer of the old parent.
    pub(super) fn on_end<O: Outbox>(&mut self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        if let Some(moving) = self.moving.as_ref().filter(|moving| moving.old_link() == Some(link))
        {
            let id = cx.topology.link(moving.new_link).host_id().unwrap_or(HostId::NONE);
            return cx.out.close(link, CloseReason::Moved(id));
        }
        self.begin_end(link, cx);
    }

    /// Continues a move after the end of a link that takes part in it. Returns whether this server
    /// has another uplink than that link, or dials one.
    pub(super) fn continue_move<O: Outbox>(
        &mut self,
        link: LinkId,
        reason: &CloseReason,
        cx: &mut RelayCx<'_, O>,
    ) -> bool {
        let Some(moving) = &self.moving else { return false };
        if let (Phase::Asking { is_sent: true }, CloseReason::RegisterDeadline) =
            (&moving.phase, reason)
            && moving.new_link == link
            && let Some(parent) = moving.reason.parent()
        {
            self.uplink.set_id(parent, HostId::NONE); // a plain server, which does not answer
        }
        let is_uplink = self.uplink.has_link(link);
        if moving.new_link != link && moving.old_link() != Some(link) && !is_uplink {
            return false;
        }
        let Some(Move { new_link, reason, began_at, phase }) = self.take_move(cx) else {
            return false;
        };
        match phase {
            Phase::Asking { .. } | Phase::Dialling if new_link == link => {
                if let (Reason::ParentStops, Some(old)) = (reason, self.uplink.registered_link()) {
                    cx.out.close(old, CloseReason::MoveFailed);
                }
                false
            }
            Phase::Ending { old, .. } | Phase::Draining { old, .. } if new_link == link => {
                cx.out.close(old, CloseReason::MoveFailed);
                false
            }
            Phase::Asking { .. } => {
                cx.out.close(new_link, CloseReason::MoveFailed);
                false
            }
            Phase::Dialling => {
                self.uplink.on_dial(new_link, reason.parent());
                true
            }
            Phase::Ending { offer, .. } => {
                self.uplink.on_dial(new_link, reason.parent());
                self.commit(new_link, &offer, cx);
                true
            }
            Phase::Draining { .. } => {
                let id = cx.topology.link(new_link).host_id().unwrap_or(HostId::NONE);
                let seconds = cx.now.since(began_at).as_secs_f64();
                log::info!("link {new_link}: moved to server {id} in {seconds:.3} s");
                cx.out.release(new_link);
                true
            }
        }
    }

    /// Checks that a move and the links that end have their timers. Returns the number of timers.
    pub(super) fn check_handovers(&self, timers: &Timers) -> usize {
        // A deadline that has passed closes the old link, which ends soon.
        let due = timers.times_of(Timer::Move);
        let until = self.moving.as_ref().and_then(Move::until);
        assert!(due.is_empty() || due == Vec::from_iter(until), "the timer of a move");
        due.len() + self.check_ending(timers)
    }
}

#[cfg(test)]
mod tests;
