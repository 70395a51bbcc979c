//! A line editor, with output above the line that is being typed.
//!
//! rustyline blocks while it waits for keys, and accepts no output while it searches the history.
//! It therefore has a thread of its own, and a second thread passes it the output. Invariant: once
//! [`Terminal`] is dropped the editor's thread has ended and the terminal has its original mode.

use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::os::unix::thread::JoinHandleExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::pthread::pthread_kill;
use nix::sys::signal::Signal;
use rustix::termios::Termios;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor, Helper};

use super::completion::{Complete, CompletionHelper};
use super::lines::Input;
use super::printer::{self, Printer};
use super::suspend::{self, ResumeWatcher};

/// Time for the last lines to be printed before the editor is stopped.
const OUTPUT_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Interval between two signals that stop the editor. The first may precede its handler.
const EDITOR_STOP_RETRY_INTERVAL: Duration = Duration::from_millis(20);

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

impl Terminal {
    /// Opens the terminal and reads lines. Each follows the prompt that `prompt` returns then.
    ///
    /// `on_input` runs on the editor's thread. It receives each line; of a pasted text with several
    /// lines, each by itself. The editor ends when it breaks, and after [`Input::Eof`] and
    /// [`Input::Interrupt`].
    ///
    /// # Errors
    /// Standard input and output are not a terminal on which lines can be edited.
    pub fn open(
        prompt: impl Fn() -> String + Send + 'static,
        completion: impl Complete,
        mut on_input: impl FnMut(Input) -> ControlFlow<()> + Send + 'static,
    ) -> io::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let original_mode = suspend::current_mode()?;
        let (printer, queue) = Printer::new();
        let config =
            Config::builder().auto_add_history(true).completion_type(CompletionType::List).build();
        let mut editor =
            Editor::<_, DefaultHistory>::with_config(config).map_err(io::Error::other)?;
        editor.set_helper(Some(CompletionHelper::new(completion, printer.clone())));
        let mut output = editor.create_external_printer().map_err(io::Error::other)?;
        suspend::block_stop_signal()?;
        let (_, printer_done) = spawn("printer", move || printer::run(&mut output, &queue))?;

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
        self.printer.stop();
        let _ = self.printer_done.recv_timeout(OUTPUT_FLUSH_TIMEOUT);
        self.stop_editor();
        self.printer.stop();
        let _ = self.printer_done.recv_timeout(OUTPUT_FLUSH_TIMEOUT);
        let _ = suspend::restore_mode(&self.original_mode);
    }
}

/// Reads lines until the end of input, an interrupt, or a break of `on_input`.
fn run_editor(
    editor: &mut Editor<impl Helper, DefaultHistory>,
    prompt: &impl Fn() -> String,
    on_input: &mut impl FnMut(Input) -> ControlFlow<()>,
) {
    loop {
        let text = match editor.readline(&prompt()) {
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
