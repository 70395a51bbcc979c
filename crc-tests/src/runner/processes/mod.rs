//! Runs a case on the real binary, over loopback.
//!
//! A [`ProcessBackend`] owns the processes and files of one case, and ends and removes them when it
//! is dropped. It waits for conditions with deadlines. Only `WAIT` takes its time, and only where
//! timers matter: those of a split grace, of a classic client, or of another attempt to join.

mod client;
mod control;
mod event_line;
mod proxy;
mod quiescence;
pub(crate) mod server;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crc::internal::Printable;
use crc::wires::Wire;
use tempfile::TempDir;

use self::client::Client;
use self::proxy::Proxy;
use self::quiescence::{NotQuiescent, Snapshot};
use self::server::{Server, ServerConfig};
use crate::runner::backend::{Backend, RunError};
use crate::runner::command::{Action, Endpoint, LaunchClient, LaunchServer};
use crate::runner::port_map::PortMap;
use crate::runner::state::{HostState, Key};

/// Maximum time for a network to become quiescent, and for a process to start.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Interval between two polls of a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The options of processes.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// The `crc` to test.
    pub binary: PathBuf,
    /// Whether `WAIT` always takes its time.
    pub real_waits: bool,
    /// Set when the user interrupts the run.
    pub interrupted: Arc<AtomicBool>,
}

/// The processes of one case.
pub struct ProcessBackend {
    // Dropped before the directory of their sockets and logs.
    servers: Vec<Server>,
    clients: Vec<Client>,
    /// The address on which its servers listen.
    listen_ip: IpAddr,
    ports: PortMap<SocketAddr>,
    /// The proxies in front of servers, by public address, where first frames are recorded.
    proxies: BTreeMap<SocketAddr, Rc<Proxy>>,
    options: ProcessOptions,
    records_first_frames: bool,
    /// Whether a host was killed or frozen, or a classic interval was set, so that timers matter.
    case_depends_on_time: bool,
    /// Whether a client of another wire than CRC was launched.
    has_non_crc_clients: bool,
    /// Whether a client was asked for something about rooms.
    has_rooms: bool,
    /// The name and port of each server with a mailbox, in the order of their files.
    mailbox_owners: Vec<(String, String)>,
    dir: TempDir,
}

impl ProcessBackend {
    /// Returns a network without processes.
    ///
    /// # Errors
    /// The directory for logs and sockets cannot be created.
    pub fn new(options: ProcessOptions, records_first_frames: bool) -> Result<Self, RunError> {
        let dir = tempfile::Builder::new().prefix("crc-tests-").tempdir();
        Ok(Self {
            servers: Vec::new(),
            clients: Vec::new(),
            listen_ip: case_address(),
            ports: PortMap::new(),
            proxies: BTreeMap::new(),
            options,
            records_first_frames,
            case_depends_on_time: false,
            has_non_crc_clients: false,
            has_rooms: false,
            mailbox_owners: Vec::new(),
            dir: dir.map_err(|error| RunError::new(format!("a temporary directory: {error}")))?,
        })
    }

    /// Returns the newest server of a name.
    fn server_mut(&mut self, name: &str) -> Result<&mut Server, RunError> {
        let found = self.servers.iter_mut().rev().find(|server| server.name() == name);
        found.ok_or_else(|| RunError::new("was never launched"))
    }

    /// Returns the newest client of a name.
    fn client_mut(&mut self, name: &str) -> Result<&mut Client, RunError> {
        let found = self.clients.iter_mut().rev().find(|client| client.name() == name);
        found.ok_or_else(|| RunError::new("was never launched"))
    }

    /// Returns the present state of all running processes.
    fn snapshot(&mut self) -> Result<Snapshot, RunError> {
        let mut snapshot = Snapshot::default();
        let mut live_servers = Vec::new();
        for index in 0..self.servers.len() {
            let live_parent = self.live_parent(index);
            let server = &mut self.servers[index];
            if let Some(view) = server.view(live_parent, self.has_non_crc_clients)? {
                snapshot.servers.push(view);
                live_servers.push((server.public_address(), server.launched_at()));
            }
        }
        for client in &mut self.clients {
            // A server relaunched at the same address is not the one that the client joined.
            let server = live_servers.iter().position(|&(address, launched_at)| {
                address == client.server_address() && launched_at <= client.launched_at()
            });
            snapshot.clients.push(client.view(server, self.has_rooms)?);
        }
        Ok(snapshot)
    }

