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

use super::completion::{Completion, Names};
use super::event::Event;
use super::grammar::{self, Command};
use super::human::Style;
use super::lines::Typed;
use super::shell::Front;
use crate::printable::Printable;

/// Lines to show that may wait while the editor takes none.
const SHOWN_LINES_MAX: usize = 1024;

/// How long the last lines may take to appear before the editor is stopped all the same.
const SHOW_DEADLINE: Duration = Duration::from_millis(500);

/// How soon the editor is told again to stop: it may not have listened yet.
const STOP_INTERVAL: Duration = Duration::from_millis(20);

/// Shows nothing: up a line and down again. It makes sure that what came before it was shown,
/// because the editor's queue has room for one line.
const NOTHING: &str = "\x1b[1A\n";

/// A person at a terminal.
pub(super) struct Terminal {
    style: Style,
    names: Names,
    typed: Receiver<Typed>,
    wake: UnixStream,
    /// `None` once the editor has been stopped.
    threads: Option<Threads>,
    /// Shown when the terminal is as it was found.
    farewell: Option<String>,
}

/// What the printer is told.
enum Shown {
    /// A line with its line end.
    Line(String),
    /// No more come.
    End,
}

struct Threads {
    lines: SyncSender<Shown>,
    printer: JoinHandle<()>,
    printer_ends: Receiver<()>,
    editor: JoinHandle<()>,
    editor_ends: Receiver<()>,
}

impl Terminal {
    /// Takes the terminal over; `prompt` is what its prompt begins with.
    ///
    /// # Errors
    /// When it is not a terminal on which a line can be edited.
    pub(super) fn open(prompt: &[u8], style: Style) -> rustyline::Result<Self> {
        let names = Names::default();
        let config =
            Config::builder().auto_add_history(true).completion_type(CompletionType::List).build();
        let (lines, to_show) = mpsc::sync_channel(SHOWN_LINES_MAX);
        let choices = lines.clone();
        let completion = Completion::new(names.clone(), move |line| {
            let _ = choices.try_send(Shown::Line(line + "\n"));
        });
        let mut editor = Editor::<_, DefaultHistory>::with_config(config)?;
        editor.set_helper(Some(completion));
        let mut printer = editor.create_external_printer()?;

        let (printer, printer_ends) = spawn("printer", move || {
            print(&mut printer, &to_show);
        })?;

        let (typed_in, typed) = mpsc::channel();
        let (wake, mut waker) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        let prompt = format!("{}> ", Printable(prompt));
        let (editor, editor_ends) = spawn("editor", move || {
            edit(&mut editor, &prompt, &typed_in, &mut waker);
        })?;

        Ok(Self {
            style,
            names,
            typed,
            wake,
            threads: Some(Threads { lines, printer, printer_ends, editor, editor_ends }),
            farewell: None,
        })
    }

    /// Gives the terminal back as it was found.
    fn close(&mut self) {
        let Some(threads) = self.threads.take() else {
            return;
        };
        let Threads { lines, printer, printer_ends, editor, editor_ends } = threads;
        // A full queue needs none: the editor is not showing anything.
        let _ = lines.try_send(Shown::End);
        drop(lines);
        let _ = printer_ends.recv_timeout(SHOW_DEADLINE);
        while !editor.is_finished() {
            // The editor takes this as Ctrl-C, wherever it waits. Before it listens, the shell's
            // own handler takes it, which is why it is repeated.
            let _ = pthread_kill(editor.as_pthread_t(), Signal::SIGINT);
            match editor_ends.recv_timeout(STOP_INTERVAL) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let _ = editor.join();
        let _ = printer.join();
        if let Some(farewell) = self.farewell.take() {
            let _ = writeln!(io::stdout(), "{farewell}");
        }
    }
}

impl Front for Terminal {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        self.names.learn(event);
        let mut line = self.style.line(event);
        if !matches!(event, Event::Help { .. }) {
            let hour = jiff::Zoned::now().strftime("%H:%M").to_string();
            line = format!("{} {line}", self.style.dim(&hour));
        }
        if matches!(event, Event::Disconnected { .. }) {
            self.farewell = Some(line);
            return Ok(());
        }
        line.push('\n');
        let threads = self.threads.as_ref();
        let sent = threads.is_some_and(|threads| threads.lines.send(Shown::Line(line)).is_ok());
        if sent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }

    fn input(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    fn read(&mut self, typed: &mut Vec<Typed>) -> io::Result<()> {
        let mut buffer = [0; 64];
        let awake = self.wake.read(&mut buffer)?;
        typed.extend(self.typed.try_iter());
        if awake == 0 && typed.is_empty() {
            typed.push(Typed::End); // the editor is gone
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
fn print(printer: &mut impl ExternalPrinter, shown: &Receiver<Shown>) {
    let mut last = None;
    for shown in shown {
        let (line, is_end) = match shown {
            Shown::Line(line) => (line, false),
            Shown::End => (NOTHING.to_owned(), true),
        };
        if printer.print(line.clone()).is_ok() {
            last = Some(line);
        } else {
            // The one before is still in the editor's queue: nobody has seen it.
            for line in last.take().into_iter().chain([line]) {
                let _ = write!(io::stdout(), "{line}");
            }
        }
        if is_end {
            return;
        }
    }
}

/// Reads lines until there are no more, or until one says so.
fn edit(
    editor: &mut Editor<impl Helper, DefaultHistory>,
    prompt: &str,
    typed: &Sender<Typed>,
    waker: &mut UnixStream,
) {
    loop {
        let what = match editor.readline(prompt) {
            Ok(line) => Typed::Line(line),
            Err(ReadlineError::Eof) => Typed::End,
            Err(_) => Typed::Interrupt,
        };
        // After a quit, another prompt would only be in the way.
        let is_last = match &what {
            Typed::Line(line) => {
                matches!(grammar::parse(line), Ok(Some(Command::Quit(_))))
            }
            _ => true,
        };
        // A waker that is full has woken the loop already.
        if typed.send(what).is_err() || is_full_stop(waker.write(b"!")) || is_last {
            return;
        }
    }
}

fn is_full_stop(written: io::Result<usize>) -> bool {
    written.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
}

/// A thread, and a receiver that is disconnected when it has ended.
fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<(JoinHandle<()>, Receiver<()>)> {
    let (ends, has_ended) = mpsc::channel();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _ends: Sender<()> = ends;
        body();
    })?;
    Ok((thread, has_ended))
}
