//! `crc-tests simulate`: plays the scenarios of many seeds on all cores.

use std::fs;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::exhaustive::{self, ExhaustiveArguments};
use super::record::Record;
use super::scale::{self, ScaleArguments};
use super::scenario::{Condition, Outcome, Scenario};

/// Interval between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Plays random networks with faults, one for each seed, and shrinks those that break a predicate
///
/// Exit codes: 0 if all predicates held, 1 if one did not, 2 for wrong usage.
#[derive(Args, Clone, Debug)]
pub struct SimulateArguments {
    /// Number of seeds
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub seeds: u64,
    /// First seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Number of seeds at a time [default: the number of cores]
    #[arg(long, value_name = "J")]
    pub jobs: Option<NonZeroUsize>,
    /// Play this scenario, as it is printed, instead of those of seeds
    #[arg(long, value_name = "PATH", conflicts_with_all = ["seeds", "seed"])]
    pub file: Option<PathBuf>,
    /// Stop after this number of failures
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub failures: u64,
    /// Print a seed that fails as it is, without looking for a shorter scenario
    #[arg(long)]
    pub no_shrink: bool,
    /// Leave out a condition of links, processes or users
    #[arg(long, value_enum, value_name = "CONDITION")]
    pub without: Vec<Condition>,
    /// Print the frames of a failing seed
    #[arg(long)]
    pub trace: bool,
    /// Write what each seed has sent, as a digest, to a file
    #[arg(long, value_name = "PATH", conflicts_with = "file")]
    pub record: Option<PathBuf>,
    /// Count a seed as failed if it has sent something else than in this file of --record
    #[arg(long, value_name = "PATH", conflicts_with = "file")]
    pub compare: Option<PathBuf>,
    /// The options of an exhaustive search
    #[command(flatten)]
    pub exhaustive: ExhaustiveArguments,
    /// The options of a large network
    #[command(flatten)]
    pub scale: ScaleArguments,
}

/// The result of one seed.
struct SeedResult {
    seed: u64,
    outcome: Outcome,
    /// The shrunk scenario and how it ends, if a predicate did not hold; the scenario itself if it
    /// is not shrunk.
    shrunk: Option<(Scenario, Outcome)>,
    /// Whether the seed has sent something else than is recorded.
    is_another: bool,
}

/// What all seeds so far have shown.
#[derive(Default)]
struct Totals {
    seeds: u64,
    failures: u64,
    simulated: Duration,
    bytes: u64,
    /// Of the digests of all seeds, whatever their order.
    digest: u64,
    heal_times: Vec<(Duration, u64)>,
    record: Record,
}

/// Runs the subcommand.
#[must_use]
pub fn run(arguments: &SimulateArguments, interrupted: &Arc<AtomicBool>) -> ExitCode {
    if arguments.exhaustive.exhaustive {
        return exhaustive::run_command(&arguments.exhaustive, interrupted);
    }
    if let Some(code) = scale::run_command(&arguments.scale, arguments.seed) {
        return code;
    }
    if let Some(path) = &arguments.file {
        return play_file(path, arguments.trace);
    }
    let recorded = match arguments.compare.as_deref().map(read_record).transpose() {
        Ok(recorded) => recorded.unwrap_or_default(),
        Err(code) => return code,
    };
    let totals = play_seeds(arguments, &recorded, interrupted);
    if let Some(path) = &arguments.record
        && let Err(error) = totals.record.write(path)
    {
        return usage_error(path, &error);
    }
    let is_complete = totals.seeds == arguments.seeds;
    ExitCode::from(u8::from(totals.failures > 0 || !is_complete))
}

fn read_record(path: &Path) -> Result<Record, ExitCode> {
    Record::read(path).map_err(|error| usage_error(path, &error))
}

/// Says why a file is of no use.
fn usage_error(path: &Path, error: &str) -> ExitCode {
    drop(writeln!(io::stderr(), "crc-tests: {}: {error}", path.display()));
    ExitCode::from(2)
}

