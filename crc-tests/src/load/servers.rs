//! The network under load: existing servers, or a chain of servers started for the load.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crc::limits::ROOM_RATE_CEILING;
use crc::wires::WIRES;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid, setpgid};
use tempfile::TempDir;

use super::PENDING_REGISTRATIONS_MAX;
use super::client_codec::Protocol;
use super::error::LoadError;
use super::programs::{self, Program};
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
    /// A chain of this many servers, running this binary if it is named, with further options.
    Chain { servers: usize, binary: Option<PathBuf>, options: Vec<String> },
    /// Another program, to which this many servers are started.
    Program { program: Program, servers: usize },
}

/// The servers of a load. Started servers are stopped when this value is dropped.
#[derive(Default)]
pub(super) struct Network {
    /// The known listener addresses of each server, by protocol.
    addresses: Vec<Vec<(Protocol, SocketAddr)>>,
    processes: Vec<Process>,
    pids: Vec<u32>,
    /// The program that was started, if it is not crc.
    program: Option<Program>,
    /// The directory of the servers' logs.
    _log_dir: Option<TempDir>,
}

impl Network {
    /// Resolves the addresses of the existing servers, or starts the chain.
    pub(super) fn open(
        site: &Target,
        protocol: Protocol,
        pins_cores: bool,
    ) -> Result<Self, LoadError> {
        let network = match site {
            Target::Existing { addresses, pids } => Self::attach(addresses, pids, protocol)?,
            Target::Chain { servers, binary, options } => {
                if pins_cores {
                    usage::pin_to_core(SERVER_CORE)?; // inherited by the servers
                }
                Self::start(*servers, binary.clone(), options)?
            }
            Target::Program { program, servers } => {
                if pins_cores {
                    usage::pin_to_core(SERVER_CORE)?;
                }
                Self::start_program(*program, protocol, *servers)?
            }
        };
        if pins_cores {
            usage::pin_to_core(GENERATOR_CORE)?;
        }
        Ok(network)
    }

    fn attach(addresses: &[String], pids: &[u32], protocol: Protocol) -> Result<Self, LoadError> {
        if let Some(pid) = pids.iter().find(|&&pid| usage::process_cpu_time(pid).is_none()) {
            return Err(LoadError::failed(format!("--pid {pid}: there is no such process")));
        }
        let resolve = |text: &String| {
            let resolved = text.to_socket_addrs().map(|mut addresses| addresses.next());
            match resolved {
                Ok(Some(address)) => Ok(vec![(protocol, address)]),
                Ok(None) => Err(LoadError::failed(format!("{text} has no address"))),
                Err(error) => Err(LoadError::failed(format!("cannot reach {text}: {error}"))),
            }
        };
        let addresses = addresses.iter().map(resolve).collect::<Result<_, _>>()?;
        Ok(Self { addresses, pids: pids.to_vec(), ..Self::default() })
    }

    fn start(count: usize, binary: Option<PathBuf>, options: &[String]) -> Result<Self, LoadError> {
        let binary = match binary {
            Some(path) => binary::require_file(path, "--crc"),
            None => binary::locate(),
        }
        .map_err(|fault| LoadError::failed(fault.0))?;
        let log_dir = tempfile::tempdir().map_err(|error| server_fault(&error))?;
        let mut network = Self::default();
        for number in 1..=count {
            let mut arguments: Vec<OsString> = ["server", "--log=warn"].map(Into::into).into();
            arguments.push(format!("--room-rate={ROOM_RATE_CEILING}").into());
            arguments.extend(WIRES.map(|wire| format!("--listen={wire}://127.0.0.1:0").into()));
            arguments.push(format!("--id={number}").into());
            arguments.push(format!("--name=load-{number}").into());
            arguments.extend(options.iter().map(Into::into));
            if let Some(listeners) = network.addresses.last() {
                arguments.push(format!("--parent={}", listeners[0].1).into());
            }
            let log = log_dir.path().join(format!("{number}.log"));
            let mut process = start_process(&binary, arguments, log)?;
            let mut addresses = Vec::new();
            for wire in WIRES {
                let address = wait_for_listener(&mut process, wire.name());
                let address = address.map_err(|fault| LoadError::failed(fault.0))?;
                addresses.push((wire.into(), address));
            }
            network.add(process, addresses);
        }
        network._log_dir = Some(log_dir);
        Ok(network)
    }

    fn start_program(
        program: Program,
        protocol: Protocol,
        count: usize,
    ) -> Result<Self, LoadError> {
        let mut network = Self { program: Some(program), ..Self::default() };
        let log_dir = tempfile::tempdir().map_err(|error| server_fault(&error))?;
        for number in 1..=count {
            let previous = network.addresses.last().map(|listeners| listeners[0].1);
            let log = log_dir.path().join(format!("{number}.log"));
            let (process, address) = programs::start(
                program,
                protocol,
                previous,
                log_dir.path(),
                |executable, arguments| start_process(executable, arguments, log.clone()),
            )?;
            network.add(process, vec![(protocol, address)]);
        }
        network._log_dir = Some(log_dir);
        Ok(network)
    }

    fn add(&mut self, process: Process, addresses: Vec<(Protocol, SocketAddr)>) {
        self.addresses.push(addresses);
        self.pids.push(process.id());
        self.processes.push(process);
    }

    /// Returns the number of known servers.
    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Returns the maximum number of clients that register at a time, in workloads that do not
    /// measure registration.
    pub(super) fn pending_registrations_max(&self) -> usize {
        self.program.map_or(PENDING_REGISTRATIONS_MAX, Program::pending_registrations_max)
    }

    /// Returns the processes whose CPU and memory are measured.
    pub(super) fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// Returns the address of a server's listener for one protocol.
    ///
    /// # Panics
    /// If it is not known. The checked options rule this out.
    pub(super) fn address(&self, server: usize, protocol: Protocol) -> SocketAddr {
        let addresses = self.addresses[server].iter();
        addresses.clone().find(|(of, _)| *of == protocol).expect("a known listener").1
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

fn server_fault(error: &std::io::Error) -> LoadError {
    LoadError::failed(format!("a server of the load: {error}"))
}

/// Starts a server by [`exec_server`].
fn start_process(
    binary: &Path,
    arguments: Vec<OsString>,
    log: PathBuf,
) -> Result<Process, LoadError> {
    let load_pid = std::process::id().to_string();
    let mut words = vec![EXEC_SERVER_COMMAND.into(), load_pid.into(), binary.into()];
    words.extend(arguments);
    let own = std::env::current_exe().map_err(|error| server_fault(&error))?;
    Process::start(&own, words, log).map_err(|error| server_fault(&error))
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
