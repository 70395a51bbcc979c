//! The command line, and the environment variables `CRC_NETWORK`, `CRC_WITH` and `CRC_ADDRESS`.

use std::fmt::Display;
use std::net::IpAddr;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Error, Parser, Subcommand};
use crc::limits::NAME_BYTES_MAX;
use crc::uri::Address;

/// Greetings over gRPC, and direct chats between two people.
#[derive(Debug, Parser)]
#[command(name = "crc-grpc", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a server that greets its clients until it is stopped
    GreetServer {
        /// The port on this machine to listen on; 0 picks any free port and shows it
        port: u16,
    },
    /// Runs one client for each name, all at the same time
    Greet {
        /// The server's port on this machine
        #[arg(value_parser = clap::value_parser!(u16).range(1..))]
        port: u16,
        /// The names to greet
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// Chats with one other person over a direct connection
    #[command(override_usage = "crc-grpc chat <NAME> <MY_PORT> <PEER_PORT>\n       \
                          crc-grpc chat <NAME> --network <ADDR> [--with <NAME>]")]
    Chat(ChatArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ChatArgs {
    /// Your name
    #[arg(value_parser = parse_name)]
    pub(crate) name: String,
    /// The port on this machine to listen on; 0 picks any free port and shows it
    #[arg(requires = "peer_port", conflicts_with = "network")]
    my_port: Option<u16>,
    /// The port on this machine that your partner listens on
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    peer_port: Option<u16>,
    /// A server of a crc network in which to find your partner [env: CRC_NETWORK]
    #[arg(long, value_name = "ADDR")]
    network: Option<Address>,
    /// Your partner's name in the network; without it, you are paired with anyone else who is
    /// looking for a partner [env: CRC_WITH]
    #[arg(long, value_name = "NAME", conflicts_with = "my_port", value_parser = parse_name)]
    with: Option<String>,
    /// The IP address of this machine at which your partner connects to you; by default the local
    /// address of the connection to the server. Set it if that is 127.0.0.1 and your partner is on
    /// another machine [env: CRC_ADDRESS]
    #[arg(long, value_name = "IP", conflicts_with = "my_port", value_parser = parse_ip)]
    address: Option<IpAddr>,
}

/// How the partner is found.
#[derive(Debug, PartialEq)]
pub(crate) enum Discovery {
    /// By fixed ports on this machine.
    Ports { own: u16, peer: u16 },
    /// By name in a crc network. `address` is the advertised IP address of this machine; by default
    /// it is the local address of the connection to the server.
    Network { server: Address, partner: Option<String>, address: Option<IpAddr> },
}

impl ChatArgs {
    /// Returns how the partner is found. Arguments take precedence over the environment, which
    /// `env_var` reads.
    ///
    /// # Errors Returns a usage error if there are neither ports nor a network, if a variable is
    /// invalid, or if the partner is the user.
    pub(crate) fn discovery(
        &self,
        env_var: impl Fn(&str) -> Option<String>,
    ) -> Result<Discovery, Error> {
        let usage_error = |kind, text: &str| Cli::command().error(kind, text);
        let invalid = |text: &str| usage_error(ErrorKind::ValueValidation, text);
        if let (Some(own), Some(peer)) = (self.my_port, self.peer_port) {
            if own == peer {
                return Err(invalid(
                    "MY_PORT and PEER_PORT are the same: PEER_PORT is the port of your partner",
                ));
            }
            return Ok(Discovery::Ports { own, peer });
        }
        let network = or_env(self.network.clone(), &env_var, "CRC_NETWORK", str::parse::<Address>)?;
        let Some(server) = network else {
            let text = "ports are missing: write MY_PORT and PEER_PORT, or --network ADDR";
            return Err(usage_error(ErrorKind::MissingRequiredArgument, text));
        };
        let partner = or_env(self.with.clone(), &env_var, "CRC_WITH", parse_name)?;
        if partner.as_ref() == Some(&self.name) {
            return Err(invalid("--with is your own name: give the name of your partner"));
        }
        let address = or_env(self.address, &env_var, "CRC_ADDRESS", parse_ip)?;
        Ok(Discovery::Network { server, partner, address })
    }
}

/// Returns the value of an argument, or else the parsed value of an environment variable.
fn or_env<T, E: Display>(
    value: Option<T>,
    env_var: impl Fn(&str) -> Option<String>,
    name: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, Error> {
    if value.is_some() {
        return Ok(value);
    }
    let parsed = env_var(name).map(|text| parse(&text)).transpose();
    parsed.map_err(|error| {
        Cli::command().error(ErrorKind::ValueValidation, format!("{name}: {error}"))
    })
}

fn parse_ip(text: &str) -> Result<IpAddr, String> {
    match text.parse::<IpAddr>() {
        Ok(address) if !address.is_unspecified() && !address.is_multicast() => Ok(address),
        Ok(_) => Err("not the address of one machine: write one such as 192.0.2.7".to_owned()),
        Err(_) => Err("not an IP address: write one such as 192.0.2.7".to_owned()),
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("a name may not be empty".to_owned()),
        1..=NAME_BYTES_MAX => Ok(text.to_owned()),
        _ => Err(format!("a name has at most {NAME_BYTES_MAX} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_discovery(arguments: &str, environment: &[(&str, &str)]) -> Result<Discovery, Error> {
        let arguments = ["crc-grpc", "chat"].into_iter().chain(arguments.split(' '));
        let Command::Chat(args) = Cli::try_parse_from(arguments)?.command else {
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
