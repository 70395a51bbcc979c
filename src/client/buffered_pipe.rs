//! Output that waits for its reader on a thread of its own, as a peer must go on for others: whoever
//! reads its events may be slow, and what was shown is never dropped.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::event::Event;
use super::input::Input;
use super::pipe::{self, OutputLine, PipeFrontend};
use super::shell::Frontend;
use crate::limits::{PEER_UNREAD_BYTES_MAX, SHUTDOWN_DRAIN_TIMEOUT};

/// A [`PipeFrontend`] that nobody waits for.
pub(super) struct BufferedPipeFrontend {
    pipe: PipeFrontend,
    json: bool,
    /// `None` once it is to end.
    line_sender: Option<Sender<OutputLine>>,
    /// Bytes that are not written yet.
    unwritten_bytes: Arc<AtomicUsize>,
    /// Nobody can see what is written any more.
    has_output_failed: Arc<AtomicBool>,
    /// Answers when all is written.
    done: Receiver<()>,
}

impl BufferedPipeFrontend {
    /// # Errors
    /// When standard input cannot be duplicated.
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
            let _ = done_sender.send(()); // nobody waits unless it ends
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
            let what =
                format!("{unwritten_bytes_before} bytes of output were not read: this peer ends");
            return Err(io::Error::other(what));
        }
        let line_sender = self.line_sender.as_ref().expect("it has not ended");
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
    /// Gives a reader as long to read the rest as neighbours have.
    fn drop(&mut self) {
        self.line_sender = None;
        let _ = self.done.recv_timeout(SHUTDOWN_DRAIN_TIMEOUT); // then it is lost
    }
}
