//! The command line, the environment and the configuration file → what a program is to do.
//!
//! A flag beats the environment, the environment beats the file, the file beats the default. It reads
//! only what it is handed: opening the file is the caller's, as is ending the program.

mod peer;
mod server;
mod validated;

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

pub use self::peer::{PeerArgs, PeerCommand};
pub use self::server::ServerArgs;

use self::validated::RawId;
use crate::client::{self, Url};
use crate::operator::Format;

/// A chat relay: servers that join into a tree, and the clients on it.
#[derive(Debug, Parser)]
#[command(name = "crc", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Program,
}

/// The programs in the binary.
#[derive(Debug, Subcommand)]
pub enum Program {
    /// Run a server: alone, or joined to the network of a parent
    Server(Box<ServerArgs>),
    /// Chat: at a terminal, or between pipes
    Client(ClientArgs),
    /// Chat without a server: peers link to each other and pass on what is said
    Peer(PeerArgs),
    /// Ask or tell a running server something, through its control socket
    Ctl(CtlArgs),
}

/// `crc client`.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// The server to connect to: crc://host:port, direct://host:port or classic://host:port, each
    /// another wire; just host:port is crc:// [default: crc://127.0.0.1:3600; the ports of direct://
    /// and classic:// are 3601 and 3602]
    #[arg(env = "CRC_URL")]
    url: Option<Url>,

    /// The name that others see, at most 255 bytes; on classic:// at most 8, without spaces; not
    /// sent on direct:// [default: the name of your account]
    #[arg(long, env = "CRC_NAME", value_name = "NAME")]
    name: Option<String>,

    /// Your id in the network, 1 to 4294967294 [default: a random one]; on direct:// the one to ask
    /// for, up to 9223372036854775807 [default: the one that the server assigns]; none on classic://
    #[arg(long, env = "CRC_ID", value_name = "N")]
    id: Option<RawId>,

    /// What you say of yourself, at most 65535 bytes; not sent on direct:// and classic://
    #[arg(long, env = "CRC_INFO", value_name = "TEXT")]
    info: Option<String>,

    /// Write events as JSON, one object a line
    #[arg(long, env = "CRC_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
}

impl ClientArgs {
    /// What the client is to do.
    ///
    /// # Errors
    /// Wrong usage: an option that the wire of the URL cannot carry.
    pub fn into_options(self) -> Result<client::Options, clap::Error> {
        let url = self.url.unwrap_or_default();
        let id = self.id.map(|number| number.0);
        client::Options::new(url, self.name, id, self.info, self.json).map_err(|error| {
            let mut command = Cli::command();
            command.build();
            let subcommand = command.find_subcommand_mut("client").expect("a program of this name");
            subcommand.error(ErrorKind::ValueValidation, error)
        })
    }
}

/// `crc ctl`.
#[derive(Debug, Args)]
pub struct CtlArgs {
    /// The control socket of the server, as given to `crc server --control`
    #[arg(long, env = "CRC_CONTROL", value_name = "PATH")]
    pub control: PathBuf,

    /// Answer with JSON
    #[arg(long, env = "CRC_JSON", value_parser = FalseyValueParser::new())]
    json: bool,

    /// The command and its arguments; `help` lists them
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl CtlArgs {
    /// The command on one line, and how to answer. `--json` counts behind the command too, except
    /// behind a text, where it is one of its words.
    #[must_use]
    pub fn command_line(&self) -> (String, Format) {
        let words = match self.command.as_slice() {
            [command, rest @ .., last] if last == "--json" && command != "kick" => {
                return (
                    format!("{command} {}", rest.join(" ")).trim_end().to_owned(),
                    Format::Json,
                );
            }
            words => words,
        };
        let format = if self.json { Format::Json } else { Format::Text };
        (words.join(" ").replace(['\n', '\r'], " "), format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_option_unsupported_by_its_wire_is_a_usage_error() {
        let parse_options = |words: &str| {
            let words = ["crc", "client"].into_iter().chain(words.split_whitespace());
            let Program::Client(args) = Cli::try_parse_from(words)?.command else {
                panic!("not a client")
            };
            args.into_options()
        };
        for valid in ["", "--id 7 --name sam", "direct://a --id 4294967295", "classic://a"] {
            assert!(parse_options(valid).is_ok(), "{valid}");
        }
        for (words, parts) in [
            ("--id 4294967295", ["'4294967295'", "'--id <N>'", "1 to 4294967294"]),
            ("--id 0", ["'0'", "'--id <N>'", "1 to 4294967294"]),
            ("--id x", ["'x'", "'--id <N>'", "is not a number"]),
            ("direct://a --id 0", ["'0'", "'--id <N>'", "1 to 9223372036854775807"]),
            ("classic://a --id 7", ["'7'", "'--id <N>'", "by name only"]),
            ("classic://a --name 123456789", ["'123456789'", "'--name <NAME>'", "at most 8"]),
        ] {
            let error = parse_options(words).expect_err("an error");
            assert_eq!(error.exit_code(), 2, "{words}");
            let error = error.to_string();
            for part in parts.into_iter().chain(["error: invalid value", "try '--help'"]) {
                assert!(error.contains(part), "{part:?} is not in: {error}");
            }
        }
    }

    #[test]
    fn ctl_accepts_json_flag_before_or_after_the_command() {
        for (words, command, format) in [
            ("--json state", "state", Format::Json),
            ("state --json", "state", Format::Json),
            ("state", "state", Format::Text),
            ("kick 7 not --json", "kick 7 not --json", Format::Text),
        ] {
            let words = ["crc", "ctl", "--control", "x"].into_iter().chain(words.split(' '));
            let Ok(Cli { command: Program::Ctl(args) }) = Cli::try_parse_from(words) else {
                panic!("not ctl")
            };
            assert_eq!(args.command_line(), (command.to_owned(), format));
        }
    }
}
