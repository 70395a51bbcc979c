//! The workload that compares what a copy of a message to a room costs, or a message between two
//! clients: crc, other programs, and a forwarder of bytes, which take turns.

use std::fmt;

use serde_json::{Value, json};

use super::chat::{self, ChatReport};
use super::context::LoadContext;
use super::error::LoadError;
use super::format::median;
use super::programs::Program;
use super::report::Table;

/// Parameters of a run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The load on each program.
    pub(super) runs: Vec<(Program, chat::Plan)>,
    pub(super) rounds: usize,
}

/// The result of one turn of a program.
struct Turn {
    /// Server CPU of a copy, in microseconds.
    cpu_micros: f64,
    copies_per_s: f64,
    /// Latency of a copy, in microseconds.
    p50_micros: f64,
    p99_micros: f64,
    /// Copies that did not arrive once and in order.
    faults: u64,
    /// Server memory of an idle client, if there are any.
    idle_bytes: Option<f64>,
}

impl Turn {
    fn new(report: &ChatReport) -> Self {
        let micros = |quantile| report.latencies.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            cpu_micros: report.server_cpu_micros().unwrap_or(f64::NAN),
            copies_per_s: report.per_second(),
            p50_micros: micros(0.5),
            p99_micros: micros(0.99),
            faults: report.lost + report.out_of_order + report.misdelivered,
            idle_bytes: report.bytes_per_idle_client(),
        }
    }
}

/// The results of a run.
pub(super) struct FanOutReport {
    /// The turns of each program, one a round.
    programs: Vec<(Program, Vec<Turn>)>,
}

/// Runs the workload. The first failure ends it.
///
/// # Errors
/// Returns the program that failed, and the reason.
pub(super) fn run(plan: &Plan, context: &LoadContext) -> Result<FanOutReport, LoadError> {
    let mut programs: Vec<(Program, Vec<Turn>)> =
        plan.runs.iter().map(|(program, _)| (*program, Vec::new())).collect();
    let quiet = LoadContext { is_quiet: true, interrupted: context.interrupted.clone() };
    for round in 1..=plan.rounds {
        for ((program, run), (_, turns)) in plan.runs.iter().zip(&mut programs) {
            context.print_note(&format!("round {round} of {}: {}", plan.rounds, program.name()));
            let failed = |error| match error {
                LoadError::Failed(reason) => {
                    LoadError::Failed(format!("{}: {reason}", program.name()))
                }
                LoadError::Interrupted => error,
            };
            let report = chat::run(run, &quiet).map_err(failed)?;
            if let Some(error) = report.error {
                return Err(failed(error));
            }
            turns.push(Turn::new(&report));
        }
    }
    Ok(FanOutReport { programs })
}

impl FanOutReport {
    /// Returns the program to whose CPU that of another is compared: a forwarder, or the first.
    fn yardstick(&self, of: Program) -> &(Program, Vec<Turn>) {
        let find = |sought| self.programs.iter().find(move |(program, _)| *program == sought);
        of.yardsticks().into_iter().find_map(find).unwrap_or(&self.programs[0])
    }

    /// Returns the median ratio of a program's CPU to that of its yardstick in the same round.
    fn ratio(&self, program: Program, turns: &[Turn]) -> f64 {
        let rounds = turns.iter().zip(&self.yardstick(program).1);
        median(rounds.map(|(turn, yardstick)| turn.cpu_micros / yardstick.cpu_micros))
    }

    /// Renders the results as one JSON object.
    pub(super) fn json(&self) -> Value {
        let programs = self.programs.iter().map(|(program, turns)| {
            let rounds: Vec<Value> = turns
                .iter()
                .map(|turn| {
                    json!({
                        "server_cpu_us_per_copy": turn.cpu_micros,
                        "copies_per_s": turn.copies_per_s.round(),
                        "p50_us": turn.p50_micros,
                        "p99_us": turn.p99_micros,
                        "faults": turn.faults,
                        "bytes_per_idle_client": turn.idle_bytes,
                    })
                })
                .collect();
            json!({ "program": program.name(), "ratio": self.ratio(*program, turns), "rounds": rounds })
        });
        json!({ "workload": "fan-out", "programs": programs.collect::<Vec<_>>() })
    }
}

impl fmt::Display for FanOutReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        for (program, turns) in &self.programs {
            let of = |value: fn(&Turn) -> f64| turns.iter().map(value);
            let cpu = |turn: &Turn| turn.cpu_micros;
            let least = of(cpu).fold(f64::INFINITY, f64::min);
            let most = of(cpu).fold(0.0, f64::max);
            let ratio = self.ratio(*program, turns);
            let yardstick = self.yardstick(*program).0.name();
            let idle: Vec<f64> = turns.iter().filter_map(|turn| turn.idle_bytes).collect();
            let idle = match idle.is_empty() {
                true => String::new(),
                false => format!("; {:.0} bytes an idle client", median(idle.into_iter())),
            };
            let faults: u64 = turns.iter().map(|turn| turn.faults).sum();
            let faults = match faults {
                0 => String::new(),
                count => format!("; {count} copies lost, twice or out of order"),
            };
            table.row(
                program.name(),
                format!(
                    "{:.2} µs ({least:.2}–{most:.2}) of CPU a copy, {ratio:.2} × {yardstick}; {:.0} \
                     copies/s; p50 {:.0} µs, p99 {:.0} µs{idle}{faults}",
                    median(of(cpu)),
                    median(of(|turn| turn.copies_per_s)),
                    median(of(|turn| turn.p50_micros)),
                    median(of(|turn| turn.p99_micros)),
                ),
            );
        }
        write!(f, "{table}")
    }
}
