//! Parses a line of a case into a typed [`Command`].
//!
//! An error names the word at fault; the caller adds the position of the line.

use std::time::Duration;

use crc::client::{self, ServerUri};
use crc::id::HostId;
use crc::limits::{INFO_BYTES_MAX, NAME_BYTES_MAX};
use crc::wires::Wire;
use crc::wires::classic::codec::NAME_BYTES;

pub use crate::runner::command_words::CommandError;
use crate::runner::command_words::{OptionMap, OptionSpec, fail, quote_word, split_words};

/// A command of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `LAUNCHSERVER`
    LaunchServer(LaunchServer),
    /// `LAUNCHCLIENT`
    LaunchClient(LaunchClient),
    /// `CLIENTCOMMAND`: a user types a line.
    ClientCommand {
        /// The client, by the name of its `LAUNCHCLIENT`.
        username: String,
        /// The line.
        action: Action,
    },
    /// `WAIT SECONDS`
    Wait(Duration),
    /// `KILL NAME`: ends a server or a client abruptly.
    Kill(String),
    /// `FREEZE NAME`: stops a client for good. It neither reads nor sends, and its connection stays
    /// open.
    Freeze(String),
    /// `KILL ALL`: ends the case.
    KillAll,
}

/// A server to start.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchServer {
    /// `--id`
    pub id: u32,
    /// `--servername`, which later commands and the final state refer to.
    pub servername: String,
    /// `--port`: a label, not a real port.
    pub port: String,
    /// `--info`, empty by default.
    pub info: String,
    /// `--log-file`, not used: logs go to a temporary directory.
    pub log_file: Option<String>,
    /// `--connect_to_host` and `--connect_to_port`: the parent.
    pub connect_to: Option<Endpoint>,
    /// `--split-grace SECONDS`. This option and the following ones are our additions to the format.
    pub split_grace: Option<Duration>,
    /// `--classic-interval SECONDS`
    pub classic_interval: Option<Duration>,
    /// `--mailbox`: mail is kept until the server is launched again with the same name and port.
    pub has_mailbox: bool,
}

/// A client to start.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchClient {
    /// `--wire`
    pub wire: ClientWire,
    /// `--id`: the desired id on the direct wire, optional there; none on the classic wire.
    pub id: Option<i64>,
    /// `--username`, which later commands and the final state refer to.
    pub username: String,
    /// `--serverhost` and `--serverport`.
    pub server: Endpoint,
    /// `--info`, empty by default.
    pub info: String,
    /// `--log-file`, not used.
    pub log_file: Option<String>,
}

/// The wire of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientWire {
    /// The default, and the only one in the course's own files.
    Crc,
    /// Users have numbers.
    Direct,
    /// Users have names.
    Classic,
}

impl ClientWire {
    /// All wires.
    pub const ALL: [Self; 3] = [Self::Crc, Self::Direct, Self::Classic];

    /// Returns the name in `--wire` and in URI schemes.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.to_wire().name()
    }

    /// Returns the wire itself.
    #[must_use]
    pub fn to_wire(self) -> Wire {
        match self {
            Self::Crc => Wire::CRC,
            Self::Direct => Wire::DIRECT,
            Self::Classic => Wire::CLASSIC,
        }
    }

    /// Checks a recipient as a user of this wire types it.
    fn validate_destination(self, word: &str) -> Result<(), CommandError> {
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        match self {
            Self::Crc if is_number && word.parse::<u32>().is_err() => fail(format!(
                "MESSAGE: {} is not an id (0 to {}); put a name of digits into parentheses",
                quote_word(word),
                u32::MAX
            )),
            Self::Direct if !is_number || word.parse::<i64>().is_err() => fail(format!(
                "MESSAGE: {} is not a number (0 to {}), as recipients on the direct wire are",
                quote_word(word),
                i64::MAX
            )),
            Self::Classic if word.len() > NAME_BYTES => fail(format!(
                "MESSAGE: {} is not a name on the classic wire, which has 1 to {NAME_BYTES} bytes",
                quote_word(word)
            )),
            _ => Ok(()),
        }
    }
}

/// The address of a server in a case: a host name and a port label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Used only to distinguish servers with the same port label.
    pub host: String,
    /// As in [`LaunchServer::port`].
    pub port: String,
}

/// A line that a user types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `MESSAGE RECIPIENT TEXT`
    Message {
        /// The recipient: an id or a name, as a user of the wire types it.
        destination: String,
        /// The text, with its quotes.
        text: String,
    },
    /// `QUIT [TEXT]`
    Quit {
        /// The text, with its quotes.
        text: String,
    },
}

impl Action {
    /// Returns the line as typed at the bundled client.
    #[must_use]
    pub fn typed_line(&self) -> String {
        match self {
            Self::Message { destination, text } => format!("{destination} {text}"),
            Self::Quit { text } => format!("/quit {text}"),
        }
    }

    /// Checks the action against a client's wire.
    ///
    /// # Errors
    /// Names the word that is invalid on that wire.
    pub fn validate(&self, wire: ClientWire) -> Result<(), CommandError> {
        match self {
            Self::Message { destination, .. } => wire.validate_destination(destination),
            Self::Quit { .. } => Ok(()),
        }
    }
}

