//! The client's side of the CRC wire, see `docs/PROTOCOL.md`, "The CRC wire".
//!
//! The session registers, retries with another id if a random one is in use, and resolves names by
//! the registrations received. The server sends those of other users after its welcome, without an
//! end mark. Commands that need them therefore wait shortly after the welcome. Frames between
//! servers and extensions are ignored.

mod rooms;

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use self::rooms::{Rooms, parse_room_text};
use super::roster::Roster;
use super::{
    FrameLenFn, LineError, NAME_LOOKUP_TIMEOUT, Session, SessionError, check_frame_len,
    id_too_large,
};
use crate::client::grammar::Recipient;
use crate::id::HostId;
use crate::limits::FRAME_BYTES_MAX_CEILING;
use crate::relay::Identity;
use crate::relay::message::{HostKind, Message, Registration, StatusCode};
use crate::vocabulary::{Event, Text, User};
use crate::wires::crc::codec;

/// Time without a frame after which the list of users counts as complete.
pub(in crate::client) const LIST_QUIET_PERIOD: Duration = Duration::from_millis(100);

/// Time after a request to join a room during which a line to it waits for the room to be shown.
const ROOM_LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of random ids that are tried. Two in use in a row are already unlikely, so a
/// server that refuses eight refuses all.
const RANDOM_ID_ATTEMPTS_MAX: u32 = 8;

/// The code of the status by which a client announces that it reads frames cut at any byte. Servers
/// send bursts to such a client at full speed.
const READS_CUT_FRAMES: StatusCode = StatusCode(0xC700);

/// A connection to a CRC server, as its client.
#[derive(Debug)]
pub(in crate::client) struct Crc {
    identity: Identity,
    rng: StdRng,
    id_attempts: u32,
    is_registered: bool,
    roster: Roster,
    /// The server's id, from its welcome.
    server: HostId,
    rooms: Rooms,
    /// When lines stop waiting for a room that was joined to be shown.
    room_deadline: Duration,
    /// When lines stop waiting for an unknown name.
    names_deadline: Duration,
    /// When the list of users counts as complete; at most `names_deadline`.
    list_deadline: Duration,
}

impl Crc {
    /// Creates an unregistered session. Ids other than that of `identity` come from `seed`.
    #[must_use]
    pub(in crate::client) fn new(identity: Identity, seed: u64) -> Self {
        Self {
            identity,
            rng: StdRng::seed_from_u64(seed),
            id_attempts: 1,
            is_registered: false,
            roster: Roster::default(),
            server: HostId::NONE,
            rooms: Rooms::default(),
            room_deadline: Duration::ZERO,
            names_deadline: Duration::ZERO,
            list_deadline: Duration::ZERO,
        }
    }
}

