//! Checks the options, and makes the plan of a workload.

use crc::limits::{FRAME_BYTES_MAX, FRAME_HEADROOM_BYTES, UNREGISTERED_MAX};
use crc::wires::Wire;
use crc::wires::classic::codec::TEXT_BYTES_MAX as CLASSIC_TEXT_BYTES_MAX;

use super::super::chat_parameters::ChatParameters;
use super::super::delivery_tracker::{Addressing, STREAMS_MAX};
use super::super::pace::Pace;
use super::super::servers::Target;
use super::super::stamp::{SENDERS_MAX, STAMP_BYTES};
use super::super::{burst, chat, connect, growth};
use super::*;

/// Maximum length of a text on the IRC wire, in bytes: with the masks and names of a load, it fits
/// into one line.
const IRC_TEXT_BYTES_MAX: usize = 400;
/// Default number of pairs.
const PAIRS_DEFAULT: usize = 50;
/// Default number of messages that each sender keeps in flight.
const IN_FLIGHT_DEFAULT: u32 = 64;
/// Default number of messages that each speaker of a room keeps in flight.
const ROOM_IN_FLIGHT_DEFAULT: u32 = 1;
/// Maximum number of servers to start.
pub(super) const SERVERS_MAX: usize = 256;

impl LoadArguments {
    /// Checks the options, and returns the workload to run.
    ///
    /// # Errors
    /// Returns a message for the user if options conflict or a value is out of range.
    pub(in crate::load) fn check(self) -> Result<LoadOptions, String> {
        match self.workload {
            None => self.chat.check(),
            Some(Workload::Connect(arguments)) => Ok(arguments.check()?),
            Some(Workload::Burst(arguments)) => arguments.check(),
            Some(Workload::Growth(arguments)) => arguments.check(),
            Some(Workload::FanOut(arguments)) => arguments.check(),
            Some(Workload::Strangers(arguments)) => arguments.check(),
            Some(Workload::Web(arguments)) => arguments.check(),
        }
    }
}

pub(super) fn load_options(
    workload: WorkloadPlan,
    is_json: bool,
    common: &CommonArguments,
) -> LoadOptions {
    LoadOptions { workload, is_json, is_quiet: common.quiet }
}

impl ChatArguments {
    fn check(self) -> Result<LoadOptions, String> {
        let Self { place, common, hosts, .. } = &self;
        let (site, protocol) = match self.program {
            Some(program) => self.check_program(program)?,
            None => (place.check(common)?, common.wire.into()),
        };
        check_size(self.size, common.wire)?;
        if *hosts > 0 {
            check_crc_listener_known(place, common.wire, "--hosts")?;
        }
        let plan = chat::Plan {
            target: site,
            chat: ChatParameters {
                protocol,
                addressing: self.addressing()?,
                text_bytes: self.size,
                pace: match self.rate {
                    Some(rate) => Pace::Rate(rate),
                    None => Pace::InFlight(self.in_flight.unwrap_or(match self.pattern {
                        Pattern::Room => ROOM_IN_FLIGHT_DEFAULT,
                        Pattern::Pairs | Pattern::AllToAll => IN_FLIGHT_DEFAULT,
                    })),
                },
                spreads_clients: self.spread,
            },
            idle_clients: self.idle,
            extra_hosts: self.hosts,
            warm_up: self.warm_up,
            duration: check_duration(self.duration)?,
            pins_cores: common.pin,
            busy_polls: self.spin,
        };
        Ok(load_options(WorkloadPlan::Chat(plan), self.place.json, &self.common))
    }

