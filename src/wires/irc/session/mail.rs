//! Messages to users who are away, and those that were kept for the client.

use std::collections::VecDeque;

use super::Session;
use super::own_text::OwnText;
use crate::id::{HostId, WideId};
use crate::names::nick::{Nick, is_nick, make_nick_alias, nick_ids, parse_wide_alias};
use crate::relay::marks::MarkedText;
use crate::relay::message::Message;
use crate::relay::{Host, MailText};
use crate::wires::irc::numerics as n;
use crate::wires::irc::write::{Mask, UserName};
use crate::wires::{Effect, Effects, NoticeCx, SessionCx};

/// What the sender of a message is shown once it is kept.
const KEPT: &str = "Not online; the message is kept until this user is back";

/// What a request of a program to another one begins with (CTCP), and the one that is a text.
const REQUEST: (&str, &str) = ("\u{1}", "\u{1}ACTION ");

/// A message that the mailbox has not stored yet.
#[derive(Clone, Debug)]
pub(super) struct Unstored {
    target: Box<str>,
    text: Box<str>,
    /// Whether the recipient is online, and the message follows others that are on their way.
    is_behind: bool,
}

/// Returns whether a text is for people, who read it later too.
pub(super) fn is_for_people(text: &str) -> bool {
    !text.starts_with(REQUEST.0) || text.starts_with(REQUEST.1)
}

