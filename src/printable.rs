//! Shows text from others safely: characters that control a terminal, or hide or reorder the text
//! around them, appear as escapes. Bytes on a wire are never changed.

use std::fmt::{self, Write};

use crate::limits::EXCERPT_BYTES_MAX;

/// Shows bytes as text on one line: control characters, the ones that reorder or hide text, and
/// bytes that are not UTF-8 appear as escapes (`\n`, `\u{202e}`, `\xff`).
#[derive(Clone, Copy)]
pub struct Printable<'a>(pub &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    c if needs_escape(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                    c => f.write_char(c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Shows the first [`EXCERPT_BYTES_MAX`] bytes of a text as [`Printable`] does, and the number of
/// bytes cut off.
#[derive(Clone, Copy)]
pub(crate) struct Excerpt<'a>(pub &'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_at_checked(EXCERPT_BYTES_MAX) {
            None | Some((_, [])) => Printable(self.0).fmt(f),
            Some((begin, rest)) => write!(f, "{}… and {} bytes", Printable(begin), rest.len()),
        }
    }
}

/// Returns at most the first `bytes_max` bytes of a text.
#[must_use]
pub(crate) fn truncated(text: &[u8], bytes_max: usize) -> &[u8] {
    &text[..text.len().min(bytes_max)]
}

/// Returns whether a character acts on a terminal or on the text around it.
fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' // soft hyphen, marks, BOM
            | '\u{200b}' | '\u{200e}' | '\u{200f}' // zero width space, direction marks; the joiners
            // between them belong to words in many scripts, and to emoji
            | '\u{2028}'..='\u{202e}' // line separators, embeddings, overrides
            | '\u{2060}'..='\u{206f}' // joiners, isolates
            | '\u{fff9}'..='\u{fffb}' // annotations
            | '\u{e0000}'..='\u{e007f}') // tags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], shown: &str) {
        assert_eq!(Printable(bytes).to_string(), shown);
    }

    #[test]
    fn printable_keeps_text_and_escapes_control_characters() {
        check(b"Hello Sam", "Hello Sam");
        check("Grüße, 世界 👋".as_bytes(), "Grüße, 世界 👋");
        check(b"a\nb\r\tc\x1b[2J\x07\x7f", "a\\nb\\r\\tc\\u{1b}[2J\\u{7}\\u{7f}");
        check("\u{202e}evil\u{2066}\u{200f}".as_bytes(), "\\u{202e}evil\\u{2066}\\u{200f}");
        check("👩\u{200d}🚀 می\u{200c}خواهم".as_bytes(), "👩\u{200d}🚀 می\u{200c}خواهم");
        check("\u{9b}1m".as_bytes(), "\\u{9b}1m");
        check(b"\xff\xfea\xc3", "\\xff\\xfea\\xc3");
        check(b"", "");
    }

    #[test]
    fn excerpt_is_cut_at_its_maximum_and_counts_the_rest() {
        assert_eq!(Excerpt(b"bye\x07").to_string(), "bye\\u{7}");
        assert_eq!(Excerpt(&[b'x'; EXCERPT_BYTES_MAX]).to_string(), "x".repeat(EXCERPT_BYTES_MAX));
        let long = Excerpt(&[b'x'; EXCERPT_BYTES_MAX + 5]).to_string();
        assert_eq!(long, "x".repeat(EXCERPT_BYTES_MAX) + "… and 5 bytes");
    }
}