    fn addressing(&self) -> Result<Addressing, String> {
        let addressing = match (self.pattern, self.clients, self.pairs) {
            (Pattern::Pairs, None, pairs) => {
                Addressing::Paired { pairs: pairs.unwrap_or(PAIRS_DEFAULT) }
            }
            (Pattern::Pairs, Some(clients), _) if clients % 2 == 0 => {
                Addressing::Paired { pairs: clients / 2 }
            }
            (Pattern::Pairs, Some(clients), _) => {
                return Err(format!("--clients {clients}: pairs need an even number of clients"));
            }
            (Pattern::AllToAll, _, Some(_)) => {
                return Err("--pairs: use --clients with --pattern all-to-all".to_owned());
            }
            (Pattern::AllToAll, Some(1), _) => {
                return Err("--clients 1: expected 2 or more with --pattern all-to-all".to_owned());
            }
            (Pattern::AllToAll, clients, None) => {
                Addressing::AllToAll { clients: clients.unwrap_or(2 * PAIRS_DEFAULT) }
            }
            (Pattern::Room, _, Some(_)) => {
                return Err("--pairs: use --clients with --pattern room".to_owned());
            }
            (Pattern::Room, clients, None) => {
                let (members, speakers) = (clients.unwrap_or(2 * PAIRS_DEFAULT), self.speakers);
                if members < 2 || speakers > members {
                    return Err(format!(
                        "--clients {members}: expected 2 or more, and at least --speakers {speakers}"
                    ));
                }
                Addressing::Room { members, speakers }
            }
        };
        check_streams(addressing)
    }
}

impl ConnectArguments {
    fn check(self) -> Result<LoadOptions, String> {
        let pending_max = self.at_a_time.unwrap_or(self.clients);
        let (mut target, protocol) = self.target()?;
        allow_unregistered(&mut target, pending_max);
        let plan = connect::Plan {
            target,
            protocol,
            clients: self.clients,
            pending_max,
            pin: self.common.pin,
        };
        Ok(load_options(WorkloadPlan::Connect(plan), self.place.json, &self.common))
    }
}

/// Lets a started server have this many unregistered connections at a time, if it has fewer by
/// default.
pub(super) fn allow_unregistered(target: &mut Target, count: usize) {
    if let Target::Chain { options, .. } = target
        && count > UNREGISTERED_MAX
    {
        options.push(format!("--max-unregistered={count}"));
    }
}

impl BurstArguments {
    fn check(self) -> Result<LoadOptions, String> {
        let Self { place, common, .. } = &self;
        let site = place.check(common)?;
        check_crc_listener_known(place, common.wire, "load burst")?;
        check_size(self.size, common.wire)?;
        let plan = burst::Plan {
            target: site,
            users: self.users,
            chat: ChatParameters {
                protocol: common.wire.into(),
                addressing: check_streams(Addressing::Paired { pairs: self.pairs })?,
                text_bytes: self.size,
                pace: Pace::Rate(self.rate),
                spreads_clients: false,
            },
            warm_up: self.warm_up,
            duration: check_duration(self.duration)?,
            pins_cores: common.pin,
        };
        Ok(load_options(WorkloadPlan::Burst(plan), self.place.json, &self.common))
    }
}

impl GrowthArguments {
    fn check(self) -> Result<LoadOptions, String> {
        check_size(self.size, self.common.wire)?;
        check_streams(Addressing::Paired { pairs: self.pairs })?;
        if let Some(hops) = self.hops.iter().find(|&&hops| hops >= SERVERS_MAX) {
            return Err(format!("--hops {hops}: expected less than {SERVERS_MAX}"));
        }
        if let Some(few) = self.connections.iter().find(|&&count| count < 2 * self.pairs) {
            let pairs = self.pairs;
            return Err(format!(
                "--connections {few}: expected at least {}, the clients of --pairs {pairs}",
                2 * pairs
            ));
        }
        let plan = growth::Plan {
            binary: self.common.crc.clone(),
            output_dir: self.out,
            wire: self.common.wire,
            connections: self.connections,
            hosts: self.hosts,
            hops: self.hops,
            pairs: self.pairs,
            in_flight: self.in_flight,
            size: self.size,
            warm_up: self.warm_up,
            duration: check_duration(self.duration)?,
            pins_cores: self.common.pin,
        };
        Ok(load_options(WorkloadPlan::Growth(plan), false, &self.common))
    }
}

impl TargetArguments {
    pub(super) fn check(&self, common: &CommonArguments) -> Result<Target, String> {
        if !self.server.is_empty() {
            return Ok(Target::Existing { addresses: self.server.clone(), pids: self.pid.clone() });
        }
        if self.servers > SERVERS_MAX {
            return Err(format!("--servers {}: expected at most {SERVERS_MAX}", self.servers));
        }
        let binary = common.crc.clone();
        Ok(Target::Chain { servers: self.servers, binary, options: Vec::new() })
    }
}

