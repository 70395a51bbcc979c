//! Faults of links and processes: resets, silence, ends that nobody notices, and long pauses.
//!
//! Silence belongs to one direction of one connection. Bytes that arrive at a silent end are kept
//! until the silence ends, as TCP would send them again, or are lost for good, as when the machine
//! at the other end has vanished. New connections are not affected.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crc::limits::PING_TIMEOUT;
use crc::link::{CloseReason, Machine as _, Time};
use rand::RngExt as _;

use super::pipes::PIPE_BYTES_MAX;
use super::run::Event;
use super::{PipeEnd, World};

/// The directions of a link that are silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Nothing arrives at either end.
    Both,
    /// Nothing arrives at the parent.
    Up,
    /// Nothing arrives at the child.
    Down,
}

/// The events for ends at which nothing arrives, and for processes that do not run.
#[derive(Default)]
pub(super) struct Faults {
    silent: BTreeMap<PipeEnd, SilentEnd>,
    /// The events of servers that do not run at present.
    paused: BTreeMap<usize, Vec<Event>>,
    /// Groups of labels that cannot reach any other server, each until a time.
    partitions: Vec<(BTreeSet<String>, Time)>,
}

/// An end at which nothing arrives.
struct SilentEnd {
    /// Whether what is sent to it is lost for good.
    is_for_good: bool,
    /// Bytes that the sender's socket holds.
    bytes: usize,
    events: Vec<Event>,
}

impl Faults {
    /// Returns whether a server does not run at present.
    pub(super) fn is_paused(&self, server: usize) -> bool {
        self.paused.contains_key(&server)
    }

    /// Returns whether any server does not run at present.
    pub(super) fn has_paused(&self) -> bool {
        !self.paused.is_empty()
    }

    /// Returns whether nothing arrives at an end.
    pub(super) fn is_silent(&self, end: PipeEnd) -> bool {
        self.silent.contains_key(&end)
    }

    /// Takes an event that does not arrive at present. Returns any other.
    pub(super) fn hold(&mut self, event: Event) -> Option<Event> {
        if let Event::Bytes(end, _) | Event::Closed(end, _) = &event
            && let Some(silent) = self.silent.get_mut(end)
        {
            if let Event::Bytes(_, bytes) = &event {
                silent.bytes += bytes.len();
            }
            if !silent.is_for_good {
                silent.events.push(event);
            }
            return None;
        }
        match event.server().and_then(|server| self.paused.get_mut(&server)) {
            Some(held) => {
                held.push(event);
                None
            }
            None => Some(event),
        }
    }

    /// Returns how many bytes the socket of the sender takes for an end.
    pub(super) fn room_bytes(&self, to: PipeEnd) -> usize {
        if let Some(silent) = self.silent.get(&to) {
            return PIPE_BYTES_MAX.saturating_sub(silent.bytes);
        }
        let Some(held) = to.server().and_then(|server| self.paused.get(&server)) else {
            return usize::MAX;
        };
        let bytes_of = |event: &Event| match event {
            Event::Bytes(end, bytes) if *end == to => bytes.len(),
            _ => 0,
        };
        PIPE_BYTES_MAX.saturating_sub(held.iter().map(bytes_of).sum())
    }

    /// Returns whether a dial from one label to another gets no answer.
    pub(super) fn is_dial_lost(&self, from: &str, to: &str, now: Time) -> bool {
        let separates = |(group, until): &(BTreeSet<String>, Time)| {
            *until > now && group.contains(from) != group.contains(to)
        };
        self.partitions.iter().any(separates)
    }

    /// Forgets a process that has ended.
    pub(super) fn forget_process(&mut self, server: usize) {
        self.paused.remove(&server);
    }

    fn silence(&mut self, end: PipeEnd, is_for_good: bool) {
        let silent = self.silent.entry(end).or_insert(SilentEnd {
            is_for_good,
            bytes: 0,
            events: Vec::new(),
        });
        silent.is_for_good |= is_for_good;
    }
}

