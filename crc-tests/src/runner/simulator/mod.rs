//! Runs a case in the simulator: real `Node`s, the bundled client's `App`s, and virtual time.
//!
//! `WAIT` takes no real time. Frames are split at random bytes, always the same ones, so that a
//! case that fails once fails again.

mod quiescence;

use std::time::Duration;

use crc::id::HostId;
use crc::internal::Printable;
use crc::internal::client::{App, Identity};
use crc::limits::Limits;
use crc::link::Time;
use crc::relay::Host;
use crc::relay::message::HostKind;
use crc::wires::Wire;
use crc::wires::classic::codec::Name;

use crate::runner::backend::{Backend, RunError};
use crate::runner::case::Case;
use crate::runner::client_log::ClientLog;
use crate::runner::command::{Action, Endpoint, LaunchClient, LaunchServer};
use crate::runner::golden;
use crate::runner::port_map::PortMap;
use crate::runner::state::{HostState, Key, Role, hex};
use crate::sim::{ClientId, NetConditions, ServerSpec, TraceEnd, World};

/// The seed of delays and splits in every case.
const SEED: u64 = 2;

/// Number of frames that a failure shows.
const TRACE_FRAMES_MAX: usize = 60;

/// The simulated network of one case.
pub struct Simulator {
    world: World,
    /// The labels of servers, which are their addresses in the simulator.
    ports: PortMap<String>,
    servers: Vec<Server>,
    clients: Vec<Client>,
    /// The launched hosts, oldest first. A name refers to the newest.
    launched: Vec<(String, Role, usize)>,
    /// For a golden trace: each command's number, and how many frames were sent before it.
    sections: Option<Vec<(usize, usize)>>,
}

struct Server {
    world_index: usize,
    id: u32,
    parent_label: Option<String>,
    /// The state before a kill.
    state_at_kill: Option<HostState>,
}

struct Client {
    connection: ClientId,
    /// The index of its server.
    server: usize,
    wire: Wire,
    app: App,
    log: ClientLog,
    has_ended: bool,
    is_frozen: bool,
}

impl Simulator {
    /// Returns an empty network.
    #[must_use]
    pub fn new() -> Self {
        let conditions = NetConditions { splits_writes: true, ..NetConditions::default() };
        let mut world = World::new(SEED, conditions);
        world.enable_trace();
        Self {
            world,
            ports: PortMap::new(),
            servers: Vec::new(),
            clients: Vec::new(),
            launched: Vec::new(),
            sections: None,
        }
    }

    /// Returns an empty network that records every frame for [`Simulator::golden_trace`].
    #[must_use]
    pub fn with_golden_trace() -> Self {
        let mut simulator = Self { sections: Some(Vec::new()), ..Self::new() };
        simulator.world.enable_full_trace();
        simulator
    }

    /// Renders the frames sent so far for comparison with a golden trace, or returns an empty text
    /// unless all of them were recorded.
    #[must_use]
    pub fn golden_trace(&self, case: &Case) -> String {
        let frames: Vec<_> = self.world.traced_frames().collect();
        let sections = self.sections.as_deref().unwrap_or_default();
        let ends = sections.iter().skip(1).map(|&(_, start)| start).chain([frames.len()]);
        let mut text = String::new();
        for (&(number, start), end) in sections.iter().zip(ends) {
            let lines = frames[start..end].iter().map(|frame| {
                (self.name_of(frame.from), self.name_of(frame.to), &*frame.description)
            });
            golden::render_section(&case.commands[number - 1].0, lines.collect(), &mut text);
        }
        text
    }

    /// Returns the name under which a case launched a server or a client.
    fn name_of(&self, end: TraceEnd) -> String {
        let launched = self.launched.iter().find(|(_, role, at)| match end {
            TraceEnd::Server(index) => {
                *role == Role::Server && self.servers[*at].world_index == index
            }
            TraceEnd::Client(client) => {
                *role != Role::Server && self.clients[*at].connection == client
            }
        });
        launched.map_or_else(|| self.world.default_name(end), |(name, ..)| escape(name))
    }

    fn find_launched(&self, name: &str, role: Option<Role>) -> Result<(Role, usize), RunError> {
        let matches =
            |(n, r, _): &&(String, Role, usize)| n == name && role.is_none_or(|x| x == *r);
        let found = self.launched.iter().rev().find(matches);
        found.map(|&(_, role, at)| (role, at)).ok_or_else(|| RunError::new("was never launched"))
    }

    /// Returns the newest client of a name.
    fn find_client(&self, name: &str) -> Result<usize, RunError> {
        let matches = |(n, role, _): &&(String, Role, usize)| n == name && *role != Role::Server;
        let found = self.launched.iter().rev().find(matches);
        found.map(|&(_, _, at)| at).ok_or_else(|| RunError::new("was never launched"))
    }

