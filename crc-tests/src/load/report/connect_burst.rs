//! The reports of the `connect` and `burst` workloads.

use std::fmt;
use std::time::Duration;

use crc::wires::Wire;
use serde_json::{Value, json};

use super::super::burst::{BurstReport, Phase};
use super::super::connect::ConnectReport;
use super::super::format::{bytes_text, percent, rounded, with_commas};
use super::super::usage::MemoryUse;
use super::{
    Table, bytes_per_item, histogram_json, latencies_json, latencies_text, micros_per_item,
    usage_json, with_usage,
};

impl ConnectReport {
    fn cpu_micros_per_client(&self) -> Option<f64> {
        micros_per_item(self.usage.servers_total()?, self.plan.clients as u64)
    }

    pub(in crate::load) fn json(&self) -> Value {
        let results = json!({
            "registered_in_s": rounded(self.registered_in.as_secs_f64()),
            "clients_per_s": per_second(self.plan.clients, self.registered_in),
            "announced_in_s": rounded(self.announced_in.as_secs_f64()),
            "registrations_announced": self.announced_count,
            "server_cpu_us_per_client": self.cpu_micros_per_client(),
            "memory_bytes": memory_json(&self.memory, "per_client", self.plan.clients),
        });
        let results = with_usage(results, &self.usage);
        json!({
            "workload": "connect",
            "parameters": {
                "wire": self.plan.protocol.name(),
                "servers": self.servers,
                "clients": self.plan.clients,
                "at_a_time": self.plan.pending_max,
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
        let rate = with_commas(per_second(clients, span) as u64);
        let clients = with_commas(clients as u64);
        table.row("registered", format!("{clients} in {:.2} s, {rate}/s", span.as_secs_f64()));
        if self.plan.protocol == Wire::CRC.into() {
            let (count, span) =
                (with_commas(self.announced_count), self.announced_in.as_secs_f64());
            table.row("announced", format!("{count} registrations in {span:.2} s"));
        }
        match (self.cpu_micros_per_client(), self.usage.servers_total()) {
            (Some(each), Some(all)) => {
                let all = all.as_secs_f64();
                table.row("server CPU", format!("{each:.1} µs per client, {all:.2} s in total"));
            }
            _ => table.row("server CPU", "unknown: --pid names the servers' processes"),
        }
        table.row("server memory", memory_text(&self.memory, self.plan.clients, "client"));
        let own = percent(self.usage.core_share(self.usage.generator));
        table.row("generator", format!("{own} of a core"));
        table.interference_row(&self.usage);
        write!(f, "{table}")
    }
}

impl BurstReport {
    fn phase_json(&self, phase: &Phase) -> Value {
        let users = self.plan.users;
        json!({
            "seconds": rounded(phase.duration.as_secs_f64()),
            "hosts_per_s": per_second(users, phase.duration),
            "server_cpu_us_per_host": phase.server_cpu.and_then(|time| micros_per_item(time, users as u64)),
            "latency_us": latencies_json(&phase.latencies),
            "histogram": histogram_json(&phase.latencies),
        })
    }

    pub(in crate::load) fn json(&self) -> Value {
        json!({
            "workload": "burst",
            "parameters": {
                "wire": self.plan.chat.protocol.name(),
                "servers": self.servers,
                "users": self.plan.users,
                "clients": self.plan.chat.connection_count(),
                "rate": match self.plan.chat.pace {
                    super::super::pace::Pace::Rate(rate) => json!(rate),
                    super::super::pace::Pace::InFlight(_) => Value::Null,
                },
                "size": self.plan.chat.text_bytes,
                "pin": self.plan.pins_cores,
            },
            "results": {
                "before": {
                    "seconds": self.before.duration.as_secs_f64(),
                    "latency_us": latencies_json(&self.before.latencies),
                    "histogram": histogram_json(&self.before.latencies),
                },
                "applied": self.phase_json(&self.applied),
                "announced": self.phase_json(&self.announced),
                "sent": self.sent,
                "lost": self.lost,
                "use": usage_json(&self.usage),
                "memory_bytes": memory_json(&self.memory, "per_host", self.plan.users),
            },
            "error": null,
        })
    }

    fn phase_text(&self, phase: &Phase) -> String {
        let users = self.plan.users;
        let cost = phase.server_cpu.and_then(|time| micros_per_item(time, users as u64));
        let cost =
            cost.map(|cost| format!(", {cost:.2} µs of server CPU per host")).unwrap_or_default();
        format!(
            "{} hosts in {:.2} s, {}/s{cost}",
            with_commas(users as u64),
            phase.duration.as_secs_f64(),
            with_commas(per_second(users, phase.duration) as u64)
        )
    }
}

impl fmt::Display for BurstReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        table.row("applied", self.phase_text(&self.applied));
        table.row("announced", self.phase_text(&self.announced));
        table.row("latency before", latencies_text(&self.before.latencies));
        table.row("while applied", latencies_text(&self.applied.latencies));
        table.row("while announced", latencies_text(&self.announced.latencies));
        let lost = match self.lost {
            0 => "none".to_owned(),
            lost => format!("{} of {} messages", with_commas(lost), with_commas(self.sent)),
        };
        table.row("lost", lost);
        table.interference_row(&self.usage);
        table.row("server memory", memory_text(&self.memory, self.plan.users, "host"));
        write!(f, "{table}")
    }
}

/// Renders memory as JSON, with the difference per item under `item_key`.
fn memory_json(memory: &MemoryUse, item_key: &str, count: usize) -> Value {
    json!({
        "empty": memory.before,
        "loaded": memory.after,
        "peak": memory.peak,
        item_key: bytes_per_item(memory.before, memory.after, count),
    })
}

/// Renders memory in one line, with the difference per `item`.
pub(super) fn memory_text(memory: &MemoryUse, count: usize, item: &str) -> String {
    let &MemoryUse { before, after, peak } = memory;
    let each = bytes_per_item(before, after, count);
    let (Some(empty), Some(loaded), Some(peak), Some(each)) = (before, after, peak, each) else {
        return "unknown: --pid names the servers' processes".to_owned();
    };
    let [empty, loaded, peak] = [empty, loaded, peak].map(|bytes| bytes_text(bytes as f64));
    format!("{empty} before, {loaded} after, {peak} at most; {} per {item}", bytes_text(each))
}

fn per_second(count: usize, span: Duration) -> f64 {
    (count as f64 / span.as_secs_f64().max(1e-9)).round()
}
