//! `crc-tests tls-cost`: what TLS costs a server, beside a forwarder of bytes on the same library.
//! `crc-tests tls-handshakes`: what those cost who never end theirs.

mod forwarder;
mod handshakes;
mod pair;
mod programs;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use crc::internal::tls::{ClientTrust, make_certificates};

use self::pair::Pair;
use self::programs::{Program, Server, User};
use crate::load::usage::{pin_to_core, resident_bytes};

pub use self::forwarder::{ForwarderArguments, run as run_forwarder};
pub use self::handshakes::{HandshakesArguments, run as run_handshakes};

/// Measures CPU per message and memory per idle client over TLS, of crc, of a forwarder of bytes
/// that is built on the same library, and of other programs, in turns
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
    /// Other programs to measure as well, which must be installed
    #[arg(long, value_name = "NAME,...", value_enum, value_delimiter = ',')]
    peers: Vec<Peer>,
}

/// Another program that may be measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Peer {
    Nats,
    Ngircd,
}

impl Peer {
    fn program(self) -> Program {
        match self {
            Self::Nats => Program::Nats,
            Self::Ngircd => Program::Ngircd,
        }
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

fn measure(arguments: &TlsCostArguments) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    make_certificates(dir.path(), &["127.0.0.1".to_owned()], (2026, 1, 1))?;
    let trust = ClientTrust::authorities(&dir.path().join("ca.pem"))?;
    let mut programs = vec![Program::Crc(arguments.crc.clone()), Program::Forwarder];
    programs.extend(arguments.peers.iter().map(|peer| peer.program()));
    let fail = |error: io::Error| error.to_string();
    let mut running = Vec::new();
    for program in &programs {
        let server = start(program, dir.path())?;
        let pair = Pair::connect(&trust, program, server.port, arguments.size).map_err(fail)?;
        running.push((server, pair));
    }
    for (in_flight, messages) in [(64, arguments.messages), (1, arguments.messages / 10)] {
        let mut micros = vec![Vec::new(); programs.len()];
        for _ in 0..arguments.rounds {
            for ((server, pair), micros) in running.iter_mut().zip(&mut micros) {
                let begin = server.cpu();
                pair.exchange(messages, in_flight).map_err(fail)?;
                let spent = server.cpu().saturating_sub(begin);
                micros.push(spent.as_secs_f64() * 1e6 / messages as f64);
            }
        }
        print_ratios(&format!("{in_flight} in flight, CPU a message"), &programs, &micros, "µs");
    }
    drop(running);
    let mut kib = Vec::new();
    for program in &programs {
        kib.push(vec![idle_kib(arguments, program, dir.path(), &trust)?]);
    }
    print_ratios("memory of an idle client", &programs, &kib, "KiB");
    Ok(())
}

/// Starts a server on the other core.
fn start(program: &Program, dir: &Path) -> Result<Server, String> {
    pin_to_core(0).map_err(|error| error.to_string())?;
    let server = program.start(dir);
    pin_to_core(1).map_err(|error| error.to_string())?;
    server
}

/// Returns the memory that an idle client takes at a server.
fn idle_kib(
    arguments: &TlsCostArguments,
    program: &Program,
    dir: &Path,
    trust: &ClientTrust,
) -> Result<f64, String> {
    let server = start(program, dir)?;
    let size = || resident_bytes(&[server.id()]).unwrap_or_default() as f64;
    let connect = |number| {
        let mut client = pair::connect(trust, server.port, program.greets_in_plain_text())?;
        client.sign_in(program, &User::new(number))?;
        Ok(client)
    };
    let begin = size();
    let clients: io::Result<Vec<_>> = (0..arguments.idle).map(connect).collect();
    let clients = clients.map_err(|error| format!("{}: {error}", program.name()))?;
    let kib = (size() - begin) / 1024.0 / arguments.idle as f64;
    drop(clients);
    Ok(kib)
}

/// Prints the median of each program, and the ratio of crc to it in the rounds.
fn print_ratios(what: &str, programs: &[Program], values: &[Vec<f64>], unit: &str) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    for (program, own) in programs.iter().zip(values) {
        let ratios = values[0].iter().zip(own).map(|(crc, other)| crc / other).collect();
        drop(writeln!(
            io::stdout(),
            "{what}: {} {:.2} {unit}, crc takes {:.2} times that",
            program.name(),
            median(own.clone()),
            median(ratios)
        ));
    }
}
