//! [`Pace`]: limits the announcements to a program that may read once and lose a frame that is cut.
//!
//! Programs written for the course read at most 1,024 bytes at a time and take what they got for
//! whole frames. On a link that has not shown that it reads cut frames, announcements are sent in
//! portions of whole frames of at most [`PACED_PORTION_BYTES_MAX`] together. A portion ends when
//! the send queue has been empty for [`PACED_PORTION_INTERVAL`]; announcements that do not fit wait
//! for the next one. A frame that is longer than a portion is sent alone.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::id::HostId;
use crate::limits::{PACED_FRAMES_BYTES_MAX, PACED_PORTION_BYTES_MAX, PACED_PORTION_INTERVAL};
use crate::link::{LinkId, Time};
use crate::relay::message::StatusCode;
use crate::relay::plain;
use crate::relay::timers::{Timer, Timers};
use crate::relay::topology::Host;

/// The time of an event, and the timers that it may set.
pub(in crate::relay) struct Clock<'a> {
    pub(in crate::relay) now: Time,
    pub(in crate::relay) timers: &'a mut Timers,
}

/// A frame that waits for a later portion if it does not fit into the current one.
#[derive(Clone, Debug)]
pub(in crate::relay) enum PacedFrame<'a> {
    /// The quit of a user.
    Quit { id: HostId, text: Cow<'a, [u8]> },
    /// A status to a server.
    Status { source: HostId, destination: HostId, code: StatusCode, text: Cow<'a, [u8]> },
    /// A message to a room, from the id under which it is shown to one of its members, or a piece
    /// of mail.
    Chat { source: HostId, destination: HostId, text: Cow<'a, [u8]> },
}

impl PacedFrame<'_> {
    /// Returns the length of the frame.
    fn bytes(&self) -> usize {
        match self {
            Self::Quit { text, .. } => 9 + text.len(),
            Self::Status { text, .. } => plain::status_bytes(text),
            Self::Chat { text, .. } => plain::chat_bytes(text),
        }
    }

    fn is_quit_of(&self, host: HostId) -> bool {
        matches!(self, Self::Quit { id, .. } if *id == host)
    }

    fn into_owned(self) -> PacedFrame<'static> {
        let owned = |text: Cow<'_, [u8]>| Cow::Owned(text.into_owned());
        match self {
            Self::Quit { id, text } => PacedFrame::Quit { id, text: owned(text) },
            Self::Status { source, destination, code, text } => {
                PacedFrame::Status { source, destination, code, text: owned(text) }
            }
            Self::Chat { source, destination, text } => {
                PacedFrame::Chat { source, destination, text: owned(text) }
            }
        }
    }
}

/// The state of the portions on one link.
#[derive(Clone, Debug, Default)]
pub(in crate::relay) struct Pace {
    /// Bytes of announcements in the current portion.
    portion_bytes: usize,
    /// Bytes that a portion leaves for what ends it.
    reserved_bytes: u8,
    /// Time at which the current portion ends, if the send queue is empty then.
    ends_at: Time,
    /// Frames of the current portion may still be in the send queue.
    is_in_queue: bool,
    /// Time of the timer for the next portion, if one is set.
    timer_at: Option<Time>,
    /// Frames that wait, in order. They precede all pending registrations, because a pending
    /// registration may be that of a new host with the id of one that has quit.
    frames: VecDeque<PacedFrame<'static>>,
    frames_bytes: usize,
    /// Hosts that rejoined after a split and whose registrations wait, in the order of joining, by
    /// join sequence; not empty. The cursor has passed them while they were lost.
    #[expect(clippy::box_collection, reason = "every idle link has this, and hardly any uses it")]
    returned: Option<Box<BTreeSet<(u64, HostId)>>>,
}

/// Returns the length of a registration frame.
pub(in crate::relay) fn registration_bytes(name: &[u8], info: &[u8]) -> usize {
    12 + name.len() + info.len()
}

impl Pace {
    /// Creates the state of a link whose portions leave `reserved_bytes` free.
    pub(in crate::relay) fn new(reserved_bytes: u8) -> Self {
        Self { reserved_bytes, ..Self::default() }
    }

