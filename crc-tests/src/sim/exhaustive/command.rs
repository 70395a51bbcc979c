//! `crc-tests simulate --exhaustive`.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;

use super::{Network, Options, run};

/// Interval between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// The options of an exhaustive search.
#[derive(Args, Clone, Debug)]
pub struct ExhaustiveArguments {
    /// Explore small networks in every order of events, instead of playing seeds
    #[arg(long)]
    pub exhaustive: bool,
    /// Explore this network [default: all]
    #[arg(long, value_name = "NAME", requires = "exhaustive", value_parser = parse_network)]
    pub network: Vec<Network>,
    /// Number of faults in a history, at most
    #[arg(long, value_name = "N", requires = "exhaustive", default_value_t = 2)]
    pub faults: u8,
    /// Number of faults that may happen while something is in flight, the last ones [default: 1 of
    /// one, none of several]
    #[arg(long, value_name = "N", requires = "exhaustive")]
    pub faults_in_flight: Option<u8>,
    /// Milliseconds for which anything may be in flight; timers run meanwhile
    #[arg(long, value_name = "MS", requires = "exhaustive", default_value_t = 0)]
    pub delay_max: u64,
    /// Milliseconds at whose multiples timers run
    #[arg(long, value_name = "MS", requires = "exhaustive", default_value_t = 1000)]
    pub tick: u64,
    /// End the search of a network after this number of states
    #[arg(long, value_name = "N", requires = "exhaustive", default_value_t = 100_000_000)]
    pub states_max: usize,
    /// End the search of a network after this time, in seconds
    #[arg(long, value_name = "S", requires = "exhaustive", default_value_t = 3600)]
    pub time_max: u64,
}

fn parse_network(name: &str) -> Result<Network, String> {
    let names = || Network::all().iter().map(|network| network.name).collect::<Vec<_>>().join(", ");
    Network::find(name).ok_or_else(|| format!("the networks are: {}", names()))
}

/// Explores the networks one after the other.
///
/// Exit codes: 0 if all predicates held in every state, 1 otherwise.
pub(in crate::sim) fn run_command(
    arguments: &ExhaustiveArguments,
    interrupted: &AtomicBool,
) -> ExitCode {
    let ExhaustiveArguments {
        faults, faults_in_flight, delay_max, tick, states_max, time_max, ..
    } = *arguments;
    let all = Network::all();
    let networks = if arguments.network.is_empty() { &all } else { &arguments.network };
    let mut is_passed = true;
    for network in networks {
        let options = Options {
            network: network.clone(),
            faults,
            faults_in_flight: faults_in_flight.unwrap_or(u8::from(faults == 1)),
            delay_max: Duration::from_millis(delay_max),
            tick: Duration::from_millis(tick),
            states_max,
            time_max: Duration::from_secs(time_max),
        };
        let mut printed_at = Instant::now();
        let report = run(&options, interrupted, |depth, states, left| {
            if printed_at.elapsed() >= PROGRESS_INTERVAL {
                printed_at = Instant::now();
                print(&format!("depth {depth}: {states} states, {left} to continue from"));
            }
        });
        is_passed &= report.violation().is_none() && report.is_exhausted();
        print(&report.to_string());
        if interrupted.load(Ordering::Relaxed) {
            break;
        }
    }
    ExitCode::from(u8::from(!is_passed))
}

/// Prints a line; the exit code has the result even if nobody reads it.
fn print(line: &str) {
    drop(writeln!(io::stdout(), "{line}"));
}