impl Session for Crc {
    fn wire_name(&self) -> &'static str {
        "CRC"
    }

    fn frame_len(&self) -> FrameLenFn {
        |bytes| codec::frame_len(bytes, FRAME_BYTES_MAX_CEILING).map_err(|error| error.to_string())
    }

    fn open(&self, out: &mut Vec<u8>) {
        let registration = Registration {
            kind: HostKind::User,
            source: self.identity.id,
            last_hop: HostId::NONE,
            name: &self.identity.name,
            info: &self.identity.info,
        };
        codec::encode(&Message::Registration(registration), out);
        // In the same write, so that a server never sees it without the registration.
        let reads_cut_frames = Message::Status {
            source: self.identity.id,
            destination: HostId::EXTENSION,
            code: READS_CUT_FRAMES,
            text: b"",
        };
        codec::encode(&reads_cut_frames, out);
    }

    fn on_frame(
        &mut self,
        now: Duration,
        frame: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), SessionError> {
        self.list_deadline = self.names_deadline.min(now + LIST_QUIET_PERIOD);
        let own_id = self.identity.id;
        match codec::parse_frame(frame) {
            Message::Status { destination, .. } if destination == HostId::EXTENSION => {}
            Message::Status { source, code, text, .. } => {
                return self.handle_status(now, (source, code), text, out, events);
            }
            Message::Registration(Registration { kind: HostKind::User, source, name, .. })
                if Rooms::is_room(source, name) =>
            {
                self.rooms.insert(source, name.into());
            }
            Message::Registration(Registration {
                kind: HostKind::User,
                source,
                name,
                info,
                ..
            }) if source != own_id => {
                self.roster.insert(source, name.into());
                let (name, info) = (name.into(), Some(info.into()));
                events.push(Event::Join { id: Some(source.0.into()), name, info });
            }
            Message::Chat { source, text, .. } => self.handle_chat(now, source, text, events),
            Message::ClientQuit { source, .. } if self.rooms.remove(source) => {}
            Message::ClientQuit { source, text } if source != own_id => events.push(Event::Quit {
                id: Some(source.0.into()),
                name: self.roster.remove(source),
                text: Some(text.into()),
            }),
            Message::Registration(_) | Message::ClientQuit { .. } | Message::ServerQuit { .. } => {}
        }
        Ok(())
    }

    fn send(
        &self,
        now: Duration,
        to: Recipient<'_>,
        text: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), LineError> {
        let destination = self.resolve(now, to)?;
        let source = self.identity.id;
        encode_bounded(&Message::Chat { source, destination, text: text.as_bytes() }, out)
    }

    fn own_user(&self) -> User {
        let (id, name) = (self.identity.id.0.into(), self.identity.name[..].into());
        User { id: Some(id), name }
    }

    fn is_user(&self, now: Duration, name: &str) -> Result<bool, LineError> {
        match self.resolve_name(now, name) {
            Ok(_) => Ok(true),
            Err(LineError::Invalid(_)) => Ok(!self.roster.ids_by_name(name.as_bytes()).is_empty()),
            Err(retry) => Err(retry),
        }
    }

    fn join_room(&mut self, now: Duration, room: &str, out: &mut Vec<u8>) -> Result<(), LineError> {
        self.send_command(&format!("/join {room}"), out)?;
        self.room_deadline = now + ROOM_LOOKUP_TIMEOUT;
        Ok(())
    }

    fn part_room(&self, room: &str, text: &str, out: &mut Vec<u8>) -> Result<(), LineError> {
        self.send_command(format!("/part {room} {text}").trim_end(), out)
    }

    /// Sends a chat to the user that stands for the room.
    fn send_to_room(
        &self,
        now: Duration,
        room: &str,
        text: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), LineError> {
        let retry_at = self.room_deadline.max(self.names_deadline);
        match self.rooms.id(room) {
            Some(destination) => {
                let source = self.identity.id;
                encode_bounded(&Message::Chat { source, destination, text: text.as_bytes() }, out)
            }
            None if now < retry_at => Err(LineError::RetryAt(retry_at)),
            None => Err(LineError::Invalid(format!(
                "this server shows no room {room}: write /join {room} first, or see /rooms"
            ))),
        }
    }

    fn list_rooms(&self, out: &mut Vec<u8>) -> Result<(), LineError> {
        self.send_command("/rooms", out)
    }

    fn list_members(&self, room: &str, out: &mut Vec<u8>) -> Result<(), LineError> {
        self.send_command(&format!("/names {room}"), out)
    }

    fn users(&self, now: Duration) -> Result<Vec<User>, LineError> {
        if now < self.list_deadline {
            return Err(LineError::RetryAt(self.list_deadline));
        }
        Ok(self.roster.users())
    }

    fn quit(&self, text: &str, out: &mut Vec<u8>) -> Result<(), LineError> {
        let source = self.identity.id;
        encode_bounded(&Message::ClientQuit { source, text: text.as_bytes() }, out)
    }
}

impl Crc {
    /// Sends a command to the server, as a chat to its id.
    fn send_command(&self, command: &str, out: &mut Vec<u8>) -> Result<(), LineError> {
        let (source, destination) = (self.identity.id, self.server);
        encode_bounded(&Message::Chat { source, destination, text: command.as_bytes() }, out)
    }

    fn handle_chat(&mut self, now: Duration, source: HostId, text: &[u8], events: &mut Vec<Event>) {
        let (id, names) = (self.identity.id, &self.roster);
        if source == self.server {
            let name_of = |member| match member {
                member if member == id => Some(self.identity.name[..].into()),
                member => names.name(member).cloned(),
            };
            if !self.rooms.handle_page(text, name_of, events) {
                // The answer to a command, which may be the one for which lines wait.
                self.room_deadline = now;
                events.push(Event::Status { code: None, text: text.into() });
            }
            return;
        }
        let room_message = self.rooms.name(source).zip(parse_room_text(text));
        events.push(match room_message {
            Some((room, (name, text))) => {
                let from = match names.ids_by_name(name)[..] {
                    [id] => Some(id.0.into()),
                    _ => None,
                };
                let (room, name) = (room.clone(), Some(name.into()));
                Event::Room { room, from, name, text: text.into() }
            }
            None => Event::Chat {
                from: Some(source.0.into()),
                name: self.rooms.name(source).cloned().or_else(|| self.name_of(source)),
                text: text.into(),
            },
        });
    }

