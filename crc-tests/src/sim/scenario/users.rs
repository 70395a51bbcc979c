//! The users of a scenario: what each has received, and what that shows.

use std::collections::BTreeMap;

use crc::id::HostId;
use crc::limits::FRAME_BYTES_MAX;
use crc::link::Time;
use crc::relay::message::{HostKind, Message, StatusCode};
use crc::wires::crc::codec;

use super::Predicate;
use super::irc::IrcView;
use super::rooms::ReceivedInRoom;
use crate::sim::ClientId;

/// Status codes that a server sends to its users.
const WELCOME: StatusCode = StatusCode(0);
const UNKNOWN_ID: StatusCode = StatusCode(1);
const ID_TAKEN: StatusCode = StatusCode(2);

/// Where a user is between its connection and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The registration is not answered yet.
    Registering,
    /// The user has been welcomed.
    Online,
    /// The user was informed that its id is taken, or gave it up itself.
    Left,
    /// The user had been welcomed, and was informed that its id is another's: it is closed.
    Evicted,
}

/// A user.
#[derive(Debug)]
pub(super) struct User {
    pub(super) client: ClientId,
    pub(super) id: u32,
    /// The name under which it is announced.
    pub(super) name: String,
    /// The index of its server.
    pub(super) home: usize,
    pub(super) standing: Standing,
    pub(super) joined_at: Time,
    pub(super) left_at: Option<Time>,
    pub(super) is_reading: bool,
    /// Whether its server is a plain one, which may announce users as it likes.
    pub(super) is_on_plain: bool,
    /// Whether it speaks the direct wire, which has no list of users.
    pub(super) is_direct: bool,
    /// Whether it speaks the classic wire, which has no ids.
    pub(super) is_classic: bool,
    /// What it is shown, if it speaks the IRC wire, which has no ids either.
    pub(super) irc: Option<IrcView>,
    /// The names of the other users, as the server has announced them.
    pub(super) known: BTreeMap<u32, Vec<u8>>,
    /// The ids of users whose quits were received since these were last looked at.
    pub(super) shown_quits: Vec<u32>,
    /// The ids that the server does not know, by how often it has answered so.
    pub(super) unknown_ids: BTreeMap<u32, u32>,
    /// The names of the rooms that its server shows, by the ids under which it does.
    pub(super) rooms: BTreeMap<u32, Vec<u8>>,
    /// What it has received about rooms since this was last looked at.
    pub(super) received_in_rooms: Vec<ReceivedInRoom>,
    /// Mail of which some pieces have arrived.
    pub(super) begun_mail: Option<ReceivedChat>,
    pub(super) unread: Vec<u8>,
    /// Whether its server has stopped, and closes it: what it receives from then on is not looked
    /// at.
    pub(super) is_dismissed: bool,
}

/// A chat that a user has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReceivedChat {
    pub(super) source: u32,
    pub(super) destination: u32,
    pub(super) text: Vec<u8>,
    /// Whether the server had announced the sender, or there is no such announcement.
    pub(super) is_announced: bool,
    /// The name under which the server had announced the sender.
    pub(super) sender_name: Option<Vec<u8>>,
}

/// A predicate that what a user received has broken.
pub(super) type Broken = (Predicate, String);

impl User {
    pub(super) fn new(client: ClientId, id: u32, home: usize, now: Time) -> Self {
        Self {
            client,
            id,
            name: String::new(),
            home,
            standing: Standing::Registering,
            joined_at: now,
            left_at: None,
            is_reading: true,
            is_on_plain: false,
            is_direct: false,
            is_classic: false,
            irc: None,
            known: BTreeMap::new(),
            shown_quits: Vec::new(),
            unknown_ids: BTreeMap::new(),
            rooms: BTreeMap::new(),
            received_in_rooms: Vec::new(),
            begun_mail: None,
            unread: Vec::new(),
            is_dismissed: false,
        }
    }

    /// Returns whether it speaks CRC with a crc server, which shows it the others.
    pub(super) fn is_on_crc(&self) -> bool {
        !self.is_on_plain && !self.is_direct && !self.is_named()
    }

    /// Returns whether it speaks a wire that has names and no ids.
    pub(super) fn is_named(&self) -> bool {
        self.is_classic || self.irc.is_some()
    }

    pub(super) fn is_online(&self) -> bool {
        self.standing == Standing::Online
    }

    /// Handles that the user has left.
    pub(super) fn leave(&mut self, now: Time) {
        self.standing = Standing::Left;
        self.left_at.get_or_insert(now);
    }

