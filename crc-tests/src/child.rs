//! A process of the network: its lines of output as they come, its log, and its certain end.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::Duration;

use crc::printable::Printable;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Lines at the end of a log that are worth showing.
const LOG_TAIL_LINES: usize = 20;

/// What a process printed.
pub(crate) enum ReadResult {
    /// A line, without its end.
    Line(String),
    /// Nothing yet, or not in time.
    Pending,
    /// Its output is closed and was read to the end.
    Closed,
}

/// A running process. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    log_path: PathBuf,
}

impl Process {
    /// Starts `binary`; what it logs goes to the file `log`.
    pub(crate) fn start<I: AsRef<OsStr>>(
        binary: &Path,
        arguments: impl IntoIterator<Item = I>,
        log: PathBuf,
    ) -> io::Result<Self> {
        let mut command = Command::new(binary);
        command.args(arguments);
        // Neither the options nor the looks of the user's own environment belong into a case.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"CRC_") {
                command.env_remove(name);
            }
        }
        // Every message, but not the runner's own questions.
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

    /// The next line that it has printed, at once.
    pub(crate) fn try_read_line(&self) -> ReadResult {
        match self.lines.try_recv() {
            Ok(line) => ReadResult::Line(line),
            Err(TryRecvError::Empty) => ReadResult::Pending,
            Err(TryRecvError::Disconnected) => ReadResult::Closed,
        }
    }

    /// The next line that it prints within `patience`.
    pub(crate) fn read_line_within(&self, timeout: Duration) -> ReadResult {
        match self.lines.recv_timeout(timeout) {
            Ok(line) => ReadResult::Line(line),
            Err(RecvTimeoutError::Timeout) => ReadResult::Pending,
            Err(RecvTimeoutError::Disconnected) => ReadResult::Closed,
        }
    }

    /// Types a line at it.
    pub(crate) fn write_line(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(format!("{line}\n").as_bytes())
    }

    /// Its id in the system.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// How it ended, once its output is closed.
    pub(crate) fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Ends it with SIGKILL; what it has printed can still be read.
    pub(crate) fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Stops it where it stands, for good: it holds what it has and does nothing.
    pub(crate) fn freeze(&self) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).map_err(io::Error::other)?;
        Ok(signal::kill(Pid::from_raw(pid), Signal::SIGSTOP)?)
    }

    /// The last lines of its log, safe to show.
    pub(crate) fn log_tail(&self) -> Vec<String> {
        let log = std::fs::read(&self.log_path).unwrap_or_default();
        let lines: Vec<_> = log.trim_ascii_end().split(|byte| *byte == b'\n').collect();
        let tail = lines.iter().skip(lines.len().saturating_sub(LOG_TAIL_LINES));
        tail.filter(|line| !line.is_empty()).map(|line| Printable(line).to_string()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and that is all that can fail.
        drop(self.kill());
    }
}
