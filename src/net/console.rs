//! The operator's console: lines on standard input are commands, and their answers go to standard
//! output. The end of input ends the console, not the server.
//!
//! Neither stream blocks the loop, see [`Stdio`]. Output that is not read yet is buffered, and no
//! further command is read while there is [`OPERATOR_OUTPUT_BYTES_MAX`] of it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::stdio::{STDIN, STDOUT, Stdio};
use crate::limits::{OPERATOR_LINE_BYTES_MAX, OPERATOR_OUTPUT_BYTES_MAX};
use crate::link::Time;
use crate::node::Node;
use crate::operator::{self, CommandResult, Format};

/// Standard input and output in the poll loop.
pub(super) struct Console {
    input: Stdio,
    output: Stdio,
    line: LineBuffer,
    pending_output: Vec<u8>,
    is_ready: bool,
    /// Input is a regular file, which cannot be polled and is always ready.
    is_always_ready: bool,
    /// Output was full once and is registered for events since.
    is_output_registered: bool,
    /// Input has ended; the remaining answers are still written.
    is_at_eof: bool,
}

impl Console {
    /// Opens the console. Returns `None` if standard input or output is closed or cannot be polled.
    pub(super) fn open(registry: &Registry, token: Token) -> Option<Self> {
        let (input, output) = (Stdio::open(STDIN)?, Stdio::open(STDOUT)?);
        let fd = input.as_fd().as_raw_fd();
        let is_always_ready = match registry.register(&mut SourceFd(&fd), token, Interest::READABLE)
        {
            Ok(()) => false,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => true,
            Err(_) => return None,
        };
        Some(Self {
            input,
            output,
            line: LineBuffer::default(),
            pending_output: Vec::new(),
            is_ready: is_always_ready,
            is_always_ready,
            is_output_registered: false,
            is_at_eof: false,
        })
    }

    pub(super) fn set_ready(&mut self) {
        self.is_ready = true;
    }

    /// Whether there may be a command to read.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready && !self.is_at_eof && self.pending_output.len() < OPERATOR_OUTPUT_BYTES_MAX
    }

    /// Whether [`Console::run`] has something to do.
    pub(super) fn has_work(&self) -> bool {
        self.is_ready() || self.is_at_eof || !self.pending_output.is_empty()
    }

    /// Writes pending output, reads once, and executes the lines. Returns false once input has ended
    /// and all output is written.
    pub(super) fn run(
        &mut self,
        node: &mut Node,
        now: Time,
        registry: &Registry,
        (token, output_token): (Token, Token),
    ) -> bool {
        self.write(registry, output_token);
        if self.is_at_eof {
            return !self.pending_output.is_empty();
        }
        if !self.is_ready() {
            return true;
        }
        self.is_ready = self.is_always_ready;
        if is_in_background(&self.input) {
            return true; // the terminal's input belongs to another job
        }
        let mut buffer = [0; 4096];
        let count = match self.input.read(&mut buffer) {
            Ok(count) => count,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => return true,
                _ => 0,
            },
        };
        for &byte in &buffer[..count] {
            if let Some(line) = self.line.push(byte) {
                self.execute(node, now, line);
            }
        }
        if count == 0
            && let Some(line) = self.line.push(b'\n')
        {
            self.execute(node, now, line); // the last line needs no newline
        }
        self.write(registry, output_token);
        let fd = self.input.as_fd().as_raw_fd();
        if count == 0 {
            self.is_at_eof = true;
            let _ = registry.deregister(&mut SourceFd(&fd)); // fails for a file
            return !self.pending_output.is_empty();
        }
        // Registering again reports input that is there already.
        self.is_always_ready
            || registry.reregister(&mut SourceFd(&fd), token, Interest::READABLE).is_ok()
    }

    fn execute(&mut self, node: &mut Node, now: Time, line: Result<Vec<u8>, String>) {
        let result: CommandResult = line.and_then(|line| {
            operator::execute(node, now, &String::from_utf8_lossy(&line), Format::Text)
        });
        let (Ok(text) | Err(text)) = result;
        self.pending_output.extend_from_slice(text.as_bytes());
    }

    fn write(&mut self, registry: &Registry, token: Token) {
        while !self.pending_output.is_empty() {
            match self.output.write(&self.pending_output) {
                Ok(count) => drop(self.pending_output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.is_output_registered {
                        let fd = self.output.as_fd().as_raw_fd();
                        let interest = Interest::WRITABLE;
                        let registration = registry.register(&mut SourceFd(&fd), token, interest);
                        self.is_output_registered = registration.is_ok();
                    }
                    return;
                }
                Err(_) => self.pending_output.clear(), // the reader is gone
            }
        }
    }
}

/// An incomplete line.
#[derive(Default)]
struct LineBuffer {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl LineBuffer {
    /// Adds a byte. Returns the line that it ends, unless the line is empty; an error if the line was
    /// too long.
    fn push(&mut self, byte: u8) -> Option<Result<Vec<u8>, String>> {
        if byte != b'\n' {
            self.is_too_long |= self.bytes.len() == OPERATOR_LINE_BYTES_MAX;
            if !self.is_too_long {
                self.bytes.push(byte);
            }
            return None;
        }
        let bytes = std::mem::take(&mut self.bytes);
        if std::mem::take(&mut self.is_too_long) {
            return Some(Err(format!(
                "a command has at most {OPERATOR_LINE_BYTES_MAX} bytes; write a shorter one\n"
            )));
        }
        (!bytes.is_empty()).then_some(Ok(bytes))
    }
}

/// Whether standard input is a terminal whose foreground job is another one. Reading it would stop this
/// process.
fn is_in_background(input: &Stdio) -> bool {
    match rustix::termios::tcgetpgrp(input) {
        Ok(foreground) => foreground != rustix::process::getpgrp(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_lines(text: &[u8]) -> Vec<Result<Vec<u8>, String>> {
        let mut line = LineBuffer::default();
        text.iter().filter_map(|&byte| line.push(byte)).collect()
    }

    #[test]
    fn overlong_console_line_is_refused_and_the_next_one_is_accepted() {
        assert_eq!(
            split_lines(b"users\n\nlinks\nnum"),
            [Ok(b"users".to_vec()), Ok(b"links".to_vec())]
        );
        let longest = vec![b'x'; OPERATOR_LINE_BYTES_MAX];
        assert_eq!(split_lines(&[&longest[..], b"\n"].concat()), [Ok(longest.clone())]);
        let refused = split_lines(&[&longest[..], b"shutdown\nusers\n"].concat());
        assert!(refused[0].as_ref().is_err_and(|error| error.contains("at most 65536")));
        assert_eq!(refused[1..], [Ok(b"users".to_vec())]);
    }
}
