//! [`Event`]: what happens to a simulated network, in the words of a case file.

use std::fmt;
use std::time::Duration;

use super::liar::{LIES, Lie};
use super::rooms::RoomLabel;
use super::texts::ChatText;
use crate::sim::Silence;

/// One event of a scenario. Servers are named by their index, users by their number: those that are
/// gone, or were never there, take no part, so that any event can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time passes.
    Wait(Duration),
    /// A user connects, and registers an id that others may claim too.
    Join {
        /// The number of the user.
        user: u32,
        /// The id that it registers.
        id: u32,
        /// The server to which it connects.
        server: usize,
        /// Whether it speaks the direct wire, so that what it sends to absent users is kept.
        is_direct: bool,
    },
    /// A user connects on the classic wire, which has names and no ids.
    JoinClassic {
        /// The number of the user.
        user: u32,
        /// The server to which it connects.
        server: usize,
    },
    /// A user connects on the IRC wire, with a nick that others may have.
    JoinIrc {
        /// The number of the user.
        user: u32,
        /// The server to which it connects.
        server: usize,
    },
    /// A user quits.
    Quit {
        /// The number of the user.
        user: u32,
    },
    /// The connection of a user ends without a quit.
    Disconnect {
        /// The number of the user.
        user: u32,
    },
    /// A user stops to read.
    StopReading {
        /// The number of the user.
        user: u32,
    },
    /// A user reads again.
    Read {
        /// The number of the user.
        user: u32,
    },
    /// A user sends chats to an id.
    Chat {
        /// The number of the sender.
        user: u32,
        /// The recipient.
        id: u32,
        /// Number of chats.
        count: u32,
        /// What follows the number of each chat in its text.
        text: ChatText,
    },
    /// A user asks to join a room.
    JoinRoom {
        /// The number of the user.
        user: u32,
        /// The room.
        room: RoomLabel,
        /// The server to whose id a CRC user sends its request.
        server: usize,
    },
    /// A user asks to leave a room.
    PartRoom {
        /// The number of the user.
        user: u32,
        /// The room.
        room: RoomLabel,
        /// The server to whose id a CRC user sends its request.
        server: usize,
    },
    /// A CRC user sets the topic of a room.
    Topic {
        /// The number of the user.
        user: u32,
        /// The room.
        room: RoomLabel,
        /// The server to whose id it sends its request.
        server: usize,
    },
    /// A CRC user says that it is away, or away with another text.
    Away {
        /// The number of the user.
        user: u32,
        /// The server to whose id it sends its request.
        server: usize,
    },
    /// A CRC user asks who is in a room.
    Names {
        /// The number of the user.
        user: u32,
        /// The room.
        room: RoomLabel,
        /// The server to whose id it sends its request.
        server: usize,
    },
    /// A user speaks in a room.
    Say {
        /// The number of the user.
        user: u32,
        /// The room.
        room: RoomLabel,
        /// Number of messages.
        count: u32,
    },
    /// The link to a parent is reset.
    Reset {
        /// The child.
        server: usize,
    },
    /// The link to a parent is reset, which the parent notices only after a time.
    HalfOpenReset {
        /// The child.
        server: usize,
        /// When the parent notices.
        span: Duration,
    },
    /// Nothing arrives over the link to a parent, for a time or for good.
    Silence {
        /// The child.
        server: usize,
        /// The directions that are silent.
        silence: Silence,
        /// For how long.
        span: Option<Duration>,
    },
    /// A process is killed, and its connections are reset.
    Kill {
        /// The server.
        server: usize,
    },
    /// A server stops, as at SIGTERM.
    Stop {
        /// The server.
        server: usize,
    },
    /// A machine vanishes, and nobody notices.
    Vanish {
        /// The server.
        server: usize,
    },
    /// A server that has ended starts again under its id.
    Start {
        /// The server.
        server: usize,
        /// Whether it finds what it has stored.
        has_memory: bool,
    },
    /// A program connects that says HELLO as a server does.
    Liar {
        /// The number of the liar.
        liar: u32,
        /// The server to which it connects.
        server: usize,
    },
    /// A liar sends frames that are not true.
    Lie {
        /// The number of the liar.
        liar: u32,
        /// What it lies about.
        lie: Lie,
    },
    /// The disk of a server fails at the next request to its mail store, and until it starts again.
    StoreFails {
        /// The server.
        server: usize,
    },
    /// Nothing passes between some servers and all others for a time, and dials between them get
    /// no answer.
    Partition {
        /// The servers on one side.
        group: Group,
        /// For how long.
        span: Duration,
    },
    /// Dials to and from a server get no answer for a time.
    Unreachable {
        /// The server.
        server: usize,
        /// For how long.
        span: Duration,
    },
    /// A program connects, sends a part of a frame or nothing, and waits.
    Idle {
        /// The server.
        server: usize,
        /// Number of bytes of a registration that it sends.
        bytes: u32,
    },
    /// A program connects and sends frames of others, or bytes that are no frames.
    Garbage {
        /// The server.
        server: usize,
        /// Decides what it sends.
        seed: u64,
    },
    /// A process does not run for a time: its clock jumps.
    Pause {
        /// The server.
        server: usize,
        /// For how long.
        span: Duration,
    },
}

