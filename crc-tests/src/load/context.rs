//! The output of a running load: notes and progress on standard error.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hdrhistogram::Histogram;

use super::format::{percent, with_commas};
use super::usage::Usage;

/// Settings of the caller that every workload uses.
pub(super) struct LoadContext {
    /// Whether progress is not printed.
    pub(super) is_quiet: bool,
    /// Set when the user interrupts the load.
    pub(super) interrupted: Arc<AtomicBool>,
}

impl LoadContext {
    /// Prints a note to standard error.
    pub(super) fn print_note(&self, text: &str) {
        if !self.is_quiet {
            print_line(text);
        }
    }

    /// Prints the figures of one second to standard error.
    pub(super) fn progress(
        &self,
        second: u64,
        count: u64,
        latencies: &Histogram<u64>,
        missing: u64,
        usage: &Usage,
    ) {
        if self.is_quiet {
            return;
        }
        let rate = with_commas((count as f64 / usage.elapsed.as_secs_f64().max(1e-9)) as u64);
        let p99 = latencies.value_at_quantile(0.99) / 1000;
        let missing = with_commas(missing);
        let server_share = usage.busiest_server_share().map_or("?".to_owned(), percent);
        let generator_share = percent(usage.core_share(usage.generator));
        print_line(&format!(
            "{second:>3} s  {rate:>11}/s  p99 {p99:>7} µs  {missing} on the way  server {server_share}  \
             generator {generator_share}"
        ));
    }
}

/// Prints a line to standard error.
pub(super) fn print_line(line: &str) {
    // If standard error is closed, the exit code still reports the result.
    drop(writeln!(io::stderr(), "{line}"));
}
