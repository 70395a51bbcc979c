//! Plays one case on one network, and compares the final state with the expected one.

use std::collections::BTreeMap;
use std::fmt;

use crc::internal::Printable;

use crate::runner::backend::{Backend, RunError};
use crate::runner::case::Case;
use crate::runner::command::{Action, Command};
use crate::runner::state::{Difference, Role};

/// Maximum length of a command in an error, in characters.
const COMMAND_DISPLAY_CHARS_MAX: usize = 160;

/// The result of a case on one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is as expected.
    Passed {
        /// Differences that are not errors.
        warnings: Vec<String>,
    },
    /// A command failed, or the final state differs.
    Failed {
        /// The reasons, one line each.
        reasons: Vec<String>,
        /// The latest frames or log lines, newest last.
        trace: Vec<String>,
    },
}

impl Outcome {
    /// Returns whether the case passed.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        matches!(self, Self::Passed { .. })
    }
}

/// Plays `case` on `network`. With `is_strict`, every difference is an error.
pub fn run_case(case: &Case, network: &mut dyn Backend, is_strict: bool) -> Outcome {
    let result =
        run_commands(case, network).and_then(|roles| compare_final_state(case, network, &roles));
    let (reasons, warnings) = match result {
        Ok(differences) => {
            let is_error =
                |found: &NamedDifference| is_strict || !found.difference.key.is_lenient();
            let (errors, warnings): (Vec<_>, Vec<_>) = differences.into_iter().partition(is_error);
            let display =
                |list: Vec<NamedDifference>| list.iter().map(NamedDifference::to_string).collect();
            (display(errors), display(warnings))
        }
        Err(fault) => (vec![fault.0], Vec::new()),
    };
    match reasons.is_empty() {
        true => Outcome::Passed { warnings },
        false => Outcome::Failed { reasons, trace: network.trace() },
    }
}

/// A difference, and the host that it is in.
struct NamedDifference {
    name: String,
    difference: Difference,
}

impl fmt::Display for NamedDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Printable(self.name.as_bytes()), self.difference)
    }
}

/// Runs every command up to `KILL ALL`. Returns the role of each name.
fn run_commands(
    case: &Case,
    network: &mut dyn Backend,
) -> Result<BTreeMap<String, Role>, RunError> {
    let mut roles = BTreeMap::new();
    let mut is_message_run = false;
    for (index, (line, command)) in case.commands.iter().enumerate() {
        if *command == Command::KillAll {
            break;
        }
        // Consecutive messages may be in flight together. Any other command finds the network
        // quiescent, so that a case has one outcome.
        let was_message_run = std::mem::replace(&mut is_message_run, is_message(command));
        let quiescent =
            if was_message_run && is_message_run { Ok(()) } else { network.wait_until_quiescent() };
        let result = quiescent.and_then(|()| {
            network.begin_command(index + 1);
            run_command(command, network, &mut roles)
        });
        result.map_err(|fault| {
            RunError(format!("command {} ({}): {fault}", index + 1, display_command(line)))
        })?;
    }
    network
        .wait_until_quiescent()
        .map_err(|fault| RunError(format!("after the last command: {fault}")))?;
    Ok(roles)
}

fn is_message(command: &Command) -> bool {
    matches!(command, Command::ClientCommand { action: Action::Message { .. }, .. })
}

fn run_command(
    command: &Command,
    network: &mut dyn Backend,
    roles: &mut BTreeMap<String, Role>,
) -> Result<(), RunError> {
    match command {
        Command::LaunchServer(launch) => {
            roles.insert(launch.servername.clone(), Role::Server);
            network.launch_server(launch)
        }
        Command::LaunchClient(launch) => {
            roles.insert(launch.username.clone(), Role::Client(launch.wire));
            network.launch_client(launch)
        }
        Command::ClientCommand { username, action } => network.client_command(username, action),
        Command::Wait(duration) => network.wait(*duration),
        Command::Kill(name) if !roles.contains_key(name) => Ok(()), // the case has a warning
        Command::Kill(name) => network.kill(name),
        Command::Freeze(username) => network.freeze(username),
        Command::KillAll => Ok(()),
    }
}

fn compare_final_state(
    case: &Case,
    network: &mut dyn Backend,
    roles: &BTreeMap<String, Role>,
) -> Result<Vec<NamedDifference>, RunError> {
    let mut differences = Vec::new();
    for (name, expected) in &case.final_state {
        let actual = match roles.get(name) {
            Some(Role::Server) => network.server_state(name),
            Some(Role::Client(_)) => network.client_state(name),
            None => Err(RunError::new("is launched only after KILL ALL")),
        };
        let found = actual.map_err(|fault| {
            RunError(format!("final state of {}: {fault}", Printable(name.as_bytes())))
        })?;
        let with_name = |difference| NamedDifference { name: name.clone(), difference };
        differences.extend(expected.differences(&found).into_iter().map(with_name));
    }
    Ok(differences)
}

fn display_command(line: &str) -> String {
    let end = line.char_indices().nth(COMMAND_DISPLAY_CHARS_MAX).map_or(line.len(), |(at, _)| at);
    let rest = if end < line.len() { "…" } else { "" };
    format!("{}{rest}", Printable(&line.as_bytes()[..end]))
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
