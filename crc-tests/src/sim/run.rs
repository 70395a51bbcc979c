//! The event loop of the simulated network: delivers events, runs due timers, and applies the
//! servers' actions.

use std::net::SocketAddr;
use std::time::Duration;

use crc::link::{CloseReason, LinkId, ListenerId, Machine as _, Origin, Time};
use crc::node::Action;
use crc::relay::Admission;
use crc::wires::Wire;

use super::meter::thread_cpu_time;
use super::{Call, PipeEnd, Server, Turn, World};

#[derive(Debug)]
pub(super) enum Event {
    /// Bytes arrive at an end.
    Bytes(PipeEnd, Vec<u8>),
    /// The other end has closed.
    Closed(PipeEnd, CloseReason),
    /// A dial arrives at its target.
    Dialled { from: PipeEnd, label: String },
    /// A plain server reads once.
    PlainRead(PipeEnd),
    /// A mail store handles its pending requests.
    Store { server: usize },
    /// A server resumes reading from an end.
    Resumed(PipeEnd),
    /// The silence at an end is over.
    Audible(PipeEnd),
    /// The kernel closes an end that is still silent.
    Keepalive(PipeEnd),
    /// A process that was paused continues.
    Continued { server: usize },
}

impl Event {
    /// Returns the server whose process handles the event.
    pub(super) fn server(&self) -> Option<usize> {
        match *self {
            Self::Bytes(end, _)
            | Self::Closed(end, _)
            | Self::Dialled { from: end, .. }
            | Self::PlainRead(end)
            | Self::Resumed(end) => end.server(),
            Self::Store { server } => Some(server),
            Self::Audible(_) | Self::Keepalive(_) | Self::Continued { .. } => None,
        }
    }
}

/// Number of hosts up to which a node is checked after each event. A check looks at every host.
const CHECKED_HOSTS_MAX: usize = 1000;

/// Number of events between two checks of a node with more than [`CHECKED_HOSTS_MAX`] hosts.
const LARGE_CHECK_INTERVAL: u64 = 64;

impl Server {
    /// Checks the node after an event: after each one until it has known more than
    /// [`CHECKED_HOSTS_MAX`] hosts at once, and after every [`LARGE_CHECK_INTERVAL`]th from then
    /// on.
    fn check_relay(&mut self) {
        let Some(node) = &self.node else { return };
        let mut is_due = true;
        if node.relay().hosts().slot_count() > CHECKED_HOSTS_MAX {
            is_due = self.large_events.is_multiple_of(LARGE_CHECK_INTERVAL);
            self.large_events += 1;
        }
        if is_due {
            node.check();
        }
    }
}

/// Returns the address of a server: each has an IP address and a port of its own.
pub(super) fn address_of(server: usize) -> SocketAddr {
    let [.., high, low] = server.to_be_bytes();
    SocketAddr::from(([10, 0, high, low], port_of(server)))
}

/// Admits the servers of the simulation, by their addresses.
pub(super) fn admission() -> Admission {
    let allowed = vec!["10.0.0.0/8".parse().expect("a range")];
    Admission { allowed, ..Admission::default() }
}

/// Returns the port on which a server accepts connections.
pub(super) fn port_of(server: usize) -> u16 {
    3600 + u16::try_from(server % 1000).expect("less than a thousand")
}

