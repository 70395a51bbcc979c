//! Renders results as text: a line for each case as it ends, then failures and warnings, then a
//! table.

use std::fmt::{self, Display};
use std::time::Duration;

use crate::runner::backend::BackendKind;
use crate::runner::case::display_path;
use crate::runner::run::Outcome;
use crate::runner::suite::{CaseReport, CaseRun, Summary};

impl CaseReport {
    /// Returns the name in lines and tables: that of the file, without its directory.
    #[must_use]
    pub fn name(&self) -> String {
        display_path(self.path.file_name().map_or(self.path.as_path(), AsRef::as_ref))
    }

    /// Returns the progress line.
    #[must_use]
    pub fn progress_line(&self) -> String {
        let verdict = if self.is_passed() { "ok  " } else { "FAIL" };
        let runs = self.runs.iter().map(|run| format!("{} {}", run.kind.name(), format_cell(run)));
        let runs: Vec<_> = runs.collect();
        let summary =
            if self.read_error.is_some() { "not a case".to_owned() } else { runs.join(", ") };
        format!("{verdict} {}: {summary}", self.name())
    }

    /// Writes the failures and warnings of a case.
    fn fmt_details(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "warning: {}: {warning}", display_path(&self.path))?;
        }
        if let Some(error) = &self.read_error {
            writeln!(f, "\nFAILED {error}")?;
        }
        for run in &self.runs {
            match &run.outcome {
                Outcome::Passed { warnings } => {
                    for warning in warnings {
                        let (path, kind) = (display_path(&self.path), run.kind.name());
                        writeln!(f, "warning: {path} ({kind}): {warning}")?;
                    }
                }
                Outcome::Failed { reasons, trace } => {
                    let (path, kind) = (display_path(&self.path), run.kind.name());
                    writeln!(f, "\nFAILED {path} ({kind})")?;
                    fmt_indented_lines(f, reasons)?;
                    if !trace.is_empty() {
                        writeln!(f, "  latest frames or log lines:")?;
                        fmt_indented_lines(f, trace)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn fmt_indented_lines(f: &mut fmt::Formatter<'_>, lines: &[String]) -> fmt::Result {
    lines.iter().flat_map(|line| line.lines()).try_for_each(|line| writeln!(f, "    {line}"))
}

fn format_seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn format_cell(run: &CaseRun) -> String {
    let verdict = if run.outcome.is_passed() { "ok" } else { "FAILED" };
    format!("{verdict} {}", format_seconds(run.elapsed))
}

/// Writes failures and warnings, the table, and a summary line.
impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reports.iter().try_for_each(|report| report.fmt_details(f))?;
        let mut rows = vec![["case", "simulator", "processes", "time"].map(str::to_owned)];
        for report in &self.reports {
            let cell_of = |kind: BackendKind| match report.runs.iter().find(|run| run.kind == kind)
            {
                Some(run) => format_cell(run),
                None => "-".to_owned(),
            };
            let time = report.runs.iter().map(|run| run.elapsed).sum();
            let [simulator, processes] = BackendKind::ALL.map(cell_of);
            rows.push([report.name(), simulator, processes, format_seconds(time)]);
        }
        let width = |column: usize| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths = [0, 1, 2, 3].map(width);
        writeln!(f)?;
        for row in &rows {
            let [a, b, c, d] = widths;
            writeln!(f, "{:a$}  {:b$}  {:c$}  {:>d$}", row[0], row[1], row[2], row[3])?;
        }
        let failed = self.reports.iter().filter(|report| !report.is_passed()).count();
        let (all, time) = (self.reports.len(), format_seconds(self.elapsed));
        match failed {
            0 => write!(f, "\n{all} cases passed in {time}"),
            _ => write!(f, "\n{failed} of {all} cases failed in {time}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: BackendKind, outcome: Outcome) -> CaseRun {
        CaseRun { kind, outcome, elapsed: Duration::from_millis(1230) }
    }

    #[test]
    fn summary_shows_failures_then_the_table() {
        let passed = Outcome::Passed { warnings: vec!["a: b".to_owned()] };
        let failed = Outcome::Failed {
            reasons: vec!["x: hosts_db: missing 1".to_owned(), "two\nlines".to_owned()],
            trace: vec!["a frame".to_owned()],
        };
        let report = |path: &str, broken, runs| CaseReport {
            path: path.into(),
            read_error: broken,
            warnings: vec![],
            runs,
        };
        let (simulator, processes) = (BackendKind::Simulator, BackendKind::Processes);
        let good = report("d/good.json", None, vec![run(simulator, passed.clone())]);
        let bad = vec![run(simulator, passed), run(processes, failed)];
        let bad = report("d/b\u{1b}d.json", None, bad);
        let broken = report("d/c.json", Some("d/c.json: no".to_owned()), vec![]);
        assert_eq!(good.progress_line(), "ok   good.json: simulator ok 1.23 s");
        assert_eq!(
            bad.progress_line(),
            "FAIL b\\u{1b}d.json: simulator ok 1.23 s, processes FAILED 1.23 s"
        );
        assert_eq!(broken.progress_line(), "FAIL c.json: not a case");
        let summary =
            Summary { reports: vec![good, bad, broken], elapsed: Duration::from_millis(4560) };
        assert!(!summary.is_passed());
        assert_eq!(
            summary.to_string(),
            "\
warning: d/good.json (simulator): a: b
warning: d/b\\u{1b}d.json (simulator): a: b

FAILED d/b\\u{1b}d.json (processes)
    x: hosts_db: missing 1
    two
    lines
  latest frames or log lines:
    a frame

FAILED d/c.json: no

case           simulator  processes        time
good.json      ok 1.23 s  -              1.23 s
b\\u{1b}d.json  ok 1.23 s  FAILED 1.23 s  2.46 s
c.json         -          -              0.00 s

2 of 3 cases failed in 4.56 s"
        );
    }
}
