//! A pipe frontend whose output never blocks the caller.
//!
//! A peer relays messages of others and must not wait for the reader of its own output. A thread
//! writes the lines; lines are never dropped. A backlog above [`PEER_UNREAD_BYTES_MAX`] is an
//! error.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::pipe::{self, OutputLine, PipeFrontend};
use super::shell::Frontend;
use crate::limits::{PEER_UNREAD_BYTES_MAX, SHUTDOWN_DRAIN_TIMEOUT};
use crate::ui::Input;
use crate::vocabulary::Event;

/// A [`PipeFrontend`] whose lines are queued and written by a thread.
pub(super) struct BufferedPipeFrontend {
    pipe: PipeFrontend,
    json: bool,
    /// `None` once no more lines are written.
    line_sender: Option<Sender<OutputLine>>,
    /// Bytes in the queue.
    unwritten_bytes: Arc<AtomicUsize>,
    /// A write has failed, so that nothing else is written.
    has_output_failed: Arc<AtomicBool>,
    /// Receives when all lines were written.
    done: Receiver<()>,
}

impl BufferedPipeFrontend {
    /// Opens standard input and starts the thread that writes.
    ///
    /// # Errors
    /// Standard input is closed, or the system refuses a thread.
    pub(super) fn open(json: bool) -> io::Result<Self> {
        let pipe = PipeFrontend::open(json)?;
        let (line_sender, line_receiver) = channel::<OutputLine>();
        let (done_sender, done) = channel();
        let unwritten_bytes = Arc::new(AtomicUsize::new(0));
        let has_output_failed = Arc::new(AtomicBool::new(false));
        let (remaining_bytes, failure_flag) =
            (Arc::clone(&unwritten_bytes), Arc::clone(&has_output_failed));
        thread::Builder::new().name("output".to_owned()).spawn(move || {
            for line in line_receiver {
                if line.write().is_err() {
                    failure_flag.store(true, Ordering::Relaxed);
                    break;
                }
                remaining_bytes.fetch_sub(line.len(), Ordering::Relaxed);
            }
            let _ = done_sender.send(()); // received only when the frontend is dropped
        })?;
        Ok(Self {
            pipe,
            json,
            line_sender: Some(line_sender),
            unwritten_bytes,
            has_output_failed,
            done,
        })
    }
}

impl Frontend for BufferedPipeFrontend {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        if self.has_output_failed.load(Ordering::Relaxed) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let line = pipe::format_line(self.json, event);
        let unwritten_bytes_before = self.unwritten_bytes.fetch_add(line.len(), Ordering::Relaxed);
        if unwritten_bytes_before > PEER_UNREAD_BYTES_MAX {
            return Err(io::Error::other(format!(
                "{unwritten_bytes_before} bytes of output were not read: read it faster, or send \
                 it to a file"
            )));
        }
        let line_sender = self.line_sender.as_ref().expect("lines are accepted until the drop");
        line_sender.send(line).map_err(|_| ErrorKind::BrokenPipe.into())
    }

    fn input_fd(&self) -> BorrowedFd<'_> {
        self.pipe.input_fd()
    }

    fn read_input(&mut self, inputs: &mut Vec<Input>) -> io::Result<()> {
        self.pipe.read_input(inputs)
    }
}

impl Drop for BufferedPipeFrontend {
    /// Waits up to [`SHUTDOWN_DRAIN_TIMEOUT`] for the queue to be read, then discards it.
    fn drop(&mut self) {
        self.line_sender = None;
        let _ = self.done.recv_timeout(SHUTDOWN_DRAIN_TIMEOUT);
    }
}
