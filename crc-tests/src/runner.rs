//! Plays one case on one network, and compares what is found with what is expected.

use std::collections::BTreeMap;
use std::fmt;

use crc::printable::Printable;

use crate::backend::{Backend, Fault};
use crate::case::Case;
use crate::command::{Action, Command};
use crate::state::{Difference, Role};

/// The longest part of a command that is shown, in characters.
const COMMAND_CHARS_SHOWN: usize = 160;

/// How a case went on one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is as expected.
    Passed {
        /// Differences that do not count.
        warnings: Vec<String>,
    },
    /// Something is not.
    Failed {
        /// What, a line each.
        reasons: Vec<String>,
        /// What led there, the newest last.
        trace: Vec<String>,
    },
}

impl Outcome {
    /// Whether all is as expected.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        matches!(self, Self::Passed { .. })
    }
}

/// Plays `case` on `network`; `is_strict` makes every difference count.
pub fn play(case: &Case, network: &mut dyn Backend, is_strict: bool) -> Outcome {
    let result = perform(case, network).and_then(|roles| compare(case, network, &roles));
    let (reasons, warnings) = match result {
        Ok(differences) => {
            let counts = |found: &Found| is_strict || !found.difference.key.is_lenient();
            let (errors, warnings): (Vec<_>, Vec<_>) = differences.into_iter().partition(counts);
            let shown = |list: Vec<Found>| list.iter().map(Found::to_string).collect();
            (shown(errors), shown(warnings))
        }
        Err(fault) => (vec![fault.0], Vec::new()),
    };
    match reasons.is_empty() {
        true => Outcome::Passed { warnings },
        false => Outcome::Failed { reasons, trace: network.trace() },
    }
}

/// A difference, and whose.
struct Found {
    name: String,
    difference: Difference,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Printable(self.name.as_bytes()), self.difference)
    }
}

/// Carries out every command up to `KILL ALL`; answers what each name stands for.
fn perform(case: &Case, network: &mut dyn Backend) -> Result<BTreeMap<String, Role>, Fault> {
    let mut roles = BTreeMap::new();
    let mut is_typing = false;
    for (at, (line, command)) in case.commands.iter().enumerate() {
        if *command == Command::KillAll {
            break;
        }
        // Messages may be on their way together. All else finds a network at rest, so that a case
        // has one outcome and not several.
        let was_typing = std::mem::replace(&mut is_typing, is_message(command));
        let rest = if was_typing && is_typing { Ok(()) } else { network.settle() };
        rest.and_then(|()| carry_out(command, network, &mut roles)).map_err(|fault| {
            Fault(format!("command {} ({}): {fault}", at + 1, shown_command(line)))
        })?;
    }
    network.settle().map_err(|fault| Fault(format!("after the last command: {fault}")))?;
    Ok(roles)
}

fn is_message(command: &Command) -> bool {
    matches!(command, Command::ClientCommand { action: Action::Message { .. }, .. })
}

fn carry_out(
    command: &Command,
    network: &mut dyn Backend,
    roles: &mut BTreeMap<String, Role>,
) -> Result<(), Fault> {
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
        Command::Kill(name) => network.kill(name),
        Command::Freeze(username) => network.freeze(username),
        Command::KillAll => Ok(()),
    }
}

fn compare(
    case: &Case,
    network: &mut dyn Backend,
    roles: &BTreeMap<String, Role>,
) -> Result<Vec<Found>, Fault> {
    let mut differences = Vec::new();
    for (name, expected) in &case.final_state {
        let found = match roles.get(name) {
            Some(Role::Server) => network.server_state(name),
            Some(Role::Client(_)) => network.client_state(name),
            None => Err(Fault::new("is launched only after KILL ALL")),
        };
        let found = found.map_err(|fault| {
            Fault(format!("final state of {}: {fault}", Printable(name.as_bytes())))
        })?;
        let of_name = |difference| Found { name: name.clone(), difference };
        differences.extend(expected.differences(&found).into_iter().map(of_name));
    }
    Ok(differences)
}

fn shown_command(line: &str) -> String {
    let end = line.char_indices().nth(COMMAND_CHARS_SHOWN).map_or(line.len(), |(at, _)| at);
    let rest = if end < line.len() { "…" } else { "" };
    format!("{}{rest}", Printable(&line.as_bytes()[..end]))
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
