//! The report of the `chat` workload.

use std::fmt;

use serde_json::{Value, json};

use super::super::chat::{ChatReport, Memory, Plan};
use super::super::delivery_tracker::Addressing;
use super::super::format::{bytes_text, percent, rounded, with_commas};
use super::super::pace::Pace;
use super::super::servers::Target;
use super::{
    Bottleneck, Table, bytes_per_item, duration_text, histogram_json, interference_warning,
    latencies_json, latencies_text, micros_per_item, with_usage,
};

/// Send delay, in nanoseconds, beyond which the generator itself disturbed an open loop.
const LATENESS_NANOS_MAX: u64 = 1_000_000;

impl ChatReport {
    /// Returns the number of messages that arrived in a second.
    pub(in crate::load) fn per_second(&self) -> f64 {
        self.delivered as f64 / self.usage.elapsed.as_secs_f64().max(1e-9)
    }

    /// A generator that never sleeps is busy only while it has work.
    fn generator_share(&self) -> f64 {
        let own = self.usage.core_share(self.usage.generator);
        own.min(self.usage.core_share(self.usage.generator_busy))
    }

    fn bottleneck(&self) -> Bottleneck {
        Bottleneck::from_shares(self.usage.busiest_server_share(), self.generator_share())
    }

    /// Returns the CPU time of all servers for a message that arrived, in microseconds.
    pub(in crate::load) fn server_cpu_micros(&self) -> Option<f64> {
        micros_per_item(self.usage.servers_total()?, self.delivered)
    }

    fn bytes_per_host(&self) -> Option<f64> {
        bytes_per_item(self.memory.at_start, self.memory.after_hosts, self.plan.extra_hosts)
    }

    /// Returns the resident memory that each idle client added to the servers.
    pub(in crate::load) fn bytes_per_idle_client(&self) -> Option<f64> {
        let (before, after) = self.memory.around_idle_clients?;
        bytes_per_item(Some(before), Some(after), self.plan.idle_clients)
    }

    /// Returns remarks that qualify the figures.
    fn verdict(&self) -> String {
        let pace = self.plan.chat.pace;
        match self.bottleneck() {
            Bottleneck::Generator => {
                "the generator saturated its core, and no server did: the servers can do more"
                    .to_owned()
            }
            Bottleneck::Both => {
                "a server and the generator saturated their cores: the servers can do at least this"
                    .to_owned()
            }
            Bottleneck::Server => "a server saturated its core: this is its maximum".to_owned(),
            Bottleneck::Neither if interference_warning(&self.usage).is_some() => {
                "other programs used the cores: measure again on an idle machine".to_owned()
            }
            Bottleneck::Neither => match pace {
                Pace::Rate(_) if self.unsent > 0 => {
                    "no core was saturated, but the network did not accept all messages due"
                        .to_owned()
                }
                Pace::Rate(_) if self.lateness.value_at_quantile(0.99) > LATENESS_NANOS_MAX => {
                    "the generator sent late, because other programs used its core: the latencies \
                     are not those of the servers"
                        .to_owned()
                }
                Pace::Rate(_) => {
                    "no core was saturated: the network sustained this rate".to_owned()
                }
                Pace::InFlight(_) => {
                    "no core was saturated: a higher --in-flight or more clients would give more \
                     messages"
                        .to_owned()
                }
            },
        }
    }

    /// Renders all parameters and results as one JSON object.
    pub(in crate::load) fn json(&self) -> Value {
        let lateness = matches!(self.plan.chat.pace, Pace::Rate(_)).then(|| &self.lateness);
        let bytes = self.delivered as f64 * self.plan.chat.text_bytes as f64;
        let Memory { at_start: empty, at_end: loaded, peak, .. } = self.memory;
        let results = json!({
            "seconds": rounded(self.usage.elapsed.as_secs_f64()),
            "messages": self.delivered,
            "messages_per_s": self.per_second().round(),
            "mb_per_s": rounded(bytes / 1e6 / self.usage.elapsed.as_secs_f64().max(1e-9)),
            "latency_us": latencies_json(&self.latencies),
            "histogram": histogram_json(&self.latencies),
            "sent": self.sent,
            "lost": self.lost,
            "out_of_order": self.out_of_order,
            "misdelivered": self.misdelivered,
            "unknown_addressee": self.unknown_destination,
            "not_sent": self.unsent,
            "late_us": lateness.map(latencies_json),
            "server_cpu_us_per_message": self.server_cpu_micros(),
            "memory_bytes": {
                "empty": empty,
                "loaded": loaded,
                "peak": peak,
                "per_host": self.bytes_per_host(),
                "per_idle_client": self.bytes_per_idle_client(),
            },
            "limit": self.bottleneck().name(),
            "status": self.unexpected_status,
        });
        let results = with_usage(results, &self.usage);
        let error = self.error.as_ref().map(ToString::to_string);
        json!({ "workload": "chat", "parameters": self.parameters(), "results": results, "error": error })
    }

