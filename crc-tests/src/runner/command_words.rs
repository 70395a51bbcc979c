//! A line of a case as words, and words as options.
//!
//! Words are split at white space outside double quotes, and **the quotes stay in the word**: a case
//! that says `MESSAGE 102 "Hello"` puts seven bytes on the wire.

use std::collections::BTreeMap;
use std::fmt;

use crc::printable::Printable;

/// The longest part of a word that an error shows, in characters.
const WORD_DISPLAY_CHARS_MAX: usize = 80;

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError(pub(crate) String);

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CommandError {}

pub(crate) fn fail<T>(text: impl Into<String>) -> Result<T, CommandError> {
    Err(CommandError(text.into()))
}

/// A word as an error shows it: its beginning, if it is long.
pub(crate) fn quote_word(word: &str) -> String {
    match word.char_indices().nth(WORD_DISPLAY_CHARS_MAX) {
        Some((end, _)) => format!("`{}…`", Printable(&word.as_bytes()[..end])),
        None => format!("`{}`", Printable(word.as_bytes())),
    }
}

/// Splits at white space outside double quotes; the quotes stay.
pub(crate) fn split_words(line: &str) -> Result<Vec<String>, CommandError> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut in_quotes = false;
    for c in line.chars() {
        in_quotes ^= c == '"';
        if c.is_ascii_whitespace() && !in_quotes {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else {
            word.push(c);
        }
    }
    if in_quotes {
        return fail(format!("a double quote is never closed in {}", quote_word(&word)));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// `--name value`, `--name=value` and `--flag` in any order, each once; `_` and `-` in names are the same.
pub(crate) struct OptionMap(BTreeMap<String, String>);

impl OptionMap {
    /// Reads options that have values, and `flags`, which have none and stand for an empty one.
    pub(crate) fn parse(
        words: Vec<String>,
        value_options: &[&str],
        flags: &[&str],
    ) -> Result<Self, CommandError> {
        let mut options = BTreeMap::new();
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            if !word.starts_with("--") {
                return fail(format!("expected an option and found {}", quote_word(&word)));
            }
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            let key = name.replace('_', "-");
            if flags.contains(&key.as_str()) {
                if value.is_some() {
                    return fail(format!("{} takes no value", quote_word(&name)));
                }
                options.insert(key, String::new());
                continue;
            }
            if !value_options.contains(&key.as_str()) {
                let all = [value_options, flags].concat().join(" ");
                return fail(format!(
                    "unknown option {}, expected one of {all}",
                    quote_word(&name)
                ));
            }
            let value = value.or_else(|| words.next_if(|next| !next.starts_with("--")));
            let Some(value) = value else {
                return fail(format!("{} has no value", quote_word(&name)));
            };
            options.insert(key, value); // given twice, the last counts, as with Python's argparse
        }
        Ok(Self(options))
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    pub(crate) fn require(&mut self, name: &str) -> Result<String, CommandError> {
        self.take(name).ok_or_else(|| CommandError(format!("{name} is missing")))
    }
}
