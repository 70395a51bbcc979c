//! The command line of `crc-tests load`, and the checked options made from it.

mod check;
mod program_check;
mod strangers_check;
mod value_parsers;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use crc::wires::Wire;

use self::value_parsers::{
    parse_count, parse_count_or_zero, parse_duration, parse_rate, wire_parser,
};
use super::programs::Program;
use super::strangers::Attack;
use super::{burst, chat, connect, fan_out, growth, strangers, web};

const EXAMPLES: &str = "\
Examples:
  crc-tests load                                       a server of its own, 50 pairs, 64 in flight each
  crc-tests load --in-flight 1 --wire direct           one message at a time, on the direct wire
  crc-tests load --rate 20000 --duration 30s           20,000 messages a second, whatever arrives
  crc-tests load --servers 4 --idle 1000               over three hops, beside 1,000 idle clients
  crc-tests load --pattern all-to-all --clients 100    each client sends to all others
  crc-tests load --pattern room --clients 10000 --servers 5 --wire direct    a room on five servers
  crc-tests load --server 127.0.0.1:3600 --pid 4711    a running server, with its CPU and memory
  crc-tests load connect --clients 2000                2,000 clients connect at once
  crc-tests load burst --users 1000000                 a server with a million users joins
  crc-tests load fan-out --pin                         a room, beside other programs
  crc-tests load growth --out growth/                  the same chats while the network grows
  crc-tests load strangers hostile                     a million bad connections while others chat
  crc-tests load strangers churn                       a million users leave and join
  crc-tests load strangers never-readers               a thousand users who do not read
  crc-tests load strangers slow-heads                  5,000 requests that never end
  crc-tests load web                                   pages that list a million users";

/// Generates load on a network, and reports throughput, latency, losses, CPU and memory.
///
/// Without a workload, clients chat, in pairs or all to all. The network is started for the load,
/// or is an existing one: --server. Progress goes to standard error, the result to standard output.
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
    /// Connect many clients at once, and measure the time, CPU and memory per client
    ///
    /// Example: crc-tests load connect --clients 2000 --pin
    Connect(ConnectArguments),
    /// Let a server with many users join, then one that receives all of them, while others chat
    ///
    /// Example: crc-tests load burst --users 1000000 --rate 1000 --pin
    Burst(BurstArguments),
    /// Measure the cost of a message with more connections, hosts and hops: one JSON file per point
    ///
    /// Example: crc-tests load growth --out growth --hosts 10,1000,100000 --pin
    Growth(GrowthArguments),
    /// Compare what a copy of a message to a room costs, or a message between two: crc, a forwarder
    /// of bytes, and other programs, which take turns; over WebSocket with --wire http, IRC servers
    /// with --wire irc
    ///
    /// Examples: crc-tests load fan-out --members 1000 --pin
    /// crc-tests load fan-out --wire http --programs crc,nats,mosquitto --pairs 50 --idle 10000
    /// crc-tests load fan-out --wire irc --programs crc,inspircd,ngircd --pairs 50 --in-flight 64
    FanOut(FanOutArguments),
    /// Let strangers connect while others chat: what it costs, and whether it is over afterwards
    ///
    /// Example: crc-tests load strangers hostile --connections 1000000
    Strangers(StrangersArguments),
    /// List a million users on pages and scrape the metrics, while others chat: how long a turn of
    /// the server's loop takes
    ///
    /// Example: crc-tests load web --users 1000000
    Web(WebArguments),
}

#[derive(Args, Debug)]
struct CommonArguments {
    /// The wire of the clients
    #[arg(long, value_name = "WIRE", default_value = "crc", value_parser = wire_parser())]
    wire: Wire,
    /// Pin the servers to core 0 and the generator to core 1, for comparable figures
    #[arg(long)]
    pin: bool,
    /// The crc binary to start [default: CRC_TESTS_BIN, the one that cargo builds, or one beside
    /// this program]
    #[arg(long, value_name = "PATH")]
    crc: Option<PathBuf>,
    /// Do not print progress
    #[arg(long)]
    quiet: bool,
}

