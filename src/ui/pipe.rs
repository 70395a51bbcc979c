//! Standard input and output that are not a terminal.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd;

use super::lines::{Input, LineSplitter};

/// Bytes read from standard input at a time.
const READ_BYTES: usize = 16 * 1024;

/// Lines from standard input.
///
/// Reads the descriptor itself: the buffer of [`io::Stdin`] would hide lines from `poll`.
#[derive(Debug)]
pub struct PipeInput {
    stdin: File,
    splitter: LineSplitter,
}

impl PipeInput {
    /// Opens standard input for lines of at most `line_bytes_max` bytes.
    ///
    /// # Errors
    /// Standard input is closed.
    pub fn open(line_bytes_max: usize) -> io::Result<Self> {
        let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Self { stdin, splitter: LineSplitter::new(line_bytes_max) })
    }

    /// Reads once and appends the completed lines to `inputs`, then [`Input::Eof`] at the end of
    /// input. Blocks if the descriptor is blocking and nothing can be read.
    ///
    /// # Errors
    /// The read failed; [`io::ErrorKind::WouldBlock`] if the descriptor is not blocking.
    pub fn read(&mut self, inputs: &mut Vec<Input>) -> io::Result<()> {
        let mut buffer = [0; READ_BYTES];
        match self.stdin.read(&mut buffer)? {
            0 => {
                inputs.extend(self.splitter.finish().map(Input::from));
                inputs.push(Input::Eof);
            }
            len => self.splitter.push(&buffer[..len], |line| inputs.push(line.into())),
        }
        Ok(())
    }

    /// Blocks until input can be read, then reads it as [`PipeInput::read`] does. A failed read
    /// counts as the end of input.
    pub fn wait_and_read(&mut self, inputs: &mut Vec<Input>) {
        let result = wait_for(self.as_fd(), PollFlags::POLLIN).and_then(|()| self.read(inputs));
        match result {
            Ok(()) => {}
            Err(error) if is_transient(&error) => {}
            Err(_) => inputs.push(Input::Eof),
        }
    }
}

impl AsFd for PipeInput {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stdin.as_fd()
    }
}

/// Writes all of `bytes` and blocks until they are written, even if another process has made the
/// file non-blocking. [`io::Write::write_all`] fails there and loses the number of bytes written.
///
/// # Errors
/// A write failed.
pub fn write_all(file: &impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match unistd::write(file, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EAGAIN) => wait_for(file.as_fd(), PollFlags::POLLOUT)?,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether an operation that failed with `error` can be retried.
pub(crate) fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn wait_for(file: BorrowedFd<'_>, events: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(file, events)], PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    #[test]
    fn write_to_a_non_blocking_file_is_completed() {
        let (file, mut reader) = UnixStream::pair().expect("a pair");
        file.set_nonblocking(true).expect("non-blocking");
        let bytes: Vec<u8> = (0..=250).cycle().take(4 * 1024 * 1024).collect();
        let expected = bytes.clone();
        let writer = thread::spawn(move || write_all(&file, &bytes));
        let mut received = Vec::new();
        reader.read_to_end(&mut received).expect("read");
        writer.join().expect("no panic").expect("written");
        assert!(received == expected);
    }
}