    /// Returns whether a frame of `frame_bytes` may be sent now, and counts it if so.
    pub(in crate::relay) fn admit(
        &mut self,
        frame_bytes: usize,
        unsent_bytes: usize,
        now: Time,
    ) -> bool {
        self.end_if_over(unsent_bytes, now);
        let together = self.portion_bytes.max(unsent_bytes);
        let portion_bytes_max = PACED_PORTION_BYTES_MAX - usize::from(self.reserved_bytes);
        let fits = together == 0 || together + frame_bytes <= portion_bytes_max;
        if fits {
            self.add(frame_bytes, now);
        }
        fits
    }

    /// Counts a frame that is sent without regard to the portion.
    pub(in crate::relay) fn count(&mut self, frame_bytes: usize, unsent_bytes: usize, now: Time) {
        self.end_if_over(unsent_bytes, now);
        self.add(frame_bytes, now);
    }

    /// Begins a new portion if the interval of the current one is over and the queue is empty.
    fn end_if_over(&mut self, unsent_bytes: usize, now: Time) {
        if now >= self.ends_at && unsent_bytes == 0 {
            self.portion_bytes = 0;
        }
    }

    fn add(&mut self, frame_bytes: usize, now: Time) {
        self.portion_bytes += frame_bytes;
        self.ends_at = self.ends_at.max(now + PACED_PORTION_INTERVAL);
        self.is_in_queue = true;
    }

    /// Returns whether a frame that may wait is sent now, and counts it if so. It does not overtake
    /// another.
    pub(in crate::relay) fn admit_next(
        &mut self,
        frame: &PacedFrame<'_>,
        unsent_bytes: usize,
        now: Time,
    ) -> bool {
        self.frames.is_empty() && self.admit(frame.bytes(), unsent_bytes, now)
    }

    /// Keeps a frame for a later portion. Returns false if more than [`PACED_FRAMES_BYTES_MAX`]
    /// wait.
    pub(in crate::relay) fn push_frame(&mut self, frame: PacedFrame<'_>) -> bool {
        self.frames_bytes += frame.bytes();
        self.frames.push_back(frame.into_owned());
        self.frames_bytes <= PACED_FRAMES_BYTES_MAX
    }

