//! [`Processes`]: every state that a server reaches, once each, and what each event leads to.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use crc::link::{CloseReason, LinkId, Machine as _, Origin, Time};
use crc::node::{Action, Node};
use crc::wires::Wire;

use super::canonical::{Fingerprint, canonical_text, fingerprint};
use crate::plain::{ConnId, PlainServer};

/// Number of calls of [`crc::link::Machine::advance`] after one event before a node counts as never
/// done.
const TURNS_MAX: u32 = 1000;

/// Time at which every node starts. Times before count as long past.
const START: Duration = Duration::from_secs(1000);

/// The number of a state of a server.
pub(super) type ProcessId = u32;

/// The number of a sequence of bytes.
pub(super) type BytesId = u32;

/// Identifies a connection of a server: the index of its link, or its number at a plain server.
pub(super) type Conn = u32;

/// A server that runs.
#[derive(Clone)]
pub(super) enum Program {
    Node(Box<Node>),
    Plain(Box<PlainServer>),
}

/// A server in one state.
pub(super) struct Process {
    pub(super) program: Program,
    /// Its time.
    now: Time,
    /// Time until its next timer, if one is set.
    pub(super) due_in: Option<Duration>,
}

/// An event of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    /// A connection is accepted. A user sends these bytes at once.
    Accepted(Option<BytesId>),
    Received(Conn, BytesId),
    Dialled(Conn),
    DialFailed(Conn),
    PeerClosed(Conn),
    Reset(Conn),
    /// The timers that are due run.
    Timers,
    /// Time passes.
    Wait(Duration),
}

/// What a server does in an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Opened(Conn),
    Write(Conn, BytesId),
    Dial { conn: Conn, target: usize },
    Close(Conn),
}

/// The state that an event leads to, and what is done on the way.
pub(super) type Transition = (ProcessId, Rc<[Output]>);

/// All states of servers, by their numbers.
#[derive(Default)]
pub(super) struct Processes {
    states: Vec<Process>,
    ids: HashMap<Fingerprint, ProcessId>,
    bytes: Vec<Rc<[u8]>>,
    bytes_ids: HashMap<Rc<[u8]>, BytesId>,
    transitions: HashMap<(ProcessId, Input), Transition>,
}

impl Processes {
    pub(super) fn get(&self, id: ProcessId) -> &Process {
        &self.states[id as usize]
    }

    pub(super) fn bytes(&self, id: BytesId) -> &Rc<[u8]> {
        &self.bytes[id as usize]
    }

    /// Returns the number of states, and of events handled.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.states.len(), self.transitions.len())
    }

    pub(super) fn intern_bytes(&mut self, bytes: &[u8]) -> BytesId {
        if let Some(&id) = self.bytes_ids.get(bytes) {
            return id;
        }
        let (id, bytes) = (count(self.bytes.len()), Rc::from(bytes));
        self.bytes.push(Rc::clone(&bytes));
        self.bytes_ids.insert(bytes, id);
        id
    }

    /// Adds a server that starts.
    pub(super) fn start(&mut self, program: Program) -> Transition {
        let mut process = Process { program, now: Time::from_start(START), due_in: None };
        let mut outputs = Vec::new();
        process.run(&mut outputs, self);
        (self.intern(process), outputs.into())
    }

    /// Returns what an event of a server leads to.
    pub(super) fn handle(&mut self, id: ProcessId, input: Input) -> Transition {
        if let Some(transition) = self.transitions.get(&(id, input)) {
            return transition.clone();
        }
        let Process { program, now, .. } = self.get(id);
        let mut process = Process { program: program.clone(), now: *now, due_in: None };
        let mut outputs = Vec::new();
        process.handle(input, &mut outputs, self);
        let transition: Transition = (self.intern(process), outputs.into());
        self.transitions.insert((id, input), transition.clone());
        transition
    }

    fn intern(&mut self, mut process: Process) -> ProcessId {
        let text = match &process.program {
            Program::Node(node) => {
                node.relay().check();
                process.due_in = node.next_deadline().map(|at| at.since(process.now));
                canonical_text(node, process.now)
            }
            Program::Plain(server) => canonical_text(server, process.now),
        };
        *self.ids.entry(fingerprint(&text)).or_insert_with(|| {
            self.states.push(process);
            count(self.states.len() - 1)
        })
    }
}

impl Process {
    fn handle(&mut self, input: Input, outputs: &mut Vec<Output>, all: &mut Processes) {
        if let Input::Wait(span) = input {
            self.now = self.now + span;
            return;
        }
        match &mut self.program {
            Program::Node(node) => handle_node(node, self.now, input, outputs, all),
            Program::Plain(server) => handle_plain(server, input, outputs, all),
        }
        self.run(outputs, all);
    }

