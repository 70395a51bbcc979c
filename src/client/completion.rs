//! What Tab completes: commands, and the names of those who are online.
//!
//! The editor is never given a choice: while it asks for one it shows nothing that arrives, and some
//! of its questions cannot be left. It gets what all candidates have in common, and they are shown
//! like any line that arrives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::event::{Event, Text};

/// Candidates that are shown: a few lines of them.
const CANDIDATES_SHOWN_MAX: usize = 40;

const COMMANDS: [&str; 6] = ["/help", "/list", "/msg ", "/quit", "@List", "@Quit"];

/// Whose name it is: a user's with that id, or on a wire without ids, of that name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NameKey {
    Id(i64),
    Name(Text),
}

/// The names of others, shared between the loop, which learns them, and the editor.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownNames(Arc<Mutex<BTreeMap<NameKey, String>>>);

impl KnownNames {
    /// Notes who comes and who leaves. Names that cannot be typed are left out.
    pub(super) fn update(&self, event: &Event) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Join { id, name, .. } => {
                let key = id.map_or_else(|| NameKey::Name(name.clone()), NameKey::Id);
                match String::from_utf8(name.0.clone()) {
                    Ok(text) if !text.is_empty() && text == name.to_string() => {
                        names.insert(key, text);
                    }
                    _ => drop(names.remove(&key)),
                }
            }
            Event::Peer { id } => drop(names.insert(NameKey::Id(*id), id.to_string())),
            Event::Quit { id: Some(id), .. } => drop(names.remove(&NameKey::Id(*id))),
            Event::Quit { name: Some(name), .. } => {
                drop(names.remove(&NameKey::Name(name.clone())));
            }
            _ => {}
        }
    }

    /// Every beginning of a line that `line` may become, and where to put it.
    fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let start = match line.get(..5) {
            Some(command) if command.eq_ignore_ascii_case("/msg ") => 5,
            _ => 0,
        };
        let prefix = &line[start..];
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut candidates: Vec<String> =
            names.values().map(|name| format_recipient(name)).collect();
        if start == 0 {
            candidates.extend(COMMANDS.map(str::to_owned));
        }
        let bare_prefix = prefix.strip_prefix('(').unwrap_or(prefix);
        candidates.retain(|word| {
            starts_with_ignoring_case(word, prefix)
                || (!bare_prefix.is_empty()
                    && starts_with_ignoring_case(word.trim_start_matches('('), bare_prefix))
        });
        candidates.sort();
        candidates.dedup();
        (start, candidates)
    }
}

/// A name as the grammar wants it, with the space after it.
fn format_recipient(name: &str) -> String {
    let is_plain = !name.contains([' ', '(', ')'])
        && !name.starts_with(['/', '@'])
        && !name.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { format!("{name} ") } else { format!("({name}) ") }
}

fn starts_with_ignoring_case(word: &str, prefix: &str) -> bool {
    word.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// What all of `words` begin with, and no less than `begun`, which may differ in case.
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

/// Candidates as a line for people.
fn format_candidates(candidates: &[String]) -> String {
    let shown: Vec<&str> =
        candidates.iter().take(CANDIDATES_SHOWN_MAX).map(|word| word.trim_end()).collect();
    let line = shown.join("  ");
    match candidates.len() - shown.len() {
        0 => line,
        more => format!("{line}  and {more} more"),
    }
}

/// The editor's helper: completes, and leaves the line as it is otherwise.
pub(super) struct Completion<F: Fn(String)> {
    names: KnownNames,
    show: F,
}

impl<F: Fn(String)> Completion<F> {
    /// `show` is given a line, without a line end, when there is a choice.
    pub(super) fn new(names: KnownNames, show: F) -> Self {
        Self { names, show }
    }
}

impl<F: Fn(String)> Completer for Completion<F> {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let line = &line[..pos];
        let (start, candidates) = self.names.complete(line);
        if candidates.len() < 2 {
            return Ok((start, candidates));
        }
        (self.show)(format_candidates(&candidates));
        Ok((start, vec![common_prefix(&candidates, &line[start..])]))
    }
}

impl<F: Fn(String)> Helper for Completion<F> {}
impl<F: Fn(String)> Highlighter for Completion<F> {}
impl<F: Fn(String)> Hinter for Completion<F> {
    type Hint = String;
}
impl<F: Fn(String)> Validator for Completion<F> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, start: usize, expected: &[&str]) {
        let names = KnownNames::default();
        for (id, name) in
            ["sam", "Sally", "bob smith", "e\x1bvil", "gone", "sam"].into_iter().enumerate()
        {
            names.update(&Event::Join { id: Some(id as i64), name: name.into(), info: None });
        }
        names.update(&Event::Quit { id: Some(4), name: None, text: None });
        let (at, candidates) = names.complete(line);
        assert_eq!((at, candidates), (start, expected.iter().map(|w| (*w).to_owned()).collect()));
    }

    #[test]
    fn completes_commands_and_names_at_the_line_start() {
        check("sa", 0, &["Sally ", "sam "]);
        check("bo", 0, &["(bob smith) "]);
        check("(bob s", 0, &["(bob smith) "]);
        check("/q", 0, &["/quit"]);
        check("@l", 0, &["@List"]);
        check("/msg sa", 5, &["Sally ", "sam "]);
        check("/MSG ", 5, &["(bob smith) ", "Sally ", "sam "]);
        check("go", 0, &[]);
        check("e", 0, &[]);
        check("sam hi sa", 0, &[]);
    }

    #[test]
    fn completes_names_of_users_without_ids() {
        let names = KnownNames::default();
        for name in ["sam", "sal", "3"] {
            names.update(&Event::Join { id: None, name: name.into(), info: None });
        }
        names.update(&Event::Quit { id: None, name: Some("sal".into()), text: None });
        assert_eq!(names.complete("s"), (0, vec!["sam ".to_owned()]));
        assert_eq!(names.complete("3"), (0, vec!["(3) ".to_owned()]));
    }

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
        let candidates: Vec<String> = (100..150).map(|i| format!("u{i} ")).collect();
        assert!(format_candidates(&candidates).ends_with("u139  and 10 more"));
        assert_eq!(format_candidates(&candidates[..2]), "u100  u101");
    }
}