impl Session {
    /// Returns the user that is shown under a nick, or that has the id in an alias without a name.
    pub(super) fn find_recipient<'r>(&self, target: &str, cx: &SessionCx<'r>) -> Option<&'r Host> {
        self.find_user(target, cx).or_else(|| {
            let id = parse_wide_alias(target.as_bytes()).filter(|id| id.0 > i64::from(u32::MAX))?;
            cx.names.wide_ids.find_user(id, cx.relay.hosts())
        })
    }

    /// Returns the id for which messages to a user who is not online are kept. The user is known to
    /// have been here, or mail waits for it already, or its alias has the id.
    pub(super) fn mailbox_of(&self, target: &str, cx: &SessionCx<'_>) -> Option<WideId> {
        let nick = target.as_bytes();
        let past = cx.names.nicks.past_users(nick).next();
        if is_nick(nick) {
            let ids = nick_ids(nick);
            let is_known = past.is_some() || ids.iter().any(|&id| cx.spool.has_mail(id.into()));
            let free = ids.into_iter().find(|&id| !cx.is_taken(id)).filter(|_| is_known);
            return free.map(WideId::from);
        }
        let id = past.map(|past| past.wide_id).or_else(|| parse_wide_alias(nick))?;
        let is_absent = match u32::try_from(id.0).map(HostId) {
            Ok(host) => {
                let is_reserved = cx.names.reserved_ids.link_of(host).is_some();
                host.is_registrable() && (!cx.is_taken(host) || is_reserved)
            }
            Err(_) => cx.names.wide_ids.find_user(id, cx.relay.hosts()).is_none(),
        };
        is_absent.then_some(id)
    }

    /// Returns the id for which mail is being delivered to a user, so that messages must follow it.
    pub(super) fn delivery_to(host: &Host, cx: &SessionCx<'_>) -> Option<WideId> {
        if !cx.spool.has_deliveries() {
            return None;
        }
        cx.names.mailboxes_of(host).find(|&id| cx.spool.must_spool(id))
    }

    /// Returns whether a message to one of some targets is kept.
    pub(super) fn is_mail(&self, targets: &str, cx: &SessionCx<'_>) -> bool {
        targets.split(',').any(|target| match self.find_recipient(target, cx) {
            Some(host) => Self::delivery_to(host, cx).is_some(),
            None => self.mailbox_of(target, cx).is_some(),
        })
    }

    /// Lets a message be kept. The client is shown the outcome.
    pub(super) fn send_mail<'a>(
        &mut self,
        (target, to): (&'a str, WideId),
        (text, is_behind): (&'a str, bool),
        cx: &SessionCx<'_>,
        effects: &mut Effects<'a>,
    ) {
        let reserved = u32::try_from(to.0).ok().map(HostId);
        if let Some(destination) = reserved.filter(|&id| cx.is_taken(id) && !is_behind) {
            // A client that is not a user yet becomes one.
            let (source, text) = (self.id, text.as_bytes());
            return effects.push(Effect::Relay(Message::Chat { source, destination, text }));
        }
        let unstored = Unstored { target: target.into(), text: text.into(), is_behind };
        self.unstored.get_or_insert_default().push_back(unstored);
        let text = text.as_bytes().into();
        effects.push(Effect::SendMail { from: self.id.into(), to, text });
    }

    /// Handles that the oldest message which is to be kept is stored.
    pub(super) fn on_mail_kept(&mut self, cx: &mut NoticeCx<'_>) {
        self.end_unstored(cx, |session, unstored, cx| {
            session.echo(&unstored.target, &OwnText::message(&unstored.text), cx);
            if !unstored.is_behind {
                session.reply(cx, n::AWAY, &[&unstored.target], KEPT);
            }
        });
    }

    /// Handles that the oldest message which is to be kept is refused.
    pub(super) fn on_mail_refused(&mut self, reason: &str, cx: &mut NoticeCx<'_>) {
        self.end_unstored(cx, |session, unstored, cx| {
            let not_online = if unstored.is_behind { "" } else { "Not online, and " };
            let text = format!("{not_online}the message is not kept: {reason}");
            session.reply(cx, n::CANNOT_SEND_TO_USER, &[&unstored.target], &text);
        });
    }

    /// Writes what follows the oldest message that is not stored, as a part of the response to its
    /// command.
    fn end_unstored(
        &mut self,
        cx: &mut NoticeCx<'_>,
        write: impl FnOnce(&Self, &Unstored, &mut NoticeCx<'_>),
    ) {
        let oldest = self.unstored.as_mut().and_then(|unstored| unstored.pop_front());
        let Some(oldest) = oldest else { return };
        self.unstored = self.unstored.take().filter(|unstored| !unstored.is_empty());
        // A refusal may come while the command is being handled.
        let is_later = self.continues == 0;
        if is_later {
            self.resume_label(cx.queue);
        }
        write(self, &oldest, cx);
        if is_later {
            self.end_label(self.unstored.is_some(), cx);
        }
    }

    /// Writes a message that was kept for the client, with the time at which it was sent.
    pub(super) fn write_mail(&self, mail: &MailText<'_>, cx: &mut NoticeCx<'_>) {
        let host = cx.names.wide_ids.find_user(mail.sender, cx.view.hosts);
        let mask = match host {
            Some(host) => Mask::of_host(host, cx),
            None => mask_of_absent(mail, cx),
        };
        let source = host.map_or(HostId::NONE, |host| host.id);
        let unix_time = mail.sent_at().unwrap_or(cx.unix_time);
        let (view, names, queue) = (cx.view, cx.names, &mut *cx.queue);
        let cx = &mut NoticeCx { view, names, queue, unix_time };
        let text = MarkedText { text: mail.text, ..MarkedText::default() };
        self.write_text_from((source, &mask), text, cx);
    }
}

/// The messages of a client that the mailbox has not stored yet, oldest first.
pub(super) type UnstoredQueue = VecDeque<Unstored>;

/// Returns the mask of a sender of mail who is not online. An answer to its nick, or to the alias,
/// is kept for it.
fn mask_of_absent(mail: &MailText<'_>, cx: &NoticeCx<'_>) -> Mask {
    let (sender, nicks) = (mail.sender, &cx.names.nicks);
    let id = sender.to_string();
    let nick = match u32::try_from(sender.0).map(HostId) {
        Ok(host) if is_nick(mail.nick) => {
            let is_away = nicks.past_users(mail.nick).next().is_some();
            let is_known = is_away && !nicks.is_taken(mail.nick, host);
            if is_known { Nick::from_slice(mail.nick) } else { make_nick_alias(mail.nick, host) }
        }
        _ => Nick::from_slice(format!("|{id}").as_bytes()),
    };
    Mask { nick, user: UserName::new(id.as_bytes()) }
}