    /// Lets the program do what follows at once.
    fn run(&mut self, outputs: &mut Vec<Output>, all: &mut Processes) {
        match &mut self.program {
            Program::Node(node) => run_node(node, self.now, outputs, all),
            Program::Plain(server) => {
                for (conn, bytes) in server.take_output() {
                    outputs.push(Output::Write(conn.0, all.intern_bytes(&bytes)));
                }
                outputs.extend(server.take_closing().into_iter().map(|conn| Output::Close(conn.0)));
            }
        }
    }
}

fn handle_node(
    node: &mut Node,
    now: Time,
    input: Input,
    outputs: &mut Vec<Output>,
    all: &Processes,
) {
    let link_of = |node: &Node, conn: Conn| {
        node.links().map(|link| link.id()).find(|link| link.index == conn).expect("an open link")
    };
    match input {
        Input::Accepted(bytes) => {
            let link = node.open_link(now, Wire::CRC);
            outputs.push(Output::Opened(link.index));
            if let Some(bytes) = bytes {
                node.receive(now, link, all.bytes(bytes));
            }
        }
        Input::Received(conn, bytes) => {
            let link = link_of(node, conn);
            assert!(node.wants_read(link), "a small network never holds input back");
            node.receive(now, link, all.bytes(bytes));
        }
        Input::Dialled(conn) => node.dialled(now, link_of(node, conn), &Origin::default()),
        Input::DialFailed(conn) => close(node, now, link_of(node, conn), "connection refused"),
        Input::Reset(conn) => close(node, now, link_of(node, conn), "connection reset"),
        Input::PeerClosed(conn) => node.closed(now, link_of(node, conn), &CloseReason::PeerClosed),
        Input::Timers | Input::Wait(_) => {}
    }
}

fn close(node: &mut Node, now: Time, link: LinkId, error: &str) {
    node.closed(now, link, &CloseReason::Io(error.to_owned()));
}

/// Runs due timers, applies actions and takes what is to be sent, until nothing is left to do now.
fn run_node(node: &mut Node, now: Time, outputs: &mut Vec<Output>, all: &mut Processes) {
    for _ in 0..TURNS_MAX {
        node.advance(now);
        loop {
            if let Some(action) = node.poll_action() {
                apply(node, now, action, outputs, all);
            } else if let Some(link) = node.poll_unsent() {
                flush(node, link, outputs, all);
            } else {
                break;
            }
        }
        while node.poll_above_high_water().is_some() {}
        if node.next_deadline().is_none_or(|at| at > now) {
            return;
        }
    }
    panic!("a node is never done with an event");
}

fn apply(
    node: &mut Node,
    now: Time,
    action: Action,
    outputs: &mut Vec<Output>,
    all: &mut Processes,
) {
    match action {
        Action::Dial { target, link } => outputs.push(Output::Dial { conn: link.index, target }),
        Action::Close { link, reason } => {
            flush(node, link, outputs, all);
            outputs.push(Output::Close(link.index));
            node.closed(now, link, &reason);
        }
        Action::Keepalive { .. } | Action::Resume { .. } => {}
        Action::DialAddress { .. } | Action::Store(_) | Action::Shutdown => {
            unreachable!("no server stops, and none has a mailbox")
        }
    }
}

fn flush(node: &mut Node, link: LinkId, outputs: &mut Vec<Output>, all: &mut Processes) {
    loop {
        let bytes = all.intern_bytes(node.unsent(link));
        let len = all.bytes(bytes).len();
        if len == 0 {
            return;
        }
        outputs.push(Output::Write(link.index, bytes));
        node.sent(link, len);
    }
}

fn handle_plain(
    server: &mut PlainServer,
    input: Input,
    outputs: &mut Vec<Output>,
    all: &Processes,
) {
    match input {
        Input::Accepted(bytes) => {
            let conn = server.free_conn();
            server.connected(conn);
            outputs.push(Output::Opened(conn.0));
            if let Some(bytes) = bytes {
                server.received(conn, all.bytes(bytes));
            }
        }
        Input::Received(conn, bytes) => server.received(ConnId(conn), all.bytes(bytes)),
        Input::Dialled(conn) => server.dial(ConnId(conn)),
        Input::PeerClosed(conn) | Input::Reset(conn) => server.closed(ConnId(conn)),
        Input::DialFailed(_) | Input::Timers | Input::Wait(_) => {}
    }
}

/// Returns the number of the next item of a list.
fn count(len: usize) -> u32 {
    u32::try_from(len).expect("fewer states than 2^32")
}
