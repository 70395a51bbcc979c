//! Mail that a plain server is sent in pieces, each a frame: its user has received it once the
//! pieces together are the text that was sent.

use super::player::Player;
use super::users::{ReceivedChat, User};
use super::{Predicate, Violation};

impl Player<'_> {
    /// Joins what a user of a plain server has received to the pieces before. Returns it once it is
    /// whole, or at once if it is no piece of mail.
    pub(super) fn join_pieces(&mut self, number: u32, chat: ReceivedChat) -> Option<ReceivedChat> {
        let user = self.users.get_mut(&number).filter(|user| user.is_on_plain);
        let Some(user) = user else { return Some(chat) };
        let begun = user.begun_mail.take_if(|begun| begun.source == chat.source);
        let mut joined = chat.clone();
        if let Some(begun) = &begun {
            joined.text = [begun.text.as_slice(), &chat.text].concat();
        }
        let mut is_whole = self.is_whole_mail(&joined.text);
        if begun.is_some() && is_whole.is_none() {
            joined.text.clone_from(&chat.text); // the mail is sent again from its first piece
            is_whole = self.is_whole_mail(&joined.text);
        }
        let user = self.users.get_mut(&number).expect("a user");
        match is_whole {
            Some(true) => Some(joined),
            Some(false) => {
                user.begun_mail = Some(joined);
                None
            }
            None => {
                user.begun_mail = begun;
                Some(chat)
            }
        }
    }

    /// Returns whether a text is that of mail, or its beginning. Returns `None` if it is neither.
    fn is_whole_mail(&self, text: &[u8]) -> Option<bool> {
        let sent = self.chat_of(text).map(|at| &self.chats[at]);
        let sent = sent.filter(|sent| sent.mail.is_some() && sent.text.starts_with(text));
        sent.map(|sent| sent.text == text)
    }

    /// Checks that no piece of mail is missing, unless links may have ended with it.
    pub(super) fn check_begun_mail(&self) -> Result<(), Violation> {
        let mut online = self.users.values().filter(|user| user.is_online());
        let begun = online.find_map(|user: &User| Some((user.id, user.begun_mail.as_ref()?)));
        let Some((id, mail)) = begun.filter(|_| !self.scenario.has_faults()) else {
            return Ok(());
        };
        let (bytes, source) = (mail.text.len(), mail.source);
        let text = format!("of the mail from {source}, {id} has received {bytes} bytes alone");
        Err(self.violation(Predicate::Accounting, text))
    }
}
