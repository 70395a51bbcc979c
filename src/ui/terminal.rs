//! A line editor, with output above the line that is being typed.
//!
//! rustyline blocks while it waits for keys, and accepts no output while it searches the history.
//! It therefore has a thread of its own, and a second thread passes it the output. Invariant: once
//! [`Terminal`] is dropped the editor's thread has ended and the terminal has its original mode.

use std::io::{self, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::thread::JoinHandleExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::pthread::pthread_kill;
use nix::sys::signal::Signal;
use rustix::termios::Termios;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor, ExternalPrinter, Helper};

use super::completion::{Complete, CompletionHelper};
use super::lines::Input;
use super::suspend::{self, ResumeWatcher};

/// Maximum number of lines that wait for the editor.
const OUTPUT_LINES_MAX: usize = 1024;

/// Time for the last lines to be printed before the editor is stopped.
const OUTPUT_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Interval between two signals that stop the editor. The first may precede its handler.
const EDITOR_STOP_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Moves up a line and down again, and so changes nothing. Printing this redraws the line that is
/// being typed, and completes only after the line before was printed: the queue of the editor has
/// room for one.
const REDRAW_SEQUENCE: &str = "\x1b[1A\n";

/// A terminal on standard input and output.
#[derive(Debug)]
pub struct Terminal {
    original_mode: Termios,
    printer: Printer,
    printer_done: Receiver<()>,
    editor: JoinHandle<()>,
    editor_done: Receiver<()>,
    resume_watcher: Option<ResumeWatcher>,
}

/// A handle that prints lines above the line that is being typed.
#[derive(Clone, Debug)]
pub struct Printer(SyncSender<Message>);

/// A message to the printing thread.
#[derive(Debug)]
enum Message {
    /// Prints a text that ends with a line end.
    Text(String),
    /// Answers once everything before was printed.
    Flush(SyncSender<()>),
    /// Ends the thread.
    Stop,
}

impl Terminal {
    /// Opens the terminal and reads lines after `prompt`.
    ///
    /// `on_input` runs on the editor's thread. It receives each line; of a pasted text with several
    /// lines, each by itself. The editor ends when it breaks, and after [`Input::Eof`] and
    /// [`Input::Interrupt`].
    ///
    /// # Errors
    /// Standard input and output are not a terminal on which lines can be edited.
    pub fn open(
        prompt: String,
        completion: impl Complete,
        mut on_input: impl FnMut(Input) -> ControlFlow<()> + Send + 'static,
    ) -> io::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let original_mode = suspend::current_mode()?;
        let (messages, queue) = mpsc::sync_channel(OUTPUT_LINES_MAX);
        let printer = Printer(messages);
        let config =
            Config::builder().auto_add_history(true).completion_type(CompletionType::List).build();
        let mut editor =
            Editor::<_, DefaultHistory>::with_config(config).map_err(io::Error::other)?;
        editor.set_helper(Some(CompletionHelper::new(completion, printer.clone())));
        let mut output = editor.create_external_printer().map_err(io::Error::other)?;
        suspend::block_stop_signal()?;
        let (_, printer_done) = spawn("printer", move || run_printer(&mut output, &queue))?;

        let is_editing = Arc::new(AtomicBool::new(true));
        let resume_watcher = ResumeWatcher::start(printer.clone(), Arc::clone(&is_editing))?;
        let (editor, editor_done) = spawn("editor", move || {
            // On failure, Ctrl-Z draws the prompt before the process stops.
            let _ = suspend::unblock_stop_signal();
            run_editor(&mut editor, &prompt, &mut on_input);
            is_editing.store(false, Ordering::SeqCst);
        })?;
        let resume_watcher = Some(resume_watcher);
        Ok(Self { original_mode, printer, printer_done, editor, editor_done, resume_watcher })
    }

    /// Returns a handle that prints.
    #[must_use]
    pub fn printer(&self) -> Printer {
        self.printer.clone()
    }

    fn stop_editor(&self) {
        while !self.editor.is_finished() {
            // rustyline takes SIGINT as Ctrl-C, wherever it waits. Between two lines the handler
            // of the program receives the signal instead, so it is repeated.
            let _ = pthread_kill(self.editor.as_pthread_t(), Signal::SIGINT);
            match self.editor_done.recv_timeout(EDITOR_STOP_RETRY_INTERVAL) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }
}

