//! The operator's commands: one enum, from which parsing, help and the forms in errors are made.

use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::id::{HostId, WideId};
use crate::printable::Printable;

/// A line of the operator.
#[derive(Debug, Parser)]
#[command(name = "operator", no_binary_name = true, disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// A command of the operator.
#[derive(Debug, PartialEq, Eq, Subcommand)]
#[command(rename_all = "snake_case", disable_help_flag = true)]
pub(super) enum Command {
    /// Number of users connected to this server
    NumUsers,
    /// All users of the network: id, name, wire, next server, info
    Users,
    /// All other servers: next server, parent, hops, epoch, users, info
    Servers,
    /// All rooms: members here and elsewhere
    Rooms,
    /// All connections: round trip, silence, frames and bytes in and out, send queue, refusals
    Links,
    /// The path to a host, server by server, with the time to each and back
    #[command(override_usage = "trace ID")]
    Trace {
        /// The host at the end of the path.
        #[arg(value_parser = parse_host_id, allow_hyphen_values = true)]
        id: HostId,
    },
    /// This server's identity and counters, and a summary of what it knows
    State,
    /// Messages kept for absent users: number and bytes for each user
    #[command(subcommand_value_name = "drop ID", disable_help_subcommand = true)]
    Mail {
        #[command(subcommand)]
        command: Option<MailCommand>,
    },
    /// A token with which one server may join this one: crc server --join TOKEN
    #[command(override_usage = "invite [--expires SECONDS] [HOST]")]
    Invite {
        /// Time within which the server must join.
        #[arg(long, value_parser = parse_lifetime, allow_hyphen_values = true)]
        expires: Option<Duration>,
        /// The name or address by which the server reaches this one.
        host: Option<String>,
    },
    /// Closes the connection of a user or server that is connected to this server
    #[command(override_usage = "kick ID [text]")]
    Kick {
        /// The host to close.
        #[arg(value_parser = parse_host_id, allow_hyphen_values = true)]
        id: HostId,
        /// The text that the host gets.
        #[arg(allow_hyphen_values = true)]
        text: Option<String>,
    },
    /// Reads the configuration file, certificates, keys and lists again
    Reload,
    /// Stops this server
    Shutdown,
    /// This list
    Help,
}

/// A subcommand of `mail`.
#[derive(Debug, PartialEq, Eq, Subcommand)]
#[command(rename_all = "snake_case", disable_help_flag = true)]
pub(super) enum MailCommand {
    /// Deletes the messages kept for a user
    #[command(override_usage = "mail drop ID")]
    Drop {
        /// The user whose messages are deleted.
        #[arg(value_parser = parse_wide_id, allow_hyphen_values = true)]
        id: WideId,
    },
}

fn parse_host_id(word: &str) -> Result<HostId, String> {
    word.parse().map(HostId).map_err(|_| not_an_id(word))
}

fn parse_lifetime(word: &str) -> Result<Duration, String> {
    let seconds = word.parse::<u32>().ok().filter(|seconds| *seconds > 0);
    seconds
        .map(|seconds| Duration::from_secs(seconds.into()))
        .ok_or_else(|| format!("{} is not a number of seconds above 0", quote(word)))
}

fn parse_wide_id(word: &str) -> Result<WideId, String> {
    word.parse().ok().filter(|id| *id > 0).map(WideId).ok_or_else(|| not_an_id(word))
}

fn not_an_id(word: &str) -> String {
    format!("{} is not an id", quote(word))
}

/// Quotes a word of the operator, with control characters escaped.
fn quote(word: &str) -> String {
    format!("\"{}\"", Printable(word.as_bytes()))
}

/// Parses a line. An empty line is no command.
///
/// # Errors
/// One line, newline included: what is wrong and what to write instead.
pub(super) fn parse(line: &str) -> Result<Option<Command>, String> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    let mut parser = Line::command();
    parser.build();
    let matches = parser.try_get_matches_from_mut(split(&parser, line));
    let command = matches.and_then(|matches| Line::from_arg_matches(&matches));
    command.map(|line| Some(line.command)).map_err(|error| describe(&parser, line, &error))
}

/// Splits a line into words. The last word of a command with a free text is the rest of the line,
/// with its spaces.
fn split<'a>(parser: &clap::Command, line: &'a str) -> Vec<&'a str> {
    let name = line.split_whitespace().next().unwrap_or_default();
    let word_count = match parser.find_subcommand(name) {
        Some(command) if has_free_text(command) => 1 + command.get_positionals().count(),
        _ => usize::MAX,
    };
    let mut words = Vec::new();
    let mut rest = line;
    while words.len() + 1 < word_count
        && let Some((word, after)) = rest.split_once(char::is_whitespace)
    {
        words.push(word);
        rest = after.trim_start();
    }
    words.push(rest);
    words
}

fn has_free_text(command: &clap::Command) -> bool {
    command.get_positionals().any(|arg| arg.get_id() == "text")
}

/// Whether a command ends with a free text, in which every word is literal.
#[must_use]
pub(crate) fn takes_free_text(name: &str) -> bool {
    Line::command().find_subcommand(name).is_some_and(has_free_text)
}

