//! Announcements to programs that may read once: quits that wait, and the next portion.

use super::Announcements;
use super::pacing::{Clock, Pace};
use crate::id::HostId;
use crate::link::LinkId;
use crate::relay::outbox::Outbox;
use crate::relay::send::send_quit;
use crate::relay::topology::Topology;

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
        if let Some(pace) = &mut self.cursor_mut(link).pace
            && !pace.admit_quit(text, out.unsent_bytes(link), clock.now)
        {
            if pace.push_quit(id, text) {
                pace.set_timer(link, clock);
            } else {
                flush_quits(pace, topology, link, out);
            }
            return;
        }
        send_quit(topology, link, id, text, out);
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
        match &mut self.cursor_mut(link).pace {
            None => self.catch_up(topology, link, clock, out),
            Some(pace) if out.unsent_bytes(link) == 0 => pace.on_queue_empty(link, clock),
            Some(_) => {} // the next portion waits for an empty queue
        }
    }

    /// Sends the next portion of quits and registrations, if the queue of the link is empty.
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
        while let Some(quit) = pace.pop_quit(out.unsent_bytes(link), clock.now) {
            send_quit(topology, link, quit.id, &quit.text, out);
        }
        if pace.has_quits() {
            pace.set_timer(link, clock);
        } else {
            self.catch_up(topology, link, clock, out);
        }
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
        let Some(mut pace) = self.cursor_mut(link).pace.take() else { return false };
        pace.cancel_timer(link, clock.timers);
        flush_quits(&mut pace, topology, link, out);
        self.catch_up(topology, link, clock, out);
        true
    }
}

/// Sends all quits that wait for a portion.
fn flush_quits(pace: &mut Pace, topology: &Topology, link: LinkId, out: &mut impl Outbox) {
    for quit in pace.take_quits() {
        send_quit(topology, link, quit.id, &quit.text, out);
    }
}
