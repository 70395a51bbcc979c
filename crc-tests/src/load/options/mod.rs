//! The command line of `crc-tests load`, and what it asks for once it is checked.

mod check;
mod value_parsers;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use self::value_parsers::{
    parse_count, parse_count_or_zero, parse_duration, parse_rate, parse_wire,
};
use super::{burst, chat, connect, growth};
use crate::runner::command::ClientWire;

const EXAMPLES: &str = "\
Examples:
  crc-tests load                                       a server of its own, 50 pairs, 64 in flight each
  crc-tests load --in-flight 1 --wire direct           one message at a time, on the direct wire
  crc-tests load --rate 20000 --duration 30s           20,000 messages a second, whatever happens
  crc-tests load --servers 4 --idle 1000               over three hops, beside 1,000 idle clients
  crc-tests load --pattern all-to-all --clients 100    everybody speaks to everybody
  crc-tests load --server 127.0.0.1:3600 --pid 4711    a server that runs, and what it uses
  crc-tests load connect --clients 2000                2,000 clients arrive at once
  crc-tests load burst --users 1000000                 a server with a million users joins
  crc-tests load growth --out growth/                  the same load while the network grows";

/// Puts a load on a network and tells what it did: throughput, latency, losses, CPU and memory.
///
/// Without a workload clients talk, in pairs or all to all. The network is one of its own, which ends
/// with the load, or one that runs: --server. Progress goes to standard error, the result to standard
/// output.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct LoadArguments {
    #[command(subcommand)]
    workload: Option<Workload>,
    #[command(flatten)]
    chat: ChatArguments,
}

#[derive(Debug, Subcommand)]
enum Workload {
    /// Many clients arrive at once: how long they take, and CPU and memory of each
    ///
    /// Example: crc-tests load connect --clients 2000 --pin
    Connect(ConnectArguments),
    /// A server with many users joins, then one that is told of them, while others talk
    ///
    /// Example: crc-tests load burst --users 1000000 --rate 1000 --pin
    Burst(BurstArguments),
    /// What a message costs with more connections, hosts and hops: a JSON file for each point
    ///
    /// Example: crc-tests load growth --out growth --hosts 10,1000,100000 --pin
    Growth(GrowthArguments),
}

#[derive(Args, Debug)]
struct CommonArguments {
    /// The wire that clients speak: crc, direct or classic
    #[arg(long, value_name = "WIRE", default_value = "crc", value_parser = parse_wire)]
    wire: ClientWire,
    /// Servers on core 0, the generator on core 1: for figures that can be compared
    #[arg(long)]
    pin: bool,
    /// The crc to start; without, CRC_TESTS_BIN, the one that cargo builds, or one beside this program
    #[arg(long, value_name = "PATH")]
    crc: Option<PathBuf>,
    /// Say nothing of the progress
    #[arg(long)]
    quiet: bool,
}

#[derive(Args, Debug)]
struct TargetArguments {
    /// A server that runs, at its door for the wire; several: senders at the first, receivers at the last
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["servers", "crc"])]
    server: Vec<String>,
    /// Processes of servers that run, on this machine, whose CPU and memory are to be told
    #[arg(long, value_name = "PID", requires = "server")]
    pid: Vec<u32>,
    /// Servers to start, in a chain: messages cross from the first to the last
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_count)]
    servers: usize,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pattern {
    /// Each sender has a receiver of its own
    Pairs,
    /// Each client speaks to all others in turn
    AllToAll,
}

#[derive(Args, Debug)]
struct ChatArguments {
    #[command(flatten)]
    place: TargetArguments,
    #[command(flatten)]
    common: CommonArguments,
    /// Who speaks to whom
    #[arg(long, value_enum, default_value_t = Pattern::Pairs)]
    pattern: Pattern,
    /// Clients that talk; in pairs, an even number
    #[arg(long, value_name = "N", value_parser = parse_count)]
    clients: Option<usize>,
    /// Pairs of clients that talk [default: 50]
    #[arg(long, value_name = "N", conflicts_with = "clients", value_parser = parse_count)]
    pairs: Option<usize>,
    /// Bytes of each text, 16 or more; 239 at most on the classic wire
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    size: usize,
    /// Messages that each sender keeps on their way: the next is sent when one arrives [default: 64]
    #[arg(long, value_name = "N", conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: Option<u32>,
    /// Messages a second, all together, sent when they are due whatever arrives; latency is from then
    #[arg(long, value_name = "MESSAGES", value_parser = parse_rate)]
    rate: Option<f64>,
    /// How long to measure, such as 10s, 500ms or 2m
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    duration: Duration,
    /// How long to talk before that
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    warm_up: Duration,
    /// Clients beside those that talk, which say nothing
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = parse_count_or_zero)]
    idle: usize,
    /// Hosts beside the clients, which a server that is none announces (servers, so that clients are
    /// not told of them)
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = parse_count_or_zero)]
    hosts: usize,
    /// Clients go round all servers, instead of senders to the first and receivers to the last
    #[arg(long)]
    spread: bool,
    /// The generator never sleeps: waking it is not part of the latency, for the price of a core
    #[arg(long)]
    spin: bool,
}

#[derive(Args, Debug)]
struct ConnectArguments {
    #[command(flatten)]
    place: TargetArguments,
    #[command(flatten)]
    common: CommonArguments,
    /// Clients that arrive
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = parse_count)]
    clients: usize,
    /// How many may wait for their welcome at a time [default: all]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    at_a_time: Option<usize>,
}

#[derive(Args, Debug)]
struct BurstArguments {
    #[command(flatten)]
    place: TargetArguments,
    #[command(flatten)]
    common: CommonArguments,
    /// Users behind the server that joins
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = parse_count)]
    users: usize,
    /// Pairs of clients that talk meanwhile; on the crc wire they are told of all those users
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_count)]
    pairs: usize,
    /// Messages a second, all pairs together
    #[arg(long, value_name = "MESSAGES", default_value = "1000", value_parser = parse_rate)]
    rate: f64,
    /// Bytes of each text
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    size: usize,
    /// How long to measure before anybody joins, for comparison
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    duration: Duration,
    /// How long to talk before that
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    warm_up: Duration,
}

#[derive(Args, Debug)]
struct GrowthArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// The folder for the files
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Connections to one server, those that talk included
    #[arg(long, value_name = "N,…", default_value = "10,100,1000,10000", value_delimiter = ',', value_parser = parse_count)]
    connections: Vec<usize>,
    /// Hosts that one server knows
    #[arg(long, value_name = "N,…", default_value = "10,100,1000,10000,100000,1000000", value_delimiter = ',', value_parser = parse_count)]
    hosts: Vec<usize>,
    /// Links between servers that a message crosses
    #[arg(long, value_name = "N,…", default_value = "1,2,5,10,20", value_delimiter = ',', value_parser = parse_count)]
    hops: Vec<usize>,
    /// Pairs of clients that talk
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = parse_count)]
    pairs: usize,
    /// Messages that each sender keeps on their way
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: u32,
    /// Bytes of each text
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    size: usize,
    /// How long to measure each point
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_duration)]
    duration: Duration,
    /// How long to talk before that
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    warm_up: Duration,
}

/// What is to be done, checked.
pub(super) struct LoadOptions {
    pub(super) workload: WorkloadPlan,
    pub(super) is_json: bool,
    pub(super) is_quiet: bool,
}

/// A workload.
pub(super) enum WorkloadPlan {
    Chat(chat::Plan),
    Connect(connect::Plan),
    Burst(burst::Plan),
    Growth(growth::Plan),
}