    /// Handles received bytes. Returns the chats among them.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Vec<ReceivedChat>, Broken> {
        let mut unread = std::mem::take(&mut self.unread);
        unread.extend_from_slice(bytes);
        if self.is_direct {
            return self.receive_direct(&unread);
        }
        if self.is_classic {
            return self.receive_classic(&unread).map(|()| Vec::new());
        }
        if self.irc.is_some() {
            return self.receive_irc(&unread).map(|()| Vec::new());
        }
        let (mut rest, mut chats) = (unread.as_slice(), Vec::new());
        loop {
            let parsed = codec::parse(rest, FRAME_BYTES_MAX)
                .map_err(|error| (Predicate::WholeFrames, format!("to {}: {error}", self.id)))?;
            let Some((message, len)) = parsed else { break };
            rest = &rest[len..];
            if self.receive_in_room(&message)? {
                continue;
            }
            match self.handle(&message) {
                Err((Predicate::ClientView, _)) if self.is_on_plain => {
                    chats.extend(self.handle_from_plain(&message));
                }
                result => chats.extend(result?),
            }
        }
        self.unread = rest.to_vec();
        Ok(chats)
    }

    fn handle(&mut self, message: &Message<'_>) -> Result<Option<ReceivedChat>, Broken> {
        let id = self.id;
        let view = |text| (Predicate::ClientView, format!("{text} to {id}"));
        match *message {
            Message::Registration(it) if it.kind == HostKind::Server => {
                Err(view(format!("server {} was announced", it.source)))
            }
            Message::Registration(it)
                if self.known.insert(it.source.0, it.name.to_vec()).is_some() =>
            {
                Err(view(format!("user {} was announced twice", it.source)))
            }
            Message::ClientQuit { source, .. } if self.known.remove(&source.0).is_none() => {
                Err(view(format!("the quit of {source}, who was never announced, was sent")))
            }
            Message::ClientQuit { source, .. } => {
                self.shown_quits.push(source.0);
                Ok(None)
            }
            Message::ServerQuit { source, .. } => {
                Err(view(format!("the quit of server {source} was sent")))
            }
            Message::Chat { source: HostId(source), destination: HostId(destination), text } => {
                let sender_name = self.known.get(&source).cloned();
                let is_announced = sender_name.is_some() || source == id || self.is_on_plain;
                let text = text.to_vec();
                Ok(Some(ReceivedChat { source, destination, text, is_announced, sender_name }))
            }
            Message::Status { code, text, destination, .. } => {
                if destination != HostId::NONE {
                    return Err(view(format!("a status for {destination} was sent")));
                }
                if code == StatusCode::MAIL {
                    return Ok(Some(mail_of(text, id)?));
                }
                self.handle_status(code, text);
                Ok(None)
            }
            Message::Registration(_) => Ok(None),
        }
    }

    /// Handles a message of a plain server that ours would not send.
    fn handle_from_plain(&mut self, message: &Message<'_>) -> Option<ReceivedChat> {
        match *message {
            Message::Chat { source: HostId(source), destination: HostId(destination), text } => {
                let (text, is_announced, sender_name) = (text.to_vec(), true, None);
                Some(ReceivedChat { source, destination, text, is_announced, sender_name })
            }
            Message::Status { text, .. } if text.starts_with(b"Welcome") => {
                self.standing = Standing::Online;
                None
            }
            Message::Status { code: StatusCode::MAIL, text, .. } => mail_of(text, self.id).ok(),
            Message::Status { code, text, .. } => {
                self.handle_status(code, text);
                None
            }
            _ => None,
        }
    }

    fn handle_status(&mut self, code: StatusCode, text: &[u8]) {
        match code {
            // Some plain servers welcome with another code.
            _ if text.starts_with(b"Welcome") && self.is_on_plain => {
                self.standing = Standing::Online;
            }
            WELCOME if self.standing == Standing::Registering => self.standing = Standing::Online,
            ID_TAKEN if self.is_online() => self.standing = Standing::Evicted,
            ID_TAKEN => self.standing = Standing::Left,
            UNKNOWN_ID => {
                let text = String::from_utf8_lossy(text);
                let unknown = text.rsplit(' ').next().and_then(|id| id.parse().ok());
                *self.unknown_ids.entry(unknown.unwrap_or(0)).or_default() += 1;
            }
            _ => {}
        }
    }
}

/// Returns the message of a mail status to a user.
fn mail_of(text: &[u8], destination: u32) -> Result<ReceivedChat, Broken> {
    let (source, text) = parse_mail(text).ok_or_else(|| {
        let text = String::from_utf8_lossy(text).into_owned();
        (Predicate::ClientView, format!("mail without a sender was sent to {destination}: {text}"))
    })?;
    let (text, is_announced, sender_name) = (text.to_vec(), true, None);
    Ok(ReceivedChat { source, destination, text, is_announced, sender_name })
}

/// Returns the sender and the text of a mail status.
pub(super) fn parse_mail(text: &[u8]) -> Option<(u32, &[u8])> {
    let rest = text.strip_prefix(b"Mail from ")?;
    let colon = rest.iter().position(|&byte| byte == b':')?;
    let source = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
    Some((source, rest[colon + 1..].strip_prefix(b" ")?))
}