impl World {
    pub(super) fn run_until(&mut self, end: Time) {
        loop {
            self.fire_deadlines();
            let deadline = self.next_deadline();
            let event = self.net.next_event_at();
            let Some(next) = [deadline, event].into_iter().flatten().min().filter(|&t| t <= end)
            else {
                self.net.now = end;
                return;
            };
            self.net.now = self.net.now.max(next);
            if event == Some(next) {
                let event = self.net.pop().expect("a pending event");
                self.handle_event(event);
            }
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        self.deadlines.iter().find(|&(_, at)| !self.faults.is_paused(at)).map(|(at, _)| at)
    }

    pub(super) fn fire_deadlines(&mut self) {
        let due = self.deadlines.iter().take_while(|&(at, _)| at <= self.net.now);
        let mut servers: Vec<usize> = due.map(|(_, server)| server).collect();
        servers.sort_unstable();
        for server in servers {
            self.drive(server);
        }
    }

    pub(super) fn handle_event(&mut self, event: Event) {
        if let Some(event) = self.faults.hold(event) {
            self.handle_arrived(event);
        }
    }

    /// Connects a dialling server with the server of a label, or refuses the connection.
    pub(super) fn complete_dial(&mut self, server: usize, link: LinkId, label: &str) {
        if self.servers[server].node.is_none() {
            return;
        }
        let now = self.net.now;
        let end = PipeEnd::Server { server, link };
        let parent = self.server(label).filter(|_| !self.isolated_servers.contains(&server));
        if !parent.is_some_and(|parent| self.accept(end, parent, Wire::CRC)) {
            let reason = CloseReason::Io("connection refused".to_owned());
            return self.handle_event(Event::Closed(end, reason));
        }
        let node = self.servers[server].node.as_mut().expect("a running child");
        let origin = Origin { address: parent.map(address_of), ..Origin::default() };
        node.dialled(now, link, &origin);
        self.drive(server);
    }

    /// Returns the label of the server at an address; empty if there is none.
    fn label_at(&self, address: SocketAddr) -> String {
        let at_address = (0..self.servers.len()).find(|&server| address_of(server) == address);
        at_address.map_or_else(String::new, |server| self.servers[server].label.clone())
    }

    /// Connects an end with a server, unless that is stopping or does not speak the wire. Returns
    /// whether it accepted.
    pub(super) fn accept(&mut self, from: PipeEnd, server: usize, wire: Wire) -> bool {
        let now = self.net.now;
        if let Some(node) = self.servers[server].node.as_mut().filter(|node| !node.is_stopping()) {
            let link = match from {
                PipeEnd::Server { server, .. } => {
                    node.accepted(now, ListenerId(0), &Origin::new(address_of(server)))
                }
                _ => node.open_link(now, wire),
            };
            self.open_pipe(from, server, link, wire);
            return true;
        }
        wire == Wire::CRC && self.accept_plain(from, server)
    }

    /// Runs a server's due timers, and applies its actions.
    pub(super) fn drive(&mut self, server: usize) {
        let now = self.net.now;
        if self.faults.is_paused(server) || self.servers[server].is_reading {
            return;
        }
        let started_at = self.start_turn();
        let Some(node) = self.servers[server].node.as_mut() else {
            return;
        };
        node.advance(now);
        self.end_turn(started_at, server, Call::Advance);
        while let Some(node) = self.servers[server].node.as_mut() {
            if let Some(action) = node.poll_action() {
                self.apply_action(server, action);
            } else if let Some(link) = self.poll_unsent(server) {
                self.flush_link(server, link);
            } else {
                self.end_drive(server);
                return;
            }
        }
    }

    fn poll_unsent(&mut self, server: usize) -> Option<LinkId> {
        let started_at = self.start_turn();
        let unsent = self.servers[server].node.as_mut()?.poll_unsent();
        self.end_turn(started_at, server, Call::Announce);
        unsent
    }

    /// Checks a server for which nothing is left to do now, and sets its deadline.
    fn end_drive(&mut self, server: usize) {
        let Some(node) = self.servers[server].node.as_mut() else { return };
        while node.poll_above_high_water().is_some() {}
        self.deadlines.set(server, node.next_deadline());
        if self.checks_relays {
            self.servers[server].check_relay();
        }
    }

    /// Returns the CPU time of this thread so far, if calls are measured.
    pub(super) fn start_turn(&self) -> Option<Duration> {
        self.meter.as_ref().map(|_| thread_cpu_time())
    }

    /// Measures a call that has ended.
    pub(super) fn end_turn(&mut self, started_at: Option<Duration>, server: usize, call: Call) {
        if let (Some(meter), Some(started_at)) = (&mut self.meter, started_at) {
            let cpu = thread_cpu_time().saturating_sub(started_at);
            meter.count_turn(Turn { cpu, call, server, at: self.net.now });
        }
    }

    fn apply_action(&mut self, server: usize, action: Action) {
        let now = self.net.now;
        match action {
            Action::Dial { target: parent, link } => {
                let label = self.servers[server].parents[parent].clone();
                let at = now + self.net.random_delay();
                self.net
                    .schedule(at, Event::Dialled { from: PipeEnd::Server { server, link }, label });
            }
            Action::DialAddress { address, link } => {
                let label = self.label_at(address);
                let at = now + self.net.random_delay();
                self.net
                    .schedule(at, Event::Dialled { from: PipeEnd::Server { server, link }, label });
            }
            Action::Close { link, reason } => {
                self.flush_link(server, link);
                self.observe_unsent(server, link);
                let end = PipeEnd::Server { server, link };
                if let Some(&other) = self.net.pipes.get(&end) {
                    self.close_pipe(end, other);
                }
                let started_at = self.start_turn();
                let node = self.servers[server].node.as_mut().expect("a running server");
                node.closed(now, link, &reason);
                self.end_turn(started_at, server, Call::Closed);
            }
            Action::Keepalive { .. } => {}
            Action::Resume { link } => {
                self.net.schedule(now, Event::Resumed(PipeEnd::Server { server, link }));
            }
            Action::Store(request) => {
                let label = self.servers[server].label.clone();
                self.observe_store_request(&label, &request);
                if self.stores.submit(&label, request) {
                    let at = now + self.net.random_delay();
                    self.net.schedule(at, Event::Store { server });
                }
            }
            Action::Shutdown => self.kill(server),
        }
    }
}