#[derive(Args, Debug)]
struct TargetArguments {
    /// A running server, at its listener for the wire; with several, senders use the first and
    /// receivers the last
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["servers", "crc"])]
    server: Vec<String>,
    /// A process of a running server on this machine, whose CPU and memory are reported
    #[arg(long, value_name = "PID", requires = "server")]
    pid: Vec<u32>,
    /// Servers to start in a chain: messages cross from the first to the last
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_count)]
    servers: usize,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pattern {
    /// Each sender sends to its own receiver
    Pairs,
    /// Each client sends to all others in turn
    AllToAll,
    /// All clients are in one room, and some of them send to it
    Room,
}

#[derive(Args, Debug)]
struct ChatArguments {
    #[command(flatten)]
    place: TargetArguments,
    #[command(flatten)]
    common: CommonArguments,
    /// Which clients send to which
    #[arg(long, value_enum, default_value_t = Pattern::Pairs)]
    pattern: Pattern,
    /// Clients that chat; an even number for pairs
    #[arg(long, value_name = "N", value_parser = parse_count)]
    clients: Option<usize>,
    /// Pairs of clients that chat [default: 50]
    #[arg(long, value_name = "N", conflicts_with = "clients", value_parser = parse_count)]
    pairs: Option<usize>,
    /// Another program to start and load; with --wire http over WebSocket, with --wire irc an IRC
    /// server [default: crc]
    #[arg(long, value_enum, conflicts_with_all = ["server", "crc"])]
    program: Option<Program>,
    /// Clients that send to the room, with --pattern room
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_count)]
    speakers: usize,
    /// Size of each text in bytes, at least 16; at most 239 on the classic wire
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    size: usize,
    /// Messages that each sender keeps in flight: the next is sent when one arrives, in a room at
    /// all members [default: 64; 1 in a room]
    #[arg(long, value_name = "N", conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: Option<u32>,
    /// Total messages per second, sent on schedule whatever arrives; latency counts from the
    /// scheduled time. In a room, each reaches all others
    #[arg(long, value_name = "MESSAGES", value_parser = parse_rate)]
    rate: Option<f64>,
    /// Measured time, such as 10s, 500ms or 2m
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    duration: Duration,
    /// Warm-up before the measured time
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    warm_up: Duration,
    /// Additional clients, which send nothing
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = parse_count_or_zero)]
    idle: usize,
    /// Additional hosts, announced over a connection that registers as a server (they are servers,
    /// which are not announced to clients)
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = parse_count_or_zero)]
    hosts: usize,
    /// Distribute clients over all servers, instead of senders on the first and receivers on the
    /// last; always so in a room and all to all
    #[arg(long)]
    spread: bool,
    /// Never sleep in the generator: latency excludes its wake-ups, at the cost of a core
    #[arg(long)]
    spin: bool,
}

#[derive(Args, Debug)]
struct ConnectArguments {
    #[command(flatten)]
    place: TargetArguments,
    #[command(flatten)]
    common: CommonArguments,
    /// Clients to connect
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = parse_count)]
    clients: usize,
    /// Another program to start, see --program of the chats [default: crc]
    #[arg(long, value_enum, conflicts_with_all = ["server", "crc"])]
    program: Option<Program>,
    /// Maximum number of unregistered clients at a time [default: all]
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
    /// Pairs of clients that chat meanwhile; on the crc wire, all users are announced to them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_count)]
    pairs: usize,
    /// Messages per second of all pairs together
    #[arg(long, value_name = "MESSAGES", default_value = "1000", value_parser = parse_rate)]
    rate: f64,
    /// Size of each text in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    size: usize,
    /// Measured time before the server joins, for comparison
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    duration: Duration,
    /// Warm-up before the measured time
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    warm_up: Duration,
}

