//! The chats of a scenario: where each one is, and what was observed of it.

use std::collections::{BTreeMap, BTreeSet};

use crc::id::HostId;
use crc::link::Time;
use crc::relay::message::Message;
use crc::wires::Wire;

use super::direct::message;
use super::player::Player;
use super::races::{is_handshake, is_quiet_frame};
use super::seen::{LIE_TEXT, Seen, SeenChat};
use super::texts::ChatText;
use super::users::{ReceivedChat, User};
use super::{HEAL_TIME_MAX, Predicate, Violation};
use crate::frames;
use crate::sim::PipeEnd;
use crate::sim::observer::{Observation, ObservedFrame};

/// A chat that was sent.
#[derive(Debug)]
pub(super) struct SentChat {
    /// The number of the sender.
    pub(super) user: u32,
    pub(super) source: u32,
    pub(super) to: u32,
    /// The text, which begins with the number of the chat.
    pub(super) text: Vec<u8>,
    pub(super) sent_at: Time,
    /// Whether its destination was in the part of the network of its source.
    pub(super) was_reachable: bool,
    pub(super) is_delivered: bool,
    /// The servers that it has visited, and how often.
    pub(super) visits: BTreeMap<usize, usize>,
    pub(super) place: Place,
    /// The mail store that was asked to keep it.
    pub(super) mail: Option<Mail>,
    /// The servers that were informed, before it arrived, that its destination has left.
    informed: BTreeSet<usize>,
}

/// Where a chat was seen last.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// Nowhere.
    Nowhere,
    /// On the way to an end, up to a position in the stream that it receives.
    Sent(PipeEnd, u64),
    /// In the send queue of a client whose connection ended.
    Lost,
}

/// A message that a server keeps.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) label: String,
    /// The server, by its index in the world.
    pub(super) keeper: Option<usize>,
    /// Whether it is kept in every image of the store.
    pub(super) is_kept: bool,
    /// Whether the sender has been informed that it is not kept.
    pub(super) is_refused: bool,
}

