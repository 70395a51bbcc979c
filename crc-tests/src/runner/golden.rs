//! Golden traces: the frames that a case sends in the simulator, in a file beside the case.
//!
//! A trace has one section for each command that sends frames. Within a section, frames are ordered
//! by sender and receiver, and in the order of sending on each connection, so that a trace does not
//! depend on time.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::runner::case::display_path;

/// Unchanged lines that a difference shows before and after a changed one.
const CONTEXT_LINES: usize = 2;

/// Appends the frames of one command: sender, receiver, and description.
pub(crate) fn render_section(
    command: &str,
    mut frames: Vec<(String, String, &str)>,
    text: &mut String,
) {
    if frames.is_empty() {
        return;
    }
    frames.sort_by(|(from, to, _), (other_from, other_to, _)| {
        (from, to).cmp(&(other_from, other_to))
    });
    let separator = if text.is_empty() { "" } else { "\n" };
    writeln!(text, "{separator}# {command}").expect("a string grows");
    for (from, to, description) in frames {
        writeln!(text, "{from} → {to}: {description}").expect("a string grows");
    }
}

/// The golden trace of one case.
pub(crate) struct GoldenTrace {
    path: PathBuf,
}

impl GoldenTrace {
    /// Returns the trace beside a case, which may not exist.
    pub(crate) fn beside(case: &Path) -> Self {
        Self { path: case.with_extension("trace") }
    }

    /// Returns whether the file exists.
    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Writes the file, unless it has this text already.
    ///
    /// # Errors
    /// It cannot be written; the message names it.
    pub(crate) fn write(&self, text: &str) -> Result<(), String> {
        match self.read() {
            Ok(current) if current == text => Ok(()),
            _ => fs::write(&self.path, text).map_err(|error| self.error(&error)),
        }
    }

    /// Compares the file with `found`.
    ///
    /// # Errors
    /// It cannot be read, or differs; the message has the lines that differ.
    pub(crate) fn compare(&self, found: &str) -> Result<(), String> {
        let expected = self.read().map_err(|error| self.error(&error))?;
        if expected == found {
            return Ok(());
        }
        Err(format!(
            "frames differ from {}; if they should, run crc-tests --bless with this case\n{}",
            display_path(&self.path),
            diff(&expected, found).join("\n")
        ))
    }

    fn read(&self) -> io::Result<String> {
        fs::read_to_string(&self.path)
    }

    fn error(&self, error: &io::Error) -> String {
        format!("{}: {error}", display_path(&self.path))
    }
}

/// Returns the lines of a unified difference: `-` only in `expected`, `+` only in `found`.
fn diff(expected: &str, found: &str) -> Vec<String> {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let edits = line_edits(&expected, &found);
    let is_changed = |at: usize| edits[at].0 != ' ';
    let mut lines = Vec::new();
    let mut last_shown = None;
    for at in 0..edits.len() {
        let context = at.saturating_sub(CONTEXT_LINES)..edits.len().min(at + CONTEXT_LINES + 1);
        if !context.into_iter().any(is_changed) {
            continue;
        }
        if last_shown.map_or(at > 0, |last| last + 1 < at) {
            lines.push("…".to_owned());
        }
        lines.push(format!("{}{}", edits[at].0, edits[at].1));
        last_shown = Some(at);
    }
    if lines.is_empty() {
        lines.push("the files differ only in their last line end".to_owned());
    }
    lines
}

/// Aligns two texts along a longest common subsequence of lines.
fn line_edits<'a>(expected: &[&'a str], found: &[&'a str]) -> Vec<(char, &'a str)> {
    // Length of the longest common subsequence of the lines from (i, j) on.
    let mut common = vec![vec![0_usize; found.len() + 1]; expected.len() + 1];
    for i in (0..expected.len()).rev() {
        for j in (0..found.len()).rev() {
            common[i][j] = match expected[i] == found[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut edits = Vec::new();
    while i < expected.len() || j < found.len() {
        if i < expected.len() && j < found.len() && expected[i] == found[j] {
            edits.push((' ', expected[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == found.len() || (i < expected.len() && common[i + 1][j] >= common[i][j + 1]) {
            edits.push(('-', expected[i]));
            i += 1;
        } else {
            edits.push(('+', found[j]));
            j += 1;
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_is_ordered_by_connection_and_keeps_the_order_within_one() {
        let mut text = String::new();
        let frame = |from: &str, to: &str, text| (from.to_owned(), to.to_owned(), text);
        let frames = vec![frame("b", "a", "1"), frame("a", "b", "3"), frame("a", "b", "2")];
        render_section("WAIT 1", frames, &mut text);
        render_section("WAIT 2", Vec::new(), &mut text);
        render_section("KILL a", vec![frame("b", "a", "4")], &mut text);
        assert_eq!(text, "# WAIT 1\na → b: 3\na → b: 2\nb → a: 1\n\n# KILL a\nb → a: 4\n");
    }

    #[test]
    fn diff_shows_changed_lines_with_context() {
        let (before, after) = ("1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\nfour\n5\n6\n7\n8\n9\n");
        assert_eq!(
            diff(before, after),
            ["…", " 2", " 3", "-4", "+four", " 5", " 6", " 7", " 8", "+9"]
        );
        assert_eq!(diff("1\n", "1"), ["the files differ only in their last line end"]);
    }

    #[test]
    fn changed_byte_fails_the_comparison_until_the_trace_is_written_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let golden = GoldenTrace::beside(&dir.path().join("a.json"));
        assert!(!golden.exists());
        golden.write("# WAIT 1\na → b: Hi\n").expect("written");
        assert!(golden.exists());
        assert_eq!(golden.compare("# WAIT 1\na → b: Hi\n"), Ok(()));
        let error = golden.compare("# WAIT 1\na → b: Ho\n").expect_err("another byte");
        assert!(error.contains("a.trace"), "{error}");
        assert!(error.ends_with(" # WAIT 1\n-a → b: Hi\n+a → b: Ho"), "{error}");
        golden.write("# WAIT 1\na → b: Ho\n").expect("written");
        assert_eq!(golden.compare("# WAIT 1\na → b: Ho\n"), Ok(()));
    }
}
