//! Plays a case on the real binary, over loopback.
//!
//! Owns the processes of one case and all their traces on disk; dropping it ends and removes them.
//! Waits on conditions with deadlines; only a case's own `WAIT` goes by the clock, and that only
//! where time itself has something to bring: the end of a grace, or of a life.

pub(crate) mod child;
mod client;
mod control;
mod proxy;
mod quiet;
pub(crate) mod server;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crc::printable::Printable;
use tempfile::TempDir;

use self::client::Client;
use self::proxy::Proxy;
use self::quiet::{Snapshot, Unrest};
use self::server::{Place, Server};
use crate::backend::{Backend, Fault};
use crate::command::{Action, Endpoint, LaunchClient, LaunchServer, Wire};
use crate::ports::Ports;
use crate::state::{Key, NodeState};

/// How long the network may take to come to rest, and a process to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at something that is not there yet.
const PAUSE: Duration = Duration::from_millis(2);

/// How processes are run.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// The `crc` to test.
    pub binary: PathBuf,
    /// `WAIT` always goes by the clock.
    pub real_waits: bool,
    /// Set when the user wants to stop.
    pub interrupted: Arc<AtomicBool>,
}

/// The processes of one case.
pub struct Processes {
    // Dropped before the directory that their sockets and logs are in.
    servers: Vec<Server>,
    clients: Vec<Client>,
    /// Where its servers listen.
    address: IpAddr,
    ports: Ports<SocketAddr>,
    /// In front of servers, by the address that everyone knows of; only where frames are recorded.
    proxies: BTreeMap<SocketAddr, Rc<Proxy>>,
    options: ProcessOptions,
    records_first_frames: bool,
    /// Something was killed or frozen or must show signs of life, so `WAIT` may be about the time that
    /// passes.
    is_time_awaited: bool,
    /// A client of another wire than CRC was launched.
    has_other_wires: bool,
    /// The servername and port of each server that was given a mailbox, in the order of their files.
    mailboxes: Vec<(String, String)>,
    dir: TempDir,
}

impl Processes {
    /// None running yet.
    ///
    /// # Errors
    /// There is no place for their logs and sockets.
    pub fn new(options: ProcessOptions, records_first_frames: bool) -> Result<Self, Fault> {
        let dir = tempfile::Builder::new().prefix("crc-tests-").tempdir();
        Ok(Self {
            servers: Vec::new(),
            clients: Vec::new(),
            address: own_address(),
            ports: Ports::new(),
            proxies: BTreeMap::new(),
            options,
            records_first_frames,
            is_time_awaited: false,
            has_other_wires: false,
            mailboxes: Vec::new(),
            dir: dir.map_err(|error| Fault::new(format!("a temporary directory: {error}")))?,
        })
    }

    /// The newest server of a name.
    fn server(&mut self, name: &str) -> Result<&mut Server, Fault> {
        let found = self.servers.iter_mut().rev().find(|server| server.name() == name);
        found.ok_or_else(|| Fault::new("it was never launched"))
    }

    /// The newest client of a name.
    fn client(&mut self, name: &str) -> Result<&mut Client, Fault> {
        let found = self.clients.iter_mut().rev().find(|client| client.name() == name);
        found.ok_or_else(|| Fault::new("it was never launched"))
    }

    /// One look at everything that lives.
    fn snapshot(&mut self) -> Result<Snapshot, Fault> {
        let mut snapshot = Snapshot::default();
        let mut places = Vec::new();
        for at in 0..self.servers.len() {
            let live_parent = self.live_parent(at);
            let server = &mut self.servers[at];
            if let Some(view) = server.look(live_parent, self.has_other_wires)? {
                snapshot.servers.push(view);
                places.push((server.public_address(), server.launched_at()));
            }
        }
        for client in &mut self.clients {
            // A server launched anew at the same place is not the one that it was welcomed by.
            let server = places.iter().position(|&(address, launched_at)| {
                address == client.server_address() && launched_at <= client.launched_at()
            });
            snapshot.clients.push(client.look(server)?);
        }
        Ok(snapshot)
    }

