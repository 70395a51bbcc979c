//! Parses a line of a case into a typed [`Command`].
//!
//! An error names the word at fault; the caller adds the position of the line.

use std::time::Duration;

use crc::wires::Wire;
use crc::wires::classic::codec::NAME_BYTES;

use crate::runner::command_parsers::{
    parse_client_command, parse_launch_client, parse_launch_server, parse_seconds, single_argument,
};
pub use crate::runner::command_words::CommandError;
use crate::runner::command_words::{fail, quote_word, split_words};

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
    pub wire: Wire,
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
    /// `JOIN ROOM`, one of our additions, as the following ones are.
    Join {
        /// The room.
        room: String,
    },
    /// `PART ROOM [TEXT]`
    Part {
        /// The room.
        room: String,
        /// The text, with its quotes.
        text: String,
    },
    /// `SAY ROOM TEXT`
    Say {
        /// The room.
        room: String,
        /// The text, with its quotes.
        text: String,
    },
    /// `ROOMS`
    Rooms,
    /// `NAMES ROOM`
    Names {
        /// The room.
        room: String,
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
            Self::Join { room } => format!("/join {room}"),
            Self::Part { room, text } => format!("/part {room} {text}").trim_end().to_owned(),
            Self::Say { room, text } => format!("{room} {text}"),
            Self::Rooms => "/rooms".to_owned(),
            Self::Names { room } => format!("/names {room}"),
            Self::Quit { text } => format!("/quit {text}"),
        }
    }

    /// Returns whether the action is about rooms.
    #[must_use]
    pub fn is_about_rooms(&self) -> bool {
        !matches!(self, Self::Message { .. } | Self::Quit { .. })
    }

    /// Checks the action against a client's wire.
    ///
    /// # Errors
    /// Names the word that is invalid on that wire.
    pub fn validate(&self, wire: Wire) -> Result<(), CommandError> {
        match self {
            Self::Message { destination, .. } => validate_destination(wire, destination),
            _ => Ok(()),
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

/// Checks a recipient as a user of `wire` types it.
fn validate_destination(wire: Wire, word: &str) -> Result<(), CommandError> {
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    if wire == Wire::CRC && is_number && word.parse::<u32>().is_err() {
        fail(format!(
            "MESSAGE: {} is not an id (0 to {}); put a name of digits into parentheses",
            quote_word(word),
            u32::MAX
        ))
    } else if wire == Wire::DIRECT && (!is_number || word.parse::<i64>().is_err()) {
        fail(format!(
            "MESSAGE: {} is not a number (0 to {}), as recipients on the direct wire are",
            quote_word(word),
            i64::MAX
        ))
    } else if wire == Wire::CLASSIC && word.len() > NAME_BYTES {
        fail(format!(
            "MESSAGE: {} is not a name on the classic wire, which has 1 to {NAME_BYTES} bytes",
            quote_word(word)
        ))
    } else {
        Ok(())
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
