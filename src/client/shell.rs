//! The one loop of the client: socket, lines and signals in, through the app, and out again.
//!
//! One thread waits for all of them in `poll`, so a write that would block waits beside the reads
//! and can stop none of them. It decides nothing; the app does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::app::{App, Outcome};
use super::event::Event;
use crate::limits::{CLIENT_QUEUE_BYTES_MAX, READ_BYTES_PER_TURN};
use crate::ui::{Input, is_transient};

/// What the user sees and types: the terminal, or a program at the other end of pipes.
pub(super) trait Frontend {
    /// Shows an event. An error says that nobody can see it any more; that is a failure unless it
    /// is [`ErrorKind::BrokenPipe`]: whoever looked has seen enough.
    fn show(&mut self, event: &Event) -> io::Result<()>;

    /// Readable when [`PlainHeader::read`] has something.
    fn input_fd(&self) -> BorrowedFd<'_>;

    /// Appends what was typed; may block unless [`PlainHeader::input`] was readable.
    fn read_input(&mut self, inputs: &mut Vec<Input>) -> io::Result<()>;
}

/// What woke the loop.
struct Readiness {
    signal: bool,
    socket: bool,
    input: bool,
}

struct Shell<'a> {
    socket: TcpStream,
    signals: UnixStream,
    app: &'a mut App,
    frontend: &'a mut dyn Frontend,
    started_at: Instant,
    read_buffer: Vec<u8>,
    unsent: Vec<u8>,
    is_writable: bool,
    is_input_open: bool,
    is_output_closed: bool,
    has_output_failed: bool,
}

/// Runs `app` over a connection that stands until it is over.
///
/// # Errors
/// When the system refuses what the loop is made of, not when the connection fails.
pub(super) fn run(
    socket: TcpStream,
    app: &mut App,
    frontend: &mut dyn Frontend,
) -> io::Result<Outcome> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    let mut shell = Shell {
        socket,
        signals: signal_pipe()?,
        app,
        frontend,
        started_at: Instant::now(),
        read_buffer: vec![0; READ_BYTES_PER_TURN],
        unsent: Vec::new(),
        is_writable: true,
        is_input_open: true,
        is_output_closed: false,
        has_output_failed: false,
    };
    shell.app.connected(Duration::ZERO);
    loop {
        shell.app.advance(shell.started_at.elapsed());
        shell.unsent.append(&mut shell.app.take_output());
        shell.write();
        shell.show();
        if let Some(outcome) = shell.app.outcome() {
            return Ok(if shell.has_output_failed { Outcome::Failed } else { outcome });
        }
        let ready = shell.wait()?;
        if ready.signal {
            shell.on_signal();
        }
        if ready.socket {
            shell.read();
        }
        if ready.input {
            shell.read_input();
        }
    }
}

impl Shell<'_> {
    fn wait(&self) -> io::Result<Readiness> {
        let mut interest = PollFlags::POLLIN;
        interest.set(PollFlags::POLLOUT, self.is_writable && !self.unsent.is_empty());
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.socket.as_fd(), interest),
        ];
        let has_room =
            self.unsent.len() < CLIENT_QUEUE_BYTES_MAX && !self.app.is_above_high_water();
        if self.is_input_open && has_room {
            fds.push(PollFd::new(self.frontend.input_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, self.timeout()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Besides data, an end and an error are found by reading.
        let is_ready = |fd: &PollFd<'_>| fd.any() == Some(true);
        let is_readable = |fd: &PollFd<'_>| {
            fd.revents().is_some_and(|events| events.intersects(!PollFlags::POLLOUT))
        };
        Ok(Readiness {
            signal: is_ready(&fds[0]),
            socket: is_readable(&fds[1]),
            input: fds.get(2).is_some_and(is_ready),
        })
    }

    /// Until the next deadline, in whole milliseconds that do not end before it.
    fn timeout(&self) -> PollTimeout {
        let Some(deadline) = self.app.next_deadline() else {
            return PollTimeout::NONE;
        };
        let remaining = deadline.saturating_sub(self.started_at.elapsed());
        let millis = remaining.as_nanos().div_ceil(1_000_000);
        PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
    }

    /// Writes what the socket takes. A failure is left for the read to explain: the server may have
    /// said why before it closed.
    fn write(&mut self) {
        while self.is_writable && !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.is_writable = false,
            }
        }
        if self.is_writable && self.unsent.is_empty() && self.app.wants_write_shutdown() {
            // Not closed: a close loses what was sent when there is something left to read.
            let _ = self.socket.shutdown(Shutdown::Write);
            self.is_writable = false;
        }
        self.app.set_unsent_bytes(self.started_at.elapsed(), self.unsent.len());
    }

    fn read(&mut self) {
        let now = self.started_at.elapsed();
        match self.socket.read(&mut self.read_buffer) {
            Ok(0) => self.app.closed(now, "the server closed the connection"),
            Ok(len) => self.app.receive(now, &self.read_buffer[..len]),
            Err(error) if is_transient(&error) => {}
            Err(error) => {
                let why = format!("the connection was lost: {}", error_text(&error));
                self.app.closed(now, &why);
            }
        }
    }

    fn read_input(&mut self) {
        let now = self.started_at.elapsed();
        let mut inputs = Vec::new();
        if let Err(error) = self.frontend.read_input(&mut inputs) {
            if is_transient(&error) {
                return;
            }
            inputs.push(Input::Eof);
        }
        for input in inputs {
            match input {
                Input::Line(line) => self.app.push_line(now, &line),
                Input::Invalid(error) => self.app.report_error(&error.to_string()),
                Input::Eof => {
                    self.is_input_open = false;
                    self.app.end_input(now);
                }
                Input::Interrupt => {
                    self.is_input_open = false;
                    self.app.interrupt(now);
                }
            }
        }
    }

    /// Shows what the app has to say. When nobody can see it any more, leaves.
    fn show(&mut self) {
        while let Some(event) = self.app.poll_event() {
            if self.is_output_closed {
                continue;
            }
            if let Err(error) = self.frontend.show(&event) {
                self.is_output_closed = true;
                self.has_output_failed = error.kind() != ErrorKind::BrokenPipe;
                if self.has_output_failed {
                    report_output_error(&error);
                }
                self.app.interrupt(self.started_at.elapsed());
                self.unsent.append(&mut self.app.take_output());
                self.write();
            }
        }
    }

    fn on_signal(&mut self) {
        // One is enough; what else is in the pipe says the same.
        let _ = self.signals.read(&mut self.read_buffer);
        self.app.interrupt(self.started_at.elapsed());
    }
}

/// A pipe that becomes readable when the user or the system wants the client to end.
fn signal_pipe() -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    read.set_nonblocking(true)?;
    Ok(read)
}

/// Says on standard error that what happens cannot be shown.
pub(super) fn report_output_error(error: &io::Error) {
    // Whoever does not listen there has the exit code.
    let _ = writeln!(io::stderr(), "crc: cannot write the output: {}", error_text(error));
}

/// What an error says to people: without the system's number for it.
pub(super) fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}
