//! [`Processes`]: every state that a server reaches, once each, and what each event leads to.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use crc::link::{CloseReason, LinkId, Machine as _, Origin, Time};
use crc::node::{Action, Node};
use crc::wires::Wire;

use super::canonical::{
    Abstraction, ByFingerprint, Fingerprint, canonical_text, fingerprint, without_counts,
};
use crate::plain::{ConnId, PlainServer};

/// Number of calls of [`crc::link::Machine::advance`] after one event before a node counts as never
/// done.
const TURNS_MAX: u32 = 1000;

/// Number of servers in memory from which on those are freed that are not used.
const PROGRAMS_MAX: usize = 50_000;

/// Number of calls of [`Processes::free_unused`] in which a server is used, or it is freed.
const UNUSED_MAX: u32 = 2;

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
    /// Shared with the states that differ in time alone. `None` while it is not in memory.
    program: RefCell<Option<Rc<Program>>>,
    /// Its time.
    now: Time,
    /// Its number in the network.
    server: u32,
    /// The same in every search.
    pub(super) key: Fingerprint,
    /// Time until its next timer, if one is set.
    pub(super) due_in: Option<Duration>,
    /// A timer is due, which runs in the turn of the server or with its next event.
    pub(super) is_overdue: bool,
    /// The state before it and the event in between, for a [`Program::Node`] that does not start.
    origin: Option<(ProcessId, Input)>,
    /// When it was used last, by [`Processes::clock`].
    used_at: Cell<u32>,
}

/// Sequences of bytes, once each.
#[derive(Default)]
struct Bytes {
    all: Vec<Rc<[u8]>>,
    ids: HashMap<Rc<[u8]>, BytesId>,
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
pub(super) struct Processes {
    abstraction: Abstraction,
    /// Number of calls of [`Processes::free_unused`].
    clock: u32,
    states: Vec<Process>,
    ids: HashMap<Fingerprint, ProcessId, ByFingerprint>,
    bytes: RefCell<Bytes>,
    transitions: HashMap<(ProcessId, Input), Transition>,
}

impl Processes {
    pub(super) fn new(abstraction: Abstraction) -> Self {
        Self {
            abstraction,
            clock: 0,
            states: Vec::new(),
            ids: HashMap::default(),
            bytes: RefCell::default(),
            transitions: HashMap::new(),
        }
    }

    pub(super) fn get(&self, id: ProcessId) -> &Process {
        &self.states[id as usize]
    }

    pub(super) fn bytes(&self, id: BytesId) -> Rc<[u8]> {
        Rc::clone(&self.bytes.borrow().all[id as usize])
    }

    /// Returns the number of states, and of events handled.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.states.len(), self.transitions.len())
    }

    pub(super) fn intern_bytes(&self, bytes: &[u8]) -> BytesId {
        let known = &mut *self.bytes.borrow_mut();
        if let Some(&id) = known.ids.get(bytes) {
            return id;
        }
        let (id, bytes) = (count(known.all.len()), Rc::from(bytes));
        known.all.push(Rc::clone(&bytes));
        known.ids.insert(bytes, id);
        id
    }

    /// Returns the program of a server in a state. If it is not in memory, it is built again from
    /// the state before it.
    pub(super) fn program(&self, id: ProcessId) -> Rc<Program> {
        let process = self.get(id);
        process.used_at.set(self.clock);
        if let Some(program) = &*process.program.borrow() {
            return Rc::clone(program);
        }
        let (before, input) = process.origin.expect("a state that is built again");
        let Process { now, server, .. } = *self.get(before);
        let mut run = Run { program: self.program(before), now, server };
        run.handle(input, &mut Vec::new(), self);
        *process.program.borrow_mut() = Some(Rc::clone(&run.program));
        run.program
    }

    /// Frees the memory of servers whose state has not been used lately, if there are many.
    pub(super) fn free_unused(&mut self) {
        self.clock += 1;
        let is_loaded = |process: &&Process| process.program.borrow().is_some();
        if self.states.iter().filter(is_loaded).count() < PROGRAMS_MAX {
            return;
        }
        for process in &self.states {
            if process.origin.is_some() && process.used_at.get() + UNUSED_MAX < self.clock {
                *process.program.borrow_mut() = None;
            }
        }
    }

    /// Adds a server that starts, in the same turn as another one that runs.
    pub(super) fn start(
        &mut self,
        program: Program,
        server: u32,
        other: Option<ProcessId>,
    ) -> Transition {
        let turn = other.map_or(0, |other| self.turn(self.get(other).now));
        let now = Time::from_start(START + self.abstraction.tick * turn);
        let mut run = Run { program: Rc::new(program), now, server };
        let mut outputs = Vec::new();
        run.run(&mut outputs, self);
        (self.intern(run, None), outputs.into())
    }

