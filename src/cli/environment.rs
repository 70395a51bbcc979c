//! Options from environment variables: an empty variable is unset, and an error about a value that
//! came from a variable names it.

use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Error, Parser};

/// Options whose value came from an environment variable.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources(Vec<(String, String)>);

impl Sources {
    /// How an error names `option` (written as in help: `--id <N>`): with its environment variable
    /// if the value came from there.
    pub(super) fn label(&self, option: &str) -> String {
        match self.0.iter().find(|(known, _)| known == option) {
            Some((_, variable)) => label(option, variable),
            None => option.to_owned(),
        }
    }

    fn of(command: &Command, matches: &ArgMatches) -> Self {
        let is_from_environment = |arg: &&Arg| {
            matches.value_source(arg.get_id().as_str()) == Some(ValueSource::EnvVariable)
        };
        let args = command.get_arguments().filter(is_from_environment);
        Self(args.filter_map(|arg| Some((arg.to_string(), variable(arg)?))).collect())
    }
}

fn label(option: &str, variable: &str) -> String {
    format!("{variable} ({option})")
}

fn variable(arg: &Arg) -> Option<String> {
    Some(arg.get_env()?.to_string_lossy().into_owned())
}

/// Parses `words` and the environment, in which `lookup` looks a variable up. Also returns which
/// options of the subcommand came from the environment.
pub(super) fn parse<P: Parser>(
    words: &[OsString],
    lookup: &dyn Fn(&OsStr) -> Option<OsString>,
) -> Result<(P, Sources), Error> {
    // clap does not show the value that it has read, so that it is looked up again.
    let is_empty = |variable: &OsStr| lookup(variable).is_some_and(|value| value.is_empty());
    let mut command = map_args(P::command(), &|arg| {
        if arg.get_env().is_some_and(is_empty) { arg.env(Resettable::Reset) } else { arg }
    });
    let mut matches = command
        .try_get_matches_from_mut(words)
        .map_err(|error| name_variable(error, &command, words))?;
    let sources = match matches.subcommand() {
        Some((name, matches)) => command
            .find_subcommand(name)
            .map_or_else(Sources::default, |command| Sources::of(command, matches)),
        None => Sources::default(),
    };
    let program = P::from_arg_matches_mut(&mut matches).map_err(|e| e.format(&mut command))?;
    Ok((program, sources))
}

/// Applies `change` to every argument of a command and of its subcommands.
fn map_args(command: Command, change: &dyn Fn(Arg) -> Arg) -> Command {
    command.mut_args(change).mut_subcommands(|subcommand| map_args(subcommand, change))
}

/// Names the environment variable in an error about a value that came from one: the value did so if
/// the command line alone does not produce the error.
fn name_variable(mut error: Error, command: &Command, words: &[OsString]) -> Error {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg).cloned() else {
        return error;
    };
    let without_environment = map_args(command.clone(), &|arg| arg.env(Resettable::Reset));
    let is_same =
        |other: &Error| other.get(ContextKind::InvalidArg) == error.get(ContextKind::InvalidArg);
    if without_environment.try_get_matches_from(words).is_err_and(|other| is_same(&other)) {
        return error;
    }
    let subcommands = command.get_subcommands();
    let mut subcommands =
        subcommands.filter(|subcommand| words.iter().any(|word| *word == *subcommand.get_name()));
    let variable = subcommands.find_map(|subcommand| {
        variable(subcommand.get_arguments().find(|arg| arg.to_string() == option)?)
    });
    if let Some(variable) = variable {
        let label = ContextValue::String(label(&option, &variable));
        error.insert(ContextKind::InvalidArg, label);
    }
    error
}