    /// Returns the mailbox file of a server, the same for each launch.
    fn mailbox_path(&mut self, launch: &LaunchServer) -> PathBuf {
        let owner = (launch.servername.clone(), launch.port.clone());
        let index =
            self.mailbox_owners.iter().position(|known| *known == owner).unwrap_or_else(|| {
                self.mailbox_owners.push(owner);
                self.mailbox_owners.len() - 1
            });
        self.dir.path().join(format!("mailbox{index}"))
    }

    /// Returns the id of a server's parent, if it runs.
    fn live_parent(&self, index: usize) -> Option<u32> {
        let address = self.servers[index].parent()?;
        let mut servers = self.servers.iter().rev();
        servers.find(|other| other.public_address() == address)?.running_id()
    }

    /// Returns the address of an endpoint, and allocates one if it has none.
    fn resolve(&mut self, endpoint: &Endpoint) -> Result<SocketAddr, RunError> {
        let address = self.listen_ip;
        let proxies = self.records_first_frames.then_some(&mut self.proxies);
        self.ports.resolve(endpoint, || match proxies {
            Some(proxies) => Ok(open_proxy(proxies, address)?.address()),
            // Bound once to find a free port. No other process uses this IP address.
            None => TcpListener::bind((address, 0))
                .and_then(|listener| listener.local_addr())
                .map_err(|error| RunError::new(format!("a free port: {error}"))),
        })
    }

    fn check_interrupted(&self) -> Result<(), RunError> {
        match self.options.interrupted.load(Ordering::Relaxed) {
            true => Err(RunError::new("interrupted")),
            false => Ok(()),
        }
    }

    fn log_path(&self, kind: &str, count: usize) -> PathBuf {
        // Numbered, as a name may be too long or invalid for a file.
        self.dir.path().join(format!("{kind}{count}.log"))
    }

