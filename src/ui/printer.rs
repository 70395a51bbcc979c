//! Output above the line that is being typed: a queue of messages, and the thread that prints them.

use std::io::{self, Write as _};
use std::sync::mpsc::{self, Receiver, SyncSender};

use rustyline::ExternalPrinter;

/// Maximum number of lines that wait for the editor.
const OUTPUT_LINES_MAX: usize = 1024;

/// Moves up a line and down again, and so changes nothing. Printing this redraws the line that is
/// being typed, and completes only after the line before was printed: the queue of the editor has
/// room for one.
const REDRAW_SEQUENCE: &str = "\x1b[1A\n";

/// A handle that prints lines above the line that is being typed.
#[derive(Clone, Debug)]
pub struct Printer(SyncSender<Message>);

/// A message to the printing thread.
#[derive(Debug)]
pub(super) enum Message {
    /// Prints a text that ends with a line end.
    Text(String),
    /// Replies once everything before was printed.
    Flush(SyncSender<()>),
    /// Ends the thread.
    Stop,
}

impl Printer {
    /// Creates a handle and the queue of its messages.
    pub(super) fn new() -> (Self, Receiver<Message>) {
        let (messages, queue) = mpsc::sync_channel(OUTPUT_LINES_MAX);
        (Self(messages), queue)
    }

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

    /// Ends the printing thread once everything before was printed. Does nothing if the queue is
    /// full.
    pub(super) fn stop(&self) {
        let _ = self.0.try_send(Message::Stop);
    }
}

/// Prints messages above the line that is being typed; directly once the editor has ended.
pub(super) fn run(output: &mut impl ExternalPrinter, queue: &Receiver<Message>) {
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
