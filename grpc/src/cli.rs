//! The command line, and `CRC_NETWORK`, `CRC_WITH` and `CRC_ADDRESS` of the environment → what is to be done.

use std::net::IpAddr;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Error, Parser, Subcommand};
use crc::limits::NAME_BYTES_MAX;
use crc::uri::{Address, UriError};

/// Greets and chats over gRPC, with no server between those who chat.
#[derive(Debug, Parser)]
#[command(name = "crc-grpc", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) program: Program,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Program {
    /// Greets whoever asks, until it is stopped
    GreetServer {
        /// The port on this machine to listen on; 0 is any free one, which is then shown
        port: u16,
    },
    /// Lets each name be greeted, all at the same time
    Greet {
        /// The server's port on this machine
        #[arg(value_parser = clap::value_parser!(u16).range(1..))]
        port: u16,
        /// Who is to be greeted; each is a client of its own
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// Chats with one other person, directly
    #[command(override_usage = "crc-grpc chat <NAME> <MY_PORT> <PEER_PORT>\n       \
                          crc-grpc chat <NAME> --network <ADDR> [--with <NAME>]")]
    Chat(ChatArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ChatArgs {
    /// Who you are
    #[arg(value_parser = parse_name)]
    pub(crate) name: String,
    /// The port on this machine where the other reaches you; 0 is any free one
    #[arg(requires = "peer_port", conflicts_with = "network")]
    my_port: Option<u16>,
    /// The port on this machine where you reach the other
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    peer_port: Option<u16>,
    /// A server of a crc network that tells where the other is [env: CRC_NETWORK]
    #[arg(long, value_name = "ADDR")]
    network: Option<Address>,
    /// The other's name in the network; without it, whoever is told of first [env: CRC_WITH]
    #[arg(long, value_name = "NAME", conflicts_with = "my_port", value_parser = parse_name)]
    with: Option<String>,
    /// This machine's address that the other is told; by default the one by which the server is
    /// reached, so name one where that is 127.0.0.1 and the other on another machine
    /// [env: CRC_ADDRESS]
    #[arg(long, value_name = "IP", conflicts_with = "my_port", value_parser = parse_ip)]
    address: Option<IpAddr>,
}

/// How the other is found.
#[derive(Debug, PartialEq)]
pub(crate) enum Discovery {
    Ports {
        own: u16,
        peer: u16,
    },
    /// `address` is the own one that others are told, where it is not to be found out.
    Network {
        server: Address,
        partner: Option<String>,
        address: Option<IpAddr>,
    },
}

impl ChatArgs {
    /// How the other is found; `variable` looks into the environment, which flags and ports beat.
    ///
    /// # Errors
    /// Wrong usage: neither ports nor a network, or the other is oneself.
    pub(crate) fn discovery(
        &self,
        env_var: impl Fn(&str) -> Option<String>,
    ) -> Result<Discovery, Error> {
        let usage_error = |kind, text: &str| Cli::command().error(kind, text);
        let invalid = |text: &str| usage_error(ErrorKind::ValueValidation, text);
        if let (Some(own), Some(peer)) = (self.my_port, self.peer_port) {
            if own == peer {
                return Err(invalid("MY_PORT and PEER_PORT are the same: that is no other person"));
            }
            return Ok(Discovery::Ports { own, peer });
        }
        let from_environment = || {
            let text = env_var("CRC_NETWORK")?;
            Some(text.parse().map_err(|error: UriError| invalid(&format!("CRC_NETWORK: {error}"))))
        };
        let given = self.network.clone().map(Ok).or_else(from_environment).transpose()?;
        let Some(server) = given else {
            let text = "ports are missing: write MY_PORT and PEER_PORT, or --network ADDR";
            return Err(usage_error(ErrorKind::MissingRequiredArgument, text));
        };
        let partner = match (&self.with, env_var("CRC_WITH")) {
            (Some(with), _) => Some(with.clone()),
            (None, Some(text)) => {
                Some(parse_name(&text).map_err(|error| invalid(&format!("CRC_WITH: {error}")))?)
            }
            (None, None) => None,
        };
        if partner.as_ref() == Some(&self.name) {
            return Err(invalid("--with is your own name"));
        }
        let advertised_ip = match (self.address, env_var("CRC_ADDRESS")) {
            (Some(address), _) => Some(address),
            (None, Some(text)) => {
                Some(parse_ip(&text).map_err(|error| invalid(&format!("CRC_ADDRESS: {error}")))?)
            }
            (None, None) => None,
        };
        Ok(Discovery::Network { server, partner, address: advertised_ip })
    }
}

fn parse_ip(text: &str) -> Result<IpAddr, String> {
    match text.parse::<IpAddr>() {
        Ok(address) if !address.is_unspecified() && !address.is_multicast() => Ok(address),
        Ok(_) => Err("others need the address of one machine".to_owned()),
        Err(_) => Err("an IP address is needed, such as 192.0.2.7".to_owned()),
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("a name is not empty".to_owned()),
        1..=NAME_BYTES_MAX => Ok(text.to_owned()),
        _ => Err(format!("a name has at most {NAME_BYTES_MAX} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_discovery(arguments: &str, environment: &[(&str, &str)]) -> Result<Discovery, Error> {
        let arguments = ["crc-grpc", "chat"].into_iter().chain(arguments.split(' '));
        let Program::Chat(args) = Cli::try_parse_from(arguments)?.program else {
            panic!("no chat")
        };
        args.discovery(|name| {
            let found = environment.iter().find(|(key, _)| *key == name)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn ports_and_flags_override_the_environment() {
        let by_network = |relay: &str, with: Option<&str>| Discovery::Network {
            server: relay.parse().expect("valid"),
            partner: with.map(str::to_owned),
            address: None,
        };
        let by_network_with_ip = |address: &str| Discovery::Network {
            server: "b:2".parse().expect("valid"),
            partner: None,
            address: Some(address.parse().expect("valid")),
        };
        let environment = [("CRC_NETWORK", "a:1"), ("CRC_WITH", "Bob")];
        for (arguments, environment, expected) in [
            ("Alice 1 2", &environment[..], Discovery::Ports { own: 1, peer: 2 }),
            ("Alice 0 2", &[], Discovery::Ports { own: 0, peer: 2 }),
            ("Alice --network b:2", &[], by_network("b:2", None)),
            ("Alice --network b:2 --with Carol", &environment, by_network("b:2", Some("Carol"))),
            ("Alice --network b:2 --address 192.0.2.7", &[], by_network_with_ip("192.0.2.7")),
            ("Alice --network b:2", &[("CRC_ADDRESS", "::1")], by_network_with_ip("::1")),
            ("Alice", &environment, by_network("a:1", Some("Bob"))),
        ] {
            assert_eq!(
                parse_discovery(arguments, environment).expect("valid"),
                expected,
                "{arguments}"
            );
        }
    }

    #[test]
    fn invalid_usage_exits_with_code_2() {
        for arguments in [
            "Alice",
            "Alice 1",
            "Alice 1 1",
            "Alice 1 0",
            "Alice 1 65536",
            "Alice 1 2 3",
            "Alice 1 2 --network a:1",
            "Alice 1 2 --with Bob",
            "Alice --with Bob",
            "Alice --network nowhere",
            "Alice --network a:1 --with Alice",
            "Alice --network a:1 --address 0.0.0.0",
            "Alice --network a:1 --address here",
            "Alice 1 2 --address 192.0.2.7",
            " --network a:1",
        ] {
            assert_eq!(
                parse_discovery(arguments, &[]).expect_err(arguments).exit_code(),
                2,
                "{arguments}"
            );
        }
        let environment = [("CRC_NETWORK", "nowhere")];
        assert_eq!(parse_discovery("Alice", &environment).expect_err("no address").exit_code(), 2);
    }
}
