//! The poll loop of one program.
//!
//! A turn has five steps: wait, read (with a budget for each link), advance, write (likewise),
//! reap. Sockets are registered once, edge-triggered, for both directions. Readiness is a flag that
//! an event sets, and that a "would block" or a short read or write clears. While a flag is set,
//! the next wait does not sleep. Connections are closed in the last step only. An idle server makes
//! no system call.

mod accept;
mod actions;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mio::event::Event;
use mio::{Events, Token};
use signal_hook_mio::v1_0::Signals;

use super::connection::{ConnectionTable, ReadOutcome};
use super::dial::{DialTarget, Dialler};
use super::listen::Listener;
use super::poller::Poller;
use super::reserve::AcceptReserve;
use super::services::Services;
use super::setup::{
    LINK_TOKEN_BASE, LISTENER_TOKEN_BASE, LISTENERS_MAX, LoopSetup, SIGNALS, WAKER,
};
use crate::cidr::Cidr;
use crate::limits::{HANDSHAKES_PER_TURN, STREAM_READ_BYTES_PER_TURN};
use crate::link::{CloseReason, LinkId, ListenerId, Machine, Origin, Time};
use crate::operator::LoopStats;
use crate::tls::TlsConfigs;

/// The loop of one program.
pub(super) struct EventLoop<M: Machine, S> {
    pub(super) poller: Poller,
    machine: M,
    pub(super) services: S,
    /// When this turn began.
    now: Time,
    dialler: Dialler,
    signals: Signals,
    listeners: Vec<Listener>,
    /// The machine's ids of `listeners`, in the same order.
    listener_ids: Vec<ListenerId>,
    reserve: AcceptReserve,
    tls: TlsConfigs,
    /// Proxies that say whose connections they pass on.
    pub(super) trusted_proxies: Vec<Cidr>,
    connections: ConnectionTable,
    /// Links that may have bytes to read.
    readable: VecDeque<LinkId>,
    /// Links with unsent bytes whose sockets may take more.
    writable: VecDeque<LinkId>,
    /// Links to close at the end of this turn.
    closing: Vec<(LinkId, CloseReason)>,
    /// Scratch space for reads.
    buffer: Box<[u8]>,
    /// A second signal came: exit without draining.
    must_exit_now: bool,
    stats: LoopStats,
}

impl<M: Machine, S: Services<M>> EventLoop<M, S> {
    pub(super) fn new(
        setup: LoopSetup,
        machine: M,
        listener_ids: Vec<ListenerId>,
        services: S,
        targets: Vec<DialTarget>,
    ) -> Self {
        let LoopSetup { poll, listeners, signals, waker, tls } = setup;
        Self {
            poller: Poller::new(poll),
            machine,
            services,
            now: Time::default(),
            dialler: Dialler::new(M::TARGET_KIND, targets, tls.connect.clone(), waker),
            signals,
            listeners,
            listener_ids,
            reserve: AcceptReserve::new(),
            tls,
            trusted_proxies: Vec::new(),
            connections: ConnectionTable::default(),
            readable: VecDeque::new(),
            writable: VecDeque::new(),
            closing: Vec::new(),
            buffer: vec![0; STREAM_READ_BYTES_PER_TURN].into_boxed_slice(),
            must_exit_now: false,
            stats: LoopStats::default(),
        }
    }

