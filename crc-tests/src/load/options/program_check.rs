//! Checks the options of loads on other programs.

use crc::wires::Wire;

use super::super::chat_parameters::ChatParameters;
use super::super::client_codec::{Protocol, Transport};
use super::super::delivery_tracker::Addressing;
use super::super::pace::Pace;
use super::super::servers::Target;
use super::super::{chat, fan_out};
use super::check::{SERVERS_MAX, check_duration, check_size, check_streams, load_options};
use super::*;

impl ChatArguments {
    /// Checks that a program can be loaded, and returns it as the target.
    pub(super) fn check_program(&self, program: Program) -> Result<(Target, Protocol), String> {
        let protocol = program_protocol(program, self.common.wire)?;
        let needs_addresses = self.pattern != Pattern::Room || self.idle > 0;
        if needs_addresses && !protocol.has_addresses() {
            return Err(format!(
                "--program {}: expected --pattern room, and no --idle",
                program.name()
            ));
        }
        if self.hosts > 0 {
            return Err("--program: expected no --hosts".to_owned());
        }
        if !protocol.has_speaking_members() && self.speakers > 1 {
            return Err(format!(
                "--speakers: who speaks in a room of {} is not in it; expected 1",
                program.name()
            ));
        }
        let target = program_target(program, self.place.servers, self.common.crc.clone())?;
        Ok((target, protocol))
    }
}

impl ConnectArguments {
    /// Returns the target, and what its clients speak.
    pub(super) fn target(&self) -> Result<(Target, Protocol), String> {
        let Self { place, common, .. } = self;
        let Some(program) = self.program else {
            return Ok((place.check(common)?, common.wire.into()));
        };
        let protocol = program_protocol(program, common.wire)?;
        if !protocol.has_welcome() {
            return Err(format!("--program: {} registers no clients", program.name()));
        }
        Ok((program_target(program, place.servers, common.crc.clone())?, protocol))
    }
}

/// Returns what the clients of a program speak: over WebSocket with `--wire http`, and IRC with
/// `--wire irc`.
fn program_protocol(program: Program, wire: Wire) -> Result<Protocol, String> {
    let transport = match wire {
        wire if wire == Wire::IRC && program.speaks_irc() => return Ok(Protocol::Irc),
        wire if wire == Wire::IRC => {
            let name = program.name();
            return Err(format!("--wire irc: expected crc, inspircd or ngircd, not {name}"));
        }
        wire if wire == Wire::CRC => Transport::Tcp,
        wire if wire == Wire::HTTP => Transport::WebSocket,
        wire => {
            return Err(format!("--wire {wire}: expected http, irc or none for other programs"));
        }
    };
    program.protocol(transport).ok_or_else(|| {
        let name = program.name();
        format!("--wire http: {name} is not loaded over WebSocket; expected crc, nats or mosquitto")
    })
}

/// Returns this many servers of a program as the target of a load.
fn program_target(
    program: Program,
    servers: usize,
    binary: Option<PathBuf>,
) -> Result<Target, String> {
    if servers > 1 && !program.is_joined() {
        let name = program.name();
        return Err(format!("--servers {servers}: several of {name} are not joined here"));
    }
    if servers > SERVERS_MAX {
        return Err(format!("--servers {servers}: expected at most {SERVERS_MAX}"));
    }
    Ok(match program.is_crc() {
        true => Target::Chain { servers, binary, options: Vec::new() },
        false => Target::Program { program, servers },
    })
}

impl FanOutArguments {
    pub(super) fn check(self) -> Result<LoadOptions, String> {
        check_size(self.size, Wire::CLASSIC)?;
        if self.members < 2 {
            return Err("--members 1: expected 2 or more".to_owned());
        }
        let runs = { self.programs.iter() }
            .map(|&program| Ok((program, self.plan(program)?)))
            .collect::<Result<_, String>>()?;
        let plan = fan_out::Plan { runs, rounds: self.rounds };
        Ok(load_options(WorkloadPlan::FanOut(plan), self.json, &self.common))
    }

    /// Returns the load on one program.
    fn plan(&self, program: Program) -> Result<chat::Plan, String> {
        let protocol = program_protocol(program, self.common.wire)?;
        if (self.pairs.is_some() || self.idle > 0) && !protocol.has_addresses() {
            return Err(format!(
                "--pairs and --idle: {} is loaded with rooms only; name others with --programs",
                program.name()
            ));
        }
        let addressing = match self.pairs {
            Some(pairs) => Addressing::Paired { pairs },
            None => Addressing::Room { members: self.members, speakers: 1 },
        };
        Ok(chat::Plan {
            target: program_target(program, self.servers, self.common.crc.clone())?,
            chat: ChatParameters {
                protocol,
                addressing: check_streams(addressing)?,
                text_bytes: self.size,
                pace: Pace::InFlight(self.in_flight),
                spreads_clients: false,
            },
            idle_clients: self.idle,
            extra_hosts: 0,
            warm_up: self.warm_up,
            duration: check_duration(self.duration)?,
            pins_cores: self.common.pin,
            busy_polls: false,
        })
    }
}
