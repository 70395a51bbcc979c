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
use crate::limits::{
    MAIL_CLOSE_TIMEOUT, MAIL_FETCH_BYTES_MAX, MAIL_OVERHEAD_BYTES, MAIL_TRANSACTION_BYTES_MAX,
};
use crate::mail::{Inventory, MailId, StoreReply, StoreRequest};

/// See the head of this file. Dropping it carries out what was asked and closes the file, unless the
/// disk takes longer than [`MAIL_CLOSE_TIMEOUT`].
pub struct DiskMailbox {
    /// `None` only while it is dropped.
    requests: Option<Sender<StoreRequest>>,
    replies: Receiver<StoreReply>,
    /// `None` if nobody is to wait for its end.
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for DiskMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

impl DiskMailbox {
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
        let (requests, request_receiver) = channel();
        let (reply_sender, replies) = channel();
        let thread = std::thread::Builder::new()
            .name("mailbox".to_owned())
            .spawn(move || run_thread(store, &request_receiver, &reply_sender, &wake))
            .map_err(|error| format!("no thread for the mailbox: {error}"))?;
        Ok(Self { requests: Some(requests), replies, thread: Some(thread) })
    }

    /// Asks for something. Never waits.
    pub fn request(&mut self, request: StoreRequest) {
        let requests = self.requests.as_ref().expect("open until it is dropped");
        requests.send(request).expect("the thread ends after the channel");
    }

    /// The next answer that is there.
    pub fn poll(&mut self) -> Option<StoreReply> {
        self.replies.try_recv().ok()
    }

    /// Whoever drops it is not to wait for the disk.
    pub fn detach(&mut self) {
        self.thread = None;
    }
}

impl Drop for DiskMailbox {
    fn drop(&mut self) {
        self.requests = None;
        let Some(thread) = self.thread.take() else { return };
        let deadline = Instant::now() + MAIL_CLOSE_TIMEOUT;
        // Nobody wants the answers; they end when the thread does.
        let error = loop {
            match self.replies.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(end) => break end,
            }
        };
        match error {
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
fn run_thread(
    mut store: Store,
    requests: &Receiver<StoreRequest>,
    replies: &Sender<StoreReply>,
    wake: &impl Fn(),
) {
    let mut batch = Vec::new();
    // Whoever waits for an answer must hear of it even if the error is one of this program.
    let work = AssertUnwindSafe(|| run_batches(&mut store, &mut batch, requests, replies, wake));
    let result = catch_unwind(work).unwrap_or_else(|_| Err("a fault of this program".to_owned()));
    let Err(error) = result else {
        store.close();
        return;
    };
    store.abandon();
    // The other end of the channel stays until this thread has ended.
    let reject = |ids: Vec<MailId>| {
        let _ = replies.send(StoreReply::AppendFailed { ids, error: error.clone() });
    };
    let pending_appends: Vec<MailId> = batch.iter().filter_map(append_id).collect();
    if !pending_appends.is_empty() {
        reject(pending_appends);
    }
    let _ = replies.send(StoreReply::Failed(error.clone()));
    wake();
    for request in requests {
        if let Some(id) = append_id(&request) {
            reject(vec![id]);
            wake();
        }
    }
}

/// Round after round. If one fails, its requests are left in `round`, unanswered.
fn run_batches(
    store: &mut Store,
    batch: &mut Vec<StoreRequest>,
    requests: &Receiver<StoreRequest>,
    reply_sender: &Sender<StoreReply>,
    wake: &impl Fn(),
) -> Result<(), String> {
    while let Ok(request) = requests.recv() {
        let mut bytes = memory_bytes(&request);
        batch.push(request);
        while bytes < MAIL_TRANSACTION_BYTES_MAX
            && let Ok(request) = requests.try_recv()
        {
            bytes += memory_bytes(&request);
            batch.push(request);
        }
        let replies = store.run_batch(batch)?;
        batch.clear();
        for reply in replies {
            let _ = reply_sender.send(reply);
        }
        wake();
        store.checkpoint_if_long()?;
    }
    Ok(())
}

fn append_id(request: &StoreRequest) -> Option<MailId> {
    match request {
        StoreRequest::Append(mail) => Some(mail.id),
        _ => None,
    }
}

/// About what a request and its answer take in memory.
fn memory_bytes(request: &StoreRequest) -> usize {
    match request {
        StoreRequest::Append(mail) => MAIL_OVERHEAD_BYTES + mail.text.len(),
        StoreRequest::Fetch { .. } => MAIL_FETCH_BYTES_MAX,
        StoreRequest::Delete { ids, .. } => MAIL_OVERHEAD_BYTES + size_of_val(ids.as_slice()),
        StoreRequest::DeleteAll { .. } | StoreRequest::Expire { .. } => MAIL_OVERHEAD_BYTES,
    }
}