#[derive(Args, Debug)]
struct GrowthArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// The output folder
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Connections to one server, including those that chat
    #[arg(long, value_name = "N,…", default_value = "10,100,1000,10000", value_delimiter = ',', value_parser = parse_count)]
    connections: Vec<usize>,
    /// Hosts known to one server
    #[arg(long, value_name = "N,…", default_value = "10,100,1000,10000,100000,1000000", value_delimiter = ',', value_parser = parse_count)]
    hosts: Vec<usize>,
    /// Links between servers that each message crosses
    #[arg(long, value_name = "N,…", default_value = "1,2,5,10,20", value_delimiter = ',', value_parser = parse_count)]
    hops: Vec<usize>,
    /// Pairs of clients that chat
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = parse_count)]
    pairs: usize,
    /// Messages that each sender keeps in flight
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: u32,
    /// Size of each text in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    size: usize,
    /// Measured time of each point
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_duration)]
    duration: Duration,
    /// Warm-up before the measured time
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    warm_up: Duration,
}

#[derive(Args, Debug)]
struct StrangersArguments {
    /// What they do
    #[arg(value_enum)]
    attack: Attack,
    #[command(flatten)]
    place: TargetArguments,
    #[command(flatten)]
    common: CommonArguments,
    /// Their connections [default: 1000000; 1000 for never-readers, 5000 for slow-heads]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    connections: Option<usize>,
    /// Their connections at a time [default: 9000 for churn; all for never-readers]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    at_a_time: Option<usize>,
    /// Pairs of clients that chat meanwhile, on the crc wire; with slow-heads on that of --wire
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = parse_count)]
    pairs: usize,
    /// Messages per second of all pairs together
    #[arg(long, value_name = "MESSAGES", default_value = "1000", value_parser = parse_rate)]
    rate: f64,
    /// Measured time before the strangers connect, for comparison
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    duration: Duration,
    /// How long hostile and never-readers act, and pause, in turns [default: they never pause]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    turns: Option<Duration>,
    /// Warm-up before the measured time
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    warm_up: Duration,
}

#[derive(Args, Debug)]
struct FanOutArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// The programs
    #[arg(
        long,
        value_enum,
        value_name = "PROGRAM,…",
        value_delimiter = ',',
        default_value = "forwarder,crc,direct,nats,redis,inspircd,ngircd"
    )]
    programs: Vec<Program>,
    /// Servers of each program in a chain, over which the members are spread; more than one of crc
    /// and the forwarder only
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_count)]
    servers: usize,
    /// Members of the room, one of whom speaks
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = parse_count)]
    members: usize,
    /// Pairs of clients that chat, instead of a room
    #[arg(long, value_name = "N", conflicts_with = "members", value_parser = parse_count)]
    pairs: Option<usize>,
    /// Additional clients, which send nothing; their memory is measured
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = parse_count_or_zero)]
    idle: usize,
    /// Messages that the speaker keeps in flight: the next is sent when all members have one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: u32,
    /// Size of each text in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    size: usize,
    /// Rounds, in each of which every program has its turn
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = parse_count)]
    rounds: usize,
    /// Measured time of each turn
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    duration: Duration,
    /// Warm-up before the measured time
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = parse_duration)]
    warm_up: Duration,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct WebArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// Users of the network, all of whom are listed
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = parse_count)]
    users: usize,
    /// Pairs of clients that chat meanwhile, on the direct wire
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = parse_count)]
    pairs: usize,
    /// Messages per second of all pairs together
    #[arg(long, value_name = "MESSAGES", default_value = "1000", value_parser = parse_rate)]
    rate: f64,
    /// Measured time with the metrics scraped, and again with the lists
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// The checked options.
pub(super) struct LoadOptions {
    pub(super) workload: WorkloadPlan,
    pub(super) is_json: bool,
    pub(super) is_quiet: bool,
}

/// A workload and its parameters.
pub(super) enum WorkloadPlan {
    Chat(chat::Plan),
    Connect(connect::Plan),
    Burst(burst::Plan),
    Growth(growth::Plan),
    FanOut(fan_out::Plan),
    Strangers(strangers::Plan),
    Web(web::Plan),
}
