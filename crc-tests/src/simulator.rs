//! Plays a case in memory: real `Node`s, the bundled client's own `App`s, and virtual time.
//!
//! A `WAIT` takes no time at all. Frames are cut at random places on their way, always the same ones:
//! a case that fails here fails again.

use std::time::Duration;

use crc::client::{App, Identity};
use crc::limits::Limits;
use crc::printable::Printable;
use crc::relay::message::{HostId, Kind};

use crate::backend::{Backend, Fault, refusal};
use crate::client_log::ClientLog;
use crate::command::{Action, Endpoint, LaunchClient, LaunchServer};
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
    app: App,
    log: ClientLog,
    has_heard_end: bool,
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

    fn resolve(&mut self, endpoint: &Endpoint) -> Result<String, Fault> {
        let choose = || Ok(format!("{}:{}", shown(&endpoint.host), endpoint.port));
        self.ports.resolve(endpoint, choose)
    }

    /// Carries bytes between the clients and their connections; answers whether any went out.
    fn pump(&mut self) -> Result<bool, Fault> {
        let now = self.world.now().0;
        let mut has_sent = false;
        for client in &mut self.clients {
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
            if client.app.is_over() && !client.has_heard_end {
                client.has_heard_end = true;
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

    fn read_server(&self, at: usize) -> Result<NodeState, Fault> {
        let number = self.servers[at].number;
        let Some(node) = self.world.node(number) else {
            return Err(Fault::new("it has stopped by itself"));
        };
        let relay = node.relay();
        let adjacent = |kind| {
            let hosts = node.links().filter_map(move |link| relay.adjacent(link.id()));
            hosts.filter(move |host| host.kind == kind).map(|host| host.id.0)
        };
        let mut state = NodeState::default();
        state.set_ids(Key::AdjacentUserIds, adjacent(Kind::User));
        state.set_ids(Key::AdjacentServerIds, adjacent(Kind::Server));
        state.set_ids(Key::HostsDb, relay.hosts().iter().map(|host| host.id.0));
        let texts = relay.status_updates().map(str::to_owned);
        state.set(Key::StatusUpdatesLog, texts.collect());
        // A connection that never sent a whole frame left an empty one.
        let frames = self.world.first_frames(number).iter().filter(|frame| !frame.is_empty());
        state.set(Key::FirstFrames, frames.map(|frame| hex(frame)).collect());
        Ok(state)
    }
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
        let identity = Identity {
            id: HostId(launch.id),
            id_is_chosen: true,
            name: launch.username.clone().into_bytes(),
            info: launch.info.clone().into_bytes(),
        };
        let connection = self.world.connect(server);
        let mut app = App::crc(identity, SEED);
        app.connected(self.world.now().0);
        self.launched.push((launch.username.clone(), Role::Client, self.clients.len()));
        let log = ClientLog::default();
        self.clients.push(Client { connection, app, log, has_heard_end: false });
        self.settle()
    }

    fn client_command(&mut self, username: &str, action: &Action) -> Result<(), Fault> {
        let (_, at) = self.find(username, Some(Role::Client))?;
        let now = self.world.now().0;
        self.clients[at].app.line(now, &action.line());
        self.pump().map(drop)
    }

    fn wait(&mut self, duration: Duration) -> Result<(), Fault> {
        self.settle()?;
        self.world.pass(duration);
        self.settle()
    }

    fn kill(&mut self, name: &str) -> Result<(), Fault> {
        match self.find(name, None)? {
            (Role::Server, at) => {
                if self.servers[at].last_state.is_none() {
                    self.servers[at].last_state = Some(self.read_server(at)?);
                    self.world.kill(self.servers[at].number);
                }
            }
            (Role::Client, at) => {
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
            let Some(server) = self.unattached() else {
                return Ok(());
            };
            let id = server.id;
            let next = self.world.node(server.number).and_then(|node| node.next_deadline());
            let now = self.world.now();
            match next.filter(|next| *next <= deadline) {
                Some(next) => self.world.pass(next.since(now)),
                None => return Err(Fault(format!("server {id} does not join its parent"))),
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
        let (_, at) = self.find(username, Some(Role::Client))?;
        Ok(self.clients[at].log.state())
    }

    fn trace(&mut self) -> Vec<String> {
        let mut lines = self.world.trace();
        lines.drain(..lines.len().saturating_sub(FRAMES_SHOWN));
        let clients = self.launched.iter().filter(|(_, role, _)| *role == Role::Client);
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
mod tests {
    use std::path::Path;

    use super::*;
    use crate::case::Case;
    use crate::runner::{Outcome, play};

    fn outcome(commands: &[&str], final_state: &str) -> Outcome {
        let servers = [
            "LAUNCHSERVER --id 1 --servername theshire --port 1",
            "LAUNCHSERVER --id 2 --servername bree --port 2 --connect_to_host theshire \
             --connect_to_port 1 --split-grace 1",
            "LAUNCHCLIENT --id 101 --username frodo --serverhost theshire --serverport 1",
            "LAUNCHCLIENT --id 102 --username sam --serverhost bree --serverport 2",
        ];
        let commands: Vec<_> = servers.iter().chain(commands).collect();
        let commands = serde_json::to_string(&commands).expect("texts");
        let text = format!(
            "{{\"type\": \"network_connectivity\", \"commands\": {commands}, \
             \"final_state\": {{{final_state}}}}}"
        );
        let case = Case::parse(Path::new("a.json"), text.as_bytes()).expect("a good case");
        play(&case, &mut Simulator::new(), true)
    }

    const HI: &str = "CLIENTCOMMAND --username frodo --command MESSAGE 102 Hi";
    const PASSED: Outcome = Outcome::Passed { warnings: Vec::new() };

    #[test]
    fn a_difference_comes_with_the_frames_that_led_to_it() {
        let state = r#""sam": {"chat_messages_log": ["Hi"], "connected_user_ids": [101]}"#;
        assert_eq!(outcome(&[HI], state), PASSED);
        match outcome(&[HI], r#""sam": {"chat_messages_log": ["Ho"]}"#) {
            Outcome::Passed { .. } => panic!("passed with another text"),
            Outcome::Failed { reasons, trace } => {
                assert_eq!(reasons, ["sam: chat_messages_log: missing `Ho`; unexpected `Hi`"]);
                let last = trace.last().expect("frames");
                assert!(last.ends_with("bree:2 → sam: 81 chat from 101 to 102, 2 bytes"), "{last}");
            }
        }
    }

    #[test]
    fn whatever_ended_keeps_its_last_state() {
        let quit = "CLIENTCOMMAND --username frodo --command QUIT";
        let before =
            r#""theshire": {"hosts_db": [2, 101, 102]}, "frodo": {"connected_user_ids": [102]}"#;
        assert_eq!(outcome(&["KILL bree", "WAIT 4.9"], before), PASSED);
        let after = r#""theshire": {"hosts_db": [101]}, "frodo": {"connected_user_ids": []}"#;
        assert_eq!(outcome(&["KILL bree", "WAIT 5.1"], after), PASSED);
        let quitted = r#""theshire": {"hosts_db": []}, "frodo": {"connected_user_ids": [102]},
            "sam": {"connected_user_ids": [101]},
            "bree": {"hosts_db": [1, 101, 102],
                     "recvd_messages_asdqw": ["80 00000066 00000000 03 0000 73616d"]}"#;
        assert_eq!(outcome(&["KILL bree", quit, "WAIT 5.1", "KILL sam"], quitted), PASSED);
    }

    #[test]
    fn what_cannot_be_done_is_a_fault() {
        let again = "LAUNCHSERVER --id 3 --servername bree --port 2";
        let late = "LAUNCHCLIENT --id 103 --username pip --serverhost bree --serverport 2";
        for (commands, expected) in [
            (&[again][..], "another server listens at bree:2"),
            (&["KILL bree", late], "no server listens at bree:2"),
        ] {
            match outcome(commands, "") {
                Outcome::Failed { reasons, .. } => {
                    assert!(reasons[0].ends_with(expected), "{reasons:?}");
                }
                Outcome::Passed { .. } => panic!("passed in spite of: {expected}"),
            }
        }
    }
}
