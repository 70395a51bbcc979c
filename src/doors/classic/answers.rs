//! How a client is answered: in the form in which its `Connect` came.
//!
//! A read may cut the stream behind the first NUL, where it cannot be told which form that is. What is
//! to be said waits then, until the next bytes come or some time has passed.

use std::borrow::Cow;

use super::wire::{self, Form, Message, Name, TEXT_BYTES_MAX};
use crate::doors::SendQueue;
use crate::limits::{CLASSIC_FORM_WAIT, CLASSIC_HELD_BYTES_MAX};
use crate::relay::Time;

/// How the server begins a message that goes on with the one before it: the words may be somebody
/// else's, and are not to look like a message of the server's.
const CONTINUED: &[u8] = b"... ";

/// What is said to one client.
#[derive(Debug)]
pub(super) struct Answers {
    /// Whom they are for.
    name: Name,
    form: Option<Form>,
    /// When the form is taken to be the short one.
    decide_at: Option<Time>,
    /// What was said before the form was clear, in the short one.
    held: Vec<u8>,
}

impl Default for Answers {
    fn default() -> Self {
        Self { name: Name::ALL, form: None, decide_at: None, held: Vec::new() }
    }
}

impl Answers {
    /// A client asks to be known by a name; what came is its `Connect` and the NULs behind it.
    pub(super) fn begin(&mut self, now: Time, name: Name, connect: &[u8]) {
        self.name = name;
        match connect {
            [.., 0, 0] => self.form = Some(Form::Full),
            _ => self.decide_at = Some(now + CLASSIC_FORM_WAIT),
        }
    }

    /// What comes behind the `Connect` tells its form.
    pub(super) fn hear(&mut self, piece: &[u8], queue: &mut SendQueue) {
        if self.decide_at.is_some() {
            let form = if piece.starts_with(&[0]) { Form::Full } else { Form::Short };
            self.decide(form, queue);
        }
    }

    /// From now on the form is clear.
    pub(super) fn decide(&mut self, form: Form, queue: &mut SendQueue) {
        self.form = Some(form);
        self.decide_at = None;
        let held = std::mem::take(&mut self.held);
        for bytes in held.split_inclusive(|&byte| byte == 0) {
            if let Some(message) = wire::message(bytes) {
                wire::encode(&message, form, queue.tail());
            }
        }
    }

    /// Whom they are for.
    pub(super) fn name(&self) -> Name {
        self.name
    }

    /// Whether anything can be said at once.
    pub(super) fn is_clear(&self) -> bool {
        self.form.is_some()
    }

    /// When the form is to be decided, if it is not clear yet.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.decide_at
    }

    /// Says something of any length.
    pub(super) fn say(&mut self, source: Name, text: &[u8], queue: &mut SendQueue) {
        let text = without_nuls(text);
        let mark: &[u8] = if source == Name::SERVER { CONTINUED } else { b"" };
        for (i, piece) in wire::pieces(&text, TEXT_BYTES_MAX - mark.len()).enumerate() {
            match i {
                0 => self.put(source, piece, queue),
                _ => self.put(source, &[mark, piece].concat(), queue),
            }
        }
    }

    /// Says something that fits into one message.
    pub(super) fn put(&mut self, source: Name, text: &[u8], queue: &mut SendQueue) {
        let message = Message { destination: self.name, source, text };
        match self.form {
            Some(form) => wire::encode(&message, form, queue.tail()),
            None => {
                wire::encode(&message, Form::Short, &mut self.held);
                if self.held.len() > CLASSIC_HELD_BYTES_MAX {
                    self.decide(Form::Short, queue);
                }
            }
        }
    }
}

/// A text as this wire can carry it, where a NUL is the end.
fn without_nuls(text: &[u8]) -> Cow<'_, [u8]> {
    // Every byte is looked at, which is quicker than to stop at the first.
    let has_nul = text.iter().fold(false, |has_nul, &byte| has_nul | (byte == 0));
    if !has_nul {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.iter().map(|&byte| if byte == 0 { b' ' } else { byte }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HI: &[u8] = b"bob     -SERVER-Hi\0";

    fn begun(connect: &[u8]) -> (Answers, SendQueue) {
        let mut answers = Answers::default();
        answers.begin(Time::default(), Name::new(b"bob").expect("a name"), connect);
        (answers, SendQueue::default())
    }

    fn full(short: &[u8]) -> Vec<u8> {
        let mut bytes = short.to_vec();
        bytes.resize(wire::MESSAGE_BYTES, 0);
        bytes
    }

    #[test]
    fn a_second_nul_tells_the_form_at_once() {
        let (mut answers, mut queue) = begun(b"Connect bob\0\0");
        answers.say(Name::SERVER, b"Hi", &mut queue);
        assert_eq!(queue.unsent(), full(HI));
    }

    #[test]
    fn what_comes_next_tells_the_form_where_it_was_cut() {
        for (next, expected) in
            [(&b"\0"[..], full(HI).repeat(2)), (b"\0\0-SERVER-", full(HI).repeat(2))]
                .into_iter()
                .chain([(&b"-SERVER-bob     List\0"[..], HI.repeat(2))])
        {
            let (mut answers, mut queue) = begun(b"Connect bob\0");
            answers.say(Name::SERVER, b"Hi", &mut queue);
            answers.say(Name::SERVER, b"Hi", &mut queue);
            assert!(queue.is_empty() && !answers.is_clear());
            assert_eq!(answers.deadline(), Some(Time::after(CLASSIC_FORM_WAIT)));
            answers.hear(next, &mut queue);
            assert_eq!(queue.unsent(), expected);
            assert_eq!(answers.deadline(), None);
            answers.hear(b"\0", &mut queue);
            answers.hear(b"x", &mut queue);
            answers.say(Name::SERVER, b"Hi", &mut queue);
            assert_eq!(queue.len() / expected.len(), 1, "the form stays");
            assert_eq!(queue.len(), expected.len() / 2 * 3);
        }
    }

    #[test]
    fn what_waits_has_a_bound() {
        let (mut answers, mut queue) = begun(b"Connect bob\0");
        let text = [b'x'; 10_000];
        answers.say(Name::new(b"sam").expect("a name"), &text, &mut queue);
        assert!(answers.is_clear() && answers.held.capacity() == 0);
        let messages = queue.unsent().split(|&byte| byte == 0).filter(|m| !m.is_empty());
        assert_eq!(messages.map(|m| m.len() - 16).sum::<usize>(), text.len());
    }

    #[test]
    fn what_goes_on_is_not_said_as_if_it_began() {
        let (mut answers, mut queue) = begun(b"Connect bob\0\0");
        answers.decide(Form::Short, &mut queue);
        answers.say(Name::SERVER, &[b'x'; 240], &mut queue);
        let said = queue.unsent().split(|&byte| byte == 0).map(|m| m.get(16..).unwrap_or(b""));
        let expected: [&[u8]; 3] = [&[b'x'; 235], b"... xxxxx", b""];
        assert_eq!(said.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_nul_in_a_text_does_not_end_it() {
        let (mut answers, mut queue) = begun(b"Connect bob\0\0");
        answers.decide(Form::Short, &mut queue);
        answers.say(Name::SERVER, b"a\0b\0", &mut queue);
        assert_eq!(queue.unsent(), b"bob     -SERVER-a b \0");
    }
}