    /// The file for the mail of a server, the same whenever it is launched.
    fn mailbox(&mut self, launch: &LaunchServer) -> PathBuf {
        let owner = (launch.servername.clone(), launch.port.clone());
        let at = self.mailboxes.iter().position(|known| *known == owner).unwrap_or_else(|| {
            self.mailboxes.push(owner);
            self.mailboxes.len() - 1
        });
        self.dir.path().join(format!("mailbox{at}"))
    }

    /// The id of a server's parent, if that lives.
    fn live_parent(&self, at: usize) -> Option<u32> {
        let address = self.servers[at].parent()?;
        let mut others = self.servers.iter().rev();
        others.find(|other| other.public_address() == address)?.live_id()
    }

    /// Where an endpoint is; one that no server is at yet gets its address now.
    fn resolve(&mut self, endpoint: &Endpoint) -> Result<SocketAddr, Fault> {
        let address = self.address;
        let proxies = self.records_first_frames.then_some(&mut self.proxies);
        self.ports.resolve(endpoint, || match proxies {
            Some(proxies) => Ok(open_proxy(proxies, address)?.address()),
            // Bound once to learn of a free port; nobody else uses this address meanwhile.
            None => TcpListener::bind((address, 0))
                .and_then(|listener| listener.local_addr())
                .map_err(|error| Fault::new(format!("a free port: {error}"))),
        })
    }

    fn check_interrupted(&self) -> Result<(), Fault> {
        match self.options.interrupted.load(Ordering::Relaxed) {
            true => Err(Fault::new("interrupted")),
            false => Ok(()),
        }
    }

    fn log_path(&self, kind: &str, count: usize) -> PathBuf {
        // Numbered: a name may be too long for a file, and hold anything.
        self.dir.path().join(format!("{kind}{count}.log"))
    }

    /// Whether time brings what quiet does not: the end of a grace after something was killed, that of
    /// a life, and after a refusal another attempt or the grant of a claim.
    fn is_time_needed(&mut self) -> Result<bool, Fault> {
        if self.is_time_awaited || self.options.real_waits {
            return Ok(true);
        }
        self.settle()?; // what was refused is known then
        let mut states = Vec::new();
        for server in &mut self.servers {
            states.push(server.state()?);
        }
        for client in &mut self.clients {
            states.push(client.state()?);
        }
        let mut statuses = states.iter().flat_map(|state| state.items(Key::StatusUpdatesLog));
        Ok(statuses.any(|text| text.contains("has already registered with ID")))
    }
}

impl Backend for Processes {
    fn launch_server(&mut self, launch: &LaunchServer) -> Result<(), Fault> {
        let parent = launch.connect_to.as_ref().map(|endpoint| self.resolve(endpoint));
        let parent = parent.transpose()?;
        let lives =
            |name: &str| self.servers.iter().any(|s| s.name() == name && s.live_id().is_some());
        let reserved = self.ports.reserved(&launch.servername, &launch.port, |name| !lives(name));
        let any = (self.address, 0).into();
        let (listen, proxy) = match (reserved, self.records_first_frames) {
            (Some(address), false) => (address, None),
            (None, false) => (any, None),
            (Some(address), true) => (any, self.proxies.get(&address).cloned()),
            (None, true) => (any, Some(open_proxy(&mut self.proxies, any.ip())?)),
        };
        let mailbox = launch.has_mailbox.then(|| self.mailbox(launch));
        let place = Place {
            binary: &self.options.binary,
            listen,
            proxy,
            parent,
            log: self.log_path("server", self.servers.len()),
            control: self.dir.path().join(format!("{}.sock", self.servers.len())),
            mailbox,
        };
        let server = Server::start(launch, place)?;
        self.ports.launched(&launch.servername, &launch.port, server.public_address());
        self.servers.push(server);
        self.is_time_awaited |= launch.classic_interval.is_some();
        Ok(())
    }

    fn launch_client(&mut self, launch: &LaunchClient) -> Result<(), Fault> {
        let address = self.resolve(&launch.server)?;
        let mut servers = self.servers.iter();
        let server = servers.find(|s| s.public_address() == address && s.live_id().is_some());
        let door = match (server, launch.wire) {
            (Some(server), wire) => server.door(wire),
            (None, Wire::Crc) => address,
            (None, _) => return Err(Fault::new("no server listens there")),
        };
        self.has_other_wires |= launch.wire != Wire::Crc;
        let log = self.log_path("client", self.clients.len());
        let client = Client::start(launch, &self.options.binary, address, door, log)?;
        self.clients.push(client);
        Ok(())
    }

