//! A mailbox in a file: SQLite on a thread of its own.
//!
//! `file` finds, checks and creates the file, `store` runs batches of requests, `queries` and
//! `schema` have the SQL. This module owns the thread.
//!
//! The thread takes all pending requests as one batch, carries them out in one transaction, and
//! replies when it is on disk: a batch costs one sync, whatever its size. An idle thread makes no
//! system call.
//!
//! There are two kinds of failure. If the disk is full, the appends of a batch fail and the other
//! requests are carried out as far as possible. Any other error ends the mailbox with
//! [`StoreReply::Failed`], because the state in memory and the file may no longer agree. The log is
//! left for the next start to recover. Only in that case may a message reported as
//! [`StoreReply::AppendFailed`] reappear: the failed sync may have written it.

mod file;
mod queries;
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

/// A mailbox in a file. Dropping it carries out the remaining requests and closes the file, unless
/// that takes longer than [`MAIL_CLOSE_TIMEOUT`].
pub struct DiskMailbox {
    /// `None` only during the drop.
    requests: Option<Sender<StoreRequest>>,
    replies: Receiver<StoreReply>,
    /// `None` after [`DiskMailbox::detach`].
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for DiskMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

impl DiskMailbox {
    /// Opens the mailbox at `path`, or creates it, and checks the whole file. `wake` is called on
    /// the mailbox thread when there are replies.
    ///
    /// A process must open a file only once. A second attempt is refused, but releases the lock of
    /// the first against other processes.
    ///
    /// # Errors
    /// Returns the problem and its remedy, for the operator. The file is unchanged.
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
            .map_err(|error| format!("cannot start the thread of the mailbox: {error}"))?;
        Ok(Self { requests: Some(requests), replies, thread: Some(thread) })
    }

    /// Sends a request to the thread. Never blocks.
    pub fn request(&mut self, request: StoreRequest) {
        let requests = self.requests.as_ref().expect("open until it is dropped");
        requests.send(request).expect("the thread ends after the channel");
    }

    /// Returns the next reply, if there is one.
    pub fn poll(&mut self) -> Option<StoreReply> {
        self.replies.try_recv().ok()
    }

    /// Makes the drop not wait for the disk.
    pub fn detach(&mut self) {
        self.thread = None;
    }
}

impl Drop for DiskMailbox {
    fn drop(&mut self) {
        self.requests = None;
        let Some(thread) = self.thread.take() else { return };
        let deadline = Instant::now() + MAIL_CLOSE_TIMEOUT;
        // The channel of replies is closed when the thread ends.
        let error = loop {
            match self.replies.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(end) => break end,
            }
        };
        match error {
            // A panic of the thread was reported when it happened.
            RecvTimeoutError::Disconnected => drop(thread.join()),
            RecvTimeoutError::Timeout => log::error!(
                "the disk has not answered for {MAIL_CLOSE_TIMEOUT:?}: the mailbox is not closed. Mail that \
                 was kept is in it; some that was delivered lately may be delivered again"
            ),
        }
    }
}

/// Runs the thread until the channel of requests is closed.
fn run_thread(
    mut store: Store,
    requests: &Receiver<StoreRequest>,
    replies: &Sender<StoreReply>,
    wake: &impl Fn(),
) {
    let mut batch = Vec::new();
    // Requests must be answered even if the thread panics.
    let work = AssertUnwindSafe(|| run_batches(&mut store, &mut batch, requests, replies, wake));
    let result = catch_unwind(work)
        .unwrap_or_else(|_| Err("the mailbox thread panicked, which is a bug".to_owned()));
    let Err(error) = result else {
        store.close();
        return;
    };
    store.abandon();
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

/// Runs batches of requests. If a batch fails, its requests are left in `batch`, unanswered.
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

/// Returns the approximate size of a request and its reply in memory, in bytes.
fn memory_bytes(request: &StoreRequest) -> usize {
    match request {
        StoreRequest::Append(mail) => MAIL_OVERHEAD_BYTES + mail.text.len(),
        StoreRequest::Fetch { .. } => MAIL_FETCH_BYTES_MAX,
        StoreRequest::Delete { ids, .. } => MAIL_OVERHEAD_BYTES + size_of_val(ids.as_slice()),
        StoreRequest::DeleteAll { .. } | StoreRequest::Expire { .. } => MAIL_OVERHEAD_BYTES,
    }
}
