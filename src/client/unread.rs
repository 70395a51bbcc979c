//! Output that waits for its reader on a thread of its own, as a peer must go on for others: whoever
//! reads its events may be slow, and what was shown is never dropped.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::event::Event;
use super::filter::{self, Filter, Line};
use super::lines::Typed;
use super::shell::Front;
use crate::limits::{PEER_UNREAD_BYTES_MAX, SHUTDOWN_DRAIN_TIMEOUT};

/// A [`Filter`] that nobody waits for.
pub(super) struct Unread {
    filter: Filter,
    json: bool,
    /// `None` once it is to end.
    lines: Option<Sender<Line>>,
    /// Bytes that are not written yet.
    unread: Arc<AtomicUsize>,
    /// Nobody can see what is written any more.
    has_failed: Arc<AtomicBool>,
    /// Answers when all is written.
    end: Receiver<()>,
}

impl Unread {
    /// # Errors
    /// When standard input cannot be duplicated.
    pub(super) fn open(json: bool) -> io::Result<Self> {
        let filter = Filter::open(json)?;
        let (lines, waiting) = channel::<Line>();
        let (ended, end) = channel();
        let unread = Arc::new(AtomicUsize::new(0));
        let has_failed = Arc::new(AtomicBool::new(false));
        let (left, failed) = (Arc::clone(&unread), Arc::clone(&has_failed));
        thread::Builder::new().name("output".to_owned()).spawn(move || {
            for line in waiting {
                if line.write().is_err() {
                    failed.store(true, Ordering::Relaxed);
                    break;
                }
                left.fetch_sub(line.len(), Ordering::Relaxed);
            }
            let _ = ended.send(()); // nobody waits unless it ends
        })?;
        Ok(Self { filter, json, lines: Some(lines), unread, has_failed, end })
    }
}

impl Front for Unread {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        if self.has_failed.load(Ordering::Relaxed) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let line = filter::line(self.json, event);
        let unread = self.unread.fetch_add(line.len(), Ordering::Relaxed);
        if unread > PEER_UNREAD_BYTES_MAX {
            let what = format!("{unread} bytes of output were not read: this peer ends");
            return Err(io::Error::other(what));
        }
        let lines = self.lines.as_ref().expect("it has not ended");
        lines.send(line).map_err(|_| ErrorKind::BrokenPipe.into())
    }

    fn input(&self) -> BorrowedFd<'_> {
        self.filter.input()
    }

    fn read(&mut self, typed: &mut Vec<Typed>) -> io::Result<()> {
        self.filter.read(typed)
    }
}

impl Drop for Unread {
    /// Gives a reader as long to read the rest as neighbours have.
    fn drop(&mut self) {
        self.lines = None;
        let _ = self.end.recv_timeout(SHUTDOWN_DRAIN_TIMEOUT); // then it is lost
    }
}
