//! A person at a terminal: a line editor, and what arrives above the line that is typed.
//!
//! rustyline has a thread of its own, as it blocks while it waits for keys; what is shown is handed
//! to it by another, as it takes nothing while it searches its history. There is no prompt, so that
//! what stands there is what the contract has. Invariant: [`Terminal::close`] gives the terminal
//! back as it was found.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::thread::JoinHandleExt as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};

use nix::sys::pthread::pthread_kill;
use nix::sys::signal::{Signal, raise};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Config, Editor, ExternalPrinter};
use tokio::sync::mpsc;

use crate::limits::{EDITOR_STOP_RETRY_INTERVAL, SHUTDOWN_DEADLINE};
use crate::screen::{Input, parse_line};

/// Shows nothing: up a line and down again. It makes sure that what came before it was shown,
/// because the editor's queue has room for one line.
const NOOP_SEQUENCE: &str = "\x1b[1A\n";

/// The editor.
pub(crate) struct Terminal {
    editor: JoinHandle<()>,
    exited: Receiver<()>,
}

/// What shows lines above the one that is typed.
pub(crate) struct Printer {
    printer: Box<dyn ExternalPrinter + Send>,
    last_text: Option<String>,
}

/// Takes the terminal over, if standard input and output are one on which a line can be edited.
pub(crate) fn open(lines: mpsc::Sender<Input>) -> Option<(Terminal, Printer)> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return None;
    }
    let config = Config::builder().auto_add_history(true).build();
    let mut editor = Editor::<(), DefaultHistory>::with_config(config).ok()?;
    let printer = editor.create_external_printer().ok()?;
    let (exit_guard, exited): (Sender<()>, _) = channel();
    let editor = thread::Builder::new().name("editor".to_owned()).spawn(move || {
        let _exit_guard = exit_guard;
        let is_interrupted = read_lines(&mut editor, &lines);
        drop(editor);
        if is_interrupted {
            // To the loop, which may take no lines now, it is a signal like any other.
            let _ = raise(Signal::SIGINT);
        }
    });
    let printer = Printer { printer: Box::new(printer), last_text: None };
    Some((Terminal { editor: editor.ok()?, exited }, printer))
}

/// Reads lines to their end, or until nobody takes them; whether Ctrl-C was their end.
fn read_lines(editor: &mut Editor<(), DefaultHistory>, lines: &mpsc::Sender<Input>) -> bool {
    loop {
        match editor.readline("") {
            // What was pasted may be several lines.
            Ok(text) => {
                for line in text.split('\n') {
                    if lines.blocking_send(parse_line(line.into())).is_err() {
                        return false;
                    }
                }
            }
            Err(error) => return matches!(error, ReadlineError::Interrupted),
        }
    }
}

impl Printer {
    /// Shows a line, where it comes once the editor is gone.
    ///
    /// # Errors
    /// Nobody can see it.
    pub(crate) fn print(&mut self, line: &str) -> io::Result<()> {
        self.print_text(format!("{line}\n"))
    }

    /// Waits until all is shown.
    ///
    /// # Errors
    /// Nobody can see it.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.print_text(NOOP_SEQUENCE.to_owned())
    }

    fn print_text(&mut self, text: String) -> io::Result<()> {
        if self.printer.print(text.clone()).is_ok() {
            self.last_text = Some(text);
            return Ok(());
        }
        // The one before is still in the editor's queue: nobody has seen it.
        let mut stdout = io::stdout().lock();
        for text in self.last_text.take().into_iter().chain([text]) {
            write!(stdout, "{text}")?;
        }
        stdout.flush()
    }
}

impl Terminal {
    /// Gives the terminal back. Nobody may take its lines any more.
    pub(crate) fn close(self) {
        for _ in 0..SHUTDOWN_DEADLINE.as_millis() / EDITOR_STOP_RETRY_INTERVAL.as_millis() {
            if self.editor.is_finished() {
                break;
            }
            // The editor takes this as Ctrl-C, wherever it waits; before it listens, the program's
            // own handler takes it, which is why it is repeated.
            let _ = pthread_kill(self.editor.as_pthread_t(), Signal::SIGINT);
            match self.exited.recv_timeout(EDITOR_STOP_RETRY_INTERVAL) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }
}
