//! The mailbox stores: acknowledged mail is there, whatever happens to the process and its files.

mod behaviour;
mod crash;
mod faults;
mod refusals;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crc::id::WideId;
use crc::limits::MAIL_OVERHEAD_BYTES;
use crc::mail::store::Mailbox;
use crc::mail::{Inventory, Mail, MailId, StoreReply, StoreRequest};

/// Maximum time to wait for a reply. Only a failing test reaches it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A mailbox and the receiver of its wake calls.
struct TestMailbox {
    mailbox: Mailbox,
    inventory: Inventory,
    wake_receiver: Receiver<()>,
}

impl TestMailbox {
    fn in_memory() -> Self {
        let (mailbox, inventory) = Mailbox::in_memory();
        Self { mailbox, inventory, wake_receiver: channel().1 }
    }

    fn open(path: &Path) -> Self {
        let (wake, wake_receiver) = channel();
        let opened = Mailbox::open(path, move || {
            let _ = wake.send(());
        });
        let (mailbox, inventory) = opened.expect("a valid mailbox");
        Self { mailbox, inventory, wake_receiver }
    }

    fn next_reply(&mut self) -> StoreReply {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(reply) = self.mailbox.poll() {
                return reply;
            }
            let remaining = deadline.saturating_duration_since(Instant::now());
            self.wake_receiver.recv_timeout(remaining).expect("a reply in time");
        }
    }

    /// Sends the requests and returns the replies, with one reply per append request.
    fn round_trip(&mut self, requests: &[StoreRequest]) -> Vec<StoreReply> {
        for request in requests {
            self.mailbox.request(request.clone());
        }
        let (mut replies, mut answered) = (Vec::new(), 0);
        while answered < requests.len() {
            let is_expire = matches!(requests[answered], StoreRequest::Expire { .. });
            let before = replies.len();
            match self.next_reply() {
                StoreReply::Appended(ids) => {
                    replies.extend(ids.into_iter().map(|id| StoreReply::Appended(vec![id])));
                    answered += replies.len() - before;
                }
                StoreReply::AppendFailed { ids, error } => {
                    let single =
                        |id| StoreReply::AppendFailed { ids: vec![id], error: error.clone() };
                    replies.extend(ids.into_iter().map(single));
                    answered += replies.len() - before;
                }
                reply => {
                    let is_followed = is_expire && matches!(reply, StoreReply::Deleted { .. });
                    answered += usize::from(!is_followed);
                    replies.push(reply);
                }
            }
        }
        assert_eq!(self.mailbox.poll(), None, "no reply without a request");
        replies
    }

    /// Returns all mail of an addressee, fetched in batches.
    fn fetch_all(&mut self, to: i64) -> Vec<Mail> {
        let mut all: Vec<Mail> = Vec::new();
        loop {
            let after = all.last().map_or(MailId(0), |mail| mail.id);
            let request = StoreRequest::Fetch { serial: 1, to: WideId(to), after };
            match self.round_trip(&[request]).as_slice() {
                [StoreReply::Fetched { serial: 1, mails }] if mails.is_empty() => return all,
                [StoreReply::Fetched { serial: 1, mails }] => all.extend_from_slice(mails),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn mail(id: u64, to: i64, text: &[u8]) -> Mail {
    let appended_at = Duration::from_nanos(id * 1_000_000_007);
    let (from_nick, sent_at_ms) = (Box::default(), 0);
    let (id, to, from) = (MailId(id), WideId(to), WideId(-to));
    Mail { id, to, from, from_nick, sent_at_ms, appended_at, text: text.into() }
}

fn append(id: u64, to: i64, text: &[u8]) -> StoreRequest {
    StoreRequest::Append(mail(id, to, text))
}

fn appended(id: u64) -> StoreReply {
    StoreReply::Appended(vec![MailId(id)])
}

fn deleted(to: i64, messages: u64, text_bytes: u64) -> StoreReply {
    let bytes = text_bytes + messages * MAIL_OVERHEAD_BYTES as u64;
    StoreReply::Deleted { to: WideId(to), messages, bytes }
}

fn ids(mails: &[Mail]) -> Vec<u64> {
    mails.iter().map(|mail| mail.id.0).collect()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}
