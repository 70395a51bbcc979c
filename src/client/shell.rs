//! The event loop of the client: passes the socket, the user's input and signals to the [`App`].
//!
//! One thread waits for all of them in `poll`. The socket is non-blocking, so a slow server never
//! stops the reading of input. All decisions are those of the app.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::app::{App, Outcome};
use crate::limits::{CLIENT_QUEUE_BYTES_MAX, READ_BYTES_PER_TURN};
use crate::tls::{Read, TlsStream};
use crate::ui::{Input, is_transient};
use crate::vocabulary::Event;

/// The user's side of the client: a terminal, or pipes to another program.
pub(super) trait Frontend {
    /// Shows an event.
    ///
    /// # Errors
    /// The output is closed; the client then quits. [`ErrorKind::BrokenPipe`] is not a failure: the
    /// reader has read enough.
    fn show(&mut self, event: &Event) -> io::Result<()>;

    /// Returns a descriptor that is readable when [`Frontend::read_input`] has input.
    fn input_fd(&self) -> BorrowedFd<'_>;

    /// Appends the user's input to `inputs`. May block unless [`Frontend::input_fd`] is readable.
    ///
    /// # Errors
    /// The read failed.
    fn read_input(&mut self, inputs: &mut Vec<Input>) -> io::Result<()>;

    /// Handles that the lines read were handled, as far as they can be, or that the current room
    /// has changed.
    fn on_lines_handled(&mut self, _current_room: Option<&str>) {}
}

/// The sources of events that are ready.
struct Readiness {
    signal: bool,
    socket: bool,
    input: bool,
}

/// The state of the loop.
struct Shell<'a> {
    socket: TcpStream,
    /// `None` if the app's bytes are those of the socket.
    tls: Option<TlsStream>,
    signals: UnixStream,
    app: &'a mut App,
    frontend: &'a mut dyn Frontend,
    started_at: Instant,
    read_buffer: Vec<u8>,
    unsent: Vec<u8>,
    is_writable: bool,
    is_input_open: bool,
    /// The room that the frontend was told.
    shown_room: Option<String>,
    is_output_closed: bool,
    has_output_failed: bool,
    has_read: bool,
}

/// The first bytes of the alert with which a TLS server answers bytes that are none: its content
/// type, and the major version.
const TLS_ALERT: [u8; 2] = [0x15, 3];

