//! The command line of the case runner and of its subcommands, the load generator and the plain
//! server.
//!
//! Exit codes: 0 all cases passed, or the load ran; 1 a case failed, there is no `crc` to test, or
//! the network failed under the load; 2 wrong usage. Those of the plain server are in
//! [`crc_tests::plain::process`].

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, Subcommand};
use crc_tests::load::{self, FanOutForwarderArguments, LoadArguments};
use crc_tests::plain::process::{self as plain_server, PlainServerArguments};
use crc_tests::runner::backend::BackendKind;
use crc_tests::runner::suite::{CaseReport, StartError, SuiteOptions, run_all};
use crc_tests::sim::mixed::{self, MixedArguments};
use crc_tests::sim::simulate::{self, SimulateArguments};
use crc_tests::streams::{self, StreamsArguments};
use crc_tests::tls_cost::{self, ForwarderArguments, HandshakesArguments, TlsCostArguments};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The directory of this repository's cases.
const CASES_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases");

/// Runs scripted cases against crc, in a simulator and against real processes
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    subcommand: Option<Subcommands>,
    /// Case files or directories [default: all cases of this repository]
    files: Vec<PathBuf>,
    /// Make every warning an error; always on without FILES
    #[arg(long)]
    strict: bool,
    /// Let WAIT take its time in processes, instead of waiting until the network is quiescent
    #[arg(long)]
    real_waits: bool,
    /// Run on one kind of network only
    #[arg(long, value_enum)]
    only: Option<BackendKind>,
    /// Write golden traces instead of comparing them: those of the FILES named, and those that
    /// exist in directories
    #[arg(long, conflicts_with = "only")]
    bless: bool,
    /// The crc to test [default: CRC_TESTS_BIN, the one that cargo builds, or the one beside the
    /// runner]
    #[arg(long, value_name = "PATH")]
    crc: Option<PathBuf>,
    /// Number of cases at a time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
}

/// The subcommands.
#[derive(Subcommand)]
enum Subcommands {
    #[command(hide = true)]
    FanOutForwarder(FanOutForwarderArguments),
    Load(Box<LoadArguments>),
    Mixed(MixedArguments),
    PlainServer(PlainServerArguments),
    Simulate(SimulateArguments),
    Streams(StreamsArguments),
    TlsCost(TlsCostArguments),
    #[command(hide = true)]
    TlsForwarder(ForwarderArguments),
    TlsHandshakes(HandshakesArguments),
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|word| word == load::EXEC_SERVER_COMMAND) {
        return load::exec_server(args);
    }
    let mut arguments = Arguments::parse();
    if let Some(Subcommands::PlainServer(arguments)) = arguments.subcommand {
        return plain_server::run(&arguments);
    }
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The first signal lets the runner clean up; the second ends it at once.
        let registered = flag::register_conditional_shutdown(signal, 1, Arc::clone(&interrupted))
            .and_then(|_| flag::register(signal, Arc::clone(&interrupted)));
        if let Err(error) = registered {
            return exit_with_message(&format!("crc-tests: signals: {error}"), 1);
        }
    }
    match arguments.subcommand.take() {
        Some(Subcommands::FanOutForwarder(arguments)) => return load::run_forwarder(&arguments),
        Some(Subcommands::Load(arguments)) => return load::run(*arguments, interrupted),
        Some(Subcommands::Mixed(arguments)) => return mixed::run(&arguments, &interrupted),
        Some(Subcommands::Simulate(arguments)) => return simulate::run(&arguments, &interrupted),
        Some(Subcommands::Streams(arguments)) => return streams::run(&arguments, &interrupted),
        Some(Subcommands::TlsCost(arguments)) => return tls_cost::run(&arguments),
        Some(Subcommands::TlsHandshakes(arguments)) => {
            return tls_cost::run_handshakes(&arguments, &interrupted);
        }
        Some(Subcommands::TlsForwarder(arguments)) => return tls_cost::run_forwarder(&arguments),
        Some(Subcommands::PlainServer(_)) | None => {}
    }
    let is_strict = arguments.strict || arguments.files.is_empty();
    let files = if arguments.files.is_empty() { vec![CASES_DIR.into()] } else { arguments.files };
    let options = SuiteOptions {
        is_strict,
        real_waits: arguments.real_waits,
        only: arguments.only,
        blesses: arguments.bless,
        crc: arguments.crc,
        jobs: arguments.jobs.into(),
        on_case_done: print_report_line,
        interrupted: Arc::clone(&interrupted),
    };
    match run_all(&files, &options) {
        Err(error @ StartError::Usage(_)) => exit_with_message(&format!("crc-tests: {error}"), 2),
        Err(error @ StartError::Binary(_)) => exit_with_message(&format!("crc-tests: {error}"), 1),
        Ok(summary) => {
            // The exit code has the result even if the report cannot be written.
            drop(writeln!(io::stdout(), "{summary}"));
            let is_complete = !interrupted.load(Ordering::Relaxed);
            ExitCode::from(u8::from(!(summary.is_passed() && is_complete)))
        }
    }
}

fn print_report_line(report: &CaseReport) {
    drop(writeln!(io::stdout(), "{}", report.progress_line()));
}

fn exit_with_message(message: &str, code: u8) -> ExitCode {
    drop(writeln!(io::stderr(), "{message}"));
    ExitCode::from(code)
}