    /// Returns what an event of a server leads to.
    pub(super) fn handle(&mut self, id: ProcessId, input: Input) -> Transition {
        if let Some(transition) = self.transitions.get(&(id, input)) {
            return transition.clone();
        }
        let Process { now, server, .. } = *self.get(id);
        let mut run = Run { program: self.program(id), now, server };
        let mut outputs = Vec::new();
        run.handle(input, &mut outputs, self);
        let transition: Transition = (self.intern(run, Some((id, input))), outputs.into());
        self.transitions.insert((id, input), transition.clone());
        transition
    }

    /// Returns in which turn a server is.
    fn turn(&self, now: Time) -> u32 {
        let Abstraction { tick, turns, .. } = self.abstraction;
        let ticks = now.since(Time::from_start(START)).as_nanos() / tick.as_nanos();
        u32::try_from(ticks % u128::from(turns)).expect("few turns")
    }

    /// Returns the time until the turn of a server in which timers run that are due in `span`.
    fn wait(&self, span: Duration, now: Time, server: u32) -> Duration {
        let Abstraction { tick, turns, .. } = self.abstraction;
        let ticks = self.abstraction.ticks_until(span);
        let turn = (self.turn(now) + ticks) % turns;
        tick * (ticks + (server % turns + turns - turn) % turns)
    }

    fn intern(&mut self, run: Run, origin: Option<(ProcessId, Input)>) -> ProcessId {
        let Run { program, now, server } = run;
        let (mut text, deadline) = match &*program {
            Program::Node(node) => {
                node.relay().check();
                (canonical_text(node, now, self.abstraction), node.next_deadline())
            }
            Program::Plain(server) => (canonical_text(server, now, self.abstraction), None),
        };
        let due_in = deadline.map(|at| self.wait(at.since(now), now, server));
        text.push(self.turn(now) as u8);
        let key = fingerprint(&text[..]);
        *self.ids.entry(key).or_insert_with(|| {
            let origin = origin.filter(|_| matches!(*program, Program::Node(_)));
            let program = RefCell::new(Some(program));
            let used_at = Cell::new(self.clock);
            let is_overdue = deadline.is_some_and(|at| at <= now);
            let it = Process { program, now, server, key, due_in, is_overdue, origin, used_at };
            self.states.push(it);
            count(self.states.len() - 1)
        })
    }
}

/// A server that handles events.
struct Run {
    program: Rc<Program>,
    now: Time,
    server: u32,
}

impl Run {
    fn handle(&mut self, input: Input, outputs: &mut Vec<Output>, all: &Processes) {
        if let Input::Wait(span) = input {
            self.now = self.now + span;
            return;
        }
        match Rc::make_mut(&mut self.program) {
            Program::Node(node) => handle_node(node, self.now, input, outputs, all),
            Program::Plain(server) => handle_plain(server, input, outputs, all),
        }
        self.run(outputs, all);
    }

    /// Lets the program do what follows at once.
    fn run(&mut self, outputs: &mut Vec<Output>, all: &Processes) {
        match Rc::make_mut(&mut self.program) {
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
                node.receive(now, link, &all.bytes(bytes));
            }
        }
        Input::Received(conn, bytes) => {
            let link = link_of(node, conn);
            assert!(node.wants_read(link), "a small network never holds input back");
            node.receive(now, link, &all.bytes(bytes));
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
fn run_node(node: &mut Node, now: Time, outputs: &mut Vec<Output>, all: &Processes) {
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

fn apply(node: &mut Node, now: Time, action: Action, outputs: &mut Vec<Output>, all: &Processes) {
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

fn flush(node: &mut Node, link: LinkId, outputs: &mut Vec<Output>, all: &Processes) {
    loop {
        let unsent = node.unsent(link);
        let len = unsent.len();
        if len == 0 {
            return;
        }
        let canonical = without_counts(unsent, all.abstraction.counts);
        let bytes = all.intern_bytes(canonical.as_deref().unwrap_or(unsent));
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
                server.received(conn, &all.bytes(bytes));
            }
        }
        Input::Received(conn, bytes) => server.received(ConnId(conn), &all.bytes(bytes)),
        Input::Dialled(conn) => server.dial(ConnId(conn)),
        Input::PeerClosed(conn) | Input::Reset(conn) => server.closed(ConnId(conn)),
        Input::DialFailed(_) | Input::Timers | Input::Wait(_) => {}
    }
}

/// Returns the number of the next item of a list.
fn count(len: usize) -> u32 {
    u32::try_from(len).expect("fewer states than 2^32")
}
