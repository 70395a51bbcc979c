//! One `crc server` process, observed through its control socket.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use crc::internal::Printable;
use crc::wires::{CLIENT_WIRES, Wire};
use serde_json::Value;

use super::TIMEOUT;
use super::control::ControlClient;
use super::proxy::Proxy;
use super::quiescence::{LinkPeer, LinkView, ServerView, User};
use crate::child::{Process, ReadResult};
use crate::runner::backend::{KnownUser, RunError, id_taken_text};
use crate::runner::command::LaunchServer;
use crate::runner::state::{HostState, Key};

/// The parameters of a server that its case does not state.
pub(super) struct ServerConfig<'a> {
    pub(super) binary: &'a Path,
    pub(super) listen: SocketAddr,
    /// The proxy in front of it.
    pub(super) proxy: Option<Rc<Proxy>>,
    pub(super) parent: Option<SocketAddr>,
    pub(super) log: PathBuf,
    pub(super) control: PathBuf,
    /// Its mailbox file.
    pub(super) mailbox: Option<PathBuf>,
}

/// A server, running or killed.
pub(super) struct Server {
    launch: LaunchServer,
    process: Process,
    control: ControlClient,
    parent: Option<SocketAddr>,
    /// Its CRC address for other hosts: that of the proxy, if there is one.
    public_address: SocketAddr,
    /// Its listeners by wire.
    listener_addresses: Vec<(Wire, SocketAddr)>,
    proxy: Option<Rc<Proxy>>,
    launched_at: Instant,
    /// The state before a kill.
    state_at_kill: Option<HostState>,
}

