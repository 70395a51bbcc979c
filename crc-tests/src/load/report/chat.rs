//! The report of clients that talk.

use std::fmt;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::super::Stop;
use super::super::chat::Plan;
use super::super::ledger::Receivers;
use super::super::pace::Pace;
use super::super::servers::Site;
use super::super::usage::Spent;
use super::{
    Limit, Table, bytes_each, bytes_text, disturbance, grouped, histogram_json, latencies_json,
    latencies_text, micros_each, percent, rounded, span_text, spent_json,
};

/// An open loop whose messages leave later than this, in nanoseconds, was disturbed at its own end.
const LATE: u64 = 1_000_000;

/// Resident memory of all servers together, in bytes, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::load) struct Memory {
    /// Before anybody had connected.
    pub(in crate::load) empty: Option<u64>,
    /// After the hosts were announced.
    pub(in crate::load) hosts: Option<u64>,
    /// Before and after the idle clients came.
    pub(in crate::load) idle: Option<(u64, u64)>,
    /// At the end of the measured time.
    pub(in crate::load) loaded: Option<u64>,
    /// The most there ever was.
    pub(in crate::load) peak: Option<u64>,
}

/// What a run has found.
pub(in crate::load) struct ChatReport {
    pub(in crate::load) plan: Plan,
    /// How many there are, as far as it is known.
    pub(in crate::load) servers: usize,
    pub(in crate::load) spent: Spent,
    /// Messages that arrived in the measured time.
    pub(in crate::load) delivered: u64,
    /// Messages sent from the beginning to the end, the warm-up included.
    pub(in crate::load) sent_in_all: u64,
    /// Of these, what has not arrived in the end.
    pub(in crate::load) lost: u64,
    pub(in crate::load) disordered: u64,
    pub(in crate::load) astray: u64,
    /// Answers that nobody is there.
    pub(in crate::load) absent: u64,
    /// Due in an open loop, and not even sent in the measured time.
    pub(in crate::load) unsent: u64,
    pub(in crate::load) lateness: Histogram<u64>,
    pub(in crate::load) latencies: Histogram<u64>,
    pub(in crate::load) memory: Memory,
    /// What a server said that no load expects.
    pub(in crate::load) status: Option<String>,
    /// Why it ended too early.
    pub(in crate::load) stop: Option<Stop>,
}

impl ChatReport {
    fn per_second(&self) -> f64 {
        self.delivered as f64 / self.spent.time.as_secs_f64().max(1e-9)
    }

    /// A generator that never sleeps is busy only when it has something to do.
    fn generator_share(&self) -> f64 {
        let own = self.spent.share(self.spent.own);
        own.min(self.spent.share(self.spent.busy))
    }

    fn limit(&self) -> Limit {
        Limit::of(self.spent.busiest_server(), self.generator_share())
    }

    fn server_micros(&self) -> Option<f64> {
        micros_each(self.spent.all_servers()?, self.delivered)
    }

    fn bytes_per_host(&self) -> Option<f64> {
        bytes_each(self.memory.empty, self.memory.hosts, self.plan.hosts)
    }

    fn bytes_per_idle(&self) -> Option<f64> {
        let (before, after) = self.memory.idle?;
        bytes_each(Some(before), Some(after), self.plan.idle)
    }

    /// What is to be made of the figures.
    fn verdict(&self) -> String {
        let rate = self.plan.talk.pace;
        match self.limit() {
            Limit::Generator => {
                "the generator was the bottleneck, not the server: what was measured \
                                 is less than the servers can do"
                    .to_owned()
            }
            Limit::Both => "server and generator both used their core up: the servers can do at \
                            least this"
                .to_owned(),
            Limit::Server => "a server used its core up: this is what it can do".to_owned(),
            Limit::Neither if disturbance(&self.spent).is_some() => {
                "other programs had the cores: measure again when the machine is quiet".to_owned()
            }
            Limit::Neither => match rate {
                Pace::Rate(_) if self.unsent > 0 => {
                    "nobody used a core up, and yet the network did \
                                                     not take all that was due"
                        .to_owned()
                }
                Pace::Rate(_) if self.lateness.value_at_quantile(0.99) > LATE => {
                    "the generator was kept from sending in time: other programs use its core, \
                     and latencies say nothing of the servers"
                        .to_owned()
                }
                Pace::Rate(_) => "nobody used a core up: the network held this rate".to_owned(),
                Pace::InFlight(_) => "nobody used a core up: more --in-flight or clients would \
                                      bring more messages"
                    .to_owned(),
            },
        }
    }

