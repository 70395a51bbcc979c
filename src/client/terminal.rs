//! The client at a terminal: a line editor, and arriving text above the line that is typed.
//!
//! rustyline has a thread of its own, because it blocks while it waits for keys; a second thread
//! hands it what is to be shown, because it takes none while it searches the history. The loop of
//! the shell waits for neither. Invariant: the editor's thread has ended, and with it raw mode,
//! before [`Terminal`] is dropped, however that comes about.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::thread::JoinHandleExt;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::pthread::pthread_kill;
use nix::sys::signal::Signal;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor, ExternalPrinter, Helper};

use super::completion::{Completion, KnownNames};
use super::event::Event;
use super::grammar::{self, Command};
use super::human::Style;
use super::input::Input;
use super::shell::Frontend;
use crate::printable::Printable;

/// Lines to show that may wait while the editor takes none.
const OUTPUT_LINES_MAX: usize = 1024;

/// How long the last lines may take to appear before the editor is stopped all the same.
const OUTPUT_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// How soon the editor is told again to stop: it may not have listened yet.
const EDITOR_STOP_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Shows nothing: up a line and down again. It makes sure that what came before it was shown,
/// because the editor's queue has room for one line.
const FLUSH_SEQUENCE: &str = "\x1b[1A\n";

/// A person at a terminal.
pub(super) struct Terminal {
    style: Style,
    names: KnownNames,
    inputs: Receiver<Input>,
    wake_reader: UnixStream,
    /// `None` once the editor has been stopped.
    threads: Option<Threads>,
    /// Shown when the terminal is as it was found.
    final_line: Option<String>,
}

/// What the printer is told.
enum PrinterMessage {
    /// A line with its line end.
    Line(String),
    /// No more come.
    Stop,
}

struct Threads {
    line_sender: SyncSender<PrinterMessage>,
    printer: JoinHandle<()>,
    printer_done: Receiver<()>,
    editor: JoinHandle<()>,
    editor_done: Receiver<()>,
}

impl Terminal {
    /// Takes the terminal over; `prompt` is what its prompt begins with.
    ///
    /// # Errors
    /// When it is not a terminal on which a line can be edited.
    pub(super) fn open(prompt: &[u8], style: Style) -> rustyline::Result<Self> {
        let names = KnownNames::default();
        let config =
            Config::builder().auto_add_history(true).completion_type(CompletionType::List).build();
        let (line_sender, line_receiver) = mpsc::sync_channel(OUTPUT_LINES_MAX);
        let candidate_sender = line_sender.clone();
        let completion = Completion::new(names.clone(), move |line| {
            let _ = candidate_sender.try_send(PrinterMessage::Line(line + "\n"));
        });
        let mut editor = Editor::<_, DefaultHistory>::with_config(config)?;
        editor.set_helper(Some(completion));
        let mut printer = editor.create_external_printer()?;

        let (printer, printer_done) = spawn("printer", move || {
            run_printer(&mut printer, &line_receiver);
        })?;

        let (input_sender, inputs) = mpsc::channel();
        let (wake_reader, mut wake_writer) = UnixStream::pair()?;
        wake_writer.set_nonblocking(true)?;
        let prompt = format!("{}> ", Printable(prompt));
        let (editor, editor_done) = spawn("editor", move || {
            run_editor(&mut editor, &prompt, &input_sender, &mut wake_writer);
        })?;

        Ok(Self {
            style,
            names,
            inputs,
            wake_reader,
            threads: Some(Threads { line_sender, printer, printer_done, editor, editor_done }),
            final_line: None,
        })
    }

    /// Gives the terminal back as it was found.
    fn close(&mut self) {
        let Some(threads) = self.threads.take() else {
            return;
        };
        let Threads { line_sender, printer, printer_done, editor, editor_done } = threads;
        // A full queue needs none: the editor is not showing anything.
        let _ = line_sender.try_send(PrinterMessage::Stop);
        drop(line_sender);
        let _ = printer_done.recv_timeout(OUTPUT_FLUSH_TIMEOUT);
        while !editor.is_finished() {
            // The editor takes this as Ctrl-C, wherever it waits. Before it listens, the shell's
            // own handler takes it, which is why it is repeated.
            let _ = pthread_kill(editor.as_pthread_t(), Signal::SIGINT);
            match editor_done.recv_timeout(EDITOR_STOP_RETRY_INTERVAL) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let _ = editor.join();
        let _ = printer.join();
        if let Some(final_line) = self.final_line.take() {
            let _ = writeln!(io::stdout(), "{final_line}");
        }
    }
}

impl Frontend for Terminal {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        self.names.update(event);
        let mut line = self.style.format_event(event);
        if !matches!(event, Event::Help { .. }) {
            let time = jiff::Zoned::now().strftime("%H:%M").to_string();
            line = format!("{} {line}", self.style.dim(&time));
        }
        if matches!(event, Event::Disconnected { .. }) {
            self.final_line = Some(line);
            return Ok(());
        }
        line.push('\n');
        let threads = self.threads.as_ref();
        let sent = threads
            .is_some_and(|threads| threads.line_sender.send(PrinterMessage::Line(line)).is_ok());
        if sent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }

    fn input_fd(&self) -> BorrowedFd<'_> {
        self.wake_reader.as_fd()
    }

    fn read_input(&mut self, inputs: &mut Vec<Input>) -> io::Result<()> {
        let mut buffer = [0; 64];
        let read_len = self.wake_reader.read(&mut buffer)?;
        inputs.extend(self.inputs.try_iter());
        if read_len == 0 && inputs.is_empty() {
            inputs.push(Input::Eof); // the editor is gone
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.close();
    }
}

/// Shows lines above the one that is typed, and once the editor is gone where they come.
fn run_printer(printer: &mut impl ExternalPrinter, messages: &Receiver<PrinterMessage>) {
    let mut previous = None;
    for message in messages {
        let (line, is_end) = match message {
            PrinterMessage::Line(line) => (line, false),
            PrinterMessage::Stop => (FLUSH_SEQUENCE.to_owned(), true),
        };
        if printer.print(line.clone()).is_ok() {
            previous = Some(line);
        } else {
            // The one before is still in the editor's queue: nobody has seen it.
            for line in previous.take().into_iter().chain([line]) {
                let _ = write!(io::stdout(), "{line}");
            }
        }
        if is_end {
            return;
        }
    }
}

/// Reads lines until there are no more, or until one says so.
fn run_editor(
    editor: &mut Editor<impl Helper, DefaultHistory>,
    prompt: &str,
    inputs: &Sender<Input>,
    wake_writer: &mut UnixStream,
) {
    loop {
        let input = match editor.readline(prompt) {
            Ok(line) => Input::Line(line),
            Err(ReadlineError::Eof) => Input::Eof,
            Err(_) => Input::Interrupt,
        };
        // After a quit, another prompt would only be in the way.
        let is_last = match &input {
            Input::Line(line) => {
                matches!(grammar::parse(line), Ok(Some(Command::Quit(_))))
            }
            _ => true,
        };
        // A waker that is full has woken the loop already.
        if inputs.send(input).is_err() || has_wake_failed(wake_writer.write(b"!")) || is_last {
            return;
        }
    }
}

fn has_wake_failed(written: io::Result<usize>) -> bool {
    written.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
}

/// A thread, and a receiver that is disconnected when it has ended.
fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<(JoinHandle<()>, Receiver<()>)> {
    let (done_sender, done) = mpsc::channel();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _done_sender: Sender<()> = done_sender;
        body();
    })?;
    Ok((thread, done))
}