    /// Returns whether timers matter to the case: those of a split grace, of a classic client, or
    /// of another attempt after a refusal.
    fn needs_real_wait(&mut self) -> Result<bool, RunError> {
        if self.case_depends_on_time || self.options.real_waits {
            return Ok(true);
        }
        self.wait_until_quiescent()?; // what was refused is known then
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

impl Backend for ProcessBackend {
    fn launch_server(&mut self, launch: &LaunchServer) -> Result<(), RunError> {
        let parent = launch.connect_to.as_ref().map(|endpoint| self.resolve(endpoint));
        let parent = parent.transpose()?;
        let is_running =
            |name: &str| self.servers.iter().any(|s| s.name() == name && s.running_id().is_some());
        let reserved =
            self.ports.reserved(&launch.servername, &launch.port, |name| !is_running(name));
        let any_port = (self.listen_ip, 0).into();
        let (listen, proxy) = match (reserved, self.records_first_frames) {
            (Some(address), false) => (address, None),
            (None, false) => (any_port, None),
            (Some(address), true) => (any_port, self.proxies.get(&address).cloned()),
            (None, true) => (any_port, Some(open_proxy(&mut self.proxies, any_port.ip())?)),
        };
        let mailbox = launch.has_mailbox.then(|| self.mailbox_path(launch));
        let config = ServerConfig {
            binary: &self.options.binary,
            listen,
            proxy,
            parent,
            log: self.log_path("server", self.servers.len()),
            control: self.dir.path().join(format!("{}.sock", self.servers.len())),
            mailbox,
        };
        let server = Server::start(launch, config)?;
        self.ports.record_launch(&launch.servername, &launch.port, server.public_address());
        self.servers.push(server);
        self.case_depends_on_time |= launch.classic_interval.is_some();
        Ok(())
    }

    fn launch_client(&mut self, launch: &LaunchClient) -> Result<(), RunError> {
        let address = self.resolve(&launch.server)?;
        let mut servers = self.servers.iter();
        let server = servers.find(|s| s.public_address() == address && s.running_id().is_some());
        let listener = match server {
            Some(server) => server.listener_address(launch.wire),
            None if launch.wire == Wire::CRC => address,
            None => return Err(RunError::new("no server listens there")),
        };
        self.has_non_crc_clients |= launch.wire != Wire::CRC;
        let log = self.log_path("client", self.clients.len());
        let client = Client::start(launch, &self.options.binary, address, listener, log)?;
        self.clients.push(client);
        Ok(())
    }

    fn client_command(&mut self, username: &str, action: &Action) -> Result<(), RunError> {
        self.has_rooms |= action.is_about_rooms();
        self.client_mut(username)?.type_command(action)
    }

    fn wait(&mut self, duration: Duration) -> Result<(), RunError> {
        if self.needs_real_wait()? {
            let deadline = Instant::now() + duration;
            while let remaining = deadline.saturating_duration_since(Instant::now())
                && !remaining.is_zero()
            {
                self.check_interrupted()?;
                thread::sleep(remaining.min(Duration::from_millis(50)));
            }
        }
        self.wait_until_quiescent()
    }

    fn kill(&mut self, name: &str) -> Result<(), RunError> {
        self.case_depends_on_time = true;
        let server_launched_at = self.server_mut(name).map(|server| server.launched_at());
        match (server_launched_at, self.client_mut(name)) {
            (Ok(at), Ok(client)) if client.launched_at() > at => client.kill(),
            (Ok(_), _) => self.server_mut(name)?.kill(),
            (Err(_), client) => client?.kill(),
        }
    }

    fn freeze(&mut self, username: &str) -> Result<(), RunError> {
        self.case_depends_on_time = true;
        self.client_mut(username)?.freeze()
    }

    fn wait_until_quiescent(&mut self) -> Result<(), RunError> {
        let deadline = Instant::now() + TIMEOUT;
        let mut previous = None;
        loop {
            self.check_interrupted()?;
            let snapshot = self.snapshot()?.without_fences();
            let not_quiescent = match snapshot.check_quiescent() {
                Ok(()) if previous.as_ref() == Some(&snapshot) => return Ok(()),
                Ok(()) => None,
                Err(unrest) => Some(unrest),
            };
            if Instant::now() > deadline {
                let unrest = not_quiescent
                    .as_ref()
                    .map_or("counters that never rest".into(), NotQuiescent::to_string);
                let seconds = TIMEOUT.as_secs();
                return Err(RunError::new(format!("not quiet after {seconds} s: {unrest}")));
            }
            previous = not_quiescent.is_none().then_some(snapshot);
            if previous.is_none() {
                thread::sleep(POLL_INTERVAL);
            } else {
                let has_rooms = self.has_rooms;
                let mut clients = self.clients.iter_mut();
                clients.try_for_each(|client| client.wait_for_fence(has_rooms))?;
            }
        }
    }

    fn server_state(&mut self, servername: &str) -> Result<HostState, RunError> {
        self.server_mut(servername)?.state()
    }

    fn client_state(&mut self, username: &str) -> Result<HostState, RunError> {
        self.client_mut(username)?.state()
    }

    fn trace(&mut self) -> Vec<String> {
        let servers = self.servers.iter().map(|server| (server.name(), server.log_tail()));
        let clients = self.clients.iter().map(|client| (client.name(), client.log_tail()));
        let titled = servers.chain(clients).filter(|(_, log)| !log.is_empty());
        titled.flat_map(|(name, log)| log_section(name, log)).collect()
    }
}

fn log_section(name: &str, log: Vec<String>) -> impl Iterator<Item = String> {
    let title = format!("log of {}", Printable(name.as_bytes()));
    std::iter::once(title).chain(log.into_iter().map(|line| format!("  {line}")))
}

/// Returns the IP address on which the servers of one case listen.
///
/// On Linux, where all of 127.0.0.0/8 is loopback, each case has an address of its own, so that a
/// server that redials its dead parent cannot reach a server of another case on a reused port.
fn case_address() -> IpAddr {
    static CASES: AtomicU32 = AtomicU32::new(0);
    let case = CASES.fetch_add(1, Ordering::Relaxed) % 200;
    let [.., b, c] = std::process::id().wrapping_mul(251).to_be_bytes();
    let address = Ipv4Addr::new(127, b, c, 2 + case as u8);
    let is_available = cfg!(target_os = "linux") && TcpListener::bind((address, 0)).is_ok();
    if is_available { address.into() } else { Ipv4Addr::LOCALHOST.into() }
}

/// Opens a proxy on the address of the case.
fn open_proxy(
    proxies: &mut BTreeMap<SocketAddr, Rc<Proxy>>,
    address: IpAddr,
) -> Result<Rc<Proxy>, RunError> {
    let proxy = Proxy::open(address).map_err(|error| RunError::new(format!("a proxy: {error}")))?;
    let proxy = Rc::new(proxy);
    proxies.insert(proxy.address(), Rc::clone(&proxy));
    Ok(proxy)
}