    fn handle_status(
        &mut self,
        now: Duration,
        (source, code): (HostId, StatusCode),
        text: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), SessionError> {
        // It may be the answer to the command for which lines wait.
        self.room_deadline = now;
        let id = self.identity.id;
        let status = Event::Status { code: Some(code.0), text: text.into() };
        if !self.is_registered && code == StatusCode::WELCOME {
            self.is_registered = true;
            self.server = source;
            self.names_deadline = now + NAME_LOOKUP_TIMEOUT;
            self.list_deadline = now + LIST_QUIET_PERIOD;
            let name = self.identity.name[..].into();
            events.extend([Event::Connected { id: Some(id.0.into()), name }, status]);
            return Ok(());
        }
        let is_refused = !self.is_registered
            && code == StatusCode::ID_TAKEN
            && parse_refused_id(text).is_none_or(|refused_id| refused_id == id);
        if !is_refused {
            events.push(status);
            return Ok(());
        }
        if !self.identity.is_id_configured && self.id_attempts < RANDOM_ID_ATTEMPTS_MAX {
            self.id_attempts += 1;
            self.identity.id = HostId::random(&mut self.rng);
            self.open(out);
            return Ok(());
        }
        events.push(status);
        Err(SessionError::Rejected(if self.identity.is_id_configured {
            format!(
                "the id {id} is taken: choose another with --id, or leave --id out for a random one"
            )
        } else {
            format!("the server refused {RANDOM_ID_ATTEMPTS_MAX} random ids: choose one with --id")
        }))
    }

    fn resolve(&self, now: Duration, to: Recipient<'_>) -> Result<HostId, LineError> {
        match to {
            Recipient::Number(digits) => {
                let id = digits.parse().map(HostId);
                id.map_err(|_| id_too_large(digits, u32::MAX.into()))
            }
            Recipient::NumberOrName(digits) => match digits.parse() {
                Ok(id) => self.resolve_digits(now, HostId(id), digits),
                Err(_) => self.resolve_name(now, digits),
            },
            Recipient::Name(name) => self.resolve_name(now, name),
        }
    }

    /// Returns the only user with that name. Other users take precedence over oneself.
    fn resolve_name(&self, now: Duration, name: &str) -> Result<HostId, LineError> {
        let ids = self.roster.ids_by_name(name.as_bytes());
        match ids[..] {
            [id] => Ok(id),
            [] if name.as_bytes() == self.identity.name => Ok(self.identity.id),
            [] if now < self.names_deadline => Err(LineError::RetryAt(self.names_deadline)),
            [] => Err(LineError::Invalid(format!("nobody here is called {name}: see /list"))),
            _ => {
                let ids: Vec<String> = ids.iter().map(HostId::to_string).collect();
                let ids = ids.join(", ");
                Err(LineError::Invalid(format!(
                    "several users are called {name}: write one of the ids {ids} instead"
                )))
            }
        }
    }

    /// Returns `id`, unless no user is known by it and exactly one user has it as a name.
    fn resolve_digits(&self, now: Duration, id: HostId, name: &str) -> Result<HostId, LineError> {
        if self.name_of(id).is_some() {
            return Ok(id);
        }
        match self.resolve_name(now, name) {
            Err(LineError::Invalid(_)) => Ok(id),
            other => other,
        }
    }

    fn name_of(&self, id: HostId) -> Option<Text> {
        if id == self.identity.id {
            return Some(self.identity.name[..].into());
        }
        self.roster.name(id).cloned()
    }
}

/// Appends a frame unless it is longer than servers accept.
fn encode_bounded(message: &Message<'_>, out: &mut Vec<u8>) -> Result<(), LineError> {
    let mut frame = Vec::new();
    codec::encode(message, &mut frame);
    check_frame_len(frame.len())?;
    out.append(&mut frame);
    Ok(())
}

/// Returns the id that the server refuses by a status with the code [`StatusCode::ID_TAKEN`]. Only
/// its text has the id, as the last word; see `docs/PROTOCOL.md`, "The frames".
fn parse_refused_id(text: &[u8]) -> Option<HostId> {
    let text = str::from_utf8(text).ok()?.trim_end();
    let digits_start = text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    text[digits_start..].parse().ok().map(HostId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<u32>) {
        assert_eq!(parse_refused_id(text.as_bytes()), expected.map(HostId), "{text}");
    }

    #[test]
    fn trailing_id_of_a_refusal_is_parsed() {
        check("Someone has already registered with ID 101", Some(101));
        check("Someone has already registered with ID 101 ", Some(101));
        check("101 is taken", None);
        check("ID 99999999999", None);
        check("", None);
    }
}