    /// One object with all parameters and results.
    pub(in crate::load) fn json(&self) -> Value {
        let lateness = matches!(self.plan.talk.pace, Pace::Rate(_)).then(|| &self.lateness);
        let bytes = self.delivered as f64 * self.plan.talk.size as f64;
        let Memory { empty, loaded, peak, .. } = self.memory;
        let mut results = json!({
            "seconds": rounded(self.spent.time.as_secs_f64()),
            "messages": self.delivered,
            "messages_per_s": self.per_second().round(),
            "mb_per_s": rounded(bytes / 1e6 / self.spent.time.as_secs_f64().max(1e-9)),
            "latency_us": latencies_json(&self.latencies),
            "histogram": histogram_json(&self.latencies),
            "sent": self.sent_in_all,
            "lost": self.lost,
            "disordered": self.disordered,
            "astray": self.astray,
            "unknown_addressee": self.absent,
            "not_sent": self.unsent,
            "late_us": lateness.map(latencies_json),
            "server_cpu_us_per_message": self.server_micros(),
            "memory_bytes": {
                "empty": empty,
                "loaded": loaded,
                "peak": peak,
                "per_host": self.bytes_per_host(),
                "per_idle_client": self.bytes_per_idle(),
            },
            "limit": self.limit().name(),
            "status": self.status,
        });
        if let (Value::Object(results), Value::Object(spent)) =
            (&mut results, spent_json(&self.spent))
        {
            results.extend(spent);
        }
        let error = self.stop.as_ref().map(ToString::to_string);
        json!({ "workload": "chat", "parameters": self.parameters(), "results": results, "error": error })
    }

    fn parameters(&self) -> Value {
        let Plan { site, talk, idle, hosts, warm_up, duration, pin, spin } = &self.plan;
        let (pattern, in_flight, rate) = (
            if matches!(talk.receivers, Receivers::Own { .. }) { "pairs" } else { "all-to-all" },
            if let Pace::InFlight(count) = talk.pace { Some(count) } else { None },
            if let Pace::Rate(rate) = talk.pace { Some(rate) } else { None },
        );
        let addresses = match site {
            Site::Running { addresses, .. } => Some(addresses),
            Site::Chain { .. } => None,
        };
        json!({
            "wire": talk.wire.name(),
            "servers": self.servers,
            "hops": if talk.spread || pattern != "pairs" { None } else { Some(self.servers - 1) },
            "addresses": addresses,
            "pattern": pattern,
            "clients": talk.connections(),
            "senders": talk.receivers.senders(),
            "size": talk.size,
            "in_flight": in_flight,
            "rate": rate,
            "idle": idle,
            "connections": talk.connections() + idle,
            "hosts": hosts,
            "spread": talk.spread,
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
        let seconds = self.spent.time.as_secs_f64();
        let bytes = self.per_second() * self.plan.talk.size as f64;
        table
            .row("messages", format!("{}/s for {seconds:.1} s", grouped(self.per_second() as u64)));
        table.row("data", format!("{:.1} MB/s of text", bytes / 1e6));
        table.row("latency", latencies_text(&self.latencies));
        let mut losses = match self.lost {
            0 => "none".to_owned(),
            lost if self.stop.is_some() => format!(
                "{} of {} sent had not arrived when the load was cut off",
                grouped(lost),
                grouped(self.sent_in_all)
            ),
            lost => format!("{} of {} sent", grouped(lost), grouped(self.sent_in_all)),
        };
        let others = [
            (self.disordered, "arrived twice or out of order"),
            (self.astray, "arrived at somebody else"),
            (self.absent, "were answered with `nobody is there`"),
            (self.unsent, "were due and could not be sent in time"),
        ];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            losses += &format!("; {} {what}", grouped(count));
        }
        table.row("lost", losses);
        table.row("server CPU", self.server_text());
        table.row("server memory", self.memory_text());
        let own = percent(self.spent.share(self.spent.own));
        let busy = percent(self.spent.share(self.spent.busy));
        table.row("generator", format!("{own} of a core, busy {busy} of the time"));
        if matches!(self.plan.talk.pace, Pace::Rate(_)) {
            let late = span_text(self.lateness.value_at_quantile(0.99));
            table.row(
                "sent late",
                format!("p99 {late} after a message was due; latencies include it"),
            );
        }
        if let Some(status) = &self.status {
            table.row("server said", crc::printable::Printable(status.as_bytes()).to_string());
        }
        if let Some(warning) = disturbance(&self.spent) {
            table.row("disturbed", warning);
        }
        table.row("verdict", self.verdict());
        write!(f, "{table}")
    }
}

impl ChatReport {
    fn server_text(&self) -> String {
        let Some(busiest) = self.spent.busiest_server() else {
            return "unknown: name the servers' processes with --pid, on this machine".to_owned();
        };
        let cost =
            self.server_micros().map_or("unknown".to_owned(), |cost| format!("{cost:.2} µs"));
        let servers = match self.spent.servers.len() {
            1 => format!("{} of a core", percent(busiest)),
            count => {
                format!("{count} servers together; the busiest used {} of a core", percent(busiest))
            }
        };
        format!("{cost} a message, {servers}")
    }

    fn memory_text(&self) -> String {
        let Memory { empty: Some(empty), loaded: Some(loaded), .. } = self.memory else {
            return "unknown".to_owned();
        };
        let mut text = format!(
            "{} resident, {} before anybody connected",
            bytes_text(loaded as f64),
            bytes_text(empty as f64)
        );
        if let Some(bytes) = self.bytes_per_idle() {
            text += &format!("; {} an idle client", bytes_text(bytes));
        }
        if let Some(bytes) = self.bytes_per_host() {
            text += &format!("; {} a host", bytes_text(bytes));
        }
        text
    }
}
