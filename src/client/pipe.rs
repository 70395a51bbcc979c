//! The frontend between two pipes: lines from standard input, events to standard output.
//!
//! With `--json` standard output carries one object a line and nothing else, errors included.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use super::human::Style;
use super::shell::Frontend;
use crate::limits::FRAME_BYTES_MAX;
use crate::ui::{Input, PipeInput, write_all};
use crate::vocabulary::Event;

/// A frontend without a line editor.
pub(super) struct PipeFrontend {
    input: PipeInput,
    json: bool,
}

impl PipeFrontend {
    /// Opens standard input.
    ///
    /// # Errors
    /// Standard input is closed.
    pub(super) fn open(json: bool) -> io::Result<Self> {
        Ok(Self { input: PipeInput::open(FRAME_BYTES_MAX)?, json })
    }
}

impl Frontend for PipeFrontend {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        print_event(self.json, event)
    }

    fn input_fd(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    fn read_input(&mut self, inputs: &mut Vec<Input>) -> io::Result<()> {
        self.input.read(inputs)
    }
}

/// Writes an event to standard output, or an error without `json` to standard error.
pub(super) fn print_event(json: bool, event: &Event) -> io::Result<()> {
    format_line(json, event).write()
}

/// Returns an event as the line that is written for it.
pub(super) fn format_line(json: bool, event: &Event) -> OutputLine {
    let style = Style { colour: false };
    let (text, is_error) = match event {
        event if json => (event.to_json(), false),
        Event::Error { text } => (format!("crc: {text}"), true),
        event => (style.format_event(event, None), false),
    };
    OutputLine { text: text + "\n", is_error }
}

/// A line for standard output or standard error.
pub(super) struct OutputLine {
    text: String,
    is_error: bool,
}

impl OutputLine {
    /// Returns the length in bytes, with the line end.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Writes the line. Blocks until the reader has taken it.
    pub(super) fn write(&self) -> io::Result<()> {
        if self.is_error {
            write_all(&io::stderr().lock(), self.text.as_bytes())
        } else {
            write_all(&io::stdout().lock(), self.text.as_bytes())
        }
    }
}
