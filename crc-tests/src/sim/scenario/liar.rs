//! [`Liar`]: a program that says HELLO as a server does, and then sends frames that are not true.

use crc::id::HostId;
use crc::relay::extension::{
    Digest, Epoch, Frame, Hello, Nonce, Ping, RoomChat, RoomNames, ServerFact,
};
use crc::relay::message::{HostKind, StatusCode};
use crc::room::RoomName;

use super::rooms::LIE_ROOM;
use crate::frames;
use crate::sim::ClientId;

/// The id of the first liar; that of the first server behind it is 100 higher.
const LIAR_IDS: u32 = 9000;
/// The ids of the servers of which liars say how they are connected. The last one of a path has
/// the largest, and the new one a smaller one than any liar.
const PATH_SERVER_IDS: [u32; 4] = [9301, 9302, 9304, 8303];
/// The ids of the users of the servers that a liar invents.
const INVENTED_USER_IDS: u32 = 9500;
/// The ids of the users of liars, two for each of them.
const OWN_USER_IDS: u32 = 9600;
/// The ids of users whose registrations name another server than the liar.
const FORGED_USER_IDS: u32 = 9800;

/// The ids of users whose infos are longer than a plain server reads.
const UNREADABLE_USER_IDS: u32 = 9900;
/// Number of characters of such an info, of two bytes each.
const UNREADABLE_INFO_CHARS: usize = 600;

/// Each liar whose number is a multiple of this is a plain server.
const PLAIN_LIARS: u32 = 2;

/// The name of a liar.
const NAME: &str = "liar";
/// The info of the servers of a scenario.
const SERVER_INFO: &str = "simulated";

/// A number of a room message of a server that has started once.
const FIRST_START_NUMBER: u64 = 3 << 39;

/// The text and the name in what a liar sends.
pub(super) const LIE_TEXT: &str = "lie";

/// What a liar lies about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It reaches a server that does not exist, with a user.
    Server,
    /// Users of others chat and quit over its link, and servers of others send statuses.
    Sources,
    /// A user of another server is one of its own.
    Home,
    /// Its tables agree with those of the neighbour, or do not.
    Digest,
    /// Servers of others cannot be reached any more.
    Withdrawal,
    /// Its own users chat with each other over its link; and frames that only another end of the
    /// link could send.
    Forged,
    /// Frames that do not end, and bytes that are no frames.
    Bytes,
    /// It reaches all servers, and has a higher epoch of each.
    Epochs,
    /// It repeats facts about all servers from before their start.
    OldFacts,
    /// Mail and answers from servers to users.
    Statuses,
    /// Users of others are in rooms, and speak there.
    Rooms,
    /// Servers that do not exist are behind one another, and over each of four liars in another
    /// order.
    Paths,
}

/// What a liar lies about, and its name.
pub(super) const LIES: [(Lie, &str); 12] = [
    (Lie::Server, "server"),
    (Lie::Sources, "sources"),
    (Lie::Home, "home"),
    (Lie::Digest, "digest"),
    (Lie::Withdrawal, "withdrawal"),
    (Lie::Forged, "forged"),
    (Lie::Bytes, "bytes"),
    (Lie::Epochs, "epochs"),
    (Lie::OldFacts, "old-facts"),
    (Lie::Statuses, "statuses"),
    (Lie::Rooms, "rooms"),
    (Lie::Paths, "paths"),
];

/// Number of the lies in [`LIES`] that every liar may tell. Those behind them are of impostors.
pub(super) const COMMON_LIES: usize = 7;

/// Number of the lies in [`LIES`] that liars and impostors may tell, without those about rooms.
pub(super) const IMPOSTOR_LIES: usize = 10;

/// A liar.
#[derive(Debug)]
pub(super) struct Liar {
    pub(super) client: ClientId,
    id: u32,
    /// Whether its HELLO names another server, so that it is taken for one that speaks plain CRC.
    is_plain: bool,
}

impl Liar {
    pub(super) fn new(client: ClientId, number: u32) -> Self {
        Self { client, id: LIAR_IDS + number, is_plain: number.is_multiple_of(PLAIN_LIARS) }
    }

