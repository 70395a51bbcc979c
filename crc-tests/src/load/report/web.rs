//! The report of the `web` workload.

use std::fmt;

use serde_json::{Value, json};

use super::super::format::{rounded, with_commas};
use super::super::web::{Part, WebReport};
use super::connect_burst::memory_text;
use super::{Table, latencies_json, latencies_text, with_usage};

/// Time that a turn of the loop is to take at most, in seconds.
const TURN_SECONDS: f64 = 0.002;

/// Renders how many turns there were, and how many of each bucket from the limit on.
fn turns_text(part: &Part) -> String {
    let turns = &part.turns;
    let long = turns.longer_than(TURN_SECONDS);
    let mut text = format!(
        "{}, {} of them longer than {} ms",
        with_commas(turns.count()),
        with_commas(long),
        TURN_SECONDS * 1e3
    );
    if let Some(count) = part.preemptions {
        text += &format!("; other programs took its core {} times", with_commas(count));
    }
    for (bound, count) in turns.buckets.iter().filter(|(_, count)| *count > 0) {
        let bound = match bound.is_finite() {
            true => format!("≤ {} ms", rounded(bound * 1e3)),
            false => "longer".to_owned(),
        };
        text += &format!("; {bound}: {}", with_commas(*count));
    }
    text
}

impl WebReport {
    pub(in crate::load) fn json(&self) -> Value {
        let part = |part: &Part| {
            let buckets = part.turns.buckets.iter();
            let buckets = buckets.map(|(bound, count)| {
                let bound = bound.is_finite().then_some(*bound);
                json!({ "seconds_max": bound, "turns": count })
            });
            json!({
                "seconds": rounded(part.chats.duration.as_secs_f64()),
                "server_cpu_s": part.chats.server_cpu.map(|time| rounded(time.as_secs_f64())),
                "scrapes": part.scrapes,
                "turns": part.turns.count(),
                "preemptions": part.preemptions,
                "turns_longer_than_2_ms": part.turns.longer_than(TURN_SECONDS),
                "turns_by_time": buckets.collect::<Vec<_>>(),
                "latency_us": latencies_json(&part.chats.latencies),
            })
        };
        let results = json!({
            "before": part(&self.before),
            "during": part(&self.during),
            "operator_lists": self.operator_lists,
            "chat_lists": self.chat_lists,
            "messages_sent": self.sent,
            "messages_lost": self.lost,
            "peak_memory_bytes": self.memory.peak,
        });
        json!({
            "workload": "web",
            "parameters": {
                "users": self.plan.users,
                "chat_connections": self.plan.chat.connection_count(),
                "pin": self.plan.pins_cores,
            },
            "results": with_usage(results, &self.usage),
            "error": null,
        })
    }
}

impl fmt::Display for WebReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        let users = with_commas(self.plan.users as u64);
        table.row(
            "lists",
            format!(
                "{} of {users} users on an operator's page, {} on a chat page, in {:.1} s",
                self.operator_lists,
                self.chat_lists,
                self.during.chats.duration.as_secs_f64()
            ),
        );
        table.row(
            "scrapes",
            format!("{} before, {} meanwhile", self.before.scrapes, self.during.scrapes),
        );
        table.row("turns before", turns_text(&self.before));
        table.row("turns meanwhile", turns_text(&self.during));
        table.row("chats before", latencies_text(&self.before.chats.latencies));
        table.row("chats meanwhile", latencies_text(&self.during.chats.latencies));
        let (sent, lost) = (with_commas(self.sent), with_commas(self.lost));
        table.row("messages", format!("{sent} sent, {lost} lost"));
        table.row("server memory", memory_text(&self.memory, self.plan.users, "user"));
        table.interference_row(&self.usage);
        write!(f, "{table}")
    }
}
