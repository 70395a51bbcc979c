//! The directory: the users of a crc network who chat over gRPC, and their addresses.
//!
//! A state machine without sockets: frames in, events and frames out. The info of a chat user is
//! `grpc://` with an IP address and a port (`grpc://127.0.0.1:40123`, `grpc://[::1]:40123`); users
//! with any other info are ignored. Invariant: no user is reported before the initial sync is
//! complete. It is complete when a chat to oneself returns, because the server sends that after the
//! registrations of all users who were there first.

use std::net::SocketAddr;

use crc::id::HostId;
use crc::relay::message::{HostKind, Message, Registration, StatusCode};
use crc::wires::crc::codec;

use crate::limits::{ID_ATTEMPTS_MAX, USERS_MAX};

/// The prefix of an info that holds an address.
const SCHEME: &str = "grpc://";

/// A user who chats over gRPC.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct User {
    pub(crate) id: HostId,
    pub(crate) name: Vec<u8>,
    pub(crate) address: SocketAddr,
}

/// A change of the directory.
#[derive(Debug, PartialEq)]
pub(crate) enum DirectoryEvent {
    /// The server accepted the registration.
    Welcome,
    /// The users who were there first, in the order of their registrations.
    InitialSync(Vec<User>),
    /// A user joined after the initial sync.
    Joined(User),
    /// A user left the network.
    Quit(User),
    /// The server refused the registration, with the reason.
    Refused(String),
}

/// The network as one of its users sees it.
pub(crate) struct Directory {
    id: HostId,
    id_attempts: u32,
    name: Vec<u8>,
    info: Vec<u8>,
    is_registered: bool,
    is_initial_sync_done: bool,
    users: Vec<User>,
}

impl Directory {
    /// Returns the directory of a user who is not registered yet.
    pub(crate) fn new(name: &str, address: SocketAddr) -> Self {
        Self {
            id: HostId::random(&mut rand::rng()),
            id_attempts: 1,
            name: name.into(),
            info: format!("{SCHEME}{address}").into(),
            is_registered: false,
            is_initial_sync_done: false,
            users: Vec::new(),
        }
    }

    /// Encodes our registration.
    pub(crate) fn encode_registration(&self, out: &mut Vec<u8>) {
        let registration = Registration {
            kind: HostKind::User,
            source: self.id,
            last_hop: HostId::NONE,
            name: &self.name,
            info: &self.info,
        };
        codec::encode(&Message::Registration(registration), out);
    }

    /// Encodes our quit.
    pub(crate) fn encode_quit(&self, out: &mut Vec<u8>) {
        codec::encode(&Message::ClientQuit { source: self.id, text: b"" }, out);
    }

    /// Returns whether a user is in the network.
    pub(crate) fn contains(&self, id: HostId) -> bool {
        self.user(id).is_some()
    }

    /// Returns the user with an id.
    pub(crate) fn user(&self, id: HostId) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    /// Returns all users, in order of arrival.
    pub(crate) fn users(&self) -> &[User] {
        &self.users
    }

    /// Returns our own id.
    pub(crate) fn id(&self) -> HostId {
        self.id
    }

    /// Returns the user to try next under a name: the newest first, then the one that arrived
    /// before
    /// `previous`, and round again.
    pub(crate) fn next_by_name(&self, name: &[u8], previous: Option<HostId>) -> Option<&User> {
        let all = || self.users.iter().rev().filter(|user| user.name == name);
        let mut after = all().skip_while(|user| Some(user.id) != previous).skip(1);
        after.next().or_else(|| all().next())
    }

