//! The command line, the environment and the configuration file → what a program is to do.
//!
//! A flag overrides the environment, the environment overrides the file, the file overrides the
//! default. An empty environment variable counts as unset. Nothing is opened here: the caller reads
//! the configuration file and exits the process.

mod cert;
mod client;
mod ctl;
mod environment;
mod limits;
mod options;
mod peer;
mod print;
mod server;
mod values;

use std::ffi::{OsStr, OsString};

use clap::{Parser, Subcommand};

pub use self::cert::CertArgs;
pub(crate) use self::client::ClientArgs;
pub use self::ctl::CtlArgs;
pub use self::peer::{PeerArgs, PeerCommand};
pub use self::server::{ServerArgs, SettingsError};

/// A chat relay: servers that join into a tree, and the clients on it.
#[derive(Debug, Parser)]
#[command(name = "crc", version, max_term_width = 100)]
pub struct Cli {
    /// The program to run.
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
    /// Chat without a server: peers connect to each other and forward messages
    Peer(PeerArgs),
    /// Send a command to a running server through its control socket
    Ctl(CtlArgs),
    /// Make a small authority, and the certificate of a server for TLS
    Cert(CertArgs),
}

impl Cli {
    /// Parses a command line, program name first, and the environment, in which `variable` looks a
    /// variable up.
    ///
    /// # Errors
    /// Wrong usage. The error names the option, or the environment variable if the value came from
    /// there. A request for help or the version is an error of its own kind.
    pub fn parse_with_environment(
        words: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&OsStr) -> Option<OsString>,
    ) -> Result<Self, clap::Error> {
        let words: Vec<OsString> = words.into_iter().collect();
        let (mut cli, sources) = environment::parse::<Self>(&words, &variable)?;
        match &mut cli.command {
            Program::Client(args) => args.set_sources(sources),
            Program::Server(args) => args.set_sources(sources),
            _ => {}
        }
        Ok(cli)
    }
}
