//! The recipients to whom a classic client wrote last, by id and name.

use std::collections::VecDeque;

use crate::id::HostId;
use crate::limits::CLASSIC_RECENT_RECIPIENTS_MAX;
use crate::names::Name;

/// The last [`CLASSIC_RECENT_RECIPIENTS_MAX`] recipients of a client's chats, latest last. They
/// name users that have quit by the time an error about them arrives.
#[derive(Clone, Debug, Default)]
pub(super) struct RecentRecipients(VecDeque<(HostId, Name)>);

impl RecentRecipients {
    /// Adds the recipient of a chat, or moves it to the end.
    pub(super) fn push(&mut self, id: HostId, name: Name) {
        if self.0.back() == Some(&(id, name)) {
            return;
        }
        self.0.retain(|&(recipient, _)| recipient != id);
        if self.0.len() == CLASSIC_RECENT_RECIPIENTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((id, name));
    }

    /// Returns the name of the latest recipient.
    pub(super) fn latest_name(&self) -> Option<Name> {
        self.0.back().map(|&(_, name)| name)
    }

    /// Returns the name that a recipient had.
    pub(super) fn name_of(&self, id: HostId) -> Option<Name> {
        self.0.iter().find(|&&(recipient, _)| recipient == id).map(|&(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> Name {
        Name::new(format!("u{number}").as_bytes()).expect("a short name")
    }

    #[test]
    fn oldest_recipient_is_forgotten_first() {
        let mut recipients = RecentRecipients::default();
        assert_eq!(recipients.latest_name(), None);
        let count = u32::try_from(CLASSIC_RECENT_RECIPIENTS_MAX).expect("a small number");
        for number in 0..count {
            recipients.push(HostId(number), name(number));
        }
        recipients.push(HostId(0), name(0));
        recipients.push(HostId(count), name(count));
        assert_eq!(recipients.latest_name(), Some(name(count)));
        assert_eq!(recipients.name_of(HostId(1)), None);
        for number in (2..=count).chain([0]) {
            assert_eq!(recipients.name_of(HostId(number)), Some(name(number)));
        }
    }

    #[test]
    fn recipient_has_its_latest_name() {
        let mut recipients = RecentRecipients::default();
        recipients.push(HostId(7), name(1));
        recipients.push(HostId(7), name(2));
        assert_eq!(recipients.name_of(HostId(7)), Some(name(2)));
        assert_eq!(recipients.0.len(), 1);
    }
}
