//! The options of `crc-tests simulate --scale`, and its report.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;

use super::large_link::run_large_link;
use super::{Loss, Options, run};

/// The options of a large network.
#[derive(Args, Clone, Debug)]
pub struct ScaleArguments {
    /// Play one large network whose root is lost and comes back, instead of seeds
    #[arg(long, conflicts_with_all = ["exhaustive", "file"])]
    pub scale: bool,
    /// Number of servers of the large network
    #[arg(long, value_name = "N", requires = "scale", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(3..=60_000))]
    pub servers: u32,
    /// Number of users at each server of the large network
    #[arg(long, value_name = "N", requires = "scale", default_value_t = 200)]
    pub users: u32,
    /// Number of children of each server of the large network
    #[arg(long, value_name = "N", requires = "scale", default_value_t = 8,
          value_parser = clap::value_parser!(u32).range(2..=100))]
    pub fan_out: u32,
    /// How the root of the large network is lost
    #[arg(long, value_enum, value_name = "HOW", requires = "scale", default_value = "kill")]
    pub loss: Loss,
    /// Reset a link with this number of users behind it [default number: 1000000], instead of
    /// playing seeds
    #[arg(long, value_name = "USERS", conflicts_with_all = ["scale", "exhaustive", "file"],
          num_args = 0..=1, default_missing_value = "1000000")]
    pub large_link: Option<u32>,
    /// Number of rooms that each user behind the large link is in: the first of them is the same
    /// for all, and each of the others has a thousandth of them
    #[arg(long, value_name = "N", requires = "large_link", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(..=50))]
    pub rooms: u32,
    /// Play the network with the large link this number of times, and show the shortest time of
    /// each call: what else the machine does makes single calls longer
    #[arg(long, value_name = "N", requires = "large_link", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
}

/// Plays a large network, or one with a large link, if the options ask for one.
///
/// Exit codes: 0 if all servers had one table in the end of each phase, and if no user was
/// announced when the large link came back within the grace; 1 otherwise.
pub(in crate::sim) fn run_command(arguments: &ScaleArguments, seed: u64) -> Option<ExitCode> {
    let ScaleArguments { scale, servers, users, fan_out, loss, large_link, rooms, repeat } =
        *arguments;
    let is_failed = if let Some(users) = large_link {
        let mut phases = run_large_link(users, rooms, seed);
        for _ in 1..repeat {
            let again = run_large_link(users, rooms, seed);
            for (phase, again) in phases.iter_mut().zip(again) {
                phase.meter.keep_shortest(&again.meter);
            }
        }
        phases.iter().for_each(|phase| print(&phase.to_string()));
        phases.iter().any(|phase| {
            let is_announced = phase.frames.is_some_and(|frames| frames.others > 0);
            phase.until_one_table.is_none() || is_announced
        })
    } else if scale {
        let options = Options { servers, users, fan_out, loss, seed };
        let phases = run(&options, |phase| print(&phase.to_string()));
        phases.iter().any(|phase| phase.until_one_table.is_none())
    } else {
        return None;
    };
    Some(ExitCode::from(u8::from(is_failed)))
}

/// Prints a line; the exit code has the result even if nobody reads it.
fn print(line: &str) {
    drop(writeln!(io::stdout(), "{line}"));
}
