//! `crc ctl`: its options.

use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::operator::{Format, takes_free_text};

/// `crc ctl`.
#[derive(Debug, Args)]
pub struct CtlArgs {
    /// The control socket of the server, as given to `crc server --control`
    #[arg(long, env = "CRC_CONTROL", value_name = "PATH")]
    pub control: PathBuf,

    /// Print the answer as JSON
    #[arg(long, env = "CRC_JSON", value_parser = FalseyValueParser::new())]
    json: bool,

    /// The command and its arguments; `help` lists them
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl CtlArgs {
    /// Returns the command as one line, and the format of the answer. `--json` may also follow the
    /// command, unless the command ends with a free text.
    #[must_use]
    pub fn command_line(&self) -> (String, Format) {
        let words = match self.command.as_slice() {
            [command, rest @ .., last] if last == "--json" && !takes_free_text(command) => {
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
    use clap::Parser as _;

    use super::super::{Cli, Program};
    use super::*;

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
