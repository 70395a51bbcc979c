//! The network that is loaded: one that runs, or a chain of servers started for it.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid, setpgid};
use tempfile::TempDir;

use super::{Stop, usage};
use crate::binary;
use crate::command::Wire;
use crate::processes::child::Process;
use crate::processes::server::listening;

/// The word after which `crc-tests` becomes a server of a load; see [`become_server`].
pub const SERVER_WORD: &str = "load-server";

/// The core of the servers, and that of the generator, where they are pinned.
const SERVER_CORE: usize = 0;
const GENERATOR_CORE: usize = 1;

/// Which network to load.
#[derive(Clone, Debug)]
pub(super) enum Site {
    /// One that runs: its doors for the wire of the load, in the order of the options, and processes
    /// of this machine whose use is to be told.
    Running { addresses: Vec<String>, pids: Vec<u32> },
    /// A chain of so many servers, of this binary if it is named.
    Chain { servers: usize, binary: Option<PathBuf> },
}

/// The servers of a load. Those that were started for it end with this value.
pub(super) struct Network {
    /// By server, the address of each wire's door that is known.
    doors: Vec<Vec<(Wire, SocketAddr)>>,
    processes: Vec<Process>,
    pids: Vec<u32>,
    /// Where the servers' logs are.
    _folder: Option<TempDir>,
}

impl Network {
    /// Finds the network, or starts it.
    pub(super) fn open(site: &Site, wire: Wire, pin: bool) -> Result<Self, Stop> {
        let network = match site {
            Site::Running { addresses, pids } => Self::find(addresses, pids, wire)?,
            Site::Chain { servers, binary } => {
                if pin {
                    usage::pin(SERVER_CORE)?; // which the servers inherit
                }
                Self::start(*servers, binary.clone())?
            }
        };
        if pin {
            usage::pin(GENERATOR_CORE)?;
        }
        Ok(network)
    }

    fn find(addresses: &[String], pids: &[u32], wire: Wire) -> Result<Self, Stop> {
        if let Some(pid) = pids.iter().find(|&&pid| usage::cpu(pid).is_none()) {
            return Err(Stop::fault(format!("--pid {pid}: there is no such process")));
        }
        let resolve = |text: &String| {
            let resolved = text.to_socket_addrs().map(|mut addresses| addresses.next());
            match resolved {
                Ok(Some(address)) => Ok(vec![(wire, address)]),
                Ok(None) => Err(Stop::fault(format!("{text} stands for no address"))),
                Err(error) => Err(Stop::fault(format!("cannot reach {text}: {error}"))),
            }
        };
        let doors = addresses.iter().map(resolve).collect::<Result<_, _>>()?;
        Ok(Self { doors, processes: Vec::new(), pids: pids.to_vec(), _folder: None })
    }

    fn start(count: usize, binary: Option<PathBuf>) -> Result<Self, Stop> {
        let binary = match binary {
            Some(path) => binary::existing(path, "--crc"),
            None => binary::locate(),
        }
        .map_err(|fault| Stop::fault(fault.0))?;
        let fault = |error| Stop::fault(format!("a server of the load: {error}"));
        let folder = tempfile::tempdir().map_err(fault)?;
        let mut network =
            Self { doors: Vec::new(), processes: Vec::new(), pids: Vec::new(), _folder: None };
        for number in 1..=count {
            let mut arguments = become_server_words(&binary);
            arguments.extend(["server", "--listen=127.0.0.1:0", "--log=warn"].map(Into::into));
            arguments.extend(["--direct=127.0.0.1:0", "--classic=127.0.0.1:0"].map(Into::into));
            arguments.push(format!("--id={number}").into());
            arguments.push(format!("--name=load-{number}").into());
            if let Some(doors) = network.doors.last() {
                arguments.push(format!("--parent={}", doors[0].1).into());
            }
            let own = std::env::current_exe().map_err(fault)?;
            let log = folder.path().join(format!("{number}.log"));
            let mut process = Process::start(&own, arguments, log).map_err(fault)?;
            let mut doors = Vec::new();
            for wire in Wire::ALL {
                let door = listening(&mut process, wire);
                doors.push((wire, door.map_err(|fault| Stop::fault(fault.0))?));
            }
            network.doors.push(doors);
            network.pids.push(process.id());
            network.processes.push(process);
        }
        network._folder = Some(folder);
        Ok(network)
    }

    /// Its servers, as far as they are known.
    pub(super) fn len(&self) -> usize {
        self.doors.len()
    }

    /// The processes whose use can be told.
    pub(super) fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// The door of a server for one wire.
    ///
    /// # Panics
    /// If no such door is known, which the options make sure of.
    pub(super) fn door(&self, server: usize, wire: Wire) -> SocketAddr {
        let doors = self.doors[server].iter();
        doors.clone().find(|(of, _)| *of == wire).expect("a door for this wire").1
    }

    /// What the end of a load is due to: beside the reason itself, a server that has died.
    pub(super) fn explain(&mut self, stop: Stop) -> Stop {
        let Stop::Fault(reason) = stop else { return stop };
        for (at, process) in self.processes.iter_mut().enumerate() {
            if let Ok(Some(status)) = process.ended() {
                let last = process.log_end().pop();
                let last = last.map(|line| format!("; its log ends: {line}")).unwrap_or_default();
                let number = at + 1;
                return Stop::Fault(format!(
                    "{reason} (server {number} has ended, {status}{last})"
                ));
            }
        }
        Stop::Fault(reason)
    }
}

fn become_server_words(binary: &std::path::Path) -> Vec<OsString> {
    vec![SERVER_WORD.into(), std::process::id().to_string().into(), binary.into()]
}

/// Replaces this process by a server of a load, which ends when the load does, however that ends: by
/// SIGKILL too. `words` are the id of the load's process, the binary, and its arguments.
pub fn become_server(words: impl Iterator<Item = OsString>) -> ExitCode {
    let mut words = words;
    let (load, binary) = (words.next(), words.next().unwrap_or_default());
    let load = load.and_then(|word| word.to_str()?.parse().ok()).map(Pid::from_raw);
    // A group of its own: Ctrl-C is for the load, which then ends the server.
    let prepared = setpgid(Pid::from_raw(0), Pid::from_raw(0))
        .and_then(|()| set_pdeathsig(Signal::SIGKILL))
        .map_err(std::io::Error::from);
    if load != Some(getppid()) {
        return ExitCode::FAILURE; // it has ended already
    }
    let error = match prepared {
        Ok(()) => Command::new(&binary).args(words).exec(),
        Err(error) => error,
    };
    eprintln!("{}: {error}", binary.display());
    ExitCode::FAILURE
}
