//! Messages to a classic client, in the form of its `Connect`.
//!
//! A read may end after the first NUL of the `Connect`, where the form is not known yet. Messages
//! are deferred then, until more bytes arrive or [`CLASSIC_FORM_DETECTION_TIMEOUT`] has passed.

use std::borrow::Cow;

use super::codec::{self, Form, Message, Name, TEXT_BYTES_MAX};
use crate::limits::{CLASSIC_DEFERRED_OUTPUT_BYTES_MAX, CLASSIC_FORM_DETECTION_TIMEOUT};
use crate::link::SendQueue;
use crate::link::Time;

/// Prefix of a server message that continues the previous one. Its text may come from a user, and
/// must not be mistaken for a message of the server.
const CONTINUATION_PREFIX: &[u8] = b"... ";

/// Encodes the messages to one client.
#[derive(Clone, Debug)]
pub(super) struct Responder {
    /// Destination of the messages.
    client_name: Name,
    form: Option<Form>,
    /// When the compact form is assumed.
    form_deadline: Option<Time>,
    /// Messages sent before the form was known, in the compact form.
    deferred_output: Vec<u8>,
}

impl Default for Responder {
    fn default() -> Self {
        Self {
            client_name: Name::ALL,
            form: None,
            form_deadline: None,
            deferred_output: Vec::new(),
        }
    }
}

impl Responder {
    /// Starts with the name of the client and the frame of its `Connect`, including the NULs that
    /// were received with it.
    pub(super) fn start(&mut self, now: Time, name: Name, connect_frame: &[u8]) {
        self.client_name = name;
        match connect_frame {
            [.., 0, 0] => self.form = Some(Form::Padded),
            _ => self.form_deadline = Some(now + CLASSIC_FORM_DETECTION_TIMEOUT),
        }
    }

    /// Derives the form from the bytes after the `Connect`, unless it is known.
    pub(super) fn detect_form(&mut self, bytes: &[u8], queue: &mut SendQueue) {
        if self.form_deadline.is_some() {
            let form = if bytes.starts_with(&[0]) { Form::Padded } else { Form::Compact };
            self.set_form(form, queue);
        }
    }

    /// Sets the form, and sends the deferred messages.
    pub(super) fn set_form(&mut self, form: Form, queue: &mut SendQueue) {
        self.form = Some(form);
        self.form_deadline = None;
        let deferred = std::mem::take(&mut self.deferred_output);
        for bytes in deferred.split_inclusive(|&byte| byte == 0) {
            if let Some(message) = codec::parse_frame(bytes) {
                codec::encode(&message, form, queue.tail());
            }
        }
    }

    /// Returns the name of the client.
    pub(super) fn client_name(&self) -> Name {
        self.client_name
    }

    /// Returns whether the form is known, so that messages are sent at once.
    pub(super) fn is_form_known(&self) -> bool {
        self.form.is_some()
    }

    /// Returns when [`Responder::set_form`] must be called, if the form is not known.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.form_deadline
    }

    /// Sends a text of any length, in as many messages as it takes.
    pub(super) fn send_text(&mut self, source: Name, text: &[u8], queue: &mut SendQueue) {
        self.send_text_to(self.client_name, source, text, queue);
    }

    /// Like [`Responder::send_text`], to the client or to a room that it is in.
    pub(super) fn send_text_to(
        &mut self,
        destination: Name,
        source: Name,
        text: &[u8],
        queue: &mut SendQueue,
    ) {
        let text = replace_nuls(text);
        let prefix: &[u8] = if source == Name::SERVER { CONTINUATION_PREFIX } else { b"" };
        for (i, piece) in codec::split_text(&text, TEXT_BYTES_MAX - prefix.len()).enumerate() {
            match i {
                0 => self.send(&Message { destination, source, text: piece }, queue),
                _ => {
                    let text = &[prefix, piece].concat();
                    self.send(&Message { destination, source, text }, queue);
                }
            }
        }
    }

    /// Sends a text that fits into one message.
    pub(super) fn send_message(&mut self, source: Name, text: &[u8], queue: &mut SendQueue) {
        self.send(&Message { destination: self.client_name, source, text }, queue);
    }

    fn send(&mut self, message: &Message<'_>, queue: &mut SendQueue) {
        match self.form {
            Some(form) => codec::encode(message, form, queue.tail()),
            None => {
                codec::encode(message, Form::Compact, &mut self.deferred_output);
                if self.deferred_output.len() > CLASSIC_DEFERRED_OUTPUT_BYTES_MAX {
                    self.set_form(Form::Compact, queue);
                }
            }
        }
    }
}