/// Describes a parse error in one line.
fn describe(parser: &clap::Command, line: &str, error: &clap::Error) -> String {
    let mut words = line.split_whitespace();
    let (name, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let Some(command) = parser.find_subcommand(name) else {
        return format!("unknown command {}; `help` lists the commands\n", quote(name));
    };
    let nested = command.find_subcommand(second);
    let problem = match error.kind() {
        ErrorKind::ValueValidation => {
            let source = std::error::Error::source(error);
            source.map_or_else(|| "invalid value".to_owned(), ToString::to_string)
        }
        ErrorKind::MissingRequiredArgument => "an id is missing".to_owned(),
        _ => match error.get(ContextKind::InvalidArg).or(error.get(ContextKind::InvalidSubcommand))
        {
            Some(ContextValue::String(word)) => format!("unexpected {}", quote(word)),
            _ => "wrong arguments".to_owned(),
        },
    };
    let forms: Vec<String> = match nested {
        Some(nested) => vec![usage(nested)],
        None => forms(command).into_iter().map(|(form, _)| form).collect(),
    };
    format!("{problem}; write `{}`\n", forms.join("` or `"))
}

/// The form of a command, such as `kick ID [text]`.
fn usage(command: &clap::Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    if command.has_subcommands() || command.get_positionals().next().is_none() {
        return command.get_name().to_owned();
    }
    usage.to_owned()
}

/// The forms of a command and of its subcommands, each with its description.
fn forms(command: &clap::Command) -> Vec<(String, String)> {
    let about =
        |command: &clap::Command| command.get_about().map_or_else(String::new, ToString::to_string);
    std::iter::once(command)
        .chain(command.get_subcommands())
        .map(|command| (usage(command), about(command)))
        .collect()
}

/// Lists all commands, a line each.
pub(super) fn help() -> Vec<String> {
    let parser = Line::command();
    let forms: Vec<(String, String)> = parser.get_subcommands().flat_map(forms).collect();
    let width = forms.iter().map(|(form, _)| form.len()).max().unwrap_or(0);
    forms.into_iter().map(|(form, about)| format!("{form:<width$}  {about}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_parsed_into_its_command() {
        let kick = |id, text: Option<&str>| Command::Kick {
            id: HostId(id),
            text: text.map(str::to_owned),
        };
        for (line, expected) in [
            ("", None),
            ("  \t", None),
            (" num_users ", Some(Command::NumUsers)),
            ("help", Some(Command::Help)),
            ("trace 7", Some(Command::Trace { id: HostId(7) })),
            ("mail", Some(Command::Mail { command: None })),
            (
                "mail  drop 7",
                Some(Command::Mail { command: Some(MailCommand::Drop { id: WideId(7) }) }),
            ),
            ("invite", Some(Command::Invite { expires: None, host: None })),
            (
                "invite --expires 60 bree:3600",
                Some(Command::Invite {
                    expires: Some(Duration::from_secs(60)),
                    host: Some("bree:3600".to_owned()),
                }),
            ),
            ("kick 7", Some(kick(7, None))),
            ("kick  7  be  quiet --json -x", Some(kick(7, Some("be  quiet --json -x")))),
            ("kick 7 --help", Some(kick(7, Some("--help")))),
        ] {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn invalid_line_is_answered_with_one_line_that_names_the_remedy() {
        for (line, expected) in [
            ("frobnicate", "unknown command \"frobnicate\"; `help` lists the commands"),
            ("--help", "unknown command \"--help\"; `help` lists the commands"),
            ("\u{1b}[2J x", "unknown command \"\\u{1b}[2J\"; `help` lists the commands"),
            ("users all", "unexpected \"all\"; write `users`"),
            ("users --all", "unexpected \"--all\"; write `users`"),
            ("help kick", "unexpected \"kick\"; write `help`"),
            ("kick", "an id is missing; write `kick ID [text]`"),
            ("kick x", "\"x\" is not an id; write `kick ID [text]`"),
            ("kick -1 x", "\"-1\" is not an id; write `kick ID [text]`"),
            ("trace sam", "\"sam\" is not an id; write `trace ID`"),
            ("mail drop", "an id is missing; write `mail drop ID`"),
            ("mail drop sam", "\"sam\" is not an id; write `mail drop ID`"),
            ("mail drop 0", "\"0\" is not an id; write `mail drop ID`"),
            ("mail drop 1 2", "unexpected \"2\"; write `mail drop ID`"),
            (
                "invite --expires 0",
                "\"0\" is not a number of seconds above 0; write `invite [--expires SECONDS] [HOST]`",
            ),
            ("invite a b", "unexpected \"b\"; write `invite [--expires SECONDS] [HOST]`"),
            ("mail lose", "unexpected \"lose\"; write `mail` or `mail drop ID`"),
        ] {
            assert_eq!(parse(line), Err(format!("{expected}\n")), "{line}");
        }
    }

    #[test]
    fn help_has_a_line_for_every_command() {
        let help = help();
        assert_eq!(help.len(), 14);
        assert!(help[0].starts_with(&format!("{:<33}  Number of users", "num_users")), "{help:?}");
        assert!(
            help.contains(&format!("{:<33}  Deletes the messages kept for a user", "mail drop ID"))
        );
        assert!(
            help.iter().any(|line| line.starts_with(&format!("{:<33}  Closes", "kick ID [text]")))
        );
    }

    #[test]
    fn only_kick_takes_a_free_text() {
        assert!(takes_free_text("kick"));
        assert!(!takes_free_text("users") && !takes_free_text("mail") && !takes_free_text(""));
    }
}
