//! Completion with Tab.
//!
//! The editor prints nothing while it asks which candidate to take. It therefore receives only what
//! all candidates have in common, and the list of candidates is printed like any other line.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::printer::Printer;

/// Maximum number of candidates in the list.
const CANDIDATES_SHOWN_MAX: usize = 40;

/// The source of completions.
pub trait Complete: Send + 'static {
    /// Returns the byte offset in `line` at which the completed word begins, and every text that
    /// can replace the rest of `line` from there.
    fn candidates(&self, line: &str) -> (usize, Vec<String>);
}

/// A source without any completion.
#[derive(Clone, Copy, Debug)]
pub struct NoCompletion;

impl Complete for NoCompletion {
    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
        (line.len(), Vec::new())
    }
}

/// Returns the longest common prefix of `candidates`, or `prefix` if that is longer. The case of
/// `prefix` may differ from that of the candidates.
fn common_prefix(candidates: &[String], prefix: &str) -> String {
    let Some((first, rest)) = candidates.split_first() else {
        return prefix.to_owned();
    };
    let is_shared = |end: usize| {
        let head = first.get(..end);
        head.is_some_and(|head| rest.iter().all(|word| word.starts_with(head)))
    };
    let end = (prefix.len()..=first.len()).rev().find(|end| is_shared(*end));
    end.map_or(prefix, |end| &first[..end]).to_owned()
}

/// Returns the candidates as a line of text.
fn format_candidates(candidates: &[String]) -> String {
    let shown: Vec<&str> =
        candidates.iter().take(CANDIDATES_SHOWN_MAX).map(|word| word.trim_end()).collect();
    let line = shown.join("  ");
    match candidates.len() - shown.len() {
        0 => line,
        more => format!("{line}  and {more} more"),
    }
}

/// The helper of the editor. Does nothing but complete.
pub(super) struct CompletionHelper<C: Complete> {
    source: C,
    printer: Printer,
}

impl<C: Complete> CompletionHelper<C> {
    /// Creates a helper that prints lists of candidates to `printer`.
    pub(super) fn new(source: C, printer: Printer) -> Self {
        Self { source, printer }
    }
}

impl<C: Complete> Completer for CompletionHelper<C> {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let line = &line[..pos];
        let (start, candidates) = self.source.candidates(line);
        if candidates.len() < 2 {
            return Ok((start, candidates));
        }
        self.printer.try_print(format_candidates(&candidates));
        Ok((start, vec![common_prefix(&candidates, &line[start..])]))
    }
}

impl<C: Complete> Helper for CompletionHelper<C> {}
impl<C: Complete> Highlighter for CompletionHelper<C> {}
impl<C: Complete> Hinter for CompletionHelper<C> {
    type Hint = String;
}
impl<C: Complete> Validator for CompletionHelper<C> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_candidates_complete_to_their_common_prefix() {
        let check = |candidates: &[&str], prefix: &str, expected: &str| {
            let candidates: Vec<String> =
                candidates.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(common_prefix(&candidates, prefix), expected);
        };
        check(&["sam ", "samwise "], "s", "sam");
        check(&["Sally ", "sam "], "sa", "sa");
        check(&["/list", "/help"], "/", "/");
        check(&["müller ", "mütter "], "m", "mü");
        check(&["mü ", "mö "], "m", "m");
        check(&["(bob smith) ", "bob "], "bo", "bo");
    }

    #[test]
    fn list_of_candidates_is_bounded() {
        let candidates: Vec<String> = (100..150).map(|i| format!("u{i} ")).collect();
        assert!(format_candidates(&candidates).ends_with("u139  and 10 more"));
        assert_eq!(format_candidates(&candidates[..2]), "u100  u101");
    }
}