    fn resolve(&mut self, endpoint: &Endpoint) -> Result<String, RunError> {
        let default_label = || Ok(format!("{}:{}", escape(&endpoint.host), endpoint.port));
        self.ports.resolve(endpoint, default_label)
    }

    /// Moves bytes between the clients and their connections. Returns whether a client sent any.
    fn pump(&mut self) -> bool {
        let now = self.world.now().since_start();
        let mut has_sent_bytes = false;
        for client in self.clients.iter_mut().filter(|client| !client.is_frozen) {
            let received = self.world.take_received(client.connection);
            if !received.is_empty() {
                client.app.receive(now, &received);
            }
            client.app.advance(now);
            if self.world.is_closed(client.connection) && !client.has_ended {
                client.has_ended = true;
                client.app.closed(now, "the server closed the connection");
            }
            let output = client.app.take_output();
            if !output.is_empty() {
                has_sent_bytes = true;
                self.world.send(client.connection, &output);
            }
            while let Some(event) = client.app.poll_event() {
                client.log.record(&event);
            }
            let is_over = client.app.is_closed() && !client.has_ended;
            if is_over
                || (client.app.wants_write_shutdown() && !self.world.is_closed(client.connection))
            {
                client.has_ended = is_over;
                has_sent_bytes = true;
                self.world.disconnect(client.connection);
            }
        }
        has_sent_bytes
    }

    fn read_server_state(&self, index: usize) -> Result<HostState, RunError> {
        let server = self.servers[index].world_index;
        let Some(node) = self.world.node(server) else {
            return Err(RunError::new("has stopped by itself"));
        };
        let relay = node.relay();
        let adjacent = |kind| {
            let hosts = node.links().filter_map(move |link| relay.adjacent_host(link.id()));
            hosts.filter(move |host| host.kind == kind)
        };
        let mut state = HostState::default();
        state.set_ids(Key::AdjacentUserIds, adjacent(HostKind::User).map(|host| host.id.0));
        state.set_ids(Key::AdjacentServerIds, adjacent(HostKind::Server).map(|host| host.id.0));
        state.set_ids(Key::HostsDb, relay.hosts().iter().map(|host| host.id.0));
        let users = || relay.hosts().iter().filter(|host| host.kind == HostKind::User);
        let name = |host: &Host| String::from_utf8_lossy(host.name()).into_owned();
        state.set(Key::KnownUserNames, users().map(name).collect());
        let adjacent_users = adjacent(HostKind::User);
        state.set(Key::AdjacentUserNames, adjacent_users.map(name).collect());
        let waiting = node.spool().backlogs().into_iter();
        let waiting = waiting.map(|(address, waiting)| format!("{address}: {}", waiting.messages));
        state.set(Key::MailWaiting, waiting.collect());
        let rooms = relay.rooms().map(|room| {
            let (here, elsewhere) = (room.members_here, room.members_elsewhere);
            format!("{}: {here} here, {elsewhere} elsewhere", room.name)
        });
        state.set(Key::Rooms, rooms.collect());
        let texts = relay.status_updates().map(str::to_owned);
        state.set(Key::StatusUpdatesLog, texts.collect());
        // A connection without a whole frame has an empty one.
        let frames = self.world.first_frames(server).iter().filter(|frame| !frame.is_empty());
        state.set(Key::FirstFrames, frames.map(|frame| hex(frame)).collect());
        Ok(state)
    }
}

