//! [`State`]: a whole network at one instant.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::process::{BytesId, Conn, ProcessId};

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) servers: Vec<Server>,
    /// In order, so that the order in which they were opened splits no states.
    pub(super) pipes: Vec<Pipe>,
    /// Dials that have not arrived, in order.
    pub(super) dials: Vec<Dial>,
    pub(super) users: Vec<User>,
    /// Time that has passed while something was in flight, since nothing was.
    pub(super) lag: Duration,
    pub(super) faults_left: u8,
    pub(super) has_faulted: bool,
    /// The servers that each chat has reached, by the number of the chat, until the first fault.
    pub(super) visits: Vec<BTreeSet<usize>>,
    /// Chats that have been delivered.
    pub(super) delivered: BTreeSet<usize>,
}

/// A server of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Server {
    /// `None` after a kill.
    pub(super) process: Option<ProcessId>,
    pub(super) restarts: u8,
}

/// One end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct End {
    pub(super) server: usize,
    pub(super) conn: Conn,
    pub(super) is_open: bool,
}

/// A connection between two servers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pipe {
    pub(super) ends: [End; 2],
    /// What is in flight to each end.
    pub(super) in_flight: [InFlight; 2],
    /// Nothing arrives any more, and neither end is informed.
    pub(super) is_silent: bool,
}

/// What is in flight to an end.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct InFlight {
    /// One for each write.
    pub(super) writes: VecDeque<BytesId>,
    /// How the connection ends after them.
    pub(super) ending: Option<Ending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Ending {
    Closed,
    Reset,
}

/// A dial that has not arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Dial {
    pub(super) server: usize,
    pub(super) conn: Conn,
    pub(super) target: usize,
}

/// A user: a client whose input is delivered at once, and that handles what it is sent at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct User {
    pub(super) standing: Standing,
    /// The next step of its script.
    pub(super) next_step: usize,
    /// Users whose registration it has been sent, and not the quit.
    pub(super) known: BTreeSet<u32>,
    /// The last chat of each other user that has arrived.
    pub(super) latest: Vec<Option<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Standing {
    /// Has not connected yet.
    Absent,
    /// Has registered, and has no answer.
    Registering(Conn),
    Online(Conn),
    /// Was informed that the id is taken, or has quit, or the connection has ended.
    Left,
}

impl Standing {
    pub(super) fn conn(self) -> Option<Conn> {
        match self {
            Self::Registering(conn) | Self::Online(conn) => Some(conn),
            Self::Absent | Self::Left => None,
        }
    }
}

/// One step of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next write in flight, or the end of the connection, arrives at an end of a pipe.
    Deliver {
        pipe: u16,
        end: u8,
    },
    /// A dial arrives.
    Dial {
        dial: u16,
    },
    /// The due timers of a server run.
    Timers {
        server: u8,
    },
    /// The system of a plain server, and of its neighbour, notices that their link is silent.
    Notice {
        pipe: u16,
    },
    /// Time passes until the next timer of any server.
    Wait,
    /// A user takes the next step of its script.
    User {
        user: u8,
    },
    /// A server starts again.
    Restart {
        server: u8,
    },
    Fault(Fault),
}

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Reset { pipe: u16 },
    Silence { pipe: u16 },
    Kill { server: u8 },
}

impl User {
    /// Records that the user is no longer connected. Nothing else of it counts from then on.
    pub(super) fn leave(&mut self) {
        self.standing = Standing::Left;
        self.known.clear();
        self.latest.fill(None);
    }
}

impl Pipe {
    /// Resets the connection: nothing that is in flight arrives, and both ends are informed.
    pub(super) fn reset(&mut self) {
        let reset = InFlight { ending: Some(Ending::Reset), ..InFlight::default() };
        self.in_flight = [reset.clone(), reset];
        self.is_silent = false;
    }

    /// Returns whether something arrives at an end.
    pub(super) fn is_arriving(&self, end: usize) -> bool {
        let in_flight = &self.in_flight[end];
        let is_any = !in_flight.writes.is_empty() || in_flight.ending.is_some();
        self.ends[end].is_open && !self.is_silent && is_any
    }
}

impl State {
    /// Returns the pipe of a connection, and which end of it is the server's.
    pub(super) fn find_pipe(&self, server: usize, conn: Conn) -> Option<(usize, usize)> {
        let is_end = |end: &End| end.is_open && end.server == server && end.conn == conn;
        let find_end = |pipe: &Pipe| pipe.ends.iter().position(is_end);
        self.pipes.iter().enumerate().find_map(|(at, pipe)| Some((at, find_end(pipe)?)))
    }

    /// Closes one end of a pipe. The other end is informed after what is in flight to it, unless
    /// the pipe is silent.
    pub(super) fn close_end(&mut self, pipe: usize, end: usize) {
        let pipe = &mut self.pipes[pipe];
        pipe.ends[end].is_open = false;
        pipe.in_flight[end] = InFlight::default();
        pipe.in_flight[1 - end].ending.get_or_insert(Ending::Closed);
    }

    /// Brings equal networks into one form.
    pub(super) fn normalize(&mut self) {
        self.pipes.retain(|pipe| pipe.ends.iter().any(|end| end.is_open));
        self.pipes.sort();
        self.dials.sort();
    }
}
