//! The parsers of the options and arguments of each [`Command`].

use std::time::Duration;

use crc::id::HostId;
use crc::internal::client::{self, ServerUri};
use crc::limits::{INFO_BYTES_MAX, NAME_BYTES_MAX};
use crc::wires::{CLIENT_WIRES, Wire};

use crate::runner::command::{
    Action, Command, Endpoint, LaunchClient, LaunchServer, ParsedCommand,
};
use crate::runner::command_words::{CommandError, OptionMap, OptionSpec, fail, quote_word};

/// Returns the only argument of a command.
pub(super) fn single_argument(verb: &str, words: &[String]) -> Result<String, CommandError> {
    match words {
        [word] => Ok(word.clone()),
        [] => fail(format!("{verb} needs one word after it")),
        [_, extra, ..] => {
            fail(format!("{verb} takes one word; {} is one too many", quote_word(extra)))
        }
    }
}

const SERVER_OPTIONS: OptionSpec = OptionSpec {
    single: &[
        "--id",
        "--servername",
        "--port",
        "--info",
        "--log-file",
        "--connect-to-host",
        "--connect-to-port",
    ],
    multiple: &[],
    additions: &["--split-grace", "--classic-interval"],
    flags: &["--mailbox"],
    short: &[('I', "--id"), ('S', "--servername"), ('P', "--port")],
};

const CLIENT_OPTIONS: OptionSpec = OptionSpec {
    single: &["--id", "--serverhost", "--serverport", "--username", "--info", "--log-file"],
    multiple: &[],
    additions: &["--wire"],
    flags: &[],
    short: &[('I', "--id"), ('S', "--serverhost"), ('P', "--serverport"), ('U', "--username")],
};

const CLIENT_COMMAND_OPTIONS: OptionSpec = OptionSpec {
    single: &["--username"],
    multiple: &["--command"],
    additions: &[],
    flags: &[],
    short: &[('U', "--username")],
};

/// Parses the words after `LAUNCHSERVER`.
pub(super) fn parse_launch_server(words: Vec<String>) -> Result<ParsedCommand, CommandError> {
    let mut options = OptionMap::parse(words, &SERVER_OPTIONS)?;
    let connect_host = options.take("--connect-to-host");
    let connect_port = options.take("--connect-to-port");
    let connect_to = match (connect_host, connect_port) {
        (None, None) => None,
        (Some(host), Some(port)) => Some(Endpoint { host, port }),
        (Some(_), None) => return fail("--connect_to_host without --connect_to_port"),
        (None, Some(_)) => return fail("--connect_to_port without --connect_to_host"),
    };
    let command = Command::LaunchServer(LaunchServer {
        id: parse_host_id(&options.require("--id")?)?,
        servername: check_len("--servername", options.require("--servername")?, NAME_BYTES_MAX)?,
        port: options.require("--port")?,
        info: check_len("--info", options.take("--info").unwrap_or_default(), INFO_BYTES_MAX)?,
        log_file: options.take("--log-file"),
        connect_to,
        split_grace: optional_duration(&mut options, "--split-grace")?,
        classic_interval: optional_duration(&mut options, "--classic-interval")?,
        has_mailbox: options.take("--mailbox").is_some(),
    });
    Ok(ParsedCommand { command, ignored_words: options.ignored_words })
}

fn optional_duration(
    options: &mut OptionMap,
    name: &str,
) -> Result<Option<Duration>, CommandError> {
    options.take(name).map(|word| parse_seconds(name, &word)).transpose()
}

/// Parses the words after `LAUNCHCLIENT`.
pub(super) fn parse_launch_client(words: Vec<String>) -> Result<ParsedCommand, CommandError> {
    let mut options = OptionMap::parse(words, &CLIENT_OPTIONS)?;
    let wire = match options.take("--wire") {
        Some(word) => parse_wire(&word)?,
        None => Wire::CRC,
    };
    let id = match options.take("--id") {
        None if wire == Wire::CRC => return fail("--id is missing"),
        None => None,
        Some(word) if wire == Wire::CRC => Some(parse_host_id(&word)?.into()),
        Some(word) => Some(parse_wide_id(&word)?),
    };
    let username = options.require("--username")?;
    if wire == Wire::CRC {
        check_len("--username", username.clone(), NAME_BYTES_MAX)?;
    }
    let info = check_len("--info", options.take("--info").unwrap_or_default(), INFO_BYTES_MAX)?;
    let url = ServerUri { wire, ..ServerUri::default() };
    // The bundled client checks the limits of each wire.
    client::Options::new(url, Some(username.clone()), id, Some(info.clone()), true).map_err(
        |misuse| {
            let option = if misuse.option.starts_with("--name") { "--username" } else { "--id" };
            CommandError(format!("{option}: {}: {}", quote_word(&misuse.value), misuse.why))
        },
    )?;
    let command = Command::LaunchClient(LaunchClient {
        wire,
        id,
        username,
        server: Endpoint {
            host: options.take("--serverhost").unwrap_or_default(),
            port: options.require("--serverport")?,
        },
        info,
        log_file: options.take("--log-file"),
    });
    Ok(ParsedCommand { command, ignored_words: options.ignored_words })
}

