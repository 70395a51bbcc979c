//! Links to servers that resume: what the other end has not acknowledged is kept, and what this end
//! has handled is counted. See "Replay" in `docs/PROTOCOL.md`.
//!
//! Positions count the bytes of a connection's stream from its start.

use super::link::{Handled, Link};
use super::links::Links;
use crate::limits::{KEPT_BYTES_SLACK_DIVISOR, Limits};
use crate::link::LinkId;
use crate::relay::Unacknowledged;

impl Link {
    /// Gives up the oldest bytes that were sent, if those and the unsent ones exceed the maximum
    /// of the queue together: they are not sent again if the link is lost.
    pub(super) fn limit_kept(&mut self, limits: &Limits) {
        let queue_bytes_max = self.queue_bytes_max(limits);
        let (kept, unsent_bytes) = (self.queue.kept(), self.queue.len());
        if kept.len() + unsent_bytes <= queue_bytes_max {
            return;
        }
        let slack_bytes = queue_bytes_max / KEPT_BYTES_SLACK_DIVISOR;
        let excess_bytes = kept.len() + unsent_bytes + slack_bytes - queue_bytes_max;
        let mut released_bytes = 0;
        while released_bytes < excess_bytes
            && let Ok(Some(len)) = self.session.frame_len(&kept[released_bytes..], limits)
            && released_bytes + len <= kept.len()
        {
            released_bytes += len;
        }
        self.queue.release(released_bytes);
    }

    /// Returns the position in the stream from which the bytes are sent again if the link is lost.
    pub(super) fn kept_from(&self) -> u64 {
        self.traffic.bytes_out - (self.queue.kept().len() + self.queue.len()) as u64
    }
}

impl Links {
    /// Starts to keep what is sent over a link and to count what is handled.
    pub(super) fn make_resumable(&mut self, id: LinkId) {
        let now = self.now;
        if let Some(link) = self.get_mut(id) {
            link.queue.keep_sent();
            link.arrivals_mut(now).handled = Some(Handled::default());
        }
    }

    /// Returns how many bytes of whole frames have been handled on a link that resumes.
    pub(super) fn handled_on(&self, id: LinkId) -> u64 {
        let arrivals = self.get(id).and_then(|link| link.arrivals.as_ref());
        arrivals.and_then(|arrivals| arrivals.handled).map_or(0, |handled| handled.bytes)
    }

    /// Releases what was kept of a link up to a position. A position behind what was sent is none
    /// that the other end can have handled, and is ignored: it may lie within a frame.
    pub(super) fn release_kept(&mut self, id: LinkId, handled_bytes: u64) {
        let Some(link) = self.get_mut(id) else { return };
        if handled_bytes > link.bytes_sent() {
            return;
        }
        let count = handled_bytes.saturating_sub(link.kept_from());
        link.queue.release(usize::try_from(count).unwrap_or(usize::MAX));
        let kept_from = link.kept_from();
        self.spool.on_released(id, kept_from);
    }

    /// Calls `each` with the messages that the other end of a link has not acknowledged, and
    /// removes them. Mail that the spool sends again is left out.
    pub(super) fn take_unacknowledged_of(
        &mut self,
        id: LinkId,
        each: &mut dyn FnMut(Unacknowledged<'_>),
    ) {
        let Self { table, spool, limits, .. } = self;
        let Some(link) = table.get_mut(id).filter(|link| link.is_resumable()) else { return };
        let taken = link.queue.take_unacknowledged();
        let late = link.late_output.take().map(|queue| queue.unsent().to_vec()).unwrap_or_default();
        let start = link.traffic.bytes_out - taken.bytes.len() as u64;
        let bytes = [taken.bytes, late].concat();
        let (mut rest, mut end) = (&bytes[..], 0);
        while let Ok(Some(len)) = link.session.frame_len(rest, limits)
            && let Some((frame, behind)) = rest.split_at_checked(len)
            && let Some(message) = link.session.parse_message(frame)
        {
            let was_sent = end < taken.sent_bytes;
            (rest, end) = (behind, end + len);
            let end_position = start + end as u64;
            if !spool.is_in_flight(id, end_position) {
                each(Unacknowledged { message, end_position, was_sent });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::HostId;
    use crate::limits::ACK_INTERVAL_BYTES;
    use crate::link::{Origin, SeededRng};
    use crate::mail::{Inventory, Spool};
    use crate::relay::Outbox as _;
    use crate::relay::message::Message;
    use crate::wires::Wire;

    #[test]
    fn oldest_kept_frames_are_given_up_beyond_the_bound() {
        let limits = Limits { client_queue_bytes_max: 1000, ..Limits::default() };
        let spool = Spool::new(&limits, &Inventory::default());
        let mut links = Links::new(limits, spool, SeededRng::new(1));
        let id = links.open(Wire::CRC, &Origin::default());
        links.make_resumable(id);
        let chat = Message::Chat { source: HostId(1), destination: HostId(2), text: &[b'x'; 87] };
        for _ in 0..20 {
            links.deliver(id, &chat);
            let limits = links.limits;
            let link = links.get_mut(id).expect("the link");
            link.queue.consume(100);
            link.limit_kept(&limits);
            let kept_bytes = link.queue.kept().len();
            assert!(kept_bytes <= 1000 && kept_bytes.is_multiple_of(100), "{kept_bytes} bytes");
        }
        assert!(links.get(id).expect("the link").queue.kept().len() >= 800);
    }

    #[test]
    fn bytes_are_acknowledged_before_the_other_end_has_to_give_some_up() {
        let interval_of = |server_queue_bytes_max| {
            let limits = Limits { server_queue_bytes_max, ..Limits::default() };
            let spool = Spool::new(&limits, &Inventory::default());
            let mut links = Links::new(limits, spool, SeededRng::new(1));
            let id = links.open(Wire::CRC, &Origin::default());
            links.make_resumable(id);
            let limits = links.limits;
            let link = links.get_mut(id).expect("the link");
            let mut acknowledged = (0..4 * ACK_INTERVAL_BYTES).filter(|_| {
                link.traffic.bytes_in += 1;
                link.on_decoded(0, &limits)
            });
            let (first, second) = (acknowledged.next(), acknowledged.next());
            second.zip(first).map(|(second, first)| second - first)
        };
        assert_eq!(interval_of(Limits::default().server_queue_bytes_max), Some(ACK_INTERVAL_BYTES));
        assert_eq!(interval_of(64 * 1024), Some(16 * 1024));
    }

    #[test]
    fn acknowledgement_of_more_than_was_sent_releases_nothing() {
        let limits = Limits::default();
        let spool = Spool::new(&limits, &Inventory::default());
        let mut links = Links::new(limits, spool, SeededRng::new(1));
        let id = links.open(Wire::CRC, &Origin::default());
        links.make_resumable(id);
        let chat = Message::Chat { source: HostId(1), destination: HostId(2), text: b"half" };
        links.deliver(id, &chat);
        links.get_mut(id).expect("the link").queue.consume(5);
        links.release_kept(id, u64::MAX);
        assert_eq!(links.get(id).expect("the link").queue.kept().len(), 5);
        let mut texts = Vec::new();
        links.take_unacknowledged_of(id, &mut |it| texts.push(format!("{:?}", it.message)));
        assert_eq!(texts, [format!("{chat:?}")]);
    }
}
