//! `crc-tests load`: puts a load on a network and tells what it did, what it cost, and what was lost.
//!
//! `options` is the command line, `servers` the network; `fleet` the connections, on one thread, and
//! `wire` what they speak; `stamp` and `ledger` follow each message, `pace` says when one is due. A
//! workload a file: `chat` (with `conversation`, those who talk), `connect`, `burst` (with `hosts`,
//! what is announced), and `growth`, which is many of the first. `usage` reads what processes cost;
//! `report` tells it.

mod announcer;
mod burst;
mod chat;
mod chat_traffic;
mod client_codec;
mod client_pool;
mod connect;
mod delivery_tracker;
mod growth;
mod options;
mod pace;
mod report;
mod servers;
mod stamp;
mod usage;

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hdrhistogram::Histogram;
use serde_json::Value;

pub use self::options::LoadArguments;
use self::options::WorkloadPlan;
pub use self::servers::{EXEC_SERVER_COMMAND, exec_server};
use self::usage::Usage;

/// Clients that are connected but not registered, where it does not matter how fast they come.
const PENDING_REGISTRATIONS_MAX: usize = 64;

/// Why a load cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LoadError {
    /// The user wants no more of it.
    Interrupted,
    /// Something failed; one line that says what.
    Failed(String),
}

impl LoadError {
    fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted: the figures are of the time until then"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

/// What all workloads need to know of their caller.
struct LoadContext {
    is_quiet: bool,
    interrupted: Arc<AtomicBool>,
}

impl LoadContext {
    /// Tells on standard error what is being done.
    fn print_note(&self, text: &str) {
        if !self.is_quiet {
            print_line(text);
        }
    }

    /// Tells how it goes, once a second.
    fn progress(
        &self,
        second: u64,
        count: u64,
        latencies: &Histogram<u64>,
        missing: u64,
        usage: &Usage,
    ) {
        if self.is_quiet {
            return;
        }
        let rate =
            report::with_commas((count as f64 / usage.elapsed.as_secs_f64().max(1e-9)) as u64);
        let p99 = latencies.value_at_quantile(0.99) / 1000;
        let missing = report::with_commas(missing);
        let server_share = usage.busiest_server_share().map_or("?".to_owned(), report::percent);
        let generator_share = report::percent(usage.core_share(usage.generator));
        print_line(&format!(
            "{second:>3} s  {rate:>11}/s  p99 {p99:>7} µs  {missing} on the way  server {server_share}  \
             generator {generator_share}"
        ));
    }
}

fn print_line(line: &str) {
    // Whoever does not read the progress has the exit code.
    drop(writeln!(io::stderr(), "{line}"));
}

/// Runs the load that the arguments ask for. Exit codes: 0 it ran, 1 the network could not be reached
/// or failed, or the load was interrupted, 2 wrong usage.
#[must_use]
pub fn run(arguments: LoadArguments, interrupted: Arc<AtomicBool>) -> ExitCode {
    let options = match arguments.check() {
        Ok(options) => options,
        Err(error) => {
            print_line(&format!("crc-tests load: {error}"));
            return ExitCode::from(2);
        }
    };
    let context = LoadContext { is_quiet: options.is_quiet, interrupted };
    let is_json = options.is_json;
    let result = match &options.workload {
        WorkloadPlan::Chat(plan) => chat::run(plan, &context).map(|report| {
            print_report(is_json, &report, &report.json());
            report.error
        }),
        WorkloadPlan::Connect(plan) => connect::run(plan, &context).map(|report| {
            print_report(is_json, &report, &report.json());
            None
        }),
        WorkloadPlan::Burst(plan) => burst::run(plan, &context).map(|report| {
            print_report(is_json, &report, &report.json());
            None
        }),
        WorkloadPlan::Growth(plan) => growth::run(plan, &context).map(|()| None),
    };
    match result {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(stop)) => {
            print_line(&format!("crc-tests load: {stop}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            let text = match error {
                LoadError::Interrupted => "interrupted before anything was measured".to_owned(),
                LoadError::Failed(reason) => reason,
            };
            print_line(&format!("crc-tests load: {text}"));
            ExitCode::FAILURE
        }
    }
}

fn print_report(is_json: bool, table: &impl fmt::Display, json: &Value) {
    let mut stdout = io::stdout();
    drop(if is_json { writeln!(stdout, "{json}") } else { write!(stdout, "{table}") });
}