/// Returns the bundled client of a launch.
fn new_app(launch: &LaunchClient) -> Result<App, RunError> {
    let invalid_identity = || RunError::new("has an id or a name that its wire does not support");
    Ok(match launch.wire {
        wire if wire == Wire::CRC => {
            let id =
                launch.id.and_then(|id| u32::try_from(id).ok()).ok_or_else(invalid_identity)?;
            let identity = Identity {
                id: HostId(id),
                is_id_configured: true,
                name: launch.username.clone().into_bytes(),
                info: launch.info.clone().into_bytes(),
            };
            App::crc(identity, SEED)
        }
        wire if wire == Wire::DIRECT => App::direct(launch.id),
        wire if wire == Wire::CLASSIC => {
            App::classic(Name::new(launch.username.as_bytes()).ok_or_else(invalid_identity)?)
        }
        wire => return Err(RunError(format!("the client does not speak {wire}"))),
    })
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for Simulator {
    fn launch_server(&mut self, launch: &LaunchServer) -> Result<(), RunError> {
        let parent =
            launch.connect_to.as_ref().map(|endpoint| self.resolve(endpoint)).transpose()?;
        let is_gone = |name: &str| match self.find_launched(name, Some(Role::Server)) {
            Ok((_, at)) => self.servers[at].state_at_kill.is_some(),
            Err(_) => true,
        };
        let label = self.ports.reserved(&launch.servername, &launch.port, is_gone);
        let label =
            label.unwrap_or_else(|| format!("{}:{}", escape(&launch.servername), launch.port));
        if self.world.server(&label).is_some() {
            return Err(RunError(format!("another server listens at {label} already")));
        }
        let mut limits = Limits::default();
        limits.split_grace = launch.split_grace.unwrap_or(limits.split_grace);
        limits.classic_alive_interval =
            launch.classic_interval.unwrap_or(limits.classic_alive_interval);
        if !launch.has_mailbox {
            self.world.discard_mail(&label);
        }
        let number = self.world.start(ServerSpec {
            label: label.clone(),
            id: launch.id,
            id_is_chosen: true,
            name: launch.servername.clone().into_bytes(),
            info: launch.info.clone().into_bytes(),
            parents: parent.iter().cloned().collect(),
            limits,
        });
        self.ports.record_launch(&launch.servername, &launch.port, label);
        self.launched.push((launch.servername.clone(), Role::Server, self.servers.len()));
        self.servers.push(Server {
            world_index: number,
            id: launch.id,
            parent_label: parent,
            state_at_kill: None,
        });
        Ok(())
    }

    fn launch_client(&mut self, launch: &LaunchClient) -> Result<(), RunError> {
        let label = self.resolve(&launch.server)?;
        let Some(server) = self.world.server(&label) else {
            return Err(RunError(format!("no server listens at {label}")));
        };
        let mut app = new_app(launch)?;
        let connection = self.world.connect_on(server, launch.wire);
        app.connected(self.world.now().since_start());
        let role = Role::Client(launch.wire);
        self.launched.push((launch.username.clone(), role, self.clients.len()));
        self.clients.push(Client {
            connection,
            server,
            wire: launch.wire,
            app,
            log: ClientLog::new(launch),
            has_ended: false,
            is_frozen: false,
        });
        self.wait_until_quiescent()
    }

    fn client_command(&mut self, username: &str, action: &Action) -> Result<(), RunError> {
        let index = self.find_client(username)?;
        let now = self.world.now().since_start();
        self.clients[index].app.push_line(now, &action.typed_line());
        self.pump();
        Ok(())
    }

    fn wait(&mut self, duration: Duration) -> Result<(), RunError> {
        self.wait_until_quiescent()?;
        let end = self.world.now() + duration;
        while let now = self.world.now()
            && now < end
        {
            let living = self.clients.iter().filter(|client| !client.is_frozen);
            let deadlines =
                living.filter_map(|client| client.app.next_deadline().map(Time::from_start));
            // The client has handled a deadline that is due.
            let next = deadlines.filter(|at| *at > now).min().unwrap_or(end).min(end);
            self.world.run_for(next.since(now));
            self.pump();
        }
        self.wait_until_quiescent()
    }

    fn freeze(&mut self, username: &str) -> Result<(), RunError> {
        let at = self.find_client(username)?;
        self.clients[at].is_frozen = true;
        self.world.pause_reading(self.clients[at].connection);
        Ok(())
    }

    fn kill(&mut self, name: &str) -> Result<(), RunError> {
        match self.find_launched(name, None)? {
            (Role::Server, at) => {
                if self.servers[at].state_at_kill.is_none() {
                    self.servers[at].state_at_kill = Some(self.read_server_state(at)?);
                    self.world.kill(self.servers[at].world_index);
                }
            }
            (Role::Client(_), at) => {
                self.clients[at].has_ended = true;
                self.world.disconnect(self.clients[at].connection);
            }
        }
        Ok(())
    }

    fn wait_until_quiescent(&mut self) -> Result<(), RunError> {
        self.run_until_quiescent()
    }

    fn server_state(&mut self, servername: &str) -> Result<HostState, RunError> {
        let (_, at) = self.find_launched(servername, Some(Role::Server))?;
        match &self.servers[at].state_at_kill {
            Some(state) => Ok(state.clone()),
            None => self.read_server_state(at),
        }
    }

    fn client_state(&mut self, username: &str) -> Result<HostState, RunError> {
        let at = self.find_client(username)?;
        Ok(self.clients[at].log.state())
    }

    fn begin_command(&mut self, number: usize) {
        if let Some(sections) = &mut self.sections {
            sections.push((number, self.world.traced_frames().count()));
        }
    }

    fn trace(&mut self) -> Vec<String> {
        let mut lines = self.world.trace(|end| self.name_of(end));
        lines.drain(..lines.len().saturating_sub(TRACE_FRAMES_MAX));
        lines
    }
}

/// Escapes a name for display.
fn escape(name: &str) -> String {
    Printable(name.as_bytes()).to_string()
}

#[cfg(test)]
mod tests;
