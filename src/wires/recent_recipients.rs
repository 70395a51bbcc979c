//! [`RecentRecipients`]: the recipients to whom a client wrote last, by id and name.

use std::collections::VecDeque;

use crate::id::HostId;
use crate::limits::RECENT_RECIPIENTS_MAX;

/// The last [`RECENT_RECIPIENTS_MAX`] recipients of a client's chats, latest last. They name users
/// that have left by the time an answer about them arrives.
#[derive(Clone, Debug)]
pub(super) struct RecentRecipients<N>(VecDeque<(HostId, N)>);

impl<N> Default for RecentRecipients<N> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<N: PartialEq> RecentRecipients<N> {
    /// Adds the recipient of a chat, or moves it to the end.
    pub(super) fn push(&mut self, id: HostId, name: N) {
        if self.0.back().is_some_and(|latest| latest.0 == id && latest.1 == name) {
            return;
        }
        self.0.retain(|&(recipient, _)| recipient != id);
        if self.0.len() == RECENT_RECIPIENTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((id, name));
    }

    /// Returns the name of the latest recipient.
    pub(super) fn latest_name(&self) -> Option<&N> {
        self.0.back().map(|(_, name)| name)
    }

    /// Returns the name that a recipient had.
    pub(super) fn name_of(&self, id: HostId) -> Option<&N> {
        self.0.iter().find(|&&(recipient, _)| recipient == id).map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_recipient_is_forgotten_first() {
        let mut recipients = RecentRecipients::default();
        assert_eq!(recipients.latest_name(), None);
        let count = u32::try_from(RECENT_RECIPIENTS_MAX).expect("a small number");
        for number in 0..count {
            recipients.push(HostId(number), number);
        }
        recipients.push(HostId(0), 0);
        recipients.push(HostId(count), count);
        assert_eq!(recipients.latest_name(), Some(&count));
        assert_eq!(recipients.name_of(HostId(1)), None);
        for number in (2..=count).chain([0]) {
            assert_eq!(recipients.name_of(HostId(number)), Some(&number));
        }
    }

    #[test]
    fn recipient_has_its_latest_name() {
        let mut recipients = RecentRecipients::default();
        recipients.push(HostId(7), "sam");
        recipients.push(HostId(7), "samwise");
        assert_eq!(recipients.name_of(HostId(7)), Some(&"samwise"));
        assert_eq!(recipients.0.len(), 1);
    }
}