    /// Returns whether what it registers is that of a plain server: it may have an id that is free.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    fn extension(&self, frame: &Frame<'_>) -> Vec<u8> {
        frames::extension(self.id, frame)
    }

    /// Returns the frames by which it joins.
    pub(super) fn introduction(&self) -> Vec<u8> {
        let hello = hello_of(self.id);
        let commit = Frame::Commit { epoch: hello.epoch, known: Epoch::default() };
        let mut bytes = frames::server(self.id, NAME, "");
        if self.is_plain {
            let other = self.id + 50;
            bytes.extend(frames::extension(other, &Frame::Hello(hello_of(other))));
            return bytes;
        }
        bytes.extend(self.extension(&Frame::Hello(hello)));
        bytes.extend(self.extension(&commit));
        bytes.extend(self.fact(self.id, HostId::NONE));
        bytes.extend(self.extension(&Frame::FactsEnd { servers: 1 }));
        bytes
    }

    /// Returns the frames of a lie about these users, servers and the liar's neighbours.
    pub(super) fn lie(&self, lie: Lie, users: &[u32], servers: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        match lie {
            Lie::Server => {
                let invented = self.id + 100;
                bytes.extend(self.fact(invented, HostId(self.id)));
                bytes.extend(self.user(invented, INVENTED_USER_IDS + self.id - LIAR_IDS, 1));
            }
            Lie::Sources => {
                for &user in users {
                    let other = users.iter().copied().find(|&other| other != user);
                    bytes.extend(frames::chat(user, other.unwrap_or(0), LIE_TEXT));
                    bytes.extend(frames::quit(user, LIE_TEXT));
                    bytes.extend(frames::registration(HostKind::User, user, self.id, LIE_TEXT, ""));
                }
                for &server in servers {
                    bytes.extend(frames::status(server, self.id, 1, LIE_TEXT));
                    let ids = [HostId(server)];
                    let withdraw = Frame::Withdraw(ids.as_slice().into());
                    bytes.extend(frames::extension(server, &withdraw));
                }
            }
            Lie::Home => {
                for &user in users {
                    bytes.extend(self.user(self.id, user, u64::from(u32::MAX)));
                    servers.iter().for_each(|&home| bytes.extend(self.user(home, user, 0)));
                }
            }
            Lie::Digest => {
                for digest in [Some(Digest(1)), None, Some(Digest(2)), Some(Digest(3))] {
                    let ping = Ping { token: 7, handled_bytes: u64::MAX, digest };
                    bytes.extend(self.extension(&Frame::Ping(ping)));
                    bytes.extend(self.extension(&Frame::Pong(ping)));
                }
            }
            Lie::Withdrawal => {
                let ids: Vec<HostId> = servers.iter().copied().map(HostId).collect();
                bytes.extend(self.extension(&Frame::Withdraw(ids.as_slice().into())));
                for &home in &ids {
                    bytes.extend(self.extension(&Frame::SyncBegin { home }));
                    let (users, digest) = (0, Digest::default());
                    bytes.extend(self.extension(&Frame::SyncEnd { home, users, digest }));
                }
            }
            Lie::Forged => bytes.extend(self.forged(servers)),
            Lie::Epochs => bytes.extend(self.facts_about(servers, 100)),
            Lie::OldFacts => bytes.extend(self.facts_about(servers, 0)),
            Lie::Statuses => bytes.extend(statuses(users, servers)),
            Lie::Paths => bytes.extend(self.paths()),
            Lie::Rooms => users.iter().for_each(|&user| bytes.extend(self.rooms_of(user))),
            Lie::Bytes => bytes.extend([0x81, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff]),
        }
        bytes
    }

    /// Returns a chat between two users of its own, and frames that only another could send over
    /// this link.
    fn forged(&self, servers: &[u32]) -> Vec<u8> {
        let number = self.id - LIAR_IDS;
        let own_users = [OWN_USER_IDS + 2 * number, OWN_USER_IDS + 2 * number + 1];
        let [from, to] = own_users;
        let mut bytes = own_users.map(|user| self.user(self.id, user, 1)).concat();
        bytes.extend(frames::chat(from, to, LIE_TEXT));
        // A plain server is not sent this as it is.
        let info = "ü".repeat(UNREADABLE_INFO_CHARS);
        bytes.extend(self.stamp_of_one(self.id, 1));
        let unreadable = UNREADABLE_USER_IDS + number;
        bytes.extend(frames::registration(HostKind::User, unreadable, self.id, LIE_TEXT, &info));
        for &server in servers {
            let user = FORGED_USER_IDS + number;
            bytes.extend(self.stamp_of_one(self.id, 1));
            bytes.extend(frames::registration(HostKind::User, user, server, LIE_TEXT, ""));
            // Only this one counts; else the stamp would be that of the next user.
            bytes.extend(frames::registration(HostKind::User, user, self.id, LIE_TEXT, ""));
            bytes.extend(self.fact(server, HostId::NONE));
            // As some plain servers repeat what they are sent, again and again.
            let echo = frames::registration(HostKind::Server, server, self.id, NAME, SERVER_INFO);
            bytes.extend([&echo[..], &echo].concat());
        }
        bytes.extend(self.fact(self.id, HostId(self.id)));
        let own_id = [HostId(self.id)];
        bytes.extend(self.extension(&Frame::Withdraw(own_id.as_slice().into())));
        let replacement = HostId(servers.first().copied().unwrap_or(self.id));
        bytes.extend(self.extension(&Frame::Move { replacement, address: "10.0.0.0:3600" }));
        if self.is_plain {
            bytes.extend(frames::server_quit(self.id, 0, LIE_TEXT));
        }
        bytes
    }

    /// Returns facts about servers, each at the epoch of a start, with their registrations. A
    /// server gives way for a minute to one that has its id and a smaller nonce, so these are
    /// large.
    fn facts_about(&self, servers: &[u32], boot: u32) -> Vec<u8> {
        let epoch = Epoch { boot, attach: 0 };
        let fact = |&id: &u32| self.fact_at(id, HostId(self.id), epoch, u64::MAX - u64::from(id));
        servers.iter().flat_map(fact).collect()
    }

    /// Returns the fact about a server, with its registration.
    fn fact(&self, id: u32, via: HostId) -> Vec<u8> {
        self.fact_at(id, via, Epoch { boot: 1, attach: 0 }, u64::from(id))
    }

    /// Returns the fact about a server at an epoch, with its registration.
    fn fact_at(&self, id: u32, via: HostId, epoch: Epoch, nonce: u64) -> Vec<u8> {
        let fact = ServerFact {
            id: HostId(id),
            epoch,
            nonce: Nonce(nonce),
            via,
            users: 0,
            digest: Digest::default(),
        };
        let mut bytes = self.extension(&Frame::Server(fact));
        bytes.extend(frames::registration(HostKind::Server, id, self.id, LIE_TEXT, ""));
        bytes
    }

    /// Returns facts about servers that do not exist.
    ///
    /// Over one liar, each of three is behind the one before. Over the next, the first has moved to
    /// it, the last is behind another server that is new, and the second follows the last. Over the
    /// third, the first has moved, and the new one is there. Over the fourth, the last is behind
    /// the new one.
    fn paths(&self) -> Vec<u8> {
        let [first, second, last, new] = PATH_SERVER_IDS;
        let paths: &[(u32, u32, u32)] = match (self.id - LIAR_IDS) / 2 % 4 {
            0 => &[(first, 1, self.id), (second, 1, first), (last, 1, second)],
            1 => &[(first, 2, self.id), (new, 1, self.id), (last, 1, new), (second, 1, first)],
            2 => &[(first, 2, self.id), (new, 1, self.id)],
            _ => &[(new, 1, self.id), (last, 1, new)],
        };
        let fact = |&(id, attach, via): &(u32, u32, u32)| {
            self.fact_at(id, HostId(via), Epoch { boot: 1, attach }, u64::from(id))
        };
        paths.iter().flat_map(fact).collect()
    }

    /// Returns frames by which a user joins a room, speaks there and leaves a room.
    fn rooms_of(&self, user: u32) -> Vec<u8> {
        let user = HostId(user);
        let lie_room = RoomName::parse(LIE_ROOM.as_bytes()).expect("the name of a room");
        let left_room = RoomName::parse(b"#lab").expect("the name of a room");
        let mut names = Vec::new();
        RoomNames::push(lie_room, &mut names);
        let names = RoomNames::parse(&names).expect("names of rooms");
        let text = LIE_TEXT.as_bytes();
        let home = HostId::NONE;
        let chat = |number| RoomChat { user, home, number, room: left_room, text };
        let frames = [
            Frame::Rooms { user, is_complete: true, names },
            Frame::RoomChat(chat(FIRST_START_NUMBER)),
            Frame::RoomChat(chat(u64::MAX)),
            Frame::RoomPart { user, name: left_room, text },
        ];
        frames.iter().flat_map(|frame| self.extension(frame)).collect()
    }

    /// Returns the registration of a user at a home.
    fn user(&self, home: u32, id: u32, stamp: u64) -> Vec<u8> {
        let mut bytes = self.stamp_of_one(home, stamp);
        bytes.extend(frames::registration(HostKind::User, id, self.id, LIE_TEXT, ""));
        bytes
    }

    /// Returns the frame that precedes the registration of one user of a home.
    fn stamp_of_one(&self, home: u32, stamp: u64) -> Vec<u8> {
        let stamps = [stamp];
        let stamps = stamps.as_slice().into();
        self.extension(&Frame::Users { home: HostId(home), stamps })
    }
}

/// Returns the HELLO of a server that has started once.
fn hello_of(id: u32) -> Hello {
    Hello {
        version: 1,
        is_moving: false,
        capabilities: 0,
        epoch: Epoch { boot: 1, attach: 0 },
        nonce: Nonce(u64::from(id)),
        port: 0,
        token: 1,
        replay_token: 0,
        handled_bytes: 0,
        known: Epoch::default(),
    }
}

/// Returns mail and answers from servers to users.
fn statuses(users: &[u32], servers: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (&server, &user) in servers.iter().zip(users.iter().cycle()) {
        let mail = format!("Mail from {user}: {LIE_TEXT}");
        bytes.extend(frames::status(server, user, StatusCode::MAIL.0, &mail));
        let unknown = format!("Unknown ID {INVENTED_USER_IDS}");
        bytes.extend(frames::status(server, user, StatusCode::UNKNOWN_ID.0, &unknown));
    }
    bytes
}
