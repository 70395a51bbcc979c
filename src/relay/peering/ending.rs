//! The other end of a move: a neighbour ends its link, to attach elsewhere.
//!
//! The link is used in the direction of the neighbour until no route leads over it any more, and is
//! then ended in that direction, too. See [`super::handover`].

use super::Peering;
use crate::id::HostId;
use crate::limits::MOVE_TIMEOUT;
use crate::link::{CloseReason, LinkId, Time};
use crate::relay::cx::RelayCx;
use crate::relay::extension::Frame;
use crate::relay::outbox::Outbox;
use crate::relay::send;
use crate::relay::timers::{Timer, Timers};

/// A link on which the neighbour has sent END.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    /// When the link is closed, if the neighbour has not done so.
    until: Time,
    /// Position of the stream behind the END of this server, if that was sent.
    end_position: Option<u64>,
}

impl Peering {
    /// Handles END of a neighbour that attaches elsewhere.
    pub(super) fn begin_end<O: Outbox>(&mut self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        if self.ending.contains_key(&link) {
            return;
        }
        let until = cx.now + cx.limits.split_grace.max(MOVE_TIMEOUT * 2);
        self.ending.insert(link, Ending { until, end_position: None });
        cx.timers.insert(until, Timer::End(link));
        cx.topology.routes_mut().begin_end(link);
        cx.out.acknowledge_input(link);
        self.end_unused_links(cx);
    }

    /// Sends END on the links that the neighbour has ended and over which no server is reached any
    /// more.
    pub(super) fn end_unused_links<O: Outbox>(&mut self, cx: &mut RelayCx<'_, O>) {
        let is_unused = |link: LinkId| cx.topology.routes().reached_over(link).next().is_none();
        let unanswered = self.ending.iter().filter(|(_, ending)| ending.end_position.is_none());
        let unused: Vec<LinkId> =
            unanswered.map(|(&link, _)| link).filter(|&link| is_unused(link)).collect();
        for link in unused {
            send::send_extension(cx.topology, link, &Frame::End, cx.out);
            let end_position = Some(cx.out.end_output(link));
            self.ending.entry(link).and_modify(|ending| ending.end_position = end_position);
            self.end_routes(link, cx);
        }
    }

    /// Closes a link that the neighbour has ended and not closed.
    pub(in crate::relay) fn on_end_due<O: Outbox>(
        &mut self,
        link: LinkId,
        cx: &mut RelayCx<'_, O>,
    ) {
        self.ending.remove(&link);
        cx.out.close(link, CloseReason::TimedOut);
    }

    /// Forgets that a neighbour has ended a link, which is closed. If both ends have sent END, the
    /// neighbour has handled everything.
    pub(super) fn forget_ending<O: Outbox>(
        &mut self,
        link: LinkId,
        reason: &CloseReason,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Some(ending) = self.ending.remove(&link) else { return };
        cx.timers.remove(ending.until, Timer::End(link));
        if let (Some(end_position), CloseReason::PeerClosed) = (ending.end_position, reason) {
            cx.out.acknowledge(link, end_position);
        }
    }

    /// Ends the routes over a link on which END was sent. Messages for the servers behind it wait.
    pub(super) fn end_routes<O: Outbox>(&mut self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        let changes = cx.topology.routes_mut().end(link);
        let lost = self.apply_each(changes, None, cx);
        let neighbour = cx.topology.link(link).host_id().unwrap_or(HostId::NONE);
        let own_id = cx.topology.own_id();
        if let Some(split) = cx.topology.split_servers((own_id, neighbour), lost) {
            let grace = cx.limits.split_grace.max(MOVE_TIMEOUT * 2);
            self.begin_ending_split(split, Some(cx.now + grace), cx);
        }
    }

    /// Checks that links which end have their timers. Returns the number of timers.
    pub(super) fn check_ending(&self, timers: &Timers) -> usize {
        for (&link, ending) in &self.ending {
            assert_eq!(timers.times_of(Timer::End(link)), [ending.until], "the end of {link}");
        }
        self.ending.len()
    }
}
