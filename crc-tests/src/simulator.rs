//! Plays a case in memory: real `Node`s, the bundled client's own `App`s, and virtual time.
//!
//! A `WAIT` takes no time at all. Frames are cut at random places on their way, always the same ones:
//! a case that fails here fails again.

use std::time::Duration;

use crc::client::{App, Identity};
use crc::doors::Door;
use crc::doors::classic::wire::Name;
use crc::limits::Limits;
use crc::node::Node;
use crc::printable::Printable;
use crc::relay::message::{HostId, Kind};
use crc::relay::{FirstLink, Host, Time};

use crate::backend::{Backend, Fault, KnownUser, is_list_new, refusal};
use crate::client_log::ClientLog;
use crate::command::{Action, Endpoint, LaunchClient, LaunchServer, Wire};
use crate::ports::Ports;
use crate::sim::{ClientId, ServerSpec, Weather, World};
use crate::state::{Key, NodeState, Role, hex};

/// Decides the delays and cuts of every case.
const SEED: u64 = 2;

/// How long, in virtual time, a server may take to join a parent that lives.
const PATIENCE: Duration = Duration::from_secs(20);

/// Frames of the trace that are worth showing.
const FRAMES_SHOWN: usize = 60;

/// The network of one case.
pub struct Simulator {
    world: World,
    /// What stands for an address is the label by which the world knows a server.
    ports: Ports<String>,
    servers: Vec<Server>,
    clients: Vec<Client>,
    /// What was launched, oldest first: names mean the newest.
    launched: Vec<(String, Role, usize)>,
}

struct Server {
    number: usize,
    id: u32,
    parent: Option<String>,
    /// After a kill, what it was before.
    last_state: Option<NodeState>,
}

struct Client {
    connection: ClientId,
    /// The number of its server.
    server: usize,
    wire: Wire,
    app: App,
    log: ClientLog,
    has_heard_end: bool,
    is_frozen: bool,
}

impl Simulator {
    /// An empty network.
    #[must_use]
    pub fn new() -> Self {
        let cuts = Weather { cuts: true, ..Weather::default() };
        let mut world = World::new(SEED, cuts);
        world.keep_trace();
        Self {
            world,
            ports: Ports::new(),
            servers: Vec::new(),
            clients: Vec::new(),
            launched: Vec::new(),
        }
    }

    fn find(&self, name: &str, role: Option<Role>) -> Result<(Role, usize), Fault> {
        let is_it = |(n, r, _): &&(String, Role, usize)| n == name && role.is_none_or(|x| x == *r);
        let found = self.launched.iter().rev().find(is_it);
        found.map(|&(_, role, at)| (role, at)).ok_or_else(|| Fault::new("it was never launched"))
    }

    /// The newest client of a name.
    fn find_client(&self, name: &str) -> Result<usize, Fault> {
        let is_it = |(n, role, _): &&(String, Role, usize)| n == name && *role != Role::Server;
        let found = self.launched.iter().rev().find(is_it);
        found.map(|&(_, _, at)| at).ok_or_else(|| Fault::new("it was never launched"))
    }

    fn resolve(&mut self, endpoint: &Endpoint) -> Result<String, Fault> {
        let choose = || Ok(format!("{}:{}", shown(&endpoint.host), endpoint.port));
        self.ports.resolve(endpoint, choose)
    }

    /// Carries bytes between the clients and their connections; answers whether any went out.
    fn pump(&mut self) -> Result<bool, Fault> {
        let now = self.world.now().since_start();
        let mut has_sent = false;
        for client in self.clients.iter_mut().filter(|client| !client.is_frozen) {
            let received = self.world.take_received(client.connection);
            if !received.is_empty() {
                client.app.receive(now, &received);
            }
            client.app.advance(now);
            if self.world.is_closed(client.connection) && !client.has_heard_end {
                client.has_heard_end = true;
                client.app.closed(now, "the server closed the connection");
            }
            let output = client.app.take_output();
            if !output.is_empty() {
                has_sent = true;
                self.world.send(client.connection, &output);
            }
            while let Some(event) = client.app.poll_event() {
                client.log.absorb(&event.to_json()).map_err(Fault::new)?;
            }
            let is_over = client.app.is_over() && !client.has_heard_end;
            if is_over || (client.app.ends_stream() && !self.world.is_closed(client.connection)) {
                client.has_heard_end = is_over;
                has_sent = true;
                self.world.hang_up(client.connection);
            }
        }
        Ok(has_sent)
    }

