//! What a message costs as a network grows: the same load against more connections, more hosts, more
//! hops. A file for each point, from which `scripts/plot-performance` draws curves.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::chat;
use super::conversation::Talk;
use super::ledger::Receivers;
use super::pace::Pace;
use super::servers::Site;
use super::{Context, Stop};
use crate::command::Wire;

/// A run of all series.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) binary: Option<PathBuf>,
    pub(super) folder: PathBuf,
    pub(super) wire: Wire,
    pub(super) connections: Vec<usize>,
    pub(super) hosts: Vec<usize>,
    pub(super) hops: Vec<usize>,
    pub(super) pairs: usize,
    pub(super) in_flight: u32,
    pub(super) size: usize,
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
    pub(super) pin: bool,
}

impl Plan {
    /// The runs, with the names of their files.
    fn runs(&self) -> Vec<(String, chat::Plan)> {
        let run = |servers, idle, hosts| chat::Plan {
            site: Site::Chain { servers, binary: self.binary.clone() },
            talk: Talk {
                wire: self.wire,
                receivers: Receivers::Own { pairs: self.pairs },
                size: self.size,
                pace: Pace::InFlight(self.in_flight),
                spread: false,
            },
            idle,
            hosts,
            warm_up: self.warm_up,
            duration: self.duration,
            pin: self.pin,
            spin: false,
        };
        let mut runs = Vec::new();
        for &count in &self.connections {
            let idle = count.saturating_sub(2 * self.pairs);
            runs.push((format!("connections-{count}.json"), run(1, idle, 0)));
        }
        for &count in &self.hosts {
            runs.push((format!("hosts-{count}.json"), run(1, 0, count)));
        }
        for &count in &self.hops {
            runs.push((format!("hops-{count}.json"), run(count + 1, 0, 0)));
        }
        runs
    }
}

/// Runs them all and writes the files; a point that fails ends it.
///
/// # Errors
/// Which run failed and why.
pub(super) fn run(plan: &Plan, context: &Context) -> Result<(), Stop> {
    let folder = plan.folder.display();
    fs::create_dir_all(&plan.folder)
        .map_err(|error| Stop::fault(format!("{folder} cannot be made: {error}")))?;
    let runs = plan.runs();
    let count = runs.len();
    for (at, (name, run)) in runs.into_iter().enumerate() {
        context.note(&format!("{} of {count}: {name}", at + 1));
        let result = chat::run(&run, context).and_then(|mut report| match report.stop.take() {
            Some(stop) => Err(stop),
            None => Ok(report),
        });
        let report = result.map_err(|stop| match stop {
            Stop::Fault(reason) => Stop::Fault(format!("{name}: {reason}")),
            Stop::Interrupted => Stop::Interrupted,
        })?;
        let path = plan.folder.join(&name);
        let text = format!("{:#}\n", report.json());
        fs::write(&path, text).map_err(|error| {
            let path = path.display();
            Stop::fault(format!("{path} cannot be written: {error}"))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_point_differs_from_the_others_in_one_thing() {
        let plan = Plan {
            binary: None,
            folder: PathBuf::new(),
            wire: Wire::Crc,
            connections: vec![10, 100],
            hosts: vec![1000],
            hops: vec![1, 20],
            pairs: 5,
            in_flight: 1,
            size: 64,
            warm_up: Duration::ZERO,
            duration: Duration::ZERO,
            pin: false,
        };
        let servers = |site: &Site| match site {
            Site::Chain { servers, .. } => *servers,
            Site::Running { .. } => 0,
        };
        let runs = plan.runs();
        let points: Vec<_> = runs
            .iter()
            .map(|(name, run)| (name.as_str(), servers(&run.site), run.idle, run.hosts))
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
