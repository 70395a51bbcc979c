//! Cuts what a program pipes in into lines.

use crate::limits::FRAME_BYTES_MAX;

/// What was typed, or came instead of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// A line without its line end.
    Line(String),
    /// A line that nobody can carry out, and why.
    Unreadable(&'static str),
    /// No more lines come.
    End,
    /// The user wants to leave at once.
    Interrupt,
}

/// The bytes of a line whose end has not come; never more than the longest that can be sent.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    partial: Vec<u8>,
    too_long: bool,
}

impl LineBuffer {
    /// Takes the next bytes and appends the lines that they complete to `typed`.
    pub(super) fn feed(&mut self, bytes: &[u8], typed: &mut Vec<Typed>) {
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.add(piece);
            typed.push(self.take());
        }
        self.add(last);
    }

    /// The input has ended: a last line without its line end counts.
    pub(super) fn end(&mut self, typed: &mut Vec<Typed>) {
        if self.too_long || !self.partial.is_empty() {
            typed.push(self.take());
        }
        typed.push(Typed::End);
    }

    fn add(&mut self, piece: &[u8]) {
        if self.too_long || self.partial.len() + piece.len() > FRAME_BYTES_MAX {
            self.too_long = true;
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(piece);
        }
    }

    fn take(&mut self) -> Typed {
        if std::mem::take(&mut self.too_long) {
            return Typed::Unreadable("a line is too long: servers take messages of 1048576 bytes");
        }
        match String::from_utf8(std::mem::take(&mut self.partial)) {
            Ok(line) => Typed::Line(line),
            Err(_) => Typed::Unreadable("a line is not UTF-8: nothing was sent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the pieces and the end, and names what came: the line, `?` or `.`.
    fn check(pieces: &[&[u8]], expected: &[&str]) {
        let (mut buffer, mut typed) = (LineBuffer::default(), Vec::new());
        for piece in pieces {
            buffer.feed(piece, &mut typed);
        }
        buffer.end(&mut typed);
        let names: Vec<&str> = typed
            .iter()
            .map(|typed| match typed {
                Typed::Line(line) => line,
                Typed::Unreadable(_) => "?",
                Typed::End => ".",
                Typed::Interrupt => "!",
            })
            .collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn cuts_lines() {
        check(&[b"a\nb\n"], &["a", "b", "."]);
        check(&[b"a", b"b\n", b"\nc"], &["ab", "", "c", "."]);
        check(&[b"gr\xc3", b"\xbcn\n"], &["grün", "."]);
        check(&[], &["."]);
    }

    #[test]
    fn one_bad_line_costs_only_itself() {
        check(&[b"a\n\xff\nb\n"], &["a", "?", "b", "."]);
        let long = vec![b'x'; FRAME_BYTES_MAX / 2];
        check(&[&long, &long, b"x", b"y\nb\n"], &["?", "b", "."]);
        check(&[&long, &long, b"x"], &["?", "."]);
        let longest = String::from_utf8([&long[..], &long].concat()).expect("ASCII");
        check(&[&long, &long, b"\nb"], &[&longest, "b", "."]);
    }

    #[test]
    fn the_bound_is_the_one_it_names() {
        let mut buffer = LineBuffer { too_long: true, ..LineBuffer::default() };
        let Typed::Unreadable(why) = buffer.take() else { panic!("a line that is too long") };
        assert!(why.contains(&FRAME_BYTES_MAX.to_string()), "{why}");
    }
}