    /// A server that has yet to join its parent, though that lives and has not refused it.
    fn unattached(&self) -> Option<&Server> {
        self.servers.iter().find(|server| {
            let parent = server.parent.as_ref().and_then(|label| self.world.server(label));
            let (Some(parent), Some(node)) = (parent, self.world.node(server.number)) else {
                return false;
            };
            let parent = self.world.node(parent).map(|node| node.relay().own().id);
            let mut links = node.links();
            let is_attached = links.any(|link| {
                let host = node.relay().adjacent(link.id());
                host.is_some_and(|host| host.kind == Kind::Server && Some(host.id) == parent)
            });
            let refusal = refusal(server.id);
            !is_attached && !node.relay().status_updates().any(|text| text == refusal)
        })
    }

    /// A server that has yet to tell a classic client of who came or left.
    fn is_behind(&self) -> Option<(&Client, Time)> {
        self.clients.iter().filter(|client| client.wire == Wire::Classic).find_map(|client| {
            let node = self.world.node(client.server)?;
            let own = client.log.own().filter(|_| !client.has_heard_end && !client.is_frozen)?;
            let listed = client.log.other_names();
            let deadline = node.next_deadline()?;
            (!is_list_new(&known_users(node), own, listed)).then_some((client, deadline))
        })
    }

    fn read_server(&self, at: usize) -> Result<NodeState, Fault> {
        let number = self.servers[at].number;
        let Some(node) = self.world.node(number) else {
            return Err(Fault::new("it has stopped by itself"));
        };
        let relay = node.relay();
        let adjacent = |kind| {
            let hosts = node.links().filter_map(move |link| relay.adjacent(link.id()));
            hosts.filter(move |host| host.kind == kind)
        };
        let mut state = NodeState::default();
        state.set_ids(Key::AdjacentUserIds, adjacent(Kind::User).map(|host| host.id.0));
        state.set_ids(Key::AdjacentServerIds, adjacent(Kind::Server).map(|host| host.id.0));
        state.set_ids(Key::HostsDb, relay.hosts().iter().map(|host| host.id.0));
        let users = || relay.hosts().iter().filter(|host| host.kind == Kind::User);
        let name = |host: &Host| String::from_utf8_lossy(host.name()).into_owned();
        state.set(Key::KnownUserNames, users().map(name).collect());
        let own = adjacent(Kind::User);
        state.set(Key::AdjacentUserNames, own.map(name).collect());
        let waiting = node.mail().waiting().into_iter();
        let waiting = waiting.map(|(address, waiting)| format!("{address}: {}", waiting.messages));
        state.set(Key::MailWaiting, waiting.collect());
        let texts = relay.status_updates().map(str::to_owned);
        state.set(Key::StatusUpdatesLog, texts.collect());
        // A connection that never sent a whole frame left an empty one.
        let frames = self.world.first_frames(number).iter().filter(|frame| !frame.is_empty());
        state.set(Key::FirstFrames, frames.map(|frame| hex(frame)).collect());
        Ok(state)
    }
}

/// All users that a server knows.
fn known_users(node: &Node) -> Vec<KnownUser> {
    let users = node.relay().hosts().iter().filter(|host| host.kind == Kind::User);
    let known = |host: &Host| KnownUser {
        id: host.id.0,
        name: String::from_utf8_lossy(host.name()).into_owned(),
        is_there: matches!(host.first_link, FirstLink::Link(_)),
    };
    users.map(known).collect()
}

