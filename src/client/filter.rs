//! The client between two pipes: lines from standard input, events to standard output.
//!
//! With `--json` standard output carries one object a line and nothing else; errors are among them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::event::Event;
use super::human::Style;
use super::lines::{LineBuffer, Typed};
use super::shell::Front;

/// Bytes read from standard input at a time.
const READ_BYTES: usize = 16 * 1024;

/// Standard input and output, without a terminal's comforts.
pub(super) struct Filter {
    // A file and not `Stdin`, whose buffer would hide lines from `poll`.
    stdin: File,
    lines: LineBuffer,
    json: bool,
}

impl Filter {
    /// # Errors
    /// When standard input cannot be duplicated.
    pub(super) fn open(json: bool) -> io::Result<Self> {
        Ok(Self {
            stdin: File::from(io::stdin().as_fd().try_clone_to_owned()?),
            lines: LineBuffer::default(),
            json,
        })
    }
}

impl Front for Filter {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        show(self.json, event)
    }

    fn input(&self) -> BorrowedFd<'_> {
        self.stdin.as_fd()
    }

    fn read(&mut self, typed: &mut Vec<Typed>) -> io::Result<()> {
        let mut buffer = [0; READ_BYTES];
        match self.stdin.read(&mut buffer)? {
            0 => self.lines.end(typed),
            len => self.lines.feed(&buffer[..len], typed),
        }
        Ok(())
    }
}

/// Writes an event where it belongs, at once. Without `json`, errors go to standard error.
pub(super) fn show(json: bool, event: &Event) -> io::Result<()> {
    let plain = Style { colour: false };
    let (line, is_error) = match event {
        event if json => (event.to_json(), false),
        Event::Error { text } => (format!("crc: {text}"), true),
        event => (plain.line(event), false),
    };
    if is_error {
        return writeln!(io::stderr(), "{line}");
    }
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}
