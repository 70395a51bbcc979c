//! Runs many cases concurrently, each on every kind of network.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::binary;
use crate::runner::backend::{BackendKind, RunError};
use crate::runner::case::{Case, case_files, display_path};
use crate::runner::golden::GoldenTrace;
use crate::runner::processes::{ProcessBackend, ProcessOptions};
use crate::runner::run::{Outcome, run_case};
use crate::runner::simulator::Simulator;

/// The options of a run. The default is that of the command line.
#[derive(Clone, Debug)]
pub struct SuiteOptions {
    /// Whether every warning is an error.
    pub is_strict: bool,
    /// Whether `WAIT` always takes its time in processes.
    pub real_waits: bool,
    /// The only kind of network to run on, if any.
    pub only: Option<BackendKind>,
    /// The `crc` to test; [`binary::locate`] finds it by default.
    pub crc: Option<PathBuf>,
    /// Whether golden traces are written instead of compared. Only the simulator runs then.
    pub blesses: bool,
    /// The number of cases at a time, at least 1.
    pub jobs: usize,
    /// Called at the end of each case, on the thread that ran it.
    pub on_case_done: fn(&CaseReport),
    /// When set, running cases end and no more are started.
    pub interrupted: Arc<AtomicBool>,
}

impl Default for SuiteOptions {
    fn default() -> Self {
        Self {
            is_strict: false,
            real_waits: false,
            only: None,
            blesses: false,
            crc: None,
            jobs: 2,
            on_case_done: |_| {},
            interrupted: Arc::default(),
        }
    }
}

/// The reason why no case was run.
#[derive(Debug)]
pub enum StartError {
    /// A file or directory cannot be read.
    Usage(String),
    /// There is no `crc` to test.
    Binary(RunError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Binary(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// The result of a case on one kind of network.
#[derive(Clone, Debug)]
pub struct CaseRun {
    /// The kind of network.
    pub kind: BackendKind,
    /// The result.
    pub outcome: Outcome,
    /// The elapsed time.
    pub elapsed: Duration,
}

/// The results of a case.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// The file.
    pub path: PathBuf,
    /// The reason why the file is not a valid case. There are no runs then.
    pub read_error: Option<String>,
    /// The parts of the file that are ignored.
    pub warnings: Vec<String>,
    /// One result for each kind of network.
    pub runs: Vec<CaseRun>,
}

impl CaseReport {
    /// Returns whether the file is a valid case that passed on every network.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.read_error.is_none() && self.runs.iter().all(|run| run.outcome.is_passed())
    }
}

/// The results of all cases, in the order of their files.
#[derive(Clone, Debug)]
pub struct Summary {
    /// One report for each case.
    pub reports: Vec<CaseReport>,
    /// The elapsed time.
    pub elapsed: Duration,
}

impl Summary {
    /// Returns whether all cases passed.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.reports.iter().all(CaseReport::is_passed)
    }
}

/// Runs the cases of `paths`. A directory stands for all cases in it.
///
/// # Errors
/// No case could be run. A case that fails or cannot be read is in the summary.
pub fn run_all(paths: &[PathBuf], options: &SuiteOptions) -> Result<Summary, StartError> {
    let started_at = Instant::now();
    let files = case_files(paths).map_err(|error| StartError::Usage(error.to_string()))?;
    let kinds: Vec<_> = BackendKind::ALL
        .into_iter()
        .filter(|kind| options.only.is_none_or(|only| only == *kind))
        .filter(|kind| !options.blesses || *kind == BackendKind::Simulator)
        .collect();
    let binary = match (&options.crc, kinds.contains(&BackendKind::Processes)) {
        (_, false) => Ok(PathBuf::new()),
        (Some(path), true) => binary::require_file(path.clone(), "--crc"),
        (None, true) => binary::locate(),
    };
    let processes = ProcessOptions {
        binary: binary.map_err(StartError::Binary)?,
        real_waits: options.real_waits,
        interrupted: Arc::clone(&options.interrupted),
    };
    let (next_index, finished) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, files.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next_index.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = files.get(index) else { return };
                    if options.interrupted.load(Ordering::Relaxed) {
                        return;
                    }
                    let is_named = paths.contains(path);
                    let report = run_file(path, &kinds, options, &processes, is_named);
                    (options.on_case_done)(&report);
                    finished.lock().unwrap_or_else(PoisonError::into_inner).push((index, report));
                }
            });
        }
    });
    let mut reports = finished.into_inner().unwrap_or_else(PoisonError::into_inner);
    reports.sort_by_key(|(at, _)| *at);
    let reports = reports.into_iter().map(|(_, report)| report).collect();
    Ok(Summary { reports, elapsed: started_at.elapsed() })
}

fn run_file(
    path: &Path,
    kinds: &[BackendKind],
    options: &SuiteOptions,
    processes: &ProcessOptions,
    is_named: bool,
) -> CaseReport {
    let path = path.to_owned();
    let case = match Case::read(&path) {
        Ok(case) => case,
        Err(error) => {
            let read_error = Some(error.to_string());
            return CaseReport { path, read_error, warnings: Vec::new(), runs: Vec::new() };
        }
    };
    if options.is_strict && !case.warnings.is_empty() {
        let read_error = Some(format!("{}: {}", display_path(&path), case.warnings.join("; ")));
        return CaseReport { path, read_error, warnings: Vec::new(), runs: Vec::new() };
    }
    let runs = kinds.iter().map(|&kind| {
        let started_at = Instant::now();
        // A panic ends this run only.
        let outcome = catch_unwind(AssertUnwindSafe(|| match kind {
            BackendKind::Simulator => run_simulated(&case, options, is_named),
            BackendKind::Processes => {
                match ProcessBackend::new(processes.clone(), case.wants_first_frames()) {
                    Ok(mut network) => run_case(&case, &mut network, options.is_strict),
                    Err(fault) => failed_outcome(fault.0),
                }
            }
        }));
        let outcome = outcome
            .unwrap_or_else(|_| failed_outcome("it panicked; the message is above".to_owned()));
        CaseRun { kind, outcome, elapsed: started_at.elapsed() }
    });
    let runs = runs.collect();
    CaseReport { path, read_error: None, warnings: case.warnings, runs }
}

/// Plays a case in the simulator, and compares or writes its golden trace. `is_named` is whether
/// the user named the file itself, for which `--bless` creates a trace.
fn run_simulated(case: &Case, options: &SuiteOptions, is_named: bool) -> Outcome {
    let golden = GoldenTrace::beside(&case.path);
    let compares_trace = golden.exists() || (options.blesses && is_named);
    if !compares_trace {
        return run_case(case, &mut Simulator::new(), options.is_strict);
    }
    let mut simulator = Simulator::with_golden_trace();
    let outcome = run_case(case, &mut simulator, options.is_strict);
    if !outcome.is_passed() {
        return outcome;
    }
    let found = simulator.golden_trace(case);
    let result = if options.blesses { golden.write(&found) } else { golden.compare(&found) };
    match result {
        Ok(()) => outcome,
        Err(reason) => failed_outcome(reason),
    }
}

fn failed_outcome(reason: String) -> Outcome {
    Outcome::Failed { reasons: vec![reason], trace: Vec::new() }
}