/// The bundled client as it is launched.
fn app(launch: &LaunchClient) -> Result<App, Fault> {
    let unfit = || Fault::new("an id or a name that its wire does not know");
    Ok(match launch.wire {
        Wire::Crc => {
            let id = launch.id.and_then(|id| u32::try_from(id).ok()).ok_or_else(unfit)?;
            let identity = Identity {
                id: HostId(id),
                id_is_chosen: true,
                name: launch.username.clone().into_bytes(),
                info: launch.info.clone().into_bytes(),
            };
            App::crc(identity, SEED)
        }
        Wire::Direct => App::direct(launch.id),
        Wire::Classic => App::classic(Name::new(launch.username.as_bytes()).ok_or_else(unfit)?),
    })
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for Simulator {
    fn launch_server(&mut self, launch: &LaunchServer) -> Result<(), Fault> {
        let parent =
            launch.connect_to.as_ref().map(|endpoint| self.resolve(endpoint)).transpose()?;
        let is_gone = |name: &str| match self.find(name, Some(Role::Server)) {
            Ok((_, at)) => self.servers[at].last_state.is_some(),
            Err(_) => true,
        };
        let label = self.ports.reserved(&launch.servername, &launch.port, is_gone);
        let label =
            label.unwrap_or_else(|| format!("{}:{}", shown(&launch.servername), launch.port));
        if self.world.server(&label).is_some() {
            return Err(Fault(format!("another server listens at {label}")));
        }
        let mut limits = Limits::default();
        limits.split_grace = launch.split_grace.unwrap_or(limits.split_grace);
        limits.classic_interval = launch.classic_interval.unwrap_or(limits.classic_interval);
        if !launch.has_mailbox {
            self.world.lose_mail(&label);
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
        self.ports.launched(&launch.servername, &launch.port, label);
        self.launched.push((launch.servername.clone(), Role::Server, self.servers.len()));
        self.servers.push(Server { number, id: launch.id, parent, last_state: None });
        Ok(())
    }

    fn launch_client(&mut self, launch: &LaunchClient) -> Result<(), Fault> {
        let label = self.resolve(&launch.server)?;
        let Some(server) = self.world.server(&label) else {
            return Err(Fault(format!("no server listens at {label}")));
        };
        let door = match launch.wire {
            Wire::Crc => Door::Crc,
            Wire::Direct => Door::Direct,
            Wire::Classic => Door::Classic,
        };
        let mut app = app(launch)?;
        let connection = self.world.connect_by(server, door);
        app.connected(self.world.now().since_start());
        let role = Role::Client(launch.wire);
        self.launched.push((launch.username.clone(), role, self.clients.len()));
        self.clients.push(Client {
            connection,
            server,
            wire: launch.wire,
            app,
            log: ClientLog::new(launch),
            has_heard_end: false,
            is_frozen: false,
        });
        self.settle()
    }

    fn client_command(&mut self, username: &str, action: &Action) -> Result<(), Fault> {
        let at = self.find_client(username)?;
        let now = self.world.now().since_start();
        self.clients[at].app.line(now, &action.line());
        self.pump().map(drop)
    }

    fn wait(&mut self, duration: Duration) -> Result<(), Fault> {
        self.settle()?;
        let end = self.world.now() + duration;
        while let now = self.world.now()
            && now < end
        {
            let living = self.clients.iter().filter(|client| !client.is_frozen);
            let deadlines = living.filter_map(|client| client.app.next_deadline().map(Time::after));
            // One that has come was seen by the client and is none of time's.
            let next = deadlines.filter(|at| *at > now).min().unwrap_or(end).min(end);
            self.world.pass(next.since(now));
            self.pump()?;
        }
        self.settle()
    }

    fn freeze(&mut self, username: &str) -> Result<(), Fault> {
        let at = self.find_client(username)?;
        self.clients[at].is_frozen = true;
        self.world.deafen(self.clients[at].connection);
        Ok(())
    }

    fn kill(&mut self, name: &str) -> Result<(), Fault> {
        match self.find(name, None)? {
            (Role::Server, at) => {
                if self.servers[at].last_state.is_none() {
                    self.servers[at].last_state = Some(self.read_server(at)?);
                    self.world.kill(self.servers[at].number);
                }
            }
            (Role::Client(_), at) => {
                self.clients[at].has_heard_end = true;
                self.world.hang_up(self.clients[at].connection);
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Fault> {
        let deadline = self.world.now() + PATIENCE;
        loop {
            self.world.settle();
            if self.pump()? {
                continue;
            }
            let (what, next) = match (self.unattached(), self.is_behind()) {
                (Some(server), _) => {
                    let next = self.world.node(server.number).and_then(|node| node.next_deadline());
                    (format!("server {} does not join its parent", server.id), next)
                }
                (None, Some((client, next))) => {
                    let own = shown(client.log.own().unwrap_or_default());
                    (format!("{own} is not sent the newest list"), Some(next))
                }
                (None, None) => return Ok(()),
            };
            let now = self.world.now();
            match next.filter(|next| *next <= deadline) {
                Some(next) => self.world.pass(next.since(now)),
                None => return Err(Fault(what)),
            }
        }
    }

    fn server_state(&mut self, servername: &str) -> Result<NodeState, Fault> {
        let (_, at) = self.find(servername, Some(Role::Server))?;
        match &self.servers[at].last_state {
            Some(state) => Ok(state.clone()),
            None => self.read_server(at),
        }
    }

    fn client_state(&mut self, username: &str) -> Result<NodeState, Fault> {
        let at = self.find_client(username)?;
        Ok(self.clients[at].log.state())
    }

    fn trace(&mut self) -> Vec<String> {
        let mut lines = self.world.trace();
        lines.drain(..lines.len().saturating_sub(FRAMES_SHOWN));
        let clients = self.launched.iter().filter(|(_, role, _)| *role != Role::Server);
        let clients: Vec<_> = clients.map(|(name, _, at)| (name, at)).collect();
        for line in &mut lines {
            // From the last to the first, as the number of one may begin that of another.
            for (name, at) in clients.iter().rev() {
                *line = line.replace(&format!("client#{at}"), &shown(name));
            }
        }
        lines
    }
}

/// A name from a case, safe to show.
fn shown(name: &str) -> String {
    Printable(name.as_bytes()).to_string()
}

#[cfg(test)]
#[path = "simulator_tests.rs"]
mod tests;
