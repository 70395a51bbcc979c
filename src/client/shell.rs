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
use super::lines::Typed;
use crate::limits::{CLIENT_QUEUE_BYTES_MAX, READ_BYTES_PER_TURN};

/// What the user sees and types: the terminal, or a program at the other end of pipes.
pub(super) trait Front {
    /// Shows an event. An error says that nobody can see it any more; that is a failure unless it
    /// is [`ErrorKind::BrokenPipe`]: whoever looked has seen enough.
    fn show(&mut self, event: &Event) -> io::Result<()>;

    /// Readable when [`PlainHeader::read`] has something.
    fn input(&self) -> BorrowedFd<'_>;

    /// Appends what was typed; may block unless [`PlainHeader::input`] was readable.
    fn read(&mut self, typed: &mut Vec<Typed>) -> io::Result<()>;
}

/// What woke the loop.
struct Ready {
    signal: bool,
    socket: bool,
    input: bool,
}

struct Shell<'a> {
    socket: TcpStream,
    signals: UnixStream,
    app: &'a mut App,
    front: &'a mut dyn Front,
    start: Instant,
    buffer: Vec<u8>,
    unsent: Vec<u8>,
    writable: bool,
    input_open: bool,
    muted: bool,
    has_failed: bool,
}

/// Runs `app` over a connection that stands until it is over.
///
/// # Errors
/// When the system refuses what the loop is made of, not when the connection fails.
pub(super) fn run(socket: TcpStream, app: &mut App, front: &mut dyn Front) -> io::Result<Outcome> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    let mut shell = Shell {
        socket,
        signals: signals()?,
        app,
        front,
        start: Instant::now(),
        buffer: vec![0; READ_BYTES_PER_TURN],
        unsent: Vec::new(),
        writable: true,
        input_open: true,
        muted: false,
        has_failed: false,
    };
    shell.app.connected(Duration::ZERO);
    loop {
        shell.app.advance(shell.start.elapsed());
        shell.unsent.append(&mut shell.app.take_output());
        shell.write();
        shell.show();
        if let Some(outcome) = shell.app.outcome() {
            return Ok(if shell.has_failed { Outcome::Failed } else { outcome });
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
    fn wait(&self) -> io::Result<Ready> {
        let mut interest = PollFlags::POLLIN;
        interest.set(PollFlags::POLLOUT, self.writable && !self.unsent.is_empty());
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.socket.as_fd(), interest),
        ];
        let has_room = self.unsent.len() < CLIENT_QUEUE_BYTES_MAX && !self.app.is_congested();
        if self.input_open && has_room {
            fds.push(PollFd::new(self.front.input(), PollFlags::POLLIN));
        }
        match poll(&mut fds, self.timeout()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Besides data, an end and an error are found by reading.
        let is_ready = |fd: &PollFd<'_>| fd.any() == Some(true);
        let reads = |fd: &PollFd<'_>| {
            fd.revents().is_some_and(|events| events.intersects(!PollFlags::POLLOUT))
        };
        Ok(Ready {
            signal: is_ready(&fds[0]),
            socket: reads(&fds[1]),
            input: fds.get(2).is_some_and(is_ready),
        })
    }

    /// Until the next deadline, in whole milliseconds that do not end before it.
    fn timeout(&self) -> PollTimeout {
        let Some(deadline) = self.app.next_deadline() else {
            return PollTimeout::NONE;
        };
        let left = deadline.saturating_sub(self.start.elapsed());
        let millis = left.as_nanos().div_ceil(1_000_000);
        PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
    }

    /// Writes what the socket takes. A failure is left for the read to explain: the server may have
    /// said why before it closed.
    fn write(&mut self) {
        while self.writable && !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.writable = false,
            }
        }
        if self.writable && self.unsent.is_empty() && self.app.ends_stream() {
            // Not closed: a close loses what was sent when there is something left to read.
            let _ = self.socket.shutdown(Shutdown::Write);
            self.writable = false;
        }
        self.app.set_unsent(self.start.elapsed(), self.unsent.len());
    }

    fn read(&mut self) {
        let now = self.start.elapsed();
        match self.socket.read(&mut self.buffer) {
            Ok(0) => self.app.closed(now, "the server closed the connection"),
            Ok(len) => self.app.receive(now, &self.buffer[..len]),
            Err(error) if is_transient(&error) => {}
            Err(error) => {
                let why = format!("the connection was lost: {}", reason(&error));
                self.app.closed(now, &why);
            }
        }
    }

    fn read_input(&mut self) {
        let now = self.start.elapsed();
        let mut typed = Vec::new();
        if let Err(error) = self.front.read(&mut typed) {
            if is_transient(&error) {
                return;
            }
            typed.push(Typed::End);
        }
        for typed in typed {
            match typed {
                Typed::Line(line) => self.app.line(now, &line),
                Typed::Unreadable(why) => self.app.refuse_line(why),
                Typed::End => {
                    self.input_open = false;
                    self.app.end_of_input(now);
                }
                Typed::Interrupt => {
                    self.input_open = false;
                    self.app.interrupt(now);
                }
            }
        }
    }

    /// Shows what the app has to say. When nobody can see it any more, leaves.
    fn show(&mut self) {
        while let Some(event) = self.app.poll_event() {
            if self.muted {
                continue;
            }
            if let Err(error) = self.front.show(&event) {
                self.muted = true;
                self.has_failed = error.kind() != ErrorKind::BrokenPipe;
                if self.has_failed {
                    complain(&error);
                }
                self.app.interrupt(self.start.elapsed());
                self.unsent.append(&mut self.app.take_output());
                self.write();
            }
        }
    }

    fn on_signal(&mut self) {
        // One is enough; what else is in the pipe says the same.
        let _ = self.signals.read(&mut self.buffer);
        self.app.interrupt(self.start.elapsed());
    }
}

/// A pipe that becomes readable when the user or the system wants the client to end.
fn signals() -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    read.set_nonblocking(true)?;
    Ok(read)
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Says on standard error that what happens cannot be shown.
pub(super) fn complain(error: &io::Error) {
    // Whoever does not listen there has the exit code.
    let _ = writeln!(io::stderr(), "crc: cannot write the output: {}", reason(error));
}

/// What an error says to people: without the system's number for it.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}
