//! The operator's terminal: lines on standard input are commands, their answers go to standard
//! output. The end of input ends the console, not the server.
//!
//! Standard input keeps its blocking mode, as it may be shared with other programs: one read is made
//! for each event, and registering anew asks the system whether there is more.

use std::io::{self, BufRead as _, Write as _};
use std::os::fd::AsRawFd as _;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::limits::OPERATOR_LINE_BYTES_MAX;
use crate::node::Node;
use crate::operator::{self, Format};
use crate::relay::Time;

/// Standard input as the poll loop sees it.
pub(super) struct Console {
    line: Vec<u8>,
    is_ready: bool,
    /// A file or the like: always ready, and unknown to the poll loop.
    is_file: bool,
}

impl Console {
    /// `None` if there is no standard input.
    pub(super) fn open(registry: &Registry, token: Token) -> Option<Self> {
        let fd = io::stdin().as_raw_fd();
        let registered = registry.register(&mut SourceFd(&fd), token, Interest::READABLE);
        let is_file = match registered {
            Ok(()) => false,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => true,
            Err(_) => return None,
        };
        Some(Self { line: Vec::new(), is_ready: is_file, is_file })
    }

    pub(super) fn note_ready(&mut self) {
        self.is_ready = true;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Reads once, if there is something, and carries out the lines. Answers false at the end.
    pub(super) fn run(
        &mut self,
        node: &mut Node,
        now: Time,
        registry: &Registry,
        token: Token,
    ) -> bool {
        if !std::mem::replace(&mut self.is_ready, self.is_file) {
            return true;
        }
        if is_in_background() {
            return true; // the keys that are pressed now are for somebody else
        }
        let mut stdin = io::stdin().lock();
        let bytes = match stdin.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
            Err(_) => &[],
        };
        let count = bytes.len();
        let lines = self.take_lines(bytes);
        stdin.consume(count);
        let is_end = count == 0;
        for line in lines {
            carry_out(node, now, &line);
        }
        if is_end {
            carry_out(node, now, &std::mem::take(&mut self.line));
        }
        if self.is_file {
            return !is_end;
        }
        let fd = io::stdin().as_raw_fd();
        if is_end {
            let _ = registry.deregister(&mut SourceFd(&fd));
            return false;
        }
        registry.reregister(&mut SourceFd(&fd), token, Interest::READABLE).is_ok()
    }

    /// The lines that are whole now; the rest is kept.
    fn take_lines(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.line.extend_from_slice(bytes);
        let mut lines: Vec<Vec<u8>> =
            self.line.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
        self.line = lines.pop().unwrap_or_default();
        self.line.truncate(OPERATOR_LINE_BYTES_MAX);
        lines
    }
}

fn carry_out(node: &mut Node, now: Time, line: &[u8]) {
    let line = String::from_utf8_lossy(line);
    let (Ok(text) | Err(text)) = operator::answer(node, now, &line, Format::Text);
    // Nobody may be there to read the answer; the server goes on.
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// Whether standard input is a terminal that another job has now: reading it would stop us.
fn is_in_background() -> bool {
    match rustix::termios::tcgetpgrp(rustix::stdio::stdin()) {
        Ok(foreground) => foreground != rustix::process::getpgrp(),
        Err(_) => false,
    }
}
