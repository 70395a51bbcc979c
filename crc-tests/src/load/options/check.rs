//! From options to a plan that can be carried out.

use crc::doors::classic::wire::TEXT_BYTES_MAX as CLASSIC_TEXT_BYTES_MAX;
use crc::limits::{FRAME_BYTES_MAX, FRAME_MARGIN_BYTES};

use super::super::conversation::Talk;
use super::super::ledger::{Receivers, STREAMS_MAX};
use super::super::pace::Pace;
use super::super::servers::Site;
use super::super::stamp::{SENDERS_MAX, STAMP_BYTES};
use super::super::{burst, chat, connect, growth};
use super::*;

/// Pairs that talk, where nothing is said of them.
const PAIRS: usize = 50;
/// What each sender keeps on its way, where nothing is said of that.
const IN_FLIGHT: u32 = 64;
/// Servers that one machine is asked to run.
const SERVERS_MAX: usize = 256;

impl LoadArguments {
    /// What is to be done.
    ///
    /// # Errors
    /// Options that do not go together, in words for the user.
    pub(in crate::load) fn check(self) -> Result<Options, String> {
        match self.workload {
            None => self.chat.check(),
            Some(Workload::Connect(arguments)) => Ok(arguments.check()?),
            Some(Workload::Burst(arguments)) => arguments.check(),
            Some(Workload::Growth(arguments)) => arguments.check(),
        }
    }
}

fn options(work: Work, is_json: bool, common: &Common) -> Options {
    Options { work, is_json, is_quiet: common.quiet }
}

impl ChatArguments {
    fn check(self) -> Result<Options, String> {
        let Self { place, common, hosts, .. } = &self;
        let site = place.check(common)?;
        check_size(self.size, common.wire)?;
        if *hosts > 0 {
            check_announcing(place, common.wire, "--hosts")?;
        }
        let plan = chat::Plan {
            site,
            talk: Talk {
                wire: common.wire,
                receivers: self.receivers()?,
                size: self.size,
                pace: match self.rate {
                    Some(rate) => Pace::Rate(rate),
                    None => Pace::InFlight(self.in_flight.unwrap_or(IN_FLIGHT)),
                },
                spread: self.spread,
            },
            idle: self.idle,
            hosts: self.hosts,
            warm_up: self.warm_up,
            duration: check_duration(self.duration)?,
            pin: common.pin,
            spin: self.spin,
        };
        Ok(options(Work::Chat(plan), self.place.json, &self.common))
    }

    fn receivers(&self) -> Result<Receivers, String> {
        let receivers = match (self.pattern, self.clients, self.pairs) {
            (Pattern::Pairs, None, pairs) => Receivers::Own { pairs: pairs.unwrap_or(PAIRS) },
            (Pattern::Pairs, Some(clients), _) if clients % 2 == 0 => {
                Receivers::Own { pairs: clients / 2 }
            }
            (Pattern::Pairs, Some(clients), _) => {
                return Err(format!("--clients {clients}: pairs need an even number of clients"));
            }
            (Pattern::AllToAll, _, Some(_)) => {
                return Err("--pairs: with --pattern all-to-all, use --clients".to_owned());
            }
            (Pattern::AllToAll, Some(1), _) => {
                return Err("--clients 1: nobody is there to speak to".to_owned());
            }
            (Pattern::AllToAll, clients, None) => {
                Receivers::Others { clients: clients.unwrap_or(2 * PAIRS) }
            }
        };
        check_streams(receivers)
    }
}

impl ConnectArguments {
    fn check(self) -> Result<Options, String> {
        let plan = connect::Plan {
            site: self.place.check(&self.common)?,
            wire: self.common.wire,
            clients: self.clients,
            at_a_time: self.at_a_time.unwrap_or(self.clients),
            pin: self.common.pin,
        };
        Ok(options(Work::Connect(plan), self.place.json, &self.common))
    }
}

impl BurstArguments {
    fn check(self) -> Result<Options, String> {
        let Self { place, common, .. } = &self;
        let site = place.check(common)?;
        check_announcing(place, common.wire, "load burst")?;
        check_size(self.size, common.wire)?;
        let plan = burst::Plan {
            site,
            users: self.users,
            talk: Talk {
                wire: common.wire,
                receivers: check_streams(Receivers::Own { pairs: self.pairs })?,
                size: self.size,
                pace: Pace::Rate(self.rate),
                spread: false,
            },
            warm_up: self.warm_up,
            duration: check_duration(self.duration)?,
            pin: common.pin,
        };
        Ok(options(Work::Burst(plan), self.place.json, &self.common))
    }
}

impl GrowthArguments {
    fn check(self) -> Result<Options, String> {
        check_size(self.size, self.common.wire)?;
        check_streams(Receivers::Own { pairs: self.pairs })?;
        if let Some(hops) = self.hops.iter().find(|&&hops| hops >= SERVERS_MAX) {
            return Err(format!("--hops {hops}: expected less than {SERVERS_MAX}"));
        }
        if let Some(few) = self.connections.iter().find(|&&count| count < 2 * self.pairs) {
            let pairs = self.pairs;
            return Err(format!("--connections {few}: --pairs {pairs} are {} already", 2 * pairs));
        }
        let plan = growth::Plan {
            binary: self.common.crc.clone(),
            folder: self.out,
            wire: self.common.wire,
            connections: self.connections,
            hosts: self.hosts,
            hops: self.hops,
            pairs: self.pairs,
            in_flight: self.in_flight,
            size: self.size,
            warm_up: self.warm_up,
            duration: check_duration(self.duration)?,
            pin: self.common.pin,
        };
        Ok(options(Work::Growth(plan), false, &self.common))
    }
}