/// Plays the seeds on as many threads as there are jobs.
fn play_seeds(
    arguments: &SimulateArguments,
    recorded: &Record,
    interrupted: &AtomicBool,
) -> Totals {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let jobs = arguments.jobs.map_or(cores, NonZeroUsize::get);
    let next_seed = AtomicU64::new(arguments.seed);
    let end = arguments.seed.saturating_add(arguments.seeds);
    let must_stop = AtomicBool::new(false);
    let started_at = Instant::now();
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..jobs {
            let (sender, next_seed, must_stop) = (sender.clone(), &next_seed, &must_stop);
            scope.spawn(move || {
                while !must_stop.load(Ordering::Relaxed) && !interrupted.load(Ordering::Relaxed) {
                    let seed = next_seed.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || sender.send(play(seed, arguments, recorded)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        collect(arguments, started_at, &receiver, &must_stop)
    })
}

/// Plays the scenario in a file.
fn play_file(path: &Path, is_traced: bool) -> ExitCode {
    let text = fs::read_to_string(path).map_err(|error| error.to_string());
    let scenario = match text.and_then(|text| text.parse::<Scenario>()) {
        Ok(scenario) => scenario,
        Err(error) => return usage_error(path, &error),
    };
    let outcome = scenario.play_traced();
    if is_traced {
        print(&outcome.trace.join("\n"));
    }
    let (seconds, digest) = (outcome.heal_time.as_secs_f64(), outcome.digest);
    print(&match &outcome.violation {
        Some(violation) => violation.to_string(),
        None => format!("all predicates hold; healed in {seconds:.1} s, digest {digest:016x}"),
    });
    ExitCode::from(u8::from(outcome.violation.is_some()))
}

fn play(seed: u64, arguments: &SimulateArguments, recorded: &Record) -> SeedResult {
    let scenario = Scenario::draw(seed, &arguments.without);
    let outcome = scenario.play();
    let shrunk = outcome.violation.as_ref().and_then(|_| match arguments.no_shrink {
        true => Some((scenario.clone(), outcome.clone())),
        false => scenario.shrink(),
    });
    let is_another = recorded.differs(seed, outcome.digest);
    SeedResult { seed, outcome, shrunk, is_another }
}

/// Prints progress and failures until all seeds have ended or enough have failed.
fn collect(
    arguments: &SimulateArguments,
    started_at: Instant,
    results: &Receiver<SeedResult>,
    must_stop: &AtomicBool,
) -> Totals {
    let mut printed_at = started_at;
    let mut totals = Totals::default();
    loop {
        match results.recv_timeout(PROGRESS_INTERVAL) {
            Ok(result) => {
                if let Some(failure) = &result.shrunk {
                    print_failure(result.seed, &result.outcome, failure, arguments.trace);
                } else if result.is_another {
                    print(&format!(
                        "seed {}: it has sent something else than is recorded",
                        result.seed
                    ));
                }
                totals.add(&result);
                if totals.failures >= arguments.failures {
                    must_stop.store(true, Ordering::Relaxed);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if printed_at.elapsed() >= PROGRESS_INTERVAL {
            printed_at = Instant::now();
            print(&totals.line(started_at.elapsed(), arguments.seeds));
        }
    }
    print(&totals.line(started_at.elapsed(), arguments.seeds));
    print(&totals.heal_line());
    totals
}

impl Totals {
    fn add(&mut self, result: &SeedResult) {
        self.seeds += 1;
        self.failures += u64::from(result.outcome.violation.is_some() || result.is_another);
        self.record.add(result.seed, result.outcome.digest);
        self.simulated += result.outcome.simulated;
        self.bytes += result.outcome.bytes;
        self.digest = self.digest.wrapping_add(result.outcome.digest);
        if result.outcome.violation.is_none() {
            self.heal_times.push((result.outcome.heal_time, result.seed));
        }
    }

    fn line(&self, elapsed: Duration, seeds: u64) -> String {
        let (simulated_hours, seconds) =
            (self.simulated.as_secs_f64() / 3600.0, elapsed.as_secs_f64());
        format!(
            "{} of {seeds} seeds, {} failed; {:.1} seeds/s, {simulated_hours:.1} h simulated, {} \
             bytes sent, digest {:016x}",
            self.seeds,
            self.failures,
            self.seeds as f64 / seconds,
            self.bytes,
            self.digest
        )
    }

    /// Returns the median, the 99th percentile and the longest time to heal.
    fn heal_line(&self) -> String {
        let mut times = self.heal_times.clone();
        times.sort_unstable();
        let Some(&(longest, seed)) = times.last() else { return "no seed has healed".to_owned() };
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].0.as_secs_f64();
        format!(
            "time to heal: median {:.1} s, p99 {:.1} s, longest {:.1} s (seed {seed})",
            at(50),
            at(99),
            longest.as_secs_f64()
        )
    }
}

fn print_failure(seed: u64, outcome: &Outcome, (shrunk, end): &(Scenario, Outcome), traces: bool) {
    let violation = |outcome: &Outcome| outcome.violation.as_ref().map(ToString::to_string);
    print(&format!(
        "seed {seed}: {}\nshrunk:\n{shrunk}{}",
        violation(outcome).unwrap_or_default(),
        violation(end).unwrap_or_default()
    ));
    if traces {
        print(&shrunk.play_traced().trace.join("\n"));
    }
}

/// Prints a line; the exit code has the result even if nobody reads it.
fn print(line: &str) {
    drop(writeln!(io::stdout(), "{line}"));
}
