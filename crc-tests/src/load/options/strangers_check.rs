//! Checks the options of loads with strangers and with pages.

use crc::wires::Wire;

use super::super::chat_parameters::ChatParameters;
use super::super::delivery_tracker::Addressing;
use super::super::pace::Pace;
use super::super::{strangers, web};
use super::check::{allow_unregistered, check_duration, check_streams, load_options};
use super::*;

/// Minimum length of a turn of strangers: a percentile needs some messages.
const TURN_MIN: Duration = Duration::from_millis(100);

impl StrangersArguments {
    pub(super) fn check(self) -> Result<LoadOptions, String> {
        let (place, common) = (&self.place, &self.common);
        let may_be_http = self.attack == Attack::SlowHeads && common.wire == Wire::HTTP;
        if common.wire != Wire::CRC && !may_be_http {
            return Err(format!("--wire {}: those that chat meanwhile speak crc", common.wire));
        }
        let needs_two_listeners = match self.attack {
            Attack::Churn => true,
            Attack::SlowHeads => !may_be_http,
            Attack::Hostile | Attack::NeverReaders => false,
        };
        if needs_two_listeners && !place.server.is_empty() {
            let name = self.attack.name();
            return Err(format!("--server: {name} needs a listener of another wire; leave it out"));
        }
        if self.turns.is_some() && matches!(self.attack, Attack::Churn | Attack::SlowHeads) {
            return Err(format!("--turns: {} does not pause", self.attack.name()));
        }
        if self.turns.is_some_and(|turn| turn < TURN_MIN) {
            return Err("--turns: expected 100ms or more".to_owned());
        }
        let connections = self.connections.unwrap_or(match self.attack {
            Attack::NeverReaders => 1000,
            Attack::SlowHeads => 5000,
            Attack::Hostile | Attack::Churn => 1_000_000,
        });
        let at_a_time = match self.attack {
            Attack::Hostile => 64,
            Attack::Churn => self.at_a_time.unwrap_or(9000),
            Attack::NeverReaders | Attack::SlowHeads => connections,
        };
        let mut target = place.check(common)?;
        if self.attack == Attack::SlowHeads {
            allow_unregistered(&mut target, connections);
        }
        let plan = strangers::Plan {
            target,
            attack: self.attack,
            connections: connections as u64,
            at_a_time,
            chat: ChatParameters {
                protocol: common.wire.into(),
                addressing: check_streams(Addressing::Paired { pairs: self.pairs })?,
                text_bytes: 64,
                pace: Pace::Rate(self.rate),
                spreads_clients: false,
            },
            warm_up: self.warm_up,
            duration: check_duration(self.duration)?,
            turn: self.turns,
            pins_cores: common.pin,
        };
        Ok(load_options(WorkloadPlan::Strangers(plan), place.json, common))
    }
}

impl WebArguments {
    pub(super) fn check(self) -> Result<LoadOptions, String> {
        let common = &self.common;
        if common.wire != Wire::CRC {
            return Err(format!("--wire {}: those that chat meanwhile speak direct", common.wire));
        }
        let plan = web::Plan {
            binary: common.crc.clone(),
            users: self.users,
            chat: ChatParameters {
                protocol: Wire::DIRECT.into(), // those of the crc wire are sent all users
                addressing: check_streams(Addressing::Paired { pairs: self.pairs })?,
                text_bytes: 64,
                pace: Pace::Rate(self.rate),
                spreads_clients: false,
            },
            duration: check_duration(self.duration)?,
            pins_cores: common.pin,
        };
        Ok(load_options(WorkloadPlan::Web(plan), self.json, common))
    }
}
