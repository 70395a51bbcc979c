//! Liveness of plain neighbours.
//!
//! Plain CRC has no frame that must be answered. Most servers answer a chat to id 0, which nobody
//! has, with `Unknown ID 0`; a neighbour that has done so once is asked whenever it is silent. Of
//! others, the end is noticed by TCP alone.

use super::Peering;
use crate::link::{CloseReason, LinkId, Time};
use crate::relay::announcements::pacing::Clock;
use crate::relay::cx::RelayCx;
use crate::relay::outbox::Outbox;
use crate::relay::timers::Timer;

impl Peering {
    /// Starts to watch the link to a plain neighbour.
    pub(super) fn start_plain_liveness<O: Outbox>(
        &mut self,
        link: LinkId,
        cx: &mut RelayCx<'_, O>,
    ) {
        self.set_plain_timer(link, cx.now + cx.limits.ping_interval, cx);
    }

    /// Stops to watch a link that has ended.
    pub(super) fn stop_plain_liveness<O: Outbox>(&mut self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        if let Some(at) = self.plain_timers.remove(&link) {
            cx.timers.remove(at, Timer::PlainLiveness(link));
        }
    }

    fn set_plain_timer<O: Outbox>(&mut self, link: LinkId, at: Time, cx: &mut RelayCx<'_, O>) {
        self.plain_timers.insert(link, at);
        cx.timers.insert(at, Timer::PlainLiveness(link));
    }

    /// Asks a silent neighbour whether it lives. Closes the link of one that used to answer and has
    /// been silent for [`ping_timeout`](crate::limits::Limits::ping_timeout).
    pub(in crate::relay) fn on_plain_liveness_due<O: Outbox>(
        &mut self,
        link: LinkId,
        cx: &mut RelayCx<'_, O>,
    ) {
        if self.plain_timers.remove(&link).is_none() {
            return;
        }
        let Some(answers) = cx.announcements.answers(link) else { return };
        let heard_at = cx.out.received_at(link);
        let silence = cx.now.since(heard_at);
        let (interval, timeout) = (cx.limits.ping_interval, cx.limits.ping_timeout);
        if answers.has_answered && answers.is_awaited && silence >= timeout {
            return cx.out.close(link, CloseReason::Silent { silence });
        }
        if silence < interval {
            return self.set_plain_timer(link, heard_at + interval, cx);
        }
        if answers.has_answered {
            let next = (cx.now + interval).min(heard_at + timeout).max(cx.now + interval / 10);
            self.set_plain_timer(link, next, cx);
        } else if answers.is_awaited {
            return; // continues when the answer arrives
        }
        let clock = Clock { now: cx.now, timers: cx.timers };
        cx.announcements.send_probe(cx.topology, link, &clock, cx.out);
    }

    /// Handles `Unknown ID` from a neighbour. Returns whether it answers this server's own chat to
    /// id 0.
    pub(in crate::relay) fn on_unknown_id<O: Outbox>(
        &mut self,
        link: LinkId,
        text: &[u8],
        cx: &mut RelayCx<'_, O>,
    ) -> bool {
        if names_other_id(text) {
            return false; // the user to whom this server has answered a command has left
        }
        let mut clock = Clock { now: cx.now, timers: cx.timers };
        let is_answer = cx.announcements.on_probe_answered(cx.topology, link, &mut clock, cx.out);
        if is_answer && !self.plain_timers.contains_key(&link) {
            self.start_plain_liveness(link, cx);
        }
        is_answer
    }
}

/// Returns whether the text of `Unknown ID` ends with another number than 0. Programs word the text
/// in other ways, too, so one without a number may be about id 0.
fn names_other_id(text: &[u8]) -> bool {
    let word = text.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    let id = std::str::from_utf8(word).ok().and_then(|word| word.parse::<u32>().ok());
    id.is_some_and(|id| id != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_about_another_id_does_not_answer_the_chat_to_id_0() {
        for text in ["Unknown ID 0", "Unknown ID", "unknown", "", "no such id: 0"] {
            assert!(!names_other_id(text.as_bytes()), "{text}");
        }
        assert!(names_other_id(b"Unknown ID 1002"));
        assert!(!names_other_id(b"\xff 1\xff"));
    }
}