impl Event {
    /// Returns whether the event may change the tree, or is a lie.
    pub(super) fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Reset { .. }
                | Self::HalfOpenReset { .. }
                | Self::Silence { .. }
                | Self::Kill { .. }
                | Self::Stop { .. }
                | Self::Vanish { .. }
                | Self::Start { .. }
                | Self::Pause { .. }
                | Self::Partition { .. }
                | Self::Unreachable { .. }
                | Self::Liar { .. }
        )
    }

    /// Returns the one server that takes part, if there is one.
    fn server_mut(&mut self) -> Option<&mut usize> {
        match self {
            Self::Join { server, .. }
            | Self::JoinClassic { server, .. }
            | Self::JoinIrc { server, .. }
            | Self::JoinRoom { server, .. }
            | Self::PartRoom { server, .. }
            | Self::Topic { server, .. }
            | Self::Away { server, .. }
            | Self::Names { server, .. }
            | Self::Reset { server }
            | Self::HalfOpenReset { server, .. }
            | Self::Silence { server, .. }
            | Self::Kill { server }
            | Self::Stop { server }
            | Self::Vanish { server }
            | Self::Start { server, .. }
            | Self::Liar { server, .. }
            | Self::Unreachable { server, .. }
            | Self::Idle { server, .. }
            | Self::StoreFails { server }
            | Self::Garbage { server, .. }
            | Self::Pause { server, .. } => Some(server),
            Self::Partition { .. }
            | Self::Wait(_)
            | Self::Quit { .. }
            | Self::Disconnect { .. }
            | Self::StopReading { .. }
            | Self::Read { .. }
            | Self::Chat { .. }
            | Self::Say { .. }
            | Self::Lie { .. } => None,
        }
    }

    /// Returns the servers that take part.
    pub(super) fn servers(mut self) -> Group {
        match self {
            Self::Partition { group, .. } => group,
            _ => self.server_mut().map(|server| *server).into_iter().collect(),
        }
    }

    /// Returns the event once a server is left out, or `None` if it was about that alone.
    pub(super) fn without_server(mut self, gone: usize) -> Option<Self> {
        if let Self::Partition { group, .. } = &mut self {
            *group = group.iter().filter_map(|server| without(server, gone)).collect();
            return (!group.is_empty()).then_some(self);
        }
        if let Some(server) = self.server_mut() {
            *server = without(*server, gone)?;
        }
        Some(self)
    }
}

/// Returns the index of a server once another one is left out.
pub(super) fn without(server: usize, gone: usize) -> Option<usize> {
    (server != gone).then_some(if server > gone { server - 1 } else { server })
}

/// Some of the servers of a scenario, of which there are at most 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group(u64);

impl Group {
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |server| self.0 >> server & 1 == 1)
    }
}

impl FromIterator<usize> for Group {
    fn from_iter<I: IntoIterator<Item = usize>>(servers: I) -> Self {
        Self(servers.into_iter().filter(|&server| server < 64).fold(0, |set, at| set | 1 << at))
    }
}

