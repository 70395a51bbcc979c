//! Announcements to programs that may read once: quits, statuses, messages of rooms, mail and
//! returned hosts that wait, and the next portion.

use super::cursor::Cursor;
use super::pacing::{Clock, PacedFrame};
use super::{Announcements, is_visible};
use crate::id::HostId;
use crate::link::{LinkId, Time};
use crate::relay::message::Message;
use crate::relay::outbox::Outbox;
use crate::relay::plain;
use crate::relay::send::send_quit;
use crate::relay::topology::{Host, Topology};

impl Announcements {
    /// Sends the quit of a user over a link, in a later portion if it does not fit into this one.
    pub(in crate::relay) fn send_quit(
        &mut self,
        topology: &Topology,
        link: LinkId,
        (id, text): (HostId, &[u8]),
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) {
        let text = match self.is_guarded(link) {
            true => plain::quit_text(text),
            false => text.into(),
        };
        self.send_frame(topology, link, PacedFrame::Quit { id, text }, clock, out);
    }

    /// Sends a frame over a link, in a later portion if it does not fit into this one.
    pub(in crate::relay) fn send_frame(
        &mut self,
        topology: &Topology,
        link: LinkId,
        frame: PacedFrame<'_>,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) {
        if let Some(pace) = &mut self.cursor_mut(link).pace
            && !pace.admit_next(&frame, out.unsent_bytes(link), clock.now)
        {
            if pace.push_frame(frame) {
                pace.set_timer(link, clock);
            } else {
                self.flush_frames(topology, link, clock.now, out);
            }
            return;
        }
        self.send_frame_now(topology, link, &frame, clock.now, out);
    }

    /// Sends a frame over a link, without regard to the portion.
    pub(super) fn send_frame_now(
        &mut self,
        topology: &Topology,
        link: LinkId,
        frame: &PacedFrame<'_>,
        now: Time,
        out: &mut impl Outbox,
    ) {
        match *frame {
            PacedFrame::Quit { id, ref text } => {
                if let Some(neighbour) = self.cursor_mut(link).plain_mut() {
                    neighbour.record_quit(id, now);
                }
                send_quit(topology, link, id, text, out);
            }
            PacedFrame::Status { source, destination, code, ref text } => {
                out.deliver(link, &Message::Status { source, destination, code, text });
            }
            PacedFrame::Chat { source, destination, ref text } => {
                out.deliver(link, &Message::Chat { source, destination, text });
            }
        }
    }

    /// Returns whether frames to a link wait for a later portion.
    pub(in crate::relay) fn has_paced_frames(&self, link: LinkId) -> bool {
        self.cursors.occupied(link.index as usize).is_some_and(Cursor::has_frames)
    }

    /// Continues with pending announcements on a link whose send queue has room.
    pub(in crate::relay) fn on_room(
        &mut self,
        topology: &Topology,
        link: LinkId,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) {
        if !self.is_behind(link) {
            return;
        }
        match self.cursor(link).pace {
            None => self.catch_up(topology, link, clock, out),
            Some(_) if out.unsent_bytes(link) == 0 => {
                self.on_portion_sent(topology, link, clock, out);
            }
            Some(_) => {} // the next portion waits for an empty queue
        }
    }

    /// Sends the next portion of frames that wait and of registrations, if the queue of the link is
    /// empty.
    pub(in crate::relay) fn on_pace_due(
        &mut self,
        topology: &Topology,
        link: LinkId,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) {
        let Some(pace) = &mut self.cursor_mut(link).pace else { return };
        pace.on_timer();
        if out.unsent_bytes(link) > 0 {
            return; // continues in `on_room`
        }
        self.begin_portion(link);
        while let Some(pace) = &mut self.cursor_mut(link).pace
            && let Some(frame) = pace.pop_frame(out.unsent_bytes(link), clock.now)
        {
            self.send_frame_now(topology, link, &frame, clock.now, out);
        }
        let Some(pace) = &mut self.cursor_mut(link).pace else { return };
        if pace.has_frames() {
            pace.set_timer(link, clock);
        } else if self.send_returned(topology, link, clock, out) {
            self.catch_up(topology, link, clock, out);
        }
    }

    /// Announces a lost host that rejoins over `link` to the other servers that joined since the
    /// loss: it is not in their bursts. To be called before the topology records the return.
    pub(in crate::relay) fn announce_return(
        &mut self,
        topology: &Topology,
        host: &Host,
        link: LinkId,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) {
        for i in 0..self.servers.len() {
            let server = self.servers[i];
            let is_covered = self.is_pending(topology, server, host)
                || is_visible(topology, topology.link(server), host);
            if server == link || is_covered {
                continue;
            }
            let cursor = self.cursor_mut(server);
            if cursor.next_returned().is_none()
                && cursor.admit_registration(host, out.unsent_bytes(server), clock.now)
            {
                self.send_registration(topology, server, host, clock.now, out);
            } else if let Some(pace) = &mut cursor.pace {
                pace.push_returned(host);
                pace.set_timer(server, clock);
            }
        }
    }

    /// Sends the registrations of hosts that rejoined, as far as the current portion has room.
    /// Returns whether none waits any more.
    fn send_returned(
        &mut self,
        topology: &Topology,
        link: LinkId,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) -> bool {
        while let Some(id) = self.cursor(link).next_returned() {
            let host = topology.hosts().get(id).expect("a host that has not left");
            // A host that moved behind the link itself is not announced there.
            let is_visible = is_visible(topology, topology.link(link), host);
            let cursor = self.cursor_mut(link);
            if is_visible && !cursor.admit_registration(host, out.unsent_bytes(link), clock.now) {
                cursor.set_pace_timer(link, clock);
                return false;
            }
            cursor.remove_returned(host);
            if is_visible {
                self.send_registration(topology, link, host, clock.now, out);
            }
        }
        true
    }

    /// Ends the portions of a link whose other end reads cut frames: what waits is sent at full
    /// speed. Returns whether the link had portions.
    pub(in crate::relay) fn on_reads_cut_frames(
        &mut self,
        topology: &Topology,
        link: LinkId,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) -> bool {
        self.flush_frames(topology, link, clock.now, out);
        let Some(mut pace) = self.cursor_mut(link).pace.take() else { return false };
        pace.cancel_timer(link, clock.timers);
        let returned = pace.returned().filter_map(|(_, id)| topology.hosts().get(id));
        for host in returned.filter(|host| is_visible(topology, topology.link(link), host)) {
            self.send_registration(topology, link, host, clock.now, out);
        }
        self.catch_up(topology, link, clock, out);
        true
    }

    /// Sends all frames that wait for a portion.
    fn flush_frames(
        &mut self,
        topology: &Topology,
        link: LinkId,
        now: Time,
        out: &mut impl Outbox,
    ) {
        let pace = &mut self.cursor_mut(link).pace;
        let frames = pace.as_mut().map(|pace| pace.take_frames()).unwrap_or_default();
        for frame in frames {
            self.send_frame_now(topology, link, &frame, now, out);
        }
    }
}
