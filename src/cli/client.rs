//! `crc client`: its options.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _};

use super::Cli;
use super::environment::Sources;
use super::values::RawId;
use crate::client::{Options, ServerUri, Trust};
use crate::tls::Fingerprint;

/// `crc client`.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// The server to connect to: crc://host:port, direct://host:port or classic://host:port, each
    /// another wire, with TLS as crcs://, directs:// and classics://; without a scheme it is crc://
    /// [default: crc://127.0.0.1:3600; the default ports of direct:// and classic:// are 3601 and
    /// 3602]
    #[arg(env = "CRC_URL")]
    url: Option<ServerUri>,

    /// Your name, at most 255 bytes; on classic:// at most 8, without spaces; not sent on direct://
    /// [default: the name of your account]
    #[arg(long, env = "CRC_NAME", value_name = "NAME")]
    name: Option<String>,

    /// Your id in the network, 1 to 4294967294 [default: random]; on direct:// the id to ask for,
    /// up to 9223372036854775807 [default: assigned by the server]; an error on classic://
    #[arg(long, env = "CRC_ID", value_name = "N")]
    id: Option<RawId>,

    /// A text about you, at most 65535 bytes; not sent on direct:// and classic://
    #[arg(long, env = "CRC_INFO", value_name = "TEXT")]
    info: Option<String>,

    /// The certificates of the authorities that may have signed the server's, in PEM; for crcs://,
    /// directs:// and classics://
    #[arg(long, env = "CRC_TLS_CA", value_name = "FILE", conflicts_with = "tls_pin")]
    tls_ca: Option<PathBuf>,

    /// The SHA-256 fingerprint of the server's certificate, instead of an authority
    #[arg(long, env = "CRC_TLS_PIN", value_name = "SHA256")]
    tls_pin: Option<Fingerprint>,

    /// Write events as JSON, one object a line
    #[arg(long, env = "CRC_JSON", value_parser = FalseyValueParser::new())]
    json: bool,

    #[arg(skip)]
    sources: Sources,
}

impl ClientArgs {
    pub(super) fn set_sources(&mut self, sources: Sources) {
        self.sources = sources;
    }

    /// Returns the options of the client.
    ///
    /// # Errors
    /// Wrong usage: an option that the wire of the URL cannot carry.
    pub fn into_options(self) -> Result<Options, clap::Error> {
        let url = self.url.unwrap_or_default();
        let id = self.id.map(Into::into);
        let authorities = self.tls_ca.map(Trust::Authorities);
        let trust = authorities.or(self.tls_pin.map(Trust::Pin));
        let options = Options::new(url, self.name, id, self.info, self.json);
        options.and_then(|options| options.with_trust(trust)).map_err(|error| {
            let option = self.sources.label(error.option);
            let error = format!("invalid value '{}' for '{option}': {}", error.value, error.why);
            let mut command = Cli::command();
            command.build();
            let subcommand = command.find_subcommand_mut("client").expect("a program of this name");
            subcommand.error(ErrorKind::ValueValidation, error)
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::Program;
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
            ("crcs://a", ["'crcs://a:3600'", "--tls-ca FILE", "--tls-pin SHA256"]),
            ("crcs://a --tls-pin 12", ["'12'", "--tls-pin", "64 hexadecimal digits"]),
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
}