/// Returns the label of the server with an index.
pub(super) fn label(server: usize) -> String {
    format!("s{}", server + 1)
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Wait(span) => write!(f, "WAIT {}", Seconds(span)),
            Self::Join { user, id, server, is_direct } => {
                let wire = if is_direct { " --wire direct" } else { "" };
                write!(f, "JOIN user#{user} --id {id} --server {}{wire}", label(server))
            }
            Self::JoinClassic { user, server } => {
                write!(f, "JOIN user#{user} --server {} --wire classic", label(server))
            }
            Self::JoinIrc { user, server } => {
                write!(f, "JOIN user#{user} --server {} --wire irc", label(server))
            }
            Self::Quit { user } => write!(f, "QUIT user#{user}"),
            Self::Disconnect { user } => write!(f, "DISCONNECT user#{user}"),
            Self::StopReading { user } => write!(f, "STOPREADING user#{user}"),
            Self::Read { user } => write!(f, "READ user#{user}"),
            Self::Chat { user, id, count, text } => {
                write!(f, "MESSAGE user#{user} --to {id} --count {count}{text}")
            }
            Self::JoinRoom { user, room, server } => {
                write!(f, "JOINROOM user#{user} --room {room} --server {}", label(server))
            }
            Self::PartRoom { user, room, server } => {
                write!(f, "PARTROOM user#{user} --room {room} --server {}", label(server))
            }
            Self::Topic { user, room, server } => {
                write!(f, "TOPIC user#{user} --room {room} --server {}", label(server))
            }
            Self::Away { user, server } => {
                write!(f, "AWAY user#{user} --server {}", label(server))
            }
            Self::Names { user, room, server } => {
                write!(f, "NAMES user#{user} --room {room} --server {}", label(server))
            }
            Self::Say { user, room, count } => {
                write!(f, "SAY user#{user} --room {room} --count {count}")
            }
            Self::Reset { server } => write!(f, "RESET {}", label(server)),
            Self::HalfOpenReset { server, span } => {
                write!(f, "RESET {} --noticed-after {}", label(server), Seconds(span))
            }
            Self::Silence { server, silence, span } => {
                let (_, direction) =
                    DIRECTIONS.into_iter().find(|it| it.0 == silence).expect("one");
                write!(f, "SILENCE {} --direction {direction}", label(server))?;
                span.map_or(Ok(()), |span| write!(f, " --for {}", Seconds(span)))
            }
            Self::Kill { server } => write!(f, "KILL {}", label(server)),
            Self::Stop { server } => write!(f, "STOP {}", label(server)),
            Self::Vanish { server } => write!(f, "VANISH {}", label(server)),
            Self::Start { server, has_memory } => {
                let memory = if has_memory { "" } else { " --without-memory" };
                write!(f, "START {}{memory}", label(server))
            }
            Self::Liar { liar, server } => write!(f, "LIAR liar#{liar} --server {}", label(server)),
            Self::Lie { liar, lie } => {
                let (_, about) = LIES.into_iter().find(|it| it.0 == lie).expect("one");
                write!(f, "LIE liar#{liar} --about {about}")
            }
            Self::Partition { group, span } => {
                f.write_str("PARTITION")?;
                group.iter().try_for_each(|server| write!(f, " --server {}", label(server)))?;
                write!(f, " --for {}", Seconds(span))
            }
            Self::Unreachable { server, span } => {
                write!(f, "UNREACHABLE {} --for {}", label(server), Seconds(span))
            }
            Self::Idle { server, bytes } => {
                write!(f, "IDLE --server {} --bytes {bytes}", label(server))
            }
            Self::StoreFails { server } => write!(f, "STOREFAILS {}", label(server)),
            Self::Garbage { server, seed } => {
                write!(f, "GARBAGE --server {} --seed {seed}", label(server))
            }
            Self::Pause { server, span } => {
                write!(f, "PAUSE {} --for {}", label(server), Seconds(span))
            }
        }
    }
}

/// The directions of a silence, and their names.
pub(super) const DIRECTIONS: [(Silence, &str); 3] =
    [(Silence::Both, "both"), (Silence::Up, "to-parent"), (Silence::Down, "to-child")];

/// A duration in seconds, to the millisecond.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0.as_secs(), self.0.subsec_millis())
    }
}
