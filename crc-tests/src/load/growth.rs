//! The workload of a growing network: the same chats with more connections, hosts and hops. Writes
//! one file per point, from which `scripts/plot-performance` draws curves.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crc::wires::Wire;

use super::chat;
use super::chat_parameters::ChatParameters;
use super::context::LoadContext;
use super::delivery_tracker::Addressing;
use super::error::LoadError;
use super::pace::Pace;
use super::servers::Target;

/// Parameters of a run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) binary: Option<PathBuf>,
    pub(super) output_dir: PathBuf,
    pub(super) wire: Wire,
    pub(super) connections: Vec<usize>,
    pub(super) hosts: Vec<usize>,
    pub(super) hops: Vec<usize>,
    pub(super) pairs: usize,
    pub(super) in_flight: u32,
    pub(super) size: usize,
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
    pub(super) pins_cores: bool,
}

impl Plan {
    /// Returns the runs with the names of their files.
    fn runs(&self) -> Vec<(String, chat::Plan)> {
        let chat_plan = |servers, idle, hosts| chat::Plan {
            target: Target::Chain { servers, binary: self.binary.clone(), options: Vec::new() },
            chat: ChatParameters {
                protocol: self.wire.into(),
                addressing: Addressing::Paired { pairs: self.pairs },
                text_bytes: self.size,
                pace: Pace::InFlight(self.in_flight),
                spreads_clients: false,
            },
            idle_clients: idle,
            extra_hosts: hosts,
            warm_up: self.warm_up,
            duration: self.duration,
            pins_cores: self.pins_cores,
            busy_polls: false,
        };
        let mut runs = Vec::new();
        for &count in &self.connections {
            let idle = count.saturating_sub(2 * self.pairs);
            runs.push((format!("connections-{count}.json"), chat_plan(1, idle, 0)));
        }
        for &count in &self.hosts {
            runs.push((format!("hosts-{count}.json"), chat_plan(1, 0, count)));
        }
        for &count in &self.hops {
            runs.push((format!("hops-{count}.json"), chat_plan(count + 1, 0, 0)));
        }
        runs
    }
}

/// Runs all points and writes their files. The first failure ends the run.
///
/// # Errors
/// Returns the run that failed, and the reason.
pub(super) fn run(plan: &Plan, context: &LoadContext) -> Result<(), LoadError> {
    let folder = plan.output_dir.display();
    fs::create_dir_all(&plan.output_dir)
        .map_err(|error| LoadError::failed(format!("cannot create {folder}: {error}")))?;
    let runs = plan.runs();
    let count = runs.len();
    for (at, (name, run)) in runs.into_iter().enumerate() {
        context.print_note(&format!("{} of {count}: {name}", at + 1));
        let result = chat::run(&run, context).and_then(|mut report| match report.error.take() {
            Some(stop) => Err(stop),
            None => Ok(report),
        });
        let report = result.map_err(|stop| match stop {
            LoadError::Failed(reason) => LoadError::Failed(format!("{name}: {reason}")),
            LoadError::Interrupted => LoadError::Interrupted,
        })?;
        let path = plan.output_dir.join(&name);
        let text = format!("{:#}\n", report.json());
        fs::write(&path, text).map_err(|error| {
            let path = path.display();
            LoadError::failed(format!("cannot write {path}: {error}"))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_points_vary_one_parameter_each() {
        let plan = Plan {
            binary: None,
            output_dir: PathBuf::new(),
            wire: Wire::CRC,
            connections: vec![10, 100],
            hosts: vec![1000],
            hops: vec![1, 20],
            pairs: 5,
            in_flight: 1,
            size: 64,
            warm_up: Duration::ZERO,
            duration: Duration::ZERO,
            pins_cores: false,
        };
        let servers = |site: &Target| match site {
            Target::Chain { servers, .. } => *servers,
            Target::Existing { .. } | Target::Program { .. } => 0,
        };
        let runs = plan.runs();
        let points: Vec<_> = runs
            .iter()
            .map(|(name, run)| {
                (name.as_str(), servers(&run.target), run.idle_clients, run.extra_hosts)
            })
            .collect();
        assert_eq!(
            points,
            [
                ("connections-10.json", 1, 0, 0),
                ("connections-100.json", 1, 90, 0),
                ("hosts-1000.json", 1, 0, 1000),
                ("hops-1.json", 2, 0, 0),
                ("hops-20.json", 21, 0, 0),
            ]
        );
    }
}
