//! Where options come from: the command line or environment variables. An empty variable is unset,
//! and an error about a value that came from a variable names it.

use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Error, Parser};

/// The options that were given on the command line or by environment variables.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources(Vec<Given>);

/// An option that was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// The option as it is written in help: `--id <N>`.
    option: String,
    /// Its long form without dashes.
    long: String,
    /// The environment variable from which it comes; `None` if it was on the command line.
    pub(super) variable: Option<String>,
    /// What was written.
    pub(super) values: Vec<String>,
}

impl Sources {
    /// How an error names `option` (written as in help: `--id <N>`): with its environment variable
    /// if the value came from there.
    pub(super) fn label(&self, option: &str) -> String {
        let given = self.0.iter().find(|given| given.option == option);
        match given.and_then(|given| given.variable.as_deref()) {
            Some(variable) => label(option, variable),
            None => option.to_owned(),
        }
    }

    /// Returns what was given for the option with this long form.
    pub(super) fn given(&self, long: &str) -> Option<&Given> {
        self.0.iter().find(|given| given.long == long)
    }

    fn of(command: &Command, matches: &ArgMatches) -> Self {
        let given = |arg: &Arg| {
            let id = arg.get_id().as_str();
            let variable = match matches.value_source(id)? {
                ValueSource::CommandLine => None,
                ValueSource::EnvVariable => Some(variable(arg)?),
                _ => return None,
            };
            let values = matches.get_raw(id).into_iter().flatten();
            Some(Given {
                option: arg.to_string(),
                long: arg.get_long().unwrap_or(id).to_owned(),
                variable,
                values: values.map(|value| value.to_string_lossy().into_owned()).collect(),
            })
        };
        Self(command.get_arguments().filter_map(given).collect())
    }
}

fn label(option: &str, variable: &str) -> String {
    format!("{variable} ({option})")
}

fn variable(arg: &Arg) -> Option<String> {
    Some(arg.get_env()?.to_string_lossy().into_owned())
}

/// Parses `words` and the environment, in which `lookup` looks a variable up. Also returns which
/// options of the subcommand were given, and how.
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
