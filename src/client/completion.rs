//! The words that Tab completes: commands, and the names of users who are online.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::event::{Event, Text};
use crate::ui::Complete;

const COMMANDS: [&str; 6] = ["/help", "/list", "/msg ", "/quit", "@List", "@Quit"];

/// The key of a user: the id, or the name on a wire without ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NameKey {
    Id(i64),
    Name(Text),
}

/// The names of the other users, shared between the client's loop and the editor's thread.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownNames(Arc<Mutex<BTreeMap<NameKey, String>>>);

impl KnownNames {
    /// Adds users who join and removes those who quit. Skips names that cannot be typed.
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
}

impl Complete for KnownNames {
    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
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

/// Returns a name as the grammar expects it at the start of a line, followed by a space.
fn format_recipient(name: &str) -> String {
    let is_plain = !name.contains([' ', '(', ')'])
        && !name.starts_with(['/', '@'])
        && !name.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { format!("{name} ") } else { format!("({name}) ") }
}

fn starts_with_ignoring_case(word: &str, prefix: &str) -> bool {
    word.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

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
        let (at, candidates) = names.candidates(line);
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
        assert_eq!(names.candidates("s"), (0, vec!["sam ".to_owned()]));
        assert_eq!(names.candidates("3"), (0, vec!["(3) ".to_owned()]));
    }
}
