//! The reports of clients that arrive at once, and of servers that join.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::burst::{self, Phase};
use super::super::connect;
use super::super::usage::Spent;
use super::{
    Table, bytes_each, bytes_text, disturbance, grouped, histogram_json, latencies_json,
    latencies_text, micros_each, percent, rounded, spent_json,
};
use crate::command::Wire;

/// What a run of `connect` has found.
pub(in crate::load) struct ConnectReport {
    pub(in crate::load) plan: connect::Plan,
    pub(in crate::load) servers: usize,
    /// Until the last client was taken in.
    pub(in crate::load) registered_in: Duration,
    /// Until the last was told of the last.
    pub(in crate::load) told_in: Duration,
    pub(in crate::load) told: u64,
    pub(in crate::load) spent: Spent,
    pub(in crate::load) empty: Option<u64>,
    pub(in crate::load) loaded: Option<u64>,
    pub(in crate::load) peak: Option<u64>,
}

impl ConnectReport {
    fn cpu_each(&self) -> Option<f64> {
        micros_each(self.spent.all_servers()?, self.plan.clients as u64)
    }

    fn bytes_each(&self) -> Option<f64> {
        bytes_each(self.empty, self.loaded, self.plan.clients)
    }

    pub(in crate::load) fn json(&self) -> Value {
        let mut results = json!({
            "registered_in_s": rounded(self.registered_in.as_secs_f64()),
            "clients_per_s": per_second(self.plan.clients, self.registered_in),
            "told_in_s": rounded(self.told_in.as_secs_f64()),
            "registrations_told": self.told,
            "server_cpu_us_per_client": self.cpu_each(),
            "memory_bytes": {
                "empty": self.empty,
                "loaded": self.loaded,
                "peak": self.peak,
                "per_client": self.bytes_each(),
            },
        });
        if let (Value::Object(results), Value::Object(spent)) =
            (&mut results, spent_json(&self.spent))
        {
            results.extend(spent);
        }
        json!({
            "workload": "connect",
            "parameters": {
                "wire": self.plan.wire.name(),
                "servers": self.servers,
                "clients": self.plan.clients,
                "at_a_time": self.plan.at_a_time,
                "pin": self.plan.pin,
            },
            "results": results,
            "error": null,
        })
    }
}

impl fmt::Display for ConnectReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        let (clients, span) = (self.plan.clients, self.registered_in);
        let rate = grouped(per_second(clients, span) as u64);
        let clients = grouped(clients as u64);
        table.row("registered", format!("{clients} in {:.2} s, {rate}/s", span.as_secs_f64()));
        if self.plan.wire == Wire::Crc {
            let (told, span) = (grouped(self.told), self.told_in.as_secs_f64());
            table.row("told of each other", format!("{told} registrations in {span:.2} s"));
        }
        match (self.cpu_each(), self.spent.all_servers()) {
            (Some(each), Some(all)) => {
                let all = all.as_secs_f64();
                table.row("server CPU", format!("{each:.1} µs a client, {all:.2} s in all"));
            }
            _ => table.row("server CPU", "unknown: name the servers' processes with --pid"),
        }
        table.row(
            "server memory",
            memory_text(self.empty, self.loaded, self.peak, self.bytes_each(), "a client"),
        );
        let own = percent(self.spent.share(self.spent.own));
        table.row("generator", format!("{own} of a core"));
        if let Some(warning) = disturbance(&self.spent) {
            table.row("disturbed", warning);
        }
        write!(f, "{table}")
    }
}

/// What a run of `burst` has found.
pub(in crate::load) struct BurstReport {
    pub(in crate::load) plan: burst::Plan,
    pub(in crate::load) servers: usize,
    pub(in crate::load) before: Phase,
    pub(in crate::load) applied: Phase,
    pub(in crate::load) told: Phase,
    /// From before anybody joined to the end.
    pub(in crate::load) spent: Spent,
    pub(in crate::load) sent: u64,
    pub(in crate::load) lost: u64,
    pub(in crate::load) empty: Option<u64>,
    pub(in crate::load) loaded: Option<u64>,
    pub(in crate::load) peak: Option<u64>,
}

