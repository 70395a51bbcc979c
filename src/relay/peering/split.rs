//! Splits: what the loss of a link to a server leads to.
//!
//! The hosts behind a lost link stay in the table for a grace, during which nothing is announced
//! and chats to them are deferred. At a limit, links that bring more are not read. A host that is
//! registered again within the grace, over any link, continues as if nothing had happened. When the
//! grace is over, the users that are still lost leave with the quit text `split`, the servers are
//! removed, and the senders of deferred chats get `Unknown ID`.

use super::Peering;
use super::handshake::{Handshake, Offer};
use super::splits::Loss;
use crate::id::HostId;
use crate::limits::{
    QUEUE_LOW_WATER_BYTES, SPLIT_BATCH_INTERVAL, SPLIT_BATCH_QUITS_MAX, SPLIT_QUIT_QUEUE_BYTES,
    SPLIT_QUIT_TEXT,
};
use crate::link::{LinkId, Time};
use crate::relay::cx::RelayCx;
use crate::relay::message::HostKind;
use crate::relay::outbox::Outbox;
use crate::relay::timers::Timer;
use crate::relay::topology::{FirstLink, List, SplitId};

impl Peering {
    /// Starts the split of the hosts behind `neighbour`, to which the link was lost.
    pub(super) fn begin_split<O: Outbox>(
        &mut self,
        neighbour: HostId,
        hosts: List,
        cx: &mut RelayCx<'_, O>,
    ) {
        let loss = Loss { lost_at: cx.now, servers: None, hosts: hosts.len() };
        if let Some(split) = cx.topology.begin_split(neighbour, hosts) {
            self.start_grace(split, loss, cx);
        }
    }

    /// Starts the grace of the servers that were lost with an extended link.
    pub(super) fn begin_grace<O: Outbox>(&mut self, split: SplitId, cx: &mut RelayCx<'_, O>) {
        let servers = Some(cx.topology.lost_servers(split).len());
        let loss = Loss { lost_at: cx.now, servers, hosts: cx.topology.lost_count(split) };
        self.start_grace(split, loss, cx);
    }

    fn start_grace<O: Outbox>(&mut self, split: SplitId, loss: Loss, cx: &mut RelayCx<'_, O>) {
        let grace = cx.limits.split_grace;
        log::warn!(
            "split: server {} is lost, with {loss} in all; the users leave in {grace:?} unless \
             they are back",
            cx.topology.lost_neighbour(split)
        );
        self.keep_until(split, cx.now + grace, Some(loss), cx);
    }

    /// Logs that a split has healed, if all that was lost is back.
    pub(super) fn report_if_healed<O: Outbox>(&mut self, split: SplitId, cx: &RelayCx<'_, O>) {
        if cx.topology.is_split_over(split)
            && let Some(loss) = self.splits.take_loss(split)
        {
            log::info!(
                "split healed: server {} is back after {:.3} s, with {loss} in all; nobody left",
                cx.topology.lost_neighbour(split),
                cx.now.since(loss.lost_at).as_secs_f64()
            );
        }
    }

    /// Logs that a server has joined which was not back within the grace of its split.
    pub(super) fn report_return<O: Outbox>(&mut self, id: HostId, cx: &RelayCx<'_, O>) {
        if let Some(loss) = self.splits.take_gone(id) {
            log::info!(
                "split healed: server {id} is back after {:.3} s; it was lost with {loss} in all",
                cx.now.since(loss.lost_at).as_secs_f64()
            );
        }
    }

    /// Logs what leaves because it is not back within the grace.
    fn report_end<O: Outbox>(&mut self, split: SplitId, cx: &RelayCx<'_, O>) {
        let server = cx.topology.lost_neighbour(split);
        let loss = self.splits.take_loss(split);
        let servers = cx.topology.lost_servers(split).len();
        let is_counted = loss.is_none_or(|loss| loss.servers.is_some());
        let leaving = Loss {
            lost_at: loss.map_or(cx.now, |loss| loss.lost_at),
            servers: is_counted.then_some(servers),
            hosts: cx.topology.lost_count(split),
        };
        if loss.is_some() {
            let away = cx.now.since(leaving.lost_at).as_secs_f64();
            log::warn!(
                "split over: server {server} is not back after {away:.3} s; {leaving} leave"
            );
        } else if servers > 0 {
            log::warn!("split elsewhere: server {server} is out of reach; {leaving} leave");
        } else {
            log::info!("server {server} came back without {leaving}, which leave");
            return;
        }
        self.splits.set_gone(server, leaving);
    }

    /// Keeps the hosts of a split until a time; without one, they begin to leave at once.
    pub(super) fn begin_ending_split<O: Outbox>(
        &mut self,
        split: SplitId,
        until: Option<Time>,
        cx: &mut RelayCx<'_, O>,
    ) {
        self.keep_until(split, until.unwrap_or(cx.now), None, cx);
    }

    fn keep_until<O: Outbox>(
        &mut self,
        split: SplitId,
        until: Time,
        loss: Option<Loss>,
        cx: &mut RelayCx<'_, O>,
    ) {
        self.splits.insert(split, until, loss);
        if until <= cx.now {
            self.on_split_due(split, cx);
        } else {
            cx.timers.insert(until, Timer::Split(split));
        }
    }

