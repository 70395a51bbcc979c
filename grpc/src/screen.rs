//! Standard output, error and input: a thread each way, as they may block for as long as somebody
//! likes, and the chat goes on meanwhile. A terminal has an editor in place of both (`terminal`).
//!
//! Invariants: lines appear in the order in which they were said, whichever stream they are for;
//! what waits is bounded as long as its user looks at [`Screen::is_behind`].

use std::collections::VecDeque;
use std::io::{self, BufRead as _, ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::thread;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::channel::error_text;
use crate::limits::{INPUT_LINES_MAX, LINE_BYTES_MAX, OUTPUT_LINES_MAX, SHUTDOWN_DEADLINE};
use crate::terminal::{self, Printer, Terminal};

/// A line to show.
#[derive(Debug)]
pub(crate) enum Line {
    /// For standard output.
    Out(String),
    /// For standard error, where the program's name goes before it.
    Err(String),
}

/// What shows lines.
pub(crate) struct Screen {
    lines: mpsc::Sender<Line>,
    pending: VecDeque<Line>,
    writer_result: oneshot::Receiver<io::Result<()>>,
    terminal: Option<Terminal>,
}

impl Screen {
    /// For lines that are shown.
    pub(crate) fn open() -> Self {
        Self::with_terminal(None)
    }

    /// For lines that are shown and lines that are typed, at a terminal with an editor.
    pub(crate) fn open_with_input() -> (Self, mpsc::Receiver<Input>) {
        let (lines, input_lines) = mpsc::channel(INPUT_LINES_MAX);
        let terminal = terminal::open(lines.clone());
        if terminal.is_none() {
            thread::spawn(move || read_input(&lines));
        }
        (Self::with_terminal(terminal), input_lines)
    }

    fn with_terminal(terminal: Option<(Terminal, Printer)>) -> Self {
        let (lines, output_lines) = mpsc::channel(OUTPUT_LINES_MAX);
        let (done, writer_result) = oneshot::channel();
        let (terminal, printer) = terminal.unzip();
        thread::spawn(move || done.send(write_lines(output_lines, printer)));
        Self { lines, pending: VecDeque::new(), writer_result, terminal }
    }

    /// Shows a line when those before it have been taken.
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

    /// Whether lines wait for somebody to take those before them.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Hands on a line that waits, or waits itself for as long as anybody can see anything: then the
    /// answer is `false`. It may be dropped and called again at any time.
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

    /// Another way to the same screen.
    pub(crate) fn sender(&self) -> mpsc::Sender<Line> {
        self.lines.clone()
    }

    /// Waits until all has been taken.
    ///
    /// # Errors
    /// It could not be shown. That its reader has seen enough is no error.
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

    /// The same, but no longer than leaving may take: what nobody takes is then lost.
    ///
    /// # Errors
    /// As [`Screen::finish`].
    pub(crate) async fn close(mut self) -> Result<(), String> {
        let terminal = self.terminal.take();
        let outcome = timeout(SHUTDOWN_DEADLINE, self.finish()).await.unwrap_or(Ok(()));
        if let Some(terminal) = terminal {
            terminal.close();
        }
        outcome
    }
}

fn write_lines(mut lines: mpsc::Receiver<Line>, mut printer: Option<Printer>) -> io::Result<()> {
    let is_stderr_terminal = printer.is_some() && io::stderr().is_terminal();
    while let Some(line) = lines.blocking_recv() {
        match (line, &mut printer) {
            (Line::Out(line), Some(printer)) => printer.print(&line)?,
            (Line::Err(line), Some(printer)) if is_stderr_terminal => {
                printer.print(&format!("crc-grpc: {line}"))?;
            }
            (Line::Out(line), None) => {
                let mut stdout = io::stdout().lock();
                writeln!(stdout, "{line}").and_then(|()| stdout.flush())?;
            }
            // Whoever does not listen there misses nothing else.
            (Line::Err(line), _) => drop(writeln!(io::stderr(), "crc-grpc: {line}")),
        }
    }
    printer.map_or(Ok(()), Printer::finish)
}

/// What was typed.
#[derive(Debug, PartialEq)]
pub(crate) enum Input {
    /// A line without its line end.
    Line(String),
    /// A line that cannot be sent, and why.
    Invalid(String),
}

/// Hands on the lines of standard input to its end, or until nobody takes them.
fn read_input(lines: &mpsc::Sender<Input>) {
    let mut input = io::stdin().lock();
    while let Some(line) = next_line(&mut input) {
        if lines.blocking_send(line).is_err() {
            return;
        }
    }
}

/// A line, and whether it can be sent.
pub(crate) fn parse_line(line: Vec<u8>) -> Input {
    if line.len() > LINE_BYTES_MAX {
        return too_long();
    }
    match String::from_utf8(line) {
        Ok(line) => Input::Line(line),
        Err(_) => Input::Invalid("not sent: the line is not UTF-8".to_owned()),
    }
}

fn too_long() -> Input {
    Input::Invalid(format!("not sent: a line has at most {LINE_BYTES_MAX} bytes"))
}

/// The next line, never more of it in memory than can be sent; an input that fails has ended.
fn next_line(input: &mut impl io::BufRead) -> Option<Input> {
    let mut line = Vec::new();
    let limit_bytes = LINE_BYTES_MAX as u64 + 1; // with its line end
    if input.by_ref().take(limit_bytes).read_until(b'\n', &mut line).ok()? == 0 {
        return None;
    }
    if line.pop_if(|byte| *byte == b'\n').is_none() && line.len() > LINE_BYTES_MAX {
        input.skip_until(b'\n').ok()?;
        return Some(too_long());
    }
    line.pop_if(|byte| *byte == b'\r');
    Some(parse_line(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expected: &[Option<&str>]) {
        let mut input = input;
        let lines = std::iter::from_fn(|| next_line(&mut input));
        let lines: Vec<Option<String>> = lines
            .map(|typed| match typed {
                Input::Line(line) => Some(line),
                Input::Invalid(_) => None,
            })
            .collect();
        let lines: Vec<Option<&str>> = lines.iter().map(Option::as_deref).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn invalid_line_is_rejected_and_the_next_is_read() {
        check(b"", &[]);
        check(b"a\r\n\nb", &[Some("a"), Some(""), Some("b")]);
        check(b"\xff\nb\n", &[None, Some("b")]);
        let longest_line = "x".repeat(LINE_BYTES_MAX);
        check(format!("{longest_line}\nb\n").as_bytes(), &[Some(&longest_line), Some("b")]);
        check(longest_line.as_bytes(), &[Some(&longest_line)]);
        check(format!("{longest_line}y\nb\n").as_bytes(), &[None, Some("b")]);
        check(format!("{longest_line}yz").as_bytes(), &[None]);
    }
}
