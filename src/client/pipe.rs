//! The client between two pipes: lines from standard input, events to standard output.
//!
//! With `--json` standard output carries one object a line and nothing else; errors are among them.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd;

use super::event::Event;
use super::human::Style;
use super::input::{Input, LineBuffer};
use super::shell::Frontend;

/// Bytes read from standard input at a time.
const STDIN_READ_BYTES: usize = 16 * 1024;

/// Standard input and output, without a terminal's comforts.
pub(super) struct PipeFrontend {
    // A file and not `Stdin`, whose buffer would hide lines from `poll`.
    stdin: File,
    line_buffer: LineBuffer,
    json: bool,
}

impl PipeFrontend {
    /// # Errors
    /// When standard input cannot be duplicated.
    pub(super) fn open(json: bool) -> io::Result<Self> {
        Ok(Self {
            stdin: File::from(io::stdin().as_fd().try_clone_to_owned()?),
            line_buffer: LineBuffer::default(),
            json,
        })
    }
}

impl Frontend for PipeFrontend {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        print_event(self.json, event)
    }

    fn input_fd(&self) -> BorrowedFd<'_> {
        self.stdin.as_fd()
    }

    fn read_input(&mut self, inputs: &mut Vec<Input>) -> io::Result<()> {
        let mut buffer = [0; STDIN_READ_BYTES];
        match self.stdin.read(&mut buffer)? {
            0 => self.line_buffer.finish(inputs),
            len => self.line_buffer.push_bytes(&buffer[..len], inputs),
        }
        Ok(())
    }
}

/// Writes an event where it belongs, at once. Without `json`, errors go to standard error.
pub(super) fn print_event(json: bool, event: &Event) -> io::Result<()> {
    format_line(json, event).write()
}

/// What is to be written for an event.
pub(super) fn format_line(json: bool, event: &Event) -> OutputLine {
    let style = Style { colour: false };
    let (text, is_error) = match event {
        event if json => (event.to_json(), false),
        Event::Error { text } => (format!("crc: {text}"), true),
        event => (style.format_event(event), false),
    };
    OutputLine { text: text + "\n", is_error }
}

/// A line for standard output, or for standard error.
pub(super) struct OutputLine {
    text: String,
    is_error: bool,
}

impl OutputLine {
    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Writes it, and waits for whoever is to read it.
    pub(super) fn write(&self) -> io::Result<()> {
        if self.is_error {
            write_all(&io::stderr().lock(), self.text.as_bytes())
        } else {
            write_all(&io::stdout().lock(), self.text.as_bytes())
        }
    }
}

/// Writes all of `bytes`, also to a file that was made non-blocking by whoever it is shared with.
/// `Write::write_all_queues` would give up there, without a word of how far it came.
fn write_all(file: &impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match unistd::write(file, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EAGAIN) => wait_writable(file.as_fd())?,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn wait_writable(file: BorrowedFd<'_>) -> io::Result<()> {
    match poll(&mut [PollFd::new(file, PollFlags::POLLOUT)], PollTimeout::NONE) {
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
    fn write_all_waits_for_a_non_blocking_file() {
        let (file, mut reader) = UnixStream::pair().expect("a pair");
        file.set_nonblocking(true).expect("non-blocking");
        let bytes: Vec<u8> = (0..=250).cycle().take(4 * 1024 * 1024).collect();
        let expected = bytes.clone();
        let writer = thread::spawn(move || write_all(&file, &bytes));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).expect("read");
        writer.join().expect("no panic").expect("written");
        assert!(read == expected);
    }
}
