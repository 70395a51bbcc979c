//! Splits a line of a case into words, and reads words as options, as the course's runner does with
//! Python's shlex and argparse.
//!
//! Words are split at white space outside double quotes, and **the quotes stay in the word**: a
//! case with `MESSAGE 102 "Hello"` puts seven bytes on the wire.

use std::collections::BTreeMap;
use std::fmt;

use crc::internal::Printable;

/// Maximum length of a word in an error, in characters.
const WORD_DISPLAY_CHARS_MAX: usize = 80;

/// The reason why a line is not a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError(pub(crate) String);

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CommandError {}

/// Returns an error with this text.
pub(crate) fn fail<T>(text: impl Into<String>) -> Result<T, CommandError> {
    Err(CommandError(text.into()))
}

/// Formats a word for an error, truncated to [`WORD_DISPLAY_CHARS_MAX`].
pub(crate) fn quote_word(word: &str) -> String {
    match word.char_indices().nth(WORD_DISPLAY_CHARS_MAX) {
        Some((end, _)) => format!("`{}…`", Printable(&word.as_bytes()[..end])),
        None => format!("`{}`", Printable(word.as_bytes())),
    }
}

/// Splits a line at white space outside double quotes; the quotes stay.
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
        return fail(format!("a double quote is not closed in {}", quote_word(&word)));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// The options of one command. Long names are written with `-`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OptionSpec {
    /// Options with one value, as the course's runner has them. They may be abbreviated.
    pub(crate) single: &'static [&'static str],
    /// Options that take every word up to the next option. They may be abbreviated.
    pub(crate) multiple: &'static [&'static str],
    /// Options with one value that only this runner has. They must be written out.
    pub(crate) additions: &'static [&'static str],
    /// Options without a value that only this runner has. They must be written out.
    pub(crate) flags: &'static [&'static str],
    /// Short options, each with its long name.
    pub(crate) short: &'static [(char, &'static str)],
}

impl OptionSpec {
    /// Returns the long name of an option as written, and the value that is part of the word.
    fn resolve<'a>(&self, word: &'a str) -> Result<(&'static str, Option<&'a str>), CommandError> {
        if !word.starts_with("--") {
            let letter = word.chars().nth(1);
            let found = self.short.iter().find(|(short, _)| Some(*short) == letter);
            let Some(&(short, name)) = found else { return self.unknown(word) };
            let value = word.strip_prefix('-').and_then(|rest| rest.strip_prefix(short));
            let value = value.filter(|value| !value.is_empty());
            return Ok((name, value.map(|value| value.strip_prefix('=').unwrap_or(value))));
        }
        let (written, value) = match word.split_once('=') {
            Some((written, value)) => (written, Some(value)),
            None => (word, None),
        };
        let key = written.replace('_', "-");
        let all = [self.single, self.multiple, self.additions, self.flags].concat();
        if let Some(name) = all.into_iter().find(|name| *name == key) {
            return Ok((name, value));
        }
        let abbreviated = [self.single, self.multiple].concat();
        let matching: Vec<_> =
            abbreviated.into_iter().filter(|name| name.starts_with(&key)).collect();
        match matching[..] {
            [name] => Ok((name, value)),
            [] => self.unknown(written),
            _ => fail(format!(
                "{} is ambiguous: {}; write the option out",
                quote_word(written),
                matching.join(" ")
            )),
        }
    }

    fn unknown<T>(&self, written: &str) -> Result<T, CommandError> {
        let all = [self.single, self.multiple, self.additions, self.flags].concat().join(" ");
        fail(format!("unknown option {}, expected one of {all}", quote_word(written)))
    }
}

/// Returns whether argparse takes a word for an option: it begins with `-`, and is neither a lone
/// `-` nor a negative number.
fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && word.parse::<f64>().is_err()
}

/// The options of a line, in any order. Of an option that is repeated, the last counts.
pub(crate) struct OptionMap {
    values: BTreeMap<&'static str, Vec<String>>,
    /// The words that belong to no option.
    pub(crate) ignored_words: Vec<String>,
}

impl OptionMap {
    /// Reads `words` as options of `spec`.
    pub(crate) fn parse(words: Vec<String>, spec: &OptionSpec) -> Result<Self, CommandError> {
        let mut options = Self { values: BTreeMap::new(), ignored_words: Vec::new() };
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            if !is_option(&word) {
                options.ignored_words.push(word);
                continue;
            }
            let (name, value) = spec.resolve(&word)?;
            if spec.flags.contains(&name) {
                if value.is_some() {
                    return fail(format!("`{name}` takes no value"));
                }
                options.values.insert(name, Vec::new());
                continue;
            }
            let values_max = if spec.multiple.contains(&name) { usize::MAX } else { 1 };
            let mut values: Vec<String> = value.map(str::to_owned).into_iter().collect();
            while values.len() < values_max
                && let Some(value) = words.next_if(|next| !is_option(next))
            {
                values.push(value);
            }
            if values.is_empty() {
                return fail(format!("`{name}` has no value"));
            }
            options.values.insert(name, values);
        }
        Ok(options)
    }

    /// Takes out the values of an option, if it was given.
    pub(crate) fn take_all(&mut self, name: &str) -> Option<Vec<String>> {
        self.values.remove(name)
    }

    /// Takes out the value of an option, if it was given.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.take_all(name).map(|mut values| values.pop().unwrap_or_default())
    }

    /// Takes out the value of an option, or fails if it was not given.
    pub(crate) fn require(&mut self, name: &str) -> Result<String, CommandError> {
        self.take(name).ok_or_else(|| CommandError(format!("{name} is missing")))
    }
}
