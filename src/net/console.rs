//! The operator's console: lines on standard input are commands, and their answers go to standard
//! output. The end of input ends the console, not the server.
//!
//! Neither stream blocks the loop, see [`Stdio`]. Output that is not read yet is buffered, and no
//! further command is read while there is [`OPERATOR_OUTPUT_BYTES_MAX`] of it.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::reload::Reloader;
use super::stdio::{STDIN, STDOUT, Stdio};
use crate::limits::{OPERATOR_LINE_BYTES_MAX, OPERATOR_OUTPUT_BYTES_MAX};
use crate::link::Time;
use crate::node::Node;
use crate::operator::{self, Answer, CommandResult, Format, PendingTrace, render_reload};
use crate::ui::{InvalidLine, LineSplitter};

/// Standard input and output in the poll loop.
pub(super) struct Console {
    input: Stdio,
    output: Stdio,
    lines: LineSplitter,
    /// Commands that wait for the answer to the one before them.
    queued: VecDeque<Result<Vec<u8>, InvalidLine>>,
    /// A command whose answer is asked from other servers.
    pending: Option<PendingTrace>,
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
            lines: LineSplitter::new(OPERATOR_LINE_BYTES_MAX),
            queued: VecDeque::new(),
            pending: None,
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
        self.is_ready
            && !self.is_at_eof
            && self.pending.is_none()
            && self.pending_output.len() < OPERATOR_OUTPUT_BYTES_MAX
    }

    /// When [`Console::run`] has something to do if no event comes.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.pending.as_ref().map(PendingTrace::deadline)
    }

    /// Whether [`Console::run`] has something to do.
    pub(super) fn has_work(&self) -> bool {
        self.is_ready()
            || self.pending.is_some()
            || self.is_at_eof
            || !self.pending_output.is_empty()
    }

    /// Writes pending output, reads once, and executes the lines. Returns false once input has
    /// ended and all output is written.
    pub(super) fn run(
        &mut self,
        node: &mut Node,
        now: Time,
        registry: &Registry,
        reloader: &mut Reloader,
        (token, output_token): (Token, Token),
    ) -> bool {
        self.execute_queued(node, now, reloader);
        self.write(registry, output_token);
        if self.is_at_eof {
            return self.pending.is_some() || !self.pending_output.is_empty();
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
        let queued = &mut self.queued;
        self.lines.push(&buffer[..count], |line| queued.push_back(line));
        if count == 0 {
            self.queued.extend(self.lines.finish());
        }
        self.execute_queued(node, now, reloader);
        self.write(registry, output_token);
        let fd = self.input.as_fd().as_raw_fd();
        if count == 0 {
            self.is_at_eof = true;
            let _ = registry.deregister(&mut SourceFd(&fd)); // fails for a file
            return self.pending.is_some() || !self.pending_output.is_empty();
        }
        // Registering again reports input that is there already.
        self.is_always_ready
            || registry.reregister(&mut SourceFd(&fd), token, Interest::READABLE).is_ok()
    }

    /// Executes the queued commands, up to one whose answer has to be waited for.
    fn execute_queued(&mut self, node: &mut Node, now: Time, reloader: &mut Reloader) {
        if let Some(pending) = &self.pending {
            let Some(result) = pending.poll(node, now) else { return };
            self.pending = None;
            self.print(result);
        }
        while self.pending.is_none()
            && let Some(line) = self.queued.pop_front()
        {
            match execute(node, now, line) {
                Answer::Ready(result) => self.print(result),
                Answer::Reload(format) => {
                    self.print(render_reload(reloader.reload(node, "operator"), format));
                }
                Answer::Pending(pending) => self.pending = Some(pending),
            }
        }
    }

    fn print(&mut self, result: CommandResult) {
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

/// Executes one line. An empty one has an empty answer.
fn execute(node: &mut Node, now: Time, line: Result<Vec<u8>, InvalidLine>) -> Answer {
    match line {
        Ok(line) => operator::execute(node, now, &String::from_utf8_lossy(&line), Format::Text),
        Err(_) => Answer::Ready(Err(format!(
            "a command has at most {OPERATOR_LINE_BYTES_MAX} bytes; write a shorter one\n"
        ))),
    }
}

/// Whether standard input is a terminal whose foreground job is another one. Reading it would stop
/// this process.
fn is_in_background(input: &Stdio) -> bool {
    match rustix::termios::tcgetpgrp(input) {
        Ok(foreground) => foreground != rustix::process::getpgrp(),
        Err(_) => false,
    }
}
