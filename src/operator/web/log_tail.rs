//! [`LogTail`]: the last lines of the log.

use std::collections::VecDeque;

use crate::limits::{LOG_TAIL_LINE_BYTES_MAX, LOG_TAIL_LINES_MAX};

/// The last lines of the log, each with a number.
#[derive(Debug, Default)]
pub(crate) struct LogTail {
    lines: VecDeque<String>,
    /// The number of the next line.
    next: u64,
}

impl LogTail {
    /// Creates an empty log.
    pub(crate) const fn new() -> Self {
        Self { lines: VecDeque::new(), next: 0 }
    }

    /// Adds a line as it was written to a terminal or a file.
    pub(crate) fn push(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let mut line = strip_colors(text.trim_end());
        line.truncate(line.floor_char_boundary(LOG_TAIL_LINE_BYTES_MAX));
        if self.lines.len() == LOG_TAIL_LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
        self.next += 1;
    }

    /// Returns the lines from a number on, as far as they are kept, and the number of the next
    /// line.
    pub(crate) fn lines_from(&self, number: u64) -> (Vec<String>, u64) {
        let count = usize::try_from(self.next.saturating_sub(number)).unwrap_or(usize::MAX);
        let skipped = self.lines.len().saturating_sub(count);
        (self.lines.iter().skip(skipped).cloned().collect(), self.next)
    }
}

/// Removes the sequences by which a terminal changes its colours.
fn strip_colors(text: &str) -> String {
    let mut pieces = text.split('\u{1b}');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        plain.push_str(piece.split_once('m').map_or("", |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_are_kept_without_colours() {
        let mut tail = LogTail::new();
        tail.push(b"[\x1b[32mINFO\x1b[0m ] one\n");
        assert_eq!(tail.lines_from(0), (vec!["[INFO ] one".to_owned()], 1));
        for number in 0..=LOG_TAIL_LINES_MAX {
            tail.push(format!("{number}\n").as_bytes());
        }
        let next = LOG_TAIL_LINES_MAX as u64 + 2;
        assert_eq!(tail.lines_from(0).0.len(), LOG_TAIL_LINES_MAX);
        assert_eq!(tail.lines_from(next - 1), (vec![LOG_TAIL_LINES_MAX.to_string()], next));
        assert_eq!(tail.lines_from(next), (vec![], next));
        tail.push("ü".repeat(LOG_TAIL_LINE_BYTES_MAX).as_bytes());
        assert_eq!(tail.lines_from(next).0[0].len(), LOG_TAIL_LINE_BYTES_MAX);
    }
}