impl Player<'_> {
    /// Lets a user send a chat, as its wire does.
    pub(super) fn send_chat(&mut self, number: u32, to: u32, text: ChatText) {
        let Some(user) =
            self.users.get(&number).filter(|user| user.is_online() && !user.is_named())
        else {
            return;
        };
        let at = self.chats.len();
        // Plain servers end on much, and the direct wire has UTF-8 alone.
        let is_readable = text != ChatText::NotUtf8 || !user.is_direct;
        let text = if user.is_on_plain || !is_readable { ChatText::Number } else { text };
        let text = text.encode(at, to);
        let (source, destination) = (HostId(user.id), HostId(to));
        let bytes = match user.is_direct {
            true => message(user.id, to, at, &String::from_utf8_lossy(&text)),
            false => frames::encode(&Message::Chat { source, destination, text: &text }),
        };
        self.chats.push(SentChat {
            user: number,
            source: user.id,
            to,
            text,
            sent_at: self.world.now(),
            was_reachable: self.may_reach(user, to),
            is_delivered: false,
            visits: BTreeMap::new(),
            place: Place::Nowhere,
            mail: None,
            informed: BTreeSet::new(),
        });
        self.world.send(user.client, &bytes);
    }

    /// Checks a chat that a user has received.
    pub(super) fn check_chat(
        &mut self,
        number: u32,
        id: u32,
        chat: &ReceivedChat,
    ) -> Result<(), Violation> {
        let text = String::from_utf8_lossy(&chat.text).into_owned();
        let fail = |player: &Self, predicate, what: &str| {
            let source = chat.source;
            Err(player.violation(predicate, format!("{what}: `{text}` from {source} to {id}")))
        };
        let is_claimed = self.has_impostor || self.claimed_by_liars.contains(&chat.source);
        if is_claimed && chat.text == LIE_TEXT {
            return Ok(());
        }
        let Some(at) = self.chat_of(&chat.text) else {
            return fail(self, Predicate::Authentic, "nobody has sent this chat");
        };
        let sent = &self.chats[at];
        let sender = sent.user;
        if sent.source != chat.source {
            return fail(self, Predicate::Authentic, "the source is false");
        }
        if sent.to != id || chat.destination != id {
            return fail(self, Predicate::NoMisdelivery, "for somebody else");
        }
        let is_direct = self.users.get(&number).is_some_and(|user| user.is_direct);
        let is_intact = match is_direct {
            true => String::from_utf8_lossy(&sent.text).as_bytes() == chat.text,
            false => sent.text == chat.text,
        };
        if !is_intact {
            return fail(self, Predicate::Authentic, "the text has changed");
        }
        if !chat.is_announced && sent.mail.is_none() {
            return fail(self, Predicate::ClientView, "the sender was not announced");
        }
        if self.is_of_later_user(sent, chat) {
            return fail(self, Predicate::Authentic, "as if sent by a later user with this id");
        }
        if sent.is_delivered && !self.may_arrive_again(sent) {
            return fail(self, Predicate::NoDuplicate, "for the second time");
        }
        let is_first = !sent.is_delivered;
        let latest = self.latest.get(&(sender, number));
        if is_first && self.is_settled(at) && latest.is_some_and(|&it| it > at) {
            return fail(self, Predicate::Order, "after a later one");
        }
        self.chats[at].is_delivered = true;
        self.latest.insert((sender, number), at);
        Ok(())
    }

    /// Returns whether a chat arrived as if a user had sent it who has registered the id of its
    /// sender since that left.
    fn is_of_later_user(&self, sent: &SentChat, received: &ReceivedChat) -> bool {
        let sender = &self.users[&sent.user];
        let (Some(left_at), Some(name)) = (sender.left_at, &received.sender_name) else {
            return false;
        };
        let is_later = |user: &User| {
            user.id == sender.id && user.joined_at >= left_at && user.name.as_bytes() == name
        };
        sender.name.as_bytes() != name
            && sent.mail.is_none()
            && !self.has_plain_servers()
            && self.users.values().any(is_later)
    }

    /// Returns whether a chat was mail, and the process that kept it has ended, or was informed
    /// that the addressee has left: either may have come before it removed the mail.
    fn may_arrive_again(&self, chat: &SentChat) -> bool {
        let Some(mail) = &chat.mail else { return false };
        mail.keeper.is_none_or(|keeper| {
            self.world.node(keeper).is_none() || chat.informed.contains(&keeper)
        })
    }

    /// Returns whether the tree has not changed since a chat was sent, nor shortly before.
    pub(super) fn is_settled(&self, at: usize) -> bool {
        self.faults_around(at) == 0
    }

    /// Returns the number of faults that may have changed the tree since a chat was sent.
    fn faults_around(&self, at: usize) -> usize {
        let (sent_at, now) = (self.chats[at].sent_at, self.world.now());
        let is_around = |&&fault: &&Time| fault + HEAL_TIME_MAX >= sent_at && fault <= now;
        self.faults.iter().filter(is_around).count()
    }

    /// Returns the number of resets since a chat was sent, and shortly before. Over each link that
    /// is reset, the chat may be sent again.
    fn resets_around(&self, at: usize) -> usize {
        let sent_at = self.chats[at].sent_at;
        self.resets.iter().filter(|&&reset| reset + HEAL_TIME_MAX >= sent_at).count()
    }

    /// Returns the number of the chat with this text.
    pub(super) fn chat_of(&self, text: &[u8]) -> Option<usize> {
        let number = text.split(|&byte| byte == b' ').next()?;
        let number = std::str::from_utf8(number).ok()?.parse().ok()?;
        (number < self.chats.len()).then_some(number)
    }

    /// Handles what was observed since the last check.
    pub(super) fn check_observations(&mut self) -> Result<(), Violation> {
        let observer = self.world.observer.as_mut().expect("an observer");
        for observation in std::mem::take(&mut observer.observations) {
            match observation {
                Observation::Frame(frame) => self.check_frame(&frame)?,
                Observation::Unsent(frame) => self.on_unsent(&frame),
                Observation::MailRequested { label, text } => {
                    let keeper = self.world.server(&label);
                    if let Some(at) = self.chat_of(&text) {
                        self.chats[at].mail =
                            Some(Mail { label, keeper, is_kept: false, is_refused: false });
                    }
                }
                Observation::MailKept { text } => {
                    if let Some(at) = self.chat_of(&text)
                        && let Some(mail) = &mut self.chats[at].mail
                    {
                        mail.is_kept = true;
                    }
                }
                Observation::Handled { end, position, at } => {
                    self.rooms.on_handled((end, position), at);
                }
            }
        }
        Ok(())
    }

    fn check_frame(&mut self, frame: &ObservedFrame) -> Result<(), Violation> {
        let is_crc = frame.wire == Wire::CRC;
        let is_dial = || self.scenario.may_dial_in_vain() && is_handshake(&frame.bytes);
        let is_quiet = || is_quiet_frame(&frame.bytes) || is_dial();
        if is_crc && self.must_be_quiet && self.unquiet.is_none() && !is_quiet() {
            let seconds = frame.sent_at.since_start().as_secs_f64();
            let frame = crate::sim::describe_frame(&frame.bytes);
            self.unquiet = Some(format!("at {seconds:.3} s: {frame}"));
        }
        self.check_room_frame(frame)?;
        match Seen::in_frame(frame) {
            Some(Seen::Chat(seen)) => self.check_seen(frame, &seen),
            Some(Seen::Answer) => {
                self.observe_answer(frame);
                Ok(())
            }
            Some(Seen::Echo(at)) if matches!(frame.to, PipeEnd::Client(_)) => self.check_echo(at),
            Some(Seen::Lie(source)) if matches!(frame.from, PipeEnd::Server { .. }) => {
                self.check_lie(frame, Some(source))
            }
            Some(Seen::Refusal(to)) => {
                self.on_refusal(frame.to, to);
                Ok(())
            }
            Some(Seen::Quit(source)) => {
                self.on_quit(frame.to, source);
                Ok(())
            }
            Some(Seen::Echo(_) | Seen::Lie(_)) | None => Ok(()),
        }
    }

    /// Checks that no server sends on what a liar has sent for a user of another server.
    fn check_lie(&self, frame: &ObservedFrame, source: Option<u32>) -> Result<(), Violation> {
        let is_claimed = |source: &u32| self.has_impostor || self.claimed_by_liars.contains(source);
        let Some(source) = source.filter(|source| !is_claimed(source)) else {
            return Ok(());
        };
        let mut users = self.users.values().filter(|user| user.id == source);
        let is_online = users.next().is_some_and(User::is_online);
        if !is_online || users.next().is_some() {
            return Ok(()); // a liar may have the id of a user who has left
        }
        let frame = match frame.wire == Wire::DIRECT {
            true => "a direct message".to_owned(),
            false => crate::sim::describe_frame(&frame.bytes),
        };
        Err(self.violation(Predicate::Authentic, format!("a server has sent on a lie: {frame}")))
    }

    /// Handles a frame that is lost with the connection to a client or to a plain server.
    fn on_unsent(&mut self, frame: &ObservedFrame) {
        match Seen::in_frame(frame) {
            Some(Seen::Chat(seen)) => {
                if let Some(at) = self.chat_of(&seen.text) {
                    self.chats[at].place = Place::Lost;
                }
            }
            Some(Seen::Answer) => self.observe_answer(frame),
            Some(Seen::Echo(_) | Seen::Refusal(_) | Seen::Lie(_) | Seen::Quit(_)) | None => {}
        }
    }

    /// Handles that an end is informed that a user has left.
    fn on_quit(&mut self, end: PipeEnd, source: u32) {
        let Some(server) = end.server() else { return };
        for chat in self.chats.iter_mut().filter(|chat| chat.to == source && !chat.is_delivered) {
            chat.informed.insert(server);
        }
    }

    /// Handles that a user is informed that its oldest message to an id of which the store has not
    /// answered yet is not kept.
    fn on_refusal(&mut self, user: PipeEnd, to: u32) {
        let is_user = |it: &&User| PipeEnd::Client(it.client) == user;
        let users = self.users.iter();
        let number = users.into_iter().find(|(_, it)| is_user(it)).map(|(&number, _)| number);
        let mut mails =
            self.chats.iter_mut().filter(|chat| Some(chat.user) == number && chat.to == to);
        let waits = |mail: &&mut Mail| !mail.is_kept && !mail.is_refused;
        if let Some(mail) = mails.find_map(|chat| chat.mail.as_mut().filter(waits)) {
            mail.is_refused = true;
        }
    }

    /// Handles that the echo behind a message is sent to its sender: the message and all before it
    /// are kept, if they were to be.
    fn check_echo(&mut self, at: usize) -> Result<(), Violation> {
        let user = self.chats[at].user;
        let before = self.chats[..=at].iter().filter(|chat| chat.user == user);
        let mut mails = before.filter_map(|chat| Some((chat, chat.mail.as_ref()?)));
        let Some((chat, mail)) = mails.find(|(_, mail)| !mail.is_kept && !mail.is_refused) else {
            return Ok(());
        };
        let (to, label) = (chat.to, &mail.label);
        let text = format!("a message to {to} was acknowledged before {label} kept it");
        Err(self.violation(Predicate::Durable, text))
    }

    /// Returns whether a chat was sent before to the server that `to` is an end of, over a link
    /// that was closed before it was handled there: in a cycle that is closed and cut again, many
    /// times.
    fn is_unhandled(&self, place: &Place, to: PipeEnd) -> bool {
        match place {
            Place::Sent(end, position) => {
                let observer = self.world.observer.as_ref().expect("an observer");
                let is_closed = *end != to && end.server() == to.server();
                is_closed && !observer.is_handled(*end, *position)
            }
            _ => false,
        }
    }

    /// Handles a chat in a frame that was sent.
    fn check_seen(&mut self, frame: &ObservedFrame, seen: &SeenChat) -> Result<(), Violation> {
        let is_of_server = matches!(frame.from, PipeEnd::Server { .. });
        let Some(at) = self.chat_of(&seen.text) else {
            let is_lie = is_of_server && seen.text == LIE_TEXT;
            return self.check_lie(frame, is_lie.then_some(seen.source));
        };
        let chat = &self.chats[at];
        if is_of_server && (chat.source, chat.to) != (seen.source, seen.destination) {
            let SeenChat { source, destination, .. } = seen;
            let text = format!("chat {at} was sent on from {source} to {destination}");
            return Err(self.violation(Predicate::Authentic, text));
        }
        let is_again = self.is_unhandled(&self.chats[at].place, frame.to);
        self.chats[at].place = Place::Sent(frame.to, frame.end_position);
        if is_again {
            return Ok(());
        }
        let Some(server) = frame.to.server() else { return Ok(()) };
        let has_best_effort = self.has_plain_servers() && self.scenario.has_faults();
        let is_plain = |end: &PipeEnd| matches!(end, PipeEnd::PlainServer { .. });
        if has_best_effort && is_plain(&frame.from) && is_plain(&frame.to) {
            return Ok(()); // each may take the other for the next hop, and then neither stops
        }
        let visits = self.chats[at].visits.entry(server).or_default();
        *visits += 1;
        let visits = *visits;
        // A plain neighbour may send a chat back, which ends at the server that reads it again.
        let resent = self.faults_around(at) + self.resets_around(at);
        if visits > 1 + usize::from(has_best_effort) + resent {
            let (label, to) = (&self.world.servers[server].label, seen.destination);
            let text = format!("chat {at} to {to} visits {label} {visits} times");
            return Err(self.violation(Predicate::NoCirculation, text));
        }
        Ok(())
    }
}