/// Replaces each NUL, which would end the message, by a space.
fn replace_nuls(text: &[u8]) -> Cow<'_, [u8]> {
    // A loop without an early exit is vectorized.
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

    fn new_responder(connect_frame: &[u8]) -> (Responder, SendQueue) {
        let mut responder = Responder::default();
        responder.start(Time::default(), Name::new(b"bob").expect("a name"), connect_frame);
        (responder, SendQueue::default())
    }

    fn padded(compact: &[u8]) -> Vec<u8> {
        let mut bytes = compact.to_vec();
        bytes.resize(codec::MESSAGE_BYTES, 0);
        bytes
    }

    #[test]
    fn second_nul_after_connect_selects_the_padded_form() {
        let (mut responder, mut queue) = new_responder(b"Connect bob\0\0");
        responder.send_text(Name::SERVER, b"Hi", &mut queue);
        assert_eq!(queue.unsent(), padded(HI));
    }

    #[test]
    fn form_is_detected_from_the_bytes_after_a_cut_connect() {
        for (next, expected) in
            [(&b"\0"[..], padded(HI).repeat(2)), (b"\0\0-SERVER-", padded(HI).repeat(2))]
                .into_iter()
                .chain([(&b"-SERVER-bob     List\0"[..], HI.repeat(2))])
        {
            let (mut responder, mut queue) = new_responder(b"Connect bob\0");
            responder.send_text(Name::SERVER, b"Hi", &mut queue);
            responder.send_text(Name::SERVER, b"Hi", &mut queue);
            assert!(queue.is_empty() && !responder.is_form_known());
            assert_eq!(
                responder.deadline(),
                Some(Time::from_start(CLASSIC_FORM_DETECTION_TIMEOUT))
            );
            responder.detect_form(next, &mut queue);
            assert_eq!(queue.unsent(), expected);
            assert_eq!(responder.deadline(), None);
            responder.detect_form(b"\0", &mut queue);
            responder.detect_form(b"x", &mut queue);
            responder.send_text(Name::SERVER, b"Hi", &mut queue);
            assert_eq!(queue.len() / expected.len(), 1, "the form stays");
            assert_eq!(queue.len(), expected.len() / 2 * 3);
        }
    }

    #[test]
    fn deferred_output_is_bounded() {
        let (mut responder, mut queue) = new_responder(b"Connect bob\0");
        let text = [b'x'; 10_000];
        responder.send_text(Name::new(b"sam").expect("a name"), &text, &mut queue);
        assert!(responder.is_form_known() && responder.deferred_output.capacity() == 0);
        let messages = queue.unsent().split(|&byte| byte == 0).filter(|m| !m.is_empty());
        assert_eq!(messages.map(|m| m.len() - 16).sum::<usize>(), text.len());
    }

    #[test]
    fn continuation_of_a_server_text_is_prefixed() {
        let (mut responder, mut queue) = new_responder(b"Connect bob\0\0");
        responder.set_form(Form::Compact, &mut queue);
        responder.send_text(Name::SERVER, &[b'x'; 240], &mut queue);
        let texts = queue.unsent().split(|&byte| byte == 0).map(|m| m.get(16..).unwrap_or(b""));
        let expected: [&[u8]; 3] = [&[b'x'; 235], b"... xxxxx", b""];
        assert_eq!(texts.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn nul_in_a_text_is_sent_as_a_space() {
        let (mut responder, mut queue) = new_responder(b"Connect bob\0\0");
        responder.set_form(Form::Compact, &mut queue);
        responder.send_text(Name::SERVER, b"a\0b\0", &mut queue);
        assert_eq!(queue.unsent(), b"bob     -SERVER-a b \0");
    }
}