impl Server {
    /// Starts it, and waits until it listens.
    pub(super) fn start(launch: &LaunchServer, config: ServerConfig<'_>) -> Result<Self, RunError> {
        let any_port = SocketAddr::new(config.listen.ip(), 0);
        let mut arguments = vec![
            "server".to_owned(),
            format!("--listen={}", config.listen),
            format!("--id={}", launch.id),
            format!("--name={}", launch.servername),
            format!("--info={}", launch.info),
            format!("--control={}", config.control.display()),
        ];
        let other_wires = CLIENT_WIRES.into_iter().filter(|wire| *wire != Wire::CRC);
        arguments.extend(other_wires.map(|wire| format!("--listen={wire}://{any_port}")));
        arguments.extend(config.parent.map(|parent| format!("--parent={parent}")));
        let grace = launch.split_grace.map(|grace| grace.as_secs_f64());
        arguments.extend(grace.map(|seconds| format!("--split-grace={seconds}")));
        let interval = launch.classic_interval.map(|interval| interval.as_secs_f64());
        arguments.extend(interval.map(|seconds| format!("--classic-interval={seconds}")));
        arguments.extend(config.mailbox.map(|path| format!("--mailbox={}", path.display())));
        let mut process = Process::start(config.binary, arguments, config.log)
            .map_err(|error| RunError::new(format!("cannot be started: {error}")))?;
        let mut listener_addresses = Vec::new();
        for wire in CLIENT_WIRES {
            listener_addresses.push((wire, wait_for_listener(&mut process, wire.name())?));
        }
        let address = address_of(&listener_addresses, Wire::CRC);
        let control = ControlClient::connect(&config.control)
            .map_err(|error| RunError::new(format!("its control socket: {error}")))?;
        if let Some(proxy) = &config.proxy {
            proxy.set_target(address);
        }
        let public_address = config.proxy.as_ref().map_or(address, |proxy| proxy.address());
        for (wire, address) in &mut listener_addresses {
            if *wire == Wire::CRC {
                *address = public_address;
            }
        }
        Ok(Self {
            launch: launch.clone(),
            process,
            control,
            parent: config.parent,
            public_address,
            listener_addresses,
            proxy: config.proxy,
            launched_at: Instant::now(),
            state_at_kill: None,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.launch.servername
    }

    pub(super) fn launched_at(&self) -> Instant {
        self.launched_at
    }

    pub(super) fn public_address(&self) -> SocketAddr {
        self.public_address
    }

    /// Returns its address for clients of a wire.
    pub(super) fn listener_address(&self, wire: Wire) -> SocketAddr {
        address_of(&self.listener_addresses, wire)
    }

    pub(super) fn parent(&self) -> Option<SocketAddr> {
        self.parent
    }

    /// Returns its id, unless it was killed.
    pub(super) fn running_id(&self) -> Option<u32> {
        self.state_at_kill.is_none().then_some(self.launch.id)
    }

    /// Returns its present state, or `None` if it was killed. Users and mail are queried only with
    /// `include_users`, as that takes time.
    ///
    /// # Errors
    /// It does not answer, or has exited by itself.
    pub(super) fn view(
        &mut self,
        live_parent: Option<u32>,
        include_users: bool,
    ) -> Result<Option<ServerView>, RunError> {
        if self.state_at_kill.is_some() {
            return Ok(None);
        }
        let links = self.query("links")?;
        let links = links.as_array().and_then(|links| links.iter().map(parse_link_view).collect());
        let Some(links): Option<Vec<_>> = links else {
            return Err(self.error("an answer to `links` that is not understood"));
        };
        let is_attached = |id| links.iter().any(|link| link.peer == LinkPeer::Server(id));
        let is_refused = match live_parent {
            Some(parent) if !is_attached(parent) => {
                self.query_state()?.1.contains(&id_taken_text(self.launch.id))
            }
            _ => false,
        };
        let users = if include_users { self.query_users(&links)? } else { Vec::new() };
        let mail = if include_users { self.query_mail()? } else { Vec::new() };
        Ok(Some(ServerView {
            name: self.launch.servername.clone(),
            id: self.launch.id,
            live_parent,
            is_refused,
            links,
            users,
            mail_recipients: mail.into_iter().map(|(address, _)| address).collect(),
        }))
    }

    fn query_users(&mut self, links: &[LinkView]) -> Result<Vec<KnownUser>, RunError> {
        let users = self.query("users")?;
        let user = |user: &Value| {
            let (id, via) = (parse_id(&user["id"])?, self::parse_id(&user["first_link_id"])?);
            let is_next = links.iter().any(|link| link.peer == LinkPeer::Server(via));
            let name = user["name"].as_str()?.to_owned();
            Some(KnownUser { id, name, is_reachable: is_next || via == id })
        };
        let users = users.as_array().and_then(|users| users.iter().map(user).collect());
        users.ok_or_else(|| self.error("an answer to `users` that is not understood"))
    }

    /// Returns the recipients of stored mail, with the number of messages.
    fn query_mail(&mut self) -> Result<Vec<(i64, u64)>, RunError> {
        let mail = self.query("mail")?;
        let row = |row: &Value| Some((row["id"].as_i64()?, row["messages"].as_u64()?));
        let rows = mail["waiting"].as_array().and_then(|rows| rows.iter().map(row).collect());
        rows.ok_or_else(|| self.error("an answer to `mail` that is not understood"))
    }

    /// Returns its lists, those before the kill if it was killed.
    pub(super) fn state(&mut self) -> Result<HostState, RunError> {
        match &self.state_at_kill {
            Some(state) => Ok(state.clone()),
            None => Ok(self.query_state()?.0),
        }
    }

    /// Kills it, and keeps its lists.
    pub(super) fn kill(&mut self) -> Result<(), RunError> {
        if self.state_at_kill.is_none() {
            self.state_at_kill = Some(self.query_state()?.0);
            self.process.kill().map_err(|error| self.error(&error))?;
        }
        Ok(())
    }

    pub(super) fn log_tail(&self) -> Vec<String> {
        self.process.log_tail()
    }

    /// Returns its lists, and the texts of the statuses separately.
    fn query_state(&mut self) -> Result<(HostState, Vec<String>), RunError> {
        let (value, mail) = (self.query("state")?, self.query_mail()?);
        let read = || {
            let list = |name: &str| value[name].as_array();
            let ids = |name: &str| list(name)?.iter().map(parse_id).collect::<Option<Vec<_>>>();
            let mut state = HostState::default();
            state.set_ids(Key::AdjacentUserIds, ids("adjacent_user_ids")?);
            state.set_ids(Key::AdjacentServerIds, ids("adjacent_server_ids")?);
            let hosts = list("hosts")?.iter().map(|host| parse_id(&host["id"]));
            state.set_ids(Key::HostsDb, hosts.collect::<Option<Vec<_>>>()?);
            let is_user = |host: &&Value| host["kind"] == "user";
            let users: Vec<_> = list("hosts")?.iter().filter(is_user).collect();
            let name = |user: &&Value| Some(user["name"].as_str()?.to_owned());
            state.set(Key::KnownUserNames, users.iter().map(name).collect::<Option<_>>()?);
            let adjacent_ids = list("adjacent_user_ids")?;
            let adjacent = users.iter().filter(|user| adjacent_ids.contains(&user["id"]));
            state.set(Key::AdjacentUserNames, adjacent.map(name).collect::<Option<_>>()?);
            let rooms = list("rooms")?.iter().map(|room| {
                let (here, elsewhere) = (&room["members_here"], &room["members_elsewhere"]);
                let name = room["name"].as_str()?;
                Some(format!("{name}: {here} here, {elsewhere} elsewhere"))
            });
            state.set(Key::Rooms, rooms.collect::<Option<_>>()?);
            let texts = list("status_updates")?.iter().map(|text| Some(text.as_str()?.to_owned()));
            let texts: Vec<_> = texts.collect::<Option<_>>()?;
            state.set(Key::StatusUpdatesLog, texts.clone());
            Some((state, texts))
        };
        let Some((mut state, texts)) = read() else {
            return Err(self.error("an answer to `state` that is not understood"));
        };
        let waiting = mail.iter().map(|(address, count)| format!("{address}: {count}"));
        state.set(Key::MailWaiting, waiting.collect());
        if let Some(proxy) = &self.proxy {
            state.set(Key::FirstFrames, proxy.first_frames());
        }
        Ok((state, texts))
    }

    fn query(&mut self, command: &str) -> Result<Value, RunError> {
        let answer = self.control.request(command);
        answer.map_err(|error| match self.process.try_wait() {
            Ok(Some(status)) => self.error(format!("has exited by itself, {status}")),
            _ => self.error(format!("`{command}` over the control socket: {error}")),
        })
    }

    fn error(&self, message: impl std::fmt::Display) -> RunError {
        RunError(format!("server {}: {message}", Printable(self.launch.servername.as_bytes())))
    }
}

/// Returns the address of the listener of a wire; a server has one for each.
fn address_of(listeners: &[(Wire, SocketAddr)], wire: Wire) -> SocketAddr {
    listeners.iter().find(|(of, _)| *of == wire).expect("a listener for each wire").1
}

/// Waits for the line with the address of a listener.
pub(crate) fn wait_for_listener(
    process: &mut Process,
    scheme: &str,
) -> Result<SocketAddr, RunError> {
    match process.read_line_within(TIMEOUT) {
        ReadResult::Line(line) => {
            let prefix = format!("listening {scheme} ");
            let address = line.strip_prefix(&prefix).and_then(|text| text.parse().ok());
            address.ok_or_else(|| {
                let line = Printable(line.as_bytes());
                RunError::new(format!("expected `{prefix}ADDR` and it printed `{line}`"))
            })
        }
        ReadResult::Pending => Err(RunError::new("it does not say where it listens")),
        ReadResult::Closed => {
            let mut text = "it ended before it listened".to_owned();
            for line in process.log_tail() {
                text = text + "\n  " + &line;
            }
            Err(RunError(text))
        }
    }
}

fn parse_id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

fn parse_link_view(link: &Value) -> Option<LinkView> {
    let count = |name: &str| link[name].as_u64();
    Some(LinkView {
        peer: match link["kind"].as_str()? {
            "server" => LinkPeer::Server(parse_id(&link["id"])?),
            "user" => {
                let wire = Wire::by_name(link["wire"].as_str()?)?;
                let identity = if wire == Wire::CRC {
                    parse_id(&link["id"])?.to_string()
                } else {
                    link["name"].as_str()?.to_owned()
                };
                LinkPeer::User(User::new(wire, identity))
            }
            _ => LinkPeer::Unregistered,
        },
        frames_in: count("frames_in")?,
        frames_out: count("frames_out")?,
        bytes_in: count("bytes_in")?,
        bytes_out: count("bytes_out")?,
        queue_bytes: count("queue_bytes")?,
    })
}
