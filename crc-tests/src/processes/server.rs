//! One `crc server` process: started, looked at through its control socket, killed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use crc::printable::Printable;
use serde_json::Value;

use super::PATIENCE;
use super::child::{Output, Process};
use super::control::Control;
use super::proxy::Proxy;
use super::quiet::{LinkView, Peer, ServerView, User};
use crate::backend::{Fault, KnownUser, refusal};
use crate::command::{LaunchServer, Wire};
use crate::state::{Key, NodeState};

/// What a server needs to know that its case does not say.
pub(super) struct Place<'a> {
    pub(super) binary: &'a Path,
    pub(super) listen: SocketAddr,
    /// What stands in front of it.
    pub(super) proxy: Option<Rc<Proxy>>,
    pub(super) parent: Option<SocketAddr>,
    pub(super) log: PathBuf,
    pub(super) control: PathBuf,
    /// The file in which its mail outlives it.
    pub(super) mailbox: Option<PathBuf>,
}

/// A server, running or killed.
pub(super) struct Server {
    launch: LaunchServer,
    process: Process,
    control: Control,
    parent: Option<SocketAddr>,
    /// Where others find it: the proxy's address where there is one.
    public_address: SocketAddr,
    /// Its doors for the other wires, on ports that no case can name.
    doors: BTreeMap<Wire, SocketAddr>,
    proxy: Option<Rc<Proxy>>,
    launched_at: Instant,
    /// After a kill, what it was before.
    last_state: Option<NodeState>,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(super) fn start(launch: &LaunchServer, place: Place<'_>) -> Result<Self, Fault> {
        let any_port = SocketAddr::new(place.listen.ip(), 0);
        let mut arguments = vec![
            "server".to_owned(),
            format!("--listen={}", place.listen),
            format!("--direct={any_port}"),
            format!("--classic={any_port}"),
            format!("--id={}", launch.id),
            format!("--name={}", launch.servername),
            format!("--info={}", launch.info),
            format!("--control={}", place.control.display()),
        ];
        arguments.extend(place.parent.map(|parent| format!("--parent={parent}")));
        let grace = launch.split_grace.map(|grace| grace.as_secs_f64());
        arguments.extend(grace.map(|seconds| format!("--split-grace={seconds}")));
        let interval = launch.classic_interval.map(|interval| interval.as_secs_f64());
        arguments.extend(interval.map(|seconds| format!("--classic-interval={seconds}")));
        arguments.extend(place.mailbox.map(|path| format!("--mailbox={}", path.display())));
        let mut process = Process::start(place.binary, arguments, place.log)
            .map_err(|error| Fault::new(format!("cannot be started: {error}")))?;
        let mut doors = BTreeMap::new();
        for wire in Wire::ALL {
            doors.insert(wire, listening(&mut process, wire)?);
        }
        let address = doors[&Wire::Crc];
        let control = Control::connect(&place.control)
            .map_err(|error| Fault::new(format!("its control socket: {error}")))?;
        if let Some(proxy) = &place.proxy {
            proxy.lead_to(address);
        }
        let public_address = place.proxy.as_ref().map_or(address, |proxy| proxy.address());
        doors.insert(Wire::Crc, public_address);
        Ok(Self {
            launch: launch.clone(),
            process,
            control,
            parent: place.parent,
            public_address,
            doors,
            proxy: place.proxy,
            launched_at: Instant::now(),
            last_state: None,
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

    /// Where clients of a wire find it.
    pub(super) fn door(&self, wire: Wire) -> SocketAddr {
        self.doors[&wire]
    }

    pub(super) fn parent(&self) -> Option<SocketAddr> {
        self.parent
    }

    /// Its id, unless it was killed.
    pub(super) fn live_id(&self) -> Option<u32> {
        self.last_state.is_none().then_some(self.launch.id)
    }

    /// How it is now; none when it was killed. Its users and its mail are looked at only where they
    /// matter, as that takes time.
    ///
    /// # Errors
    /// It does not answer, perhaps because it has died by itself.
    pub(super) fn look(
        &mut self,
        live_parent: Option<u32>,
        with_users: bool,
    ) -> Result<Option<ServerView>, Fault> {
        if self.last_state.is_some() {
            return Ok(None);
        }
        let links = self.ask("links")?;
        let links = links.as_array().and_then(|links| links.iter().map(link_view).collect());
        let Some(links): Option<Vec<_>> = links else {
            return Err(self.fault("an answer to `links` that is not understood"));
        };
        let is_attached = |id| links.iter().any(|link| link.peer == Peer::Server(id));
        let is_refused = match live_parent {
            Some(parent) if !is_attached(parent) => {
                self.read_state()?.1.contains(&refusal(self.launch.id))
            }
            _ => false,
        };
        let users = if with_users { self.users(&links)? } else { Vec::new() };
        let mail = if with_users { self.mail()? } else { Vec::new() };
        Ok(Some(ServerView {
            name: self.launch.servername.clone(),
            id: self.launch.id,
            live_parent,
            is_refused,
            links,
            users,
            mail: mail.into_iter().map(|(address, _)| address).collect(),
        }))
    }

    fn users(&mut self, links: &[LinkView]) -> Result<Vec<KnownUser>, Fault> {
        let users = self.ask("users")?;
        let user = |user: &Value| {
            let (id, via) = (id(&user["id"])?, self::id(&user["first_link_id"])?);
            let is_next = links.iter().any(|link| link.peer == Peer::Server(via));
            let name = user["name"].as_str()?.to_owned();
            Some(KnownUser { id, name, is_there: is_next || via == id })
        };
        let users = users.as_array().and_then(|users| users.iter().map(user).collect());
        users.ok_or_else(|| self.fault("an answer to `users` that is not understood"))
    }

    /// For whom mail waits, and how much.
    fn mail(&mut self) -> Result<Vec<(i64, u64)>, Fault> {
        let mail = self.ask("mail")?;
        let row = |row: &Value| Some((row["id"].as_i64()?, row["messages"].as_u64()?));
        let rows = mail["waiting"].as_array().and_then(|rows| rows.iter().map(row).collect());
        rows.ok_or_else(|| self.fault("an answer to `mail` that is not understood"))
    }

    /// Its lists, or those that it had when it was killed.
    pub(super) fn state(&mut self) -> Result<NodeState, Fault> {
        match &self.last_state {
            Some(state) => Ok(state.clone()),
            None => Ok(self.read_state()?.0),
        }
    }

    /// Kills it; its lists of just before remain.
    pub(super) fn kill(&mut self) -> Result<(), Fault> {
        if self.last_state.is_none() {
            self.last_state = Some(self.read_state()?.0);
            self.process.kill().map_err(|error| self.fault(&error))?;
        }
        Ok(())
    }

    pub(super) fn log_end(&self) -> Vec<String> {
        self.process.log_end()
    }

    /// Its lists, and the texts of the statuses apart.
    fn read_state(&mut self) -> Result<(NodeState, Vec<String>), Fault> {
        let (value, mail) = (self.ask("state")?, self.mail()?);
        let read = || {
            let list = |name: &str| value[name].as_array();
            let ids = |name: &str| list(name)?.iter().map(id).collect::<Option<Vec<_>>>();
            let mut state = NodeState::default();
            state.set_ids(Key::AdjacentUserIds, ids("adjacent_user_ids")?);
            state.set_ids(Key::AdjacentServerIds, ids("adjacent_server_ids")?);
            let hosts = list("hosts")?.iter().map(|host| id(&host["id"]));
            state.set_ids(Key::HostsDb, hosts.collect::<Option<Vec<_>>>()?);
            let is_user = |host: &&Value| host["kind"] == "user";
            let users: Vec<_> = list("hosts")?.iter().filter(is_user).collect();
            let name = |user: &&Value| Some(user["name"].as_str()?.to_owned());
            state.set(Key::KnownUserNames, users.iter().map(name).collect::<Option<_>>()?);
            let own = list("adjacent_user_ids")?;
            let adjacent = users.iter().filter(|user| own.contains(&user["id"]));
            state.set(Key::AdjacentUserNames, adjacent.map(name).collect::<Option<_>>()?);
            let texts = list("status_updates")?.iter().map(|text| Some(text.as_str()?.to_owned()));
            let texts: Vec<_> = texts.collect::<Option<_>>()?;
            state.set(Key::StatusUpdatesLog, texts.clone());
            Some((state, texts))
        };
        let Some((mut state, texts)) = read() else {
            return Err(self.fault("an answer to `state` that is not understood"));
        };
        let waiting = mail.iter().map(|(address, count)| format!("{address}: {count}"));
        state.set(Key::MailWaiting, waiting.collect());
        if let Some(proxy) = &self.proxy {
            state.set(Key::FirstFrames, proxy.first_frames());
        }
        Ok((state, texts))
    }

    fn ask(&mut self, command: &str) -> Result<Value, Fault> {
        let answer = self.control.ask(command);
        answer.map_err(|error| match self.process.ended() {
            Ok(Some(status)) => self.fault(format!("has died by itself, {status}")),
            _ => self.fault(format!("`{command}` over the control socket: {error}")),
        })
    }

    fn fault(&self, what: impl std::fmt::Display) -> Fault {
        Fault(format!("server {}: {what}", Printable(self.launch.servername.as_bytes())))
    }
}

/// Waits for the line that tells where it listens.
pub(crate) fn listening(process: &mut Process, wire: Wire) -> Result<SocketAddr, Fault> {
    match process.wait_line(PATIENCE) {
        Output::Line(line) => {
            let beginning = format!("listening {} ", wire.name());
            let address = line.strip_prefix(&beginning).and_then(|text| text.parse().ok());
            address.ok_or_else(|| {
                let line = Printable(line.as_bytes());
                Fault::new(format!("expected `{beginning}ADDR` and it printed `{line}`"))
            })
        }
        Output::Nothing => Err(Fault::new("it does not say where it listens")),
        Output::Closed => {
            let mut text = "it ended before it listened".to_owned();
            for line in process.log_end() {
                text = text + "\n  " + &line;
            }
            Err(Fault(text))
        }
    }
}

fn id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

fn link_view(link: &Value) -> Option<LinkView> {
    let count = |name: &str| link[name].as_u64();
    Some(LinkView {
        peer: match link["kind"].as_str()? {
            "server" => Peer::Server(id(&link["id"])?),
            "user" => {
                let door = link["door"].as_str()?;
                let wire = Wire::ALL.into_iter().find(|wire| wire.name() == door)?;
                Peer::User(User::new(
                    wire,
                    match wire {
                        Wire::Crc => id(&link["id"])?.to_string(),
                        Wire::Direct | Wire::Classic => link["name"].as_str()?.to_owned(),
                    },
                ))
            }
            _ => Peer::Unregistered,
        },
        frames_in: count("frames_in")?,
        frames_out: count("frames_out")?,
        bytes_in: count("bytes_in")?,
        bytes_out: count("bytes_out")?,
        queue_bytes: count("queue_bytes")?,
    })
}