impl Place {
    fn check(&self, common: &Common) -> Result<Site, String> {
        if !self.server.is_empty() {
            return Ok(Site::Running { addresses: self.server.clone(), pids: self.pid.clone() });
        }
        if self.servers > SERVERS_MAX {
            return Err(format!("--servers {}: expected at most {SERVERS_MAX}", self.servers));
        }
        Ok(Site::Chain { servers: self.servers, binary: common.crc.clone() })
    }
}

/// Hosts are announced at the crc door, which is known of servers that run only if it is the one named.
fn check_announcing(place: &Place, wire: Wire, what: &str) -> Result<(), String> {
    if place.server.is_empty() || wire == Wire::Crc {
        return Ok(());
    }
    Err(format!("{what} needs the crc door: with --server, leave --wire out"))
}

fn check_size(size: usize, wire: Wire) -> Result<(), String> {
    let max = match wire {
        Wire::Crc | Wire::Direct => FRAME_BYTES_MAX - FRAME_MARGIN_BYTES,
        Wire::Classic => CLASSIC_TEXT_BYTES_MAX,
    };
    if (STAMP_BYTES..=max).contains(&size) {
        return Ok(());
    }
    let wire = wire.name();
    Err(format!("--size {size}: expected {STAMP_BYTES} to {max} bytes on the {wire} wire"))
}

fn check_duration(span: Duration) -> Result<Duration, String> {
    if span >= Duration::from_millis(10) {
        return Ok(span);
    }
    Err("--duration: expected 10ms or more".to_owned())
}

fn check_streams(receivers: Receivers) -> Result<Receivers, String> {
    if receivers.senders() <= SENDERS_MAX && receivers.streams() <= STREAMS_MAX {
        return Ok(receivers);
    }
    let senders = receivers.senders();
    let max = match receivers {
        Receivers::Own { .. } => SENDERS_MAX,
        Receivers::Others { .. } => STREAMS_MAX.isqrt(),
    };
    Err(format!("{senders} senders: expected at most {max}, so that no loss stays unseen"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        load: LoadArguments,
    }

    fn check(line: &str) -> Result<Options, String> {
        let words = std::iter::once("load").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.load.check()
    }

    #[track_caller]
    fn chat(line: &str) -> chat::Plan {
        match check(line).map(|options| options.work) {
            Ok(Work::Chat(plan)) => plan,
            Ok(_) => panic!("{line}: another workload"),
            Err(error) => panic!("{line}: {error}"),
        }
    }

    #[track_caller]
    fn refused(line: &str, expected: &str) {
        match check(line) {
            Ok(_) => panic!("{line}: taken"),
            Err(error) => assert!(error.contains(expected), "{line}: {error}"),
        }
    }

    #[test]
    fn nothing_said_is_fifty_pairs_on_a_server_of_one_s_own() {
        let plan = chat("");
        assert!(matches!(plan.site, Site::Chain { servers: 1, binary: None }));
        assert_eq!(plan.talk.receivers, Receivers::Own { pairs: 50 });
        assert_eq!((plan.talk.pace, plan.talk.size), (Pace::InFlight(64), 64));
        assert_eq!(chat("--clients 8").talk.receivers, Receivers::Own { pairs: 4 });
        let plan = chat("--pattern all-to-all --rate 5 --wire direct");
        assert_eq!(plan.talk.receivers, Receivers::Others { clients: 100 });
        assert_eq!((plan.talk.pace, plan.talk.wire), (Pace::Rate(5.0), Wire::Direct));
        let plan = chat("--server a:1 --server b:2 --pid 7 --hosts 5");
        assert!(
            matches!(plan.site, Site::Running { addresses, pids } if addresses.len() == 2 && pids == [7])
        );
        assert!(check("growth --out x --pairs 2 --connections 4,8").is_ok());
        assert!(check("burst --wire direct --users 10").is_ok());
        assert!(check("connect --clients 10 --server a:1 --wire classic").is_ok());
    }

    #[test]
    fn what_does_not_go_together_is_refused_in_words() {
        refused("--clients 3", "even number");
        refused("--pattern all-to-all --pairs 3", "use --clients");
        refused("--pattern all-to-all --clients 1", "nobody is there");
        refused("--pattern all-to-all --clients 5000", "at most 4096");
        refused("--size 15", "16 to 1048512 bytes on the crc wire");
        refused("--wire classic --size 240", "16 to 239 bytes on the classic wire");
        refused("--server a:1 --wire direct --hosts 5", "crc door");
        refused("burst --server a:1 --wire direct", "crc door");
        refused("--server a:1 --servers 2", "cannot be used with");
        refused("--pid 5", "--server");
        refused("--rate 5 --in-flight 5", "cannot be used with");
        refused("--wire irc", "crc, direct or classic");
        refused("--servers 1000", "at most 256");
        refused("--duration 1ms", "10ms or more");
        refused("growth", "--out");
        refused("growth --out x --connections 5", "10 already");
        refused("growth --out x --hops 256", "less than 256");
        refused("--clients 2 connect", "cannot be used with");
    }
}
