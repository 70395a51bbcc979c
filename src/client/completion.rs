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
const SHOWN_MAX: usize = 40;

const COMMANDS: [&str; 6] = ["/help", "/list", "/msg ", "/quit", "@List", "@Quit"];

/// Whose name it is: a user's with that id, or on a wire without ids, of that name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Id(i64),
    Name(Text),
}

/// The names of others, shared between the loop, which learns them, and the editor.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Arc<Mutex<BTreeMap<Whose, String>>>);

impl Names {
    /// Notes who comes and who leaves. Names that cannot be typed are left out.
    pub(super) fn learn(&self, event: &Event) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Join { id, name, .. } => {
                let whose = id.map_or_else(|| Whose::Name(name.clone()), Whose::Id);
                match String::from_utf8(name.0.clone()) {
                    Ok(text) if !text.is_empty() && text == name.to_string() => {
                        names.insert(whose, text);
                    }
                    _ => drop(names.remove(&whose)),
                }
            }
            Event::Peer { id } => drop(names.insert(Whose::Id(*id), id.to_string())),
            Event::Quit { id: Some(id), .. } => drop(names.remove(&Whose::Id(*id))),
            Event::Quit { name: Some(name), .. } => drop(names.remove(&Whose::Name(name.clone()))),
            _ => {}
        }
    }

    /// Every beginning of a line that `line` may become, and where to put it.
    fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let start = match line.get(..5) {
            Some(command) if command.eq_ignore_ascii_case("/msg ") => 5,
            _ => 0,
        };
        let begun = &line[start..];
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut words: Vec<String> = names.values().map(|name| addressee(name)).collect();
        if start == 0 {
            words.extend(COMMANDS.map(str::to_owned));
        }
        let bare = begun.strip_prefix('(').unwrap_or(begun);
        words.retain(|word| {
            begins(word, begun) || (!bare.is_empty() && begins(word.trim_start_matches('('), bare))
        });
        words.sort();
        words.dedup();
        (start, words)
    }
}

/// A name as the grammar wants it, with the space after it.
fn addressee(name: &str) -> String {
    let is_plain = !name.contains([' ', '(', ')'])
        && !name.starts_with(['/', '@'])
        && !name.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { format!("{name} ") } else { format!("({name}) ") }
}

fn begins(word: &str, begun: &str) -> bool {
    word.get(..begun.len()).is_some_and(|head| head.eq_ignore_ascii_case(begun))
}

/// What all of `words` begin with, and no less than `begun`, which may differ in case.
fn common(words: &[String], begun: &str) -> String {
    let Some((first, rest)) = words.split_first() else {
        return begun.to_owned();
    };
    let is_shared = |end: usize| {
        let head = first.get(..end);
        head.is_some_and(|head| rest.iter().all(|word| word.starts_with(head)))
    };
    let end = (begun.len()..=first.len()).rev().find(|end| is_shared(*end));
    end.map_or(begun, |end| &first[..end]).to_owned()
}

/// Candidates as a line for people.
fn list(words: &[String]) -> String {
    let shown: Vec<&str> = words.iter().take(SHOWN_MAX).map(|word| word.trim_end()).collect();
    let line = shown.join("  ");
    match words.len() - shown.len() {
        0 => line,
        more => format!("{line}  and {more} more"),
    }
}

/// The editor's helper: completes, and leaves the line as it is otherwise.
pub(super) struct Completion<F: Fn(String)> {
    names: Names,
    show: F,
}

impl<F: Fn(String)> Completion<F> {
    /// `show` is given a line, without a line end, when there is a choice.
    pub(super) fn new(names: Names, show: F) -> Self {
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
        let (start, words) = self.names.complete(line);
        if words.len() < 2 {
            return Ok((start, words));
        }
        (self.show)(list(&words));
        Ok((start, vec![common(&words, &line[start..])]))
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
        let names = Names::default();
        for (id, name) in
            ["sam", "Sally", "bob smith", "e\x1bvil", "gone", "sam"].into_iter().enumerate()
        {
            names.learn(&Event::Join { id: Some(id as i64), name: name.into(), info: None });
        }
        names.learn(&Event::Quit { id: Some(4), name: None, text: None });
        let (at, words) = names.complete(line);
        assert_eq!((at, words), (start, expected.iter().map(|w| (*w).to_owned()).collect()));
    }

    #[test]
    fn completes_what_a_line_begins_with() {
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
        let names = Names::default();
        for name in ["sam", "sal", "3"] {
            names.learn(&Event::Join { id: None, name: name.into(), info: None });
        }
        names.learn(&Event::Quit { id: None, name: Some("sal".into()), text: None });
        assert_eq!(names.complete("s"), (0, vec!["sam ".to_owned()]));
        assert_eq!(names.complete("3"), (0, vec!["(3) ".to_owned()]));
    }

    #[test]
    fn a_choice_gives_what_it_has_in_common() {
        let check = |words: &[&str], begun: &str, expected: &str| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(common(&words, begun), expected);
        };
        check(&["sam ", "samwise "], "s", "sam");
        check(&["Sally ", "sam "], "sa", "sa");
        check(&["/list", "/help"], "/", "/");
        check(&["müller ", "mütter "], "m", "mü");
        check(&["mü ", "mö "], "m", "m");
        check(&["(bob smith) ", "bob "], "bo", "bo");
        let words: Vec<String> = (100..150).map(|i| format!("u{i} ")).collect();
        assert!(list(&words).ends_with("u139  and 10 more"));
        assert_eq!(list(&words[..2]), "u100  u101");
    }
}
