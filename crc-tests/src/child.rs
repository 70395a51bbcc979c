//! A child process: its lines of output, its log file, and its end.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::Duration;

use crc::internal::Printable;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Number of log lines that a failure shows.
const LOG_TAIL_LINES: usize = 20;

/// The result of reading a line of output.
pub(crate) enum ReadResult {
    /// A line, without its end.
    Line(String),
    /// No line yet, or none before the timeout.
    Pending,
    /// The output is closed and was read to the end.
    Closed,
}

/// A running process. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    log_path: PathBuf,
}

impl Process {
    /// Starts `binary` with its log in the file `log`.
    pub(crate) fn start<I: AsRef<OsStr>>(
        binary: &Path,
        arguments: impl IntoIterator<Item = I>,
        log: PathBuf,
    ) -> io::Result<Self> {
        let mut command = Command::new(binary);
        command.args(arguments);
        // Options from the user's environment do not apply to a case.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"CRC_") {
                command.env_remove(name);
            }
        }
        // Log everything except the runner's own control queries.
        command.env("CRC_LOG", "debug,crc::net::control=info");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = Vec::new();
            while stdout.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
                let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
                if sender.send(text).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Ok(Self { child, lines, log_path: log })
    }

    /// Returns the next line of output without waiting.
    pub(crate) fn try_read_line(&self) -> ReadResult {
        match self.lines.try_recv() {
            Ok(line) => ReadResult::Line(line),
            Err(TryRecvError::Empty) => ReadResult::Pending,
            Err(TryRecvError::Disconnected) => ReadResult::Closed,
        }
    }

    /// Returns the next line of output, waiting up to `timeout`.
    pub(crate) fn read_line_within(&self, timeout: Duration) -> ReadResult {
        match self.lines.recv_timeout(timeout) {
            Ok(line) => ReadResult::Line(line),
            Err(RecvTimeoutError::Timeout) => ReadResult::Pending,
            Err(RecvTimeoutError::Disconnected) => ReadResult::Closed,
        }
    }

    /// Writes a line to its standard input.
    pub(crate) fn write_line(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(format!("{line}\n").as_bytes())
    }

    /// Returns its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns its exit status, if it has exited.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for its exit, once its output is closed.
    pub(crate) fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Ends it with SIGKILL. Its output can still be read.
    pub(crate) fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Stops it with SIGSTOP for good. Its connections stay open.
    pub(crate) fn freeze(&self) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).map_err(io::Error::other)?;
        Ok(signal::kill(Pid::from_raw(pid), Signal::SIGSTOP)?)
    }

    /// Returns the last lines of its log, escaped.
    pub(crate) fn log_tail(&self) -> Vec<String> {
        let log = std::fs::read(&self.log_path).unwrap_or_default();
        let lines: Vec<_> = log.trim_ascii_end().split(|byte| *byte == b'\n').collect();
        let tail = lines.iter().skip(lines.len().saturating_sub(LOG_TAIL_LINES));
        tail.filter(|line| !line.is_empty()).map(|line| Printable(line).to_string()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The only possible error is that it has exited already.
        drop(self.kill());
    }
}
