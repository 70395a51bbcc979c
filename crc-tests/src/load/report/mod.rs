//! Renders the results of a load as a table for people and as JSON for programs.

pub(super) mod chat;
pub(super) mod connect_burst;
mod strangers;
mod web;

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::format::{percent, rounded, with_commas};
use super::usage::Usage;

/// CPU use of a core from which it counts as saturated. The rest is time between events.
const SATURATED_CORE_SHARE: f64 = 0.9;

/// CPU use of other programs from which the figures are not reliable.
const INTERFERENCE_CORE_SHARE: f64 = 0.2;

/// The reported percentiles.
const PERCENTILES: [(&str, &str, f64); 4] =
    [("p50", "p50", 0.5), ("p90", "p90", 0.9), ("p99", "p99", 0.99), ("p99_9", "p99.9", 0.999)];

/// Lines of a label and a value.
#[derive(Default)]
pub(super) struct Table(Vec<(&'static str, String)>);

impl Table {
    pub(super) fn row(&mut self, label: &'static str, text: impl Into<String>) {
        self.0.push((label, text.into()));
    }

    /// Adds a warning if other programs used much of the machine.
    fn interference_row(&mut self, usage: &Usage) {
        if let Some(warning) = interference_warning(usage) {
            self.row("disturbed", warning);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
        for (label, text) in &self.0 {
            writeln!(f, "{label:width$}  {text}")?;
        }
        Ok(())
    }
}

/// The bottleneck of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bottleneck {
    /// A server saturated its core.
    Server,
    /// The generator saturated its core, and no server did.
    Generator,
    /// Both did.
    Both,
    /// Nothing: the load asked for no more.
    Neither,
}

impl Bottleneck {
    /// Returns the bottleneck, from the CPU use of the generator and of the busiest server, if
    /// known.
    pub(super) fn from_shares(server: Option<f64>, generator: f64) -> Self {
        match (
            server.is_some_and(|share| share >= SATURATED_CORE_SHARE),
            generator >= SATURATED_CORE_SHARE,
        ) {
            (true, true) => Self::Both,
            (true, false) => Self::Server,
            (false, true) => Self::Generator,
            (false, false) => Self::Neither,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Generator => "generator",
            Self::Both => "both",
            Self::Neither => "neither",
        }
    }
}

/// Converts nanoseconds of a histogram to microseconds.
fn micros(nanos: u64) -> f64 {
    (nanos as f64 / 10.0).round() / 100.0
}

/// Returns the percentiles, maximum and mean, in microseconds; all `null` for an empty histogram.
pub(super) fn latencies_json(latencies: &Histogram<u64>) -> Value {
    let has_samples = !latencies.is_empty();
    let value_or_null = |value: f64| if has_samples { json!(value) } else { Value::Null };
    let mut object = serde_json::Map::new();
    for (key, _, quantile) in PERCENTILES {
        object.insert(key.to_owned(), value_or_null(micros(latencies.value_at_quantile(quantile))));
    }
    object.insert("max".to_owned(), value_or_null(micros(latencies.max())));
    object.insert("mean".to_owned(), value_or_null(micros(latencies.mean() as u64)));
    object.insert("count".to_owned(), json!(latencies.len()));
    Value::Object(object)
}

/// Returns the whole histogram: the number of messages up to each latency, in steps that halve
/// towards the end.
pub(super) fn histogram_json(latencies: &Histogram<u64>) -> Value {
    let mut count = 0;
    let steps = latencies.iter_quantiles(5).map(|step| {
        count += step.count_since_last_iteration();
        let percentile = (step.quantile_iterated_to() * 1e7).round() / 1e5;
        json!({ "percentile": percentile, "us": micros(step.value_iterated_to()), "count": count })
    });
    steps.collect()
}

/// Renders the percentiles in one line.
pub(super) fn latencies_text(latencies: &Histogram<u64>) -> String {
    if latencies.is_empty() {
        return "unknown: no message that was due in the measured time has arrived".to_owned();
    }
    let mut text = String::new();
    for (_, label, quantile) in PERCENTILES {
        text += &format!("{label} {}  ", duration_text(latencies.value_at_quantile(quantile)));
    }
    text + &format!("max {}", duration_text(latencies.max()))
}

/// Renders nanoseconds as microseconds.
fn duration_text(nanos: u64) -> String {
    let micros = nanos as f64 / 1e3;
    if micros < 100.0 {
        format!("{micros:.1} µs")
    } else {
        format!("{} µs", with_commas(micros as u64))
    }
}

/// Returns the CPU time per item, in microseconds.
pub(super) fn micros_per_item(time: Duration, count: u64) -> Option<f64> {
    (count > 0).then(|| (time.as_secs_f64() * 1e9 / count as f64).round() / 1e3)
}

/// Returns the difference of two amounts of memory per item.
pub(super) fn bytes_per_item(before: Option<u64>, after: Option<u64>, count: usize) -> Option<f64> {
    let difference = after? as f64 - before? as f64;
    (count > 0).then(|| (difference / count as f64).round())
}

/// Returns a warning if other programs used much of the machine.
pub(super) fn interference_warning(spent: &Usage) -> Option<String> {
    let share = spent
        .other_programs
        .map(|time| spent.core_share(time))
        .filter(|&share| share > INTERFERENCE_CORE_SHARE)?;
    Some(format!(
        "other programs used {} of a core: the figures are those of a busy machine",
        percent(share)
    ))
}

/// Renders CPU use as JSON.
pub(super) fn usage_json(spent: &Usage) -> Value {
    let servers: Vec<_> =
        spent.servers.iter().map(|time| rounded(spent.core_share(*time))).collect();
    json!({
        "server_cpu_shares": servers,
        "generator_cpu_share": rounded(spent.core_share(spent.generator)),
        "generator_busy_share": rounded(spent.core_share(spent.generator_busy)),
        "other_programs_cpu_share": spent.other_programs.map(|time| rounded(spent.core_share(time))),
    })
}

/// Adds the CPU use to results, which are a JSON object.
fn with_usage(mut results: Value, usage: &Usage) -> Value {
    if let (Value::Object(results), Value::Object(usage)) = (&mut results, usage_json(usage)) {
        results.extend(usage);
    }
    results
}

#[cfg(test)]
mod tests {
    use super::super::chat_traffic::latency_histogram;
    use super::super::format::bytes_text;
    use super::*;

    #[test]
    fn bottleneck_is_whoever_saturates_a_core() {
        assert_eq!(Bottleneck::from_shares(Some(0.95), 0.5), Bottleneck::Server);
        assert_eq!(Bottleneck::from_shares(Some(0.5), 0.95), Bottleneck::Generator);
        assert_eq!(Bottleneck::from_shares(None, 0.95), Bottleneck::Generator);
        assert_eq!(Bottleneck::from_shares(Some(1.0), 1.0), Bottleneck::Both);
        assert_eq!(Bottleneck::from_shares(Some(0.5), 0.5), Bottleneck::Neither);
        assert_eq!(Bottleneck::from_shares(None, 0.5), Bottleneck::Neither);
    }

    #[test]
    fn latency_histogram_is_reported_as_percentiles_and_steps() {
        let mut latencies = latency_histogram();
        for micros in 1..=1000 {
            latencies.saturating_record(micros * 1000);
        }
        let json = latencies_json(&latencies);
        for (key, expected) in [("p50", 500.0), ("p99", 990.0), ("max", 1000.0), ("count", 1000.0)]
        {
            let value = json[key].as_f64().expect(key);
            assert!((value / expected - 1.0).abs() < 0.01, "{key}: {value}");
        }
        let steps = histogram_json(&latencies);
        let steps = steps.as_array().expect("steps");
        let last = steps.last().expect("one");
        assert_eq!((&last["percentile"], &last["count"]), (&json!(100.0), &json!(1000)));
        let counts: Vec<_> = steps.iter().map(|step| step["count"].as_u64()).collect();
        assert!(counts.is_sorted() && counts.len() > 10, "{counts:?}");
        assert_eq!(latencies_json(&latency_histogram())["p50"], Value::Null);
        assert_eq!(histogram_json(&latency_histogram()), json!([]));
        assert!(latencies_text(&latency_histogram()).starts_with("unknown"));
    }

    #[test]
    fn numbers_and_bytes_are_formatted_with_units_and_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1234567, "1,234,567")] {
            assert_eq!(with_commas(number), text);
        }
        for (bytes, text) in
            [(64.0, "64 bytes"), (12e3, "12 kB"), (2.5e6, "2.5 MB"), (-3.0, "-3 bytes")]
        {
            assert_eq!(bytes_text(bytes), text);
        }
        assert_eq!(micros_per_item(Duration::from_millis(3), 2000), Some(1.5));
        assert_eq!(micros_per_item(Duration::from_millis(3), 0), None);
        assert_eq!(bytes_per_item(Some(5000), Some(4000), 10), Some(-100.0));
        assert_eq!(bytes_per_item(None, Some(4000), 10), None);
    }
}