impl World {
    /// Resets the link between a server and its parent. Both ends see it close, and what was in
    /// flight is lost from a random byte on. A silent link cannot be reset.
    pub fn reset_uplink(&mut self, server: usize) {
        let Some((end, other)) = self.uplink_ends(server) else { return };
        if self.faults.is_silent(end) || self.faults.is_silent(other) {
            return;
        }
        for end in [end, other] {
            self.net.pipes.remove(&end);
            self.cut_in_flight(end);
            let reason = CloseReason::Io("connection reset".to_owned());
            let at = self.net.next_arrival(end);
            self.net.schedule(at, Event::Closed(end, reason));
        }
    }

    /// Resets the link between a server and its parent, as [`World::reset_uplink`] does. The server
    /// sees it close now, and the parent after `notice_delay`.
    pub fn reset_uplink_half_open(&mut self, server: usize, notice_delay: Duration) {
        let Some((child, parent)) = self.uplink_ends(server) else { return };
        for (end, delay) in [(child, Duration::ZERO), (parent, notice_delay)] {
            self.net.pipes.remove(&end);
            self.cut_in_flight(end);
            let reason = CloseReason::Io("connection reset".to_owned());
            self.net.schedule(self.net.now + delay, Event::Closed(end, reason));
        }
    }

    /// Drops what is in flight to an end, from a random byte on; to a plain server, which may not
    /// survive a part of a frame, from a random write on.
    fn cut_in_flight(&mut self, end: PipeEnd) {
        let is_to_end = |event: &Event| matches!(event, Event::Bytes(to, _) if *to == end);
        let mut keys: Vec<_> = self.net.events_where(is_to_end).collect();
        let kept_count = self.net.rng.random_range(0..=keys.len());
        let lost = keys.split_off(kept_count);
        for (at, key) in lost.iter().enumerate() {
            let Some(Event::Bytes(_, mut bytes)) = self.net.remove(key) else { continue };
            if at == 0 && !matches!(end, PipeEnd::PlainServer { .. }) {
                bytes.truncate(self.net.rng.random_range(0..bytes.len()));
                self.net.insert(*key, Event::Bytes(end, bytes));
            }
        }
    }

    /// Makes the link between a server and its parent silent, for a time or for good.
    pub fn silence_uplink(&mut self, server: usize, silence: Silence, span: Option<Duration>) {
        let Some((child, parent)) = self.uplink_ends(server) else { return };
        let ends = match silence {
            Silence::Both => vec![child, parent],
            Silence::Up => vec![parent],
            Silence::Down => vec![child],
        };
        for end in ends {
            self.faults.silence(end, span.is_none());
            if let Some(span) = span {
                self.net.schedule(self.net.now + span, Event::Audible(end));
            }
        }
        self.start_keepalive(child, parent);
    }

    /// Makes dials to and from the server with a label get no answer for a time.
    pub fn make_unreachable(&mut self, label: String, span: Duration) {
        self.faults.partitions.push((BTreeSet::from([label]), self.net.now + span));
    }

    /// Separates the servers with these labels from all others for a time: nothing arrives over the
    /// links between them, and dials get no answer.
    pub fn partition(&mut self, labels: BTreeSet<String>, span: Duration) {
        let is_inside = |end: PipeEnd| Some(labels.contains(&self.servers[end.server()?].label));
        let separated: Vec<(PipeEnd, PipeEnd)> = self
            .sorted_pipes()
            .into_iter()
            .filter(|&(one, other)| is_inside(one) == Some(true) && is_inside(other) == Some(false))
            .collect();
        let until = self.net.now + span;
        for (one, other) in separated {
            for end in [one, other] {
                self.faults.silence(end, false);
                self.net.schedule(until, Event::Audible(end));
            }
            self.start_keepalive(one, other);
        }
        self.faults.partitions.push((labels, until));
    }

    /// Lets all dials be answered again.
    pub fn end_partitions(&mut self) {
        self.faults.partitions.clear();
    }

    /// Lets the kernels at both ends of a silent link notice it after the detection time, by their
    /// keepalive.
    fn start_keepalive(&mut self, one: PipeEnd, other: PipeEnd) {
        for end in [one, other] {
            self.net.schedule(self.net.now + PING_TIMEOUT, Event::Keepalive(end));
        }
    }