    /// Handles a frame that [`codec::frame_len`] has accepted.
    pub(crate) fn receive(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Option<DirectoryEvent> {
        match codec::parse_frame(frame) {
            Message::Status { destination: HostId::EXTENSION, .. } => None,
            Message::Status { code, .. } => self.handle_status(code, out),
            Message::Registration(Registration {
                kind: HostKind::User,
                source,
                name,
                info,
                ..
            }) if source != self.id => self.handle_registration(source, name, info),
            Message::Chat { source, .. } if source == self.id => self.finish_initial_sync(),
            Message::ClientQuit { source, .. } => {
                let index = self.users.iter().position(|user| user.id == source)?;
                Some(DirectoryEvent::Quit(self.users.remove(index)))
                    .filter(|_| self.is_initial_sync_done)
            }
            Message::Registration(_) | Message::Chat { .. } | Message::ServerQuit { .. } => None,
        }
    }

    /// Ends the initial sync, unless it has ended before.
    pub(crate) fn finish_initial_sync(&mut self) -> Option<DirectoryEvent> {
        if !self.is_registered || self.is_initial_sync_done {
            return None;
        }
        self.is_initial_sync_done = true;
        Some(DirectoryEvent::InitialSync(self.users.clone()))
    }

    fn handle_status(&mut self, code: StatusCode, out: &mut Vec<u8>) -> Option<DirectoryEvent> {
        match code {
            StatusCode::WELCOME if !self.is_registered => {
                self.is_registered = true;
                let (source, destination) = (self.id, self.id);
                codec::encode(&Message::Chat { source, destination, text: b"" }, out);
                Some(DirectoryEvent::Welcome)
            }
            StatusCode::ID_TAKEN if !self.is_registered && self.id_attempts < ID_ATTEMPTS_MAX => {
                self.id_attempts += 1;
                self.id = HostId::random(&mut rand::rng());
                self.encode_registration(out);
                None
            }
            StatusCode::ID_TAKEN if !self.is_registered => Some(DirectoryEvent::Refused(format!(
                "it refused {ID_ATTEMPTS_MAX} random ids: try another server"
            ))),
            // Sent by servers that do not deliver a chat to oneself, at the same point.
            StatusCode::UNKNOWN_ID => self.finish_initial_sync(),
            _ => None,
        }
    }

    fn handle_registration(
        &mut self,
        id: HostId,
        name: &[u8],
        info: &[u8],
    ) -> Option<DirectoryEvent> {
        let address = parse_info(info)?;
        // Servers repeat registrations after a split.
        if self.contains(id) || self.users.len() >= USERS_MAX {
            return None;
        }
        let user = User { id, name: name.into(), address };
        self.users.push(user.clone());
        Some(DirectoryEvent::Joined(user)).filter(|_| self.is_initial_sync_done)
    }
}

/// Returns the address in the info of a chat user.
fn parse_info(info: &[u8]) -> Option<SocketAddr> {
    let address: SocketAddr = std::str::from_utf8(info).ok()?.strip_prefix(SCHEME)?.parse().ok()?;
    Some(address).filter(|address| address.port() != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Directory {
        Directory::new("Alice", "127.0.0.1:1".parse().expect("valid"))
    }

    fn user(id: u32, name: &str, port: u16) -> User {
        User { id: HostId(id), name: name.into(), address: ([127, 0, 0, 1], port).into() }
    }

    fn status(code: StatusCode) -> Message<'static> {
        Message::Status { source: HostId(1), destination: HostId::NONE, code, text: b"" }
    }

    fn registration<'a>(id: u32, name: &'a str, info: &'a str) -> Message<'a> {
        let (name, info) = (name.as_bytes(), info.as_bytes());
        let (source, last_hop) = (HostId(id), HostId(1));
        Message::Registration(Registration { kind: HostKind::User, source, last_hop, name, info })
    }

    /// Passes a message to the directory. Returns the event and the types of the frames sent.
    fn receive(
        directory: &mut Directory,
        message: &Message<'_>,
    ) -> (Option<DirectoryEvent>, Vec<u8>) {
        let (mut frame, mut out, mut types) = (Vec::new(), Vec::new(), Vec::new());
        codec::encode(message, &mut frame);
        let event = directory.receive(&frame, &mut out);
        let mut rest = &out[..];
        while let Ok(Some(len)) = codec::frame_len(rest, usize::MAX) {
            types.push(rest[0]);
            rest = &rest[len..];
        }
        (event, types)
    }

    #[test]
    fn info_is_parsed_only_as_an_exact_grpc_address() {
        for (info, port) in [
            ("grpc://127.0.0.1:40123", Some(40123)),
            ("grpc://[::1]:7", Some(7)),
            ("grpc://127.0.0.1:0", None),
            ("grpc://localhost:7", None),
            ("grpc://127.0.0.1:7 ", None),
            ("http://127.0.0.1:7", None),
            ("", None),
        ] {
            assert_eq!(parse_info(info.as_bytes()).map(|address| address.port()), port, "{info}");
        }
        assert_eq!(parse_info(b"grpc://\xff"), None);
    }

    #[test]
    fn users_present_first_are_reported_together_and_later_ones_singly() {
        let mut directory = directory();
        let own_id = directory.id;
        let self_chat = Message::Chat { source: own_id, destination: own_id, text: b"" };
        assert_eq!(receive(&mut directory, &self_chat), (None, vec![]), "before the welcome");
        let welcome = receive(&mut directory, &status(StatusCode::WELCOME));
        assert_eq!(welcome, (Some(DirectoryEvent::Welcome), vec![0x81]));
        for (id, name, info) in [
            (7, "Bob", "grpc://127.0.0.1:2"),
            (8, "sam", "Pots"),
            (9, "Eve", "grpc://127.0.0.1:3"),
            (10, "Dan", "grpc://127.0.0.1:4"),
        ] {
            assert_eq!(receive(&mut directory, &registration(id, name, info)).0, None);
        }
        let quit = |id| Message::ClientQuit { source: HostId(id), text: b"" };
        assert_eq!(receive(&mut directory, &quit(9)).0, None);
        let first = vec![user(7, "Bob", 2), user(10, "Dan", 4)];
        assert_eq!(receive(&mut directory, &self_chat).0, Some(DirectoryEvent::InitialSync(first)));
        assert_eq!(receive(&mut directory, &self_chat).0, None, "once");
        let again = registration(7, "Bob", "grpc://127.0.0.1:2");
        assert_eq!(receive(&mut directory, &again).0, None);
        let other = registration(11, "Bob", "grpc://127.0.0.1:5");
        assert_eq!(
            receive(&mut directory, &other).0,
            Some(DirectoryEvent::Joined(user(11, "Bob", 5)))
        );
        for (tried, next) in [(None, 11), (Some(11), 7), (Some(7), 11), (Some(99), 11)] {
            let next_id = directory.next_by_name(b"Bob", tried.map(HostId)).map(|user| user.id);
            assert_eq!(next_id, Some(HostId(next)), "after {tried:?}");
        }
        assert_eq!(
            receive(&mut directory, &quit(11)).0,
            Some(DirectoryEvent::Quit(user(11, "Bob", 5)))
        );
        assert_eq!(receive(&mut directory, &quit(8)).0, None);
        assert_eq!(directory.next_by_name(b"Bob", Some(HostId(11))), Some(&user(7, "Bob", 2)));
    }

    #[test]
    fn users_beyond_users_max_are_not_stored() {
        let mut directory = directory();
        for id in 1..=USERS_MAX + 1 {
            let id = u32::try_from(id).expect("small");
            receive(&mut directory, &registration(id, "Bob", "grpc://127.0.0.1:2"));
        }
        assert_eq!(directory.users().len(), USERS_MAX);
    }

    #[test]
    fn unknown_id_status_ends_the_initial_sync() {
        let mut directory = directory();
        receive(&mut directory, &status(StatusCode::WELCOME));
        let unknown = receive(&mut directory, &status(StatusCode::UNKNOWN_ID));
        assert_eq!(unknown.0, Some(DirectoryEvent::InitialSync(vec![])));
    }

    #[test]
    fn taken_id_is_retried_with_another_up_to_the_limit() {
        let mut directory = directory();
        for _ in 1..ID_ATTEMPTS_MAX {
            let before = directory.id;
            let refused = receive(&mut directory, &status(StatusCode::ID_TAKEN));
            assert_eq!(refused, (None, vec![0x80]));
            assert_ne!(directory.id, before);
        }
        let last = receive(&mut directory, &status(StatusCode::ID_TAKEN)).0;
        assert!(matches!(last, Some(DirectoryEvent::Refused(_))), "{last:?}");
    }
}