/// Runs `app` over an established connection until it is closed.
///
/// # Errors
/// A system call of the loop failed. A failed connection is an [`Outcome`] instead.
pub(super) fn run(
    socket: TcpStream,
    tls: Option<TlsStream>,
    app: &mut App,
    frontend: &mut dyn Frontend,
) -> io::Result<Outcome> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    let mut shell = Shell {
        socket,
        tls,
        signals: signal_pipe()?,
        app,
        frontend,
        started_at: Instant::now(),
        read_buffer: vec![0; READ_BYTES_PER_TURN],
        unsent: Vec::new(),
        is_writable: true,
        is_input_open: true,
        shown_room: None,
        is_output_closed: false,
        has_output_failed: false,
        has_read: false,
    };
    shell.app.connected(Duration::ZERO);
    loop {
        shell.app.advance(shell.started_at.elapsed());
        shell.unsent.append(&mut shell.app.take_output());
        shell.write();
        shell.show();
        if shell.app.current_room() != shell.shown_room.as_deref() {
            shell.show_room();
        }
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
        interest.set(PollFlags::POLLOUT, self.is_writable && self.wants_write());
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
        // The end of the stream and errors are found by reading, too.
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

    /// Returns whether there are bytes that the socket may take now.
    fn wants_write(&self) -> bool {
        match &self.tls {
            Some(tls) if tls.is_handshaking() => tls.wants_write(),
            Some(tls) => tls.wants_write() || !self.unsent.is_empty(),
            None => !self.unsent.is_empty(),
        }
    }

    /// Returns the time until the next deadline, rounded up to milliseconds.
    fn timeout(&self) -> PollTimeout {
        let Some(deadline) = self.app.next_deadline() else {
            return PollTimeout::NONE;
        };
        let remaining = deadline.saturating_sub(self.started_at.elapsed());
        let millis = remaining.as_nanos().div_ceil(1_000_000);
        PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
    }

    /// Writes until the socket accepts no more. A failure is reported by the next read, which also
    /// returns what the server sent before it closed.
    fn write(&mut self) {
        while self.is_writable && self.wants_write() {
            let written = match &mut self.tls {
                Some(tls) => tls.write(&mut self.socket, &self.unsent),
                None => self.socket.write(&self.unsent),
            };
            match written {
                Ok(0) => break,
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.is_writable = false,
            }
        }
        if self.is_writable && self.unsent.is_empty() && self.app.wants_write_shutdown() {
            if let Some(tls) = &mut self.tls {
                tls.close(&mut self.socket);
            }
            // A close would discard sent bytes if received ones are unread.
            let _ = self.socket.shutdown(Shutdown::Write);
            self.is_writable = false;
        }
        self.app.set_unsent_bytes(self.started_at.elapsed(), self.unsent.len());
    }

    fn read(&mut self) {
        // Decrypted bytes that are left make no socket readable.
        while !self.read_once() {}
    }

    /// Reads once. Returns whether nothing is left, but for what the socket reports.
    fn read_once(&mut self) -> bool {
        let now = self.started_at.elapsed();
        let read = match &mut self.tls {
            Some(tls) => tls.read(&mut self.socket, &mut self.read_buffer),
            None => {
                let count = self.socket.read(&mut self.read_buffer);
                count.map(|count| Read { count, is_drained: true })
            }
        };
        match read {
            Ok(Read { count: 0, .. }) => {
                let is_handshaking = self.tls.as_ref().is_some_and(TlsStream::is_handshaking);
                self.app.closed(now, match is_handshaking {
                    true => {
                        "the server closed the connection instead of answering in TLS: perhaps it \
                         has no TLS there; try the scheme without its final s"
                    }
                    false => "the server closed the connection",
                });
            }
            Ok(Read { count, .. }) if self.answers_in_tls(count) => {
                self.app.closed(
                    now,
                    "the server speaks TLS there: connect with crcs://, directs:// or classics://",
                );
            }
            Ok(Read { count, is_drained }) => {
                self.has_read = true;
                self.app.receive(now, &self.read_buffer[..count]);
                return is_drained;
            }
            Err(error) if is_transient(&error) => {}
            Err(error) => {
                let why = format!("the connection was lost: {}", error_text(&error));
                self.app.closed(now, &why);
            }
        }
        true
    }

    /// Returns whether the first `count` bytes that were read, without TLS, are an alert of TLS.
    fn answers_in_tls(&self, count: usize) -> bool {
        let is_first = self.tls.is_none() && !self.has_read;
        is_first && self.read_buffer[..count].starts_with(&TLS_ALERT)
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
        self.show_room();
    }

    fn show_room(&mut self) {
        self.shown_room = self.app.current_room().map(str::to_owned);
        self.frontend.on_lines_handled(self.shown_room.as_deref());
    }

    /// Shows the app's events. Quits when the output is closed.
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
        // All signals in the pipe have the same meaning.
        let _ = self.signals.read(&mut self.read_buffer);
        self.app.interrupt(self.started_at.elapsed());
    }
}

/// Returns a pipe that becomes readable on SIGHUP, SIGINT and SIGTERM.
fn signal_pipe() -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    read.set_nonblocking(true)?;
    Ok(read)
}

/// Reports on standard error that events cannot be written.
pub(super) fn report_output_error(error: &io::Error) {
    // If this fails too, the exit code remains.
    let _ = writeln!(io::stderr(), "crc: cannot write the output: {}", error_text(error));
}

/// Returns the text of an error without the number of the system.
pub(super) fn error_text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    }
}
