//! [`LogLimiter`]: counts the lines of one kind that are too many, instead of writing them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::limits::{LOG_INTERVAL, LOG_LINES_PER_KIND_MAX};

/// Lines of one kind are those of one place in the source.
type Kind = (Option<&'static str>, Option<u32>);

/// The lines of one kind in one interval.
struct Window {
    started_at: Instant,
    lines: u32,
    /// Lines that were not written.
    left_out: u64,
    level: Level,
}

/// A logger that passes on at most [`LOG_LINES_PER_KIND_MAX`] lines of one kind in
/// [`LOG_INTERVAL`], since a stranger can cause many. Their number is reported with the first line
/// after the interval. At the levels debug and trace, every line is wanted.
pub struct LogLimiter<L> {
    inner: L,
    windows: Mutex<HashMap<Kind, Window>>,
}

/// What is written besides the line itself, or instead of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    /// The line is written.
    is_written: bool,
    /// The line is the last one of its interval.
    is_last: bool,
    /// Reports of intervals that are over: level and number of the lines that were left out.
    reports: Vec<(Level, u64, Kind)>,
}

impl<L: Log> LogLimiter<L> {
    /// Passes lines on to `inner`.
    pub fn new(inner: L) -> Self {
        Self { inner, windows: Mutex::default() }
    }

    /// Counts a line and decides what is written.
    fn judge(&self, kind: Kind, level: Level, now: Instant) -> Verdict {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reports = Vec::new();
        windows.retain(|&kind, window| {
            let is_over = now.duration_since(window.started_at) >= LOG_INTERVAL;
            if is_over && window.left_out > 0 {
                reports.push((window.level, window.left_out, kind));
            }
            !is_over
        });
        reports.sort_unstable();
        let new_window = || Window { started_at: now, lines: 0, left_out: 0, level };
        let window = windows.entry(kind).or_insert_with(new_window);
        let is_written = window.lines < LOG_LINES_PER_KIND_MAX;
        if is_written {
            window.lines += 1;
        } else {
            window.left_out += 1;
        }
        let is_last = is_written && window.lines == LOG_LINES_PER_KIND_MAX;
        Verdict { is_written, is_last, reports }
    }

    fn write(&self, level: Level, text: std::fmt::Arguments<'_>) {
        self.inner.log(&Record::builder().level(level).target("crc").args(text).build());
    }
}

impl<L: Log> Log for LogLimiter<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if log::max_level() > LevelFilter::Info || !self.inner.enabled(record.metadata()) {
            return self.inner.log(record);
        }
        let kind = (record.file_static(), record.line());
        let Verdict { is_written, is_last, reports } =
            self.judge(kind, record.level(), Instant::now());
        let seconds = LOG_INTERVAL.as_secs();
        for (level, count, (file, line)) in reports {
            let place = format!("{}:{}", file.unwrap_or("?"), line.unwrap_or(0));
            let text =
                format!("… {count} lines of one kind ({place}) were left out in {seconds} s");
            self.write(level, format_args!("{text}"));
        }
        if is_written {
            self.inner.log(record);
        }
        if is_last {
            self.write(
                record.level(),
                format_args!(
                    "… further lines of this kind are counted for {seconds} s, not written; \
                     --log debug writes all"
                ),
            );
        }
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Log for Nowhere {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn log(&self, _: &Record<'_>) {}
        fn flush(&self) {}
    }

    #[test]
    fn lines_beyond_the_maximum_of_their_kind_are_counted_and_reported_later() {
        let limiter = LogLimiter::new(Nowhere);
        let start = Instant::now();
        let [noisy, quiet] = [(Some("a.rs"), Some(1)), (Some("a.rs"), Some(2))];
        let judge = |kind, at| limiter.judge(kind, Level::Warn, at);
        for line in 1..=LOG_LINES_PER_KIND_MAX {
            let verdict = judge(noisy, start);
            let is_last = line == LOG_LINES_PER_KIND_MAX;
            assert_eq!(verdict, Verdict { is_written: true, is_last, reports: vec![] });
        }
        for _ in 0..5_000 {
            assert!(!judge(noisy, start).is_written);
        }
        assert!(judge(quiet, start).is_written, "another kind is written");
        assert!(!judge(noisy, start + LOG_INTERVAL / 2).is_written);
        let verdict = judge(quiet, start + LOG_INTERVAL);
        assert_eq!(
            (verdict.is_written, verdict.reports),
            (true, vec![(Level::Warn, 5_001, noisy)])
        );
        let verdict = judge(noisy, start + LOG_INTERVAL);
        assert_eq!(verdict, Verdict { is_written: true, ..Verdict::default() });
    }
}
