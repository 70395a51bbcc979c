//! A mailbox in a file: SQLite, on a thread of its own.
//!
//! Owns the thread and what becomes of a request on it. `file` finds, checks and makes the file, `store`
//! does what is asked, `schema` has the SQL.
//!
//! The thread takes all that waits for it as one round, carries it out in one transaction, and
//! answers when that is on the disk: however many messages come at once, they cost one sync. With
//! nothing to do it makes no system call.
//!
//! Two ways to fail. Where there is no room, the keeps of a round are refused and the rest goes on as
//! far as it can. Any other error ends the mailbox with [`Reply::Failed`], because what
//! SQLite thinks of the file and what the disk holds may no longer be the same; then the log is left as
//! it is, for the next opening to find what is whole in it. So after `Failed`, and only then, a message that
//! was answered as not kept may turn up again: the sync that failed may have written it.

mod file;
mod schema;
mod store;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use self::store::Store;
use crate::limits::{MAIL_BYTES, MAIL_CLOSE_WAIT, MAIL_COLLECT_BYTES, MAIL_ROUND_BYTES_MAX};
use crate::mail::{Inventory, MailId, Reply, Request};

/// See the head of this file. Dropping it carries out what was asked and closes the file, unless the
/// disk takes longer than [`MAIL_CLOSE_WAIT`].
pub struct Disk {
    /// `None` only while it is dropped.
    requests: Option<Sender<Request>>,
    replies: Receiver<Reply>,
    /// `None` if nobody is to wait for its end.
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

impl Disk {
    /// Opens the mailbox at `path`, or makes it, and reads all of it once to see that it is whole.
    /// `wake` is called on the store's thread when there are answers. A process opens a file once: a
    /// second attempt is refused, but it ends the first one's lock against other processes.
    ///
    /// # Errors
    /// What is wrong and what to do about it, for the operator. What is at `path` is as it was.
    pub fn open(
        path: &Path,
        wake: impl Fn() + Send + 'static,
    ) -> Result<(Self, Inventory), String> {
        let (store, inventory) = file::open(path)?;
        Ok((Self::start(store, wake)?, inventory))
    }

    fn start(store: Store, wake: impl Fn() + Send + 'static) -> Result<Self, String> {
        let (requests, asked) = channel();
        let (answers, replies) = channel();
        let thread = std::thread::Builder::new()
            .name("mailbox".to_owned())
            .spawn(move || serve(store, &asked, &answers, &wake))
            .map_err(|error| format!("no thread for the mailbox: {error}"))?;
        Ok(Self { requests: Some(requests), replies, thread: Some(thread) })
    }

    /// Asks for something. Never waits.
    pub fn request(&mut self, request: Request) {
        let requests = self.requests.as_ref().expect("open until it is dropped");
        requests.send(request).expect("the thread ends after the channel");
    }

    /// The next answer that is there.
    pub fn poll(&mut self) -> Option<Reply> {
        self.replies.try_recv().ok()
    }

    /// Whoever drops it is not to wait for the disk.
    pub fn give_up(&mut self) {
        self.thread = None;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.requests = None;
        let Some(thread) = self.thread.take() else { return };
        let deadline = Instant::now() + MAIL_CLOSE_WAIT;
        // Nobody wants the answers; they end when the thread does.
        let end = loop {
            match self.replies.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(end) => break end,
            }
        };
        match end {
            // It has said all there is to say about a panic.
            RecvTimeoutError::Disconnected => drop(thread.join()),
            RecvTimeoutError::Timeout => log::error!(
                "the disk does not answer: the mailbox is not closed. What was kept is in it; some \
                 that was delivered lately may be delivered again"
            ),
        }
    }
}

/// The thread, from its first request until nobody can ask any more.
fn serve(mut store: Store, asked: &Receiver<Request>, answers: &Sender<Reply>, wake: &impl Fn()) {
    let mut round = Vec::new();
    // Whoever waits for an answer must hear of it even if the error is one of this program.
    let work = AssertUnwindSafe(|| work(&mut store, &mut round, asked, answers, wake));
    let ended = catch_unwind(work).unwrap_or_else(|_| Err("a fault of this program".to_owned()));
    let Err(error) = ended else {
        store.close();
        return;
    };
    store.abandon();
    // The other end of the channel stays until this thread has ended.
    let refuse = |ids: Vec<MailId>| {
        let _ = answers.send(Reply::NotKept { ids, error: error.clone() });
    };
    let ids: Vec<MailId> = round.iter().filter_map(keeps).collect();
    if !ids.is_empty() {
        refuse(ids);
    }
    let _ = answers.send(Reply::Failed(error.clone()));
    wake();
    for request in asked {
        if let Some(id) = keeps(&request) {
            refuse(vec![id]);
            wake();
        }
    }
}

/// Round after round. If one fails, its requests are left in `round`, unanswered.
fn work(
    store: &mut Store,
    round: &mut Vec<Request>,
    asked: &Receiver<Request>,
    answers: &Sender<Reply>,
    wake: &impl Fn(),
) -> Result<(), String> {
    while let Ok(request) = asked.recv() {
        let mut bytes = weight(&request);
        round.push(request);
        while bytes < MAIL_ROUND_BYTES_MAX
            && let Ok(request) = asked.try_recv()
        {
            bytes += weight(&request);
            round.push(request);
        }
        let replies = store.round(round)?;
        round.clear();
        for reply in replies {
            let _ = answers.send(reply);
        }
        wake();
        store.tidy()?;
    }
    Ok(())
}

fn keeps(request: &Request) -> Option<MailId> {
    match request {
        Request::Keep(mail) => Some(mail.id),
        _ => None,
    }
}

/// About what a request and its answer take in memory.
fn weight(request: &Request) -> usize {
    match request {
        Request::Keep(mail) => MAIL_BYTES + mail.text.len(),
        Request::Collect { .. } => MAIL_COLLECT_BYTES,
        Request::Forget { ids, .. } => MAIL_BYTES + size_of_val(ids.as_slice()),
        Request::Drop { .. } | Request::Expire { .. } => MAIL_BYTES,
    }
}