/// A line of a case, read.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedCommand {
    /// The command.
    pub command: Command,
    /// The words that belong to no option and no command. The course's runner passes over them too.
    pub ignored_words: Vec<String>,
}

impl Command {
    /// Parses a line.
    ///
    /// # Errors
    /// Names the word at fault and what was expected there.
    pub fn parse(line: &str) -> Result<ParsedCommand, CommandError> {
        let mut words = split_words(line)?;
        if words.is_empty() {
            return fail("an empty command");
        }
        let verb = words.remove(0);
        let without_options = |command| ParsedCommand { command, ignored_words: Vec::new() };
        match verb.as_str() {
            "LAUNCHSERVER" => parse_launch_server(words),
            "LAUNCHCLIENT" => parse_launch_client(words),
            "CLIENTCOMMAND" => parse_client_command(words),
            "WAIT" => {
                let seconds = parse_seconds("WAIT", &single_argument("WAIT", &words)?)?;
                Ok(without_options(Self::Wait(seconds)))
            }
            "KILL" => Ok(without_options(match single_argument("KILL", &words)? {
                name if name == "ALL" => Self::KillAll,
                name => Self::Kill(name),
            })),
            "FREEZE" => Ok(without_options(Self::Freeze(single_argument("FREEZE", &words)?))),
            _ => fail(format!(
                "unknown command {}, expected LAUNCHSERVER, LAUNCHCLIENT, CLIENTCOMMAND, WAIT, KILL \
                 or FREEZE",
                quote_word(&verb)
            )),
        }
    }
}

fn single_argument(verb: &str, words: &[String]) -> Result<String, CommandError> {
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

fn parse_launch_server(words: Vec<String>) -> Result<ParsedCommand, CommandError> {
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

fn parse_launch_client(words: Vec<String>) -> Result<ParsedCommand, CommandError> {
    let mut options = OptionMap::parse(words, &CLIENT_OPTIONS)?;
    let wire = match options.take("--wire") {
        Some(word) => self::parse_wire(&word)?,
        None => ClientWire::Crc,
    };
    let id = match (wire, options.take("--id")) {
        (ClientWire::Crc, None) => return fail("--id is missing"),
        (ClientWire::Crc, Some(word)) => Some(parse_host_id(&word)?.into()),
        (_, word) => word.map(|word| parse_wide_id(&word)).transpose()?,
    };
    let username = options.require("--username")?;
    if wire == ClientWire::Crc {
        check_len("--username", username.clone(), NAME_BYTES_MAX)?;
    }
    let info = check_len("--info", options.take("--info").unwrap_or_default(), INFO_BYTES_MAX)?;
    let url = ServerUri { wire: wire.to_wire(), ..ServerUri::default() };
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

fn parse_wire(word: &str) -> Result<ClientWire, CommandError> {
    let found = ClientWire::ALL.into_iter().find(|wire| wire.name() == word);
    let names = || ClientWire::ALL.map(ClientWire::name).join(", ");
    found.ok_or_else(|| {
        CommandError(format!("--wire: {} is not one of {}", quote_word(word), names()))
    })
}

/// Parses a client's command. Its text is one word, quoted or not; further words are ignored.
fn parse_client_command(words: Vec<String>) -> Result<ParsedCommand, CommandError> {
    let mut options = OptionMap::parse(words, &CLIENT_COMMAND_OPTIONS)?;
    let action_words = options
        .take_all("--command")
        .ok_or_else(|| CommandError("CLIENTCOMMAND without --command".to_owned()))?;
    let username = options.require("--username")?;
    let (action, used_count) = match &action_words[..] {
        [verb, rest @ ..] if verb == "QUIT" => {
            let text = rest.first().cloned().unwrap_or_default();
            (Action::Quit { text }, 2)
        }
        [verb] if verb == "MESSAGE" => {
            return fail("MESSAGE needs the id or the name of its recipient");
        }
        [verb, to] if verb == "MESSAGE" => {
            return fail(format!("MESSAGE {} has no text", quote_word(to)));
        }
        [verb, to, text, ..] if verb == "MESSAGE" => {
            (Action::Message { destination: to.clone(), text: text.clone() }, 3)
        }
        [] => return fail("`--command` has no value"),
        [verb, ..] => {
            return fail(format!(
                "unknown client command {}, expected MESSAGE or QUIT",
                quote_word(verb)
            ));
        }
    };
    if let Action::Message { text, .. } | Action::Quit { text } = &action
        && text.contains(['\n', '\r'])
    {
        return fail(format!("a text cannot contain a line break: {}", quote_word(text)));
    }
    let mut ignored_words = options.ignored_words;
    ignored_words.extend(action_words.into_iter().skip(used_count));
    Ok(ParsedCommand { command: Command::ClientCommand { username, action }, ignored_words })
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

fn parse_seconds(option: &str, word: &str) -> Result<Duration, CommandError> {
    word.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(
        || CommandError(format!("{option}: {} is not a number of seconds", quote_word(word))),
    )
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
