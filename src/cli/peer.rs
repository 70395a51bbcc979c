//! `crc peer`: its options.

use clap::Args;
use clap::builder::FalseyValueParser;

use super::values::{LogFilter, PeerId};
use crate::net::PeerSettings;
use crate::uri::Address;

/// `crc peer`.
#[derive(Debug, Args)]
pub struct PeerArgs {
    /// The address to listen on
    #[arg(env = "CRC_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:3600")]
    listen: Address,

    /// Peers to connect to; each is dialled until it answers, and again when its link is lost
    #[arg(env = "CRC_PEERS", value_name = "PEER_ADDR", value_delimiter = ',')]
    peers: Vec<Address>,

    /// The id to ask for, 1 to 9223372036854775807, granted if nobody has it [default: assigned by
    /// a peer]
    #[arg(long, env = "CRC_DESIRED_ID", value_name = "N")]
    desired_id: Option<PeerId>,

    /// Write events as JSON, one object a line
    #[arg(long, env = "CRC_JSON", value_parser = FalseyValueParser::new())]
    json: bool,

    /// Print when and by whom an assigned id was made, and exit
    #[arg(long, value_name = "N")]
    explain_id: Option<PeerId>,

    /// Log level: error, warn, info, debug or trace [default: info; at a terminal error]
    #[arg(long, env = "CRC_LOG", value_name = "LEVEL")]
    log: Option<LogFilter>,
}

/// The work of one `crc peer` process.
#[derive(Clone, Debug)]
pub enum PeerCommand {
    /// Explains an id.
    ExplainId(i64),
    /// Runs a peer, with the log filter if one was given.
    Run(PeerSettings, Option<String>),
}

impl PeerArgs {
    /// Returns the work of this process. `seed` decides every random choice.
    #[must_use]
    pub fn into_command(self, seed: u64) -> PeerCommand {
        let Self { listen, peers, desired_id, json, explain_id, log } = self;
        if let Some(id) = explain_id {
            return PeerCommand::ExplainId(id.into());
        }
        let desired_id = desired_id.map(Into::into);
        let settings = PeerSettings { listen, desired_id, peers, json, seed };
        PeerCommand::Run(settings, log.map(Into::into))
    }
}
