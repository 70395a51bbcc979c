//! `crc-tests tls-cost`: what TLS costs a server, beside a forwarder of bytes on the same library.
//! `crc-tests tls-handshakes`: what those cost who never end theirs.

mod forwarder;
mod handshakes;
mod pair;

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Args;
use crc::internal::tls::{ClientTrust, make_certificates};

use self::pair::Pair;
use crate::load::usage::{pin_to_core, process_cpu_time, resident_bytes};

pub use self::forwarder::{ForwarderArguments, run as run_forwarder};
pub use self::handshakes::{HandshakesArguments, run as run_handshakes};

/// Measures CPU per message and memory per idle client over TLS, of crc and of a forwarder of bytes
/// that is built on the same library, in turns
///
/// The servers run on core 0 and the clients on core 1.
#[derive(Args, Clone, Debug)]
pub struct TlsCostArguments {
    /// The crc binary to start
    #[arg(long, value_name = "PATH")]
    crc: PathBuf,
    /// Rounds; the medians are printed
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Measured messages of each round
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    messages: usize,
    /// Size of each text in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    size: usize,
    /// Idle clients for the measurement of memory
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    idle: usize,
}

/// A server under measurement, killed at the end.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a program that prints `listening SCHEME 127.0.0.1:PORT`.
    fn start(command: &mut Command) -> Result<Self, String> {
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped());
        let mut child = child.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no standard output")?;
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        let port = line.trim_end().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let port = port.ok_or_else(|| format!("{command:?} printed {line:?}"))?;
        Ok(Self { child, port })
    }

    fn cpu(&self) -> Duration {
        process_cpu_time(self.child.id()).unwrap_or_default()
    }
}

/// Runs the command. Exit codes: 0 if it measured, 1 if it could not.
#[must_use]
pub fn run(arguments: &TlsCostArguments) -> ExitCode {
    match measure(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "crc-tests: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Starts crc, for one wire, and the forwarder.
fn start_both(
    arguments: &TlsCostArguments,
    dir: &std::path::Path,
    scheme: &str,
) -> Result<[Server; 2], String> {
    pin_to_core(0).map_err(|error| error.to_string())?;
    let mut crc = Command::new(&arguments.crc);
    crc.args(["server", "--id", "1", "--listen", &format!("{scheme}://127.0.0.1:0")]);
    if scheme != "crcs" {
        // Its listener is printed first.
        crc.args(["--listen", "crc://127.0.0.1:0"]);
    }
    crc.arg("--tls-cert").arg(dir.join("server.pem")).arg("--tls-key").arg(dir.join("server.key"));
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut forwarder = Command::new(own);
    forwarder.arg("tls-forwarder").arg("--dir").arg(dir);
    let servers = [Server::start(&mut crc)?, Server::start(&mut forwarder)?];
    pin_to_core(1).map_err(|error| error.to_string())?;
    Ok(servers)
}

fn measure(arguments: &TlsCostArguments) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    make_certificates(dir.path(), &["127.0.0.1".to_owned()], (2026, 1, 1))?;
    let trust = ClientTrust::authorities(&dir.path().join("ca.pem"))?;
    let servers = start_both(arguments, dir.path(), "crcs")?;
    let fail = |error: io::Error| error.to_string();
    let mut pairs = [
        Pair::connect(&trust, servers[0].port, true).map_err(fail)?,
        Pair::connect(&trust, servers[1].port, false).map_err(fail)?,
    ];
    for (in_flight, messages) in [(64, arguments.messages), (1, arguments.messages / 10)] {
        let mut micros = [Vec::new(), Vec::new()];
        for _ in 0..arguments.rounds {
            for (index, server) in servers.iter().enumerate() {
                let begin = server.cpu();
                pairs[index].exchange(messages, in_flight, arguments.size).map_err(fail)?;
                let spent = server.cpu().saturating_sub(begin);
                micros[index].push(spent.as_secs_f64() * 1e6 / messages as f64);
            }
        }
        print_ratios(&format!("{in_flight} in flight, CPU a message"), &micros, "µs");
    }
    drop((pairs, servers));
    let servers = start_both(arguments, dir.path(), "directs")?;
    let mut kib = [Vec::new(), Vec::new()];
    for (index, server) in servers.iter().enumerate() {
        let size = || resident_bytes(&[server.child.id()]).unwrap_or_default() as f64;
        let begin = size();
        let clients: Result<Vec<_>, _> =
            (0..arguments.idle).map(|_| pair::connect(&trust, server.port, index == 0)).collect();
        let clients = clients.map_err(fail)?;
        kib[index].push((size() - begin) / 1024.0 / arguments.idle as f64);
        drop(clients);
    }
    print_ratios("memory of an idle client", &kib, "KiB");
    Ok(())
}

/// Prints the medians of crc and the forwarder, and the ratio of the rounds.
fn print_ratios(what: &str, values: &[Vec<f64>; 2], unit: &str) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ratios = values[0].iter().zip(&values[1]).map(|(crc, other)| crc / other).collect();
    let [crc, forwarder] = [0, 1].map(|index: usize| median(values[index].clone()));
    drop(writeln!(
        io::stdout(),
        "{what}: crc {crc:.2} {unit}, forwarder {forwarder:.2} {unit}, ratio {:.2}",
        median(ratios)
    ));
}