    /// Closes an end whose connection is still silent. An extended link has to notice by itself, as
    /// it does when the other process hangs.
    pub(super) fn on_keepalive(&mut self, end: PipeEnd) {
        if let PipeEnd::Server { server, link } = end
            && self.node(server).is_none_or(|node| node.relay().is_extended(link))
        {
            return;
        }
        let other = self.net.pipes.get(&end).copied();
        let is_silent =
            self.faults.is_silent(end) || other.is_some_and(|other| self.faults.is_silent(other));
        if !is_silent {
            return;
        }
        self.faults.silent.remove(&end);
        if let Some(other) = other {
            self.close_pipe(end, other); // which the other end notices unless it is silent
        }
        self.handle_event(Event::Closed(end, CloseReason::Io("keepalive".to_owned())));
    }

    /// Ends the silence at an end: all that was sent to it arrives.
    pub(super) fn end_silence(&mut self, end: PipeEnd) {
        let Some(silent) = self.faults.silent.remove(&end) else { return };
        if silent.is_for_good {
            self.faults.silent.insert(end, silent);
            return;
        }
        // At once, since bytes that are still in flight come after these.
        for event in silent.events {
            self.handle_event(event);
        }
        self.flush_towards(end);
    }

    /// Ends all silences that are not for good.
    pub fn end_silences(&mut self) {
        let ends: Vec<PipeEnd> = self.faults.silent.keys().copied().collect();
        for end in ends {
            self.end_silence(end);
        }
    }

    /// Ends a server without any sign to those who are connected to it, as when its machine
    /// vanishes.
    pub fn vanish(&mut self, server: usize) {
        let pipes: Vec<(PipeEnd, PipeEnd)> = self.sorted_pipes();
        for (end, other) in pipes {
            if end.server() == Some(server) {
                self.faults.silence(end, true);
                self.faults.silence(other, true);
                self.start_keepalive(end, other);
            }
        }
        self.end_process(server);
    }

    /// Stops a server's process for a time. What is sent to it waits in sockets of limited size.
    pub fn pause(&mut self, server: usize, span: Duration) {
        if self.servers[server].node.is_some() && !self.faults.is_paused(server) {
            self.faults.paused.insert(server, Vec::new());
            self.net.schedule(self.net.now + span, Event::Continued { server });
        }
    }

    /// Continues all processes that are paused.
    pub fn continue_all(&mut self) {
        let servers: Vec<usize> = self.faults.paused.keys().copied().collect();
        for server in servers {
            self.continue_process(server);
        }
    }

    /// Continues a process that was paused. It reads what has arrived before its timers run.
    pub(super) fn continue_process(&mut self, server: usize) {
        let Some(events) = self.faults.paused.remove(&server) else { return };
        self.servers[server].is_reading = true;
        for event in events {
            self.handle_arrived(event);
        }
        self.servers[server].is_reading = false;
        self.drive(server);
        for (end, _) in self.sorted_pipes() {
            if end.server() == Some(server) {
                self.flush_towards(end);
            }
        }
    }

    /// Lets the other end of a connection send what has waited for room.
    fn flush_towards(&mut self, end: PipeEnd) {
        if let Some(&PipeEnd::Server { server, link }) = self.net.pipes.get(&end)
            && self.servers[server].node.as_ref().is_some_and(|node| node.is_open(link))
            && !self.faults.is_paused(server)
        {
            self.flush_link(server, link);
            self.drive(server);
        }
    }

    fn uplink_ends(&self, server: usize) -> Option<(PipeEnd, PipeEnd)> {
        let end = self.uplink_end(server)?;
        Some((end, *self.net.pipes.get(&end)?))
    }

    /// Returns the pipes from each end, in order.
    pub(super) fn sorted_pipes(&self) -> Vec<(PipeEnd, PipeEnd)> {
        let mut pipes: Vec<(PipeEnd, PipeEnd)> =
            self.net.pipes.iter().map(|(&end, &other)| (end, other)).collect();
        pipes.sort();
        pipes
    }
}
