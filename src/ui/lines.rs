//! Splits a byte stream into lines of bounded length.

use std::fmt;

/// An event from the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A line without its line end.
    Line(String),
    /// A line that cannot be used.
    Invalid(InvalidLine),
    /// The end of input.
    Eof,
    /// A request to end the program, such as Ctrl-C.
    Interrupt,
}

/// The reason why a line cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidLine {
    /// The line is longer than the limit.
    TooLong {
        /// Maximum length of a line, without its line end.
        bytes_max: usize,
    },
    /// The line is not UTF-8.
    NotUtf8,
}

impl fmt::Display for InvalidLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes_max } => {
                write!(f, "not sent: a line has at most {bytes_max} bytes")
            }
            Self::NotUtf8 => f.write_str("not sent: the line is not UTF-8"),
        }
    }
}

/// A splitter that buffers at most one incomplete line.
///
/// A line ends with LF or CR LF. The bytes of a line that exceeds the limit are discarded up to its
/// end; the next line is not affected.
#[derive(Debug)]
pub(crate) struct LineSplitter {
    bytes_max: usize,
    partial: Vec<u8>,
    is_too_long: bool,
}

impl LineSplitter {
    /// Creates a splitter for lines of at most `bytes_max` bytes.
    #[must_use]
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, partial: Vec::new(), is_too_long: false }
    }

    /// Appends `bytes` and calls `on_line` for each line that they complete.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        mut on_line: impl FnMut(Result<Vec<u8>, InvalidLine>),
    ) {
        let mut segments = bytes.split(|byte| *byte == b'\n');
        let last = segments.next_back().unwrap_or_default();
        for segment in segments {
            self.append(segment);
            on_line(self.take_line());
        }
        self.append(last);
    }

    /// Returns the last line if the input ended without a line end.
    pub(crate) fn finish(&mut self) -> Option<Result<Vec<u8>, InvalidLine>> {
        (self.is_too_long || !self.partial.is_empty()).then(|| self.take_line())
    }

    fn append(&mut self, segment: &[u8]) {
        // One byte more than the limit, for the CR that may follow the longest line.
        if self.is_too_long || self.partial.len() + segment.len() > self.bytes_max + 1 {
            self.is_too_long = true;
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(segment);
        }
    }

    fn take_line(&mut self) -> Result<Vec<u8>, InvalidLine> {
        let mut line = std::mem::take(&mut self.partial);
        line.pop_if(|byte| *byte == b'\r');
        if std::mem::take(&mut self.is_too_long) || line.len() > self.bytes_max {
            return Err(InvalidLine::TooLong { bytes_max: self.bytes_max });
        }
        Ok(line)
    }
}

impl From<Result<Vec<u8>, InvalidLine>> for Input {
    fn from(line: Result<Vec<u8>, InvalidLine>) -> Self {
        match line.map(String::from_utf8) {
            Ok(Ok(line)) => Self::Line(line),
            Ok(Err(_)) => Self::Invalid(InvalidLine::NotUtf8),
            Err(error) => Self::Invalid(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 8;

    /// Splits `pieces`, then ends the input. `?` stands for an invalid line.
    #[track_caller]
    fn check(pieces: &[&[u8]], expected: &[&str]) {
        let mut splitter = LineSplitter::new(BYTES_MAX);
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.push(piece, |line| lines.push(line));
        }
        lines.extend(splitter.finish());
        let lines: Vec<String> = lines
            .into_iter()
            .map(|line| match line.into() {
                Input::Line(line) => line,
                _ => "?".to_owned(),
            })
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn stream_is_split_at_line_ends_wherever_it_is_cut() {
        check(&[b"a\nb\n"], &["a", "b"]);
        check(&[b"a", b"b\n", b"\nc"], &["ab", "", "c"]);
        check(&[b"a\r\nb\r", b"\nc\r"], &["a", "b", "c"]);
        check(&[b"gr\xc3", b"\xbcn\n"], &["grün"]);
        check(&[], &[]);
    }

    #[test]
    fn invalid_line_does_not_affect_the_next_line() {
        check(&[b"a\n\xff\nb\n"], &["a", "?", "b"]);
        check(&[b"1234", b"5678", b"9", b"0\nb\n"], &["?", "b"]);
        check(&[b"1234", b"56789"], &["?"]);
        check(&[b"123456789\nb"], &["?", "b"]);
        check(&[b"1234", b"5678", b"\r\nb"], &["12345678", "b"]);
        check(&[b"12345678"], &["12345678"]);
    }

    #[test]
    fn line_errors_name_the_limit() {
        let error = InvalidLine::TooLong { bytes_max: 8 };
        assert_eq!(error.to_string(), "not sent: a line has at most 8 bytes");
    }
}
