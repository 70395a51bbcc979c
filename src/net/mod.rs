//! The shell: the one thread and the one poll loop that own every socket of a server.
//!
//! It moves bytes and time between the system and a [`Node`], and decides nothing. `connection`
//! is a link's socket, `dial` finds parents, `listen` doors, `control` the operator's socket,
//! `console` the operator's terminal, `stdio` what is shared with other programs.
//!
//! A turn has five steps: wait until the next deadline, read (a budget a link), advance, write
//! (likewise), reap. Sockets register once for both directions; readiness is a flag that only the
//! system's "would block", or a read that came back short, clears; a link whose flag is still set
//! at the end of a turn is runnable, and the next wait does not sleep. Connections are closed
//! in the last step alone. A server with nothing to do makes no system call.

mod connection;
mod console;
mod control;
mod dial;
mod listen;
mod stdio;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::process::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use self::connection::{Connection, Dialling, Received};
use self::console::Console;
use self::control::Control;
pub use self::control::request;
use self::dial::Resolver;
use self::listen::Listener;
pub use self::stdio::LogSink;
use crate::address::Address;
use crate::doors::Door;
use crate::limits::{CONTROL_CONNECTIONS_MAX, Limits, READ_BYTES_PER_TURN};
use crate::mailbox::Mailbox;
use crate::node::{Action, Node};
use crate::relay::{CloseReason, Identity, LinkId, Time};

const SIGNALS: Token = Token(0);
const WAKER: Token = Token(1);
const CONSOLE: Token = Token(2);
const CONSOLE_OUTPUT: Token = Token(3);
const CONTROL: Token = Token(4);
const LISTENERS: usize = 5;
const LISTENERS_MAX: usize = 12;
const CONTROL_CONNECTIONS: usize = LISTENERS + LISTENERS_MAX;
const LINKS: usize = CONTROL_CONNECTIONS + CONTROL_CONNECTIONS_MAX;

/// How a server is to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who it is.
    pub own: Identity,
    /// Where it listens, a door each.
    pub doors: Vec<(Door, Address)>,
    /// Whom it joins, in order of preference.
    pub parents: Vec<Address>,
    /// The file in which mail waits; in memory without one.
    pub mailbox: Option<PathBuf>,
    /// Where `crc ctl` finds it.
    pub control: Option<PathBuf>,
    /// Its bounds.
    pub limits: Limits,
    /// Decides its random choices.
    pub seed: u64,
}

/// A parent to join.
struct Parent {
    address: Address,
    /// The operator knows that it cannot be reached.
    is_reported: bool,
    /// Dials that never became a connection: each begins with another of the parent's addresses.
    failed_dials: usize,
}

/// A server with its sockets.
pub struct Server {
    poll: Poll,
    node: Node,
    start: Instant,
    parents: Vec<Parent>,
    signals: Signals,
    resolver: Resolver,
    mailbox: Mailbox,
    console: Option<Console>,
    control: Option<Control>,
    listeners: Vec<Listener>,
    /// By [`LinkId::index`].
    connections: Vec<Option<Connection>>,
    /// Links whose sockets may have more to read.
    readable: VecDeque<LinkId>,
    /// Links with bytes to send whose sockets may take more.
    writable: VecDeque<LinkId>,
    /// Links whose connections have ended, or are to be closed, in this turn.
    ended: Vec<(LinkId, CloseReason)>,
    buffer: Box<[u8]>,
    must_stop_at_once: bool,
}

