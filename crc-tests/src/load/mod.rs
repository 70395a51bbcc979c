//! `crc-tests load`: generates load on a network, and reports throughput, latency, losses, CPU and
//! memory.
//!
//! `options` is the command line and `servers` the network. `client_pool` holds the connections, on
//! one thread, and `client_codec` encodes what they send. `stamp` and `delivery_tracker` follow
//! each message, and `pace` decides when one is due. Each workload has a file: `chat` (with
//! `chat_parameters` and `chat_traffic`), `connect`, `burst` (with `announcer`), `strangers`,
//! `web`, and `growth` and `fan_out`, which run `chat` many times, the latter against `programs`
//! beside crc. A workload returns its results, `usage` measures CPU time and memory, and `report`
//! renders both.

mod announcer;
mod burst;
mod chat;
mod chat_parameters;
mod chat_traffic;
mod client_codec;
mod client_pool;
mod connect;
mod context;
mod delivery_tracker;
mod error;
mod fan_out;
mod format;
mod forwarder;
mod growth;
mod json_codec;
mod options;
mod pace;
mod programs;
mod report;
mod servers;
mod stamp;
mod strangers;
pub(crate) mod usage;
mod web;

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::Value;

use self::context::{LoadContext, print_line};
use self::error::LoadError;
pub use self::forwarder::{FanOutForwarderArguments, run_forwarder};
pub use self::options::LoadArguments;
use self::options::WorkloadPlan;
pub use self::servers::{EXEC_SERVER_COMMAND, exec_server};

/// The subcommand with which `crc-tests` becomes a forwarder of bytes.
const FORWARDER_COMMAND: &str = "fan-out-forwarder";

/// Maximum number of unregistered connections in workloads that do not measure registration.
const PENDING_REGISTRATIONS_MAX: usize = 64;

/// Runs the load that the arguments describe. Exit codes: 0 on success, 1 if the network could not
/// be reached or failed, or the load was interrupted, 2 for wrong usage.
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
        WorkloadPlan::Strangers(plan) => strangers::run(plan, &context).map(|report| {
            print_report(is_json, &report, &report.json());
            None
        }),
        WorkloadPlan::Web(plan) => web::run(plan, &context).map(|report| {
            print_report(is_json, &report, &report.json());
            None
        }),
        WorkloadPlan::FanOut(plan) => fan_out::run(plan, &context).map(|report| {
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