    /// Removes the next batch of lost hosts after the grace, in the order in which they joined.
    ///
    /// Batches are so small and so far apart that no turn gets long and that the queue of a link
    /// that is read does not overflow.
    pub(in crate::relay) fn on_split_due<O: Outbox>(
        &mut self,
        split: SplitId,
        cx: &mut RelayCx<'_, O>,
    ) {
        if self.splits.begin_ending(split) && !cx.topology.is_split_over(split) {
            self.report_end(split, cx);
            for id in cx.topology.lost_servers(split) {
                self.replay.on_withdrawn(id, cx.topology);
                super::send_facts::announce_down(id, cx);
            }
            self.release_held(cx);
        }
        if !self.must_wait_for_room(split, cx) {
            let lost: Vec<_> = cx.topology.lost_ids(split).take(batch_hosts(cx)).collect();
            for id in lost {
                let host = cx.topology.hosts().get(id);
                let first_link = host.map(|host| cx.topology.first_link(host));
                if first_link != Some(FirstLink::Split(split)) {
                    continue; // a server before it in the batch has opened a route to its home
                }
                let is_server = cx.topology.server_key(id).is_some();
                self.remove_host(id, SPLIT_QUIT_TEXT, cx);
                if is_server {
                    let changes = cx.topology.routes_mut().forget(id);
                    self.apply_changes(changes, None, id, cx);
                }
            }
        }
        if cx.topology.lost_count(split) == 0 {
            let neighbour = cx.topology.lost_neighbour(split);
            cx.topology.end_split(split);
            self.splits.remove(split);
            self.end_waits(neighbour, cx);
        } else {
            cx.timers.insert(cx.now + SPLIT_BATCH_INTERVAL, Timer::Split(split));
        }
    }

    /// Returns whether the next batch waits for a link whose queue has no room for the quits.
    fn must_wait_for_room<O: Outbox>(&mut self, split: SplitId, cx: &RelayCx<'_, O>) -> bool {
        let room_bytes = QUEUE_LOW_WATER_BYTES.min(cx.limits.client_queue_bytes_max / 2);
        let links = cx.announcements.presence_links();
        let full_links = links.filter(|&link| cx.out.unsent_bytes(link) > room_bytes);
        self.splits.must_wait(split, full_links, cx.now)
    }

    /// Ends the grace of the hosts that were lost behind a plain neighbour, which speaks the
    /// extension now: they have other homes than this server, and are announced by those. Returns
    /// whether some of them still have to leave, before which the neighbour must not attach.
    pub(super) fn end_plain_splits<O: Outbox>(
        &mut self,
        neighbour: HostId,
        cx: &mut RelayCx<'_, O>,
    ) -> bool {
        for split in cx.topology.plain_splits(neighbour) {
            if let Some(until) = self.splits.grace_until(split) {
                cx.timers.remove(until, Timer::Split(split));
                self.on_split_due(split, cx);
            }
        }
        !cx.topology.plain_splits(neighbour).is_empty()
    }

    /// Continues the handshakes that wait until the hosts behind a plain neighbour have left.
    fn end_waits<O: Outbox>(&mut self, neighbour: HostId, cx: &mut RelayCx<'_, O>) {
        let waits = |handshake: &Handshake| matches!(handshake, Handshake::Waiting { introduction, .. } if introduction.id == neighbour);
        let waiting = self.handshakes.iter().filter(|(_, handshake)| waits(handshake));
        for link in waiting.map(|(&link, _)| link).collect::<Vec<_>>() {
            let handshake = self.handshakes.remove(&link);
            let Some(Handshake::Waiting { introduction, hello }) = handshake else { continue };
            match self.is_uplink(link) {
                true => self.commit(link, &Offer::new(introduction, hello), cx),
                false => self.offer(link, introduction, hello, cx),
            }
        }
    }

    /// Informs the senders of the chats that were deferred for a host that leaves.
    pub(super) fn reject_deferred<O: Outbox>(
        &mut self,
        split: SplitId,
        id: HostId,
        cx: &mut RelayCx<'_, O>,
    ) {
        let messages = self.splits.take_deferred(split, id);
        for message in &messages {
            match message.destination == id {
                true => self.reject(message, cx),
                false => self.splits.count_dropped(), // its sender leaves
            }
        }
        if !messages.is_empty() {
            self.release_held(cx);
        }
    }

    /// Continues a lost host that was registered again, unchanged, over `link`.
    pub(super) fn rejoin<O: Outbox>(&mut self, id: HostId, link: LinkId, cx: &mut RelayCx<'_, O>) {
        let host = cx.topology.hosts().get(id).expect("the host that rejoins");
        let FirstLink::Split(split) = cx.topology.first_link(host) else {
            unreachable!("only lost hosts rejoin")
        };
        // From now on the route to the host leads over the link, so its registration there is void.
        let state = cx.topology.link(link);
        let is_void =
            host.kind == HostKind::User && cx.announcements.is_announced(cx.topology, state, host);
        cx.announce_return(id, link);
        if is_void {
            cx.send_quit(link, id, SPLIT_QUIT_TEXT);
        }
        cx.topology.rejoin(id, link);
        self.send_deferred(split, id, cx);
        self.report_if_healed(split, cx);
    }
}

/// Returns the number of hosts that may leave at a time.
fn batch_hosts<O: Outbox>(cx: &RelayCx<'_, O>) -> usize {
    let quits = SPLIT_BATCH_QUITS_MAX / cx.announcements.presence_links().len().max(1);
    let room = cx.limits.client_queue_bytes_max / SPLIT_QUIT_QUEUE_BYTES;
    quits.min(room).clamp(1, cx.limits.split_batch_hosts_max)
}
