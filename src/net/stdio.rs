//! Standard input, output and error, used without ever waiting for the other end.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};

use rustix::fs::OFlags;

pub(super) const STDIN: u32 = 0;
pub(super) const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// One of the three, so that reading and writing it does not wait, if the system can do that.
///
/// A pipe or terminal is opened anew: its mode is a property of what was opened, which other programs
/// may share. A file never waits, and is used as it is; so is a socket, which cannot be opened.
pub(super) fn unblocked(number: u32) -> Option<File> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let fd: BorrowedFd<'_> = match number {
        STDIN => stdin.as_fd(),
        STDOUT => stdout.as_fd(),
        _ => stderr.as_fd(),
    };
    let shared = File::from(fd.try_clone_to_owned().ok()?);
    let kind = shared.metadata().ok()?.file_type();
    if !kind.is_fifo() && !kind.is_char_device() {
        return Some(shared);
    }
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let anew = OpenOptions::new()
        .read(number == STDIN)
        .write(number != STDIN)
        .custom_flags(flags.bits().cast_signed())
        .open(format!("/proc/self/fd/{number}"));
    Some(anew.unwrap_or(shared))
}

/// Where the log goes: standard error. What its reader does not take in time is dropped and
/// counted, as the server waits for nobody.
pub struct LogSink {
    file: Option<File>,
    dropped: u64,
}

impl LogSink {
    /// Opens standard error.
    #[must_use]
    pub fn open() -> Self {
        Self { file: unblocked(STDERR), dropped: 0 }
    }
}

impl Write for LogSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else { return Ok(line.len()) };
        if self.dropped > 0 {
            let note =
                format!("… {} lines of the log were dropped: nobody read them\n", self.dropped);
            match file.write(note.as_bytes()) {
                Ok(_) => self.dropped = 0,
                Err(_) => {
                    self.dropped += 1;
                    return Ok(line.len());
                }
            }
        }
        match file.write(line) {
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
