//! Standard input, output and error.
//!
//! All three may block for any time while the chat goes on, so a thread reads and another writes.
//! At a terminal, [`crc::internal::ui::Terminal`] takes the place of standard input and output.
//!
//! Invariants: lines are written in the order of [`Screen::print`], whichever stream they are for;
//! the number of waiting lines is bounded if the caller checks [`Screen::has_pending`].

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::thread;

use crc::internal::ui::{self, InvalidLine, NoCompletion, PipeInput, Printer, Terminal};
use nix::sys::signal::{Signal, raise};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::channel::error_text;
use crate::limits::{INPUT_LINES_MAX, LINE_BYTES_MAX, OUTPUT_LINES_MAX, SHUTDOWN_DEADLINE};

/// A line of output.
#[derive(Debug)]
pub(crate) enum Line {
    /// For standard output.
    Out(String),
    /// For standard error, after the name of the program.
    Err(String),
}

/// The output, and at a terminal the line editor.
pub(crate) struct Screen {
    lines: mpsc::Sender<Line>,
    pending: VecDeque<Line>,
    writer_result: oneshot::Receiver<io::Result<()>>,
    terminal: Option<Terminal>,
}

impl Screen {
    /// Opens standard output and error.
    pub(crate) fn open() -> Self {
        Self::with_terminal(None)
    }

    /// Opens standard input as well; at a terminal, with a line editor.
    pub(crate) fn open_with_input() -> (Self, mpsc::Receiver<Input>) {
        let (lines, input_lines) = mpsc::channel(INPUT_LINES_MAX);
        let terminal = open_terminal(lines.clone());
        if terminal.is_none() {
            thread::spawn(move || read_pipe(&lines));
        }
        (Self::with_terminal(terminal), input_lines)
    }

    fn with_terminal(terminal: Option<Terminal>) -> Self {
        let (lines, output_lines) = mpsc::channel(OUTPUT_LINES_MAX);
        let (done, writer_result) = oneshot::channel();
        let printer = terminal.as_ref().map(Terminal::printer);
        thread::spawn(move || done.send(write_lines(output_lines, printer)));
        Self { lines, pending: VecDeque::new(), writer_result, terminal }
    }

    /// Prints a line after those that are pending.
    pub(crate) fn print(&mut self, line: Line) {
        self.pending.push_back(line);
        while let Some(line) = self.pending.pop_front() {
            if let Err(error) = self.lines.try_send(line) {
                let line = match error {
                    mpsc::error::TrySendError::Full(line)
                    | mpsc::error::TrySendError::Closed(line) => line,
                };
                return self.pending.push_front(line);
            }
        }
    }

    /// Whether lines are pending because the reader of the output is slow.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Passes one pending line to the writer. Without pending lines, waits until the output is
    /// closed. Returns `false` once it is closed. Cancel-safe.
    pub(crate) async fn flush_one(&mut self) -> bool {
        if self.pending.is_empty() {
            self.lines.closed().await;
        }
        let Ok(permit) = self.lines.reserve().await else { return false };
        if let Some(line) = self.pending.pop_front() {
            permit.send(line);
        }
        true
    }

    /// Returns a sender of lines for other tasks.
    pub(crate) fn sender(&self) -> mpsc::Sender<Line> {
        self.lines.clone()
    }

    /// Waits until all lines were written.
    ///
    /// # Errors
    /// A write failed. A closed pipe is not an error.
    pub(crate) async fn finish(mut self) -> Result<(), String> {
        while self.has_pending() && self.flush_one().await {}
        drop(self.lines);
        match self.writer_result.await {
            Ok(Err(error)) if error.kind() != ErrorKind::BrokenPipe => {
                Err(format!("cannot write the output: {}", error_text(&error)))
            }
            _ => Ok(()),
        }
    }

    /// Waits likewise for at most [`SHUTDOWN_DEADLINE`] and discards the rest; restores the
    /// terminal.
    ///
    /// # Errors
    /// As [`Screen::finish`].
    pub(crate) async fn close(mut self) -> Result<(), String> {
        let terminal = self.terminal.take();
        let outcome = timeout(SHUTDOWN_DEADLINE, self.finish()).await.unwrap_or(Ok(()));
        drop(terminal);
        outcome
    }
}

fn write_lines(mut lines: mpsc::Receiver<Line>, printer: Option<Printer>) -> io::Result<()> {
    let is_stderr_terminal = printer.is_some() && io::stderr().is_terminal();
    while let Some(line) = lines.blocking_recv() {
        match (line, &printer) {
            (Line::Out(line), Some(printer)) => printer.print(line)?,
            (Line::Err(line), Some(printer)) if is_stderr_terminal => {
                printer.print(format!("crc-grpc: {line}"))?;
            }
            (Line::Out(line), None) => {
                let mut stdout = io::stdout().lock();
                writeln!(stdout, "{line}").and_then(|()| stdout.flush())?;
            }
            // A closed standard error does not end the output.
            (Line::Err(line), _) => drop(writeln!(io::stderr(), "crc-grpc: {line}")),
        }
    }
    printer.map_or(Ok(()), |printer| printer.flush())
}

/// A line from the user.
#[derive(Debug, PartialEq)]
pub(crate) enum Input {
    /// A line without its line end.
    Line(String),
    /// A line that cannot be sent, with the reason.
    Invalid(String),
}

/// Opens the terminal, if standard input and output are one on which lines can be edited.
///
/// The prompt is empty, because the output is fixed to the letter.
fn open_terminal(lines: mpsc::Sender<Input>) -> Option<Terminal> {
    let terminal = Terminal::open(String::new, NoCompletion, move |input| {
        let line = match input {
            ui::Input::Line(line) => check_len(line),
            ui::Input::Invalid(error) => Input::Invalid(error.to_string()),
            ui::Input::Eof => return ControlFlow::Break(()),
            ui::Input::Interrupt => {
                // The chat may accept no lines at the moment, but it handles signals.
                let _ = raise(Signal::SIGINT);
                return ControlFlow::Break(());
            }
        };
        match lines.blocking_send(line) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    terminal.ok()
}

/// Forwards the lines of standard input until its end, or until the receiver is dropped.
fn read_pipe(lines: &mpsc::Sender<Input>) {
    let Ok(mut pipe) = PipeInput::open(LINE_BYTES_MAX) else { return };
    let mut inputs = Vec::new();
    loop {
        pipe.wait_and_read(&mut inputs);
        for input in inputs.drain(..) {
            let line = match input {
                ui::Input::Line(line) => Input::Line(line),
                ui::Input::Invalid(error) => Input::Invalid(error.to_string()),
                ui::Input::Eof | ui::Input::Interrupt => return,
            };
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    }
}

fn check_len(line: String) -> Input {
    if line.len() <= LINE_BYTES_MAX {
        return Input::Line(line);
    }
    Input::Invalid(InvalidLine::TooLong { bytes_max: LINE_BYTES_MAX }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_line_is_checked_against_the_limit() {
        let longest = "x".repeat(LINE_BYTES_MAX);
        assert_eq!(check_len(longest.clone()), Input::Line(longest.clone()));
        let too_long = Input::Invalid("not sent: a line has at most 65536 bytes".to_owned());
        assert_eq!(check_len(longest + "y"), too_long);
    }
}