fn parse_wire(word: &str) -> Result<Wire, CommandError> {
    let names = || CLIENT_WIRES.map(Wire::name).join(", ");
    Wire::by_name(word).ok_or_else(|| {
        CommandError(format!("--wire: {} is not one of {}", quote_word(word), names()))
    })
}

/// Parses a client's command. Its text is one word, quoted or not; further words are ignored.
pub(super) fn parse_client_command(words: Vec<String>) -> Result<ParsedCommand, CommandError> {
    let mut options = OptionMap::parse(words, &CLIENT_COMMAND_OPTIONS)?;
    let action_words = options
        .take_all("--command")
        .ok_or_else(|| CommandError("CLIENTCOMMAND without --command".to_owned()))?;
    let username = options.require("--username")?;
    let (action, used_count) = parse_action(&action_words)?;
    if let Some(word) = action_words.iter().find(|word| word.contains(['\n', '\r'])) {
        return fail(format!("a text cannot contain a line break: {}", quote_word(word)));
    }
    let mut ignored_words = options.ignored_words;
    ignored_words.extend(action_words.into_iter().skip(used_count));
    Ok(ParsedCommand { command: Command::ClientCommand { username, action }, ignored_words })
}

/// Parses what a user types. Also returns the number of words that belong to it.
fn parse_action(words: &[String]) -> Result<(Action, usize), CommandError> {
    let (verb, words) = words.split_first().ok_or_else(no_value)?;
    let word = |at: usize| words.get(at).cloned();
    let required = |at: usize, what: &str| {
        word(at).ok_or_else(|| match words.first() {
            Some(to) => CommandError(format!("{verb} {} has no {what}", quote_word(to))),
            None => CommandError(format!("{verb} needs {what}")),
        })
    };
    Ok(match verb.as_str() {
        "QUIT" => (Action::Quit { text: word(0).unwrap_or_default() }, 2),
        "MESSAGE" => {
            let destination = required(0, "the id or the name of its recipient")?;
            (Action::Message { destination, text: required(1, "text")? }, 3)
        }
        "JOIN" => (Action::Join { room: required(0, "a room")? }, 2),
        "PART" => {
            let text = word(1).unwrap_or_default();
            (Action::Part { room: required(0, "a room")?, text }, 3)
        }
        "SAY" => (Action::Say { room: required(0, "a room")?, text: required(1, "text")? }, 3),
        "ROOMS" => (Action::Rooms, 1),
        "NAMES" => (Action::Names { room: required(0, "a room")? }, 2),
        verb => {
            return fail(format!(
                "unknown client command {}, expected MESSAGE, QUIT, JOIN, PART, SAY, ROOMS or \
                 NAMES",
                quote_word(verb)
            ));
        }
    })
}

fn no_value() -> CommandError {
    CommandError("`--command` has no value".to_owned())
}

fn parse_wide_id(word: &str) -> Result<i64, CommandError> {
    word.parse().map_err(|_| {
        CommandError(format!("--id: {} is not an id (up to {})", quote_word(word), i64::MAX))
    })
}

fn parse_host_id(word: &str) -> Result<u32, CommandError> {
    let id = word.parse().map_err(|_| {
        CommandError(format!("--id: {} is not an id (0 to {})", quote_word(word), u32::MAX))
    })?;
    match HostId(id).is_registrable() {
        true => Ok(id),
        false => fail(format!("--id: {id} is reserved; choose another")),
    }
}

fn check_len(option: &str, text: String, bytes_max: usize) -> Result<String, CommandError> {
    match text.len() {
        len if len > bytes_max => fail(format!(
            "{option} has {len} bytes, and the maximum is {bytes_max}: {}",
            quote_word(&text)
        )),
        _ => Ok(text),
    }
}

/// Parses a number of seconds. `option` names it in an error.
pub(super) fn parse_seconds(option: &str, word: &str) -> Result<Duration, CommandError> {
    word.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(
        || CommandError(format!("{option}: {} is not a number of seconds", quote_word(word))),
    )
}