impl Server {
    /// Opens the doors and the control socket.
    ///
    /// # Errors
    /// A text that names the address or path that cannot be used.
    pub fn open(settings: Settings) -> Result<Self, String> {
        let broken = |error: io::Error| format!("cannot set up the poll loop: {error}");
        raise_descriptor_limit();
        let poll = Poll::new().map_err(broken)?;
        let registry = poll.registry();
        assert!(settings.doors.len() <= LISTENERS_MAX, "as many doors as tokens");
        let mut listeners = Vec::new();
        for (place, (door, address)) in settings.doors.iter().enumerate() {
            listeners.push(Listener::open(*door, address, registry, Token(LISTENERS + place))?);
        }
        let control = settings.control.as_deref();
        let control = control.map(|path| Control::open(path, registry, CONTROL)).transpose()?;
        let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(broken)?;
        registry.register(&mut signals, SIGNALS, Interest::READABLE).map_err(broken)?;
        let waker = Arc::new(Waker::new(registry, WAKER).map_err(broken)?);
        let (mailbox, mail) = match &settings.mailbox {
            None => {
                if settings.doors.iter().any(|(door, _)| *door == Door::Direct) {
                    log::info!(
                        "messages to the absent wait in memory and are lost with this server; with \
                         --mailbox FILE they are on disk"
                    );
                }
                Mailbox::memory()
            }
            Some(path) => {
                let waker = Arc::clone(&waker);
                // A loop that cannot be woken finds the answers at its next turn.
                Mailbox::disk(path, move || drop(waker.wake()))?
            }
        };
        let console = Console::open(registry, CONSOLE);
        let Settings { own, parents, limits, seed, .. } = settings;
        let node = Node::with_mail(own, parents.len(), limits, &mail, seed);
        let parent = |address| Parent { address, is_reported: false, failed_dials: 0 };
        Ok(Self {
            node,
            poll,
            start: Instant::now(),
            parents: parents.into_iter().map(parent).collect(),
            signals,
            resolver: Resolver::new(waker),
            mailbox,
            console,
            control,
            listeners,
            connections: Vec::new(),
            readable: VecDeque::new(),
            writable: VecDeque::new(),
            ended: Vec::new(),
            buffer: vec![0; READ_BYTES_PER_TURN].into_boxed_slice(),
            must_stop_at_once: false,
        })
    }

    /// Where each door listens, with the port that was chosen if it was to be any.
    pub fn doors(&self) -> impl Iterator<Item = (Door, SocketAddr)> {
        self.listeners.iter().map(|listener| (listener.door(), listener.address()))
    }