/// Checks that the CRC listener is known, on which hosts are announced. For existing servers, it is
/// known only if `--wire` is `crc`.
fn check_crc_listener_known(
    place: &TargetArguments,
    wire: Wire,
    option: &str,
) -> Result<(), String> {
    if place.server.is_empty() || wire == Wire::CRC {
        return Ok(());
    }
    Err(format!("{option} needs the CRC listener: omit --wire with --server"))
}

pub(super) fn check_size(size: usize, wire: Wire) -> Result<(), String> {
    let max = if wire == Wire::CLASSIC {
        CLASSIC_TEXT_BYTES_MAX
    } else if wire == Wire::IRC {
        IRC_TEXT_BYTES_MAX
    } else {
        FRAME_BYTES_MAX - FRAME_HEADROOM_BYTES
    };
    if (STAMP_BYTES..=max).contains(&size) {
        return Ok(());
    }
    let wire = wire.name();
    Err(format!("--size {size}: expected {STAMP_BYTES} to {max} bytes on the {wire} wire"))
}

pub(super) fn check_duration(span: Duration) -> Result<Duration, String> {
    if span >= Duration::from_millis(10) {
        return Ok(span);
    }
    Err("--duration: expected 10ms or more".to_owned())
}

pub(super) fn check_streams(addressing: Addressing) -> Result<Addressing, String> {
    if addressing.sender_count() <= SENDERS_MAX && addressing.stream_count() <= STREAMS_MAX {
        return Ok(addressing);
    }
    let senders = addressing.sender_count();
    let max = match addressing {
        Addressing::Paired { .. } => SENDERS_MAX,
        Addressing::AllToAll { .. } => STREAMS_MAX.isqrt(),
        Addressing::Room { members, .. } => STREAMS_MAX / members,
    };
    Err(format!("{senders} senders: expected at most {max}, so that every loss is counted"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::super::client_codec::{Protocol, Transport};
    use super::*;

    #[derive(Parser)]
    struct TestArguments {
        #[command(flatten)]
        load: LoadArguments,
    }

    fn check(line: &str) -> Result<LoadOptions, String> {
        let words = std::iter::once("load").chain(line.split_whitespace());
        let line = TestArguments::try_parse_from(words).map_err(|error| error.to_string())?;
        line.load.check()
    }

    #[track_caller]
    fn chat(line: &str) -> chat::Plan {
        match check(line).map(|options| options.workload) {
            Ok(WorkloadPlan::Chat(plan)) => plan,
            Ok(_) => panic!("{line}: another workload"),
            Err(error) => panic!("{line}: {error}"),
        }
    }

    #[track_caller]
    fn check_rejected(line: &str, expected: &str) {
        match check(line) {
            Ok(_) => panic!("{line}: accepted"),
            Err(error) => assert!(error.contains(expected), "{line}: {error}"),
        }
    }

    #[test]
    fn load_defaults_to_fifty_pairs_on_one_started_server() {
        let plan = chat("");
        assert!(matches!(plan.target, Target::Chain { servers: 1, binary: None, .. }));
        assert_eq!(plan.chat.addressing, Addressing::Paired { pairs: 50 });
        assert_eq!((plan.chat.pace, plan.chat.text_bytes), (Pace::InFlight(64), 64));
        assert_eq!(chat("--clients 8").chat.addressing, Addressing::Paired { pairs: 4 });
        let plan = chat("--pattern all-to-all --rate 5 --wire direct");
        assert_eq!(plan.chat.addressing, Addressing::AllToAll { clients: 100 });
        assert_eq!((plan.chat.pace, plan.chat.protocol), (Pace::Rate(5.0), Wire::DIRECT.into()));
        let plan = chat("--server a:1 --server b:2 --pid 7 --hosts 5");
        assert!(
            matches!(plan.target, Target::Existing { addresses, pids } if addresses.len() == 2 && pids == [7])
        );
        assert!(check("growth --out x --pairs 2 --connections 4,8").is_ok());
        assert!(check("burst --wire direct --users 10").is_ok());
        assert!(check("connect --clients 10 --server a:1 --wire classic").is_ok());
    }

    #[test]
    fn programs_are_loaded_over_web_socket_with_the_http_wire() {
        let plan = chat("--program nats --wire http --idle 5");
        assert_eq!(plan.chat.protocol, Protocol::Nats(Transport::WebSocket));
        assert_eq!(plan.chat.addressing, Addressing::Paired { pairs: 50 });
        let plan = chat("--program mosquitto --pattern room");
        assert_eq!(plan.chat.protocol, Protocol::Mqtt(Transport::Tcp));
        assert_eq!(chat("--program crc --wire http").chat.protocol, Wire::HTTP.into());
        assert!(
            check("fan-out --wire http --programs crc,nats,mosquitto --pairs 2 --idle 3").is_ok()
        );
        check_rejected("--program redis", "--pattern room");
        check_rejected("--program redis --pattern room --wire http", "over WebSocket");
        check_rejected("--program nats --wire direct", "expected http");
        check_rejected("--program mosquitto --pattern room --speakers 2", "expected 1");
        check_rejected("fan-out --pairs 2", "name others with --programs");
        check_rejected("fan-out --wire http", "forwarder is not loaded over WebSocket");
    }

    #[test]
    fn irc_servers_are_loaded_with_the_irc_wire() {
        for program in ["crc", "inspircd", "ngircd"] {
            let plan = chat(&format!("--program {program} --wire irc --idle 5"));
            assert_eq!(plan.chat.protocol, Protocol::Irc, "{program}");
        }
        assert!(check("fan-out --wire irc --programs crc,inspircd,ngircd --pairs 2").is_ok());
        match check("connect --program ngircd --clients 5").map(|options| options.workload) {
            Ok(WorkloadPlan::Connect(plan)) => assert_eq!(plan.protocol, Protocol::Irc),
            _ => panic!("no connect"),
        }
        check_rejected("--program nats --wire irc", "expected crc, inspircd or ngircd");
        check_rejected("connect --program forwarder", "registers no clients");
    }

    #[test]
    fn many_clients_at_a_time_are_allowed_to_a_started_server() {
        let options = |line: &str| match check(line).map(|options| options.workload) {
            Ok(WorkloadPlan::Connect(connect::Plan {
                target: Target::Chain { options, .. },
                ..
            })) => options,
            _ => panic!("{line}: no started server"),
        };
        assert_eq!(options("connect --clients 10000"), ["--max-unregistered=10000"]);
        assert!(options("connect --clients 10000 --at-a-time 100").is_empty());
    }

    #[test]
    fn conflicting_or_out_of_range_options_are_rejected_with_a_reason() {
        check_rejected("--clients 3", "even number");
        check_rejected("--pattern all-to-all --pairs 3", "use --clients");
        check_rejected("--pattern all-to-all --clients 1", "2 or more");
        check_rejected("--pattern all-to-all --clients 5000", "at most 4096");
        check_rejected("--size 15", "16 to 1048512 bytes on the crc wire");
        check_rejected("--wire classic --size 240", "16 to 239 bytes on the classic wire");
        check_rejected("--server a:1 --wire direct --hosts 5", "CRC listener");
        check_rejected("burst --server a:1 --wire direct", "CRC listener");
        check_rejected("--server a:1 --servers 2", "cannot be used with");
        check_rejected("--pid 5", "--server");
        check_rejected("--rate 5 --in-flight 5", "cannot be used with");
        check_rejected("--wire mqtt", "crc, direct, classic");
        check_rejected("--servers 1000", "at most 256");
        check_rejected("--duration 1ms", "10ms or more");
        check_rejected("web --wire http", "speak direct");
        check_rejected("strangers hostile --wire http", "speak crc");
        check_rejected("strangers slow-heads --server a:1", "another wire");
        assert!(check("strangers slow-heads --server a:1 --wire http").is_ok());
        check_rejected("growth", "--out");
        check_rejected("growth --out x --connections 5", "at least 10");
        check_rejected("growth --out x --hops 256", "less than 256");
        check_rejected("--clients 2 connect", "cannot be used with");
    }
}
