//! The network under load: existing servers, or a chain of servers started for the load.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crc::wires::{WIRES, Wire};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid, setpgid};
use tempfile::TempDir;

use super::error::LoadError;
use super::usage;
use crate::binary;
use crate::child::Process;
use crate::runner::processes::server::wait_for_listener;

/// The subcommand with which `crc-tests` becomes a server of a load; see [`exec_server`].
pub const EXEC_SERVER_COMMAND: &str = "load-server";

/// The cores of the servers and of the generator, if pinned.
const SERVER_CORE: usize = 0;
const GENERATOR_CORE: usize = 1;

/// The network to load.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// Existing servers: their listeners for the wire of the load, in the order of the options, and
    /// processes of this machine whose CPU and memory are reported.
    Existing { addresses: Vec<String>, pids: Vec<u32> },
    /// A chain of this many servers, running this binary if it is named.
    Chain { servers: usize, binary: Option<PathBuf> },
}

/// The servers of a load. Started servers are stopped when this value is dropped.
pub(super) struct Network {
    /// The known listener addresses of each server, by wire.
    addresses: Vec<Vec<(Wire, SocketAddr)>>,
    processes: Vec<Process>,
    pids: Vec<u32>,
    /// The directory of the servers' logs.
    _log_dir: Option<TempDir>,
}

impl Network {
    /// Resolves the addresses of the existing servers, or starts the chain.
    pub(super) fn open(site: &Target, wire: Wire, pins_cores: bool) -> Result<Self, LoadError> {
        let network = match site {
            Target::Existing { addresses, pids } => Self::attach(addresses, pids, wire)?,
            Target::Chain { servers, binary } => {
                if pins_cores {
                    usage::pin_to_core(SERVER_CORE)?; // inherited by the servers
                }
                Self::start(*servers, binary.clone())?
            }
        };
        if pins_cores {
            usage::pin_to_core(GENERATOR_CORE)?;
        }
        Ok(network)
    }

    fn attach(addresses: &[String], pids: &[u32], wire: Wire) -> Result<Self, LoadError> {
        if let Some(pid) = pids.iter().find(|&&pid| usage::process_cpu_time(pid).is_none()) {
            return Err(LoadError::failed(format!("--pid {pid}: there is no such process")));
        }
        let resolve = |text: &String| {
            let resolved = text.to_socket_addrs().map(|mut addresses| addresses.next());
            match resolved {
                Ok(Some(address)) => Ok(vec![(wire, address)]),
                Ok(None) => Err(LoadError::failed(format!("{text} has no address"))),
                Err(error) => Err(LoadError::failed(format!("cannot reach {text}: {error}"))),
            }
        };
        let addresses = addresses.iter().map(resolve).collect::<Result<_, _>>()?;
        Ok(Self { addresses, processes: Vec::new(), pids: pids.to_vec(), _log_dir: None })
    }

    fn start(count: usize, binary: Option<PathBuf>) -> Result<Self, LoadError> {
        let binary = match binary {
            Some(path) => binary::require_file(path, "--crc"),
            None => binary::locate(),
        }
        .map_err(|fault| LoadError::failed(fault.0))?;
        let fault = |error| LoadError::failed(format!("a server of the load: {error}"));
        let log_dir = tempfile::tempdir().map_err(fault)?;
        let mut network =
            Self { addresses: Vec::new(), processes: Vec::new(), pids: Vec::new(), _log_dir: None };
        for number in 1..=count {
            let mut arguments = exec_server_arguments(&binary);
            arguments.extend(["server", "--log=warn"].map(Into::into));
            arguments.extend(WIRES.map(|wire| format!("--listen={wire}://127.0.0.1:0").into()));
            arguments.push(format!("--id={number}").into());
            arguments.push(format!("--name=load-{number}").into());
            if let Some(listeners) = network.addresses.last() {
                arguments.push(format!("--parent={}", listeners[0].1).into());
            }
            let own = std::env::current_exe().map_err(fault)?;
            let log = log_dir.path().join(format!("{number}.log"));
            let mut process = Process::start(&own, arguments, log).map_err(fault)?;
            let mut addresses = Vec::new();
            for wire in WIRES {
                let address = wait_for_listener(&mut process, wire);
                addresses.push((wire, address.map_err(|fault| LoadError::failed(fault.0))?));
            }
            network.addresses.push(addresses);
            network.pids.push(process.id());
            network.processes.push(process);
        }
        network._log_dir = Some(log_dir);
        Ok(network)
    }

    /// Returns the number of known servers.
    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Returns the processes whose CPU and memory are measured.
    pub(super) fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// Returns the address of a server's listener for one wire.
    ///
    /// # Panics
    /// If it is not known. The checked options rule this out.
    pub(super) fn address(&self, server: usize, wire: Wire) -> SocketAddr {
        let addresses = self.addresses[server].iter();
        addresses.clone().find(|(of, _)| *of == wire).expect("a known listener").1
    }

    /// Adds to a failure that a server has exited, if one has.
    pub(super) fn add_cause(&mut self, stop: LoadError) -> LoadError {
        let LoadError::Failed(reason) = stop else { return stop };
        for (at, process) in self.processes.iter_mut().enumerate() {
            if let Ok(Some(status)) = process.try_wait() {
                let last = process.log_tail().pop();
                let last = last.map(|line| format!("; its log ends: {line}")).unwrap_or_default();
                let number = at + 1;
                return LoadError::Failed(format!(
                    "{reason} (server {number} has ended, {status}{last})"
                ));
            }
        }
        LoadError::Failed(reason)
    }
}

fn exec_server_arguments(binary: &std::path::Path) -> Vec<OsString> {
    vec![EXEC_SERVER_COMMAND.into(), std::process::id().to_string().into(), binary.into()]
}

/// Replaces this process with a server of a load. The server is killed when the load ends for any
/// reason, including SIGKILL. `words` are the process id of the load, the binary, and its
/// arguments.
pub fn exec_server(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut words = arguments;
    let (load_pid, binary) = (words.next(), words.next().unwrap_or_default());
    let load = load_pid.and_then(|word| word.to_str()?.parse().ok()).map(Pid::from_raw);
    // In its own process group, the server does not receive Ctrl-C. The load does, and then ends
    // the server.
    let prepared = setpgid(Pid::from_raw(0), Pid::from_raw(0))
        .and_then(|()| set_pdeathsig(Signal::SIGKILL))
        .map_err(std::io::Error::from);
    if load != Some(getppid()) {
        return ExitCode::FAILURE; // the load has ended
    }
    let error = match prepared {
        Ok(()) => Command::new(&binary).args(words).exec(),
        Err(error) => error,
    };
    eprintln!("{}: {error}", binary.display());
    ExitCode::FAILURE
}
