//! The mailbox: what is kept is there, whatever happens to the process and its files.

mod behaviour;
mod crash;
mod refusals;
mod trouble;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crc::limits::MAIL_BYTES;
use crc::mail::{Inventory, Mail, MailId, Reply, Request};
use crc::mailbox::Mailbox;
use crc::relay::message::WideId;

/// No test gets near it unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// A mailbox, and the word that it has something to say.
struct Opened {
    mailbox: Mailbox,
    inventory: Inventory,
    woken: Receiver<()>,
}

impl Opened {
    fn memory() -> Self {
        let (mailbox, inventory) = Mailbox::memory();
        Self { mailbox, inventory, woken: channel().1 }
    }

    fn disk(path: &Path) -> Self {
        let (wake, woken) = channel();
        let opened = Mailbox::disk(path, move || {
            let _ = wake.send(());
        });
        let (mailbox, inventory) = opened.expect("a mailbox that is in order");
        Self { mailbox, inventory, woken }
    }

    fn next(&mut self) -> Reply {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(reply) = self.mailbox.poll() {
                return reply;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            self.woken.recv_timeout(left).expect("an answer in time");
        }
    }

    /// Makes the requests and waits for their answers. Those to keeps stand alone in what is returned,
    /// however many came as one.
    fn ask(&mut self, requests: &[Request]) -> Vec<Reply> {
        for request in requests {
            self.mailbox.request(request.clone());
        }
        let (mut replies, mut answered) = (Vec::new(), 0);
        while answered < requests.len() {
            let expiring = matches!(requests[answered], Request::Expire { .. });
            let before = replies.len();
            match self.next() {
                Reply::Kept(ids) => {
                    replies.extend(ids.into_iter().map(|id| Reply::Kept(vec![id])));
                    answered += replies.len() - before;
                }
                Reply::NotKept { ids, error } => {
                    let alone = |id| Reply::NotKept { ids: vec![id], error: error.clone() };
                    replies.extend(ids.into_iter().map(alone));
                    answered += replies.len() - before;
                }
                reply => {
                    let more = expiring && matches!(reply, Reply::Removed { .. });
                    answered += usize::from(!more);
                    replies.push(reply);
                }
            }
        }
        assert_eq!(self.mailbox.poll(), None, "an answer to nothing");
        replies
    }

    /// All that waits for an addressee, portion after portion.
    fn collect(&mut self, to: i64) -> Vec<Mail> {
        let mut all: Vec<Mail> = Vec::new();
        loop {
            let after = all.last().map_or(MailId(0), |mail| mail.id);
            let request = Request::Collect { serial: 1, to: WideId(to), after };
            match self.ask(&[request]).as_slice() {
                [Reply::Collected { serial: 1, mails }] if mails.is_empty() => return all,
                [Reply::Collected { serial: 1, mails }] => all.extend_from_slice(mails),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn mail(id: u64, to: i64, text: &[u8]) -> Mail {
    let kept_at = Duration::from_nanos(id * 1_000_000_007);
    Mail { id: MailId(id), to: WideId(to), from: WideId(-to), kept_at, text: text.into() }
}

fn keep(id: u64, to: i64, text: &[u8]) -> Request {
    Request::Keep(mail(id, to, text))
}

fn kept(id: u64) -> Reply {
    Reply::Kept(vec![MailId(id)])
}

fn removed(to: i64, messages: u64, text_bytes: u64) -> Reply {
    let bytes = text_bytes + messages * MAIL_BYTES as u64;
    Reply::Removed { to: WideId(to), messages, bytes }
}

fn ids(mails: &[Mail]) -> Vec<u64> {
    mails.iter().map(|mail| mail.id.0).collect()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}
