//! The timers of links: those of their sessions, and the deadlines of frames that have begun.

use super::links::Links;
use crate::link::{LinkId, Time};

impl Links {
    /// Moves a link's timer forward, if `timer` is given.
    pub(super) fn set_timer(&mut self, id: LinkId, timer: Option<Time>) {
        if let Some(timer_at) = timer
            && let Some(link) = self.table.get_mut(id)
        {
            if let Some(previous) = link.timer.replace(timer_at) {
                self.timers.remove(&(previous, id));
            }
            self.timers.insert((timer_at, id));
        }
    }

    /// Returns the next link whose timer is due.
    pub(super) fn pop_due_timer(&mut self) -> Option<LinkId> {
        let &(at, id) = self.timers.first().filter(|&&(at, _)| at <= self.now)?;
        self.timers.remove(&(at, id));
        if let Some(link) = self.get_mut(id) {
            link.timer = None;
        }
        Some(id)
    }

    /// Records that a link's input ends with so many bytes of an incomplete frame. `is_same_frame`
    /// says whether it was incomplete before.
    #[cold]
    pub(super) fn on_partial_frame(&mut self, id: LinkId, bytes: usize, is_same_frame: bool) {
        self.table.count_buffers(id);
        match bytes {
            0 => self.frame_deadlines.clear(id),
            _ => {
                let deadline = self.now + self.limits.connections.frame_deadline;
                self.frame_deadlines.set(id, deadline, is_same_frame);
            }
        }
    }
}