    /// Serves until the operator or a signal ends it.
    ///
    /// # Errors
    /// If the system refuses to wait for events any more.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        self.advance();
        loop {
            if self.write_and_reap() || self.must_stop_at_once {
                if self.must_stop_at_once {
                    self.mailbox.give_up();
                }
                return Ok(());
            }
            if let Err(error) = self.poll.poll(&mut events, self.patience())
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error);
            }
            for event in &events {
                self.note(event);
            }
            self.read();
            self.advance();
        }
    }

    fn now(&self) -> Time {
        Time(self.start.elapsed())
    }

    /// How long there is nothing to do unless the system has news; `None` for ever.
    fn patience(&self) -> Option<Duration> {
        let now = self.now();
        let is_busy = !self.readable.is_empty()
            || !self.writable.is_empty()
            || self.console.as_ref().is_some_and(Console::is_ready)
            || self.listeners.iter().any(|listener| listener.readiness.is_ready(now))
            || self
                .control
                .as_ref()
                .is_some_and(|control| control.is_asked() || control.readiness.is_ready(now));
        if is_busy {
            return Some(Duration::ZERO);
        }
        let pauses = self.listeners.iter().filter_map(|listener| listener.readiness.retry_at());
        let pauses =
            pauses.chain(self.control.as_ref().and_then(|control| control.readiness.retry_at()));
        let deadline = pauses.chain(self.node.next_deadline()).min();
        deadline.map(|at| at.since(now))
    }

    /// Step one: what the system has news of becomes a flag or a place in a list.
    fn note(&mut self, event: &Event) {
        match event.token() {
            SIGNALS => self.on_signals(),
            WAKER => {
                self.on_resolved();
                self.on_mail();
            }
            CONSOLE => {
                if let Some(console) = &mut self.console {
                    console.note_ready();
                }
            }
            CONSOLE_OUTPUT => {} // it is written in any case
            CONTROL => {
                if let Some(control) = &mut self.control {
                    control.readiness.note_ready();
                }
            }
            Token(token) if token < CONTROL_CONNECTIONS => {
                self.listeners[token - LISTENERS].readiness.note_ready();
            }
            Token(token) if token < LINKS => {
                if let Some(control) = &mut self.control {
                    control.note_asking(token - CONTROL_CONNECTIONS);
                }
            }
            Token(token) => self.note_link(token - LINKS, event),
        }
    }

    fn note_link(&mut self, index: usize, event: &Event) {
        let Some(Some(connection)) = self.connections.get_mut(index) else {
            return;
        };
        let link = connection.id();
        if connection.dialling().is_some() {
            match connection.finish_dialling() {
                Ok(None) => return,
                Ok(Some(dialling)) => {
                    let Dialling { parent, address, .. } = *dialling;
                    self.parents[parent].is_reported = false;
                    log::info!("link {link}: connected to the parent {address}");
                    let now = self.now();
                    self.node.dialled(now, link, Some(address));
                }
                Err(error) => {
                    let reason = CloseReason::Failed(error.to_string());
                    return self.ended.push((link, reason));
                }
            }
        }
        let Some(Some(connection)) = self.connections.get_mut(index) else {
            return;
        };
        if connection.note_ready(event) {
            self.readable.push_back(link);
        }
        if event.is_writable() && !self.node.unsent(link).is_empty() {
            self.writable.push_back(link);
        }
    }

    /// Step two: a portion from every socket that has something.
    fn read(&mut self) {
        let now = self.now();
        for place in 0..self.listeners.len() {
            self.accept(place, now);
        }
        if let Some(control) = &mut self.control {
            control.accept(now, self.poll.registry(), CONTROL_CONNECTIONS);
            control.serve(&mut self.node, now, self.poll.registry());
        }
        for _ in 0..self.readable.len() {
            let Some(link) = self.readable.pop_front() else {
                break;
            };
            let Some(connection) = connection_mut(&mut self.connections, link) else {
                continue;
            };
            if !self.node.is_listening(link) {
                connection.park();
                continue;
            }
            match connection.read(&mut self.buffer) {
                Received::Bytes { count, is_more } => {
                    self.node.receive(now, link, &self.buffer[..count]);
                    if is_more {
                        self.readable.push_back(link);
                    }
                    while let Some(pressed) = self.node.poll_pressed() {
                        self.write(pressed);
                    }
                }
                Received::Nothing => {}
                Received::End(reason) => self.ended.push((link, reason)),
            }
        }
        if let Some(mut console) = self.console.take() {
            let tokens = (CONSOLE, CONSOLE_OUTPUT);
            let is_open = console.run(&mut self.node, now, self.poll.registry(), tokens);
            self.console = is_open.then_some(console);
        }
    }

    fn accept(&mut self, place: usize, now: Time) {
        if self.node.is_stopping() {
            return;
        }
        for (stream, peer) in self.listeners[place].accept(now) {
            let door = self.listeners[place].door();
            let link = self.node.accepted(now, door, Some(peer));
            log::debug!("link {link}: connection from {peer}");
            self.install(Connection::accepted(link, stream));
        }
    }

    fn install(&mut self, mut connection: Connection) {
        let link = connection.id();
        let index = link.index as usize;
        if let Err(error) = connection.register(self.poll.registry(), Token(LINKS + index)) {
            self.ended.push((link, CloseReason::Failed(error.to_string())));
        }
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        assert!(self.connections[index].is_none(), "a link has one connection");
        self.connections[index] = Some(connection);
    }

    /// Step three: what is due by now.
    fn advance(&mut self) {
        let now = self.now();
        if self.node.next_deadline().is_some_and(|at| at <= now) {
            self.node.advance(now);
        }
        if self.node.is_stopping() {
            self.listeners.clear();
        }
    }

    /// Steps four and five, until neither gives the other more to do. Answers true if the server
    /// is to end.
    fn write_and_reap(&mut self) -> bool {
        for _ in 0..self.writable.len() {
            if let Some(link) = self.writable.pop_front() {
                self.write(link);
            }
        }
        loop {
            let mut is_done = true;
            let now = self.now();
            while let Some(action) = self.node.poll_action() {
                is_done = false;
                match action {
                    Action::Dial { parent, link } => self.dial(parent, link),
                    Action::Close { link, reason } => {
                        self.write(link); // as much of a farewell as fits
                        self.ended.push((link, reason));
                    }
                    Action::Resume { link } => {
                        if let Some(connection) = connection_mut(&mut self.connections, link)
                            && connection.resume()
                        {
                            self.readable.push_back(link);
                        }
                    }
                    Action::Mail(request) => {
                        self.mailbox.request(request);
                        self.on_mail(); // one in memory has answered already
                    }
                    Action::Shutdown => return true,
                }
            }
            while let Some(link) = self.node.poll_unsent() {
                is_done = false;
                self.write(link);
            }
            for (link, reason) in std::mem::take(&mut self.ended) {
                is_done = false;
                self.reap(now, link, &reason);
            }
            if is_done {
                return false;
            }
        }
    }

    fn write(&mut self, link: LinkId) {
        let Some(connection) = connection_mut(&mut self.connections, link) else {
            return;
        };
        match connection.write(&mut self.node) {
            Ok(true) => self.writable.push_back(link),
            Ok(false) => {}
            // What the other end said before it went is still to be read; then comes its end.
            Err(error) => {
                log::debug!("link {link}: {error}");
                if connection.give_up_writing() {
                    self.readable.push_back(link);
                }
            }
        }
    }

    fn reap(&mut self, now: Time, link: LinkId, reason: &CloseReason) {
        let slot = self.connections.get_mut(link.index as usize);
        let taken = slot.and_then(|slot| slot.take_if(|connection| connection.id() == link));
        if let Some(mut connection) = taken {
            if let Some(dialling) = connection.dialling().take() {
                if let CloseReason::Failed(error) = reason
                    && !dialling.candidates.is_empty()
                {
                    log::debug!("link {link}: {}: {error}", dialling.address);
                    return self.connect(now, link, dialling.parent, dialling.candidates);
                }
                self.report_parent(dialling.parent, &reason.to_string());
            }
            connection.close(self.poll.registry());
        }
        self.node.closed(now, link, reason);
    }

    fn dial(&mut self, parent: usize, link: LinkId) {
        let address = &self.parents[parent].address;
        match address.host.parse::<IpAddr>() {
            Ok(ip) => {
                let candidates = VecDeque::from([SocketAddr::from((ip, address.port))]);
                self.connect(self.now(), link, parent, candidates);
            }
            Err(_) => self.resolver.resolve(link, parent, address.clone()),
        }
    }

    fn on_resolved(&mut self) {
        let now = self.now();
        while let Some(answer) = self.resolver.poll() {
            if !self.node.is_open(answer.link) {
                continue; // it took too long, and its link was given up
            }
            match answer.found {
                Ok(mut candidates) => {
                    let failed = self.parents[answer.parent].failed_dials;
                    candidates.rotate_left(failed.checked_rem(candidates.len()).unwrap_or(0));
                    self.connect(now, answer.link, answer.parent, candidates);
                }
                Err(error) => {
                    self.report_parent(answer.parent, &error);
                    self.node.closed(now, answer.link, &CloseReason::Failed(error));
                }
            }
        }
    }

    fn on_mail(&mut self) {
        let now = self.now();
        while let Some(reply) = self.mailbox.poll() {
            self.node.mail_replied(now, reply);
        }
    }

    /// Dials the first address that the system takes; the rest is tried when that one fails.
    fn connect(
        &mut self,
        now: Time,
        link: LinkId,
        parent: usize,
        mut candidates: VecDeque<SocketAddr>,
    ) {
        let mut error = "its name stands for no address".to_owned();
        while let Some(address) = candidates.pop_front() {
            match Connection::dial(link, Dialling { parent, address, candidates }) {
                Ok(connection) => return self.install(connection),
                Err((dialling, failure)) => {
                    candidates = dialling.candidates;
                    error = failure.to_string();
                }
            }
        }
        self.report_parent(parent, &error);
        self.node.closed(now, link, &CloseReason::Failed(error));
    }

    /// Says once that a parent cannot be reached; it is tried on in silence.
    fn report_parent(&mut self, parent: usize, error: &str) {
        let Parent { address, is_reported, failed_dials } = &mut self.parents[parent];
        *failed_dials = failed_dials.wrapping_add(1);
        if std::mem::replace(is_reported, true) {
            log::debug!("cannot connect to the parent {address}: {error}");
        } else {
            log::warn!("cannot connect to the parent {address}: {error}; trying until it answers");
        }
    }

    fn on_signals(&mut self) {
        let now = self.now();
        for signal in self.signals.pending() {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            if self.node.is_stopping() {
                log::warn!("{name} again: ending at once");
                self.must_stop_at_once = true;
            } else {
                log::info!("{name}: stopping");
                self.node.stop(now);
            }
        }
    }
}

/// Every connection takes a descriptor: as many as the system grants, not the few it begins with.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::warn!("cannot raise the limit of open files: {error}");
    }
}

fn connection_mut(connections: &mut [Option<Connection>], link: LinkId) -> Option<&mut Connection> {
    let connection = connections.get_mut(link.index as usize)?.as_mut()?;
    (connection.id() == link).then_some(connection)
}