    fn client_command(&mut self, username: &str, action: &Action) -> Result<(), Fault> {
        self.client(username)?.command(action)
    }

    fn wait(&mut self, duration: Duration) -> Result<(), Fault> {
        if self.is_time_needed()? {
            let until = Instant::now() + duration;
            while let left = until.saturating_duration_since(Instant::now())
                && !left.is_zero()
            {
                self.check_interrupted()?;
                thread::sleep(left.min(Duration::from_millis(50)));
            }
        }
        self.settle()
    }

    fn kill(&mut self, name: &str) -> Result<(), Fault> {
        self.is_time_awaited = true;
        let server = self.server(name).map(|server| server.launched_at());
        match (server, self.client(name)) {
            (Ok(at), Ok(client)) if client.launched_at() > at => client.kill(),
            (Ok(_), _) => self.server(name)?.kill(),
            (Err(_), client) => client?.kill(),
        }
    }

    fn freeze(&mut self, username: &str) -> Result<(), Fault> {
        self.is_time_awaited = true;
        self.client(username)?.freeze()
    }

    fn settle(&mut self) -> Result<(), Fault> {
        let deadline = Instant::now() + PATIENCE;
        let mut before = None;
        loop {
            self.check_interrupted()?;
            let snapshot = self.snapshot()?.without_fences();
            let unrest = match snapshot.check() {
                Ok(()) if before.as_ref() == Some(&snapshot) => return Ok(()),
                Ok(()) => None,
                Err(unrest) => Some(unrest),
            };
            if Instant::now() > deadline {
                let unrest =
                    unrest.as_ref().map_or("counters that never rest".into(), Unrest::to_string);
                let seconds = PATIENCE.as_secs();
                return Err(Fault::new(format!("not quiet after {seconds} s: {unrest}")));
            }
            before = unrest.is_none().then_some(snapshot);
            if before.is_none() {
                thread::sleep(PAUSE);
            } else {
                self.clients.iter_mut().try_for_each(Client::fence)?;
            }
        }
    }

    fn server_state(&mut self, servername: &str) -> Result<NodeState, Fault> {
        self.server(servername)?.state()
    }

    fn client_state(&mut self, username: &str) -> Result<NodeState, Fault> {
        self.client(username)?.state()
    }

    fn trace(&mut self) -> Vec<String> {
        let servers = self.servers.iter().map(|server| (server.name(), server.log_end()));
        let clients = self.clients.iter().map(|client| (client.name(), client.log_end()));
        let titled = servers.chain(clients).filter(|(_, log)| !log.is_empty());
        titled.flat_map(|(name, log)| log_section(name, log)).collect()
    }
}

fn log_section(name: &str, log: Vec<String>) -> impl Iterator<Item = String> {
    let title = format!("log of {}", Printable(name.as_bytes()));
    std::iter::once(title).chain(log.into_iter().map(|line| format!("  {line}")))
}

/// Where the servers of one case listen.
///
/// On Linux, where all of 127.0.0.0/8 is this machine, every case has an address of its own: a child
/// that dials its dead parent again cannot come upon a server of another case to which the system
/// gave that port meanwhile.
fn own_address() -> IpAddr {
    static CASES: AtomicU32 = AtomicU32::new(0);
    let case = CASES.fetch_add(1, Ordering::Relaxed) % 200;
    let [.., b, c] = std::process::id().wrapping_mul(251).to_be_bytes();
    let own = Ipv4Addr::new(127, b, c, 2 + case as u8);
    let is_ours = cfg!(target_os = "linux") && TcpListener::bind((own, 0)).is_ok();
    if is_ours { own.into() } else { Ipv4Addr::LOCALHOST.into() }
}

/// Opens a proxy on the address of the case.
fn open_proxy(
    proxies: &mut BTreeMap<SocketAddr, Rc<Proxy>>,
    address: IpAddr,
) -> Result<Rc<Proxy>, Fault> {
    let proxy = Proxy::open(address).map_err(|error| Fault::new(format!("a proxy: {error}")))?;
    let proxy = Rc::new(proxy);
    proxies.insert(proxy.address(), Rc::clone(&proxy));
    Ok(proxy)
}