impl BurstReport {
    fn bytes_each(&self) -> Option<f64> {
        bytes_each(self.empty, self.loaded, self.plan.users)
    }

    fn phase_json(&self, phase: &Phase) -> Value {
        let users = self.plan.users;
        json!({
            "seconds": rounded(phase.took.as_secs_f64()),
            "hosts_per_s": per_second(users, phase.took),
            "server_cpu_us_per_host": phase.server.and_then(|time| micros_each(time, users as u64)),
            "latency_us": latencies_json(&phase.latencies),
            "histogram": histogram_json(&phase.latencies),
        })
    }

    pub(in crate::load) fn json(&self) -> Value {
        json!({
            "workload": "burst",
            "parameters": {
                "wire": self.plan.talk.wire.name(),
                "servers": self.servers,
                "users": self.plan.users,
                "clients": self.plan.talk.connections(),
                "rate": match self.plan.talk.pace {
                    super::super::pace::Pace::Rate(rate) => json!(rate),
                    super::super::pace::Pace::InFlight(_) => Value::Null,
                },
                "size": self.plan.talk.size,
                "pin": self.plan.pin,
            },
            "results": {
                "before": {
                    "seconds": self.before.took.as_secs_f64(),
                    "latency_us": latencies_json(&self.before.latencies),
                    "histogram": histogram_json(&self.before.latencies),
                },
                "applied": self.phase_json(&self.applied),
                "told": self.phase_json(&self.told),
                "sent": self.sent,
                "lost": self.lost,
                "use": spent_json(&self.spent),
                "memory_bytes": {
                    "empty": self.empty,
                    "loaded": self.loaded,
                    "peak": self.peak,
                    "per_host": self.bytes_each(),
                },
            },
            "error": null,
        })
    }

    fn phase_text(&self, phase: &Phase) -> String {
        let users = self.plan.users;
        let cost = phase.server.and_then(|time| micros_each(time, users as u64));
        let cost =
            cost.map(|cost| format!(", {cost:.2} µs of server CPU a host")).unwrap_or_default();
        format!(
            "{} hosts in {:.2} s, {}/s{cost}",
            grouped(users as u64),
            phase.took.as_secs_f64(),
            grouped(per_second(users, phase.took) as u64)
        )
    }
}

impl fmt::Display for BurstReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        table.row("applied", self.phase_text(&self.applied));
        table.row("told", self.phase_text(&self.told));
        table.row("latency before", latencies_text(&self.before.latencies));
        table.row("while applied", latencies_text(&self.applied.latencies));
        table.row("while told", latencies_text(&self.told.latencies));
        let lost = match self.lost {
            0 => "none".to_owned(),
            lost => format!("{} of {} messages", grouped(lost), grouped(self.sent)),
        };
        table.row("lost", lost);
        if let Some(warning) = disturbance(&self.spent) {
            table.row("disturbed", warning);
        }
        table.row(
            "server memory",
            memory_text(self.empty, self.loaded, self.peak, self.bytes_each(), "a host"),
        );
        write!(f, "{table}")
    }
}

fn memory_text(
    empty: Option<u64>,
    loaded: Option<u64>,
    peak: Option<u64>,
    each: Option<f64>,
    what: &str,
) -> String {
    let (Some(empty), Some(loaded), Some(peak), Some(each)) = (empty, loaded, peak, each) else {
        return "unknown: name the servers' processes with --pid".to_owned();
    };
    let [empty, loaded, peak] = [empty, loaded, peak].map(|bytes| bytes_text(bytes as f64));
    format!("{empty} before, {loaded} after, {peak} at most; {} {what}", bytes_text(each))
}

fn per_second(count: usize, span: Duration) -> f64 {
    (count as f64 / span.as_secs_f64().max(1e-9)).round()
}
