//! Cuts what a program pipes in into lines.

use crate::limits::FRAME_BYTES_MAX;

/// What was typed, or came instead of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A line without its line end.
    Line(String),
    /// A line that nobody can carry out, and why.
    Invalid(&'static str),
    /// No more lines come.
    Eof,
    /// The user wants to leave at once.
    Interrupt,
}

/// The bytes of a line whose end has not come; never more than the longest that can be sent.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    partial: Vec<u8>,
    is_too_long: bool,
}

impl LineBuffer {
    /// Takes the next bytes and appends the lines that they complete to `typed`.
    pub(super) fn push_bytes(&mut self, bytes: &[u8], inputs: &mut Vec<Input>) {
        let mut segments = bytes.split(|byte| *byte == b'\n');
        let last = segments.next_back().unwrap_or_default();
        for segment in segments {
            self.append(segment);
            inputs.push(self.take_line());
        }
        self.append(last);
    }

    /// The input has ended: a last line without its line end counts.
    pub(super) fn finish(&mut self, inputs: &mut Vec<Input>) {
        if self.is_too_long || !self.partial.is_empty() {
            inputs.push(self.take_line());
        }
        inputs.push(Input::Eof);
    }

    fn append(&mut self, segment: &[u8]) {
        if self.is_too_long || self.partial.len() + segment.len() > FRAME_BYTES_MAX {
            self.is_too_long = true;
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(segment);
        }
    }

    fn take_line(&mut self) -> Input {
        if std::mem::take(&mut self.is_too_long) {
            return Input::Invalid("a line is too long: servers take messages of 1048576 bytes");
        }
        match String::from_utf8(std::mem::take(&mut self.partial)) {
            Ok(line) => Input::Line(line),
            Err(_) => Input::Invalid("a line is not UTF-8: nothing was sent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the pieces and the end, and names what came: the line, `?` or `.`.
    fn check(pieces: &[&[u8]], expected: &[&str]) {
        let (mut buffer, mut inputs) = (LineBuffer::default(), Vec::new());
        for piece in pieces {
            buffer.push_bytes(piece, &mut inputs);
        }
        buffer.finish(&mut inputs);
        let names: Vec<&str> = inputs
            .iter()
            .map(|typed| match typed {
                Input::Line(line) => line,
                Input::Invalid(_) => "?",
                Input::Eof => ".",
                Input::Interrupt => "!",
            })
            .collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn bytes_are_split_into_lines() {
        check(&[b"a\nb\n"], &["a", "b", "."]);
        check(&[b"a", b"b\n", b"\nc"], &["ab", "", "c", "."]);
        check(&[b"gr\xc3", b"\xbcn\n"], &["grün", "."]);
        check(&[], &["."]);
    }

    #[test]
    fn invalid_line_does_not_affect_other_lines() {
        check(&[b"a\n\xff\nb\n"], &["a", "?", "b", "."]);
        let long = vec![b'x'; FRAME_BYTES_MAX / 2];
        check(&[&long, &long, b"x", b"y\nb\n"], &["?", "b", "."]);
        check(&[&long, &long, b"x"], &["?", "."]);
        let longest = String::from_utf8([&long[..], &long].concat()).expect("ASCII");
        check(&[&long, &long, b"\nb"], &[&longest, "b", "."]);
    }

    #[test]
    fn too_long_error_states_the_actual_limit() {
        let mut buffer = LineBuffer { is_too_long: true, ..LineBuffer::default() };
        let Input::Invalid(why) = buffer.take_line() else { panic!("a line that is too long") };
        assert!(why.contains(&FRAME_BYTES_MAX.to_string()), "{why}");
    }
}