    fn parameters(&self) -> Value {
        let Plan {
            target: site,
            chat: talk,
            idle_clients: idle,
            extra_hosts: hosts,
            warm_up,
            duration,
            pins_cores: pin,
            busy_polls: spin,
        } = &self.plan;
        let (pattern, in_flight, rate) = (
            match talk.addressing {
                Addressing::Paired { .. } => "pairs",
                Addressing::AllToAll { .. } => "all-to-all",
                Addressing::Room { .. } => "room",
            },
            if let Pace::InFlight(count) = talk.pace { Some(count) } else { None },
            if let Pace::Rate(rate) = talk.pace { Some(rate) } else { None },
        );
        let addresses = match site {
            Target::Existing { addresses, .. } => Some(addresses),
            Target::Chain { .. } | Target::Program { .. } => None,
        };
        json!({
            "wire": talk.protocol.name(),
            "servers": self.servers,
            "hops": if talk.spreads_clients || pattern != "pairs" { None } else { Some(self.servers - 1) },
            "addresses": addresses,
            "pattern": pattern,
            "clients": talk.connection_count(),
            "senders": talk.addressing.sender_count(),
            "size": talk.text_bytes,
            "in_flight": in_flight,
            "rate": rate,
            "idle": idle,
            "connections": talk.connection_count() + idle,
            "hosts": hosts,
            "spread": talk.spreads_clients,
            "warm_up_s": warm_up.as_secs_f64(),
            "duration_s": duration.as_secs_f64(),
            "pin": pin,
            "spin": spin,
        })
    }
}

impl fmt::Display for ChatReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        let seconds = self.usage.elapsed.as_secs_f64();
        let bytes = self.per_second() * self.plan.chat.text_bytes as f64;
        table.row(
            "messages",
            format!("{}/s for {seconds:.1} s", with_commas(self.per_second() as u64)),
        );
        table.row("data", format!("{:.1} MB/s of text", bytes / 1e6));
        table.row("latency", latencies_text(&self.latencies));
        let mut losses = match self.lost {
            0 => "none".to_owned(),
            lost if self.error.is_some() => format!(
                "{} of {} sent had not arrived when the load ended early",
                with_commas(lost),
                with_commas(self.sent)
            ),
            lost => format!("{} of {} sent", with_commas(lost), with_commas(self.sent)),
        };
        let others = [
            (self.out_of_order, "arrived twice or out of order"),
            (self.misdelivered, "arrived at another client"),
            (self.unknown_destination, "were answered with an unknown destination"),
            (self.unsent, "were due and could not be sent in time"),
        ];
        for (count, description) in others.into_iter().filter(|(count, _)| *count > 0) {
            losses += &format!("; {} {description}", with_commas(count));
        }
        table.row("lost", losses);
        table.row("server CPU", self.server_cpu_text());
        table.row("server memory", self.memory_text());
        let own = percent(self.usage.core_share(self.usage.generator));
        let busy = percent(self.usage.core_share(self.usage.generator_busy));
        table.row("generator", format!("{own} of a core, busy {busy} of the time"));
        if matches!(self.plan.chat.pace, Pace::Rate(_)) {
            let late = duration_text(self.lateness.value_at_quantile(0.99));
            table.row(
                "sent late",
                format!("p99 {late} after a message was due; latencies include it"),
            );
        }
        if let Some(status) = &self.unexpected_status {
            table.row("server status", crc::internal::Printable(status.as_bytes()).to_string());
        }
        table.interference_row(&self.usage);
        table.row("verdict", self.verdict());
        write!(f, "{table}")
    }
}

impl ChatReport {
    fn server_cpu_text(&self) -> String {
        let Some(busiest) = self.usage.busiest_server_share() else {
            return "unknown: --pid names the servers' processes, if they run on this machine"
                .to_owned();
        };
        let cost =
            self.server_cpu_micros().map_or("unknown".to_owned(), |cost| format!("{cost:.2} µs"));
        let servers = match self.usage.servers.len() {
            1 => format!("{} of a core", percent(busiest)),
            count => {
                format!("{count} servers together; the busiest used {} of a core", percent(busiest))
            }
        };
        format!("{cost} per message, {servers}")
    }

    fn memory_text(&self) -> String {
        let Memory { at_start: Some(empty), at_end: Some(loaded), .. } = self.memory else {
            return "unknown".to_owned();
        };
        let mut text = format!(
            "{} resident, {} before the first connection",
            bytes_text(loaded as f64),
            bytes_text(empty as f64)
        );
        if let Some(bytes) = self.bytes_per_idle_client() {
            text += &format!("; {} per idle client", bytes_text(bytes));
        }
        if let Some(bytes) = self.bytes_per_host() {
            text += &format!("; {} per host", bytes_text(bytes));
        }
        text
    }
}