    /// Returns the scheme and the bound address of each listener.
    pub(super) fn listen_addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.listeners.iter().map(|listener| (listener.scheme(), listener.address()))
    }

    /// Runs until the machine shuts down, or a second signal comes.
    ///
    /// # Errors
    /// If waiting for events fails.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        self.advance();
        loop {
            if self.write_and_reap() || self.must_exit_now {
                if self.must_exit_now {
                    self.services.abort();
                }
                return Ok(());
            }
            if self.services.wants_stats() {
                let end = self.poller.now();
                self.stats.count_turn(end.since(self.now));
            }
            let timeout = self.wait_timeout();
            self.poller.wait(&mut events, timeout)?;
            self.now = self.poller.now();
            for event in &events {
                self.on_event(event);
            }
            self.read();
            self.advance();
        }
    }

    /// Returns the timeout of the next wait: zero while there is work, `None` without a deadline.
    fn wait_timeout(&self) -> Option<Duration> {
        let now = self.now;
        let is_busy = !self.readable.is_empty()
            || !self.writable.is_empty()
            || self.services.has_work(&self.machine, now)
            || self.listeners.iter().any(|listener| listener.readiness.is_ready(now));
        if is_busy {
            return Some(Duration::ZERO);
        }
        let retries = self.listeners.iter().filter_map(|listener| listener.readiness.retry_at());
        let deadlines = retries.chain(self.reserve.next_deadline());
        let deadlines = deadlines.chain(self.services.next_deadline());
        let deadline = deadlines.chain(self.machine.next_deadline()).min();
        deadline.map(|at| at.since(self.poller.now()))
    }

    /// Step one: turns an event into a flag or an entry of a list.
    fn on_event(&mut self, event: &Event) {
        match event.token() {
            SIGNALS => self.on_signals(),
            WAKER => {
                self.on_resolved();
                let now = self.now;
                self.services.on_wake(&mut self.machine, now);
            }
            Token(token)
                if (LISTENER_TOKEN_BASE..LISTENER_TOKEN_BASE + LISTENERS_MAX).contains(&token) =>
            {
                self.listeners[token - LISTENER_TOKEN_BASE].readiness.set_ready();
            }
            token if token.0 < LINK_TOKEN_BASE => self.services.on_event(token),
            Token(token) => self.on_link_event(token - LINK_TOKEN_BASE, event),
        }
    }

    /// Handles an event of a link's socket: a dial that is established, or readiness.
    fn on_link_event(&mut self, index: usize, event: &Event) {
        let Some(connection) = self.connections.at(index) else {
            return;
        };
        let link = connection.id();
        if connection.pending_dial().is_some() {
            match connection.finish_connect() {
                Ok(false) => return,
                Ok(true) if connection.is_handshaking() => {}
                Ok(true) => drop(self.on_established(link)),
                Err(error) => {
                    let reason = CloseReason::Io(error.to_string());
                    return self.closing.push((link, reason));
                }
            }
        }
        let Some(connection) = self.connections.at(index) else {
            return;
        };
        if connection.on_event(event) {
            self.readable.push_back(link);
        }
        let wants_write = connection.wants_write() || !self.machine.unsent(link).is_empty();
        if event.is_writable() && wants_write {
            self.writable.push_back(link);
        }
    }

    /// Reports to the machine that a dial is established, or whose accepted connection it is, as
    /// TLS or a proxy has shown. Returns false if the other end is gone: what it has sent does not
    /// count, since nobody knows whose it is.
    fn on_established(&mut self, link: LinkId) -> bool {
        let Some(connection) = self.connections.get_mut(link) else {
            return false;
        };
        let origin = connection.origin();
        match connection.pending_dial().take() {
            Some(pending_dial) => {
                self.dialler.on_connected(link, &pending_dial);
                let address = Some(pending_dial.address);
                self.machine.dialled(self.now, link, &Origin { address, ..origin });
            }
            None if origin.address.is_none() => {
                self.closing.push((link, CloseReason::PeerClosed));
                return false;
            }
            None => self.machine.identified(self.now, link, &origin),
        }
        // Bytes may wait for the end of the handshake.
        if !self.machine.unsent(link).is_empty() {
            self.writable.push_back(link);
        }
        true
    }

    /// Step two: accepts, reads each readable link once, and runs the services.
    fn read(&mut self) {
        let now = self.now;
        if self.machine.wants_wall_clock(now) {
            // A clock set before 1970 counts as 1970.
            let wall_clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.machine.set_wall_clock(now, wall_clock);
        }
        let crowded_listener = self.accept_all(now);
        let mut handshakes = 0;
        for _ in 0..self.readable.len() {
            let Some(link) = self.readable.pop_front() else {
                break;
            };
            let Some(connection) = self.connections.get_mut(link) else {
                continue;
            };
            let is_handshaking = connection.is_handshaking();
            if is_handshaking {
                if handshakes == HANDSHAKES_PER_TURN {
                    self.readable.push_back(link);
                    continue;
                }
                handshakes += 1;
            }
            let budget = self.machine.read_budget(link);
            if budget == 0 {
                connection.pause();
                continue;
            }
            let outcome = connection.read(&mut self.buffer[..budget]);
            if is_handshaking && !connection.is_handshaking() {
                self.stats.tls_handshakes += u64::from(connection.is_tls());
                if !self.on_established(link) {
                    continue;
                }
            }
            match outcome {
                ReadOutcome::Bytes { count, has_more } => {
                    let connections = &mut self.connections;
                    let mut direct_write = |to: LinkId, pieces: [&[u8]; 2]| {
                        connections.get_mut(to).map_or(0, |to| to.try_write(pieces))
                    };
                    self.machine.receive_with_direct_write(
                        now,
                        link,
                        &self.buffer[..count],
                        &mut direct_write,
                    );
                    if has_more {
                        self.readable.push_back(link);
                    }
                    self.write_above_high_water();
                }
                ReadOutcome::WouldBlock => {}
                ReadOutcome::Closed(reason) => self.closing.push((link, reason)),
            }
        }
        if let Some(listener) = crowded_listener {
            self.make_room(listener, now);
        }
        let (registry, stats) = (self.poller.registry(), &self.stats);
        self.services.run_pending(&mut self.machine, now, registry, stats);
        self.use_reloaded();
    }

    /// Step three: runs the timers that are due.
    fn advance(&mut self) {
        let now = self.now;
        if self.machine.next_deadline().is_some_and(|at| at <= now) {
            // Long queues are written before timers add to them.
            self.write_above_high_water();
            self.machine.advance(now);
        }
        self.reserve.report_if_due(now);
        if self.machine.is_stopping() {
            self.listeners.clear();
        }
    }

    /// Steps four and five: applies actions, writes and reaps until nothing is left to do. Returns
    /// whether the machine has shut down.
    fn write_and_reap(&mut self) -> bool {
        for _ in 0..self.writable.len() {
            if let Some(link) = self.writable.pop_front() {
                self.write(link);
            }
        }
        loop {
            let mut is_done = true;
            while let Some(action) = self.machine.poll_action() {
                is_done = false;
                if self.apply(action) {
                    return true;
                }
            }
            while let Some(link) = self.machine.poll_unsent() {
                is_done = false;
                self.write(link);
            }
            if !self.closing.is_empty() {
                is_done = false;
                for (link, reason) in std::mem::take(&mut self.closing) {
                    self.reap(link, &reason);
                }
            }
            is_done &= !self.services.drain_events(&mut self.machine, self.now);
            if is_done {
                return false;
            }
        }
    }

    /// Writes the queues that have risen above the high-water mark.
    fn write_above_high_water(&mut self) {
        while let Some(link) = self.machine.poll_above_high_water() {
            self.write(link);
        }
    }

    /// Writes a link's send queue, as far as its socket and the budget allow.
    fn write(&mut self, link: LinkId) {
        let Some(connection) = self.connections.get_mut(link) else {
            return;
        };
        match connection.write(&mut self.machine) {
            Ok(true) => self.writable.push_back(link),
            Ok(false) => {}
            // Input that arrived before the error is still read; then the link ends.
            Err(error) => {
                log::debug!("link {link}: {error}");
                if connection.stop_writing() {
                    self.readable.push_back(link);
                }
            }
        }
    }
}