    /// Removes and returns the next frame, if it fits into the current portion.
    pub(in crate::relay) fn pop_frame(
        &mut self,
        unsent_bytes: usize,
        now: Time,
    ) -> Option<PacedFrame<'static>> {
        let frame_bytes = self.frames.front()?.bytes();
        if !self.admit(frame_bytes, unsent_bytes, now) {
            return None;
        }
        self.frames_bytes -= frame_bytes;
        self.frames.pop_front()
    }

    /// Removes and returns the quit of a host, if it waits.
    pub(in crate::relay) fn take_quit(&mut self, id: HostId) -> Option<PacedFrame<'static>> {
        let index = self.frames.iter().position(|frame| frame.is_quit_of(id))?;
        let quit = self.frames.remove(index)?;
        self.frames_bytes -= quit.bytes();
        Some(quit)
    }

    /// Removes and returns all frames that wait.
    pub(in crate::relay) fn take_frames(&mut self) -> VecDeque<PacedFrame<'static>> {
        self.frames_bytes = 0;
        std::mem::take(&mut self.frames)
    }

    /// Returns whether frames wait.
    pub(in crate::relay) fn has_frames(&self) -> bool {
        !self.frames.is_empty()
    }

    /// Makes the registration of a host that rejoined wait for a later portion.
    pub(in crate::relay) fn push_returned(&mut self, host: &Host) {
        self.returned.get_or_insert_default().insert((host.join_seq(), host.id));
    }

    /// Returns the next host that rejoined and whose registration waits.
    pub(in crate::relay) fn next_returned(&self) -> Option<HostId> {
        self.returned.as_ref()?.first().map(|&(_, id)| id)
    }

    /// Returns whether the registration of a host that rejoined waits.
    pub(in crate::relay) fn is_returned(&self, host: &Host) -> bool {
        let returned = self.returned.as_ref();
        returned.is_some_and(|returned| returned.contains(&(host.join_seq(), host.id)))
    }

    /// Forgets that the registration of a host waits. Returns whether it did.
    pub(in crate::relay) fn remove_returned(&mut self, host: &Host) -> bool {
        let Some(returned) = &mut self.returned else { return false };
        let was_waiting = returned.remove(&(host.join_seq(), host.id));
        if returned.is_empty() {
            self.returned = None;
        }
        was_waiting
    }

    /// Iterates over the hosts that rejoined and whose registrations wait.
    pub(in crate::relay) fn returned(&self) -> impl Iterator<Item = (u64, HostId)> {
        self.returned.iter().flat_map(|returned| returned.iter().copied())
    }

    /// Sets the timer for the next portion of `link`.
    pub(in crate::relay) fn set_timer(&mut self, link: LinkId, clock: &mut Clock<'_>) {
        let at = self.ends_at.max(clock.now);
        if self.timer_at != Some(at) {
            self.cancel_timer(link, clock.timers);
            clock.timers.insert(at, Timer::Pace(link));
            self.timer_at = Some(at);
        }
    }

    /// Cancels the timer for the next portion.
    pub(in crate::relay) fn cancel_timer(&mut self, link: LinkId, timers: &mut Timers) {
        if let Some(at) = self.timer_at.take() {
            timers.remove(at, Timer::Pace(link));
        }
    }

    /// Handles that the send queue has been emptied while announcements wait.
    pub(in crate::relay) fn on_queue_empty(
        &mut self,
        link: LinkId,
        pause: Duration,
        clock: &mut Clock<'_>,
    ) {
        // Chats that follow the portion do not put off the next one.
        if std::mem::take(&mut self.is_in_queue) {
            self.ends_at = clock.now + pause;
        }
        self.set_timer(link, clock);
    }

    /// Returns whether a frame may still be sent with the current portion. The queue is empty.
    pub(in crate::relay) fn has_room_for(&mut self, frame_bytes: usize, now: Time) -> bool {
        self.end_if_over(0, now);
        self.portion_bytes + frame_bytes <= PACED_PORTION_BYTES_MAX
    }

    /// Ends the current portion, which has been read.
    pub(in crate::relay) fn end_portion(&mut self, link: LinkId, clock: &mut Clock<'_>) {
        self.ends_at = clock.now;
        self.cancel_timer(link, clock.timers);
    }

    /// Handles the timer.
    pub(in crate::relay) fn on_timer(&mut self) {
        self.timer_at = None;
    }

    /// Returns the time of the timer, for checks.
    pub(in crate::relay) fn timer_at(&self) -> Option<Time> {
        self.timer_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portion_holds_frames_of_under_1024_bytes_and_ends_after_the_interval() {
        let (mut pace, start) = (Pace::default(), Time::default());
        assert!(pace.admit(1000, 0, start));
        assert!(!pace.admit(24, 0, start));
        assert!(pace.admit(23, 0, start));
        assert!(!pace.admit(1, 0, start));
        let next = start + PACED_PORTION_INTERVAL;
        assert!(!pace.admit(1, 1023, next), "the queue is not empty");
        assert!(pace.admit(2000, 0, next), "a long frame is sent alone");
        assert!(!pace.admit(1, 0, next));
    }

    #[test]
    fn frames_of_an_earlier_portion_do_not_count() {
        let (mut pace, start) = (Pace::default(), Time::default());
        pace.count(1000, 0, start);
        let next = start + PACED_PORTION_INTERVAL;
        pace.count(100, 0, next);
        assert!(pace.admit(923, 0, next) && !pace.admit(1, 0, next));
        assert!(!pace.has_room_for(1, next));
        assert!(pace.has_room_for(1, next + PACED_PORTION_INTERVAL));
    }

    #[test]
    fn quits_and_statuses_wait_in_order_up_to_their_limit() {
        let (mut pace, now) = (Pace::default(), Time::default());
        let quit = |id| PacedFrame::Quit { id: HostId(id), text: Cow::Borrowed(b"a") };
        let status = |text| PacedFrame::Status {
            source: HostId(1),
            destination: HostId(2),
            code: StatusCode::ID_TAKEN,
            text: Cow::Borrowed(text),
        };
        assert!(pace.admit_next(&quit(6), 0, now));
        assert!(pace.push_frame(quit(7)));
        assert!(!pace.admit_next(&status(b""), 0, now), "a frame does not overtake another");
        assert!(pace.push_frame(status(b"taken")) && pace.push_frame(quit(8)));
        assert!(pace.take_quit(HostId(8)).is_some_and(|frame| frame.is_quit_of(HostId(8))));
        assert!(pace.pop_frame(0, now).is_some_and(|frame| frame.is_quit_of(HostId(7))));
        assert!(matches!(pace.pop_frame(0, now), Some(PacedFrame::Status { .. })));
        assert!(!pace.has_frames() && pace.frames_bytes == 0);
        assert!(!pace.push_frame(status(&[b'x'; PACED_FRAMES_BYTES_MAX])));
    }
}
