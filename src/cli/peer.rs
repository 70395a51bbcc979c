//! `crc peer`: what its command line says.

use clap::Args;
use clap::builder::FalseyValueParser;

use super::validated::{LogFilter, PeerId};
use crate::uri::Address;
use crate::net::PeerSettings;

/// `crc peer`.
#[derive(Debug, Args)]
pub struct PeerArgs {
    /// Where to listen for other peers
    #[arg(env = "CRC_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:3600")]
    listen: Address,

    /// Peers to link to; each is dialled until it answers, and again when its link is lost
    #[arg(env = "CRC_PEERS", value_name = "PEER_ADDR", value_delimiter = ',')]
    peers: Vec<Address>,

    /// Your id in the network, 1 to 9223372036854775807, if nobody has it [default: the one that a
    /// peer assigns]
    #[arg(long, env = "CRC_DESIRED_ID", value_name = "N")]
    desired_id: Option<PeerId>,

    /// Write events as JSON, one object a line
    #[arg(long, env = "CRC_JSON", value_parser = FalseyValueParser::new())]
    json: bool,

    /// Show what an assigned id tells: when it was made and by whom; then end
    #[arg(long, value_name = "N")]
    explain_id: Option<PeerId>,

    /// How much to log: error, warn, info, debug, trace [default: info; at a terminal error]
    #[arg(long, env = "CRC_LOG", value_name = "LEVEL")]
    log: Option<LogFilter>,
}

/// What `crc peer` is to do.
#[derive(Clone, Debug)]
pub enum PeerCommand {
    /// Take this id apart.
    ExplainId(i64),
    /// Run, with the filter of the log if one was given.
    Run(PeerSettings, Option<String>),
}

impl PeerArgs {
    /// What to do; `seed` fills in what nobody chose.
    #[must_use]
    pub fn into_command(self, seed: u64) -> PeerCommand {
        let Self { listen, peers, desired_id, json, explain_id, log } = self;
        if let Some(PeerId(id)) = explain_id {
            return PeerCommand::ExplainId(id);
        }
        let desired_id = desired_id.map(|id| id.0);
        let settings = PeerSettings { listen, desired_id, peers, json, seed };
        PeerCommand::Run(settings, log.map(|log| log.0))
    }
}
