//! The report of the `strangers` workload.

use std::fmt;

use serde_json::{Value, json};

use super::super::burst::Phase;
use super::super::format::{bytes_text, rounded, with_commas};
use super::super::strangers::{Attack, Closings, Footprint, StrangersReport};
use super::{Table, duration_text, latencies_json, latencies_text, micros, with_usage};

impl StrangersReport {
    fn connections_per_second(&self) -> f64 {
        self.connections as f64 / self.during.duration.as_secs_f64().max(1e-9)
    }

    pub(in crate::load) fn json(&self) -> Value {
        let footprint = |at: Footprint| json!({ "memory_bytes": at.memory_bytes, "descriptors": at.descriptors });
        let phase = |phase: &Phase| {
            json!({
                "seconds": rounded(phase.duration.as_secs_f64()),
                "server_cpu_s": phase.server_cpu.map(|time| rounded(time.as_secs_f64())),
                "latency_us": latencies_json(&phase.latencies),
            })
        };
        let closings = (self.closings.count > 0).then(|| {
            json!({
                "connections": self.closings.count,
                "first_after_s": rounded(self.closings.first.as_secs_f64()),
                "last_after_s": rounded(self.closings.last.as_secs_f64()),
            })
        });
        let turns = self.turns.medians().map(|(acting, pausing)| {
            json!({
                "turns": self.turns.acting.len(),
                "acting_p99_us_median": micros(acting),
                "pausing_p99_us_median": micros(pausing),
            })
        });
        let results = json!({
            "turns": turns,
            "closed_by_server": closings,
            "connections": self.connections,
            "connections_per_s": rounded(self.connections_per_second()),
            "messages_sent": self.sent,
            "messages_lost": self.lost,
            "before": phase(&self.before),
            "during": phase(&self.during),
            "start": footprint(self.start),
            "end": footprint(self.end),
            "peak_memory_bytes": self.peak_bytes,
        });
        json!({
            "workload": self.plan.attack.name(),
            "parameters": {
                "connections": self.plan.connections,
                "at_a_time": self.plan.at_a_time,
                "chat_connections": self.plan.chat.connection_count(),
            },
            "results": with_usage(results, &self.usage),
            "error": null,
        })
    }
}

/// Renders when the server has closed the connections of strangers.
fn closings_text(closings: &Closings, connections: u64) -> String {
    let (count, all) = (with_commas(closings.count), with_commas(connections));
    if closings.count == 0 {
        return format!("none of {all} by the server");
    }
    let (first, last) = (closings.first.as_secs_f64(), closings.last.as_secs_f64());
    format!("{count} of {all} by the server, {first:.1} to {last:.1} s after they connected")
}

impl fmt::Display for StrangersReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        let (count, rate) =
            (with_commas(self.connections), with_commas(self.connections_per_second() as u64));
        let seconds = self.during.duration.as_secs_f64();
        table.row("strangers", format!("{count} connections in {seconds:.1} s, {rate}/s"));
        if self.plan.attack == Attack::SlowHeads {
            table.row("closed", closings_text(&self.closings, self.connections));
        }
        table.row("chats before", latencies_text(&self.before.latencies));
        table.row("chats meanwhile", latencies_text(&self.during.latencies));
        if let Some((acting, pausing)) = self.turns.medians() {
            let (acting, pausing) = (duration_text(acting), duration_text(pausing));
            let count = self.turns.pausing.len();
            table.row(
                "p99 of a turn",
                format!("{acting} as strangers act, {pausing} as they pause: medians of {count}"),
            );
        }
        let (sent, lost) = (with_commas(self.sent), with_commas(self.lost));
        table.row("messages", format!("{sent} sent, {lost} lost"));
        let known = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
        let memory = |bytes: Option<u64>| known(bytes.map(|bytes| bytes_text(bytes as f64)));
        let (start, end) = (self.start, self.end);
        table.row(
            "server memory",
            format!(
                "{} at the start, {} at the end, {} at most",
                memory(start.memory_bytes),
                memory(end.memory_bytes),
                memory(self.peak_bytes)
            ),
        );
        let descriptors = |count: Option<usize>| known(count.map(|count| count.to_string()));
        table.row(
            "descriptors",
            format!(
                "{} at the start, {} at the end",
                descriptors(start.descriptors),
                descriptors(end.descriptors)
            ),
        );
        table.interference_row(&self.usage);
        write!(f, "{table}")
    }
}