impl Drop for Terminal {
    /// Prints what is queued, stops the editor and restores the mode of the terminal.
    fn drop(&mut self) {
        self.resume_watcher = None;
        // A full queue means that the editor accepts no output.
        let _ = self.printer.0.try_send(Message::Stop);
        let _ = self.printer_done.recv_timeout(OUTPUT_FLUSH_TIMEOUT);
        self.stop_editor();
        let _ = self.printer.0.try_send(Message::Stop);
        let _ = self.printer_done.recv_timeout(OUTPUT_FLUSH_TIMEOUT);
        let _ = suspend::restore_mode(&self.original_mode);
    }
}

impl Printer {
    /// Prints a line. Blocks while the queue is full.
    ///
    /// # Errors
    /// The terminal was closed, or writing to it failed.
    pub fn print(&self, line: String) -> io::Result<()> {
        self.0.send(Message::Text(line + "\n")).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Prints a line unless the queue is full.
    pub(super) fn try_print(&self, line: String) {
        let _ = self.0.try_send(Message::Text(line + "\n"));
    }

    /// Blocks until everything before was printed.
    ///
    /// # Errors
    /// The terminal was closed, or writing to it failed.
    pub fn flush(&self) -> io::Result<()> {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        let (done_sender, done) = mpsc::sync_channel(1);
        self.0.send(Message::Flush(done_sender)).map_err(|_| closed())?;
        done.recv().map_err(|_| closed())
    }

    /// Draws the prompt and the line that is being typed again. A full queue does so anyway.
    pub(super) fn redraw(&self) {
        let _ = self.0.try_send(Message::Text(REDRAW_SEQUENCE.to_owned()));
    }
}

/// Prints messages above the line that is being typed; directly once the editor has ended.
fn run_printer(output: &mut impl ExternalPrinter, queue: &Receiver<Message>) {
    let mut last_text = None;
    for message in queue {
        let (text, done, is_stop) = match message {
            Message::Text(text) => (text, None, false),
            Message::Flush(done) => (REDRAW_SEQUENCE.to_owned(), Some(done), false),
            Message::Stop => (REDRAW_SEQUENCE.to_owned(), None, true),
        };
        if output.print(text.clone()).is_ok() {
            last_text = Some(text);
        } else {
            // The editor ended with the text before still in its queue.
            let mut stdout = io::stdout().lock();
            for text in last_text.take().into_iter().chain([text]) {
                if write!(stdout, "{text}").and_then(|()| stdout.flush()).is_err() {
                    return;
                }
            }
        }
        if let Some(done) = done {
            let _ = done.send(()); // the caller may have given up
        }
        if is_stop {
            return;
        }
    }
}

/// Reads lines until the end of input, an interrupt, or a break of `on_input`.
fn run_editor(
    editor: &mut Editor<impl Helper, DefaultHistory>,
    prompt: &str,
    on_input: &mut impl FnMut(Input) -> ControlFlow<()>,
) {
    loop {
        let text = match editor.readline(prompt) {
            Ok(text) => text,
            Err(error) => {
                let is_eof = matches!(error, ReadlineError::Eof);
                let _ = on_input(if is_eof { Input::Eof } else { Input::Interrupt });
                return;
            }
        };
        for line in text.split('\n') {
            if on_input(Input::Line(line.to_owned())).is_break() {
                return;
            }
        }
    }
}

/// Starts a thread. The receiver is disconnected when the thread has ended.
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
