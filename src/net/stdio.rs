//! Standard input, output and error, used without blocking.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::operator::LogTail;

pub(super) const STDIN: u32 = 0;
pub(super) const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// A standard stream that does not block, where the system allows that.
///
/// A pipe or terminal is reopened: `O_NONBLOCK` belongs to the open file description, which other
/// programs may share. On a socket each call is non-blocking. A regular file never blocks.
pub(super) enum Stdio {
    /// A file, or a reopened pipe or terminal.
    File(File),
    /// A socket.
    Socket(OwnedFd),
}

impl Stdio {
    /// Opens a standard stream. Returns `None` if it is closed.
    pub(super) fn open(fd_number: u32) -> Option<Self> {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let fd: BorrowedFd<'_> = match fd_number {
            STDIN => stdin.as_fd(),
            STDOUT => stdout.as_fd(),
            _ => stderr.as_fd(),
        };
        let inherited = File::from(fd.try_clone_to_owned().ok()?);
        let kind = inherited.metadata().ok()?.file_type();
        if kind.is_socket() {
            return Some(Self::Socket(inherited.into()));
        }
        if !kind.is_fifo() && !kind.is_char_device() {
            return Some(Self::File(inherited));
        }
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let reopened = OpenOptions::new()
            .read(fd_number == STDIN)
            .write(fd_number != STDIN)
            .custom_flags(flags.bits().cast_signed())
            .open(format!("/proc/self/fd/{fd_number}"));
        Some(Self::File(reopened.unwrap_or(inherited)))
    }
}

impl AsFd for Stdio {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::File(file) => file.as_fd(),
            Self::Socket(socket) => socket.as_fd(),
        }
    }
}

impl Read for Stdio {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Socket(socket) => Ok(recv(socket, buffer, RecvFlags::DONTWAIT)?.0),
        }
    }
}

impl Write for Stdio {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Socket(socket) => {
                Ok(send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The last lines of the log.
static LOG_TAIL: Mutex<LogTail> = Mutex::new(LogTail::new());

/// Returns the last lines of the log.
pub(super) fn log_tail() -> MutexGuard<'static, LogTail> {
    LOG_TAIL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The destination of the log: standard error. Lines that its reader does not take in time are
/// dropped and counted, since logging must not block the loop.
pub struct LogSink {
    stderr: Option<Stdio>,
    dropped: u64,
}

impl LogSink {
    /// Opens standard error.
    #[must_use]
    pub fn open() -> Self {
        Self { stderr: Stdio::open(STDERR), dropped: 0 }
    }
}

impl Write for LogSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        log_tail().push(line);
        let Some(stderr) = &mut self.stderr else { return Ok(line.len()) };
        if self.dropped > 0 {
            let notice = format!(
                "… {} lines of the log were dropped: standard error was not read\n",
                self.dropped
            );
            match stderr.write(notice.as_bytes()) {
                Ok(_) => self.dropped = 0,
                Err(_) => {
                    self.dropped += 1;
                    return Ok(line.len());
                }
            }
        }
        match stderr.write(line) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                self.dropped += 1;
                Ok(line.len())
            }
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
