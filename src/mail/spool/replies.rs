//! What the spool does with the replies of the store.

use super::{Spool, UnackedMail};
use crate::link::Time;
use crate::mail::{AppendError, AppendOutcome, MailId, StoreReply};

impl Spool {
    /// Handles a reply of the store. Returns the outcome of each append request that it answers, in
    /// the order of the requests.
    pub fn handle_reply(&mut self, now: Time, reply: StoreReply) -> Vec<AppendOutcome> {
        match reply {
            StoreReply::Appended(ids) => return self.on_appended(now, ids),
            StoreReply::AppendFailed { ids, error } => return self.on_append_failed(&ids, &error),
            StoreReply::Failed(error) => return self.on_store_failed(error),
            StoreReply::Fetched { serial, mails } => {
                let last_append_id =
                    |to| self.backlogs.get(&to).map_or(0, |backlog| backlog.last_append_id);
                if let Some(to) = self.deliveries.on_fetched(serial, mails, last_append_id) {
                    self.fetch(to);
                }
            }
            StoreReply::Deleted { to, messages, bytes } => {
                if let Some(backlog) = self.backlogs.get_mut(&to) {
                    backlog.messages = backlog.messages.saturating_sub(messages);
                    backlog.bytes = backlog.bytes.saturating_sub(bytes);
                    self.total_bytes = self.total_bytes.saturating_sub(bytes);
                    self.remove_if_empty(to);
                }
            }
            StoreReply::Expired { oldest } => self.expiry.on_checked(now, oldest),
        }
        Vec::new()
    }

    fn on_appended(&mut self, now: Time, ids: Vec<MailId>) -> Vec<AppendOutcome> {
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(UnackedMail { link, to, bytes, .. }) = self.take_unacked(id) else {
                continue;
            };
            let backlog = self.backlogs.entry(to).or_default();
            backlog.messages += 1;
            backlog.bytes += bytes;
            self.total_bytes += bytes;
            outcomes.push(AppendOutcome { link, to, result: Ok(()) });
        }
        self.expiry.on_appended(now);
        outcomes
    }

    fn on_append_failed(&mut self, ids: &[MailId], error: &str) -> Vec<AppendOutcome> {
        log::error!("{} messages are not kept: {error}", ids.len());
        let mut outcomes = Vec::with_capacity(ids.len());
        for &id in ids {
            if let Some(UnackedMail { link, to, .. }) = self.take_unacked(id) {
                self.refused += 1;
                self.remove_if_empty(to);
                let result = Err(AppendError::NotStored(error.to_owned()));
                outcomes.push(AppendOutcome { link, to, result });
            }
        }
        outcomes
    }

    fn on_store_failed(&mut self, error: String) -> Vec<AppendOutcome> {
        log::error!(
            "the mailbox has failed: {error}. No mail is kept from now on; chat continues. Mail that \
             was kept is still in the file: repair the disk and restart the server"
        );
        let failed = |UnackedMail { link, to, .. }| {
            let result = Err(AppendError::StoreFailed(error.clone()));
            AppendOutcome { link, to, result }
        };
        let outcomes: Vec<_> =
            std::mem::take(&mut self.unacked_mail).into_iter().map(failed).collect();
        self.refused += outcomes.len() as u64;
        self.unacked_bytes = 0;
        self.expiry.stop();
        for backlog in self.backlogs.values_mut() {
            backlog.unacked = 0;
        }
        self.failure = Some(error);
        outcomes
    }

    /// Removes the oldest unacknowledged message if it has this id.
    fn take_unacked(&mut self, id: MailId) -> Option<UnackedMail> {
        let unacked = self.unacked_mail.pop_front_if(|unacked| unacked.id == id)?;
        self.unacked_bytes -= unacked.bytes;
        if let Some(backlog) = self.backlogs.get_mut(&unacked.to) {
            backlog.unacked -= 1;
        }
        Some(unacked)
    }
}
